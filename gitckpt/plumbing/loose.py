"""Loose objects that cannot be read: found, and moved out of git's way with their bytes kept.

A damaged loose object poisons what comes later: git takes it for stored, and stores the right bytes never again. Owns
the look at each file, and the move; knows nothing of who wrote them.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from gitckpt.errors import RepositoryNotWritable
from gitckpt.model.names import Oid
from gitckpt.plumbing.objects import hasher
from gitckpt.plumbing.repository import Repository

_PIECE = 1 << 20
_HEX = re.compile(r"[0-9a-f]+")


def unreadable_loose(repository: Repository) -> Iterator[tuple[Oid, str]]:
    """The loose objects whose bytes are not those they are named for, with the reason. Reads every one: 0.1 ms each."""
    objects = repository.common_dir / "objects"
    width = 2 * len(repository.null) - 2
    for folder in sorted(objects.glob("[0-9a-f][0-9a-f]")):
        for name in sorted(os.listdir(folder)):
            if len(name) == width and _HEX.fullmatch(name):
                oid = Oid(folder.name + name)
                problem = _problem(repository, folder / name, oid)
                if problem:
                    yield oid, problem


def move_away(repository: Repository, oids: Sequence[Oid], folder: Path) -> list[Path]:
    """Move loose objects into `folder`, under their ids; where they are now. Raises RepositoryNotWritable."""
    moved = []
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for oid in oids:
            target = folder / oid
            number = 1
            while os.path.lexists(target):
                number += 1
                target = folder / f"{oid}.{number}"
            os.rename(repository.common_dir / "objects" / oid[:2] / oid[2:], target)
            moved.append(target)
    except OSError as error:
        raise RepositoryNotWritable(str(folder), error.strerror or str(error)) from None
    return moved


def _problem(repository: Repository, path: Path, oid: Oid) -> str | None:
    digest = hasher(repository.object_format)(b"")
    inflate = zlib.decompressobj()
    try:
        with open(path, "rb") as file:
            while piece := file.read(_PIECE):
                digest.update(inflate.decompress(piece))
            digest.update(inflate.flush())
    except FileNotFoundError:
        return None  # git has just packed it
    except (OSError, zlib.error) as error:
        return str(error) or type(error).__name__
    if not inflate.eof:
        return "it is cut off" if path.stat().st_size else "it is empty"
    return None if digest.hexdigest() == oid else "its bytes are not those it is named for"
