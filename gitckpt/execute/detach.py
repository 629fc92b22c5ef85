"""A gitckpt of its own session, which outlives the terminal that started it.

Owns how such a process is started. Must not know what it does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def start_detached(arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Run `gitckpt ARGUMENTS` in the background: nothing to read, all that it says in `log`, which is made anew.

    Raises OSError where the log cannot be written or no process can be made.
    """
    # 0600: what a phase prints may hold what only its user may see.
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            # -P: the current folder is the user's, and may hold a `click.py`.
            [sys.executable, "-P", "-m", "gitckpt", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    finally:
        os.close(output)
