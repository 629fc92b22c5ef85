"""A failed attempt too big to store: its files are moved into gitckpt's folder, and named.

Owns the measure and the move. The rest of the attempt is kept as any other.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from gitckpt.engine.capturing import capture_rules
from gitckpt.engine.hold import Hold
from gitckpt.execute.heartbeat import begin_ns
from gitckpt.model.names import PhaseName
from gitckpt.progress.events import Warned
from gitckpt.progress.text import count, size
from gitckpt.workspace.recent import changed_files


def move_oversize(hold: Hold, phase: PhaseName, number: int) -> Path | None:
    """Where an attempt's changed files exceed `attempts.keep_up_to`, move them out of the workspace; where they are."""
    limit = hold.workflow.attempts.keep_up_to
    since = begin_ns(hold.place.live)
    if since is None or _free_of_doubt(hold, limit):
        return None
    given = hold.given
    changed = changed_files(
        root=given.root,
        repository=given.repository,
        prefix=given.prefix,
        rules=capture_rules(given.workflow, given.environment),
        since_ns=since,
    )
    total = sum(changed.values())
    if total <= limit:
        return None
    folder = hold.place.home / "attempts" / hold.name / f"{phase}-{number}"
    for path in changed:
        _move(given.root, path, folder)
    hold.reporter(
        Warned(
            f"{phase}@{number} left {count(len(changed))} files ({size(total)}), more than attempts.keep_up_to;\n"
            f"  they were moved, not stored: {folder}\n"
            f"  to go on from them: cp -a {folder}/. {given.root}/"
        )
    )
    return folder


def _free_of_doubt(hold: Hold, limit: int) -> bool:
    """A file system that holds less than the limit cannot hold an attempt above it: the walk can be spared."""
    status = os.statvfs(hold.given.root)
    return (status.f_blocks - status.f_bfree) * status.f_frsize <= limit


def _move(root: Path, path: bytes, folder: Path) -> None:
    name = os.fsdecode(path)
    target = os.path.join(folder, name)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.move(os.path.join(root, name), target)
