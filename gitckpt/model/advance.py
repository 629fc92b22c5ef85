"""`advance(manifest, events) -> Manifest`: the one law that ties each checkpoint to its first parent.

Owns what every event does to the manifest. Must not know who made the events; an event that cannot have happened
raises `IllegalEvent`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, assert_never

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
from gitckpt.model.left import with_left, without_effect
from gitckpt.model.manifest import (
    DONE,
    Conflict,
    Json,
    Manifest,
    PhaseState,
    Status,
    reopened,
    state_of,
    with_current_state,
    without_items,
)
from gitckpt.model.merging import EditsClashed, Merged, MergeRefused, Resolved
from gitckpt.model.names import PhaseName
from gitckpt.model.tally import Impossible, with_items, without_complaint


class IllegalEvent(ValueError):
    """An event that cannot follow this manifest."""


def advance(manifest: Manifest | None, events: Sequence[Event]) -> Manifest:
    """Apply the events of one checkpoint. `manifest` is its first parent's, None for the first there is.

    Raises IllegalEvent when the list is empty or an event cannot have happened.
    """
    if not events:
        raise IllegalEvent("a checkpoint has at least one event")
    sequence = manifest.sequence + 1 if manifest else _first_number(events[0])
    for event in events:
        manifest = _apply(manifest, event, sequence)
    assert manifest is not None  # the loop ran: events is not empty
    return with_current_state(replace(manifest, sequence=sequence, updated_at=events[-1].at))


def _first_number(event: Event) -> int:
    """1; more where the runs before an epoch were dropped: the manifest it carries says how far they had counted."""
    return event.manifest.sequence + 1 if isinstance(event, RunStarted) else 1


def _apply(manifest: Manifest | None, event: Event, number: int) -> Manifest:  # noqa: C901 - one flat table of events
    match event:
        case RunStarted(manifest=whole) | Adopted(manifest=whole):
            return whole
        case RolledBack(manifest=whole) | Undone(manifest=whole) | Reset(manifest=whole):
            _require(manifest is not None, f"{type(event).__name__} needs something before it")
            return whole
        case _ if manifest is None:
            raise IllegalEvent(f"{type(event).__name__} cannot begin a history")
        case Edited(outs_of=names):
            return _with_gone(manifest, {name: (*state_of(manifest, name).gone, number) for name in names})
        case RemovalAccepted(phases=phases):
            return _with_gone(manifest, dict.fromkeys(phases, ()))
        case ForeignChange() | Paused() | Concluded() | Merged():
            return manifest
        case EditsClashed(paths=paths, count=count, rescue=rescue):
            return replace(manifest, clash=Conflict(paths=paths, count=count, rescue=rescue))
        case Resolved(phase=None):
            return replace(manifest, clash=None)
        case Redefined(order=order):
            known = {name: state_of(manifest, name) for name in order}
            return replace(manifest, order=order, phases={**manifest.phases, **known})
        case DataSet() | DataAppended() | DataIncremented():
            return replace(manifest, data=_data(manifest, event))
        case Named(phase=None):
            return manifest
        case Reopened(phases=phases, tried_again=again, all_items=all_items):
            reopened_all = _reopen(manifest, phases, rise=0 if again else 1)
            return _without_items(reopened_all, phases) if all_items else reopened_all
        case WentBack(phase=failed, phases=phases):
            state = _known(manifest, failed)
            counted = _put(manifest, failed, replace(state, gotos=state.gotos + 1))
            reopened_all = _reopen(counted, phases)
            # What went wrong may lie in any item: unlike after `run --from`, none of them counts as done.
            if event.numbered:
                return _without_items(reopened_all, phases)
            anew = {name: replace(reopened_all.phases[name], items=None) for name in phases}
            return replace(reopened_all, phases={**reopened_all.phases, **anew})
        case LeftBehind(left=left):
            return with_left(manifest, left)
        case GoalSet(goal=goal, outside=outside):
            listed = tuple(dict.fromkeys((*manifest.outside, *outside)))
            return replace(manifest, goal=goal, outside=listed)
        case _:
            return _of_one_phase(manifest, event, number)


def _of_one_phase(manifest: Manifest, event: ItemsEvent | PhaseEvent, number: int) -> Manifest:
    about = event.phase
    assert about is not None  # a Named without a phase was handled before
    state = _known(manifest, about)
    match event:
        case ItemsListed() | ItemsCompleted() | ItemsFailed() | ItemsSkipped() | ItemsReopened() | ItemsCompensated():
            try:
                if isinstance(event, ItemsCompensated) and event.of:
                    now = with_items(state, event, number) if event.count else without_complaint(state)
                    changed = _put(manifest, about, now)
                    return without_effect(changed, about, event.of, event.undone, event.count)
                return _put(manifest, about, with_items(state, event, number))
            except Impossible as error:
                raise IllegalEvent(str(error)) from error
        case AttemptCutOff(attempt=attempt) if manifest.goal.kind != "finish":
            # It was its compensation that was cut off: what it did is as done as before.
            return _put(manifest, about, replace(state, attempts=_counted(state, attempt)))
        case PhaseCompensated(of=of) if of:
            stands = state.status is Status.COMPLETED and state.landed == of
            undone = _phase(state, event, number) if stands else without_complaint(state)
            return without_effect(_put(manifest, about, undone), about, of, (), int(stands))
        case PhaseCompleted() | PhaseCompensated():
            changed = _put(manifest, about, _phase(state, event, number))
            if any(left.phase == about for left in changed.left_behind):
                return changed
            # Older versions list a phase by its name alone, and no more once it is done anew, or undone.
            return replace(changed, outside=tuple(name for name in changed.outside if name != about))
        case _:
            return _put(manifest, about, _phase(state, event, number))


def _reopen(manifest: Manifest, phases: Sequence[PhaseName], rise: int = 1) -> Manifest:
    for name in phases:
        manifest = _put(manifest, name, reopened(_known(manifest, name), rise))
    return manifest


def _without_items(manifest: Manifest, phases: Sequence[PhaseName]) -> Manifest:
    for name in phases:
        manifest = _put(manifest, name, without_items(manifest.phases[name]))
    return manifest


def _with_gone(manifest: Manifest, gone: Mapping[PhaseName, tuple[int, ...]]) -> Manifest:
    for name, edits in gone.items():
        manifest = _put(manifest, name, replace(_known(manifest, name), gone=edits))
    return manifest


OpenEvent: TypeAlias = PhaseCompleted | PhaseSkipped | PhaseBlocked | AttemptFailed | AttemptCutOff | Named
"""What can happen to a phase that is not done."""

PhaseEvent: TypeAlias = (
    OpenEvent | PhaseCompensated | CompensationFailed | GateOpened | GateAnswered | MergeRefused | Resolved
)


def _phase(state: PhaseState, event: PhaseEvent, number: int) -> PhaseState:
    match event:
        case PhaseCompensated():
            _require(state.status is Status.COMPLETED, f"{event.phase} is {state.status}, so nothing is to be undone")
            undone = reopened(state)
            return replace(undone, status=Status.COMPENSATED)
        case CompensationFailed():
            return replace(state, attempts=_counted(state, event.attempt), cut_offs=0, detail=event.detail)
        case _:
            _require(state.status not in DONE, f"{event.phase} is {state.status} already")
    match event:
        case MergeRefused(own=own, paths=paths, count=count, against=against):
            refused = Conflict(own=own, attempt=state.attempts, paths=paths, count=count, against=against)
            return replace(state, conflict=refused)
        case Resolved():
            _require(state.conflict, f"{event.phase} has no conflict")
            return replace(state, conflict=None)
        case GateOpened():
            return replace(state, status=Status.WAITING, expires=event.expires, detail=event.prompt)
        case GateAnswered():
            return _answered(state, event)
        case _:
            return _unfinished(state, event, number)


def _unfinished(state: PhaseState, event: OpenEvent, number: int) -> PhaseState:
    match event:
        case PhaseCompleted():
            return replace(
                state,
                status=Status.COMPLETED,
                attempts=_counted(state, event.attempt) if state.items is None else state.attempts,
                landed=number if state.items is None or not state.landed else state.landed,
                cut_offs=0,
                partial=False,
                started=state.started or event.started,
                completed=event.at,
                # Of a phase with items it is how long any of their tries ran.
                duration_ms=(state.items and state.duration_ms) or event.duration_ms,
                exit_code=0,
                definition=event.definition,
                detail=None,
                uncaptured=event.uncaptured or (state.uncaptured if state.items else None),
                conflict=None,
                mark=event.mark,
                # Of a phase with items it is what its list, and so all of them, were made from.
                made_from=state.made_from if state.items else dict(event.made_from),
            )
        case PhaseSkipped():
            return replace(
                state, status=Status.SKIPPED, completed=event.at, exit_code=None, partial=False, detail=event.reason
            )
        case PhaseBlocked():
            return replace(state, status=Status.BLOCKED, detail=event.reason)
        case AttemptFailed():
            return replace(
                state,
                status=Status.FAILED,
                attempts=_counted(state, event.attempt),
                cut_offs=0,
                started=state.started or event.started,
                duration_ms=event.duration_ms + ((state.items and state.duration_ms) or 0),
                exit_code=event.exit_code,
                detail=event.detail,
                partial=state.partial or event.partial,
                uncaptured=event.uncaptured or state.uncaptured,
                conflict=None,
            )
        case AttemptCutOff():
            return replace(
                state,
                status=Status.PENDING,
                attempts=_counted(state, event.attempt),
                cut_offs=state.cut_offs + (not event.beside) if event.reason == "died" else 0,
                detail="cut off" if event.reason == "died" else "interrupted",
                partial=state.partial or event.partial,
                uncaptured=event.uncaptured or state.uncaptured,
            )
        case Named():
            return replace(state, partial=True)
    assert_never(event)


def _counted(state: PhaseState, attempt: int) -> int:
    _require(attempt > state.attempts, f"attempt {attempt} was used before")
    return attempt


def _answered(state: PhaseState, event: GateAnswered) -> PhaseState:
    if not event.approved:
        why = f"rejected by {event.author}" + (f": {event.reason}" if event.reason else "")
        return replace(state, status=Status.FAILED, expires=None, detail=why, answers={})
    return replace(
        state,
        status=Status.COMPLETED,
        started=state.started or event.at,
        completed=event.at,
        definition=event.definition,
        answers=dict(event.answers),
        expires=None,
        detail=event.reason or None,
        mark=event.mark,
        made_from=dict(event.made_from),
    )


def _data(manifest: Manifest, event: DataSet | DataAppended | DataIncremented) -> dict[str, Json]:
    old = manifest.data.get(event.key)
    match event:
        case DataSet(value=value):
            new: Json = value
        case DataAppended(value=value):
            _require(old is None or isinstance(old, list), f"`{event.key}` is not a list")
            new = [*(old if isinstance(old, list) else []), value]
        case DataIncremented(by=by):
            number = old if isinstance(old, int) and not isinstance(old, bool) else None
            _require(old is None or number is not None, f"`{event.key}` is not a whole number")
            new = (number or 0) + by
    return {**manifest.data, event.key: new}


def _known(manifest: Manifest, name: PhaseName) -> PhaseState:
    _require(name in manifest.phases, f"no phase {name}")
    return manifest.phases[name]


def _put(manifest: Manifest, name: PhaseName, state: PhaseState) -> Manifest:
    return replace(manifest, phases={**manifest.phases, name: state})


def _require(holds: object, otherwise: str) -> None:
    if not holds:
        raise IllegalEvent(otherwise)
