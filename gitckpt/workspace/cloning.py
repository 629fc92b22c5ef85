"""The bytes of a file of the workspace, put into a new file: by reference where the file system can, else copied.

Owns the three ways and the proof that the source did not change meanwhile. Must not know why a copy is wanted.
"""

from __future__ import annotations

import errno
import fcntl
import os

from gitckpt.workspace.capture import Numbers, numbers_of, open_to_read
from gitckpt.workspace.disk import Disk, SparseWriter

# From linux/fs.h: _IOW(0x94, 9, int). Other systems refuse it, and copy.
_FICLONE = 0x40049409
_CHUNK = 1 << 20
_NEVER_HERE = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS})


class Cloner:
    """Copies files of `disk`; `done` counts them. Finds out at the first one whether files can share their blocks."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self._shares = True
        self._in_kernel = hasattr(os, "copy_file_range")
        self.done = 0

    def fill(self, path: bytes, numbers: Numbers, target: int) -> bool:
        """Write the bytes of `path` to the empty open file `target`, and give it the mtime.

        False, and `target` empty again, unless the file is, before and after, what `numbers` say. Raises OSError.
        """
        try:
            source = open_to_read(self.disk, path)
        except OSError:
            return False
        try:
            found = os.fstat(source)
            if numbers_of(found) != numbers:
                return False
            self._copy(source, target, found)
            if numbers_of(os.fstat(source)) != numbers:
                os.ftruncate(target, 0)
                os.lseek(target, 0, os.SEEK_SET)
                return False
            os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
        finally:
            os.close(source)
        self.done += 1
        return True

    def shares_blocks(self, path: bytes, target: int) -> bool:
        """Whether `target` can share the blocks of `path`, so that a copy takes no room. Raises OSError."""
        source = open_to_read(self.disk, path)
        try:
            return self._share(source, target)
        finally:
            os.close(source)

    def _copy(self, source: int, target: int, found: os.stat_result) -> None:
        if self._share(source, target):
            return
        # The kernel's copy fills holes.
        sparse = found.st_blocks * 512 < found.st_size
        if sparse or not self._copy_in_kernel(source, target, found.st_size):
            os.lseek(source, 0, os.SEEK_SET)
            writer = SparseWriter(target)
            while data := os.read(source, _CHUNK):
                writer.write(data)
            writer.end()

    def _share(self, source: int, target: int) -> bool:
        if not self._shares:
            return False
        try:
            fcntl.ioctl(target, _FICLONE, source)
        except OSError as error:
            self._shares = error.errno not in _NEVER_HERE
            return False
        return True

    def _copy_in_kernel(self, source: int, target: int, size: int) -> bool:
        """Whether all of it was copied; some file systems refuse at the first call, or say that there is nothing."""
        copied = 0
        while self._in_kernel and copied < size:
            try:
                done = os.copy_file_range(source, target, size - copied, copied, copied)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise
                self._in_kernel = error.errno not in _NEVER_HERE
                return False
            if not done:
                return False
            copied += done
        return copied == size
