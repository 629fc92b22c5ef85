"""`decide` for items, budgets, gates, goto and compensation: pure, without a process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gitckpt.model.decide import decide, live
from gitckpt.model.explain import explain
from gitckpt.model.gate import Gate, OnFailure
from gitckpt.model.manifest import Goal, Items, Manifest, PhaseState, Status
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
    Owed,
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
from gitckpt.model.schedule import Flying, Plan, may_land
from gitckpt.model.workflow import Phase, Workflow, item_digest
from tests.model.made import manifest, name, workflow

A = name("a")
EACH = Foreach(values=("x", "y", "z"))
ONE = Group(first=0, last=0, count=1, units=1)


def each(**keys: Any) -> Phase:
    return Phase(name=A, run=("true",), foreach=EACH, **keys)


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
    moment = Moment(tried=FAILED_B, owed=lambda: Owed(A, 2))
    assert decide(saga(), now, (), moment) == Return(way="compensate", reason="exit 1", phase=PhaseName("b"))
    past = decide(saga(pivot=True), now, (), moment)
    assert isinstance(past, Stop)
    assert past.verdict is Verdict.FAILED


def test_what_is_owed_is_compensated_and_then_the_goal_is_reached() -> None:
    gone = PhaseName("gone")
    flow, goal = workflow(Phase(name=A, run=("x",))), Goal(kind="reach", checkpoint=None, after=1)

    def next_of(owed: Owed | None) -> Step:
        return decide(flow, replace(manifest("a"), goal=goal), (), Moment(owed=lambda: owed))

    begins = Begin(phase=gone, reason="it is compensated", work=Compensating(7))
    assert next_of(Owed(gone, 7)) == begins, "also of a phase that the workflow has no more"
    assert next_of(None) == Return(way="arrive", reason="nothing is left to compensate")


def test_a_compensation_that_failed_for_good_stops_with_its_reason() -> None:
    goal = Goal(kind="compensate")
    state = PhaseState(status=Status.COMPLETED, landed=2, detail="its compensation failed: exit 1")
    owed = Owed(A, 2)
    step = step_of(saga(), state, Moment(tried={A: Tried(count=1, ready_ms=None)}, owed=lambda: owed), goal)
    assert step == Stop(verdict=Verdict.FAILED, reason="its compensation failed: exit 1", phases=(A,))


def test_why_a_phase_runs_names_its_items() -> None:
    flow = workflow(each())
    state = with_items(done=2)
    assert state.items is not None
    same = replace(state, items=replace(state.items, definition=item_digest(flow.phases[0], flow)))
    assert explain(flow, manifest("a", "b", a=same), A) == "2 of 3 items are done"
    changed = explain(flow, manifest("a", "b", a=state), A)
    assert changed.startswith("2 of 3 items are done; its definition changed since, and only the rest follows")


@pytest.mark.parametrize(
    ("group", "lands"),
    [(ONE, False), (replace(ONE, late=True), True), (Group(first=2, last=2, count=1, units=1), True), (None, True)],
)
def test_an_item_that_is_done_waits_for_those_before_it_that_are_to_run_next(group: Group | None, lands: bool) -> None:
    flow = workflow(each(max_parallel=3))
    now = replace(manifest("a", a=with_items()), order=(A,))
    alive = live(flow, now, (), Moment(offers={A: Offer(group=group)}))
    assert may_land(Plan.of(flow, 4), Flying(A, 1), alive) is lands
