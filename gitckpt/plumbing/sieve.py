"""Packs that take only what is wanted: the rest of what is put in is hashed, and let go.

Owns that choice. So a scan that stores all of a workspace brings back single objects, or only tells which it has.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from gitckpt.errors import ChangedWhileRead
from gitckpt.plumbing.entry import BLOB, CHUNK
from gitckpt.plumbing.objects import hasher
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.repository import Repository


class Sieve(Pack):
    """A pack of the wanted objects alone."""

    def __init__(self, repository: Repository, owner: str, wanted: Collection[bytes]) -> None:
        super().__init__(repository, owner)
        self._wanted = frozenset(wanted)

    @property
    def has_all(self) -> bool:
        """Whether nothing more is wanted."""
        return len(self._index) == len(self._wanted)

    def blob_stream(self, read: Callable[[int], bytes], size: int) -> bytes:
        """As a pack's; of what is not wanted nothing stays."""
        self._settle()
        start = self._flushed + len(self._buffer)
        oid = super().blob_stream(read, size)
        if oid not in self._wanted and self._index[oid][0] == start:
            del self._index[oid]
            self._rewind(start)
        return oid

    def _add(self, kind: int, oid: bytes, data: bytes) -> None:
        if oid in self._wanted:
            super()._add(kind, oid, data)


class Tally(Pack):
    """Writes nothing at all: `seen` are the wanted objects that were put in."""

    def __init__(self, repository: Repository, wanted: Collection[bytes]) -> None:
        super().__init__(repository, "tally")
        self._wanted = frozenset(wanted)
        self._new = hasher(repository.object_format)
        self.seen: set[bytes] = set()

    @property
    def has_all(self) -> bool:
        """Whether all that is wanted has been put in."""
        return len(self.seen) == len(self._wanted)

    def blob_stream(self, read: Callable[[int], bytes], size: int) -> bytes:
        """As a pack's; it is only hashed."""
        digest = self._new(b"blob %d\0" % size)
        done = 0
        while data := read(CHUNK):
            digest.update(data)
            done += len(data)
        if done != size:
            raise ChangedWhileRead(done)
        oid = digest.digest()
        self._add(BLOB, oid, b"")
        return oid

    def _add(self, _kind: int, oid: bytes, _data: bytes) -> None:
        if oid in self._wanted:
            self.seen.add(oid)
