"""What a workspace holds, as three trees: the files, what a git tree cannot say about them, and the paths git
would refuse. Owns how they are read as one list of paths, and what differs between two; knows neither disks
nor checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gitckpt.errors import ObjectUnreadable
from gitckpt.plumbing.extra import (
    ENTRIES,
    HEADER,
    MODE_BITS,
    USUAL,
    Defaults,
    Escaped,
    Extra,
    Kind,
    Said,
    decode_extra,
    decode_header,
    defaults_under,
    encode_extra,
    encode_header,
    escaped_id,
    mirrored,
)
from gitckpt.plumbing.objects import DIRECTORY, EXECUTABLE, GITLINK, LINK, TreeEntry, refusable

if TYPE_CHECKING:  # whoever only reads does not wait for what writes
    from gitckpt.plumbing.pack import Pack

__all__ = [
    "ENTRIES",
    "HEADER",
    "MODE_BITS",
    "USUAL",
    "Change",
    "Content",
    "Defaults",
    "Escaped",
    "Extra",
    "Item",
    "Kind",
    "Lookup",
    "Objects",
    "Said",
    "compare",
    "decode_extra",
    "decode_header",
    "defaults_of",
    "defaults_under",
    "encode_extra",
    "encode_header",
    "escaped_id",
    "list_content",
    "mirrored",
    "nest",
    "not_kept",
    "only_in",
    "said_in",
    "unnest",
]


class Objects(Protocol):
    """Where trees and blobs are read by raw id: a Reader, or one that sees an unfinished pack as well."""

    def tree(self, oid: bytes) -> dict[bytes, TreeEntry]:
        """The entries by name; not to be changed. Raises ObjectUnreadable."""

    def blob(self, oid: bytes) -> bytes:
        """The content. Raises ObjectUnreadable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Raw tree ids: the captured files (relative to the workspace's top, without `.gitckpt`), `extra`, `escaped`."""

    files: bytes
    extra: bytes | None = None
    escaped: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One path: its kind, its permission bits (0 for a link), and its blob's raw id (b"" for a folder or a FIFO)."""

    kind: Kind
    mode: int
    oid: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One path that differs; None where it is absent."""

    path: bytes
    old: Item | None
    new: Item | None


@dataclass(frozen=True, slots=True)
class _Folder:
    """The trees that speak of one folder: its files and its part of `extra`; either may be absent."""

    files: bytes | None = None
    extra: bytes | None = None


_NOWHERE = _Folder()


@dataclass(frozen=True, slots=True)
class _Rows:
    """The trees of one folder, read: its files, its part of `extra`, and what that says in words."""

    files: dict[bytes, TreeEntry]
    mirror: dict[bytes, TreeEntry]
    said: dict[bytes, Extra]
    escaped: tuple[Escaped, ...]


@dataclass(frozen=True, slots=True)
class _Level:
    """One folder read: its items by path relative to it (escaped ones may lie deeper), and its subfolders by name."""

    items: dict[bytes, Item] = field(default_factory=dict)
    folders: dict[bytes, _Folder] = field(default_factory=dict)


class _Side:
    """One content being read. Raises ObjectUnreadable where it is damaged or names what no folder holds."""

    def __init__(self, reader: Objects, content: Content | None) -> None:
        self._reader = reader
        self.escaped = reader.tree(content.escaped) if content and content.escaped else {}
        self.defaults = defaults_of(reader, content)
        self.top = _Folder(content.files, content.extra) if content else _NOWHERE

    def rows(self, folder: _Folder) -> _Rows:
        """Read the trees of one folder."""
        files = self._reader.tree(folder.files) if folder.files else {}
        mirror = self._reader.tree(folder.extra) if folder.extra else {}
        return _Rows(files, mirror, *said_in(self._reader, mirror))

    def level(self, rows: _Rows, path: bytes, names: set[bytes] | None = None) -> _Level:
        """The folder at `path` (b"" or ending with a slash); of what is right in it only the `names`, where given."""
        level = _Level()
        files, mirror, said = rows.files, rows.mirror, rows.said
        if names is not None:
            files = {name: files[name] for name in names if name in files}
            said = {name: said[name] for name in names if name in said}
        for name, entry in files.items():
            if refusable(name):
                raise ObjectUnreadable(entry.oid.hex(), f"the name {name!r} in {path!r} is not one of a folder's")
            level.items[name] = self._item(entry, said.get(name))
            if entry.mode == DIRECTORY:
                level.folders[name] = _Folder(entry.oid, _tree_in(mirror, mirrored(name)))
        for name, extra in said.items():
            if name in files:
                continue
            if extra.type == "dir":
                level.items[name] = Item(kind="dir", mode=extra.mode)
                level.folders[name] = _Folder(None, _tree_in(mirror, mirrored(name)))
            elif extra.type == "fifo":
                level.items[name] = Item(kind="fifo", mode=extra.mode)
        for escape in rows.escaped:
            self._escaped_into(level, escape, path)
        return level

    def _item(self, entry: TreeEntry, said: Extra | None) -> Item:
        if entry.mode == LINK:
            return Item(kind="link", mode=0, oid=entry.oid)
        if entry.mode in (DIRECTORY, GITLINK):
            # We never write a gitlink; git's checkout makes an empty folder of one.
            return Item(kind="dir", mode=said.mode if said else self.defaults.dir)
        default = self.defaults.exec if entry.mode == EXECUTABLE else self.defaults.file
        return Item(kind="file", mode=said.mode if said else default, oid=entry.oid)

    def _escaped_into(self, level: _Level, escape: Escaped, path: bytes) -> None:
        parts = escape.path.split(b"/")
        for depth in range(1, len(parts)):
            level.items.setdefault(b"/".join(parts[:depth]), Item(kind="dir", mode=self.defaults.dir))
        if escape.type in ("dir", "fifo"):
            level.items[escape.path] = Item(kind=escape.type, mode=escape.mode)
            return
        blob = self.escaped.get((escape.id or "").encode("ascii", "replace"))
        if blob is None:
            raise ObjectUnreadable(escape.id or "-", f"no escaped blob holds {path + escape.path!r}")
        mode = 0 if escape.type == "link" else escape.mode
        level.items[escape.path] = Item(kind=escape.type, mode=mode, oid=blob.oid)


def _differing(one: _Rows, other: _Rows) -> set[bytes]:
    """The names of which the trees of the two folders say different things."""
    names: set[bytes] = set()
    for these, those in ((one.files, other.files), (one.said, other.said)):
        names.update(name for name, entry in these.items() if those.get(name) != entry)
        names.update(those.keys() - these.keys())
    # A folder's own part of `extra`.
    for mirror, mirrors in ((one.mirror, other.mirror), (other.mirror, one.mirror)):
        names.update(name.removesuffix(b".d") for name, entry in mirror.items() if mirrors.get(name) != entry)
    return names


def _tree_in(tree: dict[bytes, TreeEntry], name: bytes) -> bytes | None:
    entry = tree.get(name)
    return entry.oid if entry and entry.mode == DIRECTORY else None


def said_in(reader: Objects, mirror: dict[bytes, TreeEntry]) -> tuple[dict[bytes, Extra], tuple[Escaped, ...]]:
    """What the blob `entries` of a folder's part of `extra` says: by name, and of the paths git would refuse. Raises
    ObjectUnreadable.
    """
    blob = mirror.get(ENTRIES)
    if blob is None:
        return {}, ()
    try:
        entries, escaped = decode_extra(reader.blob(blob.oid))
    except (ValueError, RecursionError) as broken:
        raise ObjectUnreadable(blob.oid.hex(), str(broken)) from None
    return {entry.name: entry for entry in entries}, escaped


def defaults_of(reader: Objects, content: Content | None) -> Defaults:
    """The default modes of a content: its header's, else the usual ones. Raises ObjectUnreadable."""
    if content is None or content.extra is None:
        return USUAL
    blob = reader.tree(content.extra).get(HEADER)
    if blob is None:
        return USUAL
    try:
        return decode_header(reader.blob(blob.oid))
    except (ValueError, RecursionError) as broken:
        raise ObjectUnreadable(blob.oid.hex(), str(broken)) from None


def list_content(reader: Objects, content: Content) -> dict[bytes, Item]:
    """Every path of a content, folders too, in no particular order. Raises ObjectUnreadable."""
    side = _Side(reader, content)
    found: dict[bytes, Item] = {}
    # A stack of our own: a tree may be deeper than Python's.
    todo = [(b"", side.top)]
    while todo:
        path, folder = todo.pop()
        level = side.level(side.rows(folder), path)
        for name, item in level.items.items():
            found[path + name] = item
        todo += [(path + name + b"/", below) for name, below in level.folders.items()]
    return found


class Lookup:
    """Single paths of one content, at the cost of the folders that lead to them. Raises ObjectUnreadable."""

    def __init__(self, reader: Objects, content: Content) -> None:
        self._side = _Side(reader, content)
        self.defaults = self._side.defaults
        # By path. An escaped folder has no trees: the plain one above speaks of it, under a path relative to that.
        self._places = {b"": self._side.top}
        self._rows: dict[bytes, _Rows] = {}
        # Those of which everything was wanted, with the names in each folder that they speak of.
        self._whole: dict[bytes, tuple[_Level, dict[bytes, list[bytes]]]] = {}

    def item(self, path: bytes) -> Item | None:
        """What is at `path`; None for nothing, and for b""."""
        above, _, last = path.rpartition(b"/")
        folder, rest = self._nearest(above)
        return self._one(folder, last).items.get(rest + b"/" + last if rest else last)

    def children(self, path: bytes) -> dict[bytes, Item]:
        """What is right in the folder at `path` (b"" for the top), by name."""
        folder, rest = self._nearest(path)
        level, names = self._all(folder)
        start = len(rest) + 1 if rest else 0
        return {key[start:]: level.items[key] for key in names.get(rest, ())}

    def below(self, path: bytes) -> Iterator[tuple[bytes, Item]]:
        """Every path below the folder at `path`, folders before what is in them."""
        todo = [path]
        while todo:
            folder = todo.pop()
            for name, item in self.children(folder).items():
                at = folder + b"/" + name if folder else name
                yield at, item
                if item.kind == "dir":
                    todo.append(at)

    def _nearest(self, path: bytes) -> tuple[bytes, bytes]:
        """The deepest folder above or at `path` that has trees of its own, and the rest of the path."""
        if path in self._places:
            return path, b""
        parts = path.split(b"/")
        folder = b""
        for depth, name in enumerate(parts):
            at = folder + b"/" + name if folder else name
            if at not in self._places:
                place = self._one(folder, name).folders.get(name)
                if place is None:
                    return folder, b"/".join(parts[depth:])
                self._places[at] = place
            folder = at
        return folder, b""

    def _one(self, path: bytes, name: bytes) -> _Level:
        """Of the folder at `path` what is needed for one name."""
        rows = self._rows.get(path)
        if rows is None:
            rows = self._rows[path] = self._side.rows(self._places[path])
        return self._all(path)[0] if rows.escaped else self._side.level(rows, path + b"/", {name})

    def _all(self, path: bytes) -> tuple[_Level, dict[bytes, list[bytes]]]:
        known = self._whole.get(path)
        if known is None:
            level = self._side.level(self._side.rows(self._places[path]), path + b"/" if path else b"")
            names: dict[bytes, list[bytes]] = {}
            for key in level.items:
                names.setdefault(key.rpartition(b"/")[0], []).append(key)
            known = self._whole[path] = level, names
        return known


def not_kept(reader: Objects, content: Content) -> dict[bytes, Said]:
    """The sockets and devices that were there and are not part of the content, by path. Raises ObjectUnreadable."""
    found: dict[bytes, Said] = {}
    todo = [(b"", content.extra)]
    while todo:
        path, tree = todo.pop()
        mirror = reader.tree(tree) if tree else {}
        for name, extra in said_in(reader, mirror)[0].items():
            if extra.type in ("socket", "device"):
                found[path + name] = extra.type
        todo += [
            (path + name.removesuffix(b".d") + b"/", entry.oid)
            for name, entry in mirror.items()
            if entry.mode == DIRECTORY and name.endswith(b".d")
        ]
    return found


def compare(reader: Objects, a: Content | None, b: Content | None) -> list[Change]:
    """What differs from `a` to `b`, sorted by path; None is a content that holds nothing.

    Folders that are equal in all trees are not read, so it costs what changed. Folders are items: making,
    removing and changing the mode of one is a change. Raises ObjectUnreadable.
    """
    old, new = _Side(reader, a), _Side(reader, b)
    same_defaults = old.defaults == new.defaults
    # Escaped blobs lie flat beside the folders: where any of them differs, folders that may name one are read.
    same_escaped = old.escaped == new.escaped
    changes: list[Change] = []
    todo = [(b"", old.top, new.top)]
    while todo:
        path, before, after = todo.pop()
        if before == after and same_defaults and (same_escaped or before.extra is None):
            continue
        rows, others = old.rows(before), new.rows(after)
        # Equal rows are equal items, unless the defaults or the escaped blobs are others now.
        names = _differing(rows, others) if same_defaults and same_escaped else None
        was, now = old.level(rows, path, names), new.level(others, path, names)
        for name in was.items.keys() | now.items.keys():
            one, other = was.items.get(name), now.items.get(name)
            if one != other:
                changes.append(Change(path=path + name, old=one, new=other))
        todo += [
            (path + name + b"/", was.folders.get(name, _NOWHERE), now.folders.get(name, _NOWHERE))
            for name in was.folders.keys() | now.folders.keys()
        ]
    changes.sort(key=lambda change: change.path)
    return changes


def only_in(reader: Objects, one: Content, other: Content) -> Iterator[bytes]:
    """Every object that `one` has at a place where `other` has another one, or none: blobs and trees, but the topmost
    tree of the files, which no commit holds. Raises ObjectUnreadable."""
    pairs = ((one.files, other.files), (one.extra, other.extra), (one.escaped, other.escaped))
    todo = [(mine, theirs) for mine, theirs in pairs if mine and mine != theirs]
    while todo:
        mine, theirs = todo.pop()
        if mine != one.files:
            yield mine
        there = reader.tree(theirs) if theirs else {}
        for name, entry in reader.tree(mine).items():
            against = there.get(name)
            if against is not None and against.oid == entry.oid:
                continue
            if entry.mode == DIRECTORY:
                is_folder = against is not None and against.mode == DIRECTORY
                todo.append((entry.oid, against.oid if against is not None and is_folder else None))
            elif entry.mode != GITLINK:
                yield entry.oid


def nest(pack: Pack, prefix: bytes, tree_entries: Iterable[tuple[bytes, int, bytes]]) -> bytes:
    """Write a tree at `prefix` (b"sub/dir", b"" for the top) and those above it; the id of the topmost."""
    oid = pack.tree(tree_entries)
    for component in reversed(prefix.split(b"/") if prefix else []):
        oid = pack.tree([(component, DIRECTORY, oid)])
    return oid


def unnest(reader: Objects, root: bytes, prefix: bytes) -> bytes | None:
    """The id of the tree at `prefix` below the tree `root`; None where there is none."""
    oid = root
    for component in prefix.split(b"/") if prefix else []:
        entry = reader.tree(oid).get(component)
        if entry is None or entry.mode != DIRECTORY:
            return None
        oid = entry.oid
    return oid
