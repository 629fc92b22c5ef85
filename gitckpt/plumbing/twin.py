"""A repository of its own for a copy of a workspace: the same object format and ignore rules, no history, no remotes.

Owns how it is made; touches nothing of the one it is like.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from gitckpt.errors import GitFailed
from gitckpt.plumbing import launch
from gitckpt.plumbing.environment import user_environment
from gitckpt.plumbing.repository import Repository, discover


def make_twin(repository: Repository, top: Path) -> Repository:
    """Make a repository at `top`, which is made too. Raises GitFailed, GitMissing, OSError."""
    top.mkdir(parents=True)
    arguments = ("init", "-q", "--template=", f"--object-format={repository.object_format}", "--", str(top))
    ended = launch.run(*arguments, environment=user_environment(os.environ), folder=str(top))
    if ended.code:
        raise GitFailed(arguments, ended.code, os.fsdecode(ended.stderr))
    rules = repository.common_dir / "info" / "exclude"
    if rules.is_file():
        (top / ".git" / "info").mkdir(exist_ok=True)
        shutil.copyfile(rules, top / ".git" / "info" / "exclude")
    return discover(top)
