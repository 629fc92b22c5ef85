"""Objects that the repository holds damaged or not at all: stored anew from what the workspace still has.

Owns the one way of healing, for every command that writes, and the check before files move: what is about to be
overwritten because a checkpoint has it is read there first, and what is to be written can be read. Deletes nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from gitckpt.engine.capturing import capture_rules
from gitckpt.engine.finding import Patient
from gitckpt.engine.hold import Hold
from gitckpt.engine.housekeeping import remember_pack
from gitckpt.engine.place import Place
from gitckpt.errors import ExitCode, GitckptError, ObjectUnreadable
from gitckpt.model.advance import advance
from gitckpt.model.amount import plural
from gitckpt.model.codec import encode_manifest
from gitckpt.model.names import Oid
from gitckpt.model.text import safe
from gitckpt.model.workflow import Workflow
from gitckpt.plumbing.content import Change, Content, Objects, compare, defaults_of, only_in
from gitckpt.plumbing.damage import packs_with
from gitckpt.plumbing.extra import USUAL
from gitckpt.plumbing.fresh import Fresh
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.sieve import Sieve, Tally
from gitckpt.progress.events import Note
from gitckpt.store.store import Store
from gitckpt.workspace.sought import Grounds, offer_all, offer_paths

Wanted: TypeAlias = Mapping[bytes, Oid] | Mapping[bytes, None]
"""Raw ids of objects, each with a commit that needs it, where that is known."""

NAMED = 5
"""So many lost files are named; `gitckpt verify` names all objects."""


@dataclass(eq=False)
class Lost(GitckptError):
    """What is needed can be read nowhere: not in the repository, nor in the workspace."""

    workflow: str
    what: tuple[str, ...]

    exit_code = ExitCode.CONFLICT
    untouched = "nothing was moved or recorded"

    @property
    def message(self) -> str:
        named = ", ".join(self.what[:NAMED]) + (f" and {len(self.what) - NAMED:,} more" if self.what[NAMED:] else "")
        return (
            f"workflow {self.workflow}: the content of these is damaged or gone in the repository, and your files "
            f"do not have it any more: {named}"
        )

    @property
    def hint(self) -> str:
        return (
            f"bring it from a clone: gitckpt doctor --repair, then {fetch_from_clone(self.workflow)}\n"
            "or put the file back as it was, from a copy of yours, then run the command again\n"
            "or go on from the files as they are here: gitckpt adopt\n"
            "see all that is damaged: gitckpt doctor"
        )


def fetch_from_clone(workflow: str) -> str:
    """The call that brings objects which the branch here should have: without --refetch git takes them for there. What
    is damaged has to be moved away first, for git takes that for there as well (measured)."""
    return f"git fetch --refetch CLONE gitckpt/{workflow}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ward:
    """A repository with damage, and where the bytes may still be. `texts`: of gitckpt's own that are known."""

    store: Store
    place: Place
    grounds: Grounds
    texts: tuple[bytes, ...] = ()


def ward_of(hold: Hold) -> Ward:
    """The ward of a command that writes."""
    return _ward(hold.store, hold.place, hold.workflow, hold.given.definition)


def ward_of_patient(patient: Patient) -> Ward:
    """The ward of `doctor` and `verify`."""
    return _ward(patient.store, patient.place, patient.workflow, b"")


def _ward(store: Store, place: Place, workflow: Workflow | None, definition: bytes) -> Ward:
    try:
        tip = store.tip()
        defaults = defaults_of(store.reader, tip.content) if tip else USUAL
    except GitckptError:
        defaults = USUAL
    try:
        live = (place.live / "state.json").read_bytes()
    except OSError:
        live = b""
    return Ward(
        store=store,
        place=place,
        grounds=Grounds(
            repository=store.repository,
            root=place.root,
            prefix=store.prefix,
            rules=capture_rules(workflow, os.environ) if workflow else None,
            defaults=defaults,
        ),
        texts=(definition, live),
    )


# --- healing --------------------------------------------------------------------------------------------------------


def heal(ward: Ward, wanted: Wanted, paths: Iterable[bytes] = ()) -> frozenset[bytes]:
    """Store anew those of the wanted objects whose bytes are found, durably; which. `paths`: where they should be.
    Raises PackFailed."""
    store = ward.store
    note_damaged(ward, wanted)
    with Sieve(store.repository, ward.place.owner, wanted) as pack:
        _offer(ward, pack, wanted, paths)
        found = [oid for oid in wanted if oid in pack]
        pack.finish()
    remember_pack(ward.place, pack.name)
    # Its git has noted them as damaged, and would not look for another copy.
    store.reader.close()
    return frozenset(found) - dict(store.reader.unsound(found)).keys()


def damaged_packs(place: Place) -> tuple[str, ...]:
    """The packs that were found to hold damaged objects, by name."""
    try:
        return tuple(dict.fromkeys((place.home / "damaged").read_text(encoding="ascii").split()))
    except (OSError, UnicodeDecodeError):
        return ()


