"""What overlayfs writes into an upper directory besides files: whiteouts, and folders that hide what is below them.

Owns both forms of each, for reading and for writing, and what an upper directory says of one path. Must not know what
is captured. Form: https://docs.kernel.org/filesystems/overlayfs.html, "whiteouts and opaque directories"; with the
mount option `userxattr` the names begin with `user.`.
"""

from __future__ import annotations

import errno
import os
import stat
from enum import Enum

from gitckpt.workspace.disk import Disk

PREFIX = "user.overlay."
_OPAQUE = PREFIX + "opaque"
_WHITEOUT = PREFIX + "whiteout"
_ABSENT = frozenset({errno.ENODATA, errno.EOPNOTSUPP, errno.ENOENT, errno.ENOTDIR, errno.EPERM})


class Silence(Enum):
    """What an upper directory says of a path that it does not hold."""

    AS_BELOW = "as below"
    """Nothing: the layers below show."""

    GONE = "gone"
    """Whatever the layers below have there is hidden."""


def is_whiteout(found: os.stat_result) -> bool:
    """Whether it is the usual form of a whiteout, by its lstat."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def opaque_mark(path: bytes | int) -> bytes:
    """`y`: the folder hides all below it; `x`: empty files in it may be whiteouts; b"": neither. Raises OSError."""
    try:
        if isinstance(path, int):
            return os.getxattr(path, _OPAQUE)
        return os.getxattr(path, _OPAQUE, follow_symlinks=False)
    except OSError as error:
        if error.errno in _ABSENT:
            return b""
        raise


def is_marked_whiteout(path: bytes, found: os.stat_result) -> bool:
    """Whether it is the other form, an empty file, in a folder whose mark is `x`. Raises OSError."""
    if not stat.S_ISREG(found.st_mode) or found.st_size:
        return False
    try:
        return _WHITEOUT in os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno in _ABSENT:
            return False
        raise


def said_of(upper: Disk, path: bytes) -> os.stat_result | Silence:
    """What the upper directory says of `path`: the lstat of what it shows there, or why it shows nothing.

    Raises OSError.
    """
    parts = path.split(b"/")
    silence = Silence.AS_BELOW
    for depth, name in enumerate(parts):
        folder = b"/".join(parts[:depth])
        mark = opaque_of(upper, folder)
        if mark == b"y":
            silence = Silence.GONE
        here = folder + b"/" + name if folder else name
        found = upper.look(here)
        if found is None:
            return silence
        if is_whiteout(found) or (mark == b"x" and is_marked_whiteout(name_of(upper, here), found)):
            return Silence.GONE
        if depth + 1 == len(parts):
            return found
        if not stat.S_ISDIR(found.st_mode):
            return Silence.GONE
    raise ValueError("the upper directory itself is not asked about")


def opaque_of(upper: Disk, path: bytes) -> bytes:
    """The mark of the folder at `path`. Raises OSError."""
    if not hasattr(os, "getxattr"):
        return b""  # no overlay is ever mounted there
    return opaque_mark(name_of(upper, path))


def name_of(disk: Disk, path: bytes) -> bytes:
    """A name, good until the next call of `disk`, that reaches `path` through no link."""
    if not path:
        return b"/proc/self/fd/%d/." % disk.folder(b"")
    parent, name = disk.place(path)
    return b"/proc/self/fd/%d/%b" % (parent, name)


def is_fresh(upper: Disk, path: bytes) -> bool:
    """Whether a folder above `path` hides all below it. Raises OSError."""
    parts = path.split(b"/")
    return any(opaque_of(upper, b"/".join(parts[:depth])) == b"y" for depth in range(len(parts)))


def set_opaque(disk: Disk, path: bytes) -> None:
    """Let the folder at `path` hide all below it. Raises OSError."""
    os.setxattr(name_of(disk, path), _OPAQUE, b"y", follow_symlinks=False)


def make_whiteout(folder: int, name: bytes) -> None:
    """Make one in the open `folder`; nobody needs to be the superuser for it. Raises OSError."""
    os.mknod(name, stat.S_IFCHR, os.makedev(0, 0), dir_fd=folder)
