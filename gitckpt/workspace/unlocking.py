"""What a phase left in its own view without the right to read it: opened for as long as the view is read.

Owns how that is done without losing the modes. In the workspace itself nothing is opened: there the user sees what it
is about, and decides. Must not know what a view is, nor read any file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from gitckpt.plumbing.content import Change

_READ, _ENTER = 0o400, 0o500
_MARK = stat.S_ISVTX
"""Set for the time being, too: so no opened entry has the mode that it had before the phase, and none is overlooked."""


@contextmanager
def unlocked(folder: Path, seen: Path) -> Iterator[Mapping[bytes, int]]:
    """Open all below `folder` that is the user's own and cannot be read, by the paths below `seen` where the same is.
    Yields the modes that it has otherwise, by path from there. Raises OSError."""
    top, modes = os.fsencode(folder), dict[bytes, int]()
    try:
        _open(top, b"", os.fsencode(seen), modes)
        yield modes
    finally:
        for path, mode in reversed(modes.items()):
            os.chmod(os.path.join(os.fsencode(seen), path), mode)


def _open(top: bytes, path: bytes, seen: bytes, modes: dict[bytes, int]) -> None:
    with os.scandir(os.path.join(top, path)) as entries:
        found = sorted((entry.name, entry.stat(follow_symlinks=False)) for entry in entries)
    for name, status in found:
        below = os.path.join(path, name)
        is_folder = stat.S_ISDIR(status.st_mode)
        needed = _ENTER if is_folder else _READ if stat.S_ISREG(status.st_mode) else 0
        if status.st_mode & needed != needed and status.st_uid == os.geteuid():
            modes[below] = stat.S_IMODE(status.st_mode)
            os.chmod(os.path.join(seen, below), modes[below] | needed | _MARK)
        if is_folder:
            _open(top, below, seen, modes)


def with_modes(changes: Sequence[Change], modes: Mapping[bytes, int]) -> tuple[Change, ...]:
    """The changes as they are with these modes."""
    return tuple(
        replace(change, new=replace(change.new, mode=modes[change.path]))
        if change.new is not None and change.path in modes
        else change
        for change in changes
    )
