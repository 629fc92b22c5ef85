"""Calls of git on one repository: hardened, with a time limit, in an environment that says only what we say.
Knows how a call is made and how it fails; not what any command is for.
"""

from __future__ import annotations

import os

from gitckpt.errors import GitFailed
from gitckpt.plumbing import launch
from gitckpt.plumbing.environment import scrubbed_environment, user_environment
from gitckpt.plumbing.repository import Repository


def _located(repository: Repository, environment: dict[str, str]) -> dict[str, str]:
    environment["GIT_DIR"] = str(repository.git_dir)
    environment["GIT_WORK_TREE"] = str(repository.top)
    if repository.common_dir != repository.git_dir:
        environment["GIT_COMMON_DIR"] = str(repository.common_dir)
    return environment


def environment_for(repository: Repository) -> dict[str, str]:
    """The scrubbed environment, with the repository's place in it."""
    return _located(repository, scrubbed_environment(os.environ))


def user_environment_for(repository: Repository) -> dict[str, str]:
    """As `environment_for`, with the user's own configuration kept."""
    return _located(repository, user_environment(os.environ))


def git(
    repository: Repository,
    *arguments: str | bytes,
    stdin: bytes = b"",
    ok: tuple[int, ...] = (0,),
    timeout: float = 60.0,
) -> bytes:
    """What `git arguments...` writes, run in the top folder with no configuration of the user's.

    A call that a Ctrl-C of the terminal ended is made once more: use it for commands that may run twice.
    Raises GitFailed for an exit code not in `ok`, GitTimedOut after `timeout` seconds, GitMissing.
    """
    return _checked(repository, environment_for(repository), arguments, stdin, ok, timeout)


def user_git(
    repository: Repository,
    *arguments: str | bytes,
    stdin: bytes = b"",
    ok: tuple[int, ...] = (0,),
    timeout: float = 60.0,
) -> bytes:
    """As `git`, with the user's global and system configuration: for ignore rules and identity."""
    return _checked(repository, user_environment_for(repository), arguments, stdin, ok, timeout)


def _checked(
    repository: Repository,
    environment: dict[str, str],
    arguments: tuple[str | bytes, ...],
    stdin: bytes,
    ok: tuple[int, ...],
    timeout: float,
) -> bytes:
    for _ in range(2):
        ended = launch.run(
            *arguments, environment=environment, folder=str(repository.top), stdin=stdin, timeout=timeout
        )
        if ended.code in ok:
            return ended.stdout
        if not ended.interrupted:
            break
    raise GitFailed(launch.shown(arguments), ended.code, ended.stderr.decode("utf-8", "replace"))
