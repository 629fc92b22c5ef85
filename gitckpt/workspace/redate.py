"""Giving files back the mtimes that they had, where nothing but these changed.

Owns the setting. A file that is not as the scan saw it is left alone: somebody writes to it. Must not know where the
dates come from.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from gitckpt.plumbing.content import Change
from gitckpt.workspace.afterwards import update_cache
from gitckpt.workspace.become import naming
from gitckpt.workspace.capture import numbers_of
from gitckpt.workspace.dates import Touched
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.statcache import StatCache

_NOT_OURS = frozenset({errno.EPERM, errno.EACCES})


def redate(root: Path, touched: Sequence[Touched], cache: StatCache) -> None:
    """Give each its date; durable on return, and `cache` knows it. Raises CannotRestore, Unreadable."""
    if not touched:
        return
    changes = []
    with Disk(root) as disk:
        for each in touched:
            with naming(each.path):
                found = disk.look(each.path)
                if found is None or numbers_of(found) != each.numbers:
                    continue
                parent, name = disk.place(each.path)
                try:
                    os.utime(name, ns=(found.st_atime_ns, each.date_ns), dir_fd=parent, follow_symlinks=False)
                except OSError as error:
                    if error.errno not in _NOT_OURS:  # a file of somebody else's keeps its date
                        raise
            changes.append(Change(path=each.path, old=each.item, new=each.item))
        with naming(b""):
            disk.sync()
    update_cache(root, changes, cache)
