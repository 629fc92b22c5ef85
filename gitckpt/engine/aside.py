"""Histories that are put aside: kept on `diverged/<n>` before anything else, then left, taken up again, or forgotten.

Owns these refs, and what else goes with a history that is left: its tags, its attempts. Deletes no commit's last ref.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from gitckpt.engine.beyond import Beyond, beyond
from gitckpt.engine.hold import Hold, moving_refs
from gitckpt.errors import GitckptError
from gitckpt.model.events import PhaseCompleted
from gitckpt.model.items import ItemsCompleted
from gitckpt.model.manifest import DONE, state_of
from gitckpt.model.names import Oid, PhaseName
from gitckpt.plumbing.refs import RefUpdate, list_refs, resolve, transact
from gitckpt.progress.events import Note
from gitckpt.store import refs
from gitckpt.store.store import Store


def keep_known(hold: Hold, found: Beyond) -> str | None:
    """Keep what is known beyond the branch on refs of its own, where none has it; what the newest of it is called."""
    updates = keeping(hold.store, found.heads)
    if updates:
        with moving_refs(hold):
            transact(hold.given.repository, updates, "gitckpt: kept, the branch has it no more")
        names = ", ".join(f"diverged@{update.name.rpartition('/')[2]}" for update in updates)
        hold.reporter(Note(f"kept what the branch has no more: {names} (git log {updates[0].name})"))
    return name_of(hold.store, found.newest) if found.heads else None


def keeping(store: Store, heads: Iterable[Oid]) -> list[RefUpdate]:
    """The refs that are to be made, so that each of the heads is on a history that is put aside."""
    there = store.diverged()
    held = {oid for tip in there.values() for oid in _line(store, tip)}
    number = max(there, default=0)
    updates = []
    for oid in heads:
        if oid not in held:
            number += 1
            updates.append(RefUpdate(f"{refs.diverged(store.workflow)}{number}", oid, None))
    return updates


def name_of(store: Store, oid: Oid) -> str | None:
    """The history put aside that ends with a checkpoint, or else one that has it."""
    there = store.diverged()
    found = [number for number, tip in there.items() if tip == oid]
    found += [number for number, tip in there.items() if oid in _line(store, tip)]
    return f"diverged@{found[0]}" if found else None


def leave(hold: Hold, found: Beyond) -> None:
    """Somebody goes on from the branch as it is. The tags and attempts of what is left make room for those to come."""
    kept = keep_known(hold, found)
    if found.kind != "behind" or kept is None:
        return
    stay = set(hold.store.ids())
    left = {oid for head in found.heads for oid in _line(hold.store, head)} - stay
    number = int(kept.rpartition("@")[2])
    updates = [*_tags_of(hold.store, left), *_attempts_of(hold.store, left, number)]
    if updates:
        with moving_refs(hold):
            transact(hold.given.repository, updates, f"gitckpt: left, kept as {kept}")
    since = f"what came after {found.tip:04d}, up to {found.number:04d}, is no more on the branch"
    hold.reporter(Note(f"{since}; it stays as {kept}, back there: gitckpt rollback {kept}"))
    done = _done_outside(hold, left)
    if done:
        hold.reporter(Note(f"outside this folder nothing is undone of what was done there: {', '.join(done)}"))


def _done_outside(hold: Hold, left: set[Oid]) -> tuple[PhaseName, ...]:
    """The phases with a `compensate` that were done, wholly or in part, in checkpoints that are left."""
    can = {phase.name for phase in hold.workflow.phases if phase.compensate}
    found: dict[PhaseName, None] = {}
    for oid in left if can else ():
        for event in hold.store.events(oid):
            if isinstance(event, PhaseCompleted | ItemsCompleted) and event.phase in can:
                found[event.phase] = None
    return tuple(name for name in (phase.name for phase in hold.workflow.phases) if name in found)


def _tags_of(store: Store, left: Collection[Oid]) -> list[RefUpdate]:
    start = refs.tags(store.workflow)
    return [RefUpdate(f"{start}{name}", None, oid) for name, oid in store.tags().items() if oid in left]


def _attempts_of(store: Store, left: set[Oid] | None, number: int) -> list[RefUpdate]:
    """The attempts made on what is left (None: all) get names beside it: their numbers come again."""
    start, aside = f"{refs.others(store.workflow)}attempts/", refs.left_attempts(store.workflow, number)
    there = list_refs(store.repository, aside)
    updates = []
    for name, oid in list_refs(store.repository, start).items():
        commit = store.reader.commit(oid)
        if left is None or (commit is not None and not left.isdisjoint(commit.parents[:1])):
            new, copy = aside + name.removeprefix(start), 1
            while there.get(new, oid) != oid:
                copy += 1
                new = f"{aside}{name.removeprefix(start)}.{copy}"
            # A kill in git's own transaction can have made it already.
            updates += [RefUpdate(new, oid, None)] if new not in there else []
            updates.append(RefUpdate(name, None, oid))
    return updates


def setting_forward(store: Store, found: Beyond, tip: Oid | None) -> list[RefUpdate]:
    """What sets the branch to the newest that is known. Histories put aside that are part of it are no more aside."""
    if found.kind not in ("behind", "gone"):
        return keeping(store, found.heads)
    line = set(_line(store, found.newest))
    aside = [(f"{refs.diverged(store.workflow)}{number}", oid) for number, oid in store.diverged().items()]
    return [
        RefUpdate(store.branch, found.newest, tip),
        *keeping(store, found.heads[1:]),
        *(RefUpdate(name, None, oid) for name, oid in aside if oid in line),
    ]


def take_known(hold: Hold) -> bool:
    """Where the branch is gone, set it to the newest that is known; whether it was."""
    found = beyond(hold.store, hold.place, hold.tip, hold.record)
    if hold.tip is not None or found is None or found.kind != "gone":
        return False
    newest = hold.store.checkpoint_at_tip(found.newest)
    with moving_refs(hold):
        transact(hold.given.repository, setting_forward(hold.store, found, None), "gitckpt: the newest that is known")
    hold.tip = newest
    hold.reporter(Note(f"set the branch, which was gone, to {found.number:04d}"))
    return True


def forget_history(hold: Hold, reason: str) -> tuple[str | None, tuple[PhaseName, ...]]:
    """Start over: all there is goes aside, so that the next run begins at 1. What it is called then, None where nothing
    of it is left; and the phases whose effects outside nobody will undo. Raises NoCheckpoints."""
    store, name = hold.store, hold.name
    found = beyond(store, hold.place, hold.tip, hold.record)
    if hold.tip is None and found is None:
        raise store.no_checkpoints()
    heads = [*([hold.tip.oid] if hold.tip else []), *(found.heads if found else ())]
    updates = keeping(store, heads)
    newest = found.newest if found is not None and found.heads else next(iter(heads), None)
    number = _number_for(store, newest, updates)
    if number is not None and newest is not None:
        marker = f"{refs.diverged(name)}{number}{refs.FORGOTTEN}"
        was = resolve(store.repository, marker)
        updates += [RefUpdate(marker, newest, was)] if was != newest else []
        updates += _attempts_of(store, None, number)
    updates += [RefUpdate(f"{refs.tags(name)}{tag}", None, oid) for tag, oid in store.tags().items()]
    updates += [RefUpdate(store.branch, None, hold.tip.oid)] if hold.tip else []
    owed = _owed(hold, newest)
    with moving_refs(hold):
        words = f"gitckpt: reset --forget: {reason}" if reason else "gitckpt: reset --forget"
        transact(hold.given.repository, updates, words)
    _forget_in_record(hold)
    hold.tip = None
    return (f"diverged@{number}" if number is not None else None), owed


def _number_for(store: Store, oid: Oid | None, updates: Iterable[RefUpdate]) -> int | None:
    if oid is None:
        return None
    made = next((update.name for update in updates if update.new == oid), None)
    known = name_of(store, oid)
    return int(made.rpartition("/")[2]) if made else int(known.rpartition("@")[2]) if known else None


def _owed(hold: Hold, newest: Oid | None) -> tuple[PhaseName, ...]:
    """What was done outside and will be on no branch any more."""
    if newest is None:
        return ()
    try:
        manifest = hold.store.manifest(newest)
    except GitckptError:
        return ()
    done = (
        phase.name
        for phase in hold.workflow.phases
        if phase.compensate and state_of(manifest, phase.name).status in DONE
    )
    return tuple(dict.fromkeys((*manifest.outside, *done)))


def _forget_in_record(hold: Hold) -> None:
    record, name = hold.record, hold.name
    hold.write_record(
        replace(
            record,
            bases={each: oid for each, oid in record.bases.items() if each != name},
            ahead={each: oid for each, oid in record.ahead.items() if each != name},
            attempt=None if record.attempt and record.attempt.workflow == name else record.attempt,
            landing=None if record.landing and record.landing.workflow == name else record.landing,
            unconcluded=tuple(each for each in record.unconcluded if each != name),
            views=tuple(view for view in record.views if view.under_way.workflow != name),
        )
    )


def _line(store: Store, tip: Oid) -> list[Oid]:
    try:
        return store.ids(tip)
    except GitckptError:
        return []
