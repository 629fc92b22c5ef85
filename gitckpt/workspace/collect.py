"""Some named paths of the workspace as they are on disk, captured or not: for rescuing what lies in the way.

Owns reading them into a pack. Must not know why.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from gitckpt.plumbing.content import Item
from gitckpt.plumbing.extra import MODE_BITS
from gitckpt.plumbing.pack import Pack
from gitckpt.workspace.disk import Disk


def collect(
    root: Path, pack: Pack, paths: Iterable[bytes], is_left_out: Callable[[Disk, bytes, int], bool]
) -> dict[bytes, Item]:
    """Every path that is there, folders with all below them. Sockets and devices are left out, and what `is_left_out`
    says of a path with its mode. No link is followed.
    """
    with Disk(root) as disk:
        return _collected(disk, os.fsencode(root), pack, paths, is_left_out)


def _collected(
    disk: Disk, top: bytes, pack: Pack, paths: Iterable[bytes], is_left_out: Callable[[Disk, bytes, int], bool]
) -> dict[bytes, Item]:
    found: dict[bytes, Item] = {}
    todo = list(paths)
    while todo:
        path = todo.pop()
        full = top + b"/" + path
        try:
            status = os.lstat(full)
        except FileNotFoundError:
            continue
        if is_left_out(disk, path, status.st_mode):
            continue
        mode = stat.S_IMODE(status.st_mode) & MODE_BITS
        if stat.S_ISDIR(status.st_mode):
            found[path] = Item(kind="dir", mode=mode)
            todo += [path + b"/" + name for name in os.listdir(full)]
        elif stat.S_ISLNK(status.st_mode):
            found[path] = Item(kind="link", mode=0, oid=pack.blob(os.readlink(full)))
        elif stat.S_ISFIFO(status.st_mode):
            found[path] = Item(kind="fifo", mode=mode)
        elif stat.S_ISREG(status.st_mode):
            with open(os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
                found[path] = Item(kind="file", mode=mode, oid=pack.blob(file.read()))
    return found
