"""What items and phases were made from, as files: what the commit of each completion holds, against what is there now.

A completion's own commit is its fingerprint: the item's own file and the files that the definition names are in it,
with their ids. Owns finding them there. Whether something is out of date `model.dated` says. Must not change anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gitckpt.errors import ObjectUnreadable
from gitckpt.model.dated import differing
from gitckpt.model.manifest import Manifest, Status, state_of
from gitckpt.model.named_files import named_files
from gitckpt.model.names import Oid, PhaseName
from gitckpt.model.workflow import Phase, Workflow
from gitckpt.plumbing.content import Content, unnest
from gitckpt.plumbing.objects import DIRECTORY, Commit
from gitckpt.store.branch import Point
from gitckpt.store.store import Store

WORK = frozenset({"phase", "item", "batch", "merge", "partial", "failed", "compensation"})
"""Kinds of checkpoints in which the workflow itself changes files; in all others somebody else does."""


class Past:
    """The checkpoints of a branch by number, and what their commits hold. They are listed when one is asked for."""

    def __init__(self, store: Store, tip: Point) -> None:
        self.store = store
        self.tip = tip
        self._ids: list[Oid] = []

    def oid(self, number: int) -> Oid | None:
        """The checkpoint of that number, None where it is not there (any more)."""
        back = self.tip.number - number
        if not self._ids:
            self._ids = self.store.ids(self.tip.oid)
        return self._ids[back] if number > 0 and 0 <= back < len(self._ids) else None

    def made_in(self, number: int) -> tuple[Commit, Commit | None] | None:
        """The commit of exactly what was done in a checkpoint, and the one that it began from: of what was merged,
        the attempt's own. None where they cannot be read."""
        reader, oid = self.store.reader, self.oid(number)
        try:
            commit = reader.commit(oid) if oid else None
            if commit is not None and len(commit.parents) > 1:
                commit = reader.commit(commit.parents[1])
            before = reader.commit(commit.parents[0]) if commit is not None and commit.parents else None
        except ObjectUnreadable:
            return None
        return None if commit is None else (commit, before)

    def file_in(self, commit: Commit, path: bytes) -> str | None:
        """The id of the file, link or folder at a path, None for nothing."""
        return self._entry(commit.tree, (self.store.prefix + b"/" if self.store.prefix else b"") + path)

    def file_at(self, content: Content, path: bytes) -> str | None:
        """As `file_in`, in the content of a checkpoint."""
        return self._entry(content.files, path)

    def _entry(self, tree: bytes, path: bytes) -> str | None:
        above, _, name = path.rpartition(b"/")
        try:
            folder = unnest(self.store.reader, tree, above)
            entry = self.store.reader.tree(folder).get(name) if folder else None
        except ObjectUnreadable:
            return None
        if entry is None:
            return None
        return f"folder {entry.oid.hex()}" if entry.mode == DIRECTORY else entry.oid.hex()

    def changed_by(self, path: bytes, since: int) -> str | None:
        """The kind of the checkpoint after number `since` that made the path what it is at the newest one; found by
        halving, for histories are long. None where it cannot be told."""
        low, high = since, self.tip.number
        now = self._at(path, high)
        if self.oid(low) is None or self._at(path, low) == now:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._at(path, middle) == now else (middle, high)
        oid = self.oid(high)
        return self.store.read(oid).title.kind if oid else None

    def _at(self, path: bytes, number: int) -> str | None:
        oid = self.oid(number)
        commit = self.store.reader.commit(oid) if oid else None
        return self.file_in(commit, path) if commit else None


@dataclass(slots=True)
class ItemFacts:
    """Of the items of a phase: which files the definition names, and what is there `now`."""

    past: Past
    phase: Phase
    now: Content
    _commits: dict[int, tuple[Commit, Commit | None] | None] = field(default_factory=dict)
    _then: dict[int, Mapping[str, str | None] | None] = field(default_factory=dict)
    _own_made: set[bytes] = field(default_factory=set)

    def is_out_of_date(self, key: bytes, number: int) -> bool:
        """Whether an item that was done in the checkpoint of that number was made from other files than there are."""
        named = self._named(number)
        if named is None:
            return False
        own = self._own(key, number)
        then = {**named, **({"own": own[0]} if own else {})}
        now = {name: self.past.file_at(self.now, name.encode("utf-8", "surrogateescape")) for name in named}
        return bool(differing(then, {**now, **({"own": own[1]} if own else {})}))

    def _made_in(self, number: int) -> tuple[Commit, Commit | None] | None:
        if number not in self._commits:
            if len(self._commits) > 10_000:
                self._commits.clear()
            self._commits[number] = self.past.made_in(number)
        return self._commits[number]

    def _own(self, key: bytes, number: int) -> tuple[str | None, str | None] | None:
        """The item's own file then and now; None where it names none."""
        path = key.removeprefix(b"./").rstrip(b"/")
        made = self._made_in(number)
        if made is None or not path or path.startswith(b"/") or b"//" in path:
            return None
        then, now = self.past.file_in(made[0], path), self.past.file_at(self.now, path)
        of_pattern = self.phase.foreach is not None and bool(self.phase.foreach.glob)
        if then is None or (not of_pattern and then.startswith("folder")):
            return None
        return then, now

    def _named(self, number: int) -> Mapping[str, str | None] | None:
        """The files that the definition names and that were there in a checkpoint; None where that is not known. What
        the items themselves change is made by them, and is no part of what they are made from."""
        if number not in self._then:
            made = self._made_in(number)
            found: dict[str, str | None] | None = None
            if made is not None:
                found = {}
                for path in named_files(self.phase):
                    then = self.past.file_in(made[0], path)
                    if then is None or then.startswith("folder"):
                        continue
                    if made[1] is not None and self.past.file_in(made[1], path) != then:
                        self._own_made.add(path)
                    found[path.decode("utf-8", "surrogateescape")] = then
            self._then[number] = found
        known = self._then[number]
        if known is None or not self._own_made:
            return known
        return {
            name: oid for name, oid in known.items() if name.encode("utf-8", "surrogateescape") not in self._own_made
        }


def changed_files(past: Past, workflow: Workflow, manifest: Manifest, now: Content) -> dict[PhaseName, tuple[str, ...]]:
    """The files that completed phases name and that somebody else than the workflow has changed since."""
    found: dict[PhaseName, tuple[str, ...]] = {}
    for phase in workflow.phases:
        state = state_of(manifest, phase.name)
        if state.status is not Status.COMPLETED or not state.landed:
            continue
        paths = _changed(past, named_files(phase), state.landed, now)
        if paths:
            found[phase.name] = paths
    return found


def _changed(past: Past, paths: Iterable[bytes], landed: int, now: Content) -> tuple[str, ...]:
    made = past.made_in(landed)
    if made is None:
        return ()
    commit, before = made
    then, today = dict[str, str | None](), dict[str, str | None]()
    for path in paths:
        was = past.file_in(commit, path)
        # What it made itself is no part of what it was made from.
        if was is None or was.startswith("folder") or (before is not None and past.file_in(before, path) != was):
            continue
        name = path.decode("utf-8", "backslashreplace")
        then[name], today[name] = was, past.file_at(now, path)
    return tuple(
        name
        for name in differing(then, today)
        if (kind := past.changed_by(name.encode(), landed)) is not None and kind not in WORK
    )
