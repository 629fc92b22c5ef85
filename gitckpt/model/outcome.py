"""How an attempt ended, as values, and `judge(manifest, outcome) -> events`.

Owns the outcomes. Must not know what ran the attempt. Times are ISO 8601 with offset, durations integer ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never

from gitckpt.model.events import (
    AttemptCutOff,
    AttemptFailed,
    Event,
    PhaseBlocked,
    PhaseCompleted,
    PhaseSkipped,
)
from gitckpt.model.manifest import Manifest, Status, Uncaptured, state_of
from gitckpt.model.names import PhaseName


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a phase: which, its number (never used again), and when it began."""

    phase: PhaseName
    number: int
    started: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """Everything the phase promises holds."""

    attempt: Attempt
    at: str
    duration_ms: int
    definition: str
    uncaptured: Uncaptured | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The command, the validation, the outs or the clock said no. `partial`: its files are to be kept."""

    attempt: Attempt
    at: str
    duration_ms: int
    exit_code: int | None
    detail: str
    timed_out: bool = False
    partial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOff:
    """The attempt never came to its end."""

    attempt: Attempt
    at: str
    reason: Literal["died", "interrupted"]
    partial: bool = False


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


Outcome: TypeAlias = Succeeded | Failed | CutOff | Unwanted | Refused


def judge(manifest: Manifest, outcome: Outcome) -> tuple[Event, ...]:
    """What an outcome means for the manifest. A phase found blocked again brings no news: no events."""
    phase = outcome.attempt.phase
    match outcome:
        case Succeeded(attempt=attempt, at=at):
            return (
                PhaseCompleted(
                    at=at,
                    phase=phase,
                    attempt=attempt.number,
                    started=attempt.started,
                    duration_ms=outcome.duration_ms,
                    definition=outcome.definition,
                    uncaptured=outcome.uncaptured,
                ),
            )
        case Failed(attempt=attempt, at=at):
            return (
                AttemptFailed(
                    at=at,
                    phase=phase,
                    attempt=attempt.number,
                    started=attempt.started,
                    duration_ms=outcome.duration_ms,
                    exit_code=outcome.exit_code,
                    detail=outcome.detail,
                    partial=outcome.partial,
                ),
            )
        case CutOff(attempt=attempt, at=at, reason=reason, partial=partial):
            return (AttemptCutOff(at=at, phase=phase, attempt=attempt.number, reason=reason, partial=partial),)
        case Unwanted(at=at, reason=reason):
            return (PhaseSkipped(at=at, phase=phase, reason=reason),)
        case Refused(at=at, reason=reason):
            state = state_of(manifest, phase)
            if state.status is Status.BLOCKED and state.detail == reason:
                return ()
            return (PhaseBlocked(at=at, phase=phase, reason=reason),)
    assert_never(outcome)
