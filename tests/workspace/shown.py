"""What a folder shows, and how two such lists differ. Imports nothing of pytest."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Any

from gitckpt.plumbing.content import Item


def manifest(root: Path) -> dict[bytes, tuple[object, ...]]:
    """Everything there but sockets, devices and git's own: kind, permission bits, bytes."""
    found: dict[bytes, tuple[object, ...]] = {}
    top = os.fsencode(root)
    todo = [b""]
    while todo:
        folder = todo.pop()
        for name in os.listdir(top + b"/" + folder):
            path = folder + b"/" + name if folder else name
            if path in (b".git", b".gitckpt"):
                continue
            state = os.lstat(top + b"/" + path)
            kind, mode = stat.S_IFMT(state.st_mode), state.st_mode & 0o1777
            match kind:
                case stat.S_IFDIR:
                    todo.append(path)
                    found[path] = (kind, mode)
                case stat.S_IFLNK:
                    found[path] = (kind, os.readlink(top + b"/" + path))
                case stat.S_IFREG:
                    with open(top + b"/" + path, "rb") as file:
                        found[path] = (kind, mode, hashlib.file_digest(file, "sha1").digest())
                case stat.S_IFIFO:
                    found[path] = (kind, mode)
                case _:
                    pass
    return found


def differing(before: dict[bytes, Item], after: dict[bytes, Item]) -> dict[bytes, tuple[Item | None, Item | None]]:
    return {
        path: (before.get(path), after.get(path))
        for path in before.keys() | after.keys()
        if before.get(path) != after.get(path)
    }


def explained(found: dict[bytes, Any], wanted: dict[bytes, Any]) -> str:
    rows = []
    for path in sorted(found.keys() | wanted.keys()):
        if found.get(path) != wanted.get(path):
            rows.append(f"{path!r}: found {found.get(path)}, wanted {wanted.get(path)}")
    return "\n".join(rows)
