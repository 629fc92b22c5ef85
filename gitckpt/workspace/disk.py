"""Changing a directory tree by file descriptors, so that no symlink is ever followed and nothing outside is
reached.

Owns opening folders component by component, modes without following links, holes, and making it all durable.
Must not know what is being restored.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from gitckpt.errors import Unreadable
from gitckpt.plumbing.file_system import sync_file_system

# O_PATH needs no permission on the folder itself; where it is missing (macOS) the folder must be readable.
_LOOK = getattr(os, "O_PATH", os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = _LOOK | os.O_DIRECTORY
_BLOCK = 4096
_HOLE = bytes(_BLOCK)


class Disk:
    """The tree below `root`. Paths are relative to it; every method raises OSError as the system does."""

    def __init__(self, root: Path) -> None:
        self._top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open: tuple[bytes, int] | None = None
        self.crossed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.forget()
        os.close(self._top)

    def forget(self) -> None:
        """Close the folder kept open; call it after a folder was made, removed or moved."""
        if self._open is not None:
            os.close(self._open[1])
            self._open = None

    def folder(self, path: bytes) -> int:
        """A descriptor of the folder at `path`, valid until the next call. NotADirectoryError for a symlink."""
        if not path:
            return self._top
        if self._open is not None and self._open[0] == path:
            return self._open[1]
        self.forget()
        here = self._top
        for part in path.split(b"/"):
            try:
                below = os.open(part, _FOLDER, dir_fd=here)
            finally:
                if here != self._top:
                    os.close(here)
            here = below
        self._open = (path, here)
        return here

    def ensure(self, path: bytes) -> int:
        """As `folder`; what is missing is made, and what is no folder on the way is removed first."""
        try:
            return self.folder(path)
        except (FileNotFoundError, NotADirectoryError):
            pass
        parts = path.split(b"/")
        for depth in range(1, len(parts) + 1):
            self.make_folder(b"/".join(parts[:depth]), 0o755)
        return self.folder(path)

    def make_folder(self, path: bytes, mode: int) -> None:
        """Make one folder, in place of anything that is none; an existing one is left as it is."""
        parent, name = self.place(path)
        found = self.look(path)
        if found is not None and stat.S_ISDIR(found.st_mode):
            return
        if found is not None:
            os.unlink(name, dir_fd=parent)
        os.mkdir(name, mode, dir_fd=parent)
        self.forget()

    def place(self, path: bytes) -> tuple[int, bytes]:
        """The parent's descriptor and the last name of `path`."""
        folder, _, name = path.rpartition(b"/")
        return self.folder(folder), name

    def look(self, path: bytes) -> os.stat_result | None:
        """The lstat of `path`; None where it, or a folder above it, is not there. Raises Unreadable."""
        try:
            parent, name = self.place(path)
            return os.stat(name, dir_fd=parent, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError as error:
            raise Unreadable(path.rpartition(b"/")[0], error.strerror or "") from None

    def set_mode(self, path: bytes, mode: int) -> None:
        """Set the permission bits of a file, folder or FIFO; never of what a symlink points to."""
        parent, name = self.place(path)
        number = os.open(name, _LOOK | os.O_NONBLOCK, dir_fd=parent)
        try:
            if stat.S_ISLNK(os.fstat(number).st_mode):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if hasattr(os, "O_PATH"):
                # An O_PATH descriptor takes no fchmod, but its name under /proc does.
                os.chmod(f"/proc/self/fd/{number}", mode)
            else:
                os.fchmod(number, mode)
        finally:
            os.close(number)

    def move_aside(self, path: bytes) -> bytes:
        """Rename what is at `path` to a free name beside it; the new path."""
        parent, _ = self.place(path)
        for number in range(1, 10_000):
            aside = b"%s.kept-%d" % (path, number)
            if self.look(aside) is None:
                parent, name = self.place(path)
                os.rename(name, aside.rpartition(b"/")[2], src_dir_fd=parent, dst_dir_fd=parent)
                self.forget()
                return aside
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    def sync(self) -> None:
        """Make everything below the root durable."""
        if self.crossed:
            os.sync()
        else:
            sync_file_system(self._top)


class SparseWriter:
    """Writes a file's bytes in order, leaving holes where whole blocks are zero. Call `end` last."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._size = 0

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        if _HOLE not in data:
            self._put(data, self._size)
            self._size += len(data)
            return
        view = memoryview(data)
        at = 0
        while at < len(data):
            end = min(at + _BLOCK - (self._size + at) % _BLOCK, len(data))
            if end - at < _BLOCK or view[at:end] != _HOLE:
                self._put(view[at:end], self._size + at)
            at = end
        self._size += len(data)

    def end(self) -> None:
        """Give the file its size, also where it ends in a hole."""
        os.ftruncate(self._number, self._size)

    def _put(self, data: bytes | memoryview, offset: int) -> None:
        view = memoryview(data)
        while view:
            done = os.pwrite(self._number, view, offset)
            view = view[done:]
            offset += done


def remove_any(parent: int, name: bytes) -> None:
    """Remove a file, link, FIFO or empty folder; nothing where there is nothing."""
    with contextlib.suppress(FileNotFoundError):
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)
