"""Content to workspace: the difference of two contents, done on disk, complete after any number of
interrupted tries.

Owns the order of the changes and the unfinished files under `.gitckpt/tmp/`. Never deletes what the changes
do not name, never follows a symlink, never leaves a half-written file under its own name, after a power cut
neither. Must not know why it is asked to.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from gitckpt.errors import CannotRestore, Unreadable
from gitckpt.model.names import LIVE_FOLDER
from gitckpt.plumbing.content import Change, Content, Item, compare
from gitckpt.plumbing.reader import Reader
from gitckpt.workspace.afterwards import update_cache
from gitckpt.workspace.beforehand import Beforehand, Made
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.entries import make_entry
from gitckpt.workspace.obstructions import holds
from gitckpt.workspace.openings import Openings
from gitckpt.workspace.statcache import StatCache

_OWN = LIVE_FOLDER.encode()
TMP = _OWN + b"/tmp"
_AT_ONCE_BYTES = 64 << 20
_AT_ONCE_FILES = 1_000
"""So much is written before it gets its names: the room that is needed beside what it replaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What was done: paths written (made, changed, or only their mode), paths removed, and what had to stay.

    `kept` are uncaptured things in the way: folders that are not empty without them, or the new names beside
    them.
    """

    written: int
    removed: int
    kept: tuple[bytes, ...] = ()


def plan(reader: Reader, before: Content, after: Content) -> list[Change]:
    """What must change on disk, from `before` to `after`, sorted by path. Raises ObjectUnreadable."""
    return compare(reader, before, after)


def apply(
    root: Path,
    reader: Reader,
    changes: Sequence[Change],
    cache: StatCache,
    made: Sequence[Made] = (),
    dates: Mapping[bytes, int] = MappingProxyType({}),
) -> Applied:
    """Make the workspace at `root` what `changes` say; durable on return, and `cache` knows what was written. Files
    that are `made` already keep their mtimes, others get those of `dates` (ns) or the present time.

    Run it again after a kill, with the same changes, and it ends the same. Rescue what `obstructions` names
    first: it is replaced. Raises CannotRestore, ObjectUnreadable.
    """
    if not changes:
        return Applied(written=0, removed=0)
    for change in changes:
        require_inside(root, change.path)
    with Disk(root) as disk, Beforehand(made) as beforehand:
        with naming(TMP):
            disk.ensure(TMP)
            tmp = os.dup(disk.folder(TMP))
        try:
            becoming = _Becoming(disk, tmp, _Source(reader, beforehand, dates), changes)
            applied = becoming.run()
            with naming(b""):
                disk.sync()
            becoming.finish()
        finally:
            os.close(tmp)
    update_cache(root, changes, cache)
    return applied


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the bytes and the dates of what is made come from."""

    reader: Reader
    beforehand: Beforehand
    dates: Mapping[bytes, int]

    def make(self, path: bytes, folder: int, name: bytes, new: Item) -> None:
        """Make `new`, which is to be at `path` in the end, as `name` in the open `folder`."""
        make_entry(self.reader, folder, name, new, self.beforehand.filling(path, new), self.dates.get(path))


