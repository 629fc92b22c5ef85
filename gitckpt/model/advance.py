"""`advance(manifest, events) -> Manifest`: the one law that ties each checkpoint to its first parent.

Owns what every event does to the manifest. Must not know who made the events; an event that cannot have happened
raises `IllegalEvent`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from gitckpt.model.events import (
    Adopted,
    AttemptCutOff,
    AttemptFailed,
    DataAppended,
    DataIncremented,
    DataSet,
    Edited,
    Event,
    ForeignChange,
    Named,
    PhaseBlocked,
    PhaseCompleted,
    PhaseSkipped,
    Redefined,
    Reopened,
    Reset,
    RolledBack,
    RunStarted,
    Undone,
)
from gitckpt.model.manifest import (
    DONE,
    Json,
    Manifest,
    PhaseState,
    Status,
    state_of,
    with_current_state,
)
from gitckpt.model.names import PhaseName


class IllegalEvent(ValueError):
    """An event that cannot follow this manifest."""


def advance(manifest: Manifest | None, events: Sequence[Event]) -> Manifest:
    """Apply the events of one checkpoint. `manifest` is its first parent's, None for checkpoint 1.

    Raises IllegalEvent when the list is empty or an event cannot have happened.
    """
    if not events:
        raise IllegalEvent("a checkpoint has at least one event")
    sequence = manifest.sequence + 1 if manifest else 1
    for event in events:
        manifest = _apply(manifest, event)
    assert manifest is not None  # the loop ran: events is not empty
    return with_current_state(replace(manifest, sequence=sequence, updated_at=events[-1].at))


def _apply(manifest: Manifest | None, event: Event) -> Manifest:
    match event:
        case RunStarted(manifest=whole) | Adopted(manifest=whole):
            return whole
        case RolledBack(manifest=whole) | Undone(manifest=whole) | Reset(manifest=whole):
            _require(manifest is not None, f"{type(event).__name__} needs something before it")
            return whole
        case _ if manifest is None:
            raise IllegalEvent(f"{type(event).__name__} cannot begin a history")
        case Edited() | ForeignChange():
            return manifest
        case Redefined(order=order):
            known = {name: state_of(manifest, name) for name in order}
            return replace(manifest, order=order, phases={**manifest.phases, **known})
        case DataSet() | DataAppended() | DataIncremented():
            return replace(manifest, data=_data(manifest, event))
        case Named(phase=None):
            return manifest
        case Reopened(phases=phases):
            for name in phases:
                manifest = _put(manifest, name, _reopened(_known(manifest, name)))
            return manifest
        case _:
            about = event.phase
            assert about is not None  # a Named without a phase was handled above
            return _put(manifest, about, _phase(_known(manifest, about), event))


PhaseEvent = PhaseCompleted | PhaseSkipped | PhaseBlocked | AttemptFailed | AttemptCutOff | Named


def _phase(state: PhaseState, event: PhaseEvent) -> PhaseState:
    _require(state.status not in DONE, f"{event.phase} is {state.status} already")
    match event:
        case PhaseCompleted():
            return replace(
                state,
                status=Status.COMPLETED,
                attempts=_counted(state, event.attempt),
                cut_offs=0,
                partial=False,
                started=state.started or event.started,
                completed=event.at,
                duration_ms=event.duration_ms,
                exit_code=0,
                definition=event.definition,
                detail=None,
                uncaptured=event.uncaptured,
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
                duration_ms=event.duration_ms,
                exit_code=event.exit_code,
                detail=event.detail,
                partial=state.partial or event.partial,
            )
        case AttemptCutOff():
            return replace(
                state,
                status=Status.PENDING,
                attempts=_counted(state, event.attempt),
                cut_offs=state.cut_offs + 1 if event.reason == "died" else 0,
                detail="cut off" if event.reason == "died" else "interrupted",
                partial=state.partial or event.partial,
            )
        case Named():
            return replace(state, partial=True)
    assert_never(event)


def _counted(state: PhaseState, attempt: int) -> int:
    _require(attempt > state.attempts, f"attempt {attempt} was used before")
    return attempt


def _reopened(state: PhaseState) -> PhaseState:
    return PhaseState(
        generation=state.generation + 1,
        attempts=state.attempts,
        previous_duration_ms=state.duration_ms or state.previous_duration_ms,
        unknown=state.unknown,
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
