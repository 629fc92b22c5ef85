"""When something on disk changed, by the file system's own clock (ctime), never by ours.

Owns the probe that reads that clock, and what the disk says of a path that changed. Must not know what the answers are
for.
"""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

from gitckpt.model.names import LIVE_FOLDER
from gitckpt.model.whose import Changed, Folder
from gitckpt.workspace import kinds
from gitckpt.workspace.statcache import FULL_INODE, Entry, StatCache

_LONGEST_TICK = 0.05
"""Seconds: clocks tick every 1 to 10 ms; a file system that keeps whole seconds is not waited for."""

_OURS = frozenset({os.fsencode(LIVE_FOLDER), b".git"})
"""Right in the workspace: they change by gitckpt and by git."""


def ctime_now(folder: Path | bytes) -> int:
    """The ctime, in ns, that a file touched now in `folder` gets. Leaves nothing there. Raises OSError."""
    unnamed = getattr(os, "O_TMPFILE", 0)
    if unnamed:
        try:
            number = os.open(folder, unnamed | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError:
            # Not every file system has unnamed files; the named way also gives the true error.
            pass
        else:
            try:
                return os.fstat(number).st_ctime_ns
            finally:
                os.close(number)
    with tempfile.NamedTemporaryFile(dir=os.fsdecode(folder), prefix=".gitckpt-clock-") as probe:
        os.utime(probe.fileno())
        return os.fstat(probe.fileno()).st_ctime_ns


def wait_past(folder: Path | bytes, moment_ns: int) -> int:
    """Wait until the file system's clock shows more than `moment_ns` (at most 50 ms); what it shows then."""
    end = time.monotonic() + _LONGEST_TICK
    while True:
        now = ctime_now(folder)
        if now > moment_ns or time.monotonic() > end:
            return now
        time.sleep(0.0005)


def changed_of(root: Path, paths: Iterable[bytes], before: Callable[[], StatCache], began_ns: int = 0) -> list[Changed]:
    """What the disk says of each of `paths`, relative to `root`: when it was changed, and its folder. `before` gives
    what was known of the files as the checkpoint has them; only what changed before `began_ns` can be as it was then.
    No symlink is followed at a path itself. Raises OSError.
    """
    look = _Look(os.fsencode(root), before, began_ns)
    found = [look.at(path) for path in paths]
    return [each if each.changed_ns is not None else look.with_reasons(each) for each in found]


class _Look:
    """One look at a tree: every folder is asked once."""

    def __init__(self, top: bytes, before: Callable[[], StatCache], began_ns: int) -> None:
        self._top = top
        self._began_ns = began_ns
        self._before = cache(before)
        self._known: dict[bytes, dict[bytes, Entry]] = {}
        self._folders: dict[bytes, tuple[bytes, Folder]] = {}
        self._others: dict[bytes, int] = {}
        self._here: dict[tuple[int, ...], bytes] = {}

    def at(self, path: bytes) -> Changed:
        """The path, without why it is gone where it is."""
        _, folder = self._nearest(_parent(path))
        try:
            found = os.lstat(self._top + b"/" + path)
        except (FileNotFoundError, NotADirectoryError):
            return Changed(path=path, changed_ns=None, folder=folder)
        if not stat.S_ISDIR(found.st_mode):
            self._here[_identity(found)] = path
        known = self._entry(path) if found.st_ctime_ns < self._began_ns else None
        as_before = known is not None and known.stat[1:] == (*_identity(found), found.st_ctime_ns)
        return Changed(path=path, changed_ns=found.st_ctime_ns, folder=folder, as_before=as_before)

    def with_reasons(self, gone: Changed) -> Changed:
        """To be asked when every path has been looked at."""
        folder, _ = self._nearest(_parent(gone.path))
        known = self._entry(gone.path)
        moved_to = self._here.get(known.stat[1:4]) if known is not None and known.kind in kinds.HELD else None
        return replace(gone, others_ns=self._others_in(folder), moved_to=moved_to)

    def _nearest(self, path: bytes) -> tuple[bytes, Folder]:
        """The folder at `path`, or the nearest one above that is there."""
        known = self._folders.get(path)
        if known is None:
            above = self._nearest(_parent(path)) if path else None
            try:
                found = os.lstat(self._top + b"/" + path if path else self._top)
            except (FileNotFoundError, NotADirectoryError):
                if above is None:
                    raise
                known = above
            else:
                up = above[1] if above is not None else None
                known = path, Folder(changed_ns=found.st_ctime_ns, written_ns=found.st_mtime_ns, above=up)
            self._folders[path] = known
        return known

    def _others_in(self, folder: bytes) -> int:
        """When the entries of the folder changed last that may have come or gone by a name. A file that was there
        before under the same number was written to, and a folder that was there had something done in it."""
        newest = self._others.get(folder)
        if newest is None:
            place = self._top + b"/" + folder if folder else self._top
            found, newest = os.lstat(place), 0
            if not stat.S_ISDIR(found.st_mode):
                newest = found.st_ctime_ns  # a file or a link has come in its place
            else:
                with os.scandir(place) as entries:
                    for entry in entries:
                        if folder or entry.name not in _OURS:
                            newest = max(newest, self._came_ns(folder, entry))
            self._others[folder] = newest
        return newest

    def _came_ns(self, folder: bytes, entry: os.DirEntry[bytes]) -> int:
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return 0
        known = self._entry(folder + b"/" + entry.name if folder else entry.name)
        if known is not None and stat.S_ISDIR(found.st_mode) and known.kind in kinds.WALKED:
            return 0
        if known is not None and known.stat[1] == found.st_ino & FULL_INODE:
            return 0
        return found.st_ctime_ns

    def _entry(self, path: bytes) -> Entry | None:
        folder, name = _parent(path), path.rpartition(b"/")[2]
        if folder not in self._known:
            known = self._before()
            record = known.folders.get(folder)
            self._known[folder] = record.entries(known.width) if record is not None else {}
        return self._known[folder].get(name)


def _identity(found: os.stat_result) -> tuple[int, ...]:
    """What a file keeps when it is moved: number, size, mtime; one made anew under a number used again differs."""
    return (found.st_ino & FULL_INODE, found.st_size, found.st_mtime_ns)


def _parent(path: bytes) -> bytes:
    return path[: max(path.rfind(b"/"), 0)]
