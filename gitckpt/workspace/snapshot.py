"""Workspace to content: what is on disk now, as objects in a pack and a list of what was left out.

Owns the public values of a snapshot and the account of ignored files that changed. Restoring is `become`'s;
must not know checkpoints, phases or refs.
"""

from __future__ import annotations

import heapq
import os
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from gitckpt.plumbing.content import Content, Defaults, Lookup
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository
from gitckpt.workspace import kinds
from gitckpt.workspace.assemble import LARGEST, Assembler
from gitckpt.workspace.capture import Capture
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.known import Known
from gitckpt.workspace.rules import CaptureRules, Matcher
from gitckpt.workspace.statcache import FIELDS, Record, StatCache, split_names
from gitckpt.workspace.times import ctime_now
from gitckpt.workspace.walk import Folder, Walk

MENTIONED = 20
"""At most so many uncaptured paths are listed; the count has them all."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that is not captured because it looks like, or holds, a secret."""

    path: bytes
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncaptured:
    """Ignored files (outside quiet caches) that are new, changed or gone since the scan the cache held.

    `paths` has the first 20; `size` is in bytes, of those that are there.
    """

    paths: tuple[bytes, ...] = ()
    count: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What one scan found. Paths are relative to the workspace's root; sizes are in bytes.

    `unstable` files changed while they were read (the bytes read are stored); `not_kept` are sockets and
    devices; `large` has the five biggest files; `read` counts those that were read, for they may have changed.
    """

    content: Content
    files: int
    size: int
    unstable: tuple[bytes, ...]
    left_out: tuple[LeftOut, ...]
    not_kept: tuple[bytes, ...]
    uncaptured: Uncaptured
    large: tuple[tuple[bytes, int], ...]
    read: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """How much a snapshot would hold: files, bytes, and the five biggest with their sizes."""

    files: int
    size: int
    biggest: tuple[tuple[bytes, int], ...]


def snapshot(
    *,
    root: Path,
    repository: Repository,
    prefix: bytes,
    rules: CaptureRules,
    pack: Pack,
    cache: StatCache,
    defaults: Defaults,
    known: Content | None = None,
    reader: Reader | None = None,
    held: Content | None = None,
    skipped: Mapping[bytes, frozenset[str]] = MappingProxyType({}),
) -> Snapshot:
    """Read the workspace at `root` (real, absolute; `prefix` below the repository's top) into `pack`.

    Everything reachable from the new content and not from `known` is in the pack; with `known` or `held`, give the
    `reader` of its repository. What `held` has stays captured although git ignores it by now. The entries named by
    `skipped`, by folder, count as not there. Changes `cache` to what was seen; the caller saves it. Raises Unreadable,
    PackFailed, GitFailed.
    """
    scan_ns = _clock(root)
    matcher = Matcher(rules)
    key = decided_by(matcher, defaults)
    if cache.secret_key != matcher.secret_key:
        # Every file must be searched again, so no cached id may stand for its bytes.
        for record in cache.folders.values():
            record.dirty = list(range(len(record.kinds)))
    walk = Walk(
        root=root,
        repository=repository,
        prefix=prefix,
        matcher=matcher,
        cache=cache,
        key=key,
        held=Lookup(reader, held) if held is not None and reader is not None else None,
        skipped=skipped,
    )
    with Disk(root) as disk:
        capture = Capture(
            disk=disk,
            pack=pack,
            matcher=matcher,
            object_format=repository.object_format,
            default_file=defaults.file,
            reader=reader,
        )
        there = Known(cache, known, reader)
        assembler = Assembler(pack=pack, capture=capture, cache=cache, defaults=defaults, known=there, scan_ns=scan_ns)
        content = assembler.content(walk.folders)
    records = assembler.records
    found = _found(walk, assembler, content, _uncaptured(root, walk.folders, cache.folders, records), capture.read)
    cache.replace(records, walk.basis, content.escaped or b"", walk.linked.values())
    cache.key, cache.secret_key, cache.held = key, matcher.secret_key, frozenset(walk.only_held)
    return found


def _found(walk: Walk, assembler: Assembler, content: Content, uncaptured: Uncaptured, read: int) -> Snapshot:
    records = assembler.records
    return Snapshot(
        content=content,
        files=walk.folders[0].files,
        size=walk.folders[0].size,
        unstable=tuple(sorted(assembler.unstable)),
        left_out=_left_out(records),
        not_kept=_not_kept(records),
        uncaptured=uncaptured,
        large=_largest(records),
        read=read,
    )


def decided_by(matcher: Matcher, defaults: Defaults) -> bytes:
    """What the decisions and trees in a stat cache hold for; with another key all are made anew."""
    return matcher.key + repr(defaults).encode()


def measure(*, root: Path, repository: Repository, prefix: bytes, rules: CaptureRules) -> Measure:
    """Walk the workspace without reading a file: for the question before the first checkpoint.

    Raises Unreadable, GitFailed.
    """
    cache = StatCache(repository.object_format)
    matcher = Matcher(rules)
    walk = Walk(root=root, repository=repository, prefix=prefix, matcher=matcher, cache=cache, key=b"")
    held = (kinds.FILE, kinds.LINK, kinds.FIFO)
    files = size = 0
    biggest: list[tuple[int, bytes]] = []
    for folder in walk.folders:
        sizes = []
        for index, kind in enumerate(folder.kinds):
            files += kind in held
            if kind == kinds.FILE:
                sizes.append((folder.numbers[index * FIELDS + 2], folder.child_path(folder.names[index])))
        size += sum(each for each, _ in sizes)
        biggest = heapq.nlargest(LARGEST, [*biggest, *sizes])
    return Measure(files=files, size=size, biggest=tuple((path, each) for each, path in biggest))


def _clock(root: Path) -> int:
    try:
        return ctime_now(root)
    except OSError:
        # Without the file system's clock every entry counts as touched just now: slow, never wrong.
        return 0


def _below(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder else name


def _left_out(records: dict[bytes, Record]) -> tuple[LeftOut, ...]:
    found = []
    for folder, record in records.items():
        if record.named:
            names = split_names(record.names)
            for index in record.named:
                why = kinds.LEFT_OUT.get(record.kinds[index])
                if why:
                    found.append(LeftOut(_below(folder, names[index]), why))
    return tuple(sorted(found, key=lambda each: each.path))


def _not_kept(records: dict[bytes, Record]) -> tuple[bytes, ...]:
    found = []
    for folder, record in records.items():
        if record.named:
            names = split_names(record.names)
            found += [_below(folder, names[index]) for index in record.named if record.kinds[index] in kinds.NOT_KEPT]
    return tuple(sorted(found))


def _largest(records: dict[bytes, Record]) -> tuple[tuple[bytes, int], ...]:
    sizes = [(size, _below(folder, name)) for folder, record in records.items() for size, name in record.large]
    return tuple((path, size) for size, path in heapq.nlargest(LARGEST, sizes))


# --- ignored files that changed -----------------------------------------------------------------------------


def _uncaptured(root: Path, folders: list[Folder], before: dict[bytes, Record], now: dict[bytes, Record]) -> Uncaptured:
    """Compare the ignored files of this scan with those of the last; nothing without a last scan."""
    if not before:
        return Uncaptured()
    top = os.fsencode(root)
    paths: list[bytes] = []
    size = 0
    for folder in folders:
        if folder.reused:
            continue
        changed, grown = _changed_hidden(folder.path, before.get(folder.path), now[folder.path])
        paths += [path for path in changed if path not in grown and not os.path.lexists(top + b"/" + path)]
        paths += grown
        size += sum(grown.values())
    for path in before.keys() - now.keys():
        gone, _ = _changed_hidden(path, before[path], Record())
        paths += [each for each in gone if not os.path.lexists(top + b"/" + each)]
    paths.sort()
    return Uncaptured(paths=tuple(paths[:MENTIONED]), count=len(paths), size=size)


def _hidden(folder: bytes, record: Record) -> dict[bytes, tuple[int, ...]]:
    if kinds.HIDDEN not in record.kinds:
        return {}
    numbers = array("q")
    numbers.frombytes(record.stats)
    return {
        _below(folder, name): tuple(numbers[index * FIELDS : index * FIELDS + FIELDS])
        for index, name in enumerate(split_names(record.names))
        if record.kinds[index] == kinds.HIDDEN
    }


def _changed_hidden(folder: bytes, before: Record | None, now: Record) -> tuple[set[bytes], dict[bytes, int]]:
    """The ignored files that differ: those no longer seen as ignored, and the new or changed with their
    sizes.
    """
    was = _hidden(folder, before) if before is not None else {}
    found = _hidden(folder, now)
    grown = {path: stat[2] for path, stat in found.items() if was.get(path) != stat}
    if before is not None and grown:
        # A file that only became ignored (a new rule) did not change.
        grown = {path: size for path, size in grown.items() if path in was or not _same_before(path, before, found)}
    return was.keys() - found.keys(), grown


def _same_before(path: bytes, before: Record, found: dict[bytes, tuple[int, ...]]) -> bool:
    name = path[path.rfind(b"/") + 1 :]
    names = split_names(before.names)
    if name not in names:
        return False
    numbers = array("q")
    numbers.frombytes(before.stats)
    at = names.index(name) * FIELDS
    return tuple(numbers[at : at + FIELDS]) == found[path]
