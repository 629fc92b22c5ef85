"""Where a repository is, and whether we may use it. Owns discovery and git's own refusals (no work tree,
another owner, too old a git); knows nothing of objects or refs beyond which branches are checked out.
"""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass
from pathlib import Path

from gitckpt.errors import BareRepository, ForeignOwner, GitFailed, GitTooOld, NotARepository
from gitckpt.plumbing import launch
from gitckpt.plumbing.environment import scrubbed_environment, user_environment

FLOOR = (2, 39)

_QUESTIONS = (
    "rev-parse",
    "--path-format=absolute",
    "--is-bare-repository",
    "--show-object-format",
    "--absolute-git-dir",
    "--git-common-dir",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository with a work tree; every path is real and absolute.

    `top` is the folder that holds `.git`; `git_dir` is this worktree's own git directory, `common_dir` the
    one that all worktrees share (equal but in a linked worktree); `object_format` is "sha1" or "sha256".
    """

    top: Path
    git_dir: Path
    common_dir: Path
    object_format: str

    @property
    def null(self) -> bytes:
        """The object id of nothing: all zero, as long as the repository's ids."""
        return bytes(32 if self.object_format == "sha256" else 20)


def discover(start: Path) -> Repository:
    """The repository whose work tree holds `start`, as git finds it with the user's configuration.

    Raises NotARepository, BareRepository, ForeignOwner, GitMissing, GitFailed.
    """
    start = Path(os.path.realpath(start))
    try:
        ended = launch.run(*_QUESTIONS, environment=user_environment(os.environ), folder=str(start))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        raise NotARepository(str(start)) from None
    if ended.code:
        raise _refusal(start, ended)
    bare, object_format, paths = ended.stdout.split(b"\n", 2)
    git_dir, common_dir = _two_paths(paths)
    if bare == b"true":
        raise BareRepository(str(git_dir))
    if start.is_relative_to(git_dir):
        raise NotARepository(str(start))  # the older gits say so themselves: see `safe.bareRepository`
    return Repository(
        top=_top(start, git_dir),
        git_dir=git_dir,
        common_dir=common_dir,
        object_format=object_format.decode("ascii"),
    )


def _refusal(start: Path, ended: launch.Ended) -> NotARepository | GitFailed:
    text = os.fsdecode(ended.stderr)
    if "dubious ownership" in text:
        named = re.search(r"repository at '(.*)'$", text, re.MULTILINE)
        return ForeignOwner(named[1] if named else str(start))
    if "cannot use bare repository" in text:
        named = re.search(r"bare repository '(.*)' \(", text)
        return BareRepository(named[1] if named else str(start))
    if "not a git repository" in text:
        return NotARepository(str(start))
    return GitFailed(_QUESTIONS, ended.code, text)


def _two_paths(lines: bytes) -> tuple[Path, Path]:
    """Part git's answer `A\\nB\\n`; a path may hold newlines, so the parting is the one where both are
    folders.
    """
    text = lines.removesuffix(b"\n")
    at = text.find(b"\n")
    while at >= 0:
        first, second = os.path.realpath(text[:at]), os.path.realpath(text[at + 1 :])
        if os.path.isdir(first) and os.path.isdir(second):
            return Path(os.fsdecode(first)), Path(os.fsdecode(second))
        at = text.find(b"\n", at + 1)
    raise NotARepository(os.fsdecode(text))


def _top(start: Path, git_dir: Path) -> Path:
    """The folder whose `.git` led to `git_dir`.

    Not `--show-toplevel`: that obeys `core.worktree`, with which a repository's own configuration sent a
    checkout into another folder (measured).
    """
    for folder in (start, *start.parents):
        mark = folder / ".git"
        if mark.is_file() or (mark.is_dir() and Path(os.path.realpath(mark)) == git_dir):
            return folder
    raise NotARepository(str(start))


@functools.cache
def require_git() -> tuple[int, ...]:
    """The version of git, for example (2, 39, 5). Raises GitMissing, and GitTooOld below the floor."""
    ended = launch.run("version", environment=scrubbed_environment(os.environ), folder="/")
    found = re.search(rb"version (\d+(?:\.\d+)*)", ended.stdout)
    version = tuple(int(part) for part in found[1].split(b".")) if found else ()
    if version < FLOOR:
        said = ended.stdout.decode("utf-8", "replace").removeprefix("git version ").strip()
        raise GitTooOld(said or "of unknown version", ".".join(map(str, FLOOR)))
    return version


def checked_out_branches(repository: Repository) -> frozenset[str]:
    """The full names of the branches that the HEADs of all worktrees are on; reads files only."""
    found = set()
    folders = [repository.common_dir, repository.git_dir]
    worktrees = repository.common_dir / "worktrees"
    if worktrees.is_dir():
        folders += worktrees.iterdir()
    for folder in folders:
        try:
            head = (folder / "HEAD").read_bytes()
        except OSError:
            continue
        if head.startswith(b"ref:"):
            found.add(os.fsdecode(head[4:].strip()))
    return frozenset(found)
