"""What the engine is given: its executor, clock and reporter, each with a second implementation in tests; and what it
takes for a look at the newest checkpoint, which a command that only reads has too."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from gitckpt.execute.process import Job, Result
from gitckpt.model.workflow import Workflow
from gitckpt.progress.events import ProgressEvent
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.store import Store


class Clock(Protocol):
    """Wall clock for people, monotonic clock for durations."""

    def now(self) -> datetime:
        """Aware local time."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds that never jump."""
        ...

    def jitter(self) -> float:
        """A number in 0..1 for spreading retries."""
        ...


class Running(Protocol):
    """An attempt under way."""

    def fileno(self) -> int: ...

    def poll(self) -> Result | None: ...

    def terminate(self) -> None: ...

    def interrupt(self) -> None: ...

    def kill(self) -> None: ...

    def close(self) -> None: ...


class Executor(Protocol):
    """Starts attempts."""

    def start(self, job: Job) -> Running: ...


class Reporter(Protocol):
    """Watches a run."""

    def __call__(self, event: ProgressEvent) -> None: ...

    def tick(self) -> None: ...

    def close(self) -> None: ...


class AtTip(Protocol):
    """Today's definition and the newest checkpoint: a hold, or a look without locks."""

    @property
    def workflow(self) -> Workflow: ...

    @property
    def store(self) -> Store: ...

    @property
    def at_tip(self) -> Checkpoint: ...
