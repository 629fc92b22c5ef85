"""One attempt under way, as a value that the loop carries from its begin to its end.

Owns nothing but this value. Must not start, judge or land anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gitckpt.engine.place import AttemptUnderWay, Desk
from gitckpt.engine.ports import Running, View
from gitckpt.engine.undoing import Undoing
from gitckpt.model.events import Event
from gitckpt.model.moment import Work
from gitckpt.model.names import Oid
from gitckpt.model.schedule import Flying
from gitckpt.model.workflow import Phase
from gitckpt.plumbing.content import Content
from gitckpt.store.checkpoint import Checkpoint


@dataclass(slots=True, kw_only=True)
class InFlight:
    """An attempt under way. `running` is None where its work needs no process; `view` where it is in the workspace
    itself.

    `start`: what its next commit is made on: what it began from, or the last checkpoint that it asked for. `below`:
    what its view showed when it began, which its changes are told from. `needs`: commits that what it began from is
    made of, and that were not merged then. `indices`: its items; `undoing`: what it compensates. `staged`: what it
    wrote to `data`, which lands with it. `heard`: how many of the user's wishes to stop were passed on to it; `line`:
    the last one that it printed. `busy_ms`: as in ItemsCompleted, once it has ended.
    """

    phase: Phase
    work: Work
    under_way: AttemptUnderWay
    desk: Desk
    start: Checkpoint
    below: Content
    root: Path
    view: View | None = None
    indices: tuple[int, ...] = ()
    undoing: Undoing | None = None
    needs: tuple[Oid, ...] = ()
    running: Running | None = None
    staged: list[Event] = field(default_factory=list)
    heard: int = 0
    is_told_to_end: bool = False
    busy_ms: int | None = None
    line: str = ""

    @property
    def flying(self) -> Flying:
        """The attempt, as decisions see it."""
        return Flying(phase=self.phase.name, first=self.indices[0] if self.indices else None)

    @property
    def name(self) -> str:
        """What tells it from all others under way."""
        return self.view.name if self.view is not None else ""
