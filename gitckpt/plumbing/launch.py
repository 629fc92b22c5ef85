"""Starts git processes: one call with a time limit, or a long-lived one that is talked with. Knows argument
lists, environments and pipes; knows neither repositories nor what the commands mean.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from gitckpt.errors import GitFailed, GitMissing, GitTimedOut
from gitckpt.plumbing.environment import HARDENED
from gitckpt.plumbing.spool import spool

# Ctrl-C and a closing terminal reach the whole process group, git too, in the middle of whatever it does for
# us.
_FROM_THE_TERMINAL = frozenset({-signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGQUIT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a git process ended: its exit code (negative: the signal that ended it), and what it wrote."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def interrupted(self) -> bool:
        """True when a signal meant for us ended it."""
        return self.code in _FROM_THE_TERMINAL


def shown(arguments: Sequence[str | bytes]) -> tuple[str, ...]:
    """The arguments as text for an error."""
    return tuple(os.fsdecode(argument) for argument in arguments)


def run(
    *arguments: str | bytes,
    environment: Mapping[str, str],
    folder: str,
    stdin: bytes = b"",
    timeout: float = 60.0,
) -> Ended:
    """Run `git HARDENED... arguments...` in `folder` and wait at most `timeout` seconds.

    Raises GitMissing, GitTimedOut; NotADirectoryError or PermissionError when `folder` cannot be entered.
    """
    try:
        done = subprocess.run(
            ["git", *HARDENED, *arguments],
            input=stdin,
            capture_output=True,
            env=environment,
            cwd=folder,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        if not os.path.isdir(folder):
            raise
        raise GitMissing from None
    except subprocess.TimeoutExpired:
        raise GitTimedOut(shown(arguments), timeout) from None
    return Ended(code=done.returncode, stdout=done.stdout, stderr=done.stderr)


class DialogueError(Exception):
    """The process closed its side of the dialogue; the argument is what it wrote to stderr."""


class Dialogue:
    """A git process that answers questions over its pipes. One thread only.

    `send` never blocks: what the pipe does not take at once is sent while answers are read, so that neither
    side waits for the other for ever. Reads raise DialogueError when the process is gone, GitTimedOut after
    `timeout` seconds of silence.
    """

    def __init__(
        self, *arguments: str | bytes, environment: Mapping[str, str], folder: str, timeout: float = 60.0
    ) -> None:
        self._arguments = arguments
        self._timeout = timeout
        # A pipe for stderr that nobody empties would stop the process after 64 KiB of warnings.
        self._stderr = spool()
        try:
            self._process = subprocess.Popen(
                ["git", *HARDENED, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=environment,
                cwd=folder,
                bufsize=0,
            )
        except FileNotFoundError:
            self._stderr.close()
            raise GitMissing from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to = self._process.stdin.fileno()
        self._from = self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        self._unsent = bytearray()
        self._read = b""
        self._position = 0
        self._poll = select.poll()
        self._poll.register(self._from, select.POLLIN)
        self._heard = 0

    def send(self, data: bytes) -> None:
        """Hand over a question; it may still be on its way when this returns."""
        self._unsent += data
        self._push()

    def _push(self) -> None:
        try:
            del self._unsent[: os.write(self._to, self._unsent)]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            raise DialogueError(self._said()) from None

    def _fill(self) -> bytes:
        """Wait for bytes and return them, sending meanwhile what is unsent."""
        deadline = time.monotonic() + self._timeout
        while True:
            if self._unsent:
                self._poll.register(self._to, select.POLLOUT)
            ready = self._poll.poll(max(0, int((deadline - time.monotonic()) * 1000)))
            if self._unsent:
                self._poll.unregister(self._to)
            if not ready:
                raise GitTimedOut(shown(self._arguments), self._timeout)
            if any(descriptor == self._from for descriptor, _ in ready):
                got = os.read(self._from, 1 << 18)
                if not got:
                    raise DialogueError(self._said())
                return got
            self._push()

    def until(self, end: bytes) -> bytes:
        """The bytes up to the next `end` (one byte), which is taken off."""
        where = self._read.find(end, self._position)
        while where < 0:
            kept = self._read[self._position :]
            self._read = kept + self._fill()
            self._position = 0
            where = self._read.find(end, len(kept))
        got = self._read[self._position : where]
        self._position = where + 1
        return got

    def pieces(self, size: int) -> Iterator[bytes]:
        """Exactly `size` bytes, as they come."""
        while size:
            if self._position == len(self._read):
                self._read, self._position = self._fill(), 0
            piece = self._read[self._position : self._position + size]
            self._position += len(piece)
            size -= len(piece)
            yield piece

    def exactly(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        end = self._position + size
        if end <= len(self._read):
            got = self._read[self._position : end]
            self._position = end
            return got
        return b"".join(self.pieces(size))

    def complained(self) -> bool:
        """Whether it wrote to stderr since this was last asked."""
        before, self._heard = self._heard, os.fstat(self._stderr.fileno()).st_size
        return self._heard > before

    def _said(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read(1 << 16).decode("utf-8", "replace").strip()

    def failure(self) -> GitFailed:
        """The process's end as an error of ours."""
        self._process.kill()
        return GitFailed(shown(self._arguments), self._process.wait(), self._said())

    def close(self) -> None:
        """End the process and wait for it."""
        if self._stderr.closed:
            return
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        # It holds nothing that could be lost: these processes only read.
        self._process.kill()
        self._process.wait()
        self._stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
