"""A history made again without its leading runs: the same checkpoints, with new parents.

Owns what such a commit holds: all that the old one did, and the ids of other checkpoints in it that are other ones now.
Moves no ref.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from gitckpt.model.codec import decode_manifest, encode_manifest, require_writable
from gitckpt.model.events import Adopted, Event, GoalSet, Reset, RolledBack, RunStarted, Undone
from gitckpt.model.events_codec import decode_events, encode_events
from gitckpt.model.manifest import Goal, Manifest
from gitckpt.model.names import Oid
from gitckpt.plumbing.content import nest
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Commit
from gitckpt.store.cut import Cut
from gitckpt.store.layout import FILE, FOLDER, TREE, NotACheckpoint, folder, own_file
from gitckpt.store.store import Store

_ID = re.compile(rb'"([0-9a-f]{40}|[0-9a-f]{64})"')


class Remaking:
    """One history being made again into a pack. `ids` tells what each old commit is now; None: it was dropped."""

    def __init__(self, store: Store, pack: Pack, cut: Cut) -> None:
        self._store = store
        self._pack = pack
        self._roots: dict[Oid, Oid] = {}
        self.ids: dict[Oid, Oid | None] = dict.fromkeys(cut.dropped)
        for oid in cut.kept:
            self.ids[oid] = self._made(oid, self._parents(oid))

    def attempt(self, oid: Oid) -> Oid | None:
        """An attempt on its new parents; None where it hangs on what was dropped."""
        if oid not in self.ids:
            first = self._commit(oid).parents[:1]
            if first and first[0] not in self.ids:
                self.ids[oid] = oid  # it hangs on another history, which stays as it is
            elif first and self.ids[first[0]] is None:
                self.ids[oid] = None
            else:
                self.ids[oid] = self._made(oid, self._parents(oid))
        return self.ids[oid]

    def rescue(self, oid: Oid) -> Oid:
        """Rescued work on its new parent. It is the user's and never dropped: where its checkpoint was, it keeps a copy
        of that one alone, so that what was rescued can still be told."""
        now = self.attempt(oid)
        if now is None:
            over = self._commit(oid).parents[0]
            root = self._roots.setdefault(over, self._made(over, ()))
            now = self.ids[oid] = self._made(oid, (root,))
        return now

    def _parents(self, oid: Oid) -> tuple[Oid, ...]:
        """What the parents of a commit are now; those that were dropped are none. Rescues and attempts can be further
        parents: a rollback went to them, or they are chained behind a newer attempt."""
        parents = self._commit(oid).parents
        now = [self.ids[first] for first in parents[:1]] + [self.attempt(other) for other in parents[1:]]
        return tuple(parent for parent in now if parent is not None)

    def _commit(self, oid: Oid) -> Commit:
        commit = self._store.reader.commit(oid)
        if commit is None:
            raise NotACheckpoint(oid, "there is no such commit")
        return commit

    def _made(self, oid: Oid, parents: tuple[Oid, ...]) -> Oid:
        old = self._commit(oid)
        return self._pack.commit(
            tree=self._tree(old), parents=parents, author=old.author, committer=old.committer, message=old.message
        )

    def _tree(self, old: Commit) -> bytes:
        """The commit's tree, with new ids where `.gitckpt` names other checkpoints."""
        store = self._store
        found = folder(store.reader, old, store.prefix)
        state = own_file(store.reader, found, old.oid, b"state.json")
        events = own_file(store.reader, found, old.oid, b"events.json")
        named = {Oid(text.decode()) for text in (*_ID.findall(state), *_ID.findall(events))}
        moved = {oid: now for oid in named if (now := self.ids.get(oid)) is not None and now != oid}
        if not moved:
            return old.tree
        manifest = decode_manifest(state, f"state.json of {old.oid[:12]}")
        require_writable(manifest)
        happened = [_event(event, moved) for event in decode_events(events, f"events.json of {old.oid[:12]}")]
        own = {
            **found.own,
            b"state.json": (FILE, self._pack.blob(encode_manifest(_manifest(manifest, moved)))),
            b"events.json": (FILE, self._pack.blob(encode_events(happened))),
        }
        rows = [(name, mode, blob) for name, (mode, blob) in own.items()]
        files = [(name, entry.mode, entry.oid) for name, entry in found.root.items() if name != FOLDER]
        return nest(self._pack, store.prefix, [*files, (FOLDER, TREE, self._pack.tree(rows))])


def _event(event: Event, moved: Mapping[Oid, Oid]) -> Event:
    match event:
        case RolledBack() | Undone():
            target = moved.get(event.target, event.target)
            return replace(event, target=target, manifest=_manifest(event.manifest, moved))
        case RunStarted() | Adopted() | Reset():
            return replace(event, manifest=_manifest(event.manifest, moved))
        case GoalSet():
            return replace(event, goal=_goal(event.goal, moved))
        case _:
            return event


def _manifest(manifest: Manifest, moved: Mapping[Oid, Oid]) -> Manifest:
    return replace(manifest, goal=_goal(manifest.goal, moved))


def _goal(goal: Goal, moved: Mapping[Oid, Oid]) -> Goal:
    return replace(goal, checkpoint=moved.get(goal.checkpoint, goal.checkpoint)) if goal.checkpoint else goal
