"""Anything a user, a phase, or a death can do, in any order, over real git: the workspace is a checkpoint plus edits.

The model is a dictionary of files. Attempts are functions called in this process, so that an example takes a second;
deaths are real: a forked child is gone at its n-th change.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from gitckpt.engine import begin
from gitckpt.engine.begin import AlreadyDone
from gitckpt.engine.hold import Hold
from gitckpt.engine.rewind import NothingToUndo, restore, rollback, undo
from gitckpt.engine.settle import settle
from gitckpt.model.events import DataSet, Edited, Named, PhaseCompleted
from gitckpt.model.manifest import DONE, Status, state_of
from gitckpt.model.moment import Verdict
from gitckpt.model.names import PhaseName
from gitckpt.store.selectors import select
from tests.properties.bench import FILE, KEPT, Bench, Entry, Files, definition, look, without_folders
from tests.properties.changes import CHANGES, WORK, WRITES, Change, all_of
from tests.properties.scripted import Scripted, dies_at

DEATH = st.integers(1, 120)
WHICH = st.integers(0, 10**6)
"""Picks among what there is. What there is depends on when a run died, and a draw may depend on nothing but draws."""

T = TypeVar("T")


def pick(things: Sequence[T], which: int) -> T:
    return things[which % len(things)]


class Machine(RuleBasedStateMachine):
    """The rules, and what each of them must lead to."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.bench = Bench(Path(self.folder.name) / "repo")
        self.files: Files = look(self.bench.root)

    def teardown(self) -> None:
        self.bench.close()
        self.folder.cleanup()

    # --- the user -------------------------------------------------------------------------------------------------

    @initialize(changes=WORK)
    def some_files(self, changes: list[Change]) -> None:
        self.edit(changes)

    def edit(self, changes: Sequence[Change]) -> None:
        all_of(changes)(self.bench.root)
        self.files = look(self.bench.root)

    @rule(changes=st.lists(CHANGES, min_size=1, max_size=3))
    def the_user_edits(self, changes: list[Change]) -> None:
        self.edit(changes)

    @rule()
    def the_user_commits(self) -> None:
        self.bench.repo.commit()

    @rule(names=st.sampled_from([("first", "second", "third"), ("first", "third", "fourth"), ("fourth", "second")]))
    def the_user_changes_the_workflow(self, names: tuple[str, ...]) -> None:
        self.bench.repo.write(FILE, definition(*names))
        self.files = look(self.bench.root)

    # --- runs -----------------------------------------------------------------------------------------------------

    def expect(self, files: Files) -> None:
        """The account is right, and the workspace holds `files`."""
        there = self.bench.account()
        assert there == files
        self.files = there

    @rule(changes=WORK, again=st.sampled_from(["never", "never", "anew"]))
    def a_phase_succeeds(self, changes: list[Change], again: str) -> None:
        before = self.files
        executor = Scripted(all_of(changes))
        stop = self.bench.step(executor, again)
        there = look(self.bench.root)
        assert len(executor.began) <= 1
        if not executor.began:
            assert stop.verdict is Verdict.COMPLETE
            assert there == before
        self.expect(there)
        self.bench.knows_todays_order()
        for name, _, _ in executor.began:
            assert state_of(self.bench.tip.manifest, PhaseName(name)).status is Status.COMPLETED
            assert self.bench.contents[self.bench.tip.parents[0]] == before, "it is blamed for your edits"

    @rule(changes=WORK)
    def a_phase_fails(self, changes: list[Change]) -> None:
        before = self.files
        executor = Scripted(all_of(changes), code=3)
        stop = self.bench.step(executor)
        after = look(self.bench.root)
        if not executor.began:
            assert stop.verdict is Verdict.COMPLETE
            self.expect(before)
            return
        ((name, number, _),) = executor.began
        assert stop.verdict is Verdict.FAILED
        self.expect(after if name == KEPT else before)
        state = state_of(self.bench.tip.manifest, PhaseName(name))
        assert (state.status, state.attempts, state.exit_code) == (Status.FAILED, number, 3)
        assert stop.phases == (name,)
        kept = self.bench.attempts[(PhaseName(name), number)]
        wanted = self.replayed(before, changes)
        assert self.bench.contents[kept] == wanted, "the attempt was not kept as it was"

    @rule(changes=WORK, code=st.sampled_from([0, 3]))
    def a_phase_makes_a_checkpoint_of_its_own(self, changes: list[Change], code: int) -> None:
        before = self.files

        def work(root: Path) -> None:
            all_of(changes)(root)
            self.bench.ask_for_a_checkpoint()

        executor = Scripted(work, code=code)
        self.bench.step(executor)
        if not executor.began:
            self.expect(before)
            return
        self.expect(self.replayed(before, changes))
        named = self.bench.checkpoints[self.bench.tip.parents[0]]
        assert any(isinstance(event, Named) for event in named.events)
        ended = state_of(self.bench.tip.manifest, PhaseName(executor.began[0][0]))
        assert ended.partial == bool(code), "a later attempt starts from what the phase itself asked to keep"

    def replayed(self, before: Files, changes: Sequence[Change]) -> Files:
        """What the changes make of the files, in a folder of its own."""
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            lay_out(root, before)
            all_of(changes)(root)
            return look(root)

    @rule(changes=WORK, edits=st.lists(WRITES, max_size=2), death=DEATH)
    def a_run_dies(self, changes: list[Change], edits: list[Change], death: int) -> None:
        before = self.files
        done = self.replayed(before, changes)
        bench = self.bench
        dies_at(death, lambda: bench.try_step(Scripted(all_of(changes))))
        partial = bench.under_way() == KEPT
        bench.stamp()
        time.sleep(0.012)  # the clock of the file system has a grain of 4 to 10 ms
        all_of(edits)(bench.root)
        mine: Files = {path: entry for path, entry in look(bench.root).items() if path in {e.path for e in edits}}
        bench.settled()
        there = look(bench.root)
        plain, old, new = (without_folders({**each, **mine}) for each in (there, before, done))
        assert {path: there.get(path) for path in mine} == mine, "an edit of yours was taken for the attempt's"
        if partial:
            assert all(plain.get(path) in (old.get(path), new.get(path)) for path in {*plain, *old, *new})
        self.expect(there)
        if not partial:
            landed = any(isinstance(event, PhaseCompleted) for event in bench.news)
            assert plain == (new if landed else old), "its files and its state tell different stories"

    # --- going back -----------------------------------------------------------------------------------------------

    @rule(which=WHICH)
    def back_to_a_checkpoint(self, which: int) -> None:
        if not self.bench.ids:
            return
        target = pick(self.bench.ids, which)
        with self.bench.writing() as hold:
            moved = rollback(hold, target)
        assert moved is not None, "none of these phases has a compensation"
        assert moved.target.oid == target
        self.expect(self.bench.contents[target])

    @rule(which=WHICH, death=DEATH)
    def a_rollback_dies(self, which: int, death: int) -> None:
        if not self.bench.ids:
            return
        target = pick(self.bench.ids, which)
        before = self.files
        bench = self.bench

        def act() -> None:
            with bench.writing() as hold:
                rollback(hold, target)

        dies_at(death, act)
        bench.settled()
        there = look(bench.root)
        assert there in (before, bench.contents[target])
        self.expect(there)

    @rule()
    def undo_it(self) -> None:
        if not self.bench.ids:
            return
        before = self.files
        try:
            with self.bench.writing() as hold:
                moved = undo(hold)
        except NothingToUndo:
            self.expect(before)
            return
        self.bench.account()
        self.expect(self.bench.contents[moved.target.oid])

    @rule(which=WHICH)
    def restore_all_or_one_path(self, which: int) -> None:
        if not self.bench.ids:
            return
        kept = [f"{name}@{number}" for name, number in self.bench.attempts]
        chosen = pick([*self.bench.ids, *sorted(kept)], which)
        with self.bench.writing() as hold:
            selected = select(hold.store, chosen)
        there = self.bench.contents[selected.checkpoint.oid]
        differing = sorted(
            path
            for path in without_folders(there).keys() | without_folders(self.files).keys()
            if there.get(path) != self.files.get(path) and path in there
        )
        paths = pick([(), *((path,) for path in differing)], which)
        before = self.files
        with self.bench.writing() as hold:
            restore(hold, selected, tuple(map(os.fsencode, paths)), "all")
        if not paths:
            self.expect(there)
            return
        now = self.bench.account()
        expected: dict[str, Entry] = {**without_folders(before), paths[0]: there[paths[0]]}
        assert without_folders(now) == expected
        self.files = now

    # --- the user's other commands --------------------------------------------------------------------------------

    def command(self, act: Callable[[Hold], object]) -> None:
        """One that leaves the files alone."""
        before = self.files
        with self.bench.writing() as hold:
            settle(hold)
            act(hold)
        self.expect(before)

    @rule(which=WHICH)
    def skip_a_phase(self, which: int) -> None:
        if not self.bench.ids:
            return
        name = pick(self.bench.tip.manifest.order, which)

        def act(hold: Hold) -> None:
            if name not in hold.at_tip.manifest.order:
                return
            try:
                begin.skip(hold, name, "")
            except AlreadyDone:
                assert state_of(hold.at_tip.manifest, name).status in DONE

        self.command(act)

    @rule()
    def retry_what_failed(self) -> None:
        if not self.bench.ids:
            return
        self.command(lambda hold: begin.retry(hold, None))

    @rule()
    def run_all_anew(self) -> None:
        if not self.bench.ids:
            return
        self.command(lambda hold: begin.reopen_from(hold, hold.workflow.phases[0].name))

    @rule()
    def give_the_run_up(self) -> None:
        if not self.bench.ids:
            return
        self.command(lambda hold: begin.reset(hold, ""))

    @rule()
    def name_a_checkpoint(self) -> None:
        if not self.bench.ids:
            return
        before = self.files
        with self.bench.writing() as hold:
            settle(hold, closing=(Named(at=hold.now(), message="by hand"),))
        self.expect(before)

    @rule(value=st.integers(0, 9))
    def set_a_value(self, value: int) -> None:
        if not self.bench.ids:
            return
        before = self.files
        with self.bench.writing() as hold:
            settle(hold, closing=(DataSet(at=hold.now(), key="k", value=value),))
        self.expect(before)
        assert self.bench.tip.manifest.data["k"] == value

    @rule()
    def your_edits_are_a_checkpoint_of_their_own(self) -> None:
        if not self.bench.ids:
            return
        changed = self.files != self.bench.contents[self.bench.ids[0]]
        tip = self.bench.tip
        self.command(lambda hold: None)
        if changed:
            assert any(isinstance(event, Edited) for event in self.bench.tip.events)
            assert self.bench.tip.parents[0] == tip.oid


def lay_out(root: Path, files: Files) -> None:
    """Make an empty folder hold `files`."""
    for path, (kind, mode, data) in sorted(files.items()):
        full = root / path
        if kind == "dir":
            full.mkdir(mode=mode)
            full.chmod(mode)
        elif kind == "link":
            full.symlink_to(os.fsdecode(data))
        else:
            full.write_bytes(data)
            full.chmod(mode)


def test_whatever_happens_the_workspace_is_a_checkpoint_plus_your_edits() -> None:
    run_state_machine_as_test(Machine, settings=settings(max_examples=12, stateful_step_count=10))


@pytest.mark.full
@pytest.mark.timeout(7200)
def test_whatever_happens_for_long_the_workspace_is_a_checkpoint_plus_your_edits() -> None:
    deep = settings(max_examples=300, stateful_step_count=30, derandomize=False, print_blob=True)
    run_state_machine_as_test(Machine, settings=deep)
