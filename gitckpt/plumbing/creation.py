"""Makes a repository where there is none, through GitPython. The only module that imports `git`, and what no other
command than `init` needs: the import takes as long as ten calls of git.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import git

from gitckpt.errors import GitFailed, GitMissing, RepositoryNotWritable
from gitckpt.plumbing.environment import HARDENED, user_environment

# The process has one environment for all threads.
_ENVIRONMENT = threading.Lock()


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


def _run(environment: dict[str, str], arguments: tuple[str, ...]) -> tuple[int, str]:
    """Exit code and complaints of one hardened call. Raises GitMissing."""
    with _scrubbed(environment):
        # GitPython expands variables in a folder's name, and runs git in the current folder where that leads
        # nowhere. So it is given one without any, and all paths are absolute.
        shell = git.Git("/")
        try:
            code, _, stderr = shell.execute(
                ["git", *HARDENED, *arguments],
                with_extended_output=True,
                with_exceptions=False,
            )
        except git.GitCommandNotFound:
            raise GitMissing from None
        finally:
            shell.clear_cache()
    return code, str(stderr)


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
    code, stderr = _run(user_environment(os.environ), arguments)
    if code:
        raise GitFailed(arguments, code, stderr)
