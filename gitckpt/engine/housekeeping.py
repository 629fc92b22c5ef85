"""Keeping a long history quick: small packs are merged, tags of long gone runs removed.

Owns when that happens. Nothing here is needed for correctness; what cannot be done now is done another time.
"""

from __future__ import annotations

from itertools import islice

from gitckpt.engine.hold import Hold, moving_refs
from gitckpt.engine.place import Place
from gitckpt.errors import Busy, GitckptError
from gitckpt.execute.lock import Lock
from gitckpt.plumbing.merge_packs import merge_packs
from gitckpt.plumbing.refs import RefUpdate, transact
from gitckpt.store import refs

MANY_PACKS = 64
TAGGED_RUNS = 20


def note_pack(hold: Hold, name: str | None) -> None:
    """Remember a pack of ours; merge when there are many."""
    if name is None:
        return
    remember_pack(hold.place, name)
    hold.packs_noted += 1
    if hold.packs_noted >= MANY_PACKS:
        hold.packs_noted = 0
        tidy_packs(hold)


def remember_pack(place: Place, name: str | None) -> None:
    """Put the name of a pack of ours on the list of those that are merged when they are many."""
    if name is None:
        return
    try:
        with open(place.home / "packs", "a", encoding="ascii") as file:
            file.write(name + "\n")
    except OSError:
        return


def tidy_packs(hold: Hold) -> None:
    """Merge our small packs into one, where there are many."""
    path = hold.place.home / "packs"
    try:
        with Lock.take(hold.place.home / "locks" / "packs.merging"):
            names = path.read_text(encoding="ascii").split()
            if len(names) < MANY_PACKS:
                return
            left = merge_packs(hold.given.repository, names)
            path.write_text("".join(f"{name}\n" for name in left), encoding="ascii")
    except (Busy, GitckptError, OSError):
        return


def tidy_tags(hold: Hold) -> None:
    """Remove the tags of runs older than the last twenty. Tags are an index for people; the checkpoints stay."""
    tags = hold.store.tags()
    if len(tags) <= TAGGED_RUNS * len(hold.workflow.phases):
        return
    starts = (checkpoint.number for checkpoint in hold.store.history() if checkpoint.title.kind == "start")
    oldest = next(islice(starts, TAGGED_RUNS - 1, None), 0)
    old = [name for name in tags if name[:4].isdigit() and int(name.partition("-")[0]) < oldest]
    updates = [RefUpdate(f"{refs.TAGS}{hold.name}/{name}", None, tags[name]) for name in old]
    if not updates:
        return
    try:
        with moving_refs(hold):
            transact(hold.given.repository, updates, "gitckpt: tags of old runs")
    except GitckptError:
        return
