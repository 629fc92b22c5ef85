"""What can happen to a workflow, as values; each checkpoint lists those since its first parent (`events.json`).

Owns the event types and what a list of them is called in history. Must not know how they are stored or what made
them. Times are ISO 8601 with offset and order nothing: order comes from parents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from gitckpt.model.items import (
    ItemsCompensated,
    ItemsCompleted,
    ItemsFailed,
    ItemsListed,
    ItemsReopened,
    ItemsSkipped,
)
from gitckpt.model.manifest import Goal, Json, Left, Manifest, Uncaptured, later
from gitckpt.model.merging import EditsClashed, Merged, MergeRefused, Resolved
from gitckpt.model.names import Oid, PhaseName, WorkflowName

Kind: TypeAlias = Literal[
    "start", "phase", "item", "batch", "failed", "partial", "edit", "foreign", "named", "gate", "manual", "rollback",
    "compensation", "merge",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A run begins; its first checkpoint is an epoch and carries the whole manifest."""

    at: str
    manifest: Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Redefined:
    """The workflow file changed between two checkpoints. `order` is the new order of all phases."""

    at: str
    order: tuple[PhaseName, ...]
    changed: tuple[PhaseName, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """The user changed files. `restored` names the checkpoint they were brought from, if they were.

    `mixed`: paths that a phase changed as well, meanwhile; they hold both changes. `removed`: files that went with it,
    at most twenty of the `removals` by name; `outs_of`: the completed phases that had made some of them as their outs.
    `dropped`: the first of `dropped_count` files that are still there and are captured no longer: the checkpoint before
    was the last with them.
    """

    at: str
    author: str
    restored: str | None = None
    mixed: tuple[str, ...] = ()
    removed: tuple[str, ...] = later(())
    removals: int = later(0)
    outs_of: tuple[PhaseName, ...] = later(())
    dropped: tuple[str, ...] = later(())
    dropped_count: int = later(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalAccepted:
    """The user said that the run goes on without the outs of these phases that an edit removed."""

    at: str
    phases: tuple[PhaseName, ...]
    author: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignChange:
    """Another workflow changed files in this workspace."""

    at: str
    workflow: WorkflowName


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseCompleted:
    """An attempt succeeded, with all its files. `mark`, `made_from`: as PhaseState has them."""

    at: str
    phase: PhaseName
    attempt: int
    started: str
    duration_ms: int
    definition: str
    uncaptured: Uncaptured | None = None
    mark: str | None = later()
    made_from: Mapping[PhaseName, str] = later({})


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSkipped:
    """A phase will not run: its `if` said no (`author` None), or somebody skipped it."""

    at: str
    phase: PhaseName
    reason: str
    author: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseBlocked:
    """A phase's `requires` said no; nothing ran and no attempt counts."""

    at: str
    phase: PhaseName
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed:
    """An attempt ended badly. `partial`: its files were kept as the start of the next attempt. `uncaptured`: what it
    changed that no checkpoint holds, and that stays so."""

    at: str
    phase: PhaseName
    attempt: int
    started: str
    duration_ms: int
    exit_code: int | None
    detail: str
    partial: bool = False
    uncaptured: Uncaptured | None = later()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptCutOff:
    """An attempt did not come to its end: its runner died, or it was interrupted. `beside`: so did another one of the
    same phase with it, which counts for both. `uncaptured`: as in AttemptFailed."""

    at: str
    phase: PhaseName
    attempt: int
    reason: Literal["died", "interrupted"]
    partial: bool = False
    beside: bool = False
    uncaptured: Uncaptured | None = later()


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A checkpoint somebody asked for; from inside a phase, a later attempt starts from it."""

    at: str
    message: str
    phase: PhaseName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """`data[key]` becomes `value`."""

    at: str
    key: str
    value: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class DataAppended:
    """`value` is put at the end of the list `data[key]` (made when absent)."""

    at: str
    key: str
    value: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class DataIncremented:
    """The number `data[key]` (0 when absent) grows by `by`."""

    at: str
    key: str
    by: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopened:
    """Phases are to run anew; their files stay, their generation rises unless they are only `tried_again`. `all_items`:
    none of their items carries over."""

    at: str
    phases: tuple[PhaseName, ...]
    author: str
    reason: str
    tried_again: bool = False
    all_items: bool = later(default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WentBack:
    """A phase's failure goes back to the phase `to`: `phases` are to run anew, `to` first. `numbered`: the numbers of
    their items are given to no others."""

    at: str
    phase: PhaseName
    to: PhaseName
    phases: tuple[PhaseName, ...]
    numbered: bool = later(default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalSet:
    """What the run works towards is another now. `outside`: phases whose effects nothing undid."""

    at: str
    goal: Goal
    author: str
    reason: str
    outside: tuple[PhaseName, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseCompensated:
    """What a phase did outside the workspace was undone by its `compensate`: the completion in checkpoint number `of`.
    Without it (0) it says only that the phase is no longer done, because a rollback came by what was undone before."""

    at: str
    phase: PhaseName
    duration_ms: int
    of: int = later(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBehind:
    """What phases did outside the workspace stands no more for anything here, and nothing undid it."""

    at: str
    left: tuple[Left, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompensationFailed:
    """A compensation ended badly; the phase, or its items, are as done as before."""

    at: str
    phase: PhaseName
    attempt: int
    duration_ms: int
    exit_code: int | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOpened:
    """The run waits at a gate. `expires`: when it answers itself (wall clock), None for never."""

    at: str
    phase: PhaseName
    prompt: str
    expires: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateAnswered:
    """Somebody, or the gate's time-out (`email` empty), approved or rejected."""

    at: str
    phase: PhaseName
    approved: bool
    author: str
    email: str
    reason: str
    definition: str
    answers: Mapping[str, str] = field(default_factory=dict)
    mark: str | None = later()
    made_from: Mapping[PhaseName, str] = later({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """Somebody stopped an active run at its next boundary."""

    at: str
    author: str
    reason: str


CUT_OFF = "cut off"
"""The status of commands of `always` that did not come to their end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concluded:
    """The commands of `always` ran at the end of a run that ended so; they changed files, or one of them failed. Or
    they were cut off: then their files were put back, and they run again with the next call."""

    at: str
    status: str
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """Files, definition and state went back to checkpoint number `to`; `beside` names an attempt or a rescue of that
    number, which is no checkpoint of the branch."""

    at: str
    to: int
    target: Oid
    manifest: Manifest
    author: str
    beside: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """Checkpoint number `of` and what came after it was taken back."""

    at: str
    of: int
    target: Oid
    manifest: Manifest
    author: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """The run was given up; the next `run` begins a new one."""

    at: str
    manifest: Manifest
    author: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """This workspace's files were taken as the newest edit of a history made elsewhere."""

    at: str
    manifest: Manifest
    author: str
    remote: str | None = None


Event: TypeAlias = (
    RunStarted
    | Redefined
    | Edited
    | RemovalAccepted
    | ForeignChange
    | PhaseCompleted
    | PhaseSkipped
    | PhaseBlocked
    | AttemptFailed
    | AttemptCutOff
    | Named
    | DataSet
    | DataAppended
    | DataIncremented
    | Reopened
    | RolledBack
    | Undone
    | Reset
    | Adopted
    | WentBack
    | GoalSet
    | PhaseCompensated
    | CompensationFailed
    | LeftBehind
    | GateOpened
    | GateAnswered
    | Paused
    | Concluded
    | ItemsListed
    | ItemsCompleted
    | ItemsFailed
    | ItemsSkipped
    | ItemsReopened
    | ItemsCompensated
    | Merged
    | MergeRefused
    | EditsClashed
    | Resolved
)

EVENT_TYPES: Mapping[str, type[Event]] = {
    cls.__name__: cls
    for cls in (
        RunStarted, Redefined, Edited, RemovalAccepted, ForeignChange, PhaseCompleted, PhaseSkipped, PhaseBlocked,
        AttemptFailed,
        AttemptCutOff, Named, DataSet, DataAppended, DataIncremented, Reopened, RolledBack, Undone, Reset, Adopted,
        WentBack, GoalSet, PhaseCompensated, CompensationFailed, LeftBehind, GateOpened, GateAnswered, Paused,
        Concluded, ItemsListed, ItemsCompleted, ItemsFailed, ItemsSkipped, ItemsReopened, ItemsCompensated, Merged,
        MergeRefused, EditsClashed, Resolved,
    )
}  # fmt: skip
