"""Whether what a phase promised to make is there. Owns the reading of `outs` patterns against the disk."""

from __future__ import annotations

import glob
import os
from pathlib import Path


def is_made(root: Path, pattern: str) -> bool:
    """Whether anything in the workspace matches. As in .gitignore, a pattern without a slash holds at any
    depth.
    """
    plain = pattern.rstrip("/").removeprefix("/")
    if not glob.has_magic(plain):
        anywhere = "/" not in pattern.rstrip("/")
        return os.path.lexists(root / plain) or (anywhere and _any(root, f"**/{glob.escape(plain)}"))
    return _any(root, plain if "/" in pattern.rstrip("/") else f"**/{plain}")


def _any(root: Path, pattern: str) -> bool:
    found = glob.iglob(pattern, root_dir=root, recursive=True, include_hidden=True)
    return any(path != ".gitckpt" and not path.startswith((".gitckpt/", ".git/")) for path in found)
