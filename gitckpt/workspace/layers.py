"""Directories that lie over the workspace in the views of attempts: made of changes, and taken away.

Owns the writing of what a view shows as an upper directory would hold it, and the end of a view's folder whatever is in
it. Must not know attempts, nor what is mounted where.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from gitckpt.plumbing.content import Change, Content, Lookup
from gitckpt.plumbing.reader import Reader
from gitckpt.workspace.carrying import carry
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.entries import make_entry
from gitckpt.workspace.marks import make_whiteout, set_opaque

__all__ = ["carry", "make_layer", "remove_view"]

_LOOK = getattr(os, "O_PATH", os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_DIRECTORY
_LIST = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_DIRECTORY
_MOVED = b".gitckpt-removed-"


def make_layer(
    folder: Path,
    reader: Reader,
    changes: Sequence[Change],
    *,
    after: Content,
    dates: Mapping[bytes, int] = MappingProxyType({}),
) -> None:
    """Fill the empty `folder` so that, over a directory with the old sides, it shows the new ones, with these `dates`
    (mtimes in ns).

    `after` is the content that is shown then: the folders on the way to a change have the modes it says. A folder that
    is removed hides what is not captured in it, too. Raises OSError, ObjectUnreadable.
    """
    lookup = Lookup(reader, after)
    modes: dict[bytes, int] = {}
    ends: set[bytes] = set()
    with Disk(folder) as disk:
        for change in sorted(changes, key=lambda change: change.path):
            above = _above(change.path)
            if not ends.isdisjoint(above):
                continue
            for path in above:
                if path not in modes:
                    disk.make_folder(path, 0o700)
                    was = lookup.item(path)
                    modes[path] = was.mode if was is not None else lookup.defaults.dir
            new = change.new
            if new is not None and new.kind == "dir":
                disk.make_folder(change.path, 0o700)
                modes[change.path] = new.mode
                if change.old is not None and change.old.kind != "dir":
                    set_opaque(disk, change.path)
                continue
            ends.add(change.path)
            parent, name = disk.place(change.path)
            if new is None:
                make_whiteout(parent, name)
            else:
                make_entry(reader, parent, name, new, date_ns=dates.get(change.path))
        for path in sorted(modes, reverse=True):
            disk.set_mode(path, modes[path])


def _above(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    return [b"/".join(parts[:depth]) for depth in range(1, len(parts))]


# --- the end of a view --------------------------------------------------------------------------------------


def remove_view(folder: Path) -> None:
    """Remove `folder` and all in it, whatever its modes; nothing where there is nothing.

    Nothing behind a link or on something mounted there is touched. May be ended at any point and called again. Raises
    OSError, EBUSY for a mount.
    """
    try:
        top = os.open(folder, _LOOK)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        os.unlink(folder)
        return
    try:
        mount = _mount(top)
        _require_same(folder, mount)
        _open_up(top)
        number = 0
        waiting = [b"."]
        while waiting:
            name = waiting.pop()
            number = _empty(top, name, mount, waiting, number)
            if name != b".":
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(folder)


def _require_same(folder: Path, mount: bytes) -> None:
    """Refuse a folder on which something is mounted."""
    above = os.open(folder.parent, _LOOK & ~os.O_NOFOLLOW)
    try:
        if _mount(above) != mount:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(folder))
    finally:
        os.close(above)


def _empty(top: int, folder: bytes, mount: bytes, waiting: list[bytes], number: int) -> int:
    """Remove what is in a folder of `top`; folders in it are moved up to `top`, so that no depth is too deep."""
    opened = os.open(folder, _LIST, dir_fd=top)
    try:
        for name in os.listdir(opened):
            raw = os.fsencode(name)
            if not stat.S_ISDIR(os.stat(raw, dir_fd=opened, follow_symlinks=False).st_mode):
                os.unlink(raw, dir_fd=opened)
                continue
            below = os.open(raw, _LOOK, dir_fd=opened)
            try:
                if _mount(below) != mount:
                    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), name)
                _open_up(below)
            finally:
                os.close(below)
            moved = raw
            if folder != b".":
                while _is_there(top, moved := _MOVED + b"%d" % number):
                    number += 1
                os.rename(raw, moved, src_dir_fd=opened, dst_dir_fd=top)
            waiting.append(moved)
    finally:
        os.close(opened)
    return number


def _is_there(folder: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _open_up(folder: int) -> None:
    """Let us list and empty the open folder. What overlayfs works in has mode 000."""
    if os.fstat(folder).st_mode & 0o700 != 0o700:
        if hasattr(os, "O_PATH"):
            os.chmod(f"/proc/self/fd/{folder}", 0o700)
        else:
            os.fchmod(folder, 0o700)


def _mount(folder: int) -> bytes:
    """What tells the mount that an open folder lies on: its number, or the device where the system has no such list."""
    try:
        with open(f"/proc/self/fdinfo/{folder}", "rb") as file:
            found = re.search(rb"^mnt_id:\s*(\d+)", file.read(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else b"device %d" % os.fstat(folder).st_dev
