"""A content on its way into an empty folder: files that the workspace has unchanged are taken from there, all others
from git's objects.

Owns the order of the writing, the room it takes, and the stat cache of what was written. Must not know what else comes
into the folder.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from gitckpt.errors import ExitCode, GitckptError
from gitckpt.plumbing.content import Item
from gitckpt.plumbing.reader import Reader
from gitckpt.workspace import kinds
from gitckpt.workspace.become import naming
from gitckpt.workspace.capture import Numbers, numbers_of
from gitckpt.workspace.cloning import Cloner
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.entries import make_entry
from gitckpt.workspace.known import cached_ids
from gitckpt.workspace.links import NO_LINK, equal_names
from gitckpt.workspace.statcache import FIELDS, Entry, Group, StatCache
from gitckpt.workspace.times import wait_past
from gitckpt.workspace.walk import Folder

_BLOCK = 4096
_LARGE = 1 << 20


@dataclass(eq=False)
class ReplicaTooBig(GitckptError):
    """There is no room for a copy of the workspace: `needed` and `free` count bytes, or files where `what` says so."""

    folder: str
    needed: int
    free: int
    what: str

    exit_code = ExitCode.FAILED

    @property
    def message(self) -> str:
        amount = "{:,} files" if self.what == "files" else "{:,} bytes"
        needed, free = amount.format(self.needed), amount.format(self.free)
        return f"a copy of the workspace needs {needed}, and the disk of {self.folder} has {free} left"

    @property
    def hint(self) -> str:
        return "make room, lower `max_parallel`, or choose `isolation: overlay` or `none`"


DateOf: TypeAlias = Callable[[bytes, Item], int | None]
"""The mtime (ns) that a file with these bytes is to have at a path; None for the present time."""


def nobody_knows(_path: bytes, _item: Item) -> int | None:
    """No date is known."""
    return None


def unchanged_files(folders: Iterable[Folder], width: int) -> dict[bytes, tuple[bytes, Numbers]]:
    """The files of the workspace whose bytes are known, by path: blob and numbers."""
    found = {}
    for folder in folders:
        cached = cached_ids(folder.record, width) if folder.same and folder.record is not None else None
        for index, name in enumerate(folder.names):
            if folder.kinds[index] != kinds.FILE:
                continue
            oid = folder.oids[index] if cached is None else cached.get(name, b"")
            if oid:
                mode, inode, size, mtime, ctime = folder.numbers[index * FIELDS : index * FIELDS + FIELDS]
                # As the stat cache keeps it: some overlay file systems use the top bit.
                inode &= (1 << 63) - 1
                found[folder.child_path(name)] = (oid, (mode, inode, size, mtime, ctime))
    return found


class Filling:
    """The content on its way into the folder of `disk`."""

    def __init__(
        self,
        disk: Disk,
        reader: Reader,
        cloner: Cloner,
        prefix: bytes,
        on_disk: Mapping[bytes, tuple[bytes, Numbers]],
        date_of: DateOf,
        links: Sequence[Group] = (),
    ) -> None:
        self._disk = disk
        self._reader = reader
        self._cloner = cloner
        self._prefix = prefix
        self._below = prefix + b"/" if prefix else b""
        self._on_disk = on_disk
        self._date_of = date_of
        self._links = links
        self.states: dict[bytes, os.stat_result] = {}

    def room(self, items: Mapping[bytes, Item]) -> int:
        """How many bytes the files will take; nothing for those that will share the workspace's blocks."""
        sharing: bool | None = None
        total = 0
        for path, item in items.items():
            if item.kind != "file":
                total += _BLOCK
                continue
            numbers = self._same(path, item)
            if numbers is None:
                total += rounded(self._reader.size(item.oid))
                continue
            if sharing is None:
                sharing = self._shares(path)
            if not sharing:
                total += self._taken(path, numbers[2])
        return total

    def fill(self, items: Mapping[bytes, Item]) -> None:
        """Make everything; folders stay open to us until `set_modes`."""
        if self._prefix:
            with naming(b""):
                self._disk.ensure(self._prefix)
        firsts = self._firsts(items)
        for path in sorted(items):
            item = items[path]
            with naming(path):
                if item.kind == "dir":
                    self._disk.make_folder(self._below + path, 0o700)
                    continue
                if path in firsts and self._link(firsts[path], path):
                    continue
                parent, name = self._disk.place(self._below + path)
                numbers = self._same(path, item)
                if numbers is None:
                    make_entry(self._reader, parent, name, item, date_ns=self._date_of(path, item))
                else:
                    fill = partial(self._cloner.fill, self._below + path, numbers)
                    make_entry(self._reader, parent, name, item, fill)
                self.states[path] = os.stat(name, dir_fd=parent, follow_symlinks=False)

    def _firsts(self, items: Mapping[bytes, Item]) -> dict[bytes, bytes]:
        """For names that are to be one file with an earlier one: that one."""
        joined = (equal_names(group, ((path, items.get(path)) for path in group)) for group in self._links)
        return {path: names[0] for found in joined for names in found for path in names[1:]}

    def _link(self, first: bytes, path: bytes) -> bool:
        above, there = self._disk.place(self._below + first)
        above = os.dup(above)
        try:
            parent, name = self._disk.place(self._below + path)
            os.link(there, name, src_dir_fd=above, dst_dir_fd=parent, follow_symlinks=False)
            for each in (first, path):
                parent, name = self._disk.place(self._below + each)
                self.states[each] = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            if error.errno not in NO_LINK:
                raise
            return False
        finally:
            os.close(above)
        return True

    def set_modes(self, items: Mapping[bytes, Item]) -> None:
        """Give the folders their modes, the deepest first."""
        for path in sorted((path for path, item in items.items() if item.kind == "dir"), reverse=True):
            self._disk.set_mode(self._below + path, items[path].mode)

    def _same(self, path: bytes, item: Item) -> Numbers | None:
        """What the workspace's file is like, where it has these bytes."""
        known = self._on_disk.get(path)
        return known[1] if known is not None and item.kind == "file" and known[0] == item.oid else None

    def _shares(self, path: bytes) -> bool:
        parent, _ = self._disk.place(b"probe")
        number = os.open(b".probe", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=parent)
        try:
            return self._cloner.shares_blocks(self._below + path, number)
        except OSError:
            return False
        finally:
            os.close(number)
            os.unlink(b".probe", dir_fd=parent)

    def _taken(self, path: bytes, size: int) -> int:
        if size < _LARGE:
            return rounded(size)
        found = self._cloner.disk.look(self._below + path)
        return min(size, found.st_blocks * 512) if found is not None else size


