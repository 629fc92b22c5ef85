"""Locks that the kernel frees: an flock on a file that also says who holds it.

Owns the lock file and what stands in it. It must not know what is locked. The lock is never inherited: a process
that a phase leaves behind must not hold it for ever.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from gitckpt.errors import Busy, Holder

_LOOKERS_S = 2.0
_PAUSE_S = 0.002


class Lock:
    """A lock that is held. Make one with `Lock.take`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def take(cls, path: Path) -> Lock:
        """Take it now or raise Busy, which names the holder. Raises OSError where the file cannot be written."""
        until = time.monotonic() + _LOOKERS_S
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if _locked(fd, fcntl.LOCK_EX):
                if _is_at(fd, path):
                    _write(fd)
                    return cls(fd)
                os.close(fd)  # somebody removed the file between our open and our lock: theirs is another one
                continue
            # `holder` takes a shared lock for some microseconds. Where we can share, nobody holds it in earnest.
            held = not _locked(fd, fcntl.LOCK_SH)
            who = _read(fd)
            os.close(fd)
            if held or time.monotonic() >= until:
                raise Busy(str(path), who)
            time.sleep(_PAUSE_S)

    def fileno(self) -> int:
        """The descriptor that carries the lock."""
        return self._fd

    def hand_over(self) -> None:
        """Let go of our descriptor without freeing the lock: a process that was given it holds it from here on."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def release(self) -> None:
        """Free it; a second call does nothing."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):  # a full disk: who held it is then said of nobody
                os.ftruncate(self._fd, 0)
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            self.hand_over()

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def holder(path: Path) -> Holder | None:
    """Who holds the lock now; None: nobody. Changes nothing, and works on a read-only file system."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if _locked(fd, fcntl.LOCK_SH):
            return None
        return _read(fd) or Holder(pid=0, host="", since="", command="")
    finally:
        os.close(fd)


def _locked(fd: int, kind: int) -> bool:
    """Take that kind of lock if it can be had at once."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(fd: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(fd), there)


def _write(fd: int) -> None:
    said = {
        "pid": os.getpid(),
        "host": os.uname().nodename,
        "since": datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
        "command": " ".join((_program(sys.argv[0]), *sys.argv[1:])),
    }
    os.ftruncate(fd, 0)
    os.pwrite(fd, json.dumps(said).encode() + b"\n", 0)


def _program(path: str) -> str:
    """The name that people call it by; `python -m gitckpt` has the path of a file in the package."""
    return os.path.basename(os.path.dirname(path) if path.endswith("__main__.py") else path)


def _read(fd: int) -> Holder | None:
    try:
        said = json.loads(os.pread(fd, 1 << 16, 0))
        return Holder(
            pid=int(said["pid"]),
            host=str(said["host"]),
            since=str(said["since"]),
            command=str(said["command"]),
        )
    except (ValueError, KeyError, TypeError):
        return None  # it is being written, or is not ours
