"""Kill gitckpt at any changing call, run it again: the same end, and nothing of the user's is touched on the way.

The onlooker is `scene.py`, which shares no code with what it looks at. 60 points are struck in the fast tier, spread
over all calls of a `run` and of a `rollback`; `--full` strikes every one.
"""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.faults.scene import BRANCH, Blow, End, Scene, spread

PARTS = 6
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


def strike_run(scene: Scene, at: int, end: End, trees: list[str]) -> bool:
    """Kill a run at one call and run again. Whether the blow fell."""
    scene.put_back()
    struck = scene.gitckpt(*RUN, blow=Blow(at=at))
    assert struck.returncode in (0, -9), struck.stderr
    scene.sound(struck.stderr)
    held = scene.trees()
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
    edit = scene.git("hash-object", "--no-filters", "--stdin-paths", ok=(0,)) if False else ""
    assert edit == ""
    scene.sound()
    scene.tidy()
    return struck.returncode != 0
