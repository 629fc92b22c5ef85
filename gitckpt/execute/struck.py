"""A gitckpt command in a process of its own, which is killed with SIGKILL after a given time, or left to end.

Owns the process and the clock. Must not know what the command does, nor why it is killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """How it ended: by itself (`code`; a signal's is negative), `killed` when its time came, or `overdue` and so
    killed. `ms`: how long it took."""

    how: Literal["ended", "killed", "overdue"]
    code: int
    ms: int


def strike(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    log: Path,
    kill_after_ms: int | None = None,
    limit_ms: int | None = None,
) -> Struck:
    """Run `gitckpt ARGUMENTS`, all that it says at the end of `log`. Only the process itself is killed: what its phases
    started is for their watchdog to end, as after any death. Raises OSError where no process can be made.
    """
    began = time.monotonic_ns()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "gitckpt", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            start_new_session=True,
        )
    finally:
        os.close(output)
    how: Literal["ended", "killed", "overdue"] = "ended"
    times = [ms for ms in (kill_after_ms, limit_ms) if ms is not None]
    try:
        process.wait(min(times) / 1000 if times else None)
    except subprocess.TimeoutExpired:
        how = "killed" if kill_after_ms is not None and kill_after_ms == min(times) else "overdue"
    finally:
        # Ctrl-C, too: it reaches only this process, the other one has a session of its own.
        if process.returncode is None:
            process.kill()
            process.wait()
    return Struck(how=how, code=process.returncode, ms=(time.monotonic_ns() - began) // 1_000_000)
