"""What a failed attempt left and was too big to store comes back with one command, and nothing is lost by it."""

from __future__ import annotations

import pytest

from tests.repo import Repo

WORKFLOW = """\
version: 1
workflow: demo
attempts: {keep_up_to: 1MiB}
phases:
  load:
    run: |
      mkdir -p out; head -c 2000000 /dev/urandom > out/big; chmod 640 out/big
      echo theirs > mine; echo small > small; exit 1
"""


@pytest.fixture
def failed(repo: Repo) -> bytes:
    """A repository whose attempt load@1 was moved away; the bytes of its big file."""
    repo.write("gitckpt.yaml", WORKFLOW)
    repo.write("mine", "mine\n")
    assert "to go on from them: gitckpt restore load@1" in repo.run("run", ok=1).stderr
    assert not (repo.path / "out/big").exists()
    assert (repo.path / "mine").read_text() == "mine\n"
    return (repo.path / ".git/gitckpt/attempts/demo/load-1/out/big").read_bytes()


def test_restore_brings_back_what_was_moved_and_undo_takes_it_away(repo: Repo, failed: bytes) -> None:
    repo.write("mine", "mine, in no checkpoint yet\n")
    said = repo.run("restore", "load@1").stdout
    assert "A out/big" in said
    assert "M mine" in said
    assert (repo.path / "out/big").read_bytes() == failed
    assert (repo.path / "out/big").stat().st_mode & 0o777 == 0o640
    assert (repo.path / "mine").read_text() == "theirs\n"
    assert (repo.path / "small").read_text() == "small\n"
    repo.run("undo")
    assert (repo.path / "mine").read_text() == "mine, in no checkpoint yet\n"
    assert not (repo.path / "out").exists()


def test_restore_of_one_path_brings_that_one_only(repo: Repo, failed: bytes) -> None:
    repo.run("restore", "load@1", "--", "out/big")
    assert (repo.path / "out/big").read_bytes() == failed
    assert (repo.path / "mine").read_text() == "mine\n"
    assert not (repo.path / "small").exists()


def test_what_lies_ignored_where_a_moved_file_comes_is_kept_first(repo: Repo, failed: bytes) -> None:
    repo.write(".git/info/exclude", "out/\n")
    repo.write("out/big", "another one, of mine\n")
    repo.run("restore", "load@1")
    assert (repo.path / "out/big").read_bytes() == failed
    repo.run("undo")
    assert (repo.path / "out/big").read_text() == "another one, of mine\n"


def test_restore_into_a_folder_holds_what_was_moved_too(repo: Repo, failed: bytes) -> None:
    target = repo.path.parent / "there"
    repo.run("restore", "load@1", "--to", str(target))
    assert (target / "out/big").read_bytes() == failed
    assert (target / "small").read_text() == "small\n"
    assert not (repo.path / "out").exists()
