"""`doctor --repair`: what can be mended without guessing is mended, and nothing that could be evidence is lost.

Owns two steps. The first needs no readable checkpoint: it clears away what a killed command left, and sets a damaged
branch back. The second works as every writing command does: it settles what was under way, and makes tags again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gitckpt.engine.aside import setting_forward
from gitckpt.engine.beyond import beyond
from gitckpt.engine.finding import Patient
from gitckpt.engine.healing import damaged_packs, forget_damaged, heal, note_damaged, ward_of_patient
from gitckpt.engine.history_findings import broken_branch, known_checkpoints, wanted_tags
from gitckpt.engine.hold import Hold, moving_refs
from gitckpt.engine.place_findings import own_refs
from gitckpt.engine.settle import settle
from gitckpt.errors import GitckptError, RepositoryNotWritable
from gitckpt.execute.lock import Lock
from gitckpt.model.amount import plural
from gitckpt.model.codec import Damaged
from gitckpt.plumbing.damage import exchange
from gitckpt.plumbing.loose import move_away, unreadable_loose
from gitckpt.plumbing.packfiles import leftovers, sweep
from gitckpt.plumbing.refs import RefUpdate, locked_refs, remove_own_locks, transact
from gitckpt.store import refs
from gitckpt.store.soundness import Unsound, is_elsewhere, newest_of, unsound_tip
from gitckpt.store.verify import verify


@contextmanager
def locked(patient: Patient) -> Iterator[None]:
    """Both locks, without asking for a checkpoint that can be read. Raises Busy, CannotRecord."""
    place = patient.place
    place.make()
    with ExitStack() as stack:
        for path in (place.lock, *place.others(), place.branch_lock(patient.store.workflow)):
            stack.enter_context(Lock.take(path))
        yield


def clear_away(patient: Patient) -> list[str]:
    """The first step, with the locks held; what was done, in sentences.

    Raises BranchCheckedOut before any ref moves.
    """
    store, place = patient.store, patient.place
    done: list[str] = []
    locks = locked_refs(store.repository, *own_refs(store))
    remove_own_locks(store.repository, *own_refs(store))
    done += [f"removed the lock {name}.lock" for name in locks]
    parts = leftovers(store.repository, place.owner)
    sweep(store.repository, place.owner)
    place.sweep()
    done += [f"removed the unfinished file {os.path.basename(path)}" for path in parts]
    done += _set_record_aside(patient)
    quarantine = place.home / "quarantine"
    damaged = [oid for oid, _ in unreadable_loose(store.repository)]
    if damaged:
        store.reader.close()  # its process may have read them, or have them open
        done += [f"moved an unreadable object to {path}" for path in move_away(store.repository, damaged, quarantine)]
    store.require_writable()
    done += _mend_branch_file(patient, quarantine)
    done += _heal(patient)
    done += _exchange_packs(patient, quarantine)
    unsound = unsound_tip(store, known_checkpoints(patient))
    if unsound is not None and not is_elsewhere(store, unsound.tip):
        done += _set_back(patient, unsound)
    done += _set_forward(patient)
    return done


def _set_record_aside(patient: Patient) -> list[str]:
    """A record that cannot be read is kept beside: without it this workspace is a copy, and the user decides."""
    place = patient.place
    try:
        place.read()
    except Damaged:
        path = _moved(place.folder / "workspace.json", place.home / "quarantine" / f"{place.owner}-workspace.json")
        return [f"moved the damaged record of this workspace to {path}"]
    return []


def _mend_branch_file(patient: Patient, quarantine: Path) -> list[str]:
    store = patient.store
    broken = broken_branch(store)
    best = newest_of(store, known_checkpoints(patient)) if broken else None
    if broken is None or best is None:
        return []
    path = _moved(Path(broken), quarantine / f"branch-{store.workflow}")
    packed = store.tip_oid()  # what the file hid, from when git packed the ref last
    if packed != best:
        transact(store.repository, [RefUpdate(store.branch, best, packed)], "gitckpt: doctor --repair")
    number = store.manifest(best).sequence
    return [f"set the branch, whose file was damaged (now {path}), to {number:04d}"]


def _heal(patient: Patient) -> list[str]:
    """Store anew what your files still hold of the objects that cannot be read."""
    store, done = patient.store, 0
    while store.tip_oid() is not None:
        # A folder that can be read again may name others that cannot.
        lacking = verify(store).lacking
        note_damaged(ward_of_patient(patient), lacking)
        healed = heal(ward_of_patient(patient), lacking) if lacking else frozenset[bytes]()
        done += len(healed)
        if not healed:
            break
    return [f"stored {plural(done, 'object')} anew, from your files, that could not be read"] if done else []


def _exchange_packs(patient: Patient, quarantine: Path) -> list[str]:
    """Packs that hold damaged objects make room for whole ones: for what is stored elsewhere by now, or lost here."""
    store, done = patient.store, []
    names = damaged_packs(patient.place)
    for name in names:
        moved = exchange(store.repository, store.reader, name, quarantine)
        if moved is not None:
            done.append(f"put a whole pack in the place of a damaged one, which is now {moved}")
    forget_damaged(patient.place)
    return done


def _set_back(patient: Patient, unsound: Unsound) -> list[str]:
    """The damaged tip stays on a ref of its own; its tags would be in the way of the next checkpoints."""
    store = patient.store
    if unsound.sound is None:
        return []
    passed = frozenset(unsound.passed)
    name = f"{refs.diverged(store.workflow)}{max(store.diverged(), default=0) + 1}"
    kept = store.reader.has(bytes.fromhex(unsound.tip))
    tags = {f"{refs.tags(store.workflow)}{tag}": oid for tag, oid in store.tags().items() if oid in passed}
    updates = [
        *([RefUpdate(name, unsound.tip, None)] if kept else []),
        RefUpdate(store.branch, unsound.sound, unsound.tip),
        *(RefUpdate(tag, None, oid) for tag, oid in tags.items()),
    ]
    transact(store.repository, updates, f"gitckpt: doctor --repair, {unsound.why}")
    number = store.manifest(unsound.sound).sequence
    where = f"kept on {name}" if kept else f"the object {unsound.tip} is not there to be kept"
    return [f"set the branch back to {number:04d}; the damaged tip {unsound.tip[:12]}: {where}"]


def _set_forward(patient: Patient) -> list[str]:
    """A branch that was moved back, or is gone, has again what is known of it; of another history it is only kept."""
    store = patient.store
    try:
        tip = store.tip()
    except GitckptError:
        return []  # what is wrong with it is said
    found = beyond(store, patient.place, tip)
    updates = setting_forward(store, found, tip.oid if tip else None) if found else []
    if found is None or not updates:
        return []
    transact(store.repository, updates, "gitckpt: doctor --repair, the newest that is known")
    if found.kind == "other":
        return [f"kept what this workspace is at, {found.number:04d}, on {updates[0].name}"]
    was = f" forward from {found.tip:04d}" if tip else ", which was gone,"
    return [f"set the branch{was} to {found.number:04d}, which {found.who} knows"]


def _moved(path: Path, target: Path) -> Path:
    free, number = target, 1
    while os.path.lexists(free):
        number += 1
        free = target.with_name(f"{target.name}.{number}")
    try:
        free.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.rename(path, free)
    except OSError as error:
        raise RepositoryNotWritable(str(path), error.strerror or str(error)) from None
    return free


def settle_and_tag(hold: Hold) -> list[str]:
    """The second step: finish what an unclean end left under way, and make tags again. Raises what `settle` does."""
    done: list[str] = []
    record = hold.record
    is_unclean = record.attempt is not None or record.landing is not None or record.refs_moving
    if is_unclean or record.views or record.ahead or any(hold.place.views.glob("*")):
        settle(hold)
        done.append("cleared up after the command that was killed")
    there = hold.store.tags()
    prefix = refs.tags(hold.name)
    missing = {name: oid for name, oid in wanted_tags(hold.store).items() if name.removeprefix(prefix) not in there}
    if missing:
        with moving_refs(hold):
            updates = [RefUpdate(name, oid, None) for name, oid in missing.items()]
            transact(hold.given.repository, updates, "gitckpt: doctor --repair, tags")
        done += [f"made the tag {name.removeprefix('refs/tags/')} again" for name in missing]
    return done
