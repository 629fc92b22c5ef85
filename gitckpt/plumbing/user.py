"""The user's side of a repository, through GitPython: who the user is, where HEAD stands, which remotes there
are. The only module that imports `git`. Reads, and makes a repository where there is none; never writes to
one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import git

from gitckpt.errors import GitFailed, GitMissing, RepositoryNotWritable
from gitckpt.model.names import Oid
from gitckpt.plumbing.environment import HARDENED, user_environment
from gitckpt.plumbing.process import user_environment_for
from gitckpt.plumbing.repository import Repository

# The process has one environment for all threads.
_ENVIRONMENT = threading.Lock()


@dataclass(frozen=True, slots=True)
class Person:
    """A name and an address, as the user's configuration has them; either may be empty."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where the user's HEAD stands: its commit (None when unborn) and its branch (None when detached)."""

    head: Oid | None
    branch: str | None


@contextmanager
def _scrubbed(environment: dict[str, str]) -> Iterator[None]:
    """GitPython can add variables for git but not take any away, and with GIT_DIR set even `Repo(path)`
    raises.
    """
    with _ENVIRONMENT:
        before = dict(os.environ)
        for name in before.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        try:
            yield
        finally:
            for name in os.environ.keys() - before.keys():
                del os.environ[name]
            os.environ.update(before)


def _run(environment: dict[str, str], arguments: tuple[str, ...]) -> tuple[int, bytes, str]:
    """Exit code, output and complaints of one hardened call. Raises GitMissing."""
    with _scrubbed(environment):
        # GitPython expands variables in a folder's name, and runs git in the current folder where that leads
        # nowhere. So it is given one without any, and all paths are absolute.
        shell = git.Git("/")
        try:
            code, stdout, stderr = shell.execute(
                ["git", *HARDENED, *arguments],
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
            )
        except git.GitCommandNotFound:
            raise GitMissing from None
        finally:
            shell.clear_cache()
    assert isinstance(stdout, bytes)
    return code, stdout, str(stderr)


def _ask(repository: Repository, *arguments: str) -> bytes | None:
    """What git writes; None when it ends with 1, its word for "there is none"."""
    code, stdout, stderr = _run(user_environment_for(repository), arguments)
    if code == 1:
        return None
    if code:
        raise GitFailed(arguments, code, stderr)
    return stdout


def identity(repository: Repository) -> Person | None:
    """Who the user is by every level of git's configuration; None when nothing names one."""
    said = _ask(repository, "config", "-z", "--get-regexp", r"^user\.(name|email)$")
    found = {}
    for line in (said or b"").split(b"\0"):
        # The last one wins, as in git.
        key, _, value = line.partition(b"\n")
        found[key] = value.decode("utf-8", "replace")
    name, email = found.get(b"user.name", ""), found.get(b"user.email", "")
    return Person(name, email) if name or email else None


def source(repository: Repository) -> Source:
    """HEAD's commit and branch; also unborn, detached, in a linked worktree and in SHA-256 repositories."""
    # Not `repo.head.commit`: GitPython's objects fail on SHA-256.
    branch = _ask(repository, "symbolic-ref", "-q", "HEAD")
    head = _ask(repository, "rev-parse", "-q", "--verify", "HEAD^{commit}")
    return Source(
        Oid(head.decode("ascii").strip()) if head else None,
        os.fsdecode(branch.strip()).removeprefix("refs/heads/") if branch else None,
    )


def remotes(repository: Repository) -> list[str]:
    """The names of the remotes, sorted."""
    said = _ask(repository, "remote")
    return sorted(os.fsdecode(said or b"").splitlines())


def init_repository(path: Path) -> None:
    """Make a repository at `path` as the user's configuration says (branch name), but with no template's hooks.

    Raises GitFailed, GitMissing, RepositoryNotWritable.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RepositoryNotWritable(str(path), error.strerror or str(error)) from None
    # Not `Repo.init`: it opens what it made, and then takes a `$HOME` in the path for the variable.
    arguments = ("init", "-q", "--template=", "--", str(path.resolve()))
    code, _, stderr = _run(user_environment(os.environ), arguments)
    if code:
        raise GitFailed(arguments, code, stderr)
