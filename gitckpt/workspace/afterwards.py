"""The stat cache after a restore: what was written is known without reading it again.

Owns that update. Decisions of the walk are not guessed: a path it has not decided about is left to it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from gitckpt.plumbing.content import Change, Item
from gitckpt.workspace import kinds
from gitckpt.workspace.statcache import Entry, StatCache, split_names
from gitckpt.workspace.times import ctime_now, wait_past

_UNKNOWN = b"unknown"
_GITIGNORE = b".gitignore"
_READ_AGAIN = 1 << 20
"""Bytes that are read within a tick of the clock (1 to 10 ms)."""
_KINDS = {"file": kinds.FILE, "link": kinds.LINK, "fifo": kinds.FIFO}


def update_cache(root: Path, changes: Sequence[Change], cache: StatCache) -> None:
    """Record in `cache` what the restore by `changes` left on disk. An empty cache stays empty: no scan, no
    baseline.
    """
    if not cache.folders:
        return
    for change in changes:
        if change.old is not None and change.old.kind == "dir" and (change.new is None or change.new.kind != "dir"):
            cache.forget(change.path)
    # Paths that git could refuse may be among the changes, so their tree is no longer what the cache has
    # seen.
    cache.escaped = _UNKNOWN
    top = os.fsencode(root) + b"/"
    states = {change.path: _state(top + change.path) for change in changes}
    now = _judged_at(root, [state for state in states.values() if state is not None])
    by_folder: dict[bytes, list[Change]] = {}
    for change in changes:
        by_folder.setdefault(change.path.rpartition(b"/")[0], []).append(change)
    for folder, group in by_folder.items():
        if _renewed(cache, folder, group, states, now):
            continue
        record = cache.folders.get(folder)
        entries = record.entries(cache.width) if record is not None else {}
        for change in group:
            name = change.path.rpartition(b"/")[2]
            if name == _GITIGNORE:
                # The walk is to see that it changed: what it hides, or hides no more, is decided anew.
                continue
            entry = _entry(states[change.path], change.new, entries.pop(name, None), now)
            if entry is not None:
                entries[name] = entry
        cache.put(folder, entries)


def _renewed(
    cache: StatCache, folder: bytes, group: Sequence[Change], states: Mapping[bytes, os.stat_result | None], now: int
) -> bool:
    """Where no name came or went, only the entries that changed are touched: there may be thousands beside them."""
    record = cache.folders.get(folder)
    if record is None:
        return False
    indices = {name: index for index, name in enumerate(split_names(record.names))}
    dirty = frozenset(record.dirty)
    entries: dict[int, Entry] = {}
    for change in group:
        name = change.path.rpartition(b"/")[2]
        if name == _GITIGNORE:
            continue
        index = indices.get(name)
        if index is None:
            return False
        entry = _entry(states[change.path], change.new, record.entry(index, cache.width, dirty), now)
        if entry is None:
            return False
        entries[index] = entry
    cache.renew(folder, entries)
    return True


def _judged_at(root: Path, states: Sequence[os.stat_result]) -> int:
    """When the files were looked at, by the file system's clock; 0 where it cannot be read, and nothing is trusted.

    An edit in the same tick as our rename could not be told apart later. So the tick is waited out, unless reading all
    of them again, in the next scan, takes less time.
    """
    latest = max((state.st_ctime_ns for state in states), default=0)
    try:
        if sum(state.st_size for state in states) <= _READ_AGAIN:
            return ctime_now(root)
        return wait_past(root, latest)
    except OSError:
        return 0


def _state(path: bytes) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def _entry(state: os.stat_result | None, new: Item | None, was: Entry | None, now: int) -> Entry | None:
    if state is None or new is None:
        return None
    if new.kind == "dir":
        kept = was.kind if was is not None and was.kind in kinds.WALKED else kinds.UNDECIDED
        return Entry(stat=(state.st_mode, 0, 0, 0, 0), kind=kept)
    kind = _KINDS[new.kind]
    return Entry(
        stat=(
            state.st_mode,
            state.st_ino & (1 << 63) - 1,
            state.st_size,
            state.st_mtime_ns,
            state.st_ctime_ns,
        ),
        kind=kind if was is not None and was.kind == kind else kinds.UNDECIDED,
        oid=new.oid,
        dirty=state.st_ctime_ns >= now or not _fits(state, new),
    )


def _fits(state: os.stat_result, new: Item) -> bool:
    wanted = {"file": stat.S_IFREG, "link": stat.S_IFLNK, "fifo": stat.S_IFIFO}
    return stat.S_IFMT(state.st_mode) == wanted[new.kind]
