"""Reading one file or link into the pack, whole and untorn, whatever else writes to it meanwhile.

Owns how a file is opened, the tries when it changes, the search for secrets in its bytes, and whether its
bytes need writing at all. Must not know trees, directories or the cache.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass
from typing import IO

from gitckpt.errors import ChangedWhileRead, Unreadable
from gitckpt.plumbing.objects import hasher
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.scratch import scratch_file
from gitckpt.workspace import kinds
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.rules import Matcher, holds_key

_TRIES = 3
_SMALL = 1 << 20
_CHUNK = 1 << 20
# O_NONBLOCK: a FIFO put where the file was must not block us. O_NOATIME is refused for files of other owners.
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_QUIET_OPEN = _OPEN | getattr(os, "O_NOATIME", 0)

Numbers = tuple[int, int, int, int, int]


class Gone(Exception):
    """The path vanished, or became something else, since the walk listed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """One entry as read. `numbers` are its mode, inode, size, mtime and ctime (ns) at the end of the reading.

    `oid` is empty where `kind` says that the file is left out; `stable` is false when it never held still.
    """

    kind: int
    oid: bytes
    numbers: Numbers
    stable: bool = True


class Capture:
    """Reads entries of `disk` into `pack`; `reader` tells the sizes of what is known already. `read` counts the files
    that were."""

    def __init__(
        self,
        *,
        disk: Disk,
        pack: Pack,
        matcher: Matcher,
        object_format: str,
        default_file: int,
        reader: Reader | None,
    ) -> None:
        self._disk = disk
        self._pack = pack
        self._reader = reader
        self._matcher = matcher
        self._hash = hasher(object_format)
        # Under umask 077 every file is the owner's only, so the mode tells nothing about keys.
        self._mode_tells = default_file & 0o077 != 0
        self.read = 0

    def link(self, path: bytes, known: bytes) -> Captured:
        """Capture a symlink's target. Raises Gone."""
        for _ in range(_TRIES):
            try:
                parent, name = self._disk.place(path)
                found = os.stat(name, dir_fd=parent, follow_symlinks=False)
                target = os.readlink(name, dir_fd=parent)
                after = os.stat(name, dir_fd=parent, follow_symlinks=False)
            except OSError as error:
                raise _gone_or_unreadable(error, path) from None
            if numbers_of(found) == numbers_of(after):
                break
        return Captured(kind=kinds.LINK, oid=self._store(target, known), numbers=numbers_of(after))

    def file(self, path: bytes, known: bytes) -> Captured:
        """Capture a regular file.

        `known` is the id that the known content holds at this path (b"" for none): equal bytes are not
        written again. Raises Gone, Unreadable.
        """
        self.read += 1
        for attempt in range(_TRIES):
            number = self._open(path)
            try:
                found = os.fstat(number)
                if not stat.S_ISREG(found.st_mode):
                    raise Gone
                captured = self._read(number, found, path, known, last=attempt == _TRIES - 1)
            except OSError as error:
                raise _gone_or_unreadable(error, path) from None
            finally:
                os.close(number)
            if captured is not None:
                return captured
        raise Gone

    def _open(self, path: bytes) -> int:
        try:
            return open_to_read(self._disk, path)
        except OSError as error:
            raise _gone_or_unreadable(error, path) from None

    def _read(self, number: int, found: os.stat_result, path: bytes, known: bytes, *, last: bool) -> Captured | None:
        """One try; None when the file changed under it and there are tries left."""
        if self._mode_tells and not found.st_mode & 0o077 and self._matcher.secret_by_mode(path):
            return Captured(kind=kinds.SECRET_MODE, oid=b"", numbers=numbers_of(found))
        if found.st_size <= _SMALL:
            data = _read_whole(number, found.st_size)
            after = os.fstat(number)
            stable = numbers_of(after) == numbers_of(found) and len(data) == found.st_size
            if not stable and not last:
                return None
            kind = self._secret_in(data, path)
            oid = self._store(data, known) if kind == kinds.FILE else b""
            return Captured(kind=kind, oid=oid, numbers=numbers_of(after), stable=stable)
        kind = self._secret_streamed(number, path)
        if kind != kinds.FILE:
            return Captured(kind=kind, oid=b"", numbers=numbers_of(found))
        if last:
            return self._private_copy(number, found, known)
        try:
            oid = self._store_streamed(number, found.st_size, known)
        except ChangedWhileRead:
            return None
        after = os.fstat(number)
        if numbers_of(after) != numbers_of(found):
            return None
        return Captured(kind=kinds.FILE, oid=oid, numbers=numbers_of(after))

    def _private_copy(self, number: int, found: os.stat_result, known: bytes) -> Captured:
        """A big file that does not hold still: what is read is copied aside, and the copy is stored."""
        os.lseek(number, 0, os.SEEK_SET)
        with scratch_file() as copy:
            while data := os.read(number, _CHUNK):
                copy.write(data)
            size = copy.tell()
            copy.seek(0)
            oid = self._hash_streamed(copy, size) if known else b""
            if not oid or oid != known:
                copy.seek(0)
                oid = self._pack.blob_stream(copy.read, size)
        after = os.fstat(number)
        stable = numbers_of(after) == numbers_of(found) and size == found.st_size
        return Captured(kind=kinds.FILE, oid=oid, numbers=numbers_of(after), stable=stable)

    # --- bytes ----------------------------------------------------------------------------------------------

    def _store(self, data: bytes, known: bytes) -> bytes:
        if known and self._hash(b"blob %d\0%b" % (len(data), data)).digest() == known:
            return known
        return self._pack.blob(data)

    def _store_streamed(self, number: int, size: int, known: bytes) -> bytes:
        with open(number, "rb", buffering=0, closefd=False) as source:
            # Equal bytes have an equal size; a file of another size is not worth a first reading.
            if known and self._reader is not None and self._reader.size(known) == size:
                source.seek(0)
                if self._hash_streamed(source, size) == known:
                    return known
            source.seek(0)
            return self._pack.blob_stream(source.read, size)

    def _hash_streamed(self, source: IO[bytes], size: int) -> bytes:
        digest = self._hash(b"blob %d\0" % size)
        while data := source.read(_CHUNK):
            digest.update(data)
        return digest.digest()

    def _secret_in(self, data: bytes, path: bytes) -> int:
        return _secret_in(self._matcher, data, path)

    def _secret_streamed(self, number: int, path: bytes) -> int:
        return _secret_streamed(self._matcher, number, path)


