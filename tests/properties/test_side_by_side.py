"""Random workflows whose phases run side by side over real git, while the user edits, runs die, and conflicts are
decided: every merge is what a merge of dictionaries of files gives, and nothing of anybody's is lost.

Attempts are functions called in this process, each in a copy of the workspace; deaths are real.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gitckpt.api.library import Silent
from gitckpt.api.reading import Where
from gitckpt.api.resolving import decide
from gitckpt.engine.begin import ensure_run
from gitckpt.engine.rewind import NothingToUndo, rollback, undo
from gitckpt.engine.run import run
from gitckpt.engine.settle import settle
from gitckpt.model.conflicts import conflicts
from gitckpt.model.events import Edited, Event, RunStarted
from gitckpt.model.merging import EditsClashed, Merged, MergeRefused
from gitckpt.model.moment import Limits, Moment, Stop, Verdict
from gitckpt.model.names import Oid, PhaseName
from gitckpt.model.schedule import Plan
from gitckpt.model.workflow import order
from gitckpt.plumbing.refs import list_refs
from gitckpt.spec.load import load
from gitckpt.store import refs
from tests.properties.bench import FILE, Bench, Files, look, without_folders
from tests.properties.merging import Call, Case, History, Side, Written, succeeded
from tests.properties.scripted import dies_at
from tests.properties.several import Change, Edit, Script, Several, Unit, User, all_on

MOST_CALLS = 40

LINES = "".join(f"{number}\n" for number in range(1, 10))
BEFORE = {"a": "a\n", "b": "b\n", "c": LINES, "d/x": "x\n", "d/stays": "stays\n"}
PATHS = st.sampled_from(["a", "b", "c", "c", "d/x", "e", "e/x", "n"])
YOURS = st.sampled_from(["a", "b", "c", "c", "d/x", "n", "yours"])
VERBS = st.sampled_from(["write", "write", "first", "last", "remove", "mode"])
SIDES: tuple[Side, ...] = ("ours", "theirs")


# --- what is drawn --------------------------------------------------------------------------------------------------


@st.composite
def cases(draw: st.DrawFn, most: int) -> Case:
    phases: list[Written] = []
    for number in range(draw(st.integers(2, most))):
        before = [phase.name for phase in phases]
        needs = tuple(sorted(draw(st.sets(st.sampled_from(before), max_size=2)))) if before else ()
        phases.append(_phase(draw, f"p{number}", needs))
    units = [unit for phase in phases for unit in phase.units]
    calls = draw(st.lists(st.just(0), max_size=3))
    return Case(
        phases=tuple(phases),
        script=Script(
            changes={unit: tuple(_changes(draw, unit)) for unit in units},
            fails={unit: 1 for unit in units if draw(st.integers(0, 7)) == 7},
            turns={unit: draw(st.integers(0, 3)) for unit in units},
        ),
        calls=tuple(_call(draw, number) for number in range(len(calls) + 1)),
        jobs=draw(st.integers(1, 5)),
        rule=draw(st.sampled_from(["fail", "fail", "ours", "theirs"])),
        sides=tuple(draw(st.lists(st.sampled_from(SIDES), min_size=1, max_size=3))),
        options=("fail_fast: true",) if draw(st.integers(0, 3)) == 3 else (),
    )


def _phase(draw: st.DrawFn, name: str, needs: tuple[str, ...]) -> Written:
    lines: list[str] = []
    items = None
    if draw(st.integers(0, 2)) == 2:
        items = draw(st.integers(1, 4))
        lines += [f"foreach: [{', '.join(f'i{n}' for n in range(items))}]", f"max_parallel: {draw(st.integers(1, 3))}"]
        if draw(st.integers(0, 2)) == 2:
            lines.append("checkpoint_every: {items: 2}")
        if draw(st.integers(0, 2)) == 2:
            lines.append("on_item_failure: continue")
    if draw(st.integers(0, 2)) == 2:
        lines.append("retry: {max: 2, delay: 1ms}")
    if draw(st.integers(0, 3)) == 3:
        lines.append("keep_partial: true")
    return Written(name=name, needs=needs, lines=tuple(lines), items=items)


def _changes(draw: st.DrawFn, unit: Unit) -> list[Change]:
    """Some of them the same as another's."""
    name = unit[0] if unit[1] is None else f"{unit[0]}-{unit[1]}"
    said = st.sampled_from([name, name, "the same"])
    drawn = draw(st.lists(st.builds(Change, VERBS, PATHS, said), max_size=3))
    return [*drawn, *([Change("write", f"out/{name}", name)] if draw(st.integers(0, 3)) else [])]


