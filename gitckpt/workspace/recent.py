"""The captured files that changed since a moment, with their sizes, without reading one.

Owns the look before a failed attempt is stored. Must not know attempts.
"""

from __future__ import annotations

from pathlib import Path

from gitckpt.plumbing.content import Lookup
from gitckpt.plumbing.repository import Repository
from gitckpt.workspace import kinds
from gitckpt.workspace.rules import CaptureRules, Matcher
from gitckpt.workspace.statcache import FIELDS, StatCache
from gitckpt.workspace.walk import Walk

_SIZE, _CTIME = 2, 4
_CAPTURED = frozenset({*kinds.HELD, kinds.FIFO})


def changed_files(
    *, root: Path, repository: Repository, prefix: bytes, rules: CaptureRules, held: Lookup, since_ns: int
) -> dict[bytes, int]:
    """Path to size in bytes of every captured file whose ctime is not before `since_ns`; what is `held` stays captured.
    Raises Unreadable."""
    found = {}
    for folder in _walked(root, repository, prefix, rules, held).folders:
        for index, kind in enumerate(folder.kinds):
            at = index * FIELDS
            if kind == kinds.FILE and folder.numbers[at + _CTIME] >= since_ns:
                found[folder.child_path(folder.names[index])] = folder.numbers[at + _SIZE]
    return found


def captured_paths(
    *, root: Path, repository: Repository, prefix: bytes, rules: CaptureRules, held: Lookup
) -> tuple[set[bytes], set[bytes]]:
    """Every captured path: files and their like, and folders. Raises Unreadable."""
    files, folders = set[bytes](), set[bytes]()
    for folder in _walked(root, repository, prefix, rules, held).folders:
        for index, kind in enumerate(folder.kinds):
            if kind in kinds.WALKED:
                folders.add(folder.child_path(folder.names[index]))
            elif kind in _CAPTURED:
                files.add(folder.child_path(folder.names[index]))
    return files, folders


def _walked(root: Path, repository: Repository, prefix: bytes, rules: CaptureRules, held: Lookup) -> Walk:
    cache, matcher = StatCache(repository.object_format), Matcher(rules)
    return Walk(root=root, repository=repository, prefix=prefix, matcher=matcher, cache=cache, key=b"", held=held)
