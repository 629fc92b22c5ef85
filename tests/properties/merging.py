"""A workflow whose phases run side by side, and what holds for its history: the merge of dictionaries of files.

Owns the workflow as it stands in the file, and what each checkpoint is to hold by what those before it and beside it
hold. Must not know how it is played, nor share code with the merges of the engine.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from gitckpt.model.advance import advance
from gitckpt.model.events import Edited, Event, PhaseCompleted, RolledBack, RunStarted, Undone
from gitckpt.model.items import ItemsCompleted
from gitckpt.model.manifest import DONE, state_of
from gitckpt.model.merging import Merged, MergeRefused, Resolved
from gitckpt.model.names import PhaseName
from gitckpt.plumbing.content import list_content
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.store import Store
from tests.properties.bench import Files, without_folders
from tests.properties.several import Change, Script, Unit, all_on, related

Side = Literal["ours", "theirs"]

CHANGING = Edited | RolledBack | Undone | RunStarted
"""Events whose checkpoints change files."""


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
            assert joined(self.files(start), self.files(before), self.files(own), None) is None, "no conflict at all"
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
        if rule is not None and joined(*sides, None) is None and _is_of_kinds(*sides):
            return  # whose folder counts is for the tests of merging
        wanted = joined(*sides, rule)
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


def succeeded(checkpoint: Checkpoint) -> list[Merged]:
    """What it merges of an attempt that succeeded."""
    return [event for event in checkpoint.events if isinstance(event, Merged) and _units_done(checkpoint.events)]


def _units_done(events: Sequence[Event]) -> list[Unit]:
    """Empty where it failed or was cut off, and left something nevertheless."""
    for event in events:
        if isinstance(event, ItemsCompleted):
            return [(event.phase, index) for first, last in event.items for index in range(first, last + 1)]
        if isinstance(event, PhaseCompleted):
            return [(event.phase, None)]
    return []


def joined(start: Files, ours: Files, theirs: Files, rule: str | None) -> Files | None:
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
