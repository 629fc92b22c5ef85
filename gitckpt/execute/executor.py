"""Starts attempts on this machine.

Owns what is made for each before its watchdog is there. Must not know what becomes of it.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Self

from gitckpt.execute.fork_server import ForkServer
from gitckpt.execute.leftovers import PHASE_LOCK
from gitckpt.execute.lock import Lock
from gitckpt.execute.process import Job, Running, work_of


class LocalExecutor:
    """Runs attempts on this machine, each under a watchdog of its own; close it when no more are to be started."""

    def __init__(self) -> None:
        self._watchdogs = ForkServer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what it holds."""
        self._watchdogs.close()

    def prepare(self) -> None:
        """Get ready meanwhile for the first attempt. What prevents that is told when one is started."""
        with suppress(OSError):
            self._watchdogs.begin()

    def start(self, job: Job) -> Running:
        """Start the attempt. Raises Busy when `state_dir` still belongs to another attempt.

        What cannot be started (a missing shell, folder or program) is no exception but a result with code 126 or
        127, and a line in the output file that says why.
        """
        job.state_dir.mkdir(parents=True, exist_ok=True)
        lock = Lock.take(job.state_dir / PHASE_LOCK)
        began = time.monotonic()
        control, tell = os.pipe()
        hear, status = os.pipe()
        ours, theirs = [tell, hear], [control, status]
        try:
            output = os.open(job.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            theirs.append(output)
            process = self._watchdogs.start(theirs, (lock.fileno(), *job.locks))
        except OSError as problem:
            _close(ours)
            lock.release()
            return Running.never_started(job, problem)
        finally:
            _close(theirs)
        running = Running(job=job, process=process, control=tell, status=hear, began=began)
        running.say(work_of(job))
        lock.hand_over()
        return running


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
