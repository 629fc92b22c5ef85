"""Repositories in awkward states: run and rollback are exact in each, or refused; the repository stays as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ready
from tests.repo import differences, picture

pytestmark = pytest.mark.sweep

WORKFLOW = (
    "version: 1\nworkflow: w\nphases:\n  a: {run: 'echo a > a; mkdir empty; echo changed > f'}\n  b: {run: rm a}\n"
)
WORKING = (
    "normal", "unborn", "detached", "worktree-linked", "sha256", "shallow", "partial", "superproject", "merging",
    "rebasing", "cherry", "index-lock", "head-lock", "staged", "assume-unchanged", "skip-worktree", "sparse-checkout",
    "split-index", "packed-refs-alternates", "corrupt-blob", "corrupt-index",
)  # fmt: skip


@pytest.fixture(scope="module")
def repositories(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them, made once; each test works in one that no other test uses."""
    place = tmp_path_factory.mktemp("repos")
    tool = shared / "tools/torture.py"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    subprocess.run([sys.executable, tool, "repos", place], env=plain, check=True, capture_output=True)
    return place


def gitckpt(path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """The real command line."""
    return ready.gitckpt(*command, cwd=path)


def files(path: Path) -> dict[str, tuple[int, bytes]]:
    """Every entry of the workspace but git's and gitckpt's own: mode and bytes."""
    found = {}
    for entry in path.rglob("*"):
        name = entry.relative_to(path)
        if name.parts[0] not in (".git", ".gitckpt"):
            found[str(name)] = (entry.lstat().st_mode, entry.read_bytes() if entry.is_file() else b"")
    return found


def common_dir(path: Path) -> Path:
    """Where the repository's git directory is."""
    said = subprocess.run(
        ["git", "rev-parse", "--path-format=absolute", "--git-common-dir"],
        cwd=path,
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(said.stdout.strip())


@pytest.mark.parametrize("name", WORKING)
def test_run_and_rollback_are_exact_and_the_repository_stays_as_it_was(repositories: Path, name: str) -> None:
    path = repositories / name
    (path / "gitckpt.yaml").write_text(WORKFLOW)
    start, mine = files(path), picture(common_dir(path))
    ran = gitckpt(path, "run")
    assert ran.returncode == 0, ran.stderr
    assert (path / "f").read_text() == "changed\n"
    back = gitckpt(path, "rollback", "start")
    assert back.returncode == 0, back.stderr
    assert files(path) == start
    assert differences(mine, picture(common_dir(path))) == []


# Only the superuser can give a repository to another.
@pytest.mark.parametrize("name", ["bare.git", *(["other-owner"] if os.geteuid() == 0 else [])])
def test_what_is_no_place_for_a_workflow_is_refused_in_one_line(repositories: Path, name: str) -> None:
    path = repositories / name
    (path / "gitckpt.yaml").write_text(WORKFLOW)
    before = files(path)
    ran = gitckpt(path, "run")
    assert ran.returncode == 2, ran.stderr
    assert [line for line in ran.stderr.splitlines() if line.startswith("error: ")] == ran.stderr.splitlines()[:1]
    assert files(path) == before
