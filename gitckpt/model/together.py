"""What phases that run side by side say of each other: views of the workspace, resources, and whose change counts.

Owns these words and shapes. Must not know which phase is next, nor how two trees are joined.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from gitckpt.model.forms import WorkspacePattern, says

Isolation: TypeAlias = Literal["auto", "none", "overlay", "copy"]
"""What the processes of an attempt see as the workspace. `none`: the workspace itself; `overlay` and `copy`: a view of
their own; `auto`: the workspace itself where nothing can run beside it, else a view, whichever can be had."""

Rule: TypeAlias = Literal["fail", "ours", "theirs", "union"]
"""What becomes of a path that two sides changed differently. `ours`: the side that is in the history already; `theirs`:
the phase that comes in; `union`: the lines of both."""

MACHINE_RESOURCES = ("cpu", "memory")
"""Resources that every machine has: asked for without being declared, in processors and in bytes."""


@dataclass(frozen=True, slots=True)
class MergeRule:
    """The rule for the paths that a pattern matches, which has the meaning of those of `workspace.exclude`."""

    pattern: WorkspacePattern = field(metadata=says("A pattern", "name"))
    rule: Rule = field(metadata=says("What becomes of a path that it matches"))


@dataclass(frozen=True, slots=True)
class Merge:
    """What becomes of paths that two sides changed differently. The last of `rules` that matches a path counts, as in
    gitignore(5); `on_conflict` where none does."""

    on_conflict: Rule = field(
        default="fail",
        metadata=says("A path changed by two: stop and ask (fail), keep the first, take the later, or both's lines"),
    )
    rules: tuple[MergeRule, ...] = field(
        default=(), metadata=says("The same for some paths, by pattern; the last one that matches counts")
    )
