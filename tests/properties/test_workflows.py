"""Random workflows over real git, killed at random changes: the end is that of a run that nothing disturbed.

Phases with and without items, batches, shared checkpoints, budgets, failures that are borne or not, going back, and
`always`. Commands are functions called in this process, so that an example takes a second; deaths are real.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gitckpt.model.codec import stable
from gitckpt.model.manifest import Manifest, state_of
from gitckpt.model.moment import Stop, Verdict
from gitckpt.model.names import PhaseName
from tests.properties.acting import ENDED, Acting, Plan, World
from tests.properties.bench import Bench, Files
from tests.properties.scripted import dies_at

MOST_CALLS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A phase as it stands in the file, and what its command does. `items`: None for a phase without."""

    name: str
    needs: tuple[str, ...]
    lines: tuple[str, ...]
    items: int | None
    bad: tuple[int, ...] = ()
    flaky: tuple[int, ...] = ()
    back_to: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A workflow, what its commands do, and after how many changes each run dies but the last ones."""

    phases: tuple[Written, ...]
    deaths: tuple[int, ...]

    @property
    def text(self) -> str:
        said = ["version: 1", "workflow: w", "phases:"]
        for phase in self.phases:
            said += [f"  {phase.name}:", f"    needs: [{', '.join(phase.needs)}]", "    run: x"]
            said += [f"    {line}" for line in phase.lines]
        return "\n".join([*said, "always:", "  - run: x", ""])

    @property
    def plan(self) -> Plan:
        return Plan(
            bad=frozenset(f"{phase.name}/i{number}" for phase in self.phases for number in phase.bad),
            flaky={f"{phase.name}/i{number}": 1 for phase in self.phases for number in phase.flaky},
            rounds={phase.name: (phase.back_to, 2) for phase in self.phases if phase.back_to},
        )


@st.composite
def cases(draw: st.DrawFn, most: int) -> Case:
    phases: list[Written] = []
    for number in range(draw(st.integers(1, most))):
        before = tuple(phase.name for phase in phases)
        needs = tuple(sorted(draw(st.sets(st.sampled_from(before), max_size=2)))) if before else ()
        whole = draw(st.integers(0, 3)) == 0
        phases.append(_whole(draw, f"p{number}", needs, phases) if whole else _each(draw, f"p{number}", needs))
    return Case(tuple(phases), tuple(draw(st.lists(st.integers(1, 400), max_size=6))))


def _whole(draw: st.DrawFn, name: str, needs: tuple[str, ...], before: Sequence[Written]) -> Written:
    """It may go back, once, to a phase without items that it needs: that one then leaves a second line."""
    near = [phase.name for phase in before if phase.name in needs and phase.items is None]
    target = draw(st.sampled_from([None, *near]))
    lines = (f"on_failure: {{goto: {target}, max: 1}}",) if target else ()
    return Written(name=name, needs=needs, lines=lines, items=None, back_to=target)


def _each(draw: st.DrawFn, name: str, needs: tuple[str, ...]) -> Written:
    count = draw(st.integers(1, 6))
    numbers = st.integers(0, count - 1)
    said = [f"foreach: [{', '.join(f'i{n}' for n in range(count))}]"]
    if draw(st.booleans()):
        given = draw(st.sampled_from(["args", "stdin", "file"]))
        said.append(f"batch: {{size: {draw(st.integers(1, 3))}, input: {given}}}")
    if draw(st.booleans()):
        said.append(f"checkpoint_every: {{items: {draw(st.integers(2, 4))}}}")
    if draw(st.booleans()):
        said.append(f"budget: {{items: {draw(st.integers(1, 4))}}}")
    if draw(st.booleans()):
        said.append("counters: {c" + name + ": x}")
    bad = tuple(sorted(draw(st.sets(numbers, max_size=2)))) if draw(st.integers(0, 2)) == 0 else ()
    flaky = tuple(sorted(draw(st.sets(numbers, max_size=2)) - set(bad)))
    if flaky:
        said.append("retry: {max: 2, delay: 1ms}")
    how = draw(st.sampled_from(["", f"tolerate: {{count: 2, to: {name}.jsonl}}", "on_item_failure: continue"]))
    said += [how] if how else []
    policy = draw(st.sampled_from(["", "", "on_failure: continue", "on_failure: compensate"]))
    said += [policy] if policy else []
    if draw(st.booleans()):
        said.append("compensate: y")
    return Written(name=name, needs=needs, lines=tuple(said), items=count, bad=bad, flaky=flaky)


# --- one example ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Played:
    """A workflow that was run until it said something else than to run it again."""

    world: World
    stop: Stop
    files: Files
    manifest: Manifest


def played(folder: Path, case: Case, deaths: Sequence[int]) -> Played:
    folder.mkdir()
    bench = Bench(folder / "repo", case.text)
    world = World(folder / "world")
    acting = Acting(world, case.plan)
    for death in deaths:
        dies_at(death, lambda: bench.try_call(acting))
        if bench.dead():
            bench.stamp()
        bench.settled()
        bench.account()
    for _ in range(MOST_CALLS):
        stop = bench.call(acting)
        files = bench.account()
        if stop.verdict is not Verdict.STOPPED:
            break
    bench.close()
    return Played(world, stop, files, bench.tip.manifest)


def check(folder: Path, case: Case) -> None:
    smooth = played(folder / "smooth", case, ())
    rough = played(folder / "rough", case, case.deaths)
    assert smooth.stop.verdict in (Verdict.COMPLETE, Verdict.FAILED)
    for run in (smooth, rough):
        everything_went_out_under_one_key_a_generation(run)
        every_item_left_one_line(case, run)
    if smooth.stop.verdict is Verdict.COMPLETE:
        assert smooth.files[ENDED][2] == b"complete\n"
    elif any("on_failure: compensate" in phase.lines for phase in case.phases):
        return  # what is compensated runs again with the next call: a failed run has no one end
    assert rough.stop == smooth.stop
    assert without(rough.files, smooth) == without(smooth.files, smooth)
    assert stable(rough.manifest) == stable(smooth.manifest)


def without(files: Files, smooth: Played) -> Files:
    """A run that fails says so at the end of each of its calls, of which a disturbed one has more."""
    return files if smooth.stop.verdict is Verdict.COMPLETE else {n: e for n, e in files.items() if n != ENDED}


def everything_went_out_under_one_key_a_generation(run: Played) -> None:
    owners: dict[str, tuple[str, tuple[str, ...]]] = {}
    for what, keys in run.world.keys().items():
        generation = state_of(run.manifest, PhaseName(what[0])).generation
        assert len(keys) <= generation + 1, f"{what} went out under {len(keys)} keys in generation {generation}"
        for key in keys:
            assert owners.setdefault(key, what) == what, "two things went out under one key"


def every_item_left_one_line(case: Case, run: Played) -> None:
    for phase in case.phases:
        state = state_of(run.manifest, PhaseName(phase.name))
        entry = run.files.get(f"out/{phase.name}")
        left = entry[2].decode().splitlines() if entry else []
        if phase.items is None or state.items is None:
            assert len(left) <= state.generation + 1
        elif not state.generation:
            assert len(left) == state.items.done, "files and state tell different stories"
            assert left == [each for each in (f"i{n}" for n in range(phase.items)) if each in set(left)]


SMALL = settings(max_examples=4)
DEEP = settings(max_examples=150, derandomize=False, print_blob=True)


def checked(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(Path(folder), case)


@SMALL
@given(cases(most=3))
def test_a_workflow_killed_anywhere_ends_as_one_that_was_not(case: Case) -> None:
    checked(replace(case, deaths=case.deaths[:3]))


DIES_BEFORE_A_RETRY = Case(
    (
        Written(
            name="p0",
            needs=(),
            lines=(
                "foreach: [i0, i1, i2, i3, i4]",
                "batch: {size: 3, input: args}",
                "retry: {max: 2, delay: 1ms}",
                "tolerate: {count: 2, to: p0.jsonl}",
                "budget: {items: 1}",
            ),
            items=5,
            flaky=(0, 3),
        ),
    ),
    (142, 133, 160),
)
FAILS_FIRST_UNDER_A_BUDGET = Case(
    (
        Written(
            name="p0",
            needs=(),
            lines=(
                "foreach: [i0, i1, i2]",
                "batch: {size: 2, input: args}",
                "budget: {items: 1}",
                "on_item_failure: continue",
                "checkpoint_every: {items: 3}",
            ),
            items=3,
            bad=(0, 1),
        ),
    ),
    (120,),
)


@pytest.mark.full
@pytest.mark.timeout(7200)
@DEEP
@example(DIES_BEFORE_A_RETRY)
@example(FAILS_FIRST_UNDER_A_BUDGET)
@given(cases(most=4))
def test_many_workflows_killed_anywhere_end_as_those_that_were_not(case: Case) -> None:
    checked(case)
