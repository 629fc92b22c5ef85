"""Is the history sound? The law `advance(parent's manifest, events) = manifest`, that of items, and every byte.

Owns the checks; changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gitckpt.errors import GitckptError
from gitckpt.model.advance import IllegalEvent, advance
from gitckpt.model.manifest import SCHEMA
from gitckpt.model.names import Oid
from gitckpt.plumbing.reach import faults
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.law_of_items import Counts, faults_of_items
from gitckpt.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, and in which checkpoint or object. `lacks`: an object that cannot be read, and the
    commit that needs it."""

    where: str
    what: str
    lacks: tuple[Oid, Oid] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was looked at and what was found. `sound_up_to`: the newest checkpoint with nothing wrong before it."""

    checkpoints: int
    objects: int
    findings: tuple[Finding, ...]
    sound_up_to: int | None

    @property
    def lacking(self) -> dict[bytes, Oid]:
        """The raw ids of the objects that cannot be read, each with a commit that needs it."""
        return {bytes.fromhex(each.lacks[0]): each.lacks[1] for each in self.findings if each.lacks}


def verify(store: Store) -> Report:
    """Check every checkpoint of the branch, and every object that it and the refs beside it need."""
    tip = store.tip_oid()
    if tip is None:
        raise store.no_checkpoints()
    findings: list[Finding] = []
    before: Checkpoint | None = None
    sound: int | None = None
    try:
        ids = store.ids(tip)[::-1]
    except GitckptError as error:
        return Report(checkpoints=0, objects=0, findings=(Finding(where=tip[:12], what=str(error)),), sound_up_to=None)
    seen: set[Oid] = set()
    counted: dict[bytes, Counts] = {}
    for oid in ids:
        broken = list(_broken(store, oid, seen))
        findings += broken
        try:
            checkpoint = store.read(oid)
        except GitckptError as error:
            findings += [] if broken else [Finding(where=oid[:12], what=error.message)]
            before = None
            continue
        findings += _law(before, checkpoint)
        if checkpoint.manifest.schema <= SCHEMA:
            where = f"{checkpoint.number:04d}"
            findings += [Finding(where=where, what=what) for what in faults_of_items(store, checkpoint, counted)]
        if not findings:
            sound = checkpoint.number
        before = checkpoint
    for oid in (*store.attempt_commits(), *store.rescues().values()):
        findings += _broken(store, oid, seen)
    for oid in store.diverged().values():
        findings += _whole_history(store, oid, seen)
    return Report(checkpoints=len(ids), objects=len(seen), findings=tuple(findings), sound_up_to=sound)


def _broken(store: Store, oid: Oid, seen: set[Oid]) -> Iterator[Finding]:
    """Read and hash every object of a commit that was not seen before."""
    for which, problem in faults(store.repository, store.reader, oid, seen):
        where = f"{which[:12]}, needed by {oid[:12]}" if which != oid else oid[:12]
        yield Finding(where=where, what=problem, lacks=(which, oid))


def _whole_history(store: Store, start: Oid, seen: set[Oid]) -> Iterator[Finding]:
    try:
        ids = store.ids(start)
    except GitckptError as error:
        yield Finding(where=start[:12], what=error.message)
        return
    for oid in ids:
        yield from _broken(store, oid, seen)


def _law(before: Checkpoint | None, checkpoint: Checkpoint) -> Iterator[Finding]:
    where = f"{checkpoint.number:04d}"
    if checkpoint.manifest.schema > SCHEMA:
        return
    if before is None and checkpoint.parents:
        return  # cut off below (a shallow clone), or the one before is reported already
    if before is not None and (not checkpoint.parents or checkpoint.parents[0] != before.oid):
        yield Finding(where=where, what="its first parent is not the checkpoint before it")
        return
    try:
        follows = advance(before.manifest if before else None, checkpoint.events)
    except IllegalEvent as error:
        yield Finding(where=where, what=f"its events cannot have happened: {error}")
        return
    if follows != checkpoint.manifest:
        yield Finding(where=where, what="its manifest does not follow from its parent's and its events")
