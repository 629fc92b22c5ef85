"""How a checkpoint is called in history, by the most telling of its events.

Owns the words. Must not know how history is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gitckpt.model.amount import plural
from gitckpt.model.events import (
    Adopted,
    AttemptCutOff,
    AttemptFailed,
    CompensationFailed,
    Concluded,
    DataAppended,
    DataIncremented,
    DataSet,
    Edited,
    Event,
    ForeignChange,
    GateAnswered,
    GateOpened,
    GoalSet,
    Kind,
    LeftBehind,
    Named,
    Paused,
    PhaseBlocked,
    PhaseCompensated,
    PhaseCompleted,
    PhaseSkipped,
    Redefined,
    RemovalAccepted,
    Reopened,
    Reset,
    RolledBack,
    RunStarted,
    Undone,
    WentBack,
)
from gitckpt.model.items import (
    ItemsCompensated,
    ItemsCompleted,
    ItemsEvent,
    ItemsFailed,
    ItemsListed,
    ItemsReopened,
    ItemsSkipped,
)
from gitckpt.model.merging import EditsClashed, Merged, MergeRefused, MergingEvent, Resolved
from gitckpt.model.names import PhaseName


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
    if not ranked:
        return Title(kind="manual", status="state")
    # What was merged is told by what it is; of a whole phase that it was merged is the kind.
    is_merge = ranked[0].kind == "phase" and any(isinstance(event, Merged) for event in events)
    return replace(ranked[0], kind="merge") if is_merge else ranked[0]


_RANK: Mapping[str, int] = {
    "start": 0, "rollback": 1, "phase": 2, "gate": 2, "compensation": 2, "failed": 3, "partial": 3, "item": 4,
    "batch": 4, "named": 5, "manual": 6, "foreign": 7, "edit": 8, "merge": 9,
}  # fmt: skip


_GOALS = {"finish": "compensated", "compensate": "compensates", "reach": "rolls back"}


def _title(event: Event) -> Title | None:  # noqa: C901 - one flat table of the event types
    match event:
        case RunStarted():
            return Title(kind="start", status="started")
        case RolledBack(beside=str() as beside):
            return Title(kind="rollback", status="rolled back", detail=f"to {beside}")
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
            detail = detail.partition("\n")[0]
            kind = "partial" if partial else "failed"
            return Title(kind=kind, phase=phase, status="failed", detail=f"{phase}@{attempt} {detail}")
        case AttemptCutOff(phase=phase, attempt=attempt, reason=reason, partial=partial):
            word = "cut off" if reason == "died" else "interrupted"
            return Title(kind="partial" if partial else "failed", phase=phase, status=word, detail=f"{phase}@{attempt}")
        case Named(message=message, phase=phase):
            return Title(kind="named", phase=phase, status="named", detail=message)
        case Reopened(phases=phases, reason=reason):
            return Title(kind="manual", phase=phases[0], status="reopened", detail=reason)
        case (
            WentBack()
            | GoalSet()
            | PhaseCompensated()
            | CompensationFailed()
            | LeftBehind()
            | GateOpened()
            | GateAnswered()
            | Paused()
            | Concluded()
        ):
            return _of_ways(event)
        case ItemsListed() | ItemsCompleted() | ItemsFailed() | ItemsSkipped() | ItemsReopened() | ItemsCompensated():
            return _of_items(event)
        case Merged() | MergeRefused() | EditsClashed() | Resolved():
            return _of_merging(event)
        case ForeignChange(workflow=workflow):
            return Title(kind="foreign", status=f"by {workflow}")
        case Edited():
            return _of_edit(event)
        case RemovalAccepted(phases=phases):
            return Title(kind="manual", status="goes on without outs of", detail=", ".join(phases))
        case Redefined():
            return Title(kind="edit", status="definition changed")
        case DataSet(key=key) | DataAppended(key=key) | DataIncremented(key=key):
            return Title(kind="manual", status="state", detail=key)


def headed(names: Sequence[str], count: int) -> str:
    """The first names, and how many more there are."""
    shown = names[:3]
    return ", ".join(shown) + (f" and {count - len(shown):,} more" if count > len(shown) else "")


def _of_edit(event: Edited) -> Title:
    told = [f"restored from {event.restored}"] if event.restored else []
    told += [f"removed {headed(event.removed, event.removals)}"] if event.removals else []
    told += [f"no longer captures {headed(event.dropped, event.dropped_count)}"] if event.dropped else []
    return Title(kind="edit", status=f"by {event.author}", detail="; ".join(told))


def _of_ways(
    event: WentBack
    | GoalSet
    | PhaseCompensated
    | CompensationFailed
    | LeftBehind
    | GateOpened
    | GateAnswered
    | Paused
    | Concluded,
) -> Title | None:
    """Gates, going back, and the goals of a run."""
    match event:
        case WentBack(phase=phase, to=to):
            return Title(kind="manual", phase=phase, status="went back", detail=f"to {to}")
        case GoalSet(goal=goal, reason=reason):
            return Title(kind="compensation", status=_GOALS[goal.kind], detail=reason)
        case PhaseCompensated(phase=phase):
            return Title(kind="compensation", phase=phase, status="compensated")
        case CompensationFailed(phase=phase, attempt=attempt, detail=detail):
            return Title(kind="failed", phase=phase, status="compensation failed", detail=f"{phase}@{attempt} {detail}")
        case LeftBehind():
            return None  # it comes with what left it
        case GateOpened(phase=phase, prompt=prompt):
            return Title(kind="gate", phase=phase, status="waiting", detail=prompt)
        case GateAnswered(phase=phase, approved=approved, author=author, reason=reason):
            word = "approved" if approved else "rejected"
            return Title(
                kind="gate", phase=phase, status=word, detail=f"by {author}" + (f": {reason}" if reason else "")
            )
        case Paused(reason=reason):
            return Title(kind="manual", status="paused", detail=reason)
        case Concluded(status=status):
            return Title(kind="manual", status="always", detail=f"after {status}")


def _of_items(event: ItemsEvent) -> Title:
    match event:
        case ItemsListed(phase=phase, total=total):
            return Title(kind="item", phase=phase, status="listed", detail=plural(total, "item"))
        case ItemsCompleted(phase=phase, batch=batch, detail=detail):
            return Title(kind="item" if batch is None else "batch", phase=phase, status="done", detail=detail)
        case ItemsFailed(phase=phase, attempt=attempt, detail=detail, partial=partial):
            kind: Kind = "partial" if partial else "failed"
            return Title(kind=kind, phase=phase, status="failed", detail=f"{phase}@{attempt} {detail}")
        case ItemsSkipped(phase=phase, reason=reason):
            return Title(kind="manual", phase=phase, status="items skipped", detail=reason)
        case ItemsReopened(phase=phase, reason=reason):
            return Title(kind="manual", phase=phase, status="items reopened", detail=reason)
        case ItemsCompensated(phase=phase, detail=detail):
            return Title(kind="compensation", phase=phase, status="compensated", detail=detail)


def _of_merging(event: MergingEvent) -> Title | None:
    match event:
        case Merged(phase=phase):
            return Title(kind="merge", phase=phase, status="merged")
        case MergeRefused():
            return None  # it comes with the failure that it is about
        case EditsClashed(paths=paths, count=count):
            more = f" and {count - 1:,} more" if count > 1 else ""
            return Title(kind="manual", status="conflict", detail=f"your edit of {paths[0]}{more}")
        case Resolved(phase=phase, author=author, how=how):
            return Title(kind="manual", phase=phase, status="resolved", detail=f"by {author}: {how}")
