"""The files of a pack on disk: unfinished ones under names of our own, the moment they become git's, the
`.keep` that holds `git gc` off, and what an unclean end leaves. Knows nothing of the objects inside but the
index's layout.
"""

from __future__ import annotations

import os
import re
import secrets
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gitckpt.errors import PackFailed
from gitckpt.plumbing.durable import sync_folder
from gitckpt.plumbing.repository import Repository

if TYPE_CHECKING:
    from hashlib import _Hash

_OWNER = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_TOKEN_BYTES = 8
_PIECE = 1 << 20
# What is read back is small trees, one by one.
_SMALL_PIECE = 1 << 16
_BIG_OFFSET = 1 << 31


def keep_text(owner: str) -> bytes:
    """What our `.keep` files hold, so that `sweep` never takes another's."""
    return f"gitckpt {owner}\n".encode("ascii")


def encode_index(entries: dict[bytes, tuple[int, int]], trailer: bytes, hash_of: Callable[[bytes], _Hash]) -> bytes:
    """A version 2 index for `entries`, raw id to (offset, crc32), of the pack that ends with `trailer`."""
    oids = sorted(entries)
    fanout = [0] * 256
    for oid in oids:
        fanout[oid[0]] += 1
    total = 0
    for byte, count in enumerate(fanout):
        total += count
        fanout[byte] = total
    offsets = []
    big = []
    for oid in oids:
        offset = entries[oid][0]
        if offset >= _BIG_OFFSET:
            big.append(offset)
            offset = _BIG_OFFSET | len(big) - 1
        offsets.append(offset)
    body = b"".join(
        (
            b"\377tOc",
            (2).to_bytes(4, "big"),
            struct.pack(">256L", *fanout),
            *oids,
            struct.pack(f">{len(oids)}L", *[entries[oid][1] for oid in oids]),
            struct.pack(f">{len(oids)}L", *offsets),
            struct.pack(f">{len(big)}Q", *big),
            trailer,
        )
    )
    return body + hash_of(body).digest()


