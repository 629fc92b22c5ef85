"""The modification times of captured files, in a checkpoint: the folder `mtimes` of gitckpt's own folder.

Owns its form: a blob for each folder, so that what did not change is not stored again. Each time stands with the id of
the bytes that it belongs to; for other bytes it says nothing. Must not know where times come from, nor set any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias

import msgspec

from gitckpt.errors import ObjectUnreadable
from gitckpt.model.names import Oid
from gitckpt.plumbing.extra import Base64Name, escaped_id, name_in, name_out
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import TreeEntry
from gitckpt.store.layout import FILE, commit_of, folder
from gitckpt.store.store import Store

NAME = b"mtimes"

FolderTimes: TypeAlias = Mapping[bytes, tuple[bytes, int]]
"""Name to the id of the bytes and the mtime (ns)."""

Mtimes: TypeAlias = Mapping[bytes, FolderTimes]
"""By the folder's path."""


class Reading(Protocol):
    """What is read from: a Reader, or a pack that is not finished yet over one."""

    def tree(self, oid: bytes) -> dict[bytes, TreeEntry]: ...

    def blob(self, oid: bytes) -> bytes: ...


class _File(msgspec.Struct):
    name: str | Base64Name
    id: str
    mtime: int


class _Folder(msgspec.Struct):
    folder: str | Base64Name
    files: list[_File]


def write_mtimes(pack: Pack, mtimes: Mtimes) -> bytes | None:
    """The tree; None where there is nothing to say."""
    rows = [
        (escaped_id(path).encode(), FILE, pack.blob(_encode(path, files)))
        for path, files in sorted(mtimes.items())
        if files
    ]
    return pack.tree(rows) if rows else None


def _encode(path: bytes, files: FolderTimes) -> bytes:
    said = _Folder(
        folder=name_out(path),
        files=[_File(name=name_out(name), id=oid.hex(), mtime=mtime) for name, (oid, mtime) in sorted(files.items())],
    )
    return msgspec.json.format(msgspec.json.encode(said, order="sorted"), indent=1) + b"\n"


def read_mtimes(reader: Reading, tree: bytes | None) -> dict[bytes, dict[bytes, tuple[bytes, int]]]:
    """What the tree says. A blob that cannot be read or understood says nothing: a time is never worth failing for."""
    found: dict[bytes, dict[bytes, tuple[bytes, int]]] = {}
    for entry in (reader.tree(tree) if tree else {}).values():
        try:
            said = msgspec.json.decode(reader.blob(entry.oid), type=_Folder)
            files = {name_in(each.name): (bytes.fromhex(each.id), each.mtime) for each in said.files}
        except (ObjectUnreadable, ValueError):
            continue
        found[name_in(said.folder)] = files
    return found


def with_times(mtimes: Mtimes, news: Mapping[bytes, tuple[bytes, int]]) -> Mtimes:
    """The times with those of other paths put over them."""
    joined = {path: dict(files) for path, files in mtimes.items()}
    for path, stamp in news.items():
        above, _, name = path.rpartition(b"/")
        joined.setdefault(above, {})[name] = stamp
    return joined


def mtimes_at(store: Store, oid: Oid) -> bytes | None:
    """The tree as of a commit; None where it has none."""
    entry = folder(store.reader, commit_of(store.reader, oid), store.prefix).own.get(NAME)
    return entry.oid if entry else None
