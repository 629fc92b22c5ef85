"""What the engine is given: its executor, clock and reporter, each with a second implementation in tests; and what it
takes for a look at the newest checkpoint, which a command that only reads has too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from gitckpt.engine.layer import Layer
from gitckpt.execute.process import Job, Overlay, Result
from gitckpt.model.workflow import Workflow
from gitckpt.plumbing.content import Change, Content
from gitckpt.plumbing.pack import Pack
from gitckpt.progress.events import ProgressEvent
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.store import Store
from gitckpt.workspace.scan import ViewScan


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

    @property
    def root(self) -> Path | None:
        """Where the runner sees what the attempt saw, until `release`; None in the workspace itself."""
        ...

    def release(self) -> None: ...


class Executor(Protocol):
    """Starts attempts."""

    def start(self, job: Job) -> Running: ...


class View(Protocol):
    """The workspace as one attempt sees it, apart from all others. `workspace`: where its processes see it; `lowers`:
    what it lies over, topmost first."""

    name: str
    kind: Literal["overlay", "copy"]
    folder: Path
    workspace: Path
    lowers: tuple[Path, ...]

    def mount(self) -> Overlay | None:
        """What its processes' own mounts are to be."""
        ...

    def environment(self) -> Mapping[str, str]:
        """Variables for its processes."""
        ...

    def root(self, running: Running | None) -> Path:
        """Where the runner sees it, once its last process has ended."""
        ...

    def layer(self, changes: tuple[Change, ...]) -> Layer:
        """What the attempt that made these changes left."""
        ...

    def scan(self, pack: Pack, start: Content, seen: Path | None) -> ViewScan:
        """What was changed in it, new blobs in `pack`; `seen` is its root, None where that is gone."""
        ...


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
