"""Attempts without processes: what an attempt does to the files is a function, called in this very process.

Owns the executor that pretends, and the death of a process at its n-th change. Must not know what is tested.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gitckpt.execute.process import Job, Result
from gitckpt.execute.stamp import mark_started

Work = Callable[[Path], None]

_CHANGES = frozenset(
    (
        "os.rename",
        "os.remove",
        "os.mkdir",
        "os.rmdir",
        "os.link",
        "os.symlink",
        "os.chmod",
        "os.utime",
        "subprocess.Popen",
    )
)
KILLED = 9


def result(code: int) -> Result:
    """How an attempt ends whose command exits with `code`."""
    return Result(
        step=None if code == 0 else "run",
        code=None if code == 0 else code,
        signal=None,
        timed_out=False,
        interrupted=False,
        duration_ms=1,
        step_durations=(),
        survivors=(),
    )


class Pretended:
    """An attempt that was over when it began."""

    def __init__(self, code: int, ended: Result | None = None) -> None:
        self._result = ended or result(code)
        self._hear, tell = os.pipe()
        os.close(tell)

    def fileno(self) -> int:
        return self._hear

    def poll(self) -> Result | None:
        return self._result

    def terminate(self) -> None: ...

    def interrupt(self) -> None: ...

    def kill(self) -> None: ...

    def close(self) -> None:
        if self._hear >= 0:
            os.close(self._hear)
        self._hear = -1

    @property
    def root(self) -> None:
        """It was in the workspace itself."""
        return

    def release(self) -> None: ...


@dataclass(slots=True)
class Scripted:
    """An executor whose attempts all do `work` in the workspace and exit with `code`; it remembers which it began."""

    work: Work
    code: int = 0
    began: list[tuple[str, int, str]] = field(default_factory=list)

    def start(self, job: Job) -> Pretended:
        env = job.env
        self.began.append((env["GITCKPT_PHASE"], int(env["GITCKPT_ATTEMPT"]), env["GITCKPT_RESUMED"]))
        job.output.write_text(f"attempt {env['GITCKPT_ATTEMPT']}\n")
        mark_started(str(job.state_dir))
        self.work(job.cwd)
        return Pretended(self.code)


def dies_at(change: int, act: Callable[[], None]) -> bool:
    """Do `act` in a forked child that is gone at its n-th change of a file or start of a program, with no chance to
    tidy up. Whether it died; a child that came to its end did the whole of it. Any error of the child's is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the threads of pytest-xdist play no part in the child
        child = os.fork()
    if child == 0:
        _in_child(change, act)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, KILLED), f"the child ended with {code}"
    return code == KILLED


def _in_child(change: int, act: Callable[[], None]) -> None:
    left = change

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in _CHANGES or writes:
            left -= 1
            if left <= 0:
                os._exit(KILLED)

    code = 70
    try:
        sys.addaudithook(count)
        act()
        code = 0
    finally:
        if code:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(code)
