"""Telling what an attempt changed in its copy of the workspace from what was put there to stand for uncaptured entries.

Owns that as functions of the last scan's stat cache, and of what the links lead to. Must not know how the copy was
filled, nor bring anything to the workspace.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from gitckpt.plumbing.content import MODE_BITS, Change, Item
from gitckpt.workspace import kinds
from gitckpt.workspace.rules import QUIET_CACHES, Matcher
from gitckpt.workspace.snapshot import MENTIONED, Uncaptured
from gitckpt.workspace.standins import StandIns, strangers
from gitckpt.workspace.statcache import FIELDS, Record, StatCache, split_names


def captured_items(cache: StatCache) -> dict[bytes, Item]:
    """The content of the last scan, as `list_content` would give it; its objects need not be readable yet."""
    found = {}
    for folder, record in cache.folders.items():
        numbers = array("q")
        numbers.frombytes(record.stats)
        for index, name in enumerate(split_names(record.names)):
            path = folder + b"/" + name if folder else name
            mode = numbers[index * FIELDS] & MODE_BITS
            oid = record.oids[index * cache.width : (index + 1) * cache.width]
            match record.kinds[index]:
                case kinds.FILE:
                    found[path] = Item(kind="file", mode=mode, oid=oid)
                case kinds.LINK:
                    found[path] = Item(kind="link", mode=0, oid=oid)
                case kinds.FIFO:
                    found[path] = Item(kind="fifo", mode=mode)
                case kinds.FOLDER | kinds.WAY:
                    found[path] = Item(kind="dir", mode=mode)
                case kinds.HIDDEN_FOLDER if _holds(cache.folders.get(path)):
                    found[path] = Item(kind="dir", mode=mode)
                case _:
                    pass
    return found


def _holds(record: Record | None) -> bool:
    return record is not None and bool(record.tree or record.extra or record.escaped)


def differences(before: Mapping[bytes, Item], after: Mapping[bytes, Item]) -> list[Change]:
    """What leads from one to the other, sorted by path."""
    return [
        Change(path=path, old=before.get(path), new=after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def without_stand_ins(
    changes: list[Change], targets: frozenset[bytes], own: StandIns
) -> tuple[tuple[Change, ...], set[bytes]]:
    """The changes without what only shows because of the stand-ins: a link of ours that was moved with its folder, and
    a folder of links that an ignore rule no longer hides. Also the paths of the first.
    """
    moved = {each.path for each in changes if each.new and each.new.kind == "link" and each.new.oid in targets}
    needed = {
        each.path[:at]
        for each in changes
        if each.new and each.path not in moved and each.path not in own.folders
        for at in range(len(each.path))
        if each.path[at : at + 1] == b"/"
    }
    kept = [
        each
        for each in changes
        if each.path not in moved and not (each.path in own.folders and each.old is None and each.path not in needed)
    ]
    return tuple(kept), moved


def written_through(root: Path, links: Iterable[bytes], matcher: Matcher, since_ns: int) -> dict[bytes, int]:
    """Path to size in bytes of every ignored file of the workspace at `root` that one of the `links` leads to and that
    was written after `since_ns`. Of attempts at the same time nobody can tell which it was. Quiet caches are not looked
    into."""
    found: dict[bytes, int] = {}
    top = os.fsencode(root) + b"/"
    waiting = list(links)
    while waiting:
        path = waiting.pop()
        try:
            status = os.lstat(top + path)
            if stat.S_ISDIR(status.st_mode):
                if path.rpartition(b"/")[2] not in QUIET_CACHES and not matcher.excluded(path + b"/"):
                    waiting += [path + b"/" + name for name in os.listdir(top + path)]
                continue
        except OSError:
            continue  # gone meanwhile, or not the user's to look into
        # What another attempt had made may reach the workspace meanwhile, with the modification time that it had there.
        changed = min(status.st_ctime_ns, status.st_mtime_ns) > since_ns
        if changed and not matcher.excluded(path) and not matcher.secret_by_name(path):
            found[path] = status.st_size
    return found


def with_more(told: Uncaptured, more: Mapping[bytes, int]) -> Uncaptured:
    """The account of ignored files with others."""
    if not more:
        return told
    paths = tuple(sorted({*told.paths, *more})[:MENTIONED])
    return Uncaptured(paths=paths, count=told.count + len(more), size=told.size + sum(more.values()))


def hidden_entries(root: Path, cache: StatCache, own: StandIns) -> Iterator[bytes]:
    """The topmost uncaptured entries of the last scan that are not stand-ins."""
    folders = cache.folders
    covered: set[bytes] = set()
    # The scan passes over a hidden folder that it cannot list: that is no answer for one that the copy was given.
    for path in own.folders - folders.keys():
        yield from strangers(root, own, path)
    for folder in sorted(folders):
        parent = folder.rpartition(b"/")[0]
        if folder in covered or (folder and parent in covered):
            covered.add(folder)
            continue
        record = folders[folder]
        for name, kind in zip(split_names(record.names), record.kinds, strict=True):
            path = folder + b"/" + name if folder else name
            if path in own.folders:
                if kind in kinds.NEVER_HELD or (kind == kinds.HIDDEN_FOLDER and not _holds(folders.get(path))):
                    # Listed here once more: the scan passes over a hidden folder that it cannot list.
                    covered.add(path)
                    yield from strangers(root, own, path)
            elif kind in kinds.NEVER_HELD or (kind == kinds.HIDDEN_FOLDER and not _holds(folders.get(path))):
                covered.add(path)
                yield path
