"""One new file, link or FIFO, complete with its mode, in a folder that is open.

Owns how each kind is made, for restores and for copies of a workspace. Must not know where its name comes from, nor
make folders.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias, assert_never

from gitckpt.plumbing.content import Item
from gitckpt.plumbing.reader import Reader
from gitckpt.workspace.disk import SparseWriter

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Fill: TypeAlias = Callable[[int], bool]
"""Writes the bytes of a file to an open, empty one from elsewhere than the repository; False, with nothing written,
where they are not to be had.
"""


def _from_nowhere(_number: int) -> bool:
    return False


def make_entry(
    reader: Reader, folder: int, name: bytes, item: Item, fill: Fill = _from_nowhere, date_ns: int | None = None
) -> None:
    """Make `name` in the open `folder`; it may not be there yet. Its mtime is `date_ns`, unless `fill` set another one.

    Raises OSError, ObjectUnreadable.
    """
    match item.kind:
        case "link":
            os.symlink(reader.blob(item.oid), name, dir_fd=folder)
            if date_ns is not None:
                os.utime(name, ns=(date_ns, date_ns), dir_fd=folder, follow_symlinks=False)
        case "fifo":
            os.mkfifo(name, 0o600, dir_fd=folder)
            number = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=folder)
            try:
                os.fchmod(number, item.mode)
            finally:
                os.close(number)
        case "file":
            number = os.open(name, _CREATE, 0o600, dir_fd=folder)
            try:
                if not fill(number):
                    writer = SparseWriter(number)
                    reader.stream(item.oid, writer.write)
                    writer.end()
                    if date_ns is not None:
                        os.utime(number, ns=(date_ns, date_ns))
                os.fchmod(number, item.mode)
            finally:
                os.close(number)
        case "dir":
            raise ValueError("a folder is not made under another name")
        case _:
            assert_never(item.kind)
