"""Whether a branch's newest checkpoint can be gone on from, and which one is the newest that can.

Owns the question for one checkpoint; `verify` asks it, and more, for all. Moves nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from gitckpt.errors import GitckptError, ObjectUnreadable
from gitckpt.model.advance import IllegalEvent, advance
from gitckpt.model.manifest import SCHEMA
from gitckpt.model.names import Oid
from gitckpt.plumbing.refs import rev_list
from gitckpt.store.branch import find_place
from gitckpt.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsound:
    """A tip that cannot be gone on from. `passed`: the commits from it back to `sound`, newest first, without that one;
    `sound` None: no checkpoint can be gone on from."""

    tip: Oid
    why: str
    passed: tuple[Oid, ...]
    sound: Oid | None


def fault(store: Store, oid: Oid) -> str | None:
    """Why a commit cannot be gone on from: it is no checkpoint, cannot be read, or does not follow from its parent.

    None for a sound one, for one of a later format, and where the parent is not there to be asked.
    """
    try:
        checkpoint = store.read(oid)
    except GitckptError as error:
        return error.message
    if checkpoint.manifest.schema > SCHEMA:
        return None
    before = None
    if checkpoint.parents:
        try:
            before = store.manifest(checkpoint.parents[0])
        except GitckptError:
            return None
    try:
        follows = advance(before, checkpoint.events) == checkpoint.manifest
    except IllegalEvent as error:
        return f"its events cannot have happened: {error}"
    return None if follows else "its manifest does not follow from its parent's and its events"


def unsound_tip(store: Store, known: tuple[Oid, ...] = ()) -> Unsound | None:
    """What is wrong with the tip, and the newest sound checkpoint; None where the tip is sound or there is none.

    `known`: checkpoints that something else remembers, asked where the way back from the tip cannot be read.
    """
    tip = store.tip_oid()
    why = fault(store, tip) if tip else None
    if tip is None or why is None:
        return None
    passed: list[Oid] = []
    for oid in _back(store, tip):
        if fault(store, oid) is None:
            return Unsound(tip=tip, why=why, passed=tuple(passed), sound=oid)
        passed.append(oid)
    return Unsound(tip=tip, why=why, passed=tuple(passed), sound=newest_of(store, known))


def newest_of(store: Store, known: tuple[Oid, ...]) -> Oid | None:
    """The checkpoint with the highest number among `known`, the reflog's and the tags' that is sound and has a whole
    way back."""
    best: tuple[int, Oid] | None = None
    for oid in dict.fromkeys((*known, *_remembered(store), *store.tags().values())):
        try:
            if fault(store, oid) is not None:
                continue
            number = store.manifest(oid).sequence
            if (best is None or number > best[0]) and rev_list(store.repository, oid):
                best = number, oid
        except GitckptError:
            continue
    return best[1] if best else None


def is_elsewhere(store: Store, oid: Oid) -> bool:
    """Whether a commit is a checkpoint of another folder's workflow, which shares this one's name."""
    try:
        commit = store.reader.commit(oid)
        place = find_place(store.reader, commit.tree) if commit else None
    except ObjectUnreadable:
        return False
    return place is not None and place != store.prefix


def _back(store: Store, tip: Oid) -> Iterator[Oid]:
    """The commits from the tip along first parents, as far as they can be read."""
    at: Oid | None = tip
    while at is not None:
        yield at
        try:
            commit = store.reader.commit(at)
        except GitckptError:
            return
        at = commit.parents[0] if commit and commit.parents else None


def _remembered(store: Store) -> list[Oid]:
    """Where the branch was, newest first, by its reflog."""
    path = os.path.join(store.repository.common_dir, "logs", store.branch)
    width = 2 * len(store.repository.null)
    try:
        with open(path, "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    named = [line.split(b" ")[1].decode("ascii", "replace") for line in reversed(lines) if line.count(b" ") > 1]
    return [Oid(text) for text in named if len(text) == width and text.strip("0123456789abcdef") == ""]
