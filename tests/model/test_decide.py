"""What is next, and why: order, retries, failures that stop and that do not, and the flags of one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitckpt.model.decide import decide
from gitckpt.model.explain import changed_definitions, explain
from gitckpt.model.graph import ancestors, unmet_needs
from gitckpt.model.manifest import DONE, Manifest, PhaseState, Status, is_complete, state_of
from gitckpt.model.moment import Await, Begin, Limits, Moment, Step, Stop, Tried, Verdict
from gitckpt.model.names import PhaseName
from gitckpt.model.schedule import Flying
from gitckpt.model.workflow import Phase, Workflow, digest
from gitckpt.model.workflow import order as order_of
from tests.model.made import manifest, name, phase, workflow
from tests.model.simulated import End, Simulated

DONE_STATE = PhaseState(status=Status.COMPLETED, attempts=1)
FAILED_STATE = PhaseState(status=Status.FAILED, attempts=1, detail="exit 1")
LINE = workflow(phase("a"), phase("b", "a"), phase("c", "b"))


def states(flow: Workflow, **known: PhaseState) -> Manifest:
    return manifest(*order_of(flow), **known)


def simulated(flow: Workflow, script: Mapping[str, End] | None = None, **limits: Any) -> Simulated:
    ends = script or {}
    return Simulated(flow, states(flow), lambda which, _: ends.get(which, "ok"), Limits(**limits))


def next_of(flow: Workflow, moment: Moment | None = None, **known: PhaseState) -> Step:
    return decide(flow, states(flow, **known), (), moment or Moment())


def given_up(*names: str) -> dict[PhaseName, Tried]:
    return {name(each): Tried(count=1, ready_ms=None) for each in names}


# --- order --------------------------------------------------------------------------------------------------------


def test_phases_run_in_order_each_after_what_it_needs_and_then_the_run_is_complete() -> None:
    run = simulated(LINE)
    end = run.run()
    assert run.began == ["a", "b", "c"]
    assert end == Stop(verdict=Verdict.COMPLETE, reason="every phase is done")


def test_a_resume_goes_on_with_the_first_phase_that_is_not_done() -> None:
    step = next_of(LINE, a=DONE_STATE)
    assert step == Begin(phase=name("b"), reason="a is done")
    skipped = replace(DONE_STATE, status=Status.SKIPPED)
    assert next_of(LINE, a=skipped) == Begin(phase=name("b"), reason="a is done")


def test_a_compensated_phase_is_not_done() -> None:
    assert isinstance(next_of(LINE, a=replace(DONE_STATE, status=Status.COMPENSATED)), Begin)


def test_nothing_begins_while_something_runs() -> None:
    step = decide(LINE, states(LINE), (Flying(name("a")),), Moment(stop="interrupt"))
    assert step == Await(until_ms=None, reason="a runs", phase=name("a"))


def test_a_phase_of_an_older_file_is_passed_by_and_one_that_the_manifest_has_not_heard_of_is_pending() -> None:
    old = manifest("gone", "a", "b", "c")
    assert decide(LINE, old, (), Moment()) == Begin(phase=name("a"), reason="it needs nothing else")
    blank = replace(states(LINE), phases={})
    assert decide(LINE, blank, (), Moment()) == Begin(phase=name("a"), reason="it needs nothing else")


def test_a_need_that_is_no_longer_in_the_file_and_was_not_done_blocks_and_is_named() -> None:
    flow = workflow(phase("b", "gone"))
    step = decide(flow, manifest("b"), (), Moment())
    assert step == Stop(verdict=Verdict.BLOCKED, reason="it needs gone first", phases=(name("b"),))
    done = replace(manifest("b"), phases={name("gone"): DONE_STATE})
    assert decide(flow, done, (), Moment()) == Begin(phase=name("b"), reason="gone is done")


# --- failures -----------------------------------------------------------------------------------------------------


def test_a_failed_phase_is_tried_as_often_as_it_says_and_then_stops_the_run() -> None:
    flow = workflow(phase("a", tries=3), phase("b", "a"))
    run = simulated(flow, {"a": "fails"})
    end = run.run()
    assert run.began == ["a", "a", "a"]
    assert end == Stop(verdict=Verdict.FAILED, reason="exit 1", phases=(name("a"),))
    reasons = [step.reason for step in run.steps if isinstance(step, Begin)]
    assert reasons == ["it needs nothing else", "try 2 of 3", "try 3 of 3"]
    assert sum(isinstance(step, Await) for step in run.steps) == 2


def test_a_retry_waits_for_its_time_and_begins_when_it_has_come() -> None:
    soon = Moment(now_ms=99, tried={name("a"): Tried(count=1, ready_ms=100)})
    assert next_of(LINE, soon, a=FAILED_STATE) == Await(until_ms=100, reason="until it is tried again", phase=name("a"))
    assert isinstance(next_of(LINE, replace(soon, now_ms=100), a=FAILED_STATE), Begin)


def test_a_phase_that_failed_in_an_earlier_call_is_begun_again_by_the_next() -> None:
    assert next_of(LINE, a=FAILED_STATE) == Begin(phase=name("a"), reason="its attempt 1 failed: exit 1")


def test_after_a_failure_that_stops_nothing_else_begins() -> None:
    flow = workflow(phase("a"), phase("other"))
    assert next_of(flow, Moment(tried=given_up("a")), a=FAILED_STATE) == Stop(
        verdict=Verdict.FAILED, reason="exit 1", phases=(name("a"),)
    )


def test_a_failure_that_says_continue_lets_the_rest_go_on_and_the_run_has_failed_all_the_same() -> None:
    flow = workflow(phase("a", goes_on=True), phase("b", "a"), phase("c", "b"))
    run = simulated(flow, {"a": "fails"})
    end = run.run()
    assert run.began == ["a", "b", "c"]
    assert end.verdict is Verdict.FAILED
    assert end.phases == ("a",)
    again = Simulated(flow, run.manifest, lambda *_: "ok")
    assert again.run().verdict is Verdict.COMPLETE
    assert again.began == ["a"]


def test_what_needs_a_phase_that_failed_for_good_never_begins_whatever_the_order_says() -> None:
    flow = workflow(phase("a"), phase("b", "a"))
    known = manifest("b", "a", a=FAILED_STATE)
    step = decide(flow, known, (), Moment(tried=given_up("a")))
    assert step == Stop(verdict=Verdict.FAILED, reason="exit 1", phases=(name("a"),))


def test_what_needs_a_phase_that_may_still_be_tried_waits_for_it() -> None:
    flow = workflow(phase("a", goes_on=True, tries=2), phase("b", "a"))
    waiting = Moment(tried={name("a"): Tried(count=1, ready_ms=50)})
    assert isinstance(next_of(flow, waiting, a=FAILED_STATE), Await)


def test_a_need_that_did_not_fail_but_never_came_to_its_end_holds_back_what_follows() -> None:
    flow = workflow(phase("a", goes_on=True), phase("b", "a"))
    step = next_of(flow, Moment(tried=given_up("a")), a=PhaseState(attempts=1, detail="interrupted"))
    assert step == Stop(verdict=Verdict.STOPPED, reason="the rest was not asked for", phases=(name("a"), name("b")))


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_blocked_phase_stops_the_run_with_its_reason(goes_on: bool) -> None:
    flow = workflow(phase("a", goes_on=goes_on), phase("b"))
    run = simulated(flow, {"a": "blocked"})
    assert run.run() == Stop(verdict=Verdict.BLOCKED, reason="no", phases=(name("a"),))
    assert run.began == ["a"]
    again = simulated(flow)
    again.manifest = run.manifest
    assert again.run().verdict is Verdict.COMPLETE


# --- the user's wish to stop --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wish", "verdict"), [("interrupt", Verdict.INTERRUPTED), ("terminate", Verdict.TERMINATED)])
def test_a_wish_to_stop_goes_before_everything_that_could_begin(wish: Any, verdict: Verdict) -> None:
    moment = Moment(stop=wish, tried={name("a"): Tried(count=1, ready_ms=0)})
    assert next_of(LINE, moment, a=FAILED_STATE) == Stop(verdict=verdict, reason="you stopped it")


# --- limits -------------------------------------------------------------------------------------------------------

DIAMOND = workflow(phase("top"), phase("left", "top"), phase("right", "top"), phase("join", "left", "right"))


def test_until_runs_a_phase_and_all_it_needs_and_nothing_else() -> None:
    run = simulated(DIAMOND, until=name("right"))
    end = run.run()
    assert run.began == ["top", "right"]
    assert end == Stop(
        verdict=Verdict.STOPPED, reason="the rest was not asked for", phases=(name("left"), name("join"))
    )
    assert simulated(DIAMOND, until=name("join")).run().verdict is Verdict.COMPLETE


def test_until_stops_where_something_it_needs_fails() -> None:
    run = simulated(DIAMOND, {"top": "fails"}, until=name("right"))
    assert run.run() == Stop(verdict=Verdict.FAILED, reason="exit 1", phases=(name("top"),))
    assert run.began == ["top"]


def test_until_says_that_a_need_failed_which_let_it_go_on() -> None:
    flow = workflow(phase("a", goes_on=True), phase("b", "a"), phase("c"))
    run = simulated(flow, {"a": "fails"}, until=name("b"))
    end = run.run()
    assert run.began == ["a", "b"]
    assert (end.verdict, end.phases) == (Verdict.FAILED, ("a",))


def test_a_failure_that_was_not_asked_for_is_not_what_a_limited_run_ends_with() -> None:
    flow = workflow(phase("a"), phase("b"))
    limits = Moment(limits=Limits(until=name("b")), landed=1)
    end = next_of(flow, limits, a=FAILED_STATE, b=DONE_STATE)
    assert end == Stop(verdict=Verdict.STOPPED, reason="the rest was not asked for", phases=(name("a"),))


def test_only_runs_one_phase_and_names_what_it_needs_first() -> None:
    only = Moment(limits=Limits(only=name("b")))
    assert next_of(LINE, only) == Stop(verdict=Verdict.BLOCKED, reason="it needs a first", phases=(name("b"),))
    assert next_of(LINE, only, a=DONE_STATE) == Begin(phase=name("b"), reason="a is done")
    end = next_of(LINE, only, a=DONE_STATE, b=DONE_STATE)
    assert end == Stop(verdict=Verdict.STOPPED, reason="the rest was not asked for", phases=(name("c"),))
    assert next_of(LINE, only, a=DONE_STATE, b=DONE_STATE, c=DONE_STATE) == Stop(
        verdict=Verdict.COMPLETE, reason="every phase is done"
    )


def test_a_step_is_one_phase_with_its_retries() -> None:
    flow = workflow(phase("a", tries=2), phase("b", "a"))
    run = Simulated(flow, states(flow), lambda which, count: "ok" if count > 1 else "fails", Limits(step=True))
    end = run.run()
    assert run.began == ["a", "a"]
    assert end == Stop(verdict=Verdict.STOPPED, reason="one phase was asked for", phases=(name("b"),))


def test_a_step_over_a_skipped_phase_is_a_step_and_the_last_step_completes_the_run() -> None:
    flow = workflow(phase("a"), phase("b"))
    first = simulated(flow, {"a": "not wanted"}, step=True)
    assert first.run().verdict is Verdict.STOPPED
    assert first.began == ["a"]
    last = Simulated(flow, first.manifest, lambda *_: "ok", Limits(step=True))
    assert last.run().verdict is Verdict.COMPLETE
    assert last.began == ["b"]


def test_a_step_whose_phase_fails_has_failed_and_goes_no_further() -> None:
    for goes_on in (False, True):
        flow = workflow(phase("a", goes_on=goes_on), phase("b"))
        run = simulated(flow, {"a": "fails"}, step=True)
        assert run.run() == Stop(verdict=Verdict.FAILED, reason="exit 1", phases=(name("a"),))
        assert run.began == ["a"]


def test_a_step_whose_phase_is_blocked_is_blocked() -> None:
    run = simulated(workflow(phase("a"), phase("b")), {"a": "blocked"}, step=True)
    assert run.run().verdict is Verdict.BLOCKED
    assert run.began == ["a"]


# --- reasons ------------------------------------------------------------------------------------------------------


def test_needs_ancestors_and_changed_definitions_are_what_the_file_says() -> None:
    assert ancestors(DIAMOND, name("join")) == {"left", "right", "top"}
    assert ancestors(DIAMOND, name("top")) == frozenset()
    assert ancestors(DIAMOND, name("nowhere")) == frozenset()
    assert unmet_needs(DIAMOND, states(DIAMOND, left=DONE_STATE), name("join")) == {"right"}
    assert unmet_needs(DIAMOND, states(DIAMOND, join=DONE_STATE), name("join")) == frozenset()
    same = replace(DONE_STATE, definition=digest(LINE.phases[0], LINE))
    other = replace(DONE_STATE, definition="sha256:0")
    assert changed_definitions(LINE, states(LINE, a=same, b=other, c=DONE_STATE)) == ("b",)
    failed = replace(other, status=Status.FAILED)
    assert changed_definitions(LINE, states(LINE, a=failed)) == ()


def test_a_completed_phase_whose_definition_changed_is_not_run_again_by_itself() -> None:
    changed = replace(DONE_STATE, definition="sha256:0")
    assert next_of(LINE, a=changed, b=changed, c=changed) == Stop(
        verdict=Verdict.COMPLETE, reason="every phase is done"
    )


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (PhaseState(), "it needs nothing else"),
        (FAILED_STATE, "its attempt 1 failed: exit 1"),
        (PhaseState(status=Status.BLOCKED, detail="no disk"), "it was blocked: no disk"),
        (PhaseState(attempts=2, cut_offs=2), "its attempt 2 was cut off"),
        (PhaseState(partial=True), "it goes on from what it kept"),
        (PhaseState(generation=1), "it is to run anew"),
        (PhaseState(status=Status.SKIPPED, detail="by hand"), "it was skipped: by hand"),
        (replace(DONE_STATE, completed="then"), "it is done (then)"),
    ],
)
def test_every_state_of_a_phase_is_explained(state: PhaseState, reason: str) -> None:
    assert explain(LINE, states(LINE, a=state), name("a")) == reason


def test_what_waits_names_its_needs_and_what_left_the_file_says_so() -> None:
    assert explain(DIAMOND, states(DIAMOND), name("join")) == "it waits for left, right"
    assert explain(DIAMOND, states(DIAMOND, left=DONE_STATE), name("join")) == "it waits for right"
    both = states(DIAMOND, left=DONE_STATE, right=DONE_STATE)
    assert explain(DIAMOND, both, name("join")) == "left, right are done"
    assert explain(LINE, states(LINE), name("gone")) == "it is pending, and no longer in the workflow file"
    assert "its definition changed since" in explain(
        LINE, states(LINE, a=replace(DONE_STATE, definition="sha256:0")), name("a")
    )


# --- any workflow, any ends ---------------------------------------------------------------------------------------

ENDS: st.SearchStrategy[End] = st.sampled_from(["ok", "ok", "fails", "not wanted", "blocked"])


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    """Any small graph without a cycle, in any written order."""
    count = draw(st.integers(1, 6))
    made: list[Phase] = []
    for index in range(count):
        needs = draw(st.sets(st.integers(0, index - 1), max_size=3)) if index else set()
        tries = draw(st.integers(1, 3))
        made.append(
            phase(f"p{index}", *(f"p{need}" for need in sorted(needs)), tries=tries, goes_on=draw(st.booleans()))
        )
    return workflow(*draw(st.permutations(made)))


@given(
    workflows(),
    st.dictionaries(st.tuples(st.sampled_from([f"p{n}" for n in range(6)]), st.integers(1, 3)), ENDS),
    st.sampled_from(["none", "only", "until", "step"]),
    st.integers(0, 5),
)
def test_every_run_ends_begins_nothing_that_is_done_and_nothing_before_its_needs(
    flow: Workflow, ends: Mapping[tuple[str, int], End], limit: str, which: int
) -> None:
    chosen = flow.phases[which % len(flow.phases)].name
    limits = Limits(
        only=chosen if limit == "only" else None, until=chosen if limit == "until" else None, step=limit == "step"
    )
    run = Simulated(flow, states(flow), lambda each, count: ends.get((each, count), "ok"), limits)
    end = run.run()
    for began, before in zip(run.began, run.before, strict=True):
        this = next(each for each in flow.phases if each.name == began)
        assert state_of(before, began).status not in DONE
        for need in this.needs:
            passed_over = next(each for each in flow.phases if each.name == need).on_failure.action == "continue"
            status = state_of(before, need).status
            assert status in DONE or (passed_over and status is Status.FAILED)
        assert run.began.count(began) <= this.retry.max + 1
    failed = {each for each in run.began if state_of(run.manifest, each).status is Status.FAILED}
    assert (end.verdict is Verdict.COMPLETE) == is_complete(run.manifest)
    assert not failed or end.verdict in (Verdict.FAILED, Verdict.BLOCKED)
    assert end.verdict is not Verdict.FAILED or set(end.phases) <= failed
    if limit == "step":
        assert len(set(run.began)) == 1
    if limit == "only":
        assert set(run.began) <= {chosen}
    if limit == "until":
        assert set(run.began) <= ancestors(flow, chosen) | {chosen}


@given(workflows(), st.data())
def test_a_run_that_is_cut_off_at_any_phase_ends_as_one_that_was_not(flow: Workflow, data: st.DataObject) -> None:
    undisturbed = simulated(flow)
    undisturbed.run()
    cut = Simulated(flow, states(flow), lambda *_: "ok", Limits(step=True))
    for _ in range(len(flow.phases)):
        following = decide(flow, cut.manifest, (), Moment())
        if isinstance(following, Begin) and data.draw(st.booleans()):
            cut.cut_off(following.phase)
        cut.run()
    assert is_complete(cut.manifest)
    assert {n: s.status for n, s in cut.manifest.phases.items()} == {
        n: s.status for n, s in undisturbed.manifest.phases.items()
    }
