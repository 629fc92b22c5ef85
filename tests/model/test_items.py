"""`advance` and `decide` for items, budgets, gates, goto and compensation: pure, without a process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gitckpt.model.advance import IllegalEvent, advance
from gitckpt.model.decide import decide, explain
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
from gitckpt.model.gate import Field, Gate, OnFailure, answers
from gitckpt.model.items import (
    ItemsCompensated,
    ItemsCompleted,
    ItemsFailed,
    ItemsListed,
    ItemsReopened,
    ItemsSkipped,
)
from gitckpt.model.manifest import Goal, Items, Manifest, PhaseState, Status, state_of
from gitckpt.model.moment import (
    Asking,
    Begin,
    Closing,
    Compensating,
    Expiring,
    Group,
    Limits,
    Listing,
    Moment,
    Offer,
    Return,
    Some,
    Spent,
    Step,
    Stop,
    Tried,
    Verdict,
)
from gitckpt.model.names import PhaseName
from gitckpt.model.repeat import Budget, Foreach, Tolerate, tolerated
from gitckpt.model.workflow import Phase, Workflow
from tests.model.made import AT, LATER, manifest, name, workflow

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
    assert (state.status, state.gotos, state.generation) == (Status.PENDING, 1, 1)
    assert state.items is not None
    assert state.items.stale


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


# --- decide: items ------------------------------------------------------------------------------------------------


def step_of(flow: Workflow, state: PhaseState, moment: Moment, goal: Goal | None = None) -> Step:
    now: Manifest = manifest("a", "b", a=state)
    return decide(flow, replace(now, order=tuple(p.name for p in flow.phases), goal=goal or Goal()), (), moment)


def with_items(total: int = 3, **counts: Any) -> PhaseState:
    status = Status.FAILED if counts.get("failed") else Status.PENDING
    made = Items(list="ab", total=total, definition="d", **counts)
    return PhaseState(status=status, items=made, detail="exit 3" if counts.get("failed") else None)


def test_the_list_is_frozen_first_and_again_when_it_is_stale() -> None:
    flow = workflow(each())
    assert step_of(flow, PhaseState(), Moment()) == Begin(phase=A, reason="it needs nothing else", work=Listing())
    stale = step_of(flow, with_items(stale=True), Moment())
    assert isinstance(stale, Begin)
    assert stale.work == Listing()


def test_the_last_group_closes_the_phase_unless_something_is_left_to_do_at_the_end() -> None:
    group = Moment(offers={A: Offer(group=ONE, rest=False)})
    rest = Moment(offers={A: Offer(group=ONE, rest=True)})

    def closes(phase: Phase, moment: Moment, state: PhaseState) -> bool:
        step = step_of(workflow(phase), state, moment)
        assert isinstance(step, Begin)
        assert isinstance(step.work, Some)
        return step.work.closes

    assert closes(each(), group, with_items(done=2))
    assert not closes(each(), rest, with_items(done=1))
    assert not closes(each(counters={"n": "echo 1"}), group, with_items(done=2))
    assert not closes(each(), group, with_items(done=1, failed=1))
    assert closes(each(tolerate=Tolerate(count=1)), group, with_items(done=1, failed=1))
    again = Moment(offers={A: Offer(group=replace(ONE, failed=1), rest=False)})
    assert closes(each(), again, with_items(done=2, failed=1))


def test_what_is_all_done_is_closed_and_what_failed_too_often_is_not() -> None:
    over = Moment(offers={A: Offer(given_up=1)})
    step = step_of(workflow(each()), with_items(done=3), Moment(offers={A: Offer()}))
    assert step == Begin(phase=A, reason="3 of 3 items are done", work=Closing())
    assert step_of(workflow(each(on_item_failure="continue")), with_items(done=2, failed=1), over) == Stop(
        verdict=Verdict.FAILED, reason="1 of 3 items failed, the last: exit 3", phases=(A,)
    )
    tolerant = step_of(workflow(each(tolerate=Tolerate(count=1))), with_items(done=2, failed=1), over)
    assert isinstance(tolerant, Begin)
    assert tolerant.work == Closing()


def test_too_many_failures_end_the_phase_before_the_other_items_are_tried() -> None:
    flow = workflow(each(tolerate=Tolerate(count=1)))
    moment = Moment(offers={A: Offer(group=ONE, rest=True, given_up=2)})
    step = step_of(flow, with_items(total=9, done=1, failed=2), moment)
    assert isinstance(step, Stop)
    assert step.verdict is Verdict.FAILED


def test_failures_of_an_earlier_call_do_not_count_against_this_one() -> None:
    flow = workflow(each(tolerate=Tolerate(count=1)))
    moment = Moment(offers={A: Offer(group=ONE, rest=True)})
    assert isinstance(step_of(flow, with_items(total=9, done=1, failed=5), moment), Begin)


@pytest.mark.parametrize(
    ("tolerate", "total", "bearable"),
    [
        (None, 100, 0),
        (Tolerate(count=3), 100, 3),
        (Tolerate(percent=5_000), 100, 5),
        (Tolerate(percent=500), 100, 0),
        (Tolerate(percent=2_500), 1000, 25),
        (Tolerate(count=3, percent=5_000), 100, 3),
        (Tolerate(count=9, percent=5_000), 100, 5),
    ],
)
def test_what_is_tolerated_is_the_smaller_of_both_limits(tolerate: Tolerate | None, total: int, bearable: int) -> None:
    assert tolerated(tolerate, total) == bearable


@pytest.mark.parametrize(
    ("budget", "spent", "now", "stops"),
    [
        (Budget(items=5), Spent(began_ms=0, items=4, batches=1), 0, False),
        (Budget(items=5), Spent(began_ms=0, items=5, batches=1), 0, True),
        (Budget(batches=2), Spent(began_ms=0, items=500, batches=1), 0, False),
        (Budget(batches=2), Spent(began_ms=0, items=500, batches=2), 0, True),
        (Budget(time_ms=100), Spent(began_ms=50), 149, False),
        (Budget(time_ms=100), Spent(began_ms=50), 150, True),
    ],
)
def test_a_budget_stops_at_a_boundary_and_says_to_run_again(
    budget: Budget, spent: Spent, now: int, *, stops: bool
) -> None:
    moment = Moment(now_ms=now, offers={A: Offer(group=ONE, rest=True)}, spent={A: spent})
    step = step_of(workflow(each(budget=budget)), with_items(done=1), moment)
    assert isinstance(step, Stop) is stops
    if isinstance(step, Stop):
        assert (step.verdict, step.phases) == (Verdict.STOPPED, (A,))


def test_a_budget_never_stops_what_is_complete() -> None:
    spent = {A: Spent(began_ms=0, items=5)}
    step = step_of(workflow(each(budget=Budget(items=5))), with_items(done=3), Moment(offers={A: Offer()}, spent=spent))
    assert isinstance(step, Begin)


def test_the_time_of_a_run_and_a_pause_hold_back_what_would_begin_and_nothing_else() -> None:
    flow = workflow(each())
    late = Moment(now_ms=10, until_ms=10, offers={A: Offer(group=ONE)})
    assert isinstance(step_of(flow, with_items(), late), Stop)
    assert isinstance(step_of(flow, with_items(), replace(late, now_ms=9)), Begin)
    paused = step_of(flow, with_items(), replace(late, until_ms=None, paused="Ann"))
    assert paused == Stop(verdict=Verdict.STOPPED, reason="paused by Ann", phases=(A,))
    complete = step_of(flow, PhaseState(status=Status.COMPLETED), late)
    assert isinstance(complete, Stop)
    assert complete.verdict is Verdict.COMPLETE


def test_one_item_alone_closes_nothing() -> None:
    limits = Limits(only=A, item=1)
    step = step_of(workflow(each()), with_items(done=1), Moment(limits=limits, offers={A: Offer()}))
    assert isinstance(step, Stop)
    assert step.verdict is Verdict.STOPPED


# --- decide: gates, goto, compensation ----------------------------------------------------------------------------


def gate(**keys: Any) -> Phase:
    return Phase(name=A, gate=Gate(prompt="Go?", **keys))


def test_a_gate_is_opened_once_and_then_waited_at_while_others_go_on() -> None:
    other = Phase(name=PhaseName("b"), run=("true",))
    flow = workflow(gate(), other)
    opened = step_of(flow, PhaseState(), Moment())
    assert isinstance(opened, Begin)
    assert opened.work == Asking()
    waiting = PhaseState(status=Status.WAITING, detail="Go?")
    goes_on = step_of(flow, waiting, Moment())
    assert isinstance(goes_on, Begin)
    assert goes_on.phase == "b"
    alone = step_of(workflow(gate()), waiting, Moment())
    assert alone == Stop(verdict=Verdict.WAITING, reason="Go?", phases=(A,))


def test_a_gate_answers_itself_by_the_wall_clock_of_any_time_zone() -> None:
    waiting = PhaseState(status=Status.WAITING, expires="2025-01-01T12:00:00+02:00", detail="Go?")
    early = step_of(workflow(gate()), waiting, Moment(wall="2025-01-01T09:59:59+00:00"))
    assert isinstance(early, Stop)
    late = step_of(workflow(gate()), waiting, Moment(wall="2025-01-01T10:00:00+00:00"))
    assert isinstance(late, Begin)
    assert late.work == Expiring()
    keeps = step_of(workflow(gate(on_timeout="keep")), waiting, Moment(wall="2026-01-01T10:00:00+00:00"))
    assert isinstance(keeps, Stop)


def test_a_failure_goes_back_as_often_as_it_may() -> None:
    flow = workflow(Phase(name=A, run=("false",), on_failure=OnFailure(goto=A, max=2)))
    gone = Moment(tried={A: Tried(count=1, ready_ms=None)})
    back = PhaseState(status=Status.FAILED, attempts=1, detail="exit 1", gotos=1)
    assert step_of(flow, back, gone) == Return(way="goto", reason="exit 1", phase=A, to=A)
    enough = step_of(flow, replace(back, gotos=2), gone)
    assert isinstance(enough, Stop)
    assert "2 times already" in enough.reason


def saga(*, pivot: bool = False) -> Workflow:
    first = Phase(name=A, run=("true",), compensate=("undo",), pivot=pivot)
    last = Phase(name=PhaseName("b"), run=("false",), on_failure=OnFailure(action="compensate"))
    return workflow(first, last)


FAILED_B = {PhaseName("b"): Tried(count=1, ready_ms=None)}


def test_a_failure_compensates_what_was_done_unless_that_is_past_the_pivot() -> None:
    complete = PhaseState(status=Status.COMPLETED, landed=2)
    broken = PhaseState(status=Status.FAILED, detail="exit 1", attempts=1)
    now = manifest("a", "b", a=complete, b=broken)
    moment = Moment(tried=FAILED_B)
    assert decide(saga(), now, (), moment) == Return(way="compensate", reason="exit 1", phase=PhaseName("b"))
    past = decide(saga(pivot=True), now, (), moment)
    assert isinstance(past, Stop)
    assert past.verdict is Verdict.FAILED


def test_compensations_go_newest_first_down_to_the_checkpoint_and_then_arrive() -> None:
    b = PhaseName("b")
    flow = workflow(Phase(name=A, run=("x",), compensate=("u",)), Phase(name=b, run=("x",), compensate=("u",)))
    both = {"a": PhaseState(status=Status.COMPLETED, landed=2), "b": PhaseState(status=Status.COMPLETED, landed=3)}

    def next_of(after: int, **states: PhaseState) -> Step:
        goal = Goal(kind="reach", checkpoint=None, after=after)
        return decide(flow, replace(manifest("a", "b", **states), goal=goal), (), Moment())

    assert next_of(1, **both) == Begin(phase=b, reason="it is compensated", work=Compensating())
    assert isinstance(next_of(2, **both), Begin)
    undone = {**both, "b": PhaseState(status=Status.COMPENSATED)}
    step = next_of(1, **undone)
    assert isinstance(step, Begin)
    assert step.phase == A
    assert next_of(2, **undone) == Return(way="arrive", reason="nothing is left to compensate")


def test_a_compensation_that_failed_for_good_stops_with_its_reason() -> None:
    goal = Goal(kind="compensate")
    state = PhaseState(status=Status.COMPLETED, landed=2, detail="its compensation failed: exit 1")
    step = step_of(saga(), state, Moment(tried={A: Tried(count=1, ready_ms=None)}), goal)
    assert step == Stop(verdict=Verdict.FAILED, reason="its compensation failed: exit 1", phases=(A,))


def test_why_a_phase_runs_names_its_items() -> None:
    flow = workflow(each())
    assert explain(flow, manifest("a", "b", a=with_items(done=2)), A) == "2 of 3 items are done"


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