def _call(draw: st.DrawFn, number: int) -> Call:
    moments = draw(st.lists(st.tuples(st.integers(1, 12), VERBS, YOURS), max_size=4))
    meanwhile: dict[int, list[Change]] = {}
    for nth, (moment, verb, path) in enumerate(moments):
        meanwhile.setdefault(moment, []).append(Change(verb, path, f"you-{number}-{nth}"))
    around = st.lists(st.tuples(VERBS, YOURS), max_size=1)
    return Call(
        before=tuple(Change(verb, path, f"you-{number}-before") for verb, path in draw(around)),
        after=tuple(Change(verb, path, f"you-{number}-after") for verb, path in draw(around)),
        meanwhile=meanwhile,
        death=draw(st.one_of(st.none(), st.integers(1, 400))),
        back=draw(st.sampled_from(["", "", "", "", "undo", "rollback"])),
        which=draw(st.integers(0, 1000)),
    )


# --- one example ----------------------------------------------------------------------------------------------------


class Play:
    """One case, played to its end, with what holds after every command."""

    def __init__(self, folder: Path, case: Case) -> None:
        self.case = case
        self.bench = Bench(folder / "repo", case.text)
        for name, data in BEFORE.items():
            self.bench.repo.write(name, data)
        self.user = User(self.bench.root, folder / "edits")
        self.tries = folder / "tries"
        self.tries.touch()
        self.ranks = {name: rank for rank, name in enumerate(order(load(self.bench.root / FILE).workflow))}
        self.decided = 0
        self.told: list[Event] = []
        self.known: set[Oid] = set()

    def run(self, call: Call) -> Stop:
        """`gitckpt run --jobs`."""
        executor = Several(self.case.script, self.user, self.tries, call.meanwhile)
        with self.bench.writing() as hold:
            settle(hold)
            ensure_run(hold, again="never", params={}, given=())
            moment = Moment(limits=Limits(), plan=Plan.of(hold.workflow, jobs=self.case.jobs))
            return run(hold, executor, moment, lambda: (None, 0))

    def call(self, call: Call) -> Stop | None:
        """None where it died."""
        for change in call.before:
            self.user.edit(change)
        if call.death is not None and dies_at(call.death, lambda: self._try(call)):
            for change in call.after:
                self.user.edit(change)
            self.bench.settled()
            self.account()
            return None
        stop = None if call.death is not None else self.run(call)
        self.account(in_order=stop is not None)
        return stop

    def _try(self, call: Call) -> None:
        self.run(call)

    def decide(self) -> None:
        """All that waits for a decision."""
        while waiting := conflicts(self.bench.tip.manifest):
            side = self.case.sides[self.decided % len(self.case.sides)]
            name = sorted(waiting)[self.decided % len(waiting)]
            self.decided += 1
            decide(Where(directory=self.bench.root), name, side, Silent())
            self.account()

    def go_back(self, call: Call) -> None:
        if not self.bench.ids:
            return
        target = self.bench.ids[call.which % len(self.bench.ids)]
        with self.bench.writing() as hold:
            if call.back == "rollback":
                moved = rollback(hold, target)
                assert moved is not None
            else:
                try:
                    moved = undo(hold)
                except NothingToUndo:
                    return
        self.account()
        assert look(self.bench.root) == self.bench.contents[moved.target.oid]

    def play(self) -> None:
        for call in self.case.calls:
            stop = self.call(call)
            if stop is not None and call.which % 3:
                self.decide()
            if call.back:
                self.go_back(call)
        for _ in range(MOST_CALLS):
            stop = self.call(Call())
            assert stop is not None
            if stop.verdict is Verdict.COMPLETE:
                break
            assert stop.verdict in (Verdict.CONFLICT, Verdict.FAILED), stop
            self.decide()
        assert stop is not None
        assert stop.verdict is Verdict.COMPLETE, stop
        self.decide()
        self.ends_as_one_after_the_other()
        self.bench.close()

    # --- what holds -------------------------------------------------------------------------------------------------

    def account(self, *, in_order: bool = False) -> None:
        """After every command."""
        self.bench.account()
        self.told += self.bench.news
        fresh = [oid for oid in reversed(self.bench.ids) if oid not in self.known]
        self.known.update(fresh)
        with self.bench.writing() as hold:
            record = hold.record
            assert replace(record, views=(), ahead={}, landing=None, attempt=None) == record, "something is under way"
            assert not list_refs(hold.given.repository, refs.finished(hold.name))
            assert not hold.place.views.is_dir() or not list(hold.place.views.iterdir())
            history = History(self.case, hold.store)
            for oid in fresh:
                history.is_right(self.bench.checkpoints[oid])
        if in_order:
            # What an attempt that failed leaves for the next one is merged when it ends.
            merged = [self.ranks[each.phase] for oid in fresh for each in succeeded(self.bench.checkpoints[oid])]
            assert merged == sorted(merged), "merged in another order than the workflow's"
        self.nothing_of_yours_is_lost()

    def nothing_of_yours_is_lost(self) -> None:
        edits = self.user.edits
        edited = {
            oid
            for oid, each in self.bench.checkpoints.items()
            if any(isinstance(event, Edited | RunStarted) for event in each.events)
        }
        kept = [look(self.bench.root), *(self.bench.contents[oid] for oid in self.bench.rescues.values())]
        removed = [*kept, *(self.bench.contents[oid] for oid in edited)]
        for number, edit in enumerate(edits):
            later = next((each for each in edits[number + 1 :] if each.path == edit.path), None)
            if later is not None and later.over:
                continue
            if edit.entry is None:
                assert any(edit.path not in files for files in removed), f"the removal of {edit.path} is lost"
            else:
                held = [*kept, *(self.bench.contents[oid] for oid in self.bench.ids)]
                assert any(_holds(files, edit) for files in held), f"{edit} is lost"

    def ends_as_one_after_the_other(self) -> None:
        """Where nothing was in conflict, nothing failed and nothing died."""
        undecided = any(
            isinstance(event, MergeRefused | EditsClashed)
            or (isinstance(event, Merged) and event.settled)
            or (isinstance(event, Edited) and event.mixed)
            for event in self.told
        )
        if undecided or not self.case.is_smooth:
            return
        files = {name: ("file", 0o644, data.encode()) for name, data in BEFORE.items()}
        for phase in sorted(self.case.phases, key=lambda each: self.ranks[PhaseName(each.name)]):
            for unit in phase.units:
                files = all_on(files, self.case.script.changes[unit])
        yours = {edit.path for edit in self.user.edits} | {FILE}
        there = without_folders(look(self.bench.root))
        assert {path: there.get(path) for path in there.keys() - yours} == {
            path: files.get(path) for path in files.keys() - yours
        }


