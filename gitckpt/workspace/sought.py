"""Bytes that a repository has lost, sought in the workspace: at the paths that should have them, then everywhere.

Owns the search. What is found goes into a pack that takes only what is wanted. Must not know why it is lost.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gitckpt.errors import ChangedWhileRead, GitckptError
from gitckpt.plumbing.extra import Defaults
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.repository import Repository
from gitckpt.workspace.capture import open_to_read
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.rules import CaptureRules
from gitckpt.workspace.snapshot import snapshot
from gitckpt.workspace.statcache import StatCache


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """Where is sought. `rules` None: only at paths that are named."""

    repository: Repository
    root: Path
    prefix: bytes
    rules: CaptureRules | None
    defaults: Defaults


def offer_paths(grounds: Grounds, pack: Pack, paths: Iterable[bytes]) -> None:
    """Put the files and links at `paths` into the pack, as they are now; captured or not. Raises PackFailed."""
    with Disk(grounds.root) as disk:
        for path in paths:
            try:
                _offer(disk, pack, path)
            except (OSError, ChangedWhileRead):
                continue  # it is not there, or holds other bytes by now


def offer_all(grounds: Grounds, pack: Pack) -> None:
    """Put everything that is captured into the pack, its folders as trees: nothing counts as stored. What stops the
    scan midway (a folder that cannot be read) leaves what came before it. Raises PackFailed."""
    if grounds.rules is None:
        return
    try:
        snapshot(
            root=grounds.root,
            repository=grounds.repository,
            prefix=grounds.prefix,
            rules=grounds.rules,
            pack=pack,
            cache=StatCache(grounds.repository.object_format),
            defaults=grounds.defaults,
        )
    except GitckptError:
        return


def _offer(disk: Disk, pack: Pack, path: bytes) -> None:
    state = disk.look(path)
    if state is None:
        return
    parent, name = disk.place(path)
    if stat.S_ISLNK(state.st_mode):
        pack.blob(os.readlink(name, dir_fd=parent))
    elif stat.S_ISREG(state.st_mode):
        with open(open_to_read(disk, path), "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            pack.blob_stream(file.read, size)
