"""Random workflows whose phases run side by side over real git, while the user edits, runs die, and conflicts are
decided: every merge is what a merge of dictionaries of files gives, and nothing of anybody's is lost.

Attempts are functions called in this process, each in a copy of the workspace; deaths are real.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitckpt.api.library import Silent
from gitckpt.api.reading import Where
from gitckpt.api.resolving import decide
from gitckpt.engine.begin import ensure_run
from gitckpt.engine.rewind import NothingToUndo, rollback, undo
from gitckpt.engine.run import run
from gitckpt.engine.settle import settle
from gitckpt.model.advance import advance
from gitckpt.model.conflicts import conflicts
from gitckpt.model.events import Edited, Event, PhaseCompleted, RolledBack, RunStarted, Undone
from gitckpt.model.items import ItemsCompleted
from gitckpt.model.manifest import DONE, state_of
from gitckpt.model.merging import EditsClashed, Merged, MergeRefused, Resolved
from gitckpt.model.moment import Limits, Moment, Stop, Verdict
from gitckpt.model.names import Oid, PhaseName
from gitckpt.model.schedule import Plan
from gitckpt.model.workflow import order
from gitckpt.plumbing.content import list_content
from gitckpt.plumbing.refs import list_refs
from gitckpt.spec.load import load
from gitckpt.store import refs
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.store import Store
from tests.properties.bench import FILE, Bench, Files, look, without_folders
from tests.properties.scripted import dies_at
from tests.properties.several import Change, Edit, Script, Several, Unit, User, all_on, related

CHANGING = Edited | RolledBack | Undone | RunStarted
"""Events whose checkpoints change files."""
MOST_CALLS = 40

LINES = "".join(f"{number}\n" for number in range(1, 10))
BEFORE = {"a": "a\n", "b": "b\n", "c": LINES, "d/x": "x\n", "d/stays": "stays\n"}
PATHS = st.sampled_from(["a", "b", "c", "c", "d/x", "e", "e/x", "n"])
YOURS = st.sampled_from(["a", "b", "c", "c", "d/x", "n", "yours"])
VERBS = st.sampled_from(["write", "write", "first", "last", "remove", "mode"])
Side = Literal["ours", "theirs"]
SIDES: tuple[Side, ...] = ("ours", "theirs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A phase as it stands in the file. `items`: None for a phase without."""

    name: str
    needs: tuple[str, ...]
    lines: tuple[str, ...] = ()
    items: int | None = None

    @property
    def units(self) -> list[Unit]:
        return [(self.name, None)] if self.items is None else [(self.name, index) for index in range(self.items)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`gitckpt run`, after the user did something. `death`: after how many changes it dies, and `after`: what the user
    does then; `meanwhile`: what the user does at which beginning or end of an attempt; `back`: what is done afterwards:
    an undo, or a rollback to any."""

    before: tuple[Change, ...] = ()
    after: tuple[Change, ...] = ()
    meanwhile: dict[int, list[Change]] = field(default_factory=dict)
    death: int | None = None
    back: str = ""
    which: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A workflow, what its phases do, and what happens to it. `sides`: how conflicts are decided, in turn."""

    phases: tuple[Written, ...]
    script: Script
    calls: tuple[Call, ...]
    jobs: int
    rule: str
    sides: tuple[Side, ...]
    options: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        said = ["version: 1", "workflow: w", "isolation: copy", f"merge: {{on_conflict: {self.rule}}}"]
        said += [*self.options, "phases:"]
        for phase in self.phases:
            said += [f"  {phase.name}:", f"    needs: [{', '.join(phase.needs)}]", "    run: x"]
            said += [f"    {line}" for line in phase.lines]
        return "\n".join([*said, ""])

    @property
    def is_smooth(self) -> bool:
        """Whether no call dies and no try fails, so that the order of all merges is known."""
        return not any(call.death or call.back for call in self.calls) and not any(self.script.fails.values())


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
            assert not (record.views or record.ahead or record.landing or record.attempt)
            assert not list_refs(hold.given.repository, refs.finished(hold.name))
            assert not hold.place.views.is_dir() or not list(hold.place.views.iterdir())
            history = History(self.case, hold.store)
            for oid in fresh:
                history.is_right(self.bench.checkpoints[oid])
        if in_order:
            merged = [self.ranks[event.phase] for event in self.bench.news if isinstance(event, Merged)]
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


class History:
    """What holds for each checkpoint, by what those before it and beside it hold."""

    def __init__(self, case: Case, store: Store) -> None:
        self.case = case
        self.store = store

    def files(self, checkpoint: Checkpoint) -> Files:
        """With folders."""
        reader = self.store.reader
        items = list_content(reader, checkpoint.content).items()
        return {
            os.fsdecode(path): (item.kind, item.mode, reader.blob(item.oid) if item.oid else b"")
            for path, item in items
        }

    def is_right(self, checkpoint: Checkpoint) -> None:
        merged = [event for event in checkpoint.events if isinstance(event, Merged)]
        refused = [event for event in checkpoint.events if isinstance(event, MergeRefused)]
        assert len(merged) + len(refused) <= 1
        if not checkpoint.parents:
            return
        before = self.store.read(checkpoint.parents[0])
        for done in merged:
            self._is_merged(checkpoint, before, done)
        for asked in refused:
            assert checkpoint.content == before.content
            own = self.store.read(asked.own)
            start = self._own_is_exact(own, asked.phase)
            assert self.case.rule == "fail"
            assert _joined(self.files(start), self.files(before), self.files(own), None) is None, "no conflict at all"
        if not merged and not any(isinstance(event, CHANGING) for event in checkpoint.events):
            assert checkpoint.content == before.content, "files changed, and nobody did it"

    def _is_merged(self, checkpoint: Checkpoint, before: Checkpoint, done: Merged) -> None:
        assert checkpoint.parents == (before.oid, done.own)
        own = self.store.read(done.own)
        assert own.parents == (done.start,)
        start = self._own_is_exact(own, done.phase)
        resolved = next((event.how for event in checkpoint.events if isinstance(event, Resolved)), None)
        rule = resolved or (None if self.case.rule == "fail" else self.case.rule)
        sides = (self.files(start), self.files(before), self.files(own))
        if rule is not None and _joined(*sides, None) is None and _is_of_kinds(*sides):
            return  # whose folder counts is for the tests of merging
        wanted = _joined(*sides, rule)
        assert wanted is not None, "it was in conflict"
        assert without_folders(self.files(checkpoint)) == wanted

    def _own_is_exact(self, own: Checkpoint, name: PhaseName) -> Checkpoint:
        """Its files are those that it began from and what the phase did. Returns what it began from."""
        start = self.store.read(own.parents[0])
        assert own.manifest == advance(start.manifest, own.events), "the law"
        if start.oid not in self.store.ids():
            below = self.store.read(start.parents[0])
            assert start.manifest == advance(below.manifest, start.events), "the law"
        phase = next(each for each in self.case.phases if each.name == name)
        for need in phase.needs:
            assert state_of(start.manifest, PhaseName(need)).status in DONE, "began before what it needs"
        then, now = without_folders(self.files(start)), without_folders(self.files(own))
        done = _units_done(own.events)
        if done:
            changes = [change for unit in done for change in self.case.script.changes[unit]]
            assert now == all_on(then, changes), "its own commit is not what it did"
            return start
        mine = {change.path for unit in phase.units for change in self.case.script.changes[unit]}
        touched = {path for path in then.keys() | now.keys() if then.get(path) != now.get(path)}
        assert all(path in mine or any(related(path, each) for each in mine) for path in touched)
        return start


def _units_done(events: Sequence[Event]) -> list[Unit]:
    """Empty where it failed or was cut off, and left something nevertheless."""
    for event in events:
        if isinstance(event, ItemsCompleted):
            return [(event.phase, index) for first, last in event.items for index in range(first, last + 1)]
        if isinstance(event, PhaseCompleted):
            return [(event.phase, None)]
    return []


def _joined(start: Files, ours: Files, theirs: Files, rule: str | None) -> Files | None:
    """The merge of dictionaries; None where somebody has to decide."""
    found: Files = {}
    plain = [without_folders(files) for files in (start, ours, theirs)]
    for path in {path for files in plain for path in files}:
        then, mine, other = (files.get(path) for files in plain)
        if other in (then, mine):
            entry = mine
        elif mine == then:
            entry = other
        elif rule is None:
            return None
        else:
            entry = mine if rule == "ours" else other
        if entry is not None:
            found[path] = entry
    if _is_of_kinds(start, ours, theirs):
        return None
    return found


def _is_of_kinds(start: Files, ours: Files, theirs: Files) -> bool:
    """Whether one has made a file where the other has a folder with something that it made or changed."""
    return any(_stands_on(start, one, other) or _stands_on(start, other, one) for one, other in [(ours, theirs)])


def _stands_on(start: Files, one: Files, other: Files) -> bool:
    for path, entry in one.items():
        if entry[0] == "dir" or start.get(path) == entry:
            continue
        below = [each for each in other if each == path or each.startswith(f"{path}/")]
        if other.get(path, entry)[0] == "dir" and any(other[each] != start.get(each) for each in below):
            return True
    return False


SMALL = settings(max_examples=8)
DEEP = settings(max_examples=600, derandomize=False, print_blob=True)


def checked(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Play(Path(folder), case).play()


@SMALL
@given(cases(most=4))
def test_what_runs_side_by_side_is_merged_as_files_of_dictionaries_are(case: Case) -> None:
    checked(case)


@pytest.mark.full
@pytest.mark.timeout(7200)
@DEEP
@given(cases(most=6))
def test_much_that_runs_side_by_side_is_merged_as_files_of_dictionaries_are(case: Case) -> None:
    checked(case)
