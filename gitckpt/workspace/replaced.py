"""What a move of the workspace replaces and no checkpoint holds: kept in gitckpt's folder first, and given back later.

Owns the folder of one move: its `record`, and the files that were moved there, for their owner only. Everything may be
done again after a kill. Must not know why the workspace moves, nor decide what is captured.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from gitckpt.errors import ObjectUnreadable
from gitckpt.model.names import Oid, WorkflowName
from gitckpt.plumbing.content import Change, Item
from gitckpt.plumbing.durable import put_whole, sync_folder
from gitckpt.plumbing.extra import MODE_BITS
from gitckpt.plumbing.file_system import sync_tree
from gitckpt.plumbing.reader import Reader
from gitckpt.workspace.become import TMP, naming
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.entries import make_entry
from gitckpt.workspace.obstructions import is_item, not_a_folder
from gitckpt.workspace.openings import Openings

Kind: TypeAlias = Literal["file", "link", "dir", "fifo", "other"]
"""`other`: a socket or a device."""

Tells: TypeAlias = Callable[[Disk, bytes, int], bool]
"""Whether something on the disk, at a path and with a mode, is left out of checkpoints."""

RECORD = "record"
_CHUNK = 1 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One entry of the workspace as it was before the move.

    `file`: its name in the folder, "" where the record has it all: the `target` of a link, the mode of a folder or
    FIFO, or `oid`, the blob that the checkpoint has at the same path (then it is the very same, and stayed there).
    """

    path: bytes
    kind: Kind
    mode: int
    mtime_ns: int
    size: int = 0
    file: str = ""
    target: bytes = b""
    oid: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """The record of one move.

    `checkpoint` is the one whose arrival replaced these; `number` and `at` are its own, and stay when its id does not.
    `before`: the commit that holds what was captured before the move. `kept`: what was not captured, and was replaced.
    `later`: what a move that was killed found in its way when it was finished. `times`: the mtime, in ns, of each
    captured file and link that was replaced or removed.
    """

    workflow: WorkflowName
    checkpoint: Oid
    number: int
    at: str
    before: Oid
    kept: tuple[Kept, ...] = ()
    later: tuple[Kept, ...] = ()
    times: Mapping[bytes, int] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Kept, ...]:
        """What has a file in the folder."""
        return tuple(each for each in (*self.kept, *self.later) if each.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What lies where the workspace is about to change. `uncaptured` is to be kept; `edited` are paths that were
    captured, or would be, and are neither the old nor the new state: the user changed them meanwhile."""

    uncaptured: tuple[Kept, ...]
    edited: tuple[bytes, ...]
    times: Mapping[bytes, int]


# --- the record -----------------------------------------------------------------------------------------------------


def read_record(folder: Path) -> Replaced | None:
    """The record in a folder; None where there is none that can be read."""
    try:
        return msgspec.msgpack.decode((folder / RECORD).read_bytes(), type=Replaced)
    except (OSError, msgspec.MsgspecError):
        return None


def write_record(folder: Path, record: Replaced) -> None:
    """Replace it durably. Raises OSError."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.parent.chmod(0o700)
    temporary = folder / f"{RECORD}.new"
    number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(number, "wb") as file:
        file.write(msgspec.msgpack.encode(record))
    put_whole(temporary, folder / RECORD)
    sync_folder(folder)


# --- what lies in the way -------------------------------------------------------------------------------------------


def find_replaced(root: Path, changes: Sequence[Change], coming: Sequence[Kept], is_uncaptured: Tells) -> Found:
    """What `changes`, and after them the entries `coming` back, will replace in the workspace at `root`.

    `is_uncaptured` tells of a path on the disk, with its mode, whether it is left out of checkpoints. Changes nothing.
    Raises Unreadable.
    """
    with Disk(root) as disk:
        looking = _Looking(disk, changes, is_uncaptured)
        for change in changes:
            looking.look_at(change)
        for entry in coming:
            looking.look_below(entry)
    kept = sorted(looking.kept.values(), key=lambda each: each.path)
    return Found(uncaptured=tuple(kept), edited=tuple(sorted(looking.edited)), times=looking.times)


class _Looking:
    """One look at the disk."""

    def __init__(self, disk: Disk, changes: Sequence[Change], is_uncaptured: Tells) -> None:
        self._disk = disk
        self._changes = {change.path: change for change in changes}
        self._is_uncaptured = is_uncaptured
        self.kept: dict[bytes, Kept] = {}
        self.edited: set[bytes] = set()
        self.times: dict[bytes, int] = {}

    def look_at(self, change: Change) -> None:
        """What stands where a captured path changes."""
        path, old, new = change.path, change.old, change.new
        passed = not_a_folder(self._disk, path)
        if passed is not None:
            if passed not in self._changes:
                self.edited.add(passed)
            return
        state = self._disk.look(path)
        if state is None:
            return
        if old is not None and is_item(self._disk, path, state, old):
            if not stat.S_ISDIR(state.st_mode):
                self.times[path] = state.st_mtime_ns
            elif new is not None and new.kind != "dir":
                self._keep_below(path)
        elif new is not None and is_item(self._disk, path, state, new):
            if old is None:
                # It stays, and counts as captured from now on: whoever goes back must not take it away.
                self.kept[path] = replace(self._entry(path, state), oid=new.oid)
        elif self._is_uncaptured(self._disk, path, state.st_mode):
            self._keep(path, state)
        else:
            self.edited.add(path)

    def look_below(self, entry: Kept) -> None:
        """What stands where an entry is given back, and was not captured either."""
        path = entry.path
        above = not_a_folder(self._disk, path)
        if above is not None:
            path = above
        if path in self._changes or path in self.kept:
            return
        state = self._disk.look(path)
        if state is None or (stat.S_ISDIR(state.st_mode) and entry.kind == "dir"):
            return
        self._keep(path, state)

    def _keep(self, path: bytes, state: os.stat_result) -> None:
        self.kept[path] = self._entry(path, state)
        if stat.S_ISDIR(state.st_mode) and not self._stays_a_folder(path):
            self._keep_below(path)

    def _stays_a_folder(self, path: bytes) -> bool:
        change = self._changes.get(path)
        return change is not None and change.new is not None and change.new.kind == "dir"

    def _keep_below(self, top: bytes) -> None:
        """All below a folder that is to become something else, but what its own change takes away."""
        todo = [top]
        while todo:
            folder = todo.pop()
            for name in _names(self._disk, folder):
                path = folder + b"/" + name
                state = self._disk.look(path)
                if state is None:
                    continue
                if stat.S_ISDIR(state.st_mode):
                    todo.append(path)
                if path not in self._changes:
                    self.kept[path] = self._entry(path, state)

    def _entry(self, path: bytes, state: os.stat_result) -> Kept:
        target = b""
        if stat.S_ISLNK(state.st_mode):
            parent, name = self._disk.place(path)
            target = os.readlink(name, dir_fd=parent)
        return Kept(
            path=path,
            kind=_kind(state.st_mode),
            mode=stat.S_IMODE(state.st_mode),
            mtime_ns=state.st_mtime_ns,
            size=state.st_size if stat.S_ISREG(state.st_mode) else 0,
            target=target,
        )


def _kind(mode: int) -> Kind:
    kinds: dict[int, Kind] = {stat.S_IFREG: "file", stat.S_IFLNK: "link", stat.S_IFDIR: "dir", stat.S_IFIFO: "fifo"}
    return kinds.get(stat.S_IFMT(mode), "other")


def _names(disk: Disk, folder: bytes) -> list[bytes]:
    # A descriptor that only looks cannot be listed.
    parent, name = disk.place(folder)
    number = os.open(name or b".", _LIST, dir_fd=parent)
    try:
        return [os.fsencode(each) for each in os.listdir(number)]
    finally:
        os.close(number)


def numbered(entries: Iterable[Kept], first: int) -> tuple[Kept, ...]:
    """The entries with a name in the folder for each that needs one, counted from `first`."""
    found = []
    for entry in entries:
        if entry.kind in ("file", "other") and not entry.oid:
            # For whoever looks into the folder without us.
            name = re.sub(r"[^A-Za-z0-9._-]", "_", os.fsdecode(entry.path.rpartition(b"/")[2]))[-80:]
            entry = replace(entry, file=f"{first}-{name}")
            first += 1
        found.append(entry)
    return tuple(found)


# --- out of the way -------------------------------------------------------------------------------------------------


def move_away(root: Path, folder: Path, entries: Sequence[Kept]) -> None:
    """Take the entries out of the workspace, durably: a file is in one of the two places at any time. What stays a
    folder, and what is the checkpoint's own, stays. Raises CannotRestore.
    """
    with Disk(root) as disk:
        target = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for entry in entries:
                if entry.file and not os.path.lexists(folder / entry.file):
                    with naming(entry.path):
                        _move(disk, entry, folder, target)
        finally:
            os.close(target)
        if any(entry.file for entry in entries):
            with naming(b""):
                sync_tree(folder)
        for entry in sorted(entries, key=lambda each: each.path, reverse=True):
            _clear(disk, entry, folder)


def _move(disk: Disk, entry: Kept, folder: Path, target: int) -> None:
    state = disk.look(entry.path)
    if state is None or _kind(state.st_mode) != entry.kind:
        return
    parent, name = disk.place(entry.path)
    if entry.kind == "other" or state.st_nlink == 1:
        try:
            os.rename(name, entry.file, src_dir_fd=parent, dst_dir_fd=target)
        except OSError:
            # On another disk, or in a folder that nothing may be moved out of.
            if entry.kind == "other":
                raise
        else:
            _set_mode(folder / entry.file, 0o600)
            return
    # Other names of the same file keep their mode, and what is written to them stays out of what is kept.
    part = folder / f"{entry.file}.part"
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    with os.fdopen(source, "rb") as data, open(os.open(part, _NEW, 0o600), "wb") as out:
        shutil.copyfileobj(data, out, _CHUNK)
        out.flush()
        os.fsync(out.fileno())
    os.utime(part, ns=(state.st_atime_ns, state.st_mtime_ns))
    os.replace(part, folder / entry.file)


def _set_mode(path: Path, mode: int) -> None:
    """Of a file in our own folder; it may be somebody else's, who keeps its mode."""
    if not path.is_symlink():
        with suppress(PermissionError):
            path.chmod(mode)


def _clear(disk: Disk, entry: Kept, folder: Path) -> None:
    """Remove what is kept by its copy, or by the record alone; a folder only where it is empty."""
    state = disk.look(entry.path)
    if state is None or entry.oid or _kind(state.st_mode) != entry.kind:
        return
    parent, name = disk.place(entry.path)
    # Where it may not be removed, or holds something yet, whoever writes there finds a way.
    with suppress(OSError):
        match entry.kind:
            case "dir":
                os.rmdir(name, dir_fd=parent)
                disk.forget()
            case "fifo":
                os.unlink(name, dir_fd=parent)
            case "link" if os.readlink(name, dir_fd=parent) == entry.target:
                os.unlink(name, dir_fd=parent)
            case "file" if _same_bytes(parent, name, folder / entry.file):
                os.unlink(name, dir_fd=parent)
            case _:
                pass


def _same_bytes(parent: int, name: bytes, copy: Path) -> bool:
    number = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    with os.fdopen(number, "rb") as here, open(copy, "rb") as there:
        if os.fstat(here.fileno()).st_size != os.fstat(there.fileno()).st_size:
            return False
        while data := here.read(_CHUNK):
            if data != there.read(_CHUNK):
                return False
    return True


# --- and back -------------------------------------------------------------------------------------------------------


def still_away(root: Path, folder: Path, entries: Iterable[Kept]) -> tuple[Kept, ...]:
    """Those of the entries that are not in the workspace again. Raises Unreadable."""
    with Disk(root) as disk:
        return tuple(each for each in entries if not _is_back(disk, folder, each))


def _is_back(disk: Disk, folder: Path, entry: Kept) -> bool:
    if entry.file:
        return not os.path.lexists(folder / entry.file)
    state = disk.look(entry.path)
    if state is None or _kind(state.st_mode) != entry.kind:
        return False
    if entry.kind == "link":
        parent, name = disk.place(entry.path)
        return os.readlink(name, dir_fd=parent) == entry.target
    if entry.oid:
        return is_item(disk, entry.path, state, _item(entry))
    return stat.S_IMODE(state.st_mode) == entry.mode


def _item(entry: Kept) -> Item:
    assert entry.kind != "other"  # no checkpoint has one
    return Item(kind=entry.kind, mode=entry.mode & MODE_BITS, oid=entry.oid)


def give_back(root: Path, reader: Reader, folder: Path, entries: Sequence[Kept]) -> tuple[bytes, ...]:
    """Bring the entries to the workspace again, durably, with their modes and times, in place of nothing: what stood
    there has been moved away. Returns those that cannot be had any more. Raises CannotRestore.
    """
    with Disk(root) as disk:
        with naming(TMP):
            disk.ensure(TMP)
            tmp = os.dup(disk.folder(TMP))
        try:
            giving = _Giving(disk, tmp, reader, folder)
            for entry in sorted(entries, key=lambda each: each.path):
                with naming(entry.path):
                    giving.bring(entry)
            giving.finish()
        finally:
            os.close(tmp)
    return tuple(giving.lost)


class _Giving:
    """One call of `give_back`."""

    def __init__(self, disk: Disk, tmp: int, reader: Reader, folder: Path) -> None:
        self._disk = disk
        self._tmp = tmp
        self._reader = reader
        self._folder = folder
        self._openings = Openings(disk, tmp)
        self._modes: dict[bytes, int] = {}
        self._sources: list[Path] = []
        self.lost: list[bytes] = []

    def bring(self, entry: Kept) -> None:
        above = entry.path.rpartition(b"/")[0]
        self._disk.ensure(above)
        if above:
            self._openings.need(above, 0o300)
        if entry.kind == "dir":
            self._disk.make_folder(entry.path, 0o700)
            self._modes[entry.path] = entry.mode
            return
        if entry.file and self._moved(entry):
            return
        name = b"new-kept"
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._tmp)
        if not self._made(entry, name):
            self.lost.append(entry.path)
            return
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=self._tmp, follow_symlinks=False)
        parent, last = self._disk.place(entry.path)
        os.rename(name, last, src_dir_fd=self._tmp, dst_dir_fd=parent)

    def _moved(self, entry: Kept) -> bool:
        source = self._folder / entry.file
        parent, last = self._disk.place(entry.path)
        _set_mode(source, entry.mode)
        try:
            os.rename(source, last, dst_dir_fd=parent)
        except OSError as error:
            if error.errno != errno.EXDEV or entry.kind == "other":
                raise
            return False
        return True

    def _made(self, entry: Kept, name: bytes) -> bool:
        """Make it under a name of its own; False where its bytes are gone."""
        try:
            if entry.file:
                source = self._folder / entry.file
                with open(source, "rb") as data, open(os.open(name, _NEW, 0o600, dir_fd=self._tmp), "wb") as out:
                    shutil.copyfileobj(data, out, _CHUNK)
                    os.fchmod(out.fileno(), entry.mode)
                self._sources.append(source)
            elif entry.kind == "link":
                os.symlink(entry.target, name, dir_fd=self._tmp)
            else:
                make_entry(self._reader, self._tmp, name, _item(entry))
        except (FileNotFoundError, ObjectUnreadable):
            return False
        return True

    def finish(self) -> None:
        """Folders get their modes, all is made durable, and copies are no longer needed."""
        wanted = {**self._openings.originals(), **self._modes}
        for path in sorted(wanted, reverse=True):
            with naming(path):
                found = self._disk.look(path)
                if found is not None and stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) != wanted[path]:
                    self._disk.set_mode(path, wanted[path])
        with naming(b""):
            self._disk.sync()
        for source in self._sources:
            source.unlink(missing_ok=True)
        self._openings.done()
