"""Whether what a run is about to build on can be read: looked at cheaply, and healed where it cannot.

Owns the look: every object of the newest checkpoint is there (asked again only when a pack or a loose object that it
may lie in has gone), and a sample of them is read. Only `verify` reads all.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Collection, Iterator

import msgspec

from gitckpt.engine.healing import Lost, heal, lost, say_healed, ward_of
from gitckpt.engine.hold import Hold
from gitckpt.errors import GitFailed, ObjectUnreadable
from gitckpt.model.manifest import is_complete
from gitckpt.model.names import Oid
from gitckpt.plumbing.damage import packed
from gitckpt.plumbing.objects import DIRECTORY, GITLINK
from gitckpt.plumbing.reach import faults
from gitckpt.plumbing.repository import Repository
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.layout import folder
from gitckpt.workspace.statcache import FIELDS, Record, StatCache

LEAST = 32
"""So many objects are read in any case."""

_AT_ONCE = 32
_MOST = 2_000
_IDLE = (0.002, 1 << 20)
"""Seconds, and bytes of files, for the sample where nothing is left to do."""
_BUSY = (0.02, 16 << 20)
"""The same where the run will build on it."""
_ROUNDS = 50
"""Below a folder that is healed more can be missing; no folder is so deep."""


class _Looked(msgspec.Struct):
    """Where the objects lay when all were there. `packs`: those that are not noted as ours, with their sizes; `gone`:
    ours that had gone; `loose`: the folders of loose objects that were needed, with their times."""

    packs: dict[str, int]
    gone: list[str]
    loose: dict[str, int]


def require_whole(hold: Hold) -> None:
    """The newest checkpoint can be built on. What is damaged is stored anew from the workspace; raises Lost where that
    is impossible, with nothing else changed."""
    tip = hold.tip
    if tip is None or not _is_suspect(hold, tip):
        return
    try:
        hold.store.ids(tip.oid)
    except GitFailed:
        raise Lost(hold.name, (f"the checkpoints before {tip.number:04d}",)) from None
    healed = 0
    for _ in range(_ROUNDS):
        found_bad = faults(hold.given.repository, hold.store.reader, tip.oid, _outputs(hold, tip))
        bad = {bytes.fromhex(oid): why for oid, why in found_bad}
        if not bad:
            break
        paths = _paths_of(hold, tip, bad)
        found = heal(ward_of(hold), dict.fromkeys(bad, tip.oid), paths.values())
        if not found:
            raise lost(hold, bad, paths)
        healed += len(found)
    say_healed(hold, healed)
    _has_gone(hold, tip)


def _is_suspect(hold: Hold, tip: Checkpoint) -> bool:
    try:
        return _has_gone(hold, tip) or _sample_is_bad(hold, tip)
    except ObjectUnreadable:
        return True


def _outputs(hold: Hold, tip: Checkpoint) -> set[Oid]:
    """What phases printed: no run builds on it, and none must end for it."""
    reader = hold.store.reader
    try:
        commit = reader.commit(tip.oid)
        entry = folder(reader, commit, hold.store.prefix).own.get(b"output") if commit else None
        trees = [each.oid for each in reader.tree(entry.oid).values()] if entry else []
        return {Oid(log.oid.hex()) for tree in trees for log in reader.tree(tree).values()}
    except ObjectUnreadable:
        return set()


# --- is everything there? -------------------------------------------------------------------------------------------


def _has_gone(hold: Hold, tip: Checkpoint) -> bool:
    """Whether something that the checkpoint needs is not there. Where nothing that held it has gone, it is."""
    before, packs, ours = _read(hold), _packs(hold.given.repository), _ours(hold)
    if before is not None:
        there = all(packs.get(name) == size for name, size in before.packs.items())
        noted = all(name in packs or name in before.gone for name in ours)
        if there and noted and all(_mtime(hold, name) == when for name, when in before.loose.items()):
            new = {name: size for name, size in packs.items() if name not in ours}
            if new != before.packs:
                _write(hold, _Looked(new, before.gone, before.loose))
            return False
    in_packs = packed(hold.given.repository)
    beside = [oid for oid in _ids(hold, tip) if oid not in in_packs]
    if any(True for _ in hold.store.reader.missing(beside)):
        return True
    _note(hold, beside)
    return False


def _note(hold: Hold, beside: Collection[bytes]) -> None:
    """Remember where the objects are, all of which are there. `beside`: those that are in no pack."""
    packs, ours = _packs(hold.given.repository), _ours(hold)
    loose = {oid.hex()[:2] for oid in beside if os.path.exists(_loose(hold, oid.hex()))}
    _write(
        hold,
        _Looked(
            packs={name: size for name, size in packs.items() if name not in ours},
            gone=sorted(ours - packs.keys()),
            loose={name: _mtime(hold, name) for name in loose},
        ),
    )


def _ids(hold: Hold, tip: Checkpoint) -> Iterator[bytes]:
    """Every object of the checkpoint's commit, once. Raises ObjectUnreadable for a folder that cannot be read."""
    seen: set[bytes] = set()
    commit = hold.store.reader.commit(tip.oid)
    todo = [(commit.tree, True)] if commit else []
    yield bytes.fromhex(tip.oid)
    while todo:
        oid, is_folder = todo.pop()
        if oid in seen:
            continue
        seen.add(oid)
        yield oid
        if is_folder:
            entries = hold.store.reader.tree(oid).values()
            todo += [(entry.oid, entry.mode == DIRECTORY) for entry in entries if entry.mode != GITLINK]