def _holds(files: Files, edit: Edit) -> bool:
    entry = files.get(edit.path)
    if entry is None or edit.entry is None:
        return False
    return edit.token.encode() in entry[2] if edit.token else entry[1] == edit.entry[1]


SMALL = settings(max_examples=6)
DEEP = settings(max_examples=600, derandomize=False, print_blob=True)


def checked(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Play(Path(folder), case).play()


THE_LAST_ITEMS_OF_A_PHASE_ARE_IN_CONFLICT = Case(
    phases=(
        Written(name="quick", needs=()),
        Written(name="slow", needs=()),
        Written(name="items", needs=(), lines=("foreach: [i0]", "max_parallel: 1"), items=1),
    ),
    script=Script(
        changes={
            ("quick", None): (),
            ("slow", None): (Change("write", "a", "slow"),),
            ("items", 0): (Change("write", "a", "items"),),
        },
        turns={("slow", None): 1},
    ),
    calls=(Call(),),
    jobs=3,
    rule="fail",
    sides=("theirs",),
)
"""`slow` is still under way when the only item begins, once it is listed."""


@SMALL
@example(THE_LAST_ITEMS_OF_A_PHASE_ARE_IN_CONFLICT)
@given(cases(most=4))
def test_what_runs_side_by_side_is_merged_as_files_of_dictionaries_are(case: Case) -> None:
    checked(case)


@pytest.mark.full
@pytest.mark.timeout(7200)
@DEEP
@given(cases(most=6))
def test_much_that_runs_side_by_side_is_merged_as_files_of_dictionaries_are(case: Case) -> None:
    checked(case)
