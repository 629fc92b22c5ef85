"""Differences as text, made in a scratch git directory that borrows a repository's objects."""

from __future__ import annotations

from pathlib import Path

from gitckpt.plumbing.content import USUAL, Change, Item
from gitckpt.plumbing.diff import Unsaid, render, scratch, unsaid
from gitckpt.plumbing.pack import Pack
from tests.repo import Repo


def folder(mode: int = 0o755) -> Item:
    return Item(kind="dir", mode=mode)


def file(mode: int = 0o644) -> Item:
    return Item(kind="file", mode=mode, oid=b"x" * 20)


def made(path: bytes, item: Item) -> Change:
    return Change(path=path, old=None, new=item)


def told(*changes: Change) -> list[Unsaid]:
    return unsaid(changes, USUAL, USUAL)


def test_objects_are_read_from_a_repository_whose_path_holds_a_newline(tmp_path: Path) -> None:
    repo = Repo(tmp_path / 'od"d\nplace\\')
    repo.write("a", "old\n")
    repo.commit()
    old = bytes.fromhex(repo.git("rev-parse", "HEAD:a"))
    with scratch(repo.repository, repo.path) as place:
        with Pack(place, "test") as pack:
            new = pack.blob(b"new\n")
            pack.finish()
        change = Change(
            path=b"a", old=Item(kind="file", mode=0o644, oid=old), new=Item(kind="file", mode=0o755, oid=new)
        )
        said = render(place, [change], "patch")
    assert b"old mode 100644\nnew mode 100755\n" in said
    assert said.endswith(b"@@ -1 +1 @@\n-old\n+new\n")
    assert not place.git_dir.exists()
    repo.untouched()


def test_a_path_that_is_file_and_folder_on_one_side_of_a_net_change_does_no_harm(repo: Repo) -> None:
    repo.write("a", "x\n")
    repo.commit()
    item = Item(kind="file", mode=0o644, oid=bytes.fromhex(repo.git("rev-parse", "HEAD:a")))
    removed = [Change(path=path, old=item, new=None) for path in (b"a", b"a/b")]
    with scratch(repo.repository, repo.path) as place:
        assert b"a/b" in render(place, removed, "stat")


def test_a_thousand_folders_deep_is_not_too_deep(repo: Repo) -> None:
    repo.write("a", "x\n")
    repo.commit()
    item = Item(kind="file", mode=0o644, oid=bytes.fromhex(repo.git("rev-parse", "HEAD:a")))
    with scratch(repo.repository, repo.path) as place:
        assert b"+x\n" in render(place, [made(b"d/" * 1000 + b"f", item)], "patch")


def test_only_folders_that_are_empty_or_have_a_mode_of_their_own_are_told() -> None:
    assert told(made(b"full", folder()), made(b"full-not", folder()), made(b"full/f", file())) == [
        Unsaid(b"full-not", "empty folder made")
    ]
    assert told(made(b"d", folder(0o700)), made(b"d/f", file())) == [Unsaid(b"d", "folder made with mode 0700")]
    gone = [Change(path=b"d", old=folder(), new=None), Change(path=b"d/f", old=file(), new=None)]
    assert told(*gone) == []
    assert told(gone[0]) == [Unsaid(b"d", "empty folder removed")]


def test_only_modes_that_git_cannot_keep_are_told() -> None:
    assert told(Change(path=b"f", old=file(0o644), new=file(0o755))) == []
    assert told(Change(path=b"f", old=file(0o644), new=file(0o600))) == [Unsaid(b"f", "mode 0644 -> 0600")]
    assert told(Change(path=b"f", old=file(0o644), new=file(0o700))) == [Unsaid(b"f", "mode 0644 -> 0700")]
    assert told(made(b"f", file(0o755))) == []
    assert told(made(b"f", file(0o600))) == [Unsaid(b"f", "made with mode 0600")]
    assert told(Change(path=b"f", old=file(0o600), new=None)) == []


def test_a_path_that_git_refuses_is_told_and_not_drawn(repo: Repo) -> None:
    changes = [made(b"n/.git", folder()), made(b"n/.git/HEAD", file())]
    assert told(*changes) == [Unsaid(b"n/.git/HEAD", "made (git refuses this path)")]
    with scratch(repo.repository, repo.path) as place:
        assert render(place, changes, "patch") == b""