def rounded(size: int) -> int:
    """The bytes that a file of this size takes."""
    return -(-size // _BLOCK) * _BLOCK


def require_room(folder: Path, needed: int, files: int) -> None:
    """Whether `needed` bytes and `files` files have room on the disk of `folder`. Raises ReplicaTooBig."""
    system = os.statvfs(folder)
    free = system.f_bavail * system.f_frsize
    # A file system that has no size (ramfs) says 0, as one that makes its inodes as it needs them does of these.
    if system.f_blocks and needed > free:
        raise ReplicaTooBig(str(folder), needed, free, "bytes")
    if system.f_files and files > system.f_favail:
        raise ReplicaTooBig(str(folder), files, system.f_favail, "files")


def cache_of(
    folder: Path, object_format: str, items: Mapping[bytes, Item], states: Mapping[bytes, os.stat_result]
) -> StatCache:
    """What was written is known without reading it again; what git ignores is asked when the copy is read."""
    cache = StatCache(object_format, folder.with_name(folder.name + ".cache"))
    latest = max((state.st_ctime_ns for state in states.values()), default=0)
    try:
        now = wait_past(folder, latest)
    except OSError:
        now = 0
    folders: dict[bytes, dict[bytes, Entry]] = {b"": {}}
    folders |= {path: {} for path, item in items.items() if item.kind == "dir"}
    for path, item in items.items():
        above, _, name = path.rpartition(b"/")
        if item.kind == "dir":
            entry = Entry(stat=(stat.S_IFDIR | item.mode, 0, 0, 0, 0), kind=kinds.UNDECIDED)
        else:
            state = states[path]
            dirty = state.st_ctime_ns >= now
            entry = Entry(stat=numbers_of(state), kind=kinds.UNDECIDED, oid=item.oid, dirty=dirty)
        folders[above][name] = entry
    for path, entries in folders.items():
        cache.put(path, entries)
    return cache
