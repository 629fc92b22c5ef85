"""A second folder that git takes for the repository's work tree: its `.git` file, and the proof that git agrees. Knows
nothing of what lies in the folder.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gitckpt.errors import ExitCode, GitckptError, GitFailed
from gitckpt.plumbing import launch
from gitckpt.plumbing.environment import user_environment
from gitckpt.plumbing.process import user_git
from gitckpt.plumbing.repository import Repository


@dataclass(eq=False)
class WorkTreeElsewhere(GitckptError):
    """The repository's own configuration binds git to one folder, so that a second one cannot stand for it."""

    seen: str

    exit_code = ExitCode.FAILED

    @property
    def message(self) -> str:
        return f"git would leave a copy of the workspace for {self.seen}: the repository's configuration says so"

    @property
    def hint(self) -> str:
        return "look at `git config core.worktree` (submodules have it), or choose `isolation: overlay` or `none`"


def stand_for(repository: Repository, folder: Path) -> None:
    """Make `folder` (real, absolute) a work tree of the repository, with its HEAD and index. Raises WorkTreeElsewhere,
    OSError.
    """
    (folder / ".git").write_bytes(b"gitdir: %b\n" % os.fsencode(repository.git_dir))
    ended = launch.run(
        "rev-parse", "--show-toplevel", environment=user_environment(os.environ), folder=os.fsdecode(folder)
    )
    seen = ended.stdout.removesuffix(b"\n")
    if ended.code or seen != os.fsencode(folder):
        raise WorkTreeElsewhere(os.fsdecode(seen or ended.stderr.strip()))


def tracked_paths(repository: Repository) -> frozenset[bytes]:
    """Everything in the user's index, relative to the repository's top; nothing where it cannot be read."""
    try:
        return frozenset(user_git(repository, "ls-files", "-z").split(b"\0")) - {b""}
    except GitFailed:
        return frozenset()
