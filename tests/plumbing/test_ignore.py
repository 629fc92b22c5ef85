"""What git ignores, asked in bulk: the same answers as `git status`, odd names, and the user's own rules."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gitckpt.errors import GitFailed
from gitckpt.plumbing.ignore import Ignore, tracked_ignored
from gitckpt.plumbing.repository import Repository

Plain = Callable[..., bytes]


def test_rules_of_every_level_count_and_a_later_one_takes_back(plain: Plain, repository: Repository) -> None:
    top = repository.top
    (top / "sub" / "build").mkdir(parents=True)
    (top / "dir").mkdir()
    (top / ".gitignore").write_text("*.log\n!keep.log\nbuild/\n")
    (top / "sub" / ".gitignore").write_text("!a.log\nlocal\n")
    (repository.common_dir / "info" / "exclude").write_text("excluded\n")
    (top / "mine").write_text("*.mine\n")
    plain(top, "config", "--global", "core.excludesFile", str(top / "mine"))
    expected = {
        b"a.log": True, b"keep.log": False, b"sub/a.log": False, b"sub/b.log": True, b"sub/build": True,
        b"sub/build/x": True, b"build": False, b"dir": False, b"local": False, b"sub/local": True, b"excluded": True,
        b"x.mine": True, b"x.y": False,
    }  # fmt: skip
    with Ignore(repository) as ignore:
        assert dict(zip(expected, ignore.ignored(list(expected)), strict=True)) == expected
        assert ignore.ignored([]) == []


ODD = [
    b":(top)x.log",
    b":!x",
    b"*",
    b"new\nline.log",
    b"-x.log",
    b"\xff.log",
    b"sp ace.log",
    b"a\\b.log",
    b'"q".log',
    b"[a].log",
]


def test_odd_names_are_names(repository: Repository) -> None:
    (repository.top / ".gitignore").write_text("*.log\n")
    with Ignore(repository) as ignore:
        assert ignore.ignored(ODD) == [name.endswith(b".log") for name in ODD]
        assert ignore.ignored([b"d/" + name for name in ODD]) == [name.endswith(b".log") for name in ODD]


def test_it_agrees_with_git_status(plain: Plain, repository: Repository) -> None:
    top = repository.top
    for folder in ("a", "a/b", "node_modules", "c d"):
        (top / folder).mkdir()
        for name in ("x.pyc", "y.txt", "#z#", ".env", "core"):
            (top / folder / name).write_text("x")
    (top / ".gitignore").write_text("*.pyc\nnode_modules/\n/a/core\n**/b/y.txt\n\\#*\n")
    said = plain(top, "status", "--porcelain", "-z", "--ignored", "--untracked-files=all")
    ignored = {line[3:] for line in said.split(b"\0") if line.startswith(b"!!")}
    files = [
        os.path.relpath(os.path.join(folder, name), top).encode()
        for folder, folders, names in os.walk(top)
        for name in names
        if ".git/" not in folder + "/"
    ]
    with Ignore(repository) as ignore:
        ours = {path for path, is_ignored in zip(files, ignore.ignored(files), strict=True) if is_ignored}
    assert ours == {
        path for path in files if any(path == i or (i.endswith(b"/") and path.startswith(i)) for i in ignored)
    }
    assert ours


def test_a_question_larger_than_any_pipe_is_answered(repository: Repository) -> None:
    (repository.top / ".gitignore").write_text("*7\n")
    paths = [b"x" * 200 + b"%d" % at for at in range(20_000)]
    with Ignore(repository) as ignore:
        assert ignore.ignored(paths) == [path.endswith(b"7") for path in paths]


def test_a_path_beyond_a_symlink_is_an_error_and_the_next_question_is_answered(repository: Repository) -> None:
    (repository.top / "link").symlink_to("/")
    (repository.top / ".gitignore").write_text("a\n")
    with Ignore(repository) as ignore:
        with pytest.raises(GitFailed, match="beyond a symbolic link"):
            ignore.ignored([b"link/etc"])
        with pytest.raises(ValueError, match="top"):
            ignore.ignored([b""])
        assert ignore.ignored([b"a", b"b"]) == [True, False]


def test_an_ignore_file_that_git_fails_to_open_once_counts_and_one_that_it_may_not_follow_does_not(
    repository: Repository, tmp_path: Path, shim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = repository.top / ".gitignore"
    rules.write_text("*.log\n")
    blow = {
        "LD_PRELOAD": str(shim), "FI_FILE": str(tmp_path / "counter"), "FI_AT": "1", "FI_ACT": str(errno.EIO),
        "FI_READS": "/.gitignore", "FI_PATH": "/.gitignore", "FI_OPENS": "1",
    }  # fmt: skip
    with Ignore(repository) as ignore, monkeypatch.context() as struck:
        for name, value in blow.items():
            struck.setenv(name, value)
        assert ignore.ignored([b"a.log", b"b"]) == [True, False]
    assert (tmp_path / "counter").read_bytes()[0] > 2
    rules.unlink()
    rules.symlink_to("rules")
    with Ignore(repository) as ignore:
        assert ignore.ignored([b"a.log", b"b"]) == [False, False]
        assert ignore.ignored([b"a.log"]) == [False]


def test_tracked_files_that_a_rule_would_ignore_are_named(plain: Plain, repository: Repository) -> None:
    top = repository.top
    (top / "sub").mkdir()
    for name in ("a.log", "b.txt", "sub/c.log"):
        (top / name).write_text("x")
    plain(top, "add", ".")
    (top / "untracked.log").write_text("x")
    (top / ".gitignore").write_text("*.log\n")
    index = (repository.git_dir / "index").read_bytes()
    assert tracked_ignored(repository, b"") == {b"a.log", b"sub/c.log"}
    assert tracked_ignored(repository, b"sub") == {b"sub/c.log"}
    assert tracked_ignored(repository, b"nothing here") == frozenset()
    assert (repository.git_dir / "index").read_bytes() == index
    (repository.git_dir / "index").write_bytes(b"XXXX" + index[4:])
    assert tracked_ignored(repository, b"") == frozenset()


def test_a_linked_worktree_has_its_own_index(plain: Plain, repository: Repository, tmp_path: Path) -> None:
    from gitckpt.plumbing.repository import discover

    plain(repository.top, "commit", "-q", "--allow-empty", "-m", "x")
    plain(repository.top, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    (tmp_path / "linked" / "a.log").write_text("x")
    plain(tmp_path / "linked", "add", "a.log")
    (tmp_path / "linked" / ".gitignore").write_text("*.log\n")
    linked = discover(tmp_path / "linked")
    assert tracked_ignored(linked, b"") == {b"a.log"}
    with Ignore(linked) as ignore:
        assert ignore.ignored([b"a.log", b"a.txt"]) == [True, False]
