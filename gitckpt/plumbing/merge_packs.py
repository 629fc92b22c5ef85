"""Small packs made into one: a long run leaves a pack a checkpoint, and git slows down with their number.

Owns the merging of packs it is given by name. Touches no other pack, no loose object and no ref.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from gitckpt.plumbing.process import git
from gitckpt.plumbing.repository import Repository

SMALL = 8 * 1024 * 1024
"""A pack of more bytes is not copied again."""


def merge_packs(repository: Repository, names: Sequence[str]) -> list[str]:
    """Put the small ones of the packs (`pack-<hex>`) into one, durably, then remove them; the names that now matter.

    Call it only while nobody else merges these. A pack that is gone, or that a `.keep` protects, is left alone.
    Raises GitFailed.
    """
    folder = os.path.join(repository.common_dir, "objects", "pack")
    there = [name for name in dict.fromkeys(names) if re.fullmatch(r"pack-[0-9a-f]+", name)]
    small = [name for name in there if _is_small(folder, name)]
    if len(small) < 2:
        return small
    said = git(
        repository,
        "pack-objects",
        "-q",
        "--stdin-packs",
        "--window=0",
        os.path.join(folder, "pack"),
        stdin="".join(f"{name}.pack\n" for name in small).encode("ascii"),
        timeout=600,
    )
    made = f"pack-{said.decode('ascii').strip()}"
    # Git has synced the files, and no disk knows of the removals and not of the names before them.
    for name in small:
        if name != made:
            # The index first: without it git does not look at the pack.
            for ending in (".idx", ".rev", ".pack"):
                _remove(os.path.join(folder, name + ending))
    return [made]


def _is_small(folder: str, name: str) -> bool:
    path = os.path.join(folder, name)
    try:
        return os.stat(path + ".pack").st_size <= SMALL and not os.path.exists(path + ".keep")
    except OSError:
        return False


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
