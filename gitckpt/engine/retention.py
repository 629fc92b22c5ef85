"""Dropping old runs from a history, when the user asks for it: the one time that a checkpoint gets another id.

Owns the order of effects: make the rest again, journal it as a landing that moves no file, then all refs at once. The
history as it was stays on `diverged/<n>` until it is forgotten. Deletes no object.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from gitckpt.engine.hold import Hold, moving_refs, open_pack
from gitckpt.engine.housekeeping import TAGGED_RUNS, note_pack
from gitckpt.engine.land import arrive
from gitckpt.engine.place import LandingUnderWay, Place
from gitckpt.errors import Busy, GitckptError
from gitckpt.execute.lock import Lock
from gitckpt.model.amount import plural
from gitckpt.model.codec import Damaged, loads
from gitckpt.model.names import Oid
from gitckpt.plumbing.refs import RefUpdate, list_refs, transact
from gitckpt.plumbing.usage import bytes_only_in
from gitckpt.store import refs
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.cut import Cut, find_cut, side_refs
from gitckpt.store.remake import Remaking
from gitckpt.store.store import Store

KEPT_RUNS = TAGGED_RUNS
"""So many runs stay where nothing else is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropping:
    """What goes, or went. Numbers are those of checkpoints; `attempts` and `rescues` are full ref names; `size` in
    bytes on disk, about, None where that could not be told; `kept_at` is the number of the diverged history."""

    runs: int
    runs_kept: int
    checkpoints: int
    first_kept: int
    attempts: tuple[str, ...]
    rescues: tuple[str, ...]
    size: int | None
    kept_at: int | None = None


def outlook(store: Store, keep_runs: int) -> Dropping | None:
    """What dropping all but the newest `keep_runs` runs would do; None: nothing. Changes nothing."""
    cut = find_cut(store, keep_runs)
    return _described(store, cut) if cut else None


def drop_runs(hold: Hold, keep_runs: int, reason: str) -> Dropping | None:
    """Drop the leading runs of a settled workspace's history; None where there are none to drop.

    Raises RefMoved with nothing changed, and what reading the history raises.
    """
    store = hold.store
    cut = find_cut(store, keep_runs)
    if cut is None:
        return None
    described = _described(store, cut)
    number = max(store.diverged(), default=0) + 1
    before = hold.at_tip
    kept_ref = f"{refs.diverged(hold.name)}{number}"
    with open_pack(hold) as pack:
        made = Remaking(store, pack, cut)
        updates = [RefUpdate(kept_ref, before.oid, None), *_moved(store, made, before.oid)]
        now = made.ids[before.oid]
        assert now is not None  # the tip is never dropped
        pack.finish()
        # A kill in git's own transaction can leave some refs moved: as with any landing, the branch decides.
        landing = LandingUnderWay(workflow=hold.name, to=now, before=before.oid, kept_ref=kept_ref)
        hold.write_record(replace(hold.record, landing=landing))
        words = f"gitckpt: gc, {plural(cut.runs, 'run')} dropped"
        transact(hold.given.repository, updates, f"{words}: {reason}" if reason else words)
        pack.release()
        note_pack(hold, pack.name)
    hold.tip = store.read(now)
    arrive(hold, hold.tip)
    _tell_others(hold, {old: new for old, new in made.ids.items() if new is not None})
    return replace(described, kept_at=number)


