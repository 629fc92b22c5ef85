"""`advance` for items, gates and compensation, and the answers that a gate takes: pure, without a process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gitckpt.model.advance import IllegalEvent, advance
from gitckpt.model.events import (
    CompensationFailed,
    Event,
    GateAnswered,
    GateOpened,
    GoalSet,
    PhaseCompensated,
    PhaseCompleted,
    WentBack,
)
from gitckpt.model.gate import Field, Gate, answers
from gitckpt.model.items import (
    ItemsCompensated,
    ItemsCompleted,
    ItemsFailed,
    ItemsListed,
    ItemsReopened,
    ItemsSkipped,
)
from gitckpt.model.manifest import Goal, PhaseState, Status, state_of
from gitckpt.model.moment import (
    Group,
)
from gitckpt.model.repeat import Foreach
from gitckpt.model.workflow import Phase
from tests.model.made import AT, LATER, manifest, name

A = name("a")
EACH = Foreach(values=("x", "y", "z"))
ONE = Group(first=0, last=0, count=1, units=1)


def each(**keys: Any) -> Phase:
    return Phase(name=A, run=("true",), foreach=EACH, **keys)


def listed(total: int = 3, **keys: Any) -> ItemsListed:
    return ItemsListed(at=AT, phase=A, list="ab" * 20, total=total, definition="sha256:0", **keys)


def done(count: int = 1, mended: int = 0) -> ItemsCompleted:
    return ItemsCompleted(
        at=AT, phase=A, items=((0, count - 1),), count=count, mended=mended, started=AT, duration_ms=1
    )


def failed(newly: int = 1, attempt: int = 1) -> ItemsFailed:
    return ItemsFailed(
        at=AT,
        phase=A,
        items=((0, 0),),
        newly=newly,
        attempt=attempt,
        started=AT,
        duration_ms=1,
        exit_code=3,
        detail="exit 3",
    )


def completed() -> PhaseCompleted:
    return PhaseCompleted(at=LATER, phase=A, attempt=1, started=AT, duration_ms=9, definition="sha256:0")


def after(*events: Event, **states: PhaseState) -> PhaseState:
    return state_of(advance(manifest("a", "b", **states), events), A)


def items(state: PhaseState) -> tuple[int, int, int, int]:
    assert state.items is not None
    return (state.items.total, state.items.done, state.items.failed, state.items.skipped)


# --- advance ------------------------------------------------------------------------------------------------------


def test_items_are_counted_as_they_end() -> None:
    state = after(listed(total=9, done=((2, 3),)), done(2), failed(2), done(1, mended=1))
    assert items(state) == (9, 5, 1, 0)
    assert state.status is Status.FAILED


def test_a_phase_is_failed_only_while_the_last_try_of_an_item_failed() -> None:
    state = after(listed(), failed(), done(1, mended=1))
    assert (state.status, state.detail, state.exit_code) == (Status.PENDING, None, None)


def test_an_attempt_of_items_has_a_number_of_its_own() -> None:
    with pytest.raises(IllegalEvent, match="used before"):
        after(listed(), failed(attempt=1), failed(attempt=1))


@pytest.mark.parametrize(
    "events",
    [
        [done()],
        [listed(total=1), done(2)],
        [listed(), done(1, mended=1)],
        [listed(), done(3), completed(), done(1)],
        [listed(), done(3), completed(), listed()],
        [listed(), ItemsReopened(at=AT, phase=A, items=((0, 0),), done=1, failed=0, skipped=0, author="A", reason="")],
    ],
)
def test_what_cannot_have_happened_to_items_is_refused(events: list[Event]) -> None:
    with pytest.raises(IllegalEvent):
        after(*events)


def test_a_phase_with_items_is_completed_where_its_newest_item_was() -> None:
    state = after(listed(), done(3), completed())
    assert (state.status, state.completed, state.landed) == (Status.COMPLETED, LATER, 2)


def test_skipping_an_item_of_a_completed_phase_leaves_it_completed() -> None:
    skip = ItemsSkipped(at=AT, phase=A, items=((0, 0),), count=1, failed=1, author="Ann", reason="")
    state = after(listed(), done(2), failed(), completed(), skip)
    assert (state.status, items(state)) == (Status.COMPLETED, (3, 2, 0, 1))


def test_items_that_are_reopened_make_the_phase_pending_and_its_keys_new() -> None:
    anew = ItemsReopened(at=AT, phase=A, items=((0, 0),), done=1, failed=0, skipped=0, author="Ann", reason="")
    state = after(listed(), done(3), completed(), anew)
    assert (state.status, state.generation, items(state)) == (Status.PENDING, 1, (3, 2, 0, 0))


def test_items_are_compensated_until_none_is_left() -> None:
    gone = ItemsCompensated(at=AT, phase=A, items=((0, 1),), count=2, newest=2, duration_ms=1)
    state = after(listed(), done(3), completed(), gone)
    assert (state.status, state.generation, state.landed, items(state)) == (Status.PENDING, 1, 2, (3, 1, 0, 0))
    last = replace(gone, items=((2, 2),), count=1, newest=0)
    assert after(listed(), done(3), completed(), gone, last).status is Status.COMPENSATED


def test_a_gate_waits_and_is_answered() -> None:
    ask = GateOpened(at=AT, phase=A, prompt="Go?", expires=LATER)
    yes = GateAnswered(
        at=AT, phase=A, approved=True, author="Ann", email="a@x", reason="ok", definition="d", answers={"W": "1"}
    )
    waiting = after(ask)
    assert (waiting.status, waiting.expires, waiting.detail) == (Status.WAITING, LATER, "Go?")
    approved = after(ask, yes)
    assert (approved.status, approved.answers, approved.definition) == (Status.COMPLETED, {"W": "1"}, "d")
    rejected = after(ask, replace(yes, approved=False))
    assert (rejected.status, rejected.answers, rejected.detail) == (Status.FAILED, {}, "rejected by Ann: ok")


def test_going_back_reopens_and_counts() -> None:
    state = after(listed(), failed(), WentBack(at=AT, phase=A, to=A, phases=(A, name("b"))))
    assert (state.status, state.gotos, state.generation, state.items) == (Status.PENDING, 1, 1, None)


def test_a_compensated_phase_is_no_longer_outside_and_its_keys_are_new() -> None:
    begun = advance(manifest("a", "b"), [completed(), GoalSet(at=AT, goal=Goal(), author="A", reason="", outside=(A,))])
    assert begun.outside == (A,)
    gone = advance(begun, [PhaseCompensated(at=AT, phase=A, duration_ms=1)])
    assert gone.outside == ()
    assert (state_of(gone, A).status, state_of(gone, A).generation) == (Status.COMPENSATED, 1)


def test_only_what_is_completed_can_be_compensated() -> None:
    with pytest.raises(IllegalEvent):
        after(PhaseCompensated(at=AT, phase=A, duration_ms=1))


def test_a_failed_compensation_leaves_the_phase_as_done_as_it_was() -> None:
    state = after(
        completed(), CompensationFailed(at=AT, phase=A, attempt=2, duration_ms=1, exit_code=1, detail="exit 1")
    )
    assert (state.status, state.attempts, state.detail) == (Status.COMPLETED, 2, "exit 1")


# --- fields -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "text", "problem"),
    [
        (Field(required=True), None, "is required"),
        (Field(required=True), "", "is required"),
        (Field(pattern=r"\d+"), "7x", r"must match \d+"),
        (Field(choices=("free", "pro")), "gold", "must be one of free, pro"),
        (Field(type="number"), "x", "must be a number"),
        (Field(type="bool"), "yes", "must be true or false"),
        (Field(), "a\0b", "NUL"),
    ],
)
def test_an_answer_that_cannot_be_taken_says_why(field: Field, text: str | None, problem: str) -> None:
    given = {} if text is None else {"F": text}
    _, problems = answers(Gate(prompt="?", fields={"F": field}), given)
    assert len(problems) == 1
    assert problem in problems[0]


def test_defaults_are_filled_in_and_unknown_fields_refused() -> None:
    taken, problems = answers(Gate(prompt="?", fields={"F": Field(default="x"), "G": Field()}), {"H": "1"})
    assert taken == {"F": "x"}
    assert problems == ("the gate has no field H",)
