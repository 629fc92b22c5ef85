"""Kill gitckpt at any changing call, run it again: the same end, and nothing of the user's is touched on the way.

The onlooker is `scene.py`, which shares no code with what it looks at. 60 points are struck in the fast tier, spread
over all calls of a `run` and of a `rollback`; `--full` strikes every one.
"""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import pytest

from tests.faults.scene import BRANCH, Blow, End, Scene, spread

pytestmark = pytest.mark.sweep

PARTS = 4
RUN = ("run",)
ROLLBACK = ("rollback", "one")
EDIT = "mine, in no commit yet\n"


@pytest.fixture
def scene(tmp_path: Path, shim: Path) -> Scene:
    """A repository of the user's with a workflow that was never run."""
    return Scene(tmp_path, shim)


def before_run(scene: Scene) -> tuple[End, list[str], int]:
    """The undisturbed run: its end, what each of its checkpoints holds, and how many calls it makes."""
    scene.keep()
    done = scene.gitckpt(*RUN, blow=Blow(at=0))
    assert done.returncode == 0, done.stderr
    scene.tidy()
    return scene.end(), scene.trees(), scene.calls()


def before_rollback(scene: Scene) -> tuple[End, int]:
    """A complete run, then edits of the user's; the undisturbed rollback's end and its calls."""
    assert scene.gitckpt(*RUN).returncode == 0
    (scene.path / "kept").write_text(EDIT)
    (scene.path / "sub").write_text("where the rollback needs a folder\n")
    scene.keep()
    done = scene.gitckpt(*ROLLBACK, blow=Blow(at=0))
    assert done.returncode == 0, done.stderr
    return scene.end(), scene.calls()


def watchdog_fell(said: str) -> bool:
    """The blow fell on a phase's watchdog, which is in a session of its own: the phase has failed, the run lives."""
    return "FAILED killed by signal 9 in watchdog" in said


def strike_run(scene: Scene, at: int, end: End, trees: list[str]) -> bool:
    """Kill a run at one call and run again. Whether the blow fell."""
    scene.put_back()
    struck = scene.gitckpt(*RUN, blow=Blow(at=at))
    assert struck.returncode in (0, -9) or watchdog_fell(struck.stderr), struck.stderr
    scene.sound(struck.stderr)
    held = [tree for tree, _ in itertools.groupby(scene.trees())]  # a failure is a checkpoint with the same files
    assert held == trees[: len(held)], f"call {at}: the branch is at none of the run's checkpoints"
    again = scene.gitckpt(*RUN)
    assert again.returncode == 0, f"call {at}: {again.stderr}"
    assert scene.end() == end, f"call {at}"
    scene.sound(again.stderr)
    scene.tidy()
    return struck.returncode != 0


def strike_rollback(scene: Scene, at: int, end: End) -> bool:
    """Kill a rollback at one call and roll back again. Whether the blow fell."""
    scene.put_back()
    tip = scene.git("rev-parse", BRANCH)
    struck = scene.gitckpt(*ROLLBACK, blow=Blow(at=at))
    assert struck.returncode in (0, -9), struck.stderr
    scene.sound()
    assert tip in scene.git("rev-list", "--first-parent", BRANCH).splitlines(keepends=True), f"call {at}: history lost"
    again = scene.gitckpt(*ROLLBACK)
    assert again.returncode == 0, f"call {at}: {again.stderr}"
    assert scene.end() == end, f"call {at}"
    kept = hashlib.sha1(b"blob %d\0%s" % (len(EDIT), EDIT.encode()), usedforsecurity=False).hexdigest()
    assert kept in scene.git("rev-list", "--objects", "--all"), f"call {at}: the user's edit is in no commit"
    scene.sound()
    scene.tidy()
    return struck.returncode != 0


@pytest.mark.parametrize("part", range(PARTS))
def test_a_run_killed_at_some_calls_and_run_again_ends_the_same(scene: Scene, part: int) -> None:
    end, trees, calls = before_run(scene)
    points = spread(calls, points=40, part=part, parts=PARTS)
    struck = [strike_run(scene, at, end, trees) for at in points]
    assert sum(struck) >= len(points) - 1, "the blows did not fall"


@pytest.mark.parametrize("part", range(PARTS))
def test_a_rollback_killed_at_some_calls_and_given_again_ends_the_same(scene: Scene, part: int) -> None:
    end, calls = before_rollback(scene)
    points = spread(calls, points=20, part=part, parts=PARTS)
    struck = [strike_rollback(scene, at, end) for at in points]
    assert sum(struck) >= len(points) - 1, "the blows did not fall"


@pytest.mark.full
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_run_killed_at_every_call_and_run_again_ends_the_same(scene: Scene, part: int) -> None:
    end, trees, calls = before_run(scene)
    at = part + 1
    while strike_run(scene, at, end, trees):
        at += PARTS
    assert at > calls - 20, "it did not get to the end"


@pytest.mark.full
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_rollback_killed_at_every_call_and_given_again_ends_the_same(scene: Scene, part: int) -> None:
    end, calls = before_rollback(scene)
    at = part + 1
    while strike_rollback(scene, at, end):
        at += PARTS
    assert at > calls - 20, "it did not get to the end"
