"""A content put together from a list of paths: for joining parts of two contents without touching a disk.

Owns the way from items back to trees, the same trees that a snapshot of such a workspace makes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gitckpt.plumbing.content import Content, Item
from gitckpt.plumbing.extra import (
    ENTRIES,
    HEADER,
    Defaults,
    Escaped,
    Extra,
    Said,
    encode_extra,
    encode_header,
    escaped_id,
    mirrored,
)
from gitckpt.plumbing.objects import DIRECTORY, EXECUTABLE, FILE, LINK, TreeEntry, refusable
from gitckpt.plumbing.pack import Pack

_Row = tuple[bytes, int, bytes]


@dataclass(slots=True)
class _Folder:
    """What is known of one folder while it is put together."""

    rows: list[_Row] = field(default_factory=list)
    mirrors: list[_Row] = field(default_factory=list)
    said: list[Extra] = field(default_factory=list)
    escaped: list[Escaped] = field(default_factory=list)


def build(
    pack: Pack, items: Mapping[bytes, Item], defaults: Defaults, not_kept: Mapping[bytes, Said] | None = None
) -> Content:
    """Write the trees that hold exactly `items` (folders of theirs that are missing get the default mode).

    `not_kept`: the sockets and devices to name, where nothing else has their place. The blobs must be stored already,
    or be in `pack`.
    """
    whole = _with_parents(items, defaults)
    folders: defaultdict[bytes, _Folder] = defaultdict(_Folder)
    escaped_rows: list[_Row] = []
    for path, item in whole.items():
        at = escape_at(path)
        if at is not None:
            owner = folders[path[: max(at - 1, 0)]]
            name = escaped_id(path) if item.oid else None
            owner.escaped.append(Escaped(path=path[at:], type=item.kind, mode=item.mode, id=name))
            if name is not None:
                escaped_rows.append((name.encode(), FILE, item.oid))
        elif item.kind == "dir":
            folders[path]
        else:
            _put(folders[_parent(path)], _name(path), item, defaults)
    for path, what in (not_kept or {}).items():
        if path not in whole and (_parent(path) in folders or not _parent(path)):
            folders[_parent(path)].said.append(Extra(name=_name(path), type=what, mode=0o644))
    return _trees(pack, folders, whole, defaults, escaped_rows)


def _trees(
    pack: Pack,
    folders: defaultdict[bytes, _Folder],
    whole: Mapping[bytes, Item],
    defaults: Defaults,
    escaped_rows: list[_Row],
) -> Content:
    below = sorted((path for path in folders if path), key=lambda path: path.count(b"/"), reverse=True)
    for path in below:
        made, parent, name = folders[path], folders[_parent(path)], _name(path)
        if made.rows:
            parent.rows.append((name, DIRECTORY, pack.tree(made.rows)))
        extra = _extra(pack, made)
        if extra:
            parent.mirrors.append((mirrored(name), DIRECTORY, pack.tree(extra)))
        if whole[path].mode != defaults.dir or not made.rows:
            parent.said.append(Extra(name=name, type="dir", mode=whole[path].mode))
    top = folders[b""]
    header = (HEADER, FILE, pack.blob(encode_header(defaults)))
    return Content(
        files=pack.tree(top.rows),
        extra=pack.tree([*_extra(pack, top), header]),
        escaped=pack.tree(escaped_rows) if escaped_rows else None,
    )


def entry_of(name: bytes, item: Item, defaults: Defaults) -> tuple[TreeEntry | None, Extra | None]:
    """How a link, FIFO or file stands in its folder's tree, and what `extra` says of it."""
    match item.kind:
        case "link":
            return TreeEntry(LINK, item.oid), None
        case "fifo":
            return None, Extra(name=name, type="fifo", mode=item.mode)
        case _:
            mode, usual = (EXECUTABLE, defaults.exec) if item.mode & 0o100 else (FILE, defaults.file)
            said = None if item.mode == usual else Extra(name=name, type="file", mode=item.mode)
            return TreeEntry(mode, item.oid), said


def _put(folder: _Folder, name: bytes, item: Item, defaults: Defaults) -> None:
    entry, said = entry_of(name, item, defaults)
    if entry is not None:
        folder.rows.append((name, entry.mode, entry.oid))
    if said is not None:
        folder.said.append(said)


def _extra(pack: Pack, folder: _Folder) -> list[_Row]:
    rows = list(folder.mirrors)
    if folder.said or folder.escaped:
        rows.append((ENTRIES, FILE, pack.blob(encode_extra(folder.said, folder.escaped))))
    return rows


def _with_parents(items: Mapping[bytes, Item], defaults: Defaults) -> dict[bytes, Item]:
    """The items, without what lies below something that is no folder, and with every folder on the way."""
    whole = dict(items)
    for path in items:
        for folder in folders_above(path):
            known = whole.get(folder)
            if known is None:
                whole[folder] = Item(kind="dir", mode=defaults.dir)
            elif known.kind != "dir":
                whole.pop(path, None)
                break
    return whole


def folders_above(path: bytes) -> Iterator[bytes]:
    """The folders that a path lies in, the topmost first."""
    at = path.find(b"/")
    while at >= 0:
        yield path[:at]
        at = path.find(b"/", at + 1)


def escape_at(path: bytes) -> int | None:
    """Where in the path its first component begins that git could refuse."""
    at = 0
    for component in path.split(b"/"):
        if refusable(component):
            return at
        at += len(component) + 1
    return None


def _parent(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]
