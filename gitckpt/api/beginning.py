"""What is asked before the first checkpoint of a workflow: would it hold anything, and not too much?

Owns the limits. Must not know how the user is asked.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from gitckpt.engine.hold import Hold, take_measure
from gitckpt.errors import GitckptError
from gitckpt.model.amount import plural
from gitckpt.model.names import LIVE_FOLDER
from gitckpt.model.text import safe
from gitckpt.plumbing.ignore import Ignore

GUARD_FILES = 200_000
GUARD_BYTES = 2 * 1024**3


@dataclass(eq=False)
class TooMuch(GitckptError):
    """The first checkpoint would be very large, and nobody said that it may be."""

    files: int
    size: int
    biggest: tuple[tuple[bytes, int], ...]

    @property
    def message(self) -> str:
        big = ", ".join(f"{os.fsdecode(path)} ({plural(size, 'byte')})" for path, size in self.biggest[:5])
        held = f"{plural(self.files, 'file')}, {plural(self.size, 'byte')}"
        return f"the first checkpoint would hold {held}; the biggest: {big}"

    @property
    def hint(self) -> str:
        return (
            "leave out what is not part of the work: `workspace: {exclude: [...]}` in the workflow file; "
            "or allow it: `workspace: {max_size: 10GiB}`"
        )


@dataclass(eq=False)
class AllIgnored(GitckptError):
    """Git ignores everything in the workspace, so that checkpoints would hold nothing."""

    root: str

    untouched = "nothing was changed"

    @property
    def message(self) -> str:
        return f"git ignores all that is in {safe(self.root)}, so checkpoints would hold none of it"

    @property
    def hint(self) -> str:
        return (
            'say in the workflow file what to capture all the same: `workspace: {include: ["*"]}`\n'
            "or take the folder out of .gitignore (which rule it is: git check-ignore -v *)"
        )


def guard(hold: Hold, allowed: Callable[[TooMuch], bool]) -> None:
    """Ask before a first checkpoint of unusual size. Raises TooMuch where nobody allows it, AllIgnored."""
    measured = take_measure(hold)
    if not measured.files:
        _require_seen(hold)
    limit = hold.workflow.workspace.max_size
    too_big = measured.size > (GUARD_BYTES if limit is None else limit)
    if too_big or (limit is None and measured.files > GUARD_FILES):
        problem = TooMuch(measured.files, measured.size, measured.biggest)
        if not allowed(problem):
            raise problem


def _require_seen(hold: Hold) -> None:
    """An empty folder is a workspace as any other; one whose files are all ignored is a mistake."""
    given = hold.given
    names = [os.fsencode(name) for name in os.listdir(given.root) if name not in (".git", LIVE_FOLDER)]
    with Ignore(given.repository) as ignore:
        ignored = ignore.ignored([given.prefix + b"/" + name if given.prefix else name for name in names])
    if names and all(ignored):
        raise AllIgnored(str(given.root))
