"""Asks a Python file what workflow it declares: the file is run in a process of its own, with a time limit.

Owns that process and its end. Must not know what its answer says.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gitckpt.errors import GitckptError

LIMIT_S = 60.0


@dataclass(eq=False)
class CannotDescribe(GitckptError):
    """A Python file did not say what workflow it declares."""

    path: str
    why: str

    @property
    def message(self) -> str:
        return f"{self.path} does not say what workflow it declares: {self.why}"

    @property
    def hint(self) -> str:
        return "what it does when it is imported is run each time; long work belongs into its phases"


def describe(file: Path, environment: Mapping[str, str], limit_s: float = LIMIT_S) -> bytes:
    """What the file declares, as the program `gitckpt.flow.describe` says it; what the file prints goes to stderr.

    Raises CannotDescribe when it takes longer than `limit_s`, or dies.
    """
    process = subprocess.Popen(
        [sys.executable, "-X", "utf8", "-P", "-m", "gitckpt.flow.describe", os.fspath(file)],
        cwd=file.parent,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,  # with all that it starts, it can be ended as one
    )
    try:
        said, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        raise CannotDescribe(str(file), f"it took longer than {limit_s:g} s") from None
    finally:
        _end(process)
    if not said:
        raise CannotDescribe(str(file), _how(process.returncode))
    return said


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing that reading a file started outlives it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _how(code: int) -> str:
    return f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with exit code {code}"
