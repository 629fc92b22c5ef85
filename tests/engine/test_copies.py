"""Clones, worktrees, moved folders, subfolders, several workflows: `run` never starts silently at 1."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.test_run import subjects, workflow
from tests.repo import Repo, Watched

pytestmark = pytest.mark.sweep

PHASES = "a: {run: echo a > a}\nb: {run: 'echo b > b; test -e ok'}"


def refs(path: Path) -> str:
    """All refs of a repository."""
    return subprocess.run(["git", "for-each-ref"], cwd=path, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def half(repo: Repo) -> Repo:
    """A run that stopped at its second phase, the workflow file committed by the user."""
    workflow(repo, PHASES)
    repo.commit()
    repo.run("run", ok=1)
    return repo


def test_a_clone_changes_nothing_until_told_which_way(
    half: Repo, tmp_path: Path, watch_repository: Callable[[Path], Watched]
) -> None:
    clone = tmp_path / "clone"
    half.git("clone", "-q", str(half.path), str(clone))
    subprocess.run(["git", "-C", clone, "config", "user.name", "Bob"], check=True)
    subprocess.run(["git", "-C", clone, "config", "user.email", "bob@example.org"], check=True)
    watch_repository(clone)
    before = refs(clone)
    for reading in ("log", "diff"):
        said = half.run(reading, ok=2, cwd=clone).stderr
        assert "its history is on origin" in said
        assert "gitckpt rollback latest" in said
        assert "gitckpt adopt origin" in said
        assert "gitckpt run" not in said
    said = half.run("run", ok=5, cwd=clone).stderr
    assert "gitckpt rollback latest" in said
    assert "gitckpt adopt origin" in said
    assert refs(clone) == before
    half.run("rollback", "latest", cwd=clone)
    assert (clone / "a").read_text() == "a\n"
    (clone / "ok").touch()
    half.run("run", cwd=clone)
    assert "Complete already" in half.run("run", cwd=clone).stderr
    assert subjects(half)[-1] == "b failed b@1 exit 1", "the first repository is as it was"


def test_a_clone_can_adopt_its_own_files_on_top_of_the_history(half: Repo, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    half.git("clone", "-q", str(half.path), str(clone))
    (clone / "ok").touch()
    (clone / "a").write_text("mine\n")
    half.run("adopt", "origin", cwd=clone)
    half.run("run", cwd=clone)
    assert (clone / "a").read_text() == "mine\n", "phase a is done; it is not run again"
    assert (clone / "b").exists()


def test_a_linked_worktree_changes_nothing_until_told_which_way(half: Repo, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    half.git("worktree", "add", "-q", str(linked), "-b", "other")
    before = refs(half.path)
    said = half.run("run", ok=5, cwd=linked).stderr
    assert "was never at a checkpoint" in said
    assert refs(half.path) == before
    (linked / "extra").write_text("mine\n")
    took = half.run("rollback", "latest", cwd=linked)
    assert "kept as rescue@1" in took.stdout
    assert not (linked / "extra").exists()
    assert half.git("show", "refs/gitckpt/demo/rescue/1:extra") == "mine"
    (linked / "ok").touch()
    half.run("run", cwd=linked)
    said = half.run("run", ok=5).stderr
    assert "went on to" in said, "the first workspace is behind now"
    half.run("rollback", "latest")
    assert (half.path / "b").exists()


def test_a_moved_folder_goes_on_by_itself(half: Repo, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(half.path, moved, symlinks=True)
    (moved / "ok").touch()
    said = half.run("run", ok=5, cwd=moved).stderr
    assert "differ" in said, "a copy with another file must be asked about"
    (moved / "ok").unlink()
    half.run("run", ok=1, cwd=moved)
    assert "b failed" in subprocess.run(
        ["git", "log", "-1", "--format=%s", "gitckpt/demo"], cwd=moved, capture_output=True, text=True, check=True
    ).stdout  # fmt: skip


def test_a_workflow_in_a_subfolder_captures_its_own_files_and_ignored_outs(repo: Repo) -> None:
    repo.write("elsewhere", "not ours\n")
    repo.write(".gitignore", "data/\n")
    repo.write(
        "sub/gitckpt.yaml",
        "version: 1\nworkflow: demo\nphases:\n  a: {run: 'mkdir -p data; echo 1 > data/x', outs: [data/x]}\n",
    )
    repo.run("-C", "sub", "run")
    names = repo.git("ls-tree", "-r", "--name-only", "gitckpt/demo").splitlines()
    assert [name for name in names if ".gitckpt" not in name] == ["sub/data/x", "sub/gitckpt.yaml"]
    repo.run("-C", "sub", "rollback", "start")
    assert not (repo.path / "sub/data/x").exists()
    repo.run("run", cwd=repo.path / "sub")
    assert (repo.path / "sub/data/x").exists()


def test_an_empty_ignored_folder_that_outs_name_is_there_again_after_a_rollback(repo: Repo) -> None:
    repo.write(".gitignore", "data/\n")
    (repo.path / "data").mkdir()
    workflow(repo, "a: {run: 'echo 1 > data/a.csv', outs: ['data/*.csv']}")
    repo.run("run")
    repo.run("rollback", "start")
    assert list((repo.path / "data").iterdir()) == []
    repo.run("run")
    assert (repo.path / "data/a.csv").read_text() == "1\n"


def test_what_another_workflow_did_here_is_foreign_and_the_rest_is_yours(repo: Repo) -> None:
    workflow(repo, "a: {run: echo a > a}")
    repo.write("other/other.yaml", "x\n")
    repo.run("run")
    two = repo.write("two.yaml", "version: 1\nworkflow: two\nphases:\n  c: {run: echo c > c}\n")
    repo.run("--file", str(two), "run")
    repo.write("mine", "mine\n")
    repo.run("run")
    assert subjects(repo)[2:] == ["foreign by two", "edit by Ann Example"]
    changed = repo.git("diff", "--name-only", "gitckpt/demo~2", "gitckpt/demo~1", "--", ":!.gitckpt")
    assert changed.split() == ["c", "two.yaml"]


def test_a_clone_without_the_workflow_file_says_so_and_takes_it_from_the_newest_checkpoint(
    repo: Repo, tmp_path: Path
) -> None:
    repo.write("src", "1\n")
    repo.commit()
    workflow(repo, PHASES)
    repo.run("run", ok=1)
    clone = tmp_path / "clone"
    repo.git("clone", "-q", str(repo.path), str(clone))
    assert not (clone / "gitckpt.yaml").exists()
    before = refs(clone)
    said = repo.run("run", ok=5, cwd=clone).stderr
    assert "workflow demo has its history on origin" in said
    assert "gitckpt rollback latest" in said
    assert refs(clone) == before
    repo.run("rollback", "latest", cwd=clone)
    assert (clone / "gitckpt.yaml").read_bytes() == (repo.path / "gitckpt.yaml").read_bytes()
    (clone / "ok").touch()
    repo.run("run", cwd=clone)


def test_a_workflow_file_that_was_removed_is_brought_back_from_a_checkpoint(half: Repo) -> None:
    text = (half.path / "gitckpt.yaml").read_bytes()
    (half.path / "gitckpt.yaml").unlink()
    assert "bring it back: gitckpt restore latest -- gitckpt.yaml" in half.run("run", ok=2).stderr
    assert "b@1" in half.run("log").stdout, "reading goes on"
    half.run("restore", "latest", "--", "gitckpt.yaml")
    assert (half.path / "gitckpt.yaml").read_bytes() == text
    assert "resumed at" in half.run("run", ok=1).stderr
