"""Finding a repository: the odd homes, git's refusals in our words, and an environment that lies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gitckpt.errors import BareRepository, ForeignOwner, GitFailed, GitMissing, GitTimedOut, GitTooOld, NotARepository
from gitckpt.plumbing import repository as repository_module
from gitckpt.plumbing.environment import HARDENED, phase_environment, scrubbed_environment, user_environment
from gitckpt.plumbing.process import git
from gitckpt.plumbing.repository import Repository, checked_out_branches, discover, require_git

Plain = Callable[..., bytes]


def test_a_repository_is_found_from_any_folder_of_its_work_tree(plain: Plain, repository: Repository) -> None:
    deep = repository.top / "a" / "new\nline"
    deep.mkdir(parents=True)
    assert discover(deep) == repository
    assert repository.git_dir == repository.common_dir == repository.top / ".git"
    assert len(repository.null) == {"sha1": 20, "sha256": 32}[repository.object_format]
    link = repository.top.parent / "link"
    link.symlink_to(deep)
    assert discover(link) == repository


def test_a_path_with_a_newline_is_a_home_like_any_other(plain: Plain, tmp_path: Path) -> None:
    top = tmp_path / "one\ntwo"
    plain(tmp_path, "init", "-q", str(top))
    found = discover(top)
    assert (found.top, found.git_dir, found.common_dir) == (top, top / ".git", top / ".git")


def test_a_linked_worktree_has_its_own_git_dir_and_shares_the_rest(plain: Plain, tmp_path: Path) -> None:
    main, linked = tmp_path / "main\nline", tmp_path / "linked\nline"
    plain(tmp_path, "init", "-q", "-b", "main", str(main))
    plain(main, "commit", "-q", "--allow-empty", "-m", "x")
    plain(main, "worktree", "add", "-q", "-b", "side", str(linked))
    found = discover(linked)
    assert found.top == linked
    assert found.common_dir == main / ".git"
    assert found.git_dir.parent == main / ".git" / "worktrees"
    assert checked_out_branches(found) == checked_out_branches(discover(main)) == {"refs/heads/main", "refs/heads/side"}
    plain(linked, "checkout", "-q", "--detach")
    assert checked_out_branches(found) == {"refs/heads/main"}
    assert git(found, "rev-parse", "--show-toplevel").decode() == f"{linked}\n"


def test_a_submodule_is_a_repository_of_its_own(plain: Plain, tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    for folder in (inner, outer):
        plain(tmp_path, "init", "-q", str(folder))
        plain(folder, "commit", "-q", "--allow-empty", "-m", "x")
    plain(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    found = discover(outer / "sub")
    assert (found.top, found.git_dir) == (outer / "sub", outer / ".git" / "modules" / "sub")
    assert discover(outer).top == outer


def test_core_worktree_does_not_move_the_work_tree(plain: Plain, repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    plain(repository.top, "config", "core.worktree", str(tmp_path / "elsewhere"))
    assert discover(repository.top) == repository
    assert git(repository, "rev-parse", "--show-toplevel").decode() == f"{repository.top}\n"


@pytest.mark.parametrize("place", ["", "file", "missing", ".git"])
def test_where_no_work_tree_is_the_path_is_named(plain: Plain, repository: Repository, place: str) -> None:
    (repository.top.parent / "file").write_text("x")
    start = (repository.top if place == ".git" else repository.top.parent) / place
    with pytest.raises(NotARepository) as caught:
        discover(start)
    assert str(start) in caught.value.message


def test_a_bare_repository_is_refused_as_such(plain: Plain, tmp_path: Path) -> None:
    plain(tmp_path, "init", "-q", "--bare", str(tmp_path / "b.git"))
    with pytest.raises(BareRepository) as caught:
        discover(tmp_path / "b.git")
    assert str(tmp_path / "b.git") in caught.value.message
    plain(tmp_path, "init", "-q", str(tmp_path / "c"))
    plain(tmp_path / "c", "config", "core.bare", "true")
    with pytest.raises(BareRepository):
        discover(tmp_path / "c")


def test_anothers_repository_is_refused_until_the_user_says_it_is_safe(
    plain: Plain, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Git's own way to test it: no need to be root and give the folder away.
    script = tmp_path / "bin" / "git"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {shutil.which("git")} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    with pytest.raises(ForeignOwner) as caught:
        discover(repository.top)
    assert f"git config --global --add safe.directory '{repository.top}'" in caught.value.hint
    plain(tmp_path, "config", "--global", "--add", "safe.directory", str(repository.top))
    assert discover(repository.top) == repository
    assert git(repository, "for-each-ref") == b""


def test_a_missing_git_is_named(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository.top))
    with pytest.raises(GitMissing):
        discover(repository.top)
    with pytest.raises(GitMissing):
        git(repository, "for-each-ref")


def test_an_old_git_is_named_with_the_floor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "git"
    script.write_text("#!/bin/sh\necho git version 2.38.9.windows\n")
    script.chmod(0o755)
    require_git.cache_clear()
    try:
        assert require_git() >= repository_module.FLOOR
        require_git.cache_clear()
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
        with pytest.raises(GitTooOld, match=r"2\.38\.9\.windows.*2\.39"):
            require_git()
    finally:
        require_git.cache_clear()


def test_a_call_that_takes_too_long_is_ended(repository: Repository) -> None:
    with pytest.raises(GitTimedOut, match=r"git .* wait had not ended after 0\.2 s"):
        git(repository, "-c", "alias.wait=!sleep 3", "wait", timeout=0.2)


def test_what_git_said_is_in_the_error(repository: Repository) -> None:
    with pytest.raises(GitFailed, match="no-such-command") as caught:
        git(repository, "no-such-command")
    assert caught.value.command == ("no-such-command",)
    assert git(repository, "rev-parse", "--verify", "-q", "refs/heads/x", ok=(1,)) == b""


def test_variables_that_a_hook_exports_do_not_redirect_us(
    plain: Plain, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(tmp_path, "init", "-q", str(tmp_path / "trap"))
    for name, value in {
        "GIT_DIR": str(tmp_path / "trap/.git"),
        "GIT_WORK_TREE": str(tmp_path / "trap"),
        "GIT_INDEX_FILE": str(tmp_path / "trap/index"),
        "GIT_OBJECT_DIRECTORY": str(tmp_path / "trap/objects"),
        "GIT_COMMON_DIR": str(tmp_path / "trap/.git"),
        "GIT_NAMESPACE": "n",
        "GIT_QUARANTINE_PATH": str(tmp_path / "trap"),
        "GIT_CONFIG_PARAMETERS": "'core.bare=true'",
        "GIT_DEFAULT_HASH": "sha256",
        "GIT_TRACE": str(tmp_path / "trace"),
        "GIT_CONFIG": "/nowhere",
    }.items():
        monkeypatch.setenv(name, value)
    assert discover(repository.top) == repository
    said = git(repository, "rev-parse", "--absolute-git-dir", "--show-object-format").decode().split("\n")
    assert said[:2] == [str(repository.git_dir), repository.object_format]
    assert not (tmp_path / "trace").exists()


def test_the_environments_differ_in_what_they_keep() -> None:
    base = {
        "PATH": "/bin", "HOME": "/h", "GIT_DIR": "d", "GIT_INDEX_FILE": "i", "GIT_ASKPASS": "a", "GIT_TRACE2": "1",
        "GIT_CONFIG_GLOBAL": "/mine", "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*", "GIT_SSH_COMMAND": "s", "GIT_EXEC_PATH": "/x", "LC_ALL": "tr_TR",
        "GIT_SOMETHING_NEW": "1",
    }  # fmt: skip
    ours, users, phases = scrubbed_environment(base), user_environment(base), phase_environment(base)
    assert {name for name in ours if name in base} == {"PATH", "HOME", "GIT_EXEC_PATH", "LC_ALL", "GIT_CONFIG_GLOBAL"}
    assert (ours["GIT_CONFIG_GLOBAL"], ours["GIT_CONFIG_NOSYSTEM"], ours["LC_ALL"]) == ("/dev/null", "1", "C")
    assert (users["GIT_CONFIG_GLOBAL"], users["GIT_CONFIG_VALUE_0"], users["LC_ALL"]) == ("/mine", "*", "C")
    assert "GIT_DIR" not in users
    assert base.keys() - phases.keys() == {"GIT_DIR", "GIT_INDEX_FILE"}
    assert all(name != "-c" or HARDENED[at + 1].count("=") for at, name in enumerate(HARDENED))
