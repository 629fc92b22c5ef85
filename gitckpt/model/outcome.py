"""How an attempt ended, as values, and `judge(manifest, outcome) -> events`.

Owns the outcomes. Must not know what ran the attempt. Times are ISO 8601 with offset, durations integer ms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, assert_never

from gitckpt.model.events import (
    AttemptCutOff,
    AttemptFailed,
    CompensationFailed,
    DataSet,
    Event,
    GateAnswered,
    GateOpened,
    LeftBehind,
    PhaseBlocked,
    PhaseCompensated,
    PhaseCompleted,
    PhaseSkipped,
)
from gitckpt.model.items import ItemsCompensated, ItemsCompleted, ItemsFailed, ItemsListed, Part, Ranges
from gitckpt.model.manifest import Left, Manifest, Status, Uncaptured, state_of
from gitckpt.model.names import PhaseName


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a phase: which, its number (never used again), and when it began. `busy_ms`: as in ItemsCompleted;
    `mark`, `made_from`: as PhaseState has them, should it complete the phase."""

    phase: PhaseName
    number: int
    started: str
    busy_ms: int | None = None
    mark: str | None = None
    made_from: Mapping[PhaseName, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """Everything the phase promises holds, or, of a `part`, what each of its items promises; `closes`: the phase is
    completed with it. `counters` go into `data`."""

    attempt: Attempt
    at: str
    duration_ms: int
    definition: str
    part: Part | None = None
    closes: bool = True
    counters: Mapping[str, int] = field(default_factory=dict)
    uncaptured: Uncaptured | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The command, the validation, the outs or the clock said no, to the phase or to a `part` of its items.

    `partial`: its files are to be kept. `compensating`: it was the compensation that failed. `final`: this call tries
    it no more.
    """

    attempt: Attempt
    at: str
    duration_ms: int
    exit_code: int | None
    detail: str
    timed_out: bool = False
    partial: bool = False
    part: Part | None = None
    compensating: bool = False
    final: bool = False
    uncaptured: Uncaptured | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The phase's list of items is frozen in the blob `list`; `done` carry over from the list before. `left`: what was
    done over that one, is not done by this one, and nothing undid. The rest as ItemsListed has it."""

    attempt: Attempt
    at: str
    list: str
    total: int
    definition: str
    batch: int | None = None
    done: Ranges = ()
    numbers: str | None = None
    next: int = 0
    batches: int = 0
    anew: bool = False
    left: tuple[Left, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensated:
    """What the phase did outside in checkpoint number `of` is undone, or the items `undone` of it. `part`: those that
    are no longer done; `newest`: of the completions left."""

    attempt: Attempt
    at: str
    duration_ms: int
    of: int
    undone: Ranges = ()
    part: Part | None = None
    newest: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A gate is open."""

    attempt: Attempt
    at: str
    prompt: str
    expires: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """A gate's time-out has passed, and answers."""

    attempt: Attempt
    at: str
    approved: bool
    definition: str
    answers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOff:
    """The attempt never came to its end. `beside`: as in AttemptCutOff."""

    attempt: Attempt
    at: str
    reason: Literal["died", "interrupted"]
    partial: bool = False
    beside: bool = False
    uncaptured: Uncaptured | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwanted:
    """The phase's `if` said no."""

    attempt: Attempt
    at: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """One of the phase's `requires` said no."""

    attempt: Attempt
    at: str
    reason: str


Outcome: TypeAlias = Succeeded | Failed | Listed | Compensated | Asked | Expired | CutOff | Unwanted | Refused


def judge(manifest: Manifest, outcome: Outcome) -> tuple[Event, ...]:
    """What an outcome means for the manifest. A phase found blocked again brings no news: no events."""
    phase = outcome.attempt.phase
    match outcome:
        case Succeeded():
            return _succeeded(outcome)
        case Failed():
            return (_failed(outcome),)
        case Listed():
            left = (LeftBehind(at=outcome.at, left=outcome.left),) if outcome.left else ()
            return (_listed(outcome), *left)
        case Compensated():
            return (_compensated(outcome),)
        case Asked(at=at, prompt=prompt, expires=expires):
            return (GateOpened(at=at, phase=phase, prompt=prompt, expires=expires),)
        case Expired(at=at, approved=approved):
            return (
                GateAnswered(
                    at=at,
                    phase=phase,
                    approved=approved,
                    author="the gate's time-out",
                    email="",
                    reason="nobody answered in time",
                    definition=outcome.definition,
                    answers=outcome.answers,
                    mark=outcome.attempt.mark,
                    made_from=outcome.attempt.made_from,
                ),
            )
        case CutOff():
            return (_cut_off(outcome),)
        case Unwanted(at=at, reason=reason):
            return (PhaseSkipped(at=at, phase=phase, reason=reason),)
        case Refused(at=at, reason=reason):
            state = state_of(manifest, phase)
            if state.status is Status.BLOCKED and state.detail == reason:
                return ()
            return (PhaseBlocked(at=at, phase=phase, reason=reason),)
    assert_never(outcome)


def _listed(outcome: Listed) -> ItemsListed:
    return ItemsListed(
        at=outcome.at,
        phase=outcome.attempt.phase,
        list=outcome.list,
        total=outcome.total,
        definition=outcome.definition,
        batch=outcome.batch,
        done=outcome.done,
        numbers=outcome.numbers,
        next=outcome.next,
        batches=outcome.batches,
        made_from=outcome.attempt.made_from,
        anew=outcome.anew,
    )


def _succeeded(outcome: Succeeded) -> tuple[Event, ...]:
    attempt, part = outcome.attempt, outcome.part
    events: list[Event] = []
    if part is not None:
        events.append(
            ItemsCompleted(
                at=outcome.at,
                phase=attempt.phase,
                items=part.ranges,
                count=part.count,
                mended=part.failed_before,
                started=attempt.started,
                duration_ms=outcome.duration_ms,
                batch=part.batch,
                detail=part.label,
                uncaptured=outcome.uncaptured,
                busy_ms=attempt.busy_ms,
            )
        )
    events += [DataSet(at=outcome.at, key=key, value=value) for key, value in outcome.counters.items()]
    if outcome.closes:
        events.append(
            PhaseCompleted(
                at=outcome.at,
                phase=attempt.phase,
                attempt=attempt.number,
                started=attempt.started,
                duration_ms=outcome.duration_ms,
                definition=outcome.definition,
                uncaptured=outcome.uncaptured,
                mark=attempt.mark,
                made_from=attempt.made_from,
            )
        )
    return tuple(events)


def _compensated(outcome: Compensated) -> Event:
    at, took, part = outcome.at, outcome.duration_ms, outcome.part
    if part is None:
        return PhaseCompensated(at=at, phase=outcome.attempt.phase, duration_ms=took, of=outcome.of)
    return ItemsCompensated(
        at=at,
        phase=outcome.attempt.phase,
        items=part.ranges,
        count=part.count,
        newest=outcome.newest,
        duration_ms=took,
        detail=part.label,
        of=outcome.of,
        undone=outcome.undone,
    )


def _cut_off(outcome: CutOff) -> Event:
    return AttemptCutOff(
        at=outcome.at,
        phase=outcome.attempt.phase,
        attempt=outcome.attempt.number,
        reason=outcome.reason,
        partial=outcome.partial,
        beside=outcome.beside,
        uncaptured=outcome.uncaptured,
    )


def _failed(outcome: Failed) -> Event:
    attempt, part = outcome.attempt, outcome.part
    if outcome.compensating:
        return CompensationFailed(
            at=outcome.at,
            phase=attempt.phase,
            attempt=attempt.number,
            duration_ms=outcome.duration_ms,
            exit_code=outcome.exit_code,
            detail=f"its compensation failed: {outcome.detail}",
        )
    if part is None:
        return AttemptFailed(
            at=outcome.at,
            phase=attempt.phase,
            attempt=attempt.number,
            started=attempt.started,
            duration_ms=outcome.duration_ms,
            exit_code=outcome.exit_code,
            detail=outcome.detail,
            partial=outcome.partial,
            uncaptured=outcome.uncaptured,
        )
    return ItemsFailed(
        at=outcome.at,
        phase=attempt.phase,
        items=part.ranges,
        newly=part.count - part.failed_before,
        attempt=attempt.number,
        started=attempt.started,
        duration_ms=outcome.duration_ms,
        exit_code=outcome.exit_code,
        detail=outcome.detail,
        partial=outcome.partial,
        final=outcome.final,
        busy_ms=attempt.busy_ms,
        uncaptured=outcome.uncaptured,
    )
