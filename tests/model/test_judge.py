"""What the end of an attempt means for the manifest."""

from __future__ import annotations

import pytest

from gitckpt.model.advance import advance
from gitckpt.model.events import PhaseBlocked, PhaseSkipped
from gitckpt.model.manifest import PhaseState, Status, Uncaptured, state_of
from gitckpt.model.outcome import Attempt, CutOff, Failed, Outcome, Refused, Succeeded, Unwanted, judge
from tests.model.made import AT, LATER, completed, cut_off, failed, manifest, name

A = name("a")
TRY = Attempt(phase=A, number=1, started=AT)


def test_each_outcome_is_one_event_with_all_that_is_known() -> None:
    ignored = Uncaptured(paths=("x",), count=1, size=2)
    said = judge(
        manifest("a"), Succeeded(attempt=TRY, at=LATER, duration_ms=1500, definition="sha256:00", uncaptured=ignored)
    )
    assert len(said) == 1
    assert advance(manifest("a"), said).phases[A].uncaptured == ignored
    plain = judge(manifest("a"), Succeeded(attempt=TRY, at=LATER, duration_ms=1500, definition="sha256:00"))
    assert plain == (completed("a"),)
    ended = Failed(attempt=TRY, at=LATER, duration_ms=700, exit_code=3, detail="exit 3", partial=True)
    assert judge(manifest("a"), ended) == (failed("a", 1, partial=True),)
    assert judge(manifest("a"), CutOff(attempt=TRY, at=LATER, reason="died", partial=True)) == (
        cut_off("a", 1, partial=True),
    )
    assert judge(manifest("a"), CutOff(attempt=TRY, at=LATER, reason="interrupted")) == (cut_off("a", 1, by_user=True),)
    assert judge(manifest("a"), Unwanted(attempt=TRY, at=LATER, reason="no")) == (
        PhaseSkipped(at=LATER, phase=A, reason="no"),
    )


def test_a_phase_found_blocked_for_the_same_reason_again_is_no_news() -> None:
    refused = Refused(attempt=TRY, at=LATER, reason="no disk")
    news = (PhaseBlocked(at=LATER, phase=A, reason="no disk"),)
    assert judge(manifest("a"), refused) == news
    once = advance(manifest("a"), news)
    assert judge(once, refused) == ()
    assert judge(once, Refused(attempt=TRY, at=LATER, reason="no net")) != ()
    assert judge(manifest("a", a=PhaseState(status=Status.FAILED, detail="no disk")), refused) == news


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Succeeded(attempt=TRY, at=AT, duration_ms=1, definition="d"), Status.COMPLETED),
        (Failed(attempt=TRY, at=AT, duration_ms=1, exit_code=None, detail="timed out"), Status.FAILED),
        (CutOff(attempt=TRY, at=AT, reason="died"), Status.PENDING),
        (Unwanted(attempt=TRY, at=AT, reason="no"), Status.SKIPPED),
        (Refused(attempt=TRY, at=AT, reason="no"), Status.BLOCKED),
    ],
)
def test_every_judgement_can_follow(outcome: Outcome, status: Status) -> None:
    after = advance(manifest("a"), judge(manifest("a"), outcome))
    assert state_of(after, A).status is status