def forget_damaged(place: Place) -> None:
    """Forget those of them that are not there any more."""
    folder = place.home.parent / "objects" / "pack"
    left = [name for name in damaged_packs(place) if (folder / f"{name}.pack").exists()]
    with contextlib.suppress(OSError):
        if left:
            (place.home / "damaged").write_text("".join(f"{name}\n" for name in left), encoding="ascii")
        else:
            (place.home / "damaged").unlink()


def note_damaged(ward: Ward, oids: Collection[bytes]) -> None:
    """Remember the packs that should hold these objects, until `doctor --repair` puts whole ones in their place."""
    new = sorted(packs_with(ward.store.repository, oids) - set(damaged_packs(ward.place)))
    if new:
        with contextlib.suppress(OSError), open(ward.place.home / "damaged", "a", encoding="ascii") as file:
            file.write("".join(f"{name}\n" for name in new))


def would_heal(ward: Ward, wanted: Wanted) -> frozenset[bytes]:
    """Which of the wanted objects `heal` would find. Changes nothing."""
    tally = Tally(ward.store.repository, wanted)
    _offer(ward, tally, wanted, ())
    return frozenset(tally.seen)


def _offer(ward: Ward, pack: Sieve | Tally, wanted: Wanted, paths: Iterable[bytes]) -> None:
    for text in (*ward.texts, *_states(ward.store, wanted.values())):
        pack.blob(text)
    offer_paths(ward.grounds, pack, paths)
    if not pack.has_all:
        offer_all(ward.grounds, pack)


def _states(store: Store, commits: Iterable[Oid | None]) -> Iterator[bytes]:
    """The states of checkpoints, made again from those before them and from what happened."""
    for oid in dict.fromkeys(commits):
        commit = store.reader.commit(oid) if oid else None
        if oid is None or commit is None:
            continue
        try:
            before = store.manifest(commit.parents[0]) if commit.parents else None
            yield encode_manifest(advance(before, store.events(oid)))
        except GitckptError:
            continue


# --- before anything moves ------------------------------------------------------------------------------------------


def secure(hold: Hold, before: Content, after: Content, unread: Pack | None = None) -> None:
    """Before the workspace goes from `before` to `after`: what it holds, and would lose, can be read in the repository
    or is stored anew; what it is to get can be read. `unread`: a pack that is not finished, and holds some of it.

    Raises Lost, with nothing changed.
    """
    changes, leaves = _difference(hold, before, after, unread)
    packs = [*hold.sealed, *([unread] if unread else [])]
    by_new = {c.new.oid: c.path for c in changes if c.new is not None and c.new.oid}
    asked = [oid for oid in leaves | by_new.keys() if not any(oid in pack for pack in packs)]
    unsound = dict(hold.store.reader.unsound(asked))
    if not unsound:
        return
    paths = [c.path for c in changes if any(item is not None and item.oid in unsound for item in (c.old, c.new))]
    healed = heal(ward_of(hold), dict.fromkeys(unsound), paths)
    missing = [oid for oid in by_new if oid in unsound and oid not in healed]
    if missing:
        raise lost(hold, missing, by_new)
    say_healed(hold, len(healed))


def _difference(
    hold: Hold, before: Content, after: Content, unread: Pack | None
) -> tuple[list[Change], frozenset[bytes]]:
    """What changes, and every object that only the content `before` has: its folders, too."""
    reader = hold.store.reader
    objects: Objects = Fresh(reader, unread) if unread is not None else reader
    tried: set[str] = set()
    while True:
        try:
            return compare(objects, before, after), frozenset(only_in(objects, before, after))
        except ObjectUnreadable as damaged:
            if damaged.oid in tried or not _is_id(damaged.oid):
                raise
            tried.add(damaged.oid)
            if not heal(ward_of(hold), {bytes.fromhex(damaged.oid): None}):
                raise lost(hold, [bytes.fromhex(damaged.oid)], {}) from None


def _is_id(text: str) -> bool:
    return len(text) >= 40 and not text.strip("0123456789abcdef")


def lost(hold: Hold, oids: Collection[bytes], paths: Mapping[bytes, bytes]) -> Lost:
    """The error for objects that could not be healed; `paths`: the files that they are."""
    files = sorted(safe(paths[oid]) for oid in oids if oid in paths)
    others = sorted(f"object {oid.hex()[:12]}" for oid in oids if oid not in paths)
    return Lost(hold.name, (*files, *others))


def say_healed(hold: Hold, count: int) -> None:
    """Tell that objects were healed, if any were."""
    if count:
        text = f"{plural(count, 'object')} of the history could not be read; stored anew from your files"
        hold.reporter(Note(f"{text} (what is damaged is moved away by: gitckpt doctor --repair)"))
