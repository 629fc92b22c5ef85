"""A command that dies at a call of its own: killed with SIGKILL just before it opens, or renames to, what a test names.

Owns the blow, which falls from inside of the real command line, at the very same call each time. Must not know any
scenario, nor gitckpt's code.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.repo import Repo

_HOOK = """\
import os, signal, sys

def audited(event, arguments):
    global left
    if event in ("open", "os.rename", "os.mkdir"):
        name = arguments[1] if event == "os.rename" else arguments[0]
        if isinstance(name, (str, bytes, os.PathLike)) and os.fsdecode(name).endswith(where):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

where, left = os.environ.pop("DIE_AT", ""), int(os.environ.pop("DIE_TIME", "1"))
if where:  # in the command itself: what it starts does not inherit it
    sys.addaudithook(audited)
"""


def dies(repo: Repo, at: str, *arguments: str, time: int = 1) -> None:
    """`gitckpt ARGUMENTS`, killed just before the given `time` that a path which ends with `at` is opened or made."""
    folder = repo.path.parent / "dying"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_HOOK)
    done = subprocess.run(
        [sys.executable, "-m", "gitckpt", *arguments],
        cwd=repo.path,
        env={**os.environ, "PYTHONPATH": str(folder), "DIE_AT": at, "DIE_TIME": str(time)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, f"it did not die at {at}: {done.returncode}\n{done.stdout}{done.stderr}"


def in_small(repo: Repo, kib: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`gitckpt ARGUMENTS`, which can write no file of more than so many KiB. A phase may lift that for itself."""
    return subprocess.run(
        ["bash", "-c", f'ulimit -S -f {kib}; exec "$@"', "bash", sys.executable, "-m", "gitckpt", *arguments],
        cwd=repo.path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def stamped(root: Path) -> None:
    """Wait until the last process of what died is gone, and the stamp says so."""
    deadline = 20 / 0.005
    while not (root / ".gitckpt/stamp").exists():
        deadline -= 1
        assert deadline > 0, "no stamp in 20 s"
        signal.sigtimedwait((), 0.005)
