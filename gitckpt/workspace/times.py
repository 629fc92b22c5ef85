"""When something on disk changed, by the file system's own clock (ctime), never by ours.

Owns the probe that reads that clock and the question "what changed since". Must not know what the answers are
for.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

_LONGEST_TICK = 0.05
"""Seconds: clocks tick every 1 to 10 ms; a file system that keeps whole seconds is not waited for."""


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


def changed_since(root: Path, paths: Iterable[bytes], border_ns: int) -> set[bytes]:
    """Those of `paths` (relative to `root`) that were changed after `border_ns`, by ctime.

    A folder that was moved counts with all below it: a move sets its ctime and leaves its mtime. An absent
    path counts when the nearest folder still there was changed after the border. No symlink is followed.
    """
    top = os.fsencode(root)
    moved: dict[bytes, bool] = {b"": False}
    return {path for path in paths if _changed(top, path, border_ns, moved)}


def _changed(top: bytes, path: bytes, border_ns: int, moved: dict[bytes, bool]) -> bool:
    folder = _parent(path)
    try:
        found = os.lstat(top + b"/" + path)
    except (FileNotFoundError, NotADirectoryError):
        return _nearest_changed(top, folder, border_ns)
    return found.st_ctime_ns > border_ns or _moved(top, folder, border_ns, moved)


def _moved(top: bytes, folder: bytes, border_ns: int, moved: dict[bytes, bool]) -> bool:
    known = moved.get(folder)
    if known is None:
        found = os.lstat(top + b"/" + folder)
        here = found.st_ctime_ns > border_ns >= found.st_mtime_ns
        known = moved[folder] = here or _moved(top, _parent(folder), border_ns, moved)
    return known


def _nearest_changed(top: bytes, folder: bytes, border_ns: int) -> bool:
    while True:
        try:
            return os.lstat(top + b"/" + folder if folder else top).st_ctime_ns > border_ns
        except (FileNotFoundError, NotADirectoryError):
            if not folder:
                raise
            folder = _parent(folder)


def _parent(path: bytes) -> bytes:
    return path[: max(path.rfind(b"/"), 0)]
