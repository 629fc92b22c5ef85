"""Killed while refs move outside a checkpoint: the locks that git leaves go with the next command that writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.scene import BRANCH, Blow, Scene, spread
from tests.faults.test_kill_sweep import watchdog_fell

pytestmark = pytest.mark.sweep

ALL = 10_000
WORKFLOW = """\
version: 1
workflow: demo
env: {LD_PRELOAD: ""}
phases: {one: {run: date > one}}
"""
THEIRS = "refs/remotes/origin/gitckpt/demo"


@pytest.fixture
def scene(tmp_path: Path, shim: Path) -> Scene:
    """A repository whose workflow has run once."""
    made = Scene(tmp_path, shim)
    (made.path / "gitckpt.yaml").write_text(WORKFLOW)
    assert made.gitckpt("run").returncode == 0
    return made


def strikes(scene: Scene, command: tuple[str, ...], beside: str, points: int) -> Iterator[None]:
    """Kill a command at some changing calls beside refs of that name, each time as the scene was kept."""
    scene.variables = {"FI_PATH": beside}
    scene.put_back()
    assert scene.gitckpt(*command, blow=Blow(at=0)).returncode == 0
    calls = scene.calls()
    for at in spread(calls, min(points, calls), part=0, parts=1):
        scene.put_back()
        struck = scene.gitckpt(*command, blow=Blow(at=at))
        assert struck.returncode == -9 or watchdog_fell(struck.stderr), struck.stderr
        yield


def locks(scene: Scene) -> list[str]:
    """What would block the next one who writes these refs."""
    return sorted(str(path.relative_to(scene.path)) for path in (scene.path / ".git/refs").rglob("*.lock"))


def as_a_clone(scene: Scene) -> None:
    """The history is on a remote only, as in a fresh clone."""
    tip = scene.git("rev-parse", BRANCH).strip()
    scene.git("update-ref", THEIRS, tip)
    for name in scene.git("for-each-ref", "--format=%(refname)", "refs/heads/gitckpt", "refs/tags").split():
        scene.git("update-ref", "-d", name)
    for path in (scene.path / ".git/gitckpt").glob("workspaces/*/workspace.json"):
        path.unlink()
    (scene.path / "kept").write_text("changed here\n")


@pytest.mark.parametrize("points", [6, pytest.param(ALL, marks=pytest.mark.full)])
def test_taking_over_a_history_can_be_killed_and_given_again(scene: Scene, points: int) -> None:
    as_a_clone(scene)
    scene.keep()
    left = 0
    for _ in strikes(scene, ("adopt", "origin"), "refs/heads/gitckpt", points):
        left += len(locks(scene))
        again = scene.gitckpt("adopt", "origin")
        assert again.returncode == 0, again.stderr
        assert locks(scene) == []
        assert scene.git("log", "--format=%s", f"{THEIRS}..{BRANCH}").count("adopt") >= 1
        scene.git("fsck", "--strict", "--no-dangling")
    assert left > 0, "no kill left a lock, so nothing was shown"


@pytest.mark.full
def test_removing_the_tags_of_old_runs_can_be_killed_and_is_done_again(scene: Scene) -> None:
    for _ in range(20):
        assert scene.gitckpt("run", "--again").returncode == 0
    scene.keep()
    for _ in strikes(scene, ("run", "--again"), "refs/tags/gitckpt", ALL):
        for command in (("run", "--again"), ("run", "--again")):
            again = scene.gitckpt(*command)
            assert again.returncode == 0, again.stderr
        assert locks(scene) == []
        scene.tidy()
