"""A hostile repository: nothing it plants is run by any command, and its checkpoints are those of a clean one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ready

pytestmark = pytest.mark.sweep

COMMANDS = (
    ("run",),
    ("status",),
    ("log",),
    ("diff",),
    ("diff", "a"),
    ("show", "a"),
    ("output", "a"),
    ("plan",),
    ("why", "a"),
    ("verify",),
    ("checkpoint", "-m", "x"),
    ("state", "set", "k", "1"),
    ("rollback", "start"),
    ("undo",),
    ("restore", "start"),
    ("run", "--from", "a"),
    ("reset",),
)
WORKFLOW = "version: 1\nworkflow: w\nphases:\n  a: {run: 'echo a > a.e; printf \"x\\r\\n\" > crlf'}\n"


@pytest.fixture
def hostile(shared: Path, tmp_path: Path) -> Path:
    """The planted repository, made by the torture tool; what it runs leaves files named PWNED-*."""
    place = tmp_path / "repos"
    place.mkdir()
    subprocess.run([sys.executable, shared / "tools/torture.py", "repos", place], check=True, capture_output=True)
    made = place / "hostile-config"
    (made / "gitckpt.yaml").write_text(WORKFLOW)
    return made


def gitckpt(path: Path, *command: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """The real command line."""
    return ready.gitckpt(*command, cwd=path, env=extra)


def planted(path: Path) -> list[str]:
    """What planted programs left."""
    return sorted(found.name for found in path.parent.glob("PWNED*"))


def tree_of(path: Path, name: str) -> str:
    """The files of a checkpoint by plumbing that runs nothing."""
    return subprocess.run(
        ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "ls-tree", "-r", name],
        cwd=path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_no_planted_program_runs(hostile: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.git"
    subprocess.run(["git", "init", "-q", "--bare", elsewhere], check=True)
    for left in hostile.parent.glob("PWNED*"):
        left.unlink()  # the making of the repository may run them; what counts is what comes now
    exported = {"GIT_DIR": str(elsewhere), "GIT_WORK_TREE": str(tmp_path), "GIT_INDEX_FILE": str(tmp_path / "index")}
    for command in COMMANDS:
        done = gitckpt(hostile, *command, **exported)
        assert done.returncode == 0, (command, done.stderr)
        assert planted(hostile) == [], command
    assert not (tmp_path / "index").exists()
    refs = subprocess.run(["git", "for-each-ref"], cwd=elsewhere, capture_output=True, text=True, check=True)
    assert refs.stdout == "", "an exported GIT_DIR leads nowhere"


def test_its_checkpoints_are_those_of_a_clean_repository(hostile: Path, tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    clean.mkdir()
    subprocess.run(["git", "init", "-q", clean], check=True)
    for name in os.listdir(hostile):
        if name != ".git":
            (clean / name).write_bytes((hostile / name).read_bytes())
    for path in (hostile, clean):
        done = gitckpt(path, "run")
        assert done.returncode == 0, done.stderr
    ours, theirs = (tree_of(path, "gitckpt/w") for path in (hostile, clean))
    keep = [line for line in ours.splitlines() if "/state.json" not in line and "/events.json" not in line]
    assert keep == [line for line in theirs.splitlines() if "/state.json" not in line and "/events.json" not in line]
    assert any(line.endswith("crlf") for line in keep)
