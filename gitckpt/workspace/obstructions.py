"""What lies on disk where a restore will write, and is neither the old nor the new state: the caller rescues
it first.

Owns the comparison of one path on disk with an item, and how a file looks that was written and then lost to a power
cut. Changes nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from gitckpt.errors import Unreadable
from gitckpt.plumbing.content import Change, Content, Item
from gitckpt.plumbing.objects import hasher
from gitckpt.plumbing.reader import Reader
from gitckpt.workspace.disk import Disk

_CHUNK = 1 << 20
_PIECE = 4096
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def obstructions(root: Path, changes: Sequence[Change], before: Content) -> list[bytes]:
    """The paths that a restore by `changes` would overwrite although their state is neither `old` nor `new`.

    A folder's mode does not count, an absent path never does. A file or link in place of a folder that the
    changes only pass through is named too. Changes without ids of `before`'s length are none of ours. Raises
    Unreadable.
    """
    width = len(before.files)
    named = {change.path for change in changes}
    found: set[bytes] = set()
    with Disk(root) as disk:
        for change in changes:
            for item in (change.old, change.new):
                if item is not None and item.oid and len(item.oid) != width:
                    raise ValueError("the changes are of a repository with another object format")
            passed = not_a_folder(disk, change.path)
            if passed is not None:
                if passed not in named:
                    found.add(passed)
                continue
            state = disk.look(change.path)
            if state is not None and not any(
                item is not None and is_item(disk, change.path, state, item) for item in (change.old, change.new)
            ):
                found.add(change.path)
    return sorted(found)


def torn(root: Path, reader: Reader, changes: Sequence[Change], paths: Sequence[bytes], booted_ns: int) -> list[bytes]:
    """Those of the obstructing `paths` that a restore by `changes` wrote, before a power cut took of their bytes.

    Such a file has no byte that is not the new one's, or nothing, at its place. After a cut other bytes may stand there
    as well, so what was changed last before `booted_ns` (0: the machine runs on) counts, too. Raises ObjectUnreadable.
    """
    wanted = {change.path: change.new for change in changes if change.new is not None and change.new.kind == "file"}
    found = []
    with Disk(root) as disk:
        for path in paths:
            state, new = disk.look(path), wanted.get(path)
            if state is None or new is None or not stat.S_ISREG(state.st_mode):
                continue
            if state.st_ctime_ns < booted_ns or _has_lost_bytes(disk, path, state, reader, new):
                found.append(path)
    return found


def _has_lost_bytes(disk: Disk, path: bytes, state: os.stat_result, reader: Reader, new: Item) -> bool:
    if state.st_mode & 0o1777 != new.mode or state.st_size > reader.size(new.oid):
        return False
    parent, name = disk.place(path)
    try:
        number = os.open(name, _READ, dir_fd=parent)
    except FileNotFoundError:
        return False
    except PermissionError as error:
        raise Unreadable(path, os.strerror(error.errno or 0)) from None
    fits = True
    with os.fdopen(number, "rb", buffering=_CHUNK) as source:

        def compare(data: bytes) -> None:
            nonlocal fits
            fits = fits and _is_what_is_left_of(source.read(len(data)), data)

        reader.stream(new.oid, compare)
    return fits


def _is_what_is_left_of(here: bytes, data: bytes) -> bool:
    for at in range(0, 0 if data.startswith(here) else len(here), _PIECE):
        piece, whole = here[at : at + _PIECE], data[at : at + _PIECE]
        pairs = zip(piece, whole, strict=False)
        if piece != whole and piece.count(0) != len(piece) and any(a not in (b, 0) for a, b in pairs):
            return False
    return True


def holds(disk: Disk, path: bytes, state: os.stat_result, item: Item) -> bool:
    """Whether `path`, with the lstat `state`, has the kind and the bytes of `item`; its mode does not count.

    Raises Unreadable.
    """
    match item.kind:
        case "dir":
            return stat.S_ISDIR(state.st_mode)
        case "fifo":
            return stat.S_ISFIFO(state.st_mode)
        case "link":
            if not stat.S_ISLNK(state.st_mode):
                return False
            parent, name = disk.place(path)
            return _id(len(item.oid), os.readlink(name, dir_fd=parent)) == item.oid
        case "file":
            return stat.S_ISREG(state.st_mode) and _id_of_file(disk, path, len(item.oid)) == item.oid


def is_item(disk: Disk, path: bytes, state: os.stat_result, item: Item) -> bool:
    """As `holds`; the mode of a file or FIFO counts. Raises Unreadable."""
    if item.kind in ("file", "fifo") and state.st_mode & 0o1777 != item.mode:
        return False
    return holds(disk, path, state, item)


def not_a_folder(disk: Disk, path: bytes) -> bytes | None:
    """The first thing above `path` that is there and is no folder."""
    parts = path.split(b"/")
    for depth in range(1, len(parts)):
        above = b"/".join(parts[:depth])
        state = disk.look(above)
        if state is None:
            return None
        if not stat.S_ISDIR(state.st_mode):
            return above
    return None


def _format(width: int) -> str:
    return "sha256" if width == 32 else "sha1"


def _id(width: int, data: bytes) -> bytes:
    return hasher(_format(width))(b"blob %d\0%b" % (len(data), data)).digest()


def _id_of_file(disk: Disk, path: bytes, width: int) -> bytes:
    parent, name = disk.place(path)
    try:
        number = os.open(name, _READ, dir_fd=parent)
    except FileNotFoundError:
        return b""
    except PermissionError as error:
        raise Unreadable(path, os.strerror(error.errno or 0)) from None
    with os.fdopen(number, "rb", buffering=0) as source:
        digest = hasher(_format(width))(b"blob %d\0" % os.fstat(number).st_size)
        while data := source.read(_CHUNK):
            digest.update(data)
    return digest.digest()
