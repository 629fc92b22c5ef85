"""How watchdogs are started: forked by a process that is ready, or each as a program of its own where that cannot be.

Owns the runner's end, and when that process begins and ends. Must not know what a watchdog does.
"""

from __future__ import annotations

import _socket
import errno
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from gitckpt.execute.passing import pass_on, take_in

_PROGRAM = (sys.executable, "-I", "-S", "-X", "utf8", str(Path(__file__).with_name("watchdog.py")))
SERVE = "serve"
"""What the program is told when it is to fork watchdogs, and not to be one."""

_PATIENCE_MS = 10_000
"""For how long the process that forks may be silent, before it counts as stopped for good."""


class Child(Protocol):
    """A watchdog."""

    @property
    def pid(self) -> int: ...

    def wait(self) -> int:
        """Wait for its end: its exit code, or the signal that killed it as a negative number."""
        ...


class Forked:
    """A watchdog that another process forked: it is waited for by a descriptor of it."""

    def __init__(self, pid: int, held: int | None) -> None:
        self.pid = pid
        self._held = held

    def wait(self) -> int:
        """See Child. Only a parent hears how it ended: what says nothing before it ends was killed."""
        if self._held is not None:
            ended = select.poll()
            ended.register(self._held, select.POLLIN)
            ended.poll()
            os.close(self._held)
            self._held = None
        return -9


def _can_wait_for_others() -> bool:
    """Whether a process that is no child can be waited for: on Linux, unless a container forbids it."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


class ForkServer:
    """Starts watchdogs. `is_supported`: whether they can be forked here."""

    is_supported = _can_wait_for_others()

    def __init__(self) -> None:
        self._wire: _socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start the process that forks, unless it is there; it gets ready meanwhile. Raises OSError."""
        if self._wire is not None or not self.is_supported:
            return
        ours, theirs = _socket.socketpair()
        try:
            # No signal of the terminal's reaches it, and it is gone when our end is.
            self._process = subprocess.Popen(
                [*_PROGRAM, SERVE],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._wire = ours
        finally:
            theirs.close()
            if self._wire is None:
                ours.close()

    def start(self, streams: Sequence[int], locks: Sequence[int]) -> Child:
        """A watchdog with these standard streams, in a session of its own, that also gets the locks. Raises OSError."""
        if not self.is_supported:
            return _spawned(streams, locks)
        try:
            return self._fork(streams, locks)
        except BrokenPipeError:
            self.close()  # something killed it, before it heard of this
            return self._fork(streams, locks)

    def close(self) -> None:
        """End the process that forks; those it forked stay."""
        if self._wire is not None and self._process is not None:
            self._wire.close()
            self._process.kill()  # it holds nothing
            self._process.wait()
        self._wire = self._process = None

    def _answers(self) -> bool:
        assert self._wire is not None  # it was asked
        answer = select.poll()
        answer.register(self._wire.fileno(), select.POLLIN)
        return bool(answer.poll(_PATIENCE_MS))

    def _fork(self, streams: Sequence[int], locks: Sequence[int]) -> Forked:
        self.begin()
        assert self._wire is not None  # it has just begun
        pass_on(self._wire, b"f", [*streams, *locks])
        said, held = take_in(self._wire, 8) if self._answers() else (b"", [])
        if not said:
            self.close()
            raise OSError(errno.EIO, "the process that starts watchdogs was stopped or killed")
        if error := int.from_bytes(said[:4], "big"):
            raise OSError(error, os.strerror(error))
        return Forked(int.from_bytes(said[4:], "big"), held[0] if held else None)


def _spawned(streams: Sequence[int], locks: Sequence[int]) -> Child:
    control, status, output = streams
    return subprocess.Popen(
        [*_PROGRAM, *map(str, locks)],
        stdin=control,
        stdout=status,
        stderr=output,
        pass_fds=locks,
        start_new_session=True,
    )
