"""Files of a checkpoint written into a new folder. Owns only that; workspace and branch stay as they are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gitckpt.errors import GitckptError
from gitckpt.model.names import LIVE_FOLDER
from gitckpt.plumbing.content import compare
from gitckpt.store.selectors import Selected
from gitckpt.store.store import Store
from gitckpt.workspace.become import apply
from gitckpt.workspace.statcache import StatCache


@dataclass(eq=False)
class FolderTaken(GitckptError):
    """The folder to write into has something in it."""

    folder: str

    @property
    def message(self) -> str:
        return f"{self.folder} is there already and not empty"

    @property
    def hint(self) -> str:
        return "name a new folder with --to"


def export(store: Store, chosen: Selected, paths: tuple[bytes, ...], folder: Path, moved: Mapping[bytes, Path]) -> int:
    """Write the checkpoint's files (those at or below `paths`, if any are given); how many. Raises FolderTaken.

    `moved`: where more files of it are, by their paths.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderTaken(str(folder))
    changes = compare(store.reader, None, chosen.checkpoint.content)
    if paths:
        wanted = [c for c in changes if any(_covers(path, c.path) or _leads(c.path, path) for path in paths)]
        changes = [c for c in wanted if any(_covers(path, c.path) for path in paths) or (c.new and c.new.kind == "dir")]
    folder.mkdir(parents=True, exist_ok=True)
    root = Path(os.path.realpath(folder))
    applied = apply(root, store.reader, changes, StatCache(store.repository.object_format))
    shutil.rmtree(root / LIVE_FOLDER, ignore_errors=True)
    more = {path: file for path, file in moved.items() if not paths or any(_covers(one, path) for one in paths)}
    for path, file in more.items():
        target = root / os.fsdecode(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)
    return applied.written + len(more)


def _covers(path: bytes, candidate: bytes) -> bool:
    return not path or candidate == path or candidate.startswith(path + b"/")


def _leads(folder: bytes, path: bytes) -> bool:
    return path.startswith(folder + b"/")
