"""Files that somebody has made already, as they are to be: a restore takes their bytes and times from there.

Owns where each is looked for. What is not found, or is no plain file, comes from the repository instead. Must not know
who made them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from gitckpt.plumbing.content import Item
from gitckpt.workspace.capture import numbers_of
from gitckpt.workspace.cloning import Cloner
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.entries import Fill


@dataclass(frozen=True, slots=True)
class Made:
    """A folder, and which of its files are what; nobody writes to it any more."""

    folder: Path
    items: Mapping[bytes, Item]


class Beforehand:
    """The folders, newest last. Use it as a context manager."""

    def __init__(self, made: Sequence[Made]) -> None:
        self._where = {path: (each.folder, item) for each in made for path, item in each.items.items()}
        self._open: tuple[Path, Cloner] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def filling(self, path: bytes, item: Item) -> Fill:
        """What fills a new file that is to be `item`."""

        def fill(number: int) -> bool:
            folder, there = self._where.get(path, (None, None))
            if folder is None or there != item:
                return False
            try:
                found = os.lstat(os.path.join(os.fsencode(folder), path))
                return self._cloner(folder).fill(path, numbers_of(found), number)
            except (FileNotFoundError, PermissionError):  # a phase may have left what its own user cannot read
                return False

        return fill

    def _cloner(self, folder: Path) -> Cloner:
        """One folder is open at a time: there can be thousands."""
        if self._open is None or self._open[0] != folder:
            self._close()
            self._open = (folder, Cloner(Disk(folder)))
        return self._open[1]

    def _close(self) -> None:
        if self._open is not None:
            self._open[1].disk.__exit__(None, None, None)
            self._open = None