class Unfinished:
    """The files of one pack, from the first byte to the release. Every method raises PackFailed and then
    leaves nothing.

    The unfinished ones are `objects/pack/gitckpt-<owner>-<token>.part`, `.index.part` and `.keep.part`: `git prune`
    and `git gc` delete what begins with `tmp_`, also while it is being written.
    """

    def __init__(self, repository: Repository, owner: str) -> None:
        if not _OWNER.fullmatch(owner):
            raise ValueError(f"{owner!r} cannot be part of a file's name")
        self._folder = _pack_folder(repository)
        self._owner = owner
        token = secrets.token_hex(_TOKEN_BYTES)
        self._part = os.path.join(self._folder, f"gitckpt-{owner}-{token}.part")
        # Git takes the last 40 or 64 hex digits of a pack's name for its identity; unlike git we do not use
        # the trailer, because two writers may well make the same pack and one of them would release the
        # other's.
        self._final = os.path.join(self._folder, "pack-" + secrets.token_hex(len(repository.null)))
        self._descriptor = -1
        self._over = False

    @property
    def name(self) -> str:
        """What git calls the finished pack, without its ending."""
        return os.path.basename(self._final)

    def append(self, data: bytearray) -> None:
        """Write at the end."""
        if self._over:
            raise PackFailed(self._part, "writing it has failed before")
        try:
            if self._descriptor < 0:
                os.makedirs(self._folder, exist_ok=True)
                self._descriptor = _create(self._part)
            with memoryview(data) as view:
                done = 0
                while done < len(view):
                    done += os.write(self._descriptor, view[done:])
        except OSError as error:
            raise self._failed(self._part, error) from None

    def cut(self, size: int) -> None:
        """Take back all after the first `size` bytes; nothing is left to cut after a failure."""
        if self._over:
            return
        try:
            os.ftruncate(self._descriptor, size)
            os.lseek(self._descriptor, size, os.SEEK_SET)
        except OSError as error:
            raise self._failed(self._part, error) from None

    def read_from(self, start: int) -> Iterator[bytes]:
        """What was written from `start` on, in pieces: who needs the first only reads no more."""
        try:
            while piece := os.pread(self._descriptor, _SMALL_PIECE, start):
                yield piece
                start += len(piece)
        except OSError as error:
            raise self._failed(self._part, error) from None

    def number(self, count: bytes, digest: _Hash) -> None:
        """Put the number of objects into the header, and hash the whole file: only now is its beginning
        known.
        """
        try:
            os.pwrite(self._descriptor, count, 8)
            at = 0
            while piece := os.pread(self._descriptor, _PIECE, at):
                digest.update(piece)
                at += len(piece)
        except OSError as error:
            raise self._failed(self._part, error) from None

    def publish(self, index: bytes) -> None:
        """Make pack and index durable and give them git's names; the index last, because it makes the pack
        seen.
        """
        path = self._part
        try:
            os.fsync(self._descriptor)
            self._close()
            path = self._part.removesuffix(".part") + ".index.part"
            _write_durably(path, index)
            # The keep is there before the pack is, and whole: a pack that lost its index in a crash is then known
            # as ours, and so is a keep that lost its pack.
            keep = self._part.removesuffix(".part") + ".keep.part"
            _write_durably(keep, keep_text(self._owner))
            os.rename(keep, self._final + ".keep")
            os.rename(self._part, self._final + ".pack")
            os.rename(path, self._final + ".idx")
            path = self._folder
            sync_folder(self._folder)
        except OSError as error:
            raise self._failed(path, error) from None

    def release(self) -> None:
        """Remove the `.keep`."""
        _remove(self._final + ".keep")

    def discard(self) -> None:
        """Remove everything that is not finished; nothing can be added any more."""
        self._over = True
        self._close()
        _remove(self._part)
        for ending in (".index.part", ".keep.part"):
            _remove(self._part.removesuffix(".part") + ending)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _failed(self, path: str, error: OSError) -> PackFailed:
        self.discard()
        # The index first: without it git does not see the pack.
        for ending in (".idx", ".pack", ".keep"):
            _remove(self._final + ending)
        return PackFailed(path, error.strerror or str(error))


def sweep(repository: Repository, owner: str) -> None:
    """Remove what `owner` left at an unclean end: unfinished files, `.keep` files, and a pack that has no
    index.

    Call it only while nobody else writes under this owner's name. Raises PackFailed.
    """
    for path in leftovers(repository, owner):
        stem = path.removesuffix(".keep")
        if stem != path and not os.path.exists(stem + ".idx"):
            _remove(stem + ".pack")
        _remove(path)


def leftovers(repository: Repository, owner: str) -> list[str]:
    """The unfinished files and the `.keep` files under this owner's name: of a pack that is being written, or of one
    that nobody finished. Raises PackFailed.
    """
    folder = _pack_folder(repository)
    part = re.compile(rf"gitckpt-{re.escape(owner)}-[0-9a-f]{{{2 * _TOKEN_BYTES}}}(?:\.index|\.keep)?\.part")
    try:
        paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise PackFailed(folder, error.strerror or str(error)) from None
    return [
        path
        for path in paths
        if part.fullmatch(os.path.basename(path)) or (path.endswith(".keep") and _holds(path, keep_text(owner)))
    ]


def _pack_folder(repository: Repository) -> str:
    return os.path.join(repository.common_dir, "objects", "pack")


def _create(path: str) -> int:
    # Mode 0444 as git's own, less the umask.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)


def _write_durably(path: str, data: bytes) -> None:
    descriptor = _create(path)
    try:
        done = 0
        while done < len(data):
            done += os.write(descriptor, data[done:])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _holds(path: str, text: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(text) + 1) == text
    except OSError:
        return False


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        # It is not there, or cannot go now: `sweep` comes again.
        pass
