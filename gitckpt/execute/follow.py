"""The output of a run while it is written: each attempt has a file of its own, all at one path.

Owns the reading from one to the next. Must not know phases. Every byte is masked before it is given out; what may be
the beginning of a secret waits for the rest of it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gitckpt.execute.output import hide, unfinished

_MOST = 1 << 20


class LiveOutput:
    """Reads what is new. The file that was there first is read from its beginning, or skipped with `skip`."""

    def __init__(self, path: Path, secrets: Sequence[bytes]) -> None:
        self._path = path
        self._secrets = secrets
        self._fd: int | None = None
        self._held = b""
        self.begin_anew()

    def replaced(self) -> bool:
        """Whether the path names another file than the one that is read."""
        try:
            there = self._path.stat()
        except OSError:
            return False  # between two attempts: the next file is just made
        return self._fd is None or not os.path.samestat(os.fstat(self._fd), there)

    def begin_anew(self) -> None:
        """Go on with the file that the path names now."""
        self.close()
        try:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._fd = None

    def skip(self) -> None:
        """Leave out what is there already."""
        if self._fd is not None:
            os.lseek(self._fd, 0, os.SEEK_END)

    def read(self) -> bytes:
        """What is new, masked; at most a mebibyte. Empty where nothing is."""
        data = self._held + (os.read(self._fd, _MOST) if self._fd is not None else b"")
        keep = len(data) - unfinished(data, self._secrets)
        self._held = data[keep:]
        return hide(data[:keep], self._secrets)

    def rest(self) -> bytes:
        """All that is left of a file to which nothing is added any more."""
        parts = []
        while part := self.read():
            parts.append(part)
        last, self._held = hide(self._held, self._secrets), b""
        return b"".join((*parts, last))

    def close(self) -> None:
        """Give the file back; a second call does nothing."""
        if self._fd is not None:
            os.close(self._fd)
        self._fd, self._held = None, b""