def _secret_in(matcher: Matcher, data: bytes, path: bytes) -> int:
    if matcher.may_hold_key(path) and holds_key(data):
        return kinds.PRIVATE_KEY
    if matcher.seeks_secrets and matcher.holds_secret(data):
        return kinds.SECRET_VALUE
    return kinds.FILE


def _secret_streamed(matcher: Matcher, number: int, path: bytes) -> int:
    if not matcher.seeks_secrets and not matcher.may_hold_key(path):
        return kinds.FILE
    overlap = max(matcher.overlap, 16)
    tail = b""
    while data := os.read(number, _CHUNK):
        kind = _secret_in(matcher, tail + data, path)
        if kind != kinds.FILE:
            return kind
        tail = data[-overlap:]
    return kinds.FILE


def is_left_out(disk: Disk, path: bytes, mode: int, matcher: Matcher) -> bool:
    """Whether the workflow file leaves out what is at `path`, with that mode: by its name, or as a secret.

    In doubt yes. What git ignores is not asked. Raises OSError.
    """
    parts = path.split(b"/")
    folders = (b"/".join(parts[:depth]) + b"/" for depth in range(1, len(parts)))
    if any(matcher.excluded(each) for each in (*folders, path + b"/" if stat.S_ISDIR(mode) else path)):
        return True
    if not stat.S_ISREG(mode):
        return False
    if matcher.secret_by_name(path) or (not mode & 0o077 and matcher.secret_by_mode(path)):
        return True
    try:
        number = open_to_read(disk, path)
    except PermissionError:
        return True
    try:
        return _secret_streamed(matcher, number, path) != kinds.FILE
    finally:
        os.close(number)


def open_to_read(disk: Disk, path: bytes) -> int:
    """A descriptor of the file at `path`. Raises OSError, for a symlink too."""
    # Component by component: a folder that became a symlink since the walk leads nowhere.
    parent, name = disk.place(path)
    try:
        return os.open(name, _QUIET_OPEN, dir_fd=parent)
    except PermissionError as error:
        if error.errno != errno.EPERM:
            raise
        return os.open(name, _OPEN, dir_fd=parent)


def _read_whole(number: int, size: int) -> bytes:
    data = os.read(number, size + 1)
    if len(data) == size:
        # A short read happens only at the end for a regular file, but a file that grew must be seen whole.
        return data
    parts = [data]
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(number, _CHUNK):
            parts.append(piece)
    return b"".join(parts)


def numbers_of(found: os.stat_result) -> Numbers:
    """Mode, inode, size, mtime and ctime (ns), as the stat cache keeps them."""
    inode = found.st_ino if found.st_ino < 1 << 63 else found.st_ino & (1 << 63) - 1
    return (found.st_mode, inode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _gone_or_unreadable(error: OSError, path: bytes) -> Gone | Unreadable:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.ENXIO):
        return Gone()
    return Unreadable(path, os.strerror(error.errno or 0))