def _packs(repository: Repository) -> dict[str, int]:
    """The packs that have an index, by name, with their sizes."""
    found: dict[str, int] = {}
    with contextlib.suppress(OSError), os.scandir(repository.common_dir / "objects" / "pack") as entries:
        listed = {entry.name: entry for entry in entries}
        for name, entry in listed.items():
            stem = name.removesuffix(".pack")
            if stem != name and stem + ".idx" in listed:
                found[stem] = entry.stat().st_size
    return found


def _ours(hold: Hold) -> frozenset[str]:
    try:
        return frozenset((hold.place.home / "packs").read_text(encoding="ascii").split())
    except (OSError, UnicodeDecodeError):
        return frozenset()


def _loose(hold: Hold, oid: str) -> str:
    return os.path.join(hold.given.repository.common_dir, "objects", oid[:2], oid[2:])


def _mtime(hold: Hold, name: str) -> int:
    try:
        return os.stat(os.path.join(hold.given.repository.common_dir, "objects", name)).st_mtime_ns
    except OSError:
        return 0


def _read(hold: Hold) -> _Looked | None:
    try:
        return msgspec.json.decode((hold.place.folder / "whole.json").read_bytes(), type=_Looked)
    except (OSError, msgspec.MsgspecError):
        return None


def _write(hold: Hold, looked: _Looked) -> None:
    """It only spares work: a power cut may take it."""
    with contextlib.suppress(OSError):
        (hold.place.folder / "whole.json.new").write_bytes(msgspec.json.encode(looked))
        os.replace(hold.place.folder / "whole.json.new", hold.place.folder / "whole.json")


# --- a sample of it -------------------------------------------------------------------------------------------------


def _sample_is_bad(hold: Hold, tip: Checkpoint) -> bool:
    seconds, size = _IDLE if is_complete(tip.manifest) else _BUSY
    drawn = list(_drawn(hold.cache, size)) or list(_ids_of_few(hold, tip))
    until = time.monotonic() + seconds
    for at in range(0, len(drawn), _AT_ONCE):
        if at >= LEAST and time.monotonic() > until:
            return False
        if any(True for _ in hold.store.reader.unsound(drawn[at : at + _AT_ONCE])):
            return True
    return False


def _drawn(cache: StatCache, size: int) -> Iterator[bytes]:
    """Objects as the last scan knew them, from a folder and a name drawn by lot on; of files, bytes up to `size`."""
    paths = list(cache.folders)
    start = random.randrange(len(paths)) if paths else 0
    left, count = size, 0
    for path in (*paths[start:], *paths[:start]):
        record = cache.folders[path]
        for oid, weight in _of_folder(record, cache.width, is_top=not path):
            if weight <= left:
                left -= weight
                count += 1
                yield oid
            if count >= _MOST:
                return


def _of_folder(record: Record, width: int, *, is_top: bool) -> Iterator[tuple[bytes, int]]:
    """The ids that a folder is known by, each with the bytes of its file. The topmost tree is in no commit."""
    blank = bytes(width)
    if record.settled:
        yield from ((oid, 0) for oid in (b"" if is_top else record.tree, record.extra, record.said) if oid.strip(b"\0"))
    count = len(record.oids) // width
    start = random.randrange(count) if count else 0
    sizes = memoryview(record.stats).cast("q") if record.stats else memoryview(b"").cast("q")
    for index in (*range(start, count), *range(start)):
        oid = record.oids[index * width : index * width + width]
        if oid != blank:
            yield oid, sizes[index * FIELDS + 2]


def _ids_of_few(hold: Hold, tip: Checkpoint) -> Iterator[bytes]:
    """Some of the checkpoint itself, where no scan is known."""
    for count, oid in enumerate(_ids(hold, tip)):
        if count == 2 * LEAST:
            return
        yield oid


def _paths_of(hold: Hold, tip: Checkpoint, wanted: Collection[bytes]) -> dict[bytes, bytes]:
    """A path of each of the wanted files, as far as the folders can be read."""
    found: dict[bytes, bytes] = {}
    todo = [(b"", tip.content.files)]
    while todo:
        above, tree = todo.pop()
        if tree in wanted and tree != tip.content.files:
            continue
        for name, entry in hold.store.reader.tree(tree).items():
            path = above + b"/" + name if above else name
            if entry.oid in wanted:
                found.setdefault(entry.oid, path)
            if entry.mode == DIRECTORY:
                todo.append((path, entry.oid))
    return found
