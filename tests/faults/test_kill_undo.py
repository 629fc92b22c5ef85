"""Kill a rollback, and an undo, that replaces files which no checkpoint holds, at any changing call: whatever was
recorded can be undone, and then every file is as it was.

Some points are struck in CI, spread over all calls; `--full` strikes every one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.scene import WORKFLOW, Blow, Files, Scene, spread

PARTS = 2
POINTS = 10


@pytest.fixture
def scene(tmp_path: Path, shim: Path) -> Scene:
    """A complete run, and then in the place of what it captured: an excluded file, an ignored folder, a link."""
    scene = Scene(tmp_path, shim)
    assert scene.gitckpt("run").returncode == 0
    (scene.path / "gitckpt.yaml").write_text(WORKFLOW + "workspace: {exclude: [kept, out/one]}\n")
    (scene.path / ".gitignore").write_text("cache/\ntwo\n")
    (scene.path / "kept").write_text("excluded, and mine\n")
    (scene.path / "kept").chmod(0o640)
    (scene.path / "out/one").unlink()
    (scene.path / "out/one").symlink_to("nowhere")
    (scene.path / "two").unlink()
    (scene.path / "two/deep").mkdir(parents=True)
    (scene.path / "two/deep/file").write_text("ignored, where a file was\n")
    assert scene.gitckpt("run").returncode == 0
    return scene


def _moves(scene: Scene) -> int:
    """How many rollbacks and undos are recorded; an edit may come before one."""
    return sum(" rollback " in subject for subject in scene.subjects())


def strike(scene: Scene, verb: tuple[str, ...], at: int, before: Files, after: Files) -> None:
    """Kill the command at one call. What it recorded is undone; what it did not record did not happen."""
    scene.put_back()
    moves = _moves(scene)
    scene.gitckpt(*verb, blow=Blow(at=at))
    if _moves(scene) == moves:
        assert scene.files() == before, at
        done = scene.gitckpt(*verb)
        assert done.returncode == 0, (at, done.stderr)
        assert scene.files() == after, at
    done = scene.gitckpt("undo")
    assert done.returncode == 0, (at, done.stderr)
    assert scene.files() == before, at
    done = scene.gitckpt("undo")
    assert done.returncode == 0, (at, done.stderr)
    assert scene.files() == after, at
    scene.sound()
    scene.tidy()


def undisturbed(scene: Scene, verb: tuple[str, ...]) -> tuple[Files, Files, int]:
    before = scene.files()
    scene.keep()
    done = scene.gitckpt(*verb, blow=Blow(at=0))
    assert done.returncode == 0, done.stderr
    after = scene.files()
    assert after != before
    return before, after, scene.calls()


@pytest.mark.sweep
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("verb", ["rollback", "undo"])
def test_a_kill_loses_nothing_that_no_checkpoint_holds(scene: Scene, verb: str, part: int) -> None:
    arguments = ("rollback", "2") if verb == "rollback" else ("undo",)
    if verb == "undo":
        assert scene.gitckpt("rollback", "2").returncode == 0
    before, after, calls = undisturbed(scene, arguments)
    for at in spread(calls, POINTS, part, PARTS):
        strike(scene, arguments, at, before, after)


@pytest.mark.full
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("verb", ["rollback", "undo"])
def test_a_kill_at_every_call_loses_nothing_that_no_checkpoint_holds(scene: Scene, verb: str) -> None:
    arguments = ("rollback", "2") if verb == "rollback" else ("undo",)
    if verb == "undo":
        assert scene.gitckpt("rollback", "2").returncode == 0
    before, after, calls = undisturbed(scene, arguments)
    for at in range(1, calls + 1):
        strike(scene, arguments, at, before, after)