def forget(hold: Hold) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Let go of the histories that dropping runs put aside; the numbers of those, and of the ones that stay, because
    something else put them aside."""
    gone = forgettable(hold.store)
    there = hold.store.diverged()
    start = refs.diverged(hold.name)
    updates = [RefUpdate(f"{start}{number}", None, there[number]) for number in gone]
    for name, oid in list_refs(hold.given.repository, start).items():
        of, dash, _ = name.removeprefix(start).partition("-")
        if dash and of.isdigit() and int(of) in gone:
            updates.append(RefUpdate(name, None, oid))  # what went aside with it
    if updates:
        with moving_refs(hold):
            transact(hold.given.repository, updates, "gitckpt: gc --forget")
    return gone, tuple(sorted(set(there) - set(gone)))


def forgettable(store: Store) -> tuple[int, ...]:
    """The diverged histories whose newest checkpoint lives on, under another id, on the branch or on another of them.

    A history that an adoption or a repair put aside ends with a checkpoint that is nowhere else.
    """
    heirs = [store.ids()]
    found = []
    for number, tip in sorted(store.diverged().items(), reverse=True):
        if any(_lives_on(store, tip, ids) for ids in heirs):
            found.append(number)
            heirs.append(_whole(store, tip))
    return tuple(sorted(found))


def _whole(store: Store, tip: Oid) -> list[Oid]:
    try:
        return store.ids(tip)
    except GitckptError:
        return []


def _lives_on(store: Store, tip: Oid, ids: list[Oid]) -> bool:
    if not ids or tip in ids:
        return bool(ids)
    try:
        old = store.read(tip)
        back = store.manifest(ids[0]).sequence - old.number
        return 0 <= back < len(ids) and _mark(old) == _mark(store.read(ids[back]))
    except GitckptError:
        return False  # what cannot be read may be the only trace of something


def _mark(checkpoint: Checkpoint) -> object:
    """What making it again leaves as it is, all but the ids in it."""
    manifest = replace(checkpoint.manifest, goal=replace(checkpoint.manifest.goal, checkpoint=None))
    return checkpoint.content, manifest, checkpoint.author, checkpoint.seconds, checkpoint.title


def _described(store: Store, cut: Cut) -> Dropping:
    trees = [f"{oid}^{{tree}}" for oid in (cut.kept[0], cut.kept[-1], *cut.rescues.values())]
    return Dropping(
        runs=cut.runs,
        runs_kept=cut.runs_kept,
        checkpoints=len(cut.dropped),
        first_kept=store.manifest(cut.kept[0]).sequence,
        attempts=tuple(sorted(cut.attempts)),
        rescues=tuple(sorted(cut.rescues)),
        size=bytes_only_in(store.repository, [cut.dropped[-1], *cut.attempts.values()], trees),
    )


def _moved(store: Store, made: Remaking, tip: Oid) -> list[RefUpdate]:
    """All refs that move or go, the branch after those beside it: whatever a kill leaves, nothing is lost with it."""
    updates: list[RefUpdate] = []
    rescues = refs.rescues(store.workflow)
    for name, oid in side_refs(store).items():
        now = made.rescue(oid) if name.startswith(rescues) else made.attempt(oid)
        updates += [RefUpdate(name, now, oid)] if now != oid else []
    tags = {f"{refs.tags(store.workflow)}{name}": oid for name, oid in store.tags().items()}
    updates += [RefUpdate(name, made.ids[oid], oid) for name, oid in tags.items() if oid in made.ids]
    updates.append(RefUpdate(store.branch, made.ids[tip], tip))
    return sorted(updates, key=lambda update: update.new is None)


def _tell_others(hold: Hold, ids: Mapping[Oid, Oid]) -> None:
    """Other workspaces that are at a checkpoint of this history are at the same one still. One at work is left alone:
    it holds no base of ours, for the branch's lock is held here."""
    for folder in sorted(hold.place.folder.parent.glob("*/")):
        path = _path_in(folder)
        if path is None or folder.name == hold.place.owner:
            continue
        place = Place(hold.given.repository, path)
        if place.owner != folder.name:
            continue
        with ExitStack() as stack:
            try:
                stack.enter_context(Lock.take(place.lock))
                record = place.read()
            except (Busy, Damaged, OSError):
                continue
            now = ids.get(record.bases.get(hold.name, Oid("")))
            if now is not None:
                place.write(replace(record, bases={**record.bases, hold.name: now}))


def _path_in(folder: Path) -> Path | None:
    """The workspace that one of our folders is for."""
    try:
        record = loads((folder / "workspace.json").read_bytes(), "workspace.json")
    except (FileNotFoundError, NotADirectoryError, Damaged):
        return None
    path = record.get("path") if isinstance(record, dict) else None
    return Path(path) if isinstance(path, str) and path else None
