"""The objects of a repository and of a pack that is still being written, read as one.

Owns which of the two is asked first. Knows nothing of what the objects mean.
"""

from __future__ import annotations

from gitckpt.plumbing.objects import TreeEntry
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Reader


class Fresh:
    """What a Reader will see once `pack` is finished, as long as it is not: for contents made a moment ago."""

    def __init__(self, reader: Reader, pack: Pack) -> None:
        self._reader = reader
        self._pack = pack

    def tree(self, oid: bytes) -> dict[bytes, TreeEntry]:
        """As Reader.tree. Raises ObjectUnreadable."""
        found = self._pack.written_tree(oid)
        return self._reader.tree(oid) if found is None else found

    def blob(self, oid: bytes) -> bytes:
        """As Reader.blob. Raises ObjectUnreadable."""
        found = self._pack.written_blob(oid)
        return self._reader.blob(oid) if found is None else found

    def size(self, oid: bytes) -> int:
        """As Reader.size. Raises ObjectUnreadable."""
        found = self._pack.written_size(oid)
        return self._reader.size(oid) if found is None else found
