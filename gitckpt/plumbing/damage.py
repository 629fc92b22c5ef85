"""Packs in which objects are damaged: which they are, and putting a whole one in the place of each.

Git reads another copy of an object where one is damaged, whichever pack it finds first (measured, also with a
multi-pack-index); but `git fsck` fails as long as the damaged pack lies there. Owns the look-up in pack indexes and the
exchange. Deletes no object: what is damaged is moved away.
"""

from __future__ import annotations

import mmap
import os
import secrets
import struct
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from gitckpt.errors import RepositoryNotWritable
from gitckpt.plumbing.process import git
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository

_MAGIC = b"\377tOc\0\0\0\2"
_FANOUT = 8
_NAMES = _FANOUT + 4 * 256
_MOST_HELD = 1_000_000
_ENDINGS = (".idx", ".rev", ".bitmap", ".mtimes", ".keep", ".pack")
"""Of a pack's files, in the order in which they go: without its index git does not look at it."""


def packs_with(repository: Repository, oids: Collection[bytes]) -> frozenset[str]:
    """The names (`pack-<hex>`) of the packs that should hold any of the objects, by their indexes."""
    folder = _folder(repository)
    found = set()
    for name in _names(folder):
        try:
            with open(os.path.join(folder, name + ".idx"), "rb") as file, _mapped(file.fileno()) as index:
                if any(_holds(index, oid) for oid in oids):
                    found.add(name)
        except (OSError, ValueError, struct.error):
            continue  # one that cannot be read holds nothing for git, either
    return frozenset(found)


def packed(repository: Repository) -> frozenset[bytes]:
    """The raw ids of all that is in packs; of none where there are too many to hold. 10,000 take 2 ms, where git takes
    100 to say that they are there."""
    folder, width = _folder(repository), len(repository.null)
    found: set[bytes] = set()
    for name in _names(folder):
        found.update(_listed(folder, name, width))
        if len(found) > _MOST_HELD:
            return frozenset()
    return frozenset(found)


def exchange(repository: Repository, reader: Reader, name: str, aside: Path) -> Path | None:
    """Put a pack with the objects of the pack `name` in its place, taken from wherever they are whole, and move that
    one into the folder `aside`; where it is now. None, with nothing changed, where it is not git's to move.

    An object that is nowhere whole is missing from then on: only so git takes it from a clone. Raises GitFailed,
    RepositoryNotWritable.
    """
    folder = _folder(repository)
    listed = _listed(folder, name, len(repository.null))
    # Without an index it was on its way already: git does not look at what is left of it.
    is_seen = os.path.exists(os.path.join(folder, name + ".idx"))
    if (is_seen and not listed) or os.path.exists(os.path.join(folder, name + ".promisor")):
        return None
    unsound = dict(reader.unsound(listed))
    oids = [oid for oid in listed if oid not in unsound]
    try:
        aside.mkdir(mode=0o700, parents=True, exist_ok=True)
        if oids:
            _store(repository, oids, aside)
        _drop_multi_pack_index(folder)
        target = aside / name
        number = 1
        while os.path.lexists(f"{target}.pack"):
            number += 1
            target = aside / f"{name}.{number}"
        for ending in _ENDINGS:
            if os.path.lexists(os.path.join(folder, name + ending)):
                os.rename(os.path.join(folder, name + ending), f"{target}{ending}")
    except OSError as error:
        raise RepositoryNotWritable(str(error.filename or folder), error.strerror or str(error)) from None
    reader.close()  # its git has the old one open
    return Path(f"{target}.pack")


def _store(repository: Repository, oids: Sequence[bytes], aside: Path) -> None:
    """A pack of these objects, durably. Git's own name for it could be that of the damaged one."""
    folder = _folder(repository)
    made = os.path.join(aside, f"whole-{secrets.token_hex(8)}")
    lines = b"".join([oid.hex().encode("ascii") + b"\n" for oid in oids])
    told = git(repository, "pack-objects", "-q", "--window=0", made, stdin=lines, timeout=600)
    stem = f"{made}-{told.decode('ascii').strip()}"
    final = os.path.join(folder, "pack-" + secrets.token_hex(len(repository.null)))
    for ending in (".pack", ".rev", ".idx"):
        if os.path.exists(stem + ending):
            os.rename(stem + ending, final + ending)


def _drop_multi_pack_index(folder: str) -> None:
    """It speaks of a pack that goes. It is made of the packs' own indexes, so git can make it anew at any time."""
    for name in os.listdir(folder):
        if name.startswith("multi-pack-index"):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                os.unlink(path)


def _folder(repository: Repository) -> str:
    return os.path.join(repository.common_dir, "objects", "pack")


def _names(folder: str) -> list[str]:
    try:
        return sorted(name.removesuffix(".idx") for name in os.listdir(folder) if name.endswith(".idx"))
    except OSError:
        return []


def _mapped(number: int) -> mmap.mmap:
    return mmap.mmap(number, 0, access=mmap.ACCESS_READ)


def _holds(index: mmap.mmap, oid: bytes) -> bool:
    low, high = _row(index, oid[0])
    width = len(oid)
    while low < high:
        middle = (low + high) // 2
        at = _NAMES + middle * width
        there = index[at : at + width]
        if there == oid:
            return True
        low, high = (middle + 1, high) if there < oid else (low, middle)
    return False


def _row(index: mmap.mmap, first: int) -> tuple[int, int]:
    """Between which places the ids with this first byte are."""
    if index[:_FANOUT] != _MAGIC:
        raise ValueError("not an index of version 2")
    at = _FANOUT + 4 * first
    (high,) = struct.unpack(">L", index[at : at + 4])
    low = struct.unpack(">L", index[at - 4 : at])[0] if first else 0
    return low, high


def _listed(folder: str, name: str, width: int) -> list[bytes]:
    try:
        with open(os.path.join(folder, name + ".idx"), "rb") as file, _mapped(file.fileno()) as index:
            return list(_all(index, width))
    except (OSError, ValueError, struct.error):
        return []


def _all(index: mmap.mmap, width: int) -> Iterator[bytes]:
    _, count = _row(index, 255)
    for at in range(_NAMES, _NAMES + count * width, width):
        yield index[at : at + width]
