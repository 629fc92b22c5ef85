"""Any workflow, any ends, any deaths: the loop ends, does nothing twice, and undoes the newest first. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from gitckpt.model.gate import Gate, OnFailure
from gitckpt.model.graph import ancestors
from gitckpt.model.manifest import DONE, Status, is_complete, state_of
from gitckpt.model.moment import Limits, Verdict
from gitckpt.model.names import PhaseName
from gitckpt.model.repeat import Batch, Budget, CheckpointEvery, Foreach, Tolerate
from gitckpt.model.workflow import Phase, Retry, Workflow, order
from tests.model.made import manifest, workflow
from tests.model.whole_run import WholeRun, World

MOST_CALLS = 60


@st.composite
def phases(draw: st.DrawFn, name: str, before: list[Phase]) -> Phase:
    near = [each.name for each in before]
    needs = tuple(sorted(draw(st.sets(st.sampled_from(near), max_size=3)))) if near else ()
    above = _above(before, needs)
    kind = draw(st.sampled_from(["whole", "whole", "items", "items", "gate"]))
    goto = draw(st.sampled_from([None, None, *above]))
    action: Literal["stop", "continue", "compensate"] = "stop"
    if goto is None:
        action = draw(st.sampled_from(["stop", "continue", "compensate"]))
    made = Phase(
        name=PhaseName(name),
        run=() if kind == "gate" else ("x",),
        needs=needs,
        gate=Gate(prompt="?") if kind == "gate" else None,
        on_failure=OnFailure(action=action, goto=goto, max=draw(st.integers(1, 3))),
        retry=Retry(max=draw(st.integers(0, 2))) if kind != "gate" else Retry(),
        compensate=("undo",) if kind != "gate" and draw(st.booleans()) else (),
        pivot=kind != "gate" and draw(st.integers(0, 7)) == 0,
    )
    return draw(with_items(made)) if kind == "items" else made


def _above(before: list[Phase], needs: tuple[PhaseName, ...]) -> list[PhaseName]:
    known = workflow(*before)
    return sorted({*needs, *(above for need in needs for above in ancestors(known, need))})


@st.composite
def with_items(draw: st.DrawFn, made: Phase) -> Phase:
    total = draw(st.integers(0, 7))
    return replace(
        made,
        foreach=Foreach(values=tuple(map(str, range(total))), allow_empty=True),
        batch=draw(st.sampled_from([None, Batch(size=1), Batch(size=3)])),
        checkpoint_every=draw(st.sampled_from([None, None, CheckpointEvery(items=2), CheckpointEvery(items=4)])),
        budget=draw(st.sampled_from([None, None, Budget(items=2), Budget(batches=2)])),
        tolerate=draw(st.sampled_from([None, Tolerate(count=1), Tolerate(percent=30_000)])),
        on_item_failure=draw(st.sampled_from([None, "continue"])),
        counters=draw(st.sampled_from([{}, {"n": "x"}])),
    )


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    made: list[Phase] = []
    for number in range(draw(st.integers(1, 5))):
        made.append(draw(phases(f"p{number}", made)))
    return workflow(*draw(st.permutations(made)))


def things(flow: Workflow) -> list[str]:
    """What can fail: phases, and items of those that have them."""
    found: list[str] = []
    for each in flow.phases:
        values = each.foreach.values or () if each.foreach else None
        found += [str(each.name)] if values is None else [f"{each.name}/{n}" for n in range(len(values))]
    return found


@st.composite
def runs(draw: st.DrawFn) -> WholeRun:
    flow = draw(workflows())
    some = st.sampled_from([*things(flow), "nothing"])
    names = st.sampled_from([str(each.name) for each in flow.phases])
    world = World(
        bad=frozenset(draw(st.sets(some, max_size=2))) if draw(st.booleans()) else frozenset(),
        flaky=draw(st.dictionaries(some, st.integers(1, 3), max_size=4)),
        unwanted=frozenset(draw(st.sets(names, max_size=1))) if draw(st.integers(0, 3)) == 0 else frozenset(),
        blocked=frozenset(draw(st.sets(names, max_size=1))) if draw(st.integers(0, 5)) == 0 else frozenset(),
        stuck=frozenset(draw(st.sets(names, max_size=1))) if draw(st.integers(0, 4)) == 0 else frozenset(),
    )
    return WholeRun(flow, manifest(*order(flow)), world=world)


@settings(max_examples=150)
@given(runs(), st.lists(st.integers(1, 12), max_size=4), st.booleans())
def test_every_call_of_every_run_ends_and_holds_to_what_it_promises(
    run: WholeRun, deaths: list[int], approves: bool
) -> None:
    """What must hold at each step is asked within `WholeRun`."""
    for death in deaths:
        run.dying_call(death)
    for _ in range(MOST_CALLS):
        stop = run.call()
        if stop.verdict is Verdict.WAITING:
            run.answer(lambda _: approves)
        elif stop.verdict is not Verdict.STOPPED:
            break
    assert stop.verdict is not Verdict.STOPPED, "it says to run it again, and again, and again"
    if stop.verdict is Verdict.COMPLETE:
        before = list(run.ran)
        assert run.call().verdict is Verdict.COMPLETE
        assert run.ran == before, "a finished workflow stays finished"


@settings(max_examples=75)
@given(runs())
def test_what_succeeds_is_done_exactly_once_where_nothing_goes_back(run: WholeRun) -> None:
    """Without a death, a way back or a compensation, each item is tried as often as it failed, and once more at most
    for each failure of another in its group."""
    plain = [replace(each, on_failure=OnFailure(), checkpoint_every=None) for each in run.workflow.phases]
    run.workflow = workflow(*plain)
    run.world = replace(run.world, bad=frozenset(), flaky={}, blocked=frozenset())
    for _ in range(MOST_CALLS):
        stop = run.call()
        run.answer(lambda _: True)
        if stop.verdict is Verdict.COMPLETE:
            break
    assert is_complete(run.manifest)
    assert set(Counter(run.ran).values()) <= {1}
    items = sum(len(each.foreach.values or ()) if each.foreach else 1 for each in _wanted(run) if not each.gate)
    assert len(run.ran) == items


def _wanted(run: WholeRun) -> list[Phase]:
    return [each for each in run.workflow.phases if each.name not in run.world.unwanted]


@settings(max_examples=75)
@given(runs(), st.lists(st.integers(1, 12), max_size=4))
def test_what_a_killed_run_does_it_does_in_the_order_of_one_that_was_not(run: WholeRun, deaths: list[int]) -> None:
    """Also where it dies between a failure and the retry: items may add to one file, and their order is its bytes."""
    flow = workflow(
        *(
            replace(each, retry=Retry(max=3), on_failure=OnFailure())
            for each in run.workflow.phases
            if each.gate is None
        )
    )
    flow = workflow(*(replace(each, needs=tuple(n for n in each.needs if _is_in(flow, n))) for each in flow.phases))
    world = replace(run.world, bad=frozenset(), blocked=frozenset())
    smooth, rough = (WholeRun(flow, manifest(*order(flow)), world=world) for _ in range(2))
    for death in deaths:
        rough.dying_call(death)
    for each in (smooth, rough):
        for _ in range(MOST_CALLS):
            if each.call().verdict is Verdict.COMPLETE:
                break
        assert is_complete(each.manifest)
    assert rough.done == smooth.done


def _is_in(flow: Workflow, name: PhaseName) -> bool:
    return any(each.name == name for each in flow.phases)


@st.composite
def sagas(draw: st.DrawFn) -> WholeRun:
    """Everything can be undone, and the last phase fails."""
    made: list[Phase] = []
    for number in range(draw(st.integers(2, 4))):
        each = draw(phases(f"p{number}", made))
        policy = OnFailure(action=draw(st.sampled_from(["stop", "compensate"])))
        made.append(replace(each, gate=None, run=("x",), pivot=each.pivot, compensate=("undo",), on_failure=policy))
    needs = tuple(each.name for each in made)
    last = Phase(name=PhaseName("last"), run=("x",), needs=needs, on_failure=OnFailure(action="compensate"))
    flow = workflow(*draw(st.permutations([*made, last])))
    flaky = draw(st.dictionaries(st.sampled_from(things(flow)), st.integers(1, 3), max_size=4))
    return WholeRun(flow, manifest(*order(flow)), world=World(bad=frozenset({"last"}), flaky=flaky))


@settings(max_examples=75)
@given(sagas(), st.lists(st.integers(1, 15), max_size=4), st.integers(0, 9))
def test_a_saga_undoes_all_of_it_newest_first_wherever_it_dies(run: WholeRun, deaths: list[int], which: int) -> None:
    """That the newest goes first is asked at each compensation."""
    names = [each.name for each in run.workflow.phases]
    if which < len(names):
        run.call(Limits(until=names[which]))
        if run.manifest.goal.kind == "finish":
            run.reopen(names[which])
    for death in deaths:
        run.dying_call(death)
    for _ in range(MOST_CALLS):
        stop = run.call()
        if stop.verdict is not Verdict.STOPPED:
            break
    assert stop.verdict is Verdict.FAILED
    if state_of(run.manifest, PhaseName("last")).status is Status.FAILED:
        assert not run.undoable(), "the saga ended with something left to undo"


def test_a_step_that_fails_goes_back_as_a_whole_run_does_and_no_further() -> None:
    a = Phase(name=PhaseName("a"), run=("x",))
    b = Phase(name=PhaseName("b"), run=("x",), needs=(a.name,), on_failure=OnFailure(goto=a.name, max=2))
    run = WholeRun(workflow(a, b), manifest("a", "b"), world=World(flaky={"b": 1}))
    verdicts = [run.call(Limits(step=True)).verdict for _ in range(4)]
    assert [name for name, _ in run.ran] == ["a", "b", "a", "b"]
    assert verdicts == [Verdict.STOPPED, Verdict.STOPPED, Verdict.STOPPED, Verdict.COMPLETE]


def test_a_step_passes_by_a_gate_that_was_rejected_long_ago() -> None:
    gate = Phase(name=PhaseName("gate"), gate=Gate(prompt="?"), on_failure=OnFailure(action="continue"))
    after = Phase(name=PhaseName("after"), run=("x",), needs=(gate.name,))
    run = WholeRun(workflow(gate, after), manifest("gate", "after"))
    assert run.call().verdict is Verdict.WAITING
    run.answer(lambda _: False)
    run.call(Limits(step=True))
    assert [name for name, _ in run.ran] == ["after"]


@settings(max_examples=75)
@given(runs(), st.integers(0, 4), st.sampled_from(["only", "until", "step"]))
def test_the_flags_of_a_call_bound_what_it_begins(run: WholeRun, which: int, flag: str) -> None:
    chosen = run.workflow.phases[which % len(run.workflow.phases)].name
    limits = Limits(
        only=chosen if flag == "only" else None, until=chosen if flag == "until" else None, step=flag == "step"
    )
    run.call(limits)
    begun = {name for name, _ in run.ran}
    if flag == "only":
        assert begun <= {chosen}
    if flag == "until":
        assert begun <= ancestors(run.workflow, chosen) | {chosen}
    ended = [name for name in run.manifest.order if state_of(run.manifest, name).status in (*DONE, Status.FAILED)]
    if flag == "step":
        assert len(ended) <= 1
