"""The dates of what an attempt wrote in a view of its own, and the files of which it changed nothing but the date.

Owns how each kind of view tells them. Sets no date; must not know what becomes of them.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gitckpt.plumbing.content import Change
from gitckpt.workspace.dates import Dates
from gitckpt.workspace.scan import Touch, ViewScan
from gitckpt.workspace.statcache import FIELDS, Record, StatCache, split_names


def touched_over(found: ViewScan, lowers: Sequence[Path]) -> ViewScan:
    """What was read of an overlay, with its touches: what lies in its own directory as it is in the `lowers`, topmost
    first, but for the date."""
    changed = {change.path for change in found.changes}
    touches = []
    for path, (oid, after) in found.dates.items():
        before = None if path in changed else _date_below(path, lowers)
        if before not in (None, after):
            touches.append(Touch(path=path, oid=oid, before_ns=before, after_ns=after))
    return replace(found, touches=tuple(touches))


def _date_below(path: bytes, lowers: Sequence[Path]) -> int | None:
    for lower in lowers:
        try:
            found = os.lstat(os.path.join(os.fsencode(lower), path))
        except OSError:
            continue
        return found.st_mtime_ns if stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode) else None
    return None


def touched_since(found: ViewScan, begun: Mapping[bytes, Record], cache: StatCache) -> ViewScan:
    """What was read of a copy, with its dates and touches: `begun` is what the stat cache knew when it was made."""
    touches = tuple(
        Touch(path=each.path, oid=each.item.oid, before_ns=each.date_ns, after_ns=each.numbers[3])
        for each in Dates(Path(), begun, cache.width).touched(cache.folders)
    )
    dates = {each.path: (each.oid, each.after_ns) for each in touches}
    return replace(found, touches=touches, dates={**dates, **_dates_of(found.changes, cache)})


def _dates_of(changes: Sequence[Change], cache: StatCache) -> dict[bytes, tuple[bytes, int]]:
    folders: dict[bytes, tuple[array[int], dict[bytes, int]]] = {}
    dates = {}
    for change in changes:
        folder, _, name = change.path.rpartition(b"/")
        if change.new is None or not change.new.oid or folder not in cache.folders:
            continue
        if folder not in folders:
            record = cache.folders[folder]
            names = {each: index for index, each in enumerate(split_names(record.names))}
            folders[folder] = array("q", record.stats), names
        numbers, names = folders[folder]
        if name in names:
            dates[change.path] = (change.new.oid, numbers[names[name] * FIELDS + 3])
    return dates
