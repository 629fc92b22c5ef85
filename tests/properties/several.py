"""Attempts that are under way at once, without processes: each acts in its view when it begins, and ends in its turn.

Owns the changes that phases and the user make, on a disk and in a dictionary of files alike, and the executor that has
attempts end in a drawn order while the user edits. Must not know what is tested.
"""

from __future__ import annotations

import json
import shutil
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gitckpt.execute.process import Job, Result
from gitckpt.execute.stamp import mark_started
from tests.properties.bench import Entry, Files
from tests.properties.scripted import Pretended, result


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one file. `first` and `last` are of a line of a text, which is made where there is none."""

    verb: str
    path: str
    text: str = ""

    def of(self, entry: Entry | None) -> Entry | None:
        """What it makes of a file; None is for no file."""
        if self.verb == "remove":
            return None
        if self.verb == "mode":
            return ("file", 0o755, entry[2]) if entry else None
        lines = entry[2].decode().splitlines(keepends=True) if entry else []
        new = f"{self.text}\n"
        if self.verb == "first":
            lines[:1] = [new]
        elif self.verb == "last":
            lines[-1:] = [new]
        else:
            lines = [new]
        return ("file", entry[1] if entry else 0o644, "".join(lines).encode())

    def on(self, files: Files) -> Files:
        """The same in a dictionary. A file that takes a folder's place removes all below it, and the other way."""
        entry = self.of(files.get(self.path))
        left = {path: old for path, old in files.items() if path != self.path}
        if entry is None:
            return left
        return {path: old for path, old in left.items() if not related(path, self.path)} | {self.path: entry}

    def make(self, root: Path) -> None:
        """On a disk, in place."""
        path = root / self.path
        before = entry_at(root, self.path)
        after = self.of(before)
        if after == before:
            return
        if after is None:
            path.unlink()
            return
        for above in reversed(path.relative_to(root).parents):
            if (root / above).is_file():
                (root / above).unlink()
            (root / above).mkdir(exist_ok=True)
        if path.is_dir():
            shutil.rmtree(path)
        path.write_bytes(after[2])
        if before is None or before[1] != after[1]:
            path.chmod(after[1])


def related(path: str, other: str) -> bool:
    """Whether one of the two is above the other."""
    return path.startswith(f"{other}/") or other.startswith(f"{path}/")


def entry_at(root: Path, path: str) -> Entry | None:
    """The file there."""
    full = root / path
    if not full.is_file():
        return None
    return ("file", stat.S_IMODE(full.stat().st_mode), full.read_bytes())


def all_on(files: Files, changes: Sequence[Change]) -> Files:
    """The changes, one after the other."""
    for change in changes:
        files = change.on(files)
    return files


@dataclass(frozen=True, slots=True)
class Edit:
    """What the user made of a path; `token` is in it where the bytes are the user's. `over`: it replaced the user's own
    last edit of it, of which nothing need remain."""

    path: str
    entry: Entry | None
    token: str
    over: bool


class User:
    """Whoever edits the workspace meanwhile. What they did is written down outside, where it outlives every death."""

    def __init__(self, root: Path, notes: Path) -> None:
        self.root = root
        self.notes = notes
        notes.touch()

    def edit(self, change: Change) -> None:
        before = entry_at(self.root, change.path)
        mine = next((each.entry for each in reversed(self.edits) if each.path == change.path), "nothing")
        change.make(self.root)
        after = entry_at(self.root, change.path)
        if after == before:
            return
        token = change.text if change.verb in ("write", "first", "last") else ""
        shown = None if after is None else [after[1], after[2].decode()]
        with open(self.notes, "a", encoding="utf-8") as file:
            file.write(json.dumps([change.path, shown, token, mine == before]) + "\n")

    @property
    def edits(self) -> list[Edit]:
        rows = map(json.loads, self.notes.read_text(encoding="utf-8").splitlines())
        return [
            Edit(path, ("file", shown[0], shown[1].encode()) if shown else None, token, over)
            for path, shown, token, over in rows
        ]


Unit = tuple[str, int | None]
"""A phase, or the item with that index of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What phases do. `fails`: how many tries of a unit fail before one succeeds; `turns`: whose attempts end first,
    the lowest of those under way; those with the same turn end at once."""

    changes: Mapping[Unit, tuple[Change, ...]]
    fails: Mapping[Unit, int] = field(default_factory=dict)
    turns: Mapping[Unit, int] = field(default_factory=dict)


@dataclass(slots=True)
class Several:
    """The executor of one call. `edits`: what the user does at the n-th beginning or end of an attempt; `tries`: where
    it is written down what was tried."""

    script: Script
    user: User
    tries: Path
    edits: Mapping[int, Sequence[Change]]
    aloft: list[Acted] = field(default_factory=list)
    moments: int = 0

    def start(self, job: Job) -> Acted:
        self.something_happens()
        job.output.write_text("said\n")
        mark_started(str(job.state_dir))
        units = [_unit({**job.env, **step.env}) for step in job.steps]
        acted = Acted(self, self._act(job.cwd, units), min(map(self._turn, units), default=0))
        self.aloft.append(acted)
        return acted

    def _turn(self, unit: Unit) -> int:
        return self.script.turns.get(unit, 0)

    def _act(self, root: Path, units: Sequence[Unit]) -> Result:
        for passed, unit in enumerate(units):
            tried = Counter(self.tries.read_text().splitlines())[repr(unit)]
            with open(self.tries, "a", encoding="utf-8") as file:
                file.write(f"{unit!r}\n")
            for change in self.script.changes[unit]:
                change.make(root)
            if tried < self.script.fails.get(unit, 0):
                return replace(result(3), units=passed)
        return replace(result(0), units=len(units))

    def something_happens(self) -> None:
        self.moments += 1
        for change in self.edits.get(self.moments, ()):
            self.user.edit(change)


def _unit(env: Mapping[str, str]) -> Unit:
    index = env.get("GITCKPT_ITEM_INDEX")
    return env["GITCKPT_PHASE"], int(index) if index is not None else None


class Acted(Pretended):
    """An attempt that has done all it does, and ends when it is its turn."""

    def __init__(self, executor: Several, ended: Result, turn: int) -> None:
        super().__init__(0, ended)
        self._executor = executor
        self._turn = turn
        self._is_told = False

    def poll(self) -> Result | None:
        if self._is_told:
            return replace(self._result, step="run", code=None, signal=15, interrupted=True)
        return self._result if self._turn == min(each._turn for each in self._executor.aloft) else None

    def terminate(self) -> None:
        self._is_told = True

    def close(self) -> None:
        super().close()
        self._executor.aloft.remove(self)
        self._executor.something_happens()
