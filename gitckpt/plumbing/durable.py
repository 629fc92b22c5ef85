"""What survives a power cut: files that are whole under their names, and the names themselves.

On every file system with a journal or a log two things need no call of their own: the name of a new folder, for
whatever makes something in it durable does that, too; and the order of names, for what was done later is never there
without what was done before.
"""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: str | Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_whole(finished: Path, name: Path) -> None:
    """Give a file its name once its bytes are on the disk: what is found under it after a power cut is whole. That it
    is found is `sync_folder`'s. Raises OSError."""
    descriptor = os.open(finished, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(finished, name)
