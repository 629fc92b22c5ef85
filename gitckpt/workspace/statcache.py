"""The stat cache: what the last scan saw, so that the next one reads only what changed.

Owns the record of one directory, the file format, and the rule for entries touched within the clock's grain
of a scan. A cache is only ever a hint: a missing, damaged or foreign one costs time, never exactness. Must
not know what a checkpoint is, nor decide what is captured.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from gitckpt.workspace import kinds

FIELDS = 5
"""Integers a record keeps for an entry: mode, inode, size, mtime ns, ctime ns (only the mode for a folder).
"""

_MAGIC = b"gitckpt stat cache 4\n"
FULL_INODE = (1 << 63) - 1
_NUMBER = array("q").itemsize

Escaped = tuple[bytes, str, int, bytes]
"""One path git could refuse: path, type, permission bits, blob id (empty for a folder or FIFO)."""


class Record(msgspec.Struct, array_like=True, gc=False):
    """One directory as last seen. `names`, `stats`, `kinds` and `oids` run in parallel, in the order of the
    listing.
    """

    names: bytes = b""
    stats: bytes = b""
    kinds: bytes = b""
    oids: bytes = b""
    dirty: list[int] = []
    folders: list[int] = []
    settled: bool = False
    tree: bytes = b""
    extra: bytes = b""
    said: bytes = b""
    escaped: list[Escaped] = []
    files: int = 0
    size: int = 0
    large: list[tuple[int, bytes]] = []
    named: list[int] = []

    def entries(self, width: int) -> dict[bytes, Entry]:
        """The record opened up, by name; `width` is the length of an id in bytes."""
        dirty = frozenset(self.dirty)
        return {name: self.entry(index, width, dirty) for index, name in enumerate(split_names(self.names))}

    def entry(self, index: int, width: int, dirty: Collection[int]) -> Entry:
        """One entry; `dirty` are the record's."""
        at = index * FIELDS * _NUMBER
        numbers = array("q", self.stats[at : at + FIELDS * _NUMBER])
        oid = self.oids[index * width : index * width + width]
        return Entry(stat=tuple(numbers), kind=self.kinds[index], oid=oid, dirty=index in dirty)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entry of a record. `oid` is empty or zero where the bytes are unknown, `dirty` where it cannot be
    trusted.
    """

    stat: tuple[int, ...]
    kind: int
    oid: bytes = b""
    dirty: bool = False


class Basis(msgspec.Struct, array_like=True, frozen=True):
    """What git's ignore decisions rested on at the last scan: signatures of files, and the tracked
    exceptions.
    """

    sources: list[tuple[bytes, tuple[int, ...]]] = []
    excludes_file: bytes = b""
    config: list[tuple[bytes, tuple[int, ...]]] = []
    index: tuple[int, ...] = ()
    tracked: frozenset[bytes] = frozenset()


Group = tuple[bytes, ...]
"""Names of one file, sorted."""


class _Stored(msgspec.Struct, array_like=True):
    object_format: str
    key: bytes
    secret_key: bytes
    escaped: bytes
    basis: Basis
    held: frozenset[bytes]
    folders: dict[bytes, Record]
    links: tuple[Group, ...] = ()


Displaced = tuple[bytes, bytes, int]
"""A file or link that is not as it was any more: its path, the id of its bytes, and its mtime (ns) then."""


class StatCache:
    """What the last scan of one workspace saw. `load` it, hand it to `snapshot` or `apply` (they change it),
    `save` it. `displaced` has what entries held before they were replaced or dropped, in order; `links` are the names
    of captured files that are one.
    """

    def __init__(self, object_format: str, path: Path | None = None) -> None:
        self.path = path
        self.object_format = object_format
        self.width = 32 if object_format == "sha256" else 20
        self.key = b""
        self.secret_key = b""
        self.escaped = b""
        self.basis = Basis()
        # What is captured only because the checkpoint before had it.
        self.held: frozenset[bytes] = frozenset()
        self.folders: dict[bytes, Record] = {}
        self.displaced: list[Displaced] = []
        self.links: tuple[Group, ...] = ()

    @classmethod
    def load(cls, path: Path, object_format: str) -> StatCache:
        """Read the cache at `path`; an absent, damaged or foreign file gives an empty one."""
        cache = cls(object_format, path)
        try:
            data = path.read_bytes()
        except OSError:
            return cache
        head = len(_MAGIC) + 8
        if data[: len(_MAGIC)] != _MAGIC or data[len(_MAGIC) : head] != b"%08x" % zlib.crc32(data[head:]):
            return cache
        try:
            stored = msgspec.msgpack.decode(memoryview(data)[head:], type=_Stored)
        except msgspec.MsgspecError:
            return cache
        if stored.object_format == object_format:
            cache.key, cache.secret_key, cache.escaped = stored.key, stored.secret_key, stored.escaped
            cache.basis, cache.held, cache.folders = stored.basis, stored.held, stored.folders
            cache.links = stored.links
        return cache

    def save(self) -> None:
        """Write the cache where it was loaded from, by atomic replacement; not fsynced: a checksum finds a
        torn one.
        """
        if self.path is None:
            return
        stored = _Stored(
            object_format=self.object_format,
            key=self.key,
            secret_key=self.secret_key,
            escaped=self.escaped,
            basis=self.basis,
            held=self.held,
            folders=self.folders,
            links=self.links,
        )
        payload = msgspec.msgpack.encode(stored)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # One name, so that what a kill leaves is written over: only who holds the workspace's lock saves.
        name = self.path.with_name(self.path.name + ".part")
        number = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with contextlib.ExitStack() as undo:
            undo.callback(name.unlink, missing_ok=True)
            with os.fdopen(number, "wb") as out:
                out.write(_MAGIC + b"%08x" % zlib.crc32(payload))
                out.write(payload)
            os.replace(name, self.path)
            undo.pop_all()

    def unsettle(self, folder: bytes) -> None:
        """Forget the trees of `folder` and of all above it; what was seen of single entries stays."""
        while True:
            record = self.folders.get(folder)
            if record is not None:
                record.settled, record.tree, record.extra = False, b"", b""
            if not folder:
                return
            folder = folder[: max(folder.rfind(b"/"), 0)]

    def put(self, folder: bytes, entries: dict[bytes, Entry]) -> None:
        """Replace what is known of the entries of `folder`, and unsettle it."""
        record = self.folders.setdefault(folder, Record())
        blank = bytes(self.width)
        for name, was in record.entries(self.width).items():
            now = entries.get(name)
            if now is None or now.stat != was.stat:
                self.displace(folder, name, was)
        record.names = b"/".join(entries)
        record.stats = pack_stats([number for entry in entries.values() for number in entry.stat])
        record.kinds = bytes(entry.kind for entry in entries.values())
        record.oids = b"".join(entry.oid or blank for entry in entries.values())
        record.dirty = [index for index, entry in enumerate(entries.values()) if entry.dirty]
        record.folders = [i for i, entry in enumerate(entries.values()) if entry.kind in kinds.WALKED]
        record.said = b""
        self.unsettle(folder)

    def renew(self, folder: bytes, entries: Mapping[int, Entry]) -> None:
        """Replace what is known of single entries of `folder`, by index; their names stay. Unsettles it."""
        record = self.folders[folder]
        names, dirty = split_names(record.names), frozenset(record.dirty)
        for index, entry in entries.items():
            was = record.entry(index, self.width, dirty)
            if entry.stat != was.stat:
                self.displace(folder, names[index], was)
        stats, sorts, oids = bytearray(record.stats), bytearray(record.kinds), bytearray(record.oids)
        size, blank = FIELDS * _NUMBER, bytes(self.width)
        for index, entry in entries.items():
            stats[index * size : index * size + size] = pack_stats(list(entry.stat))
            sorts[index] = entry.kind
            oids[index * self.width : index * self.width + self.width] = entry.oid or blank
        record.stats, record.kinds, record.oids = bytes(stats), bytes(sorts), bytes(oids)
        touched = {index for index, entry in entries.items() if entry.dirty}
        record.dirty = sorted(touched.union(index for index in record.dirty if index not in entries))
        record.folders = [index for index, kind in enumerate(sorts) if kind in kinds.WALKED]
        record.said = b""
        self.unsettle(folder)

    def knows_left_out(self, path: bytes) -> bool:
        """Whether the last scan saw that `path`, or a folder that it lies in, is not captured."""
        parts = path.split(b"/")
        for depth in range(1, len(parts) + 1):
            kind = self._kind(b"/".join(parts[: depth - 1]), parts[depth - 1])
            if kind in kinds.NEVER_HELD or kind in kinds.NOT_KEPT:
                return True
            if kind == kinds.HIDDEN_FOLDER and depth == len(parts):
                return True
        return False

    def _kind(self, folder: bytes, name: bytes) -> int:
        record = self.folders.get(folder)
        names = split_names(record.names) if record is not None else []
        return record.kinds[names.index(name)] if record is not None and name in names else kinds.UNDECIDED

    def leave_undecided(self, path: bytes) -> None:
        """Forget what was seen of one entry: the next scan decides about it."""
        folder, _, name = path.rpartition(b"/")
        record = self.folders.get(folder)
        if record is not None and name in split_names(record.names):
            entries = record.entries(self.width)
            del entries[name]
            self.put(folder, entries)

    def forget(self, folder: bytes) -> None:
        """Drop `folder` and everything below it."""
        below = folder + b"/"
        for path in [path for path in self.folders if path == folder or path.startswith(below)]:
            self.displace_all(path)
            del self.folders[path]

    def replace(
        self, folders: dict[bytes, Record], basis: Basis, escaped: bytes, linked: Iterable[Sequence[bytes]]
    ) -> None:
        """Take over what a walk made of all folders. It has noted what is displaced in those that are still there. Of
        the names of one file that it found `linked`, those that are captured are kept."""
        for path in self.folders.keys() - folders.keys():
            self.displace_all(path)
        self.folders, self.basis, self.escaped = folders, basis, escaped
        kinds_of = _Kinds(folders)
        held = ([path for path in names if kinds_of[path] == kinds.FILE] for names in linked if names[1:])
        self.links = tuple(sorted(tuple(sorted(names)) for names in held if names[1:]))

    def displace(self, folder: bytes, name: bytes, was: Entry) -> None:
        """Note what an entry of `folder` held, where its bytes are known."""
        if was.kind not in kinds.WALKED and was.oid.strip(b"\0"):
            self.displaced.append((folder + b"/" + name if folder else name, was.oid, was.stat[3]))

    def displace_all(self, folder: bytes) -> None:
        """Note what all entries of `folder` held."""
        for name, was in self.folders[folder].entries(self.width).items():
            self.displace(folder, name, was)


class Seen:
    """What the last scan saw of single paths; each folder is opened once."""

    def __init__(self, cache: StatCache) -> None:
        self._cache = cache
        self._opened: dict[bytes, dict[bytes, Entry]] = {}

    def entry(self, path: bytes) -> Entry | None:
        """None where it saw nothing."""
        folder, _, name = path.rpartition(b"/")
        if folder not in self._opened:
            record = self._cache.folders.get(folder)
            self._opened[folder] = record.entries(self._cache.width) if record is not None else {}
        return self._opened[folder].get(name)


class _Kinds:
    """The kinds of single entries; each folder is opened once."""

    def __init__(self, folders: Mapping[bytes, Record]) -> None:
        self._folders = folders
        self._opened: dict[bytes, dict[bytes, int]] = {}

    def __getitem__(self, path: bytes) -> int:
        folder, _, name = path.rpartition(b"/")
        if folder not in self._opened:
            record = self._folders.get(folder, Record())
            self._opened[folder] = dict(zip(split_names(record.names), record.kinds, strict=True))
        return self._opened[folder].get(name, kinds.UNDECIDED)


def split_names(names: bytes) -> list[bytes]:
    """The names of a record, in order."""
    return names.split(b"/") if names else []


def pack_stats(numbers: list[int]) -> bytes:
    """Pack the numbers of a listing; some overlay file systems use the top bit of an inode number."""
    try:
        return array("q", numbers).tobytes()
    except OverflowError:
        return array("q", [number & FULL_INODE if number > 0 else number for number in numbers]).tobytes()


def signature(path: bytes | str | Path) -> tuple[int, ...]:
    """The state of one file that others depend on; empty when it is absent."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return (found.st_mode, found.st_ino & FULL_INODE, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def signatures(paths: Iterable[bytes]) -> list[tuple[bytes, tuple[int, ...]]]:
    """The state of each of `paths`, with its path."""
    return [(path, signature(path)) for path in paths]
