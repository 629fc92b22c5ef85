"""The user's side: identity, HEAD, a new repository; in odd states and with variables that lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gitckpt.errors import GitMissing, RepositoryNotWritable
from gitckpt.plumbing.creation import init_repository
from gitckpt.plumbing.repository import Repository, discover
from gitckpt.plumbing.user import Person, Source, identity, source

Plain = Callable[..., bytes]


def test_identity_comes_from_every_level_of_configuration(plain: Plain, repository: Repository) -> None:
    assert identity(repository) is None
    plain(repository.top, "config", "--global", "user.name", "Globa Lize")
    assert identity(repository) == Person("Globa Lize", "")
    plain(repository.top, "config", "user.email", "me@example.org")
    plain(repository.top, "config", "user.name", "Lo\nCal é")
    assert identity(repository) == Person("Lo\nCal é", "me@example.org")


def test_a_dollar_in_the_path_is_a_dollar(plain: Plain, tmp_path: Path) -> None:
    top = tmp_path / "$HOME ~ $(x)"
    plain(tmp_path, "init", "-q", "-b", "dollar", str(top))
    assert source(discover(top)).branch == "dollar"


def test_head_is_read_unborn_on_a_branch_and_detached(plain: Plain, repository: Repository) -> None:
    assert source(repository) == Source(None, "main")
    plain(repository.top, "commit", "-q", "--allow-empty", "-m", "x")
    head = plain(repository.top, "rev-parse", "HEAD").decode().strip()
    assert source(repository) == Source(head, "main")  # type: ignore[arg-type]
    plain(repository.top, "checkout", "-q", "-b", "topic/é")
    assert source(repository).branch == "topic/é"
    plain(repository.top, "pack-refs", "--all")
    plain(repository.top, "checkout", "-q", "--detach")
    assert source(repository) == Source(head, None)  # type: ignore[arg-type]


def test_head_of_a_linked_worktree_is_its_own(plain: Plain, repository: Repository, tmp_path: Path) -> None:
    plain(repository.top, "commit", "-q", "--allow-empty", "-m", "x")
    plain(repository.top, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    plain(tmp_path / "linked", "commit", "-q", "--allow-empty", "-m", "y")
    head = plain(tmp_path / "linked", "rev-parse", "HEAD").decode().strip()
    linked = discover(tmp_path / "linked")
    assert (source(linked).head, source(linked).branch) == (head, "side")
    assert source(repository).branch == "main"


def test_head_is_read_where_a_branch_is_called_head_too(plain: Plain, repository: Repository) -> None:
    plain(repository.top, "commit", "-q", "--allow-empty", "-m", "x")
    head = plain(repository.top, "rev-parse", "HEAD").decode().strip()
    plain(repository.top, "update-ref", "refs/heads/HEAD", head)
    assert source(repository) == Source(head, "main")  # type: ignore[arg-type]
    plain(repository.top, "symbolic-ref", "HEAD", "refs/heads/HEAD")
    assert source(repository) == Source(head, "HEAD")  # type: ignore[arg-type]
    plain(repository.top, "update-ref", "--no-deref", "HEAD", head)
    assert source(repository) == Source(head, None)  # type: ignore[arg-type]


def test_a_new_repository_has_the_users_branch_name_and_no_template(plain: Plain, tmp_path: Path) -> None:
    template = tmp_path / "template"
    (template / "hooks").mkdir(parents=True)
    (template / "hooks" / "post-checkout").write_text("#!/bin/sh\n")
    plain(tmp_path, "config", "--global", "init.templateDir", str(template))
    plain(tmp_path, "config", "--global", "init.defaultBranch", "trunk")
    init_repository(tmp_path / "new $HOME")
    found = discover(tmp_path / "new $HOME")
    assert source(found) == Source(None, "trunk")
    assert not (found.git_dir / "hooks").exists()
    with pytest.raises(RepositoryNotWritable):
        init_repository(Path("/proc/nowhere"))


def test_variables_of_a_hook_neither_redirect_nor_get_lost(
    plain: Plain, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(tmp_path, "init", "-q", "-b", "trap", str(tmp_path / "trap"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "trap" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "trap"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", "/")
    before = dict(os.environ)
    assert source(repository).branch == "main"
    init_repository(tmp_path / "new")
    assert (tmp_path / "new" / ".git").is_dir()
    assert dict(os.environ) == before


def test_a_missing_git_is_named(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository.top))
    with pytest.raises(GitMissing):
        source(repository)
    with pytest.raises(GitMissing):
        init_repository(repository.top / "new")
