"""Which checkpoints are a command of the user's, so that `undo` can undo them. Pure; owns that distinction."""

from __future__ import annotations

from collections.abc import Sequence

from gitckpt.model.events import (
    Adopted,
    DataAppended,
    DataIncremented,
    DataSet,
    Edited,
    Event,
    GateAnswered,
    PhaseSkipped,
    Reopened,
    Reset,
    RolledBack,
    Undone,
)
from gitckpt.model.items import ItemsReopened, ItemsSkipped
from gitckpt.model.merging import Resolved


def is_of_command(events: Sequence[Event]) -> bool:
    """Whether the checkpoint is of a command of the user's. What a phase itself does to `data` lands with the phase."""
    of_data = all(isinstance(event, DataSet | DataAppended | DataIncremented) for event in events)
    return of_data or any(map(_is_command, events))


def _is_command(event: Event) -> bool:
    match event:
        case RolledBack() | Undone() | Adopted() | Reset() | Reopened() | ItemsSkipped() | ItemsReopened():
            return True
        case GateAnswered(email=email):
            return bool(email)  # a time-out has none
        case PhaseSkipped(author=author):
            return author is not None
        case Edited(restored=restored):
            return restored is not None
        case Resolved():
            return True
        case _:
            return False
