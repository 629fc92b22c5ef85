"""What can happen to a workflow, as values; each checkpoint lists those since its first parent (`events.json`).

Owns the event types and what a list of them is called in history. Must not know how they are stored or what made
them. Times are ISO 8601 with offset and order nothing: order comes from parents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from gitckpt.model.manifest import Json, Manifest, Uncaptured
from gitckpt.model.names import Oid, PhaseName, WorkflowName

Kind: TypeAlias = Literal["start", "phase", "failed", "partial", "edit", "foreign", "named", "manual", "rollback"]


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
    """The user changed files. `restored` names the checkpoint they were brought from, if they were."""

    at: str
    author: str
    restored: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignChange:
    """Another workflow changed files in this workspace."""

    at: str
    workflow: WorkflowName


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseCompleted:
    """An attempt succeeded, with all its files."""

    at: str
    phase: PhaseName
    attempt: int
    started: str
    duration_ms: int
    definition: str
    uncaptured: Uncaptured | None = None


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
    """An attempt ended badly. `partial`: its files were kept as the start of the next attempt."""

    at: str
    phase: PhaseName
    attempt: int
    started: str
    duration_ms: int
    exit_code: int | None
    detail: str
    partial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptCutOff:
    """An attempt did not come to its end: its runner died, or it was interrupted."""

    at: str
    phase: PhaseName
    attempt: int
    reason: Literal["died", "interrupted"]
    partial: bool = False


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
    """Phases are to run anew; their files stay, their generation rises."""

    at: str
    phases: tuple[PhaseName, ...]
    author: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """Files, definition and state went back to checkpoint number `to`."""

    at: str
    to: int
    target: Oid
    manifest: Manifest
    author: str


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
)

EVENT_TYPES: Mapping[str, type[Event]] = {
    cls.__name__: cls
    for cls in (
        RunStarted, Redefined, Edited, ForeignChange, PhaseCompleted, PhaseSkipped, PhaseBlocked, AttemptFailed,
        AttemptCutOff, Named, DataSet, DataAppended, DataIncremented, Reopened, RolledBack, Undone, Reset, Adopted,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Title:
    """How a list of events is called in history: its kind, the phase it is about, and a status word."""

    kind: Kind
    phase: PhaseName | None = None
    status: str = ""
    detail: str = field(default="")


def title(events: Sequence[Event]) -> Title:
    """Name a checkpoint by the most telling of its events (data changes come along with another)."""
    titles = [t for t in map(_title, events) if t is not None]
    ranked = sorted(titles, key=lambda t: _RANK[t.kind])
    return ranked[0] if ranked else Title(kind="manual", status="state")


_RANK: Mapping[str, int] = {
    "start": 0, "rollback": 1, "phase": 2, "failed": 3, "partial": 3, "named": 4, "manual": 5, "foreign": 6, "edit": 7,
}  # fmt: skip


def _title(event: Event) -> Title | None:  # noqa: C901 - one flat table of the event types
    match event:
        case RunStarted():
            return Title(kind="start", status="started")
        case RolledBack(to=to):
            return Title(kind="rollback", status="rolled back", detail=f"to {to:04d}")
        case Undone(of=of):
            return Title(kind="rollback", status="undone", detail=f"of {of:04d}")
        case Reset(reason=reason):
            return Title(kind="manual", status="reset", detail=reason)
        case Adopted(author=author, remote=remote):
            return Title(kind="edit", status="adopted", detail=f"from {remote}" if remote else f"by {author}")
        case PhaseCompleted(phase=phase):
            return Title(kind="phase", phase=phase, status="done")
        case PhaseSkipped(phase=phase, reason=reason, author=author):
            kind: Kind = "phase" if author is None else "manual"
            return Title(kind=kind, phase=phase, status="skipped", detail=reason)
        case PhaseBlocked(phase=phase, reason=reason):
            return Title(kind="failed", phase=phase, status="blocked", detail=reason)
        case AttemptFailed(phase=phase, attempt=attempt, detail=detail, partial=partial):
            kind = "partial" if partial else "failed"
            return Title(kind=kind, phase=phase, status="failed", detail=f"{phase}@{attempt} {detail}")
        case AttemptCutOff(phase=phase, attempt=attempt, reason=reason, partial=partial):
            word = "cut off" if reason == "died" else "interrupted"
            return Title(kind="partial" if partial else "failed", phase=phase, status=word, detail=f"{phase}@{attempt}")
        case Named(message=message, phase=phase):
            return Title(kind="named", phase=phase, status="named", detail=message)
        case Reopened(phases=phases, reason=reason):
            return Title(kind="manual", phase=phases[0], status="reopened", detail=reason)
        case ForeignChange(workflow=workflow):
            return Title(kind="foreign", status=f"by {workflow}")
        case Edited(author=author, restored=restored):
            return Title(kind="edit", status=f"by {author}", detail=f"restored from {restored}" if restored else "")
        case Redefined():
            return Title(kind="edit", status="definition changed")
        case DataSet(key=key) | DataAppended(key=key) | DataIncremented(key=key):
            return Title(kind="manual", status="state", detail=key)