class _Becoming:
    """One call of `apply`, step by step."""

    def __init__(self, disk: Disk, tmp: int, source: _Source, changes: Sequence[Change]) -> None:
        self._disk = disk
        self._tmp = tmp
        self._source = source
        self._changes = changes
        self._openings = Openings(disk, tmp)
        self._number = 0
        self._unnamed: list[tuple[bytes, Change, Item]] = []
        self._unsynced = 0
        self._written = 0
        self._removed = 0
        self._kept: list[bytes] = []

    def run(self) -> Applied:
        self._sweep()
        self._open_folders()
        for change in reversed(self._changes):
            with naming(change.path):
                self._remove(change)
        for change in self._changes:
            if change.new is not None and change.new.kind == "dir":
                with naming(change.path):
                    self._disk.ensure(change.path.rpartition(b"/")[0])
                    self._disk.make_folder(change.path, 0o700)
                    self._written += 1
        for change in self._changes:
            if change.new is not None and change.new.kind != "dir":
                with naming(change.path):
                    self._place(change, change.new)
                    self._written += 1
        self._give_names()
        self._set_folder_modes()
        return Applied(written=self._written, removed=self._removed, kept=tuple(sorted(self._kept)))

    def finish(self) -> None:
        """Leave nothing of ours behind."""
        self._openings.done()
        for folder in (TMP, _OWN):
            try:
                parent, name = self._disk.place(folder)
                os.rmdir(name, dir_fd=parent)
            except OSError:
                # The live folder stays when it holds its mirror.
                return

    def _sweep(self) -> None:
        """Remove what a killed try left unfinished; what it noted of modes is kept."""
        with naming(TMP):
            # An O_PATH descriptor cannot be listed.
            number = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._tmp)
            try:
                for name in os.listdir(number):
                    if name.startswith("new-"):
                        os.unlink(name, dir_fd=number)
            finally:
                os.close(number)

    # --- order: make writable, remove, create, write, link, modes -------------------------------------------

    def _open_folders(self) -> None:
        direct = {change.path.rpartition(b"/")[0] for change in self._changes}
        above = set(direct)
        for path in direct:
            parts = path.split(b"/")
            above.update(b"/".join(parts[:depth]) for depth in range(len(parts)))
        for path in sorted(above - {b""}):
            with naming(path):
                self._openings.need(path, 0o300 if path in direct else 0o100)

    def _remove(self, change: Change) -> None:
        old, new = change.old, change.new
        if old is None or (new is not None and (old.kind == "dir") == (new.kind == "dir")):
            # Something of the same sort takes its place: renamed over, or a folder that stays.
            return
        found = self._disk.look(change.path)
        if found is None:
            self._removed += new is None
            return
        folder = stat.S_ISDIR(found.st_mode)
        if new is not None and folder == (new.kind == "dir"):
            return
        parent, name = self._disk.place(change.path)
        if not folder:
            os.unlink(name, dir_fd=parent)
        elif not self._remove_folder(parent, name):
            if new is None:
                self._kept.append(change.path)
            return
        self._removed += new is None

    def _remove_folder(self, parent: int, name: bytes) -> bool:
        """Whether the folder was empty and is gone."""
        try:
            os.rmdir(name, dir_fd=parent)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return False
        self._disk.forget()
        return True

    def _place(self, change: Change, new: Item) -> None:
        path = change.path
        self._disk.ensure(path.rpartition(b"/")[0])
        found = self._disk.look(path)
        is_file = found is not None and not stat.S_ISDIR(found.st_mode)
        if found is not None and is_file and _only_mode(change.old, new) and self._holds(path, found, new):
            self._disk.set_mode(path, new.mode)
            return
        name = b"new-%d" % self._number
        self._number += 1
        self._source.make(path, self._tmp, name, new)
        self._unnamed.append((name, change, new))
        self._unsynced += os.stat(name, dir_fd=self._tmp, follow_symlinks=False).st_size if new.kind == "file" else 0
        if self._unsynced >= _AT_ONCE_BYTES or len(self._unnamed) >= _AT_ONCE_FILES:
            self._give_names()

    def _give_names(self) -> None:
        """Rename what is written, once its bytes are on the disk: a file system may keep a name and lose the bytes,
        and then the file would be neither the old one nor the new one."""
        if self._unsynced:
            with naming(TMP):
                self._disk.sync()
        beside = []
        for name, change, new in self._unnamed:
            with naming(change.path):
                if not self._give_name(name, change.path):
                    beside.append((self._make_beside(change.path, new), change.path))
        if beside:
            with naming(beside[0][1]):
                self._disk.sync()
        for name, path in beside:
            with naming(path):
                parent, last = self._disk.place(path)
                os.rename(name, last, src_dir_fd=parent, dst_dir_fd=parent)
        self._unnamed.clear()
        self._unsynced = 0

    def _give_name(self, name: bytes, path: bytes) -> bool:
        """Whether it could be: where another file system is mounted the unfinished file is gone."""
        found = self._disk.look(path)
        parent, last = self._disk.place(path)
        if found is not None and stat.S_ISDIR(found.st_mode) and not self._remove_folder(parent, last):
            self._kept.append(self._disk.move_aside(path))
        parent, last = self._disk.place(path)
        try:
            os.rename(name, last, src_dir_fd=self._tmp, dst_dir_fd=parent)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            os.unlink(name, dir_fd=self._tmp)
            return False
        return True

    def _holds(self, path: bytes, found: os.stat_result, new: Item) -> bool:
        try:
            return holds(self._disk, path, found, new)
        except Unreadable:
            # What cannot be compared is written anew.
            return False

    def _make_beside(self, path: bytes, new: Item) -> bytes:
        """Another file system is mounted there: the unfinished file lies beside, under a name a later try finds."""
        self._disk.crossed = True
        digest = base64.b32encode(hashlib.sha256(path).digest())[:16].lower()
        parent, _ = self._disk.place(path)
        name = b".gitckpt-new-" + digest
        if self._disk.look((path.rpartition(b"/")[0] + b"/" + name).lstrip(b"/")) is not None:
            os.unlink(name, dir_fd=parent)
        parent, _ = self._disk.place(path)
        self._source.make(path, parent, name, new)
        return name

    def _set_folder_modes(self) -> None:
        wanted = self._openings.originals()
        for change in self._changes:
            if change.new is not None and change.new.kind == "dir":
                wanted[change.path] = change.new.mode
            else:
                wanted.pop(change.path, None)
        for path in sorted(wanted, key=lambda path: (-path.count(b"/"), path)):
            with naming(path):
                found = self._disk.look(path)
                if found is None or not stat.S_ISDIR(found.st_mode):
                    continue
                # setuid and setgid of folders are not captured, so those on disk are kept.
                mode = wanted[path] & 0o1777 | found.st_mode & 0o6000
                if stat.S_IMODE(found.st_mode) != mode:
                    self._disk.set_mode(path, mode)


def _only_mode(old: Item | None, new: Item) -> bool:
    return old is not None and old.kind == new.kind != "link" and old.oid == new.oid


def require_inside(root: Path, path: bytes) -> None:
    """Refuse a path that a true content never has: it would leave the workspace or write into git's own
    folder. Raises CannotRestore.
    """
    parts = path.split(b"/")
    if b"\0" in path or any(part in (b"", b".", b"..") for part in parts):
        raise CannotRestore(path, "no checkpoint of ours names such a path")
    if parts[0] in (_OWN, b".git") or (parts[0].lower() in (_OWN, b".git") and _same(root, parts[0], parts[0].lower())):
        raise CannotRestore(path, "a checkpoint may not write there")


def _same(root: Path, one: bytes, other: bytes) -> bool:
    """Whether two names are one file: so on disks that do not tell case apart."""
    top = os.fsencode(root) + b"/"
    try:
        return os.path.samestat(os.lstat(top + one), os.lstat(top + other))
    except OSError:
        return False


@contextmanager
def naming(path: bytes) -> Iterator[None]:
    """Turn a refusal of the system into a fact that names the path. Raises CannotRestore."""
    try:
        yield
    except OSError as error:
        raise CannotRestore(path, os.strerror(error.errno or 0)) from error
