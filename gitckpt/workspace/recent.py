"""The captured files that changed since a moment, with their sizes, without reading one.

Owns the look before a failed attempt is stored. Must not know attempts.
"""

from __future__ import annotations

from pathlib import Path

from gitckpt.plumbing.repository import Repository
from gitckpt.workspace import kinds
from gitckpt.workspace.rules import CaptureRules, Matcher
from gitckpt.workspace.statcache import FIELDS, StatCache
from gitckpt.workspace.walk import Walk

_SIZE, _CTIME = 2, 4


def changed_files(
    *, root: Path, repository: Repository, prefix: bytes, rules: CaptureRules, since_ns: int
) -> dict[bytes, int]:
    """Path to size in bytes of every captured file whose ctime is not before `since_ns`. Raises Unreadable."""
    cache = StatCache(repository.object_format)
    walk = Walk(root=root, repository=repository, prefix=prefix, matcher=Matcher(rules), cache=cache, key=b"")
    found = {}
    for folder in walk.folders:
        for index, kind in enumerate(folder.kinds):
            at = index * FIELDS
            if kind == kinds.FILE and folder.numbers[at + _CTIME] >= since_ns:
                found[folder.child_path(folder.names[index])] = folder.numbers[at + _SIZE]
    return found
