"""The fixtures keep what they promise: a test that reaches out, or a program that touches what is the user's, fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.repo import Repo, Watched, differences, picture


def test_no_folder_of_the_person_who_runs_the_tests_is_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.getbasetemp()
    for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        assert Path(os.environ[name]).is_relative_to(base), name
    assert Path.cwd().is_relative_to(base)


def test_git_asks_nothing_and_reads_nobodys_configuration(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    said = subprocess.run(
        ["git", "-C", tmp_path, "config", "--show-scope", "--list"], capture_output=True, text=True, check=True
    )
    assert {line.split()[0] for line in said.stdout.splitlines()} == {"local"}
    assert os.environ["GIT_TERMINAL_PROMPT"] == "0"
    assert os.environ["GIT_EDITOR"] == "false"


def test_git_started_below_the_project_finds_no_repository() -> None:
    done = subprocess.run(["git", "rev-parse"], cwd=PROJECT / "tests", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (128, "")


def test_what_a_hook_or_a_phase_exports_does_not_reach_a_test() -> None:
    """The suite is also run by a pre-commit hook, for which git exports these."""
    names = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_NAMESPACE", "GITCKPT_PHASE"]
    test = f"import os\ndef test_it(): assert [name for name in {names} if name in os.environ] == []\n"
    done = _suite(test, **dict.fromkeys(names, "/nowhere"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_skip_that_nobody_agreed_to_is_a_failure() -> None:
    done = _suite("import pytest\ndef test_it(): pytest.skip('no time')\n")
    assert done.returncode == 1
    assert "no time" in done.stdout


def test_the_slow_tier_is_skipped_unless_it_is_asked_for() -> None:
    slow = "import pytest\n@pytest.mark.full\ndef test_it(): assert False\n"
    done = _suite(slow)
    assert (done.returncode, "run with --full" in done.stdout) == (0, True)
    assert _suite(slow, "--full").returncode == 1


def _suite(text: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a test file of its own under this suite's conftest."""
    place = Path(os.environ["TMPDIR"], "test_inside.py")
    place.write_text(text)
    quiet = ["-rs", "-p", "no:cacheprovider", "-W", "ignore"]
    here = ["-p", "tests.conftest", "--rootdir", str(place.parent), "-c", os.devnull]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *quiet, *here, str(place), *arguments],
        env={**os.environ, "PYTEST_ADDOPTS": "", "PYTHONPATH": str(PROJECT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("HEAD", b"ref: refs/heads/other\n"),
        ("config", b"[core]\n\tbare = false\n"),
        ("index", b"DIRC"),
        ("refs/heads/new", b"0" * 40 + b"\n"),
        ("refs/stash", b"0" * 40 + b"\n"),
        ("logs/HEAD", b"0 0 x\n"),
        ("hooks/pre-commit", b"#!/bin/sh\n"),
        ("info/exclude", b"*\n"),
        ("index.lock", b""),
        ("worktrees/w/HEAD", b"ref: refs/heads/w\n"),
    ],
)
def test_each_thing_of_the_users_that_changes_is_noticed(repo: Repo, name: str, data: bytes) -> None:
    path = repo.path / ".git" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_bytes() if path.exists() else None
    path.write_bytes(data)
    with pytest.raises(AssertionError, match="belongs to the user"):
        repo.untouched()
    if before is None:
        path.unlink()
    else:
        path.write_bytes(before)


def test_refs_may_be_packed_but_not_moved(repo: Repo) -> None:
    repo.write("a")
    repo.commit()
    before = picture(repo.path / ".git")
    repo.git("pack-refs", "--all")
    assert differences(before, picture(repo.path / ".git")) == []
    packed = repo.path / ".git" / "packed-refs"
    packed.write_bytes(packed.read_bytes().replace(b" refs/heads/main", b" refs/heads/moved"))
    changed = differences(before, picture(repo.path / ".git"))
    assert changed == ["refs/heads/main", "refs/heads/moved"]
    repo.accept()


def test_our_own_refs_folder_and_objects_are_ours_to_write(repo: Repo) -> None:
    before = picture(repo.path / ".git")
    for name in ("gitckpt/x", "refs/gitckpt/w/rescue/1", "logs/refs/heads/gitckpt/w", "objects/aa/b"):
        path = repo.path / ".git" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x\n")
    assert picture(repo.path / ".git") == before
    (repo.path / ".git/refs/gitckpt/w/rescue/1").unlink()
    (repo.path / ".git/objects/aa/b").unlink()


def test_a_damaged_object_is_noticed(repo: Repo) -> None:
    oid = repo.git("hash-object", "-w", str(repo.write("a", "fine\n")))
    path = repo.path / ".git" / "objects" / oid[:2] / oid[2:]
    good = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(good[:-4])
    with pytest.raises(AssertionError, match="fsck"):
        repo.sound()
    path.write_bytes(good)


def test_a_manifest_that_does_not_follow_from_its_events_is_noticed(repo: Repo) -> None:
    repo.write("gitckpt.yaml", "version: 1\nworkflow: w\nphases: {one: {run: echo 1 > a}}\n")
    repo.run("run")
    forged = repo.git("cat-file", "blob", "gitckpt/w:.gitckpt/state.json").replace('"one"', '"two"')
    blob = repo.git("hash-object", "-w", str(repo.write(".git/forged", forged)))
    index = {**os.environ, "GIT_INDEX_FILE": str(repo.path / ".git/gitckpt/forged")}
    tip = repo.git("rev-parse", "gitckpt/w")
    for command in (
        ["read-tree", tip],
        ["update-index", "--cacheinfo", f"100644,{blob},.gitckpt/state.json"],
    ):
        subprocess.run(["git", *command], cwd=repo.path, env=index, check=True)
    tree = subprocess.run(["git", "write-tree"], cwd=repo.path, env=index, check=True, capture_output=True, text=True)
    commit = repo.git("commit-tree", tree.stdout.strip(), "-p", f"{tip}~1", "-m", "forged")
    repo.git("update-ref", "refs/heads/gitckpt/w", commit)
    with pytest.raises(AssertionError, match="gitckpt/w"):
        repo.sound()
    repo.git("update-ref", "refs/heads/gitckpt/w", tip)


def test_another_repository_can_be_watched(tmp_path: Path, watch_repository: Callable[[Path], Watched]) -> None:
    subprocess.run(["git", "init", "-q", tmp_path / "other"], check=True)
    other = watch_repository(tmp_path / "other")
    (tmp_path / "other/.git/description").write_text("mine now\n")
    with pytest.raises(AssertionError, match="description"):
        other.untouched()
    other.accept()


def test_the_command_line_of_a_repository_is_the_real_one(repo: Repo) -> None:
    assert repo.run("--version").stdout.startswith("gitckpt ")
    with pytest.raises(AssertionError, match="ended with 2, not"):
        repo.run("no-such-command")
    assert repo.run("no-such-command", ok=2).stdout == ""
