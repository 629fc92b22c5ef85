"""What an attempt in a view of its own has left on disk, as a value. Owns nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gitckpt.plumbing.content import Change
from gitckpt.workspace.beforehand import Made


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Where an attempt left its files, and what it changed. Upper directories, but no copies, stack as later views'
    layers."""

    folder: Path
    changes: tuple[Change, ...]
    stacks: bool = True

    def made(self) -> Made:
        """Its files, for the workspace."""
        return Made(self.folder, {each.path: each.new for each in self.changes if each.new and each.new.kind == "file"})
