"""One file, link or FIFO of a view under a new name elsewhere: the very same where that can be, else a copy.

Owns that choice, and what overlayfs noted on a file and nobody else needs. Must not know why it is brought.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from gitckpt.errors import Unreadable
from gitckpt.workspace.capture import numbers_of
from gitckpt.workspace.cloning import Cloner
from gitckpt.workspace.marks import PREFIX

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PIPE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES})


def link_or_copy(cloner: Cloner, path: bytes, own: os.stat_result, folder: int, name: bytes) -> None:
    """Make `name`, which is not there yet, in the open `folder`, of what `cloner.disk` has at `path`.

    `own` is its lstat. A copy has its mode and mtime. Raises OSError, Unreadable.
    """
    above, last = cloner.disk.place(path)
    _strip(b"/proc/self/fd/%d/%b" % (above, last))
    try:
        os.link(last, name, src_dir_fd=above, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
    else:
        return
    if stat.S_ISLNK(own.st_mode):
        os.symlink(os.readlink(last, dir_fd=above), name, dir_fd=folder)
    elif stat.S_ISFIFO(own.st_mode):
        os.mkfifo(name, 0o600, dir_fd=folder)
        _set_mode(os.open(name, _PIPE, dir_fd=folder), own)
    else:
        number = os.open(name, _CREATE, 0o600, dir_fd=folder)
        try:
            if not cloner.fill(path, numbers_of(own), number):
                raise Unreadable(path, "it could not be read, or changed meanwhile")
            # Once it has the file's name and dates, nobody could tell that a power cut took of its bytes.
            os.fsync(number)
        finally:
            # The last, for a write takes the setuid bit away.
            _set_mode(number, own)
    os.utime(name, ns=(own.st_atime_ns, own.st_mtime_ns), dir_fd=folder, follow_symlinks=False)


def _set_mode(number: int, own: os.stat_result) -> None:
    try:
        os.fchmod(number, stat.S_IMODE(own.st_mode))
    finally:
        os.close(number)


def _strip(name: bytes) -> None:
    """Take off what overlayfs noted on a file; where that is refused it does no harm."""
    if hasattr(os, "listxattr"):
        with suppress(OSError):
            for attribute in os.listxattr(name, follow_symlinks=False):
                if attribute.startswith(PREFIX):
                    os.removexattr(name, attribute, follow_symlinks=False)
