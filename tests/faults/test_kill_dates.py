"""Kill gitckpt at any changing call while it undoes a failed build, or goes back: what is due is done afterwards."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.scene import Blow, Scene, spread

MAKEFILE = """\
prog: a.o b.o
	cat a.o b.o > prog
%.o: %.c
	! grep -q bad $<
	cp $< $@
"""
WORKFLOW = """\
version: 1
workflow: w
phases:
  build: {run: 'touch -c stamp; make -s'}
"""
OUTPUTS = ("a.o", "b.o", "prog")


@pytest.fixture
def scene(tmp_path: Path, shim: Path) -> Scene:
    """A program that was built, and edited since, so that its next build fails half-way."""
    scene = Scene(tmp_path, shim)
    for path in scene.path.iterdir():
        if path.is_file():
            path.unlink()
    files = {"Makefile": MAKEFILE, "gitckpt.yaml": WORKFLOW, "a.c": "one\n", "b.c": "one\n", "stamp": ""}
    for name, text in files.items():
        (scene.path / name).write_text(text)
    scene.git("add", "-A")
    scene.git("commit", "-qm", "a program")
    assert scene.gitckpt("run").returncode == 0
    (scene.path / "a.c").write_text("two\n")
    (scene.path / "b.c").write_text("bad\n")
    return scene


def dates(scene: Scene, *names: str) -> list[int]:
    return [os.lstat(scene.path / name).st_mtime_ns for name in names]


def builds(scene: Scene, said: str, expected: str) -> None:
    done = scene.gitckpt("run", "--from", "build")
    assert done.returncode == 0, f"{said}: {done.stderr}"
    assert (scene.path / "prog").read_text() == expected, said


def strike_failure(scene: Scene, at: int) -> bool:
    """Kill the run that fails, and see that all is as old as before, and that the next build is right."""
    scene.put_back()
    before = dates(scene, *OUTPUTS, "stamp", "a.c")
    struck = scene.gitckpt("run", "--from", "build", blow=Blow(at=at))
    assert struck.returncode in (1, -9), struck.stderr
    again = scene.gitckpt("run", "--from", "build")
    assert again.returncode == 1, f"call {at}: {again.stderr}"
    assert dates(scene, *OUTPUTS, "stamp", "a.c") == before, f"call {at}"
    (scene.path / "b.c").write_text("fine\n")
    builds(scene, f"call {at}", "two\nfine\n")
    return struck.returncode == -9


def strike_rollback(scene: Scene, at: int, before: list[int]) -> bool:
    scene.put_back()
    struck = scene.gitckpt("rollback", "2", blow=Blow(at=at))
    assert struck.returncode in (0, -9), struck.stderr
    again = scene.gitckpt("rollback", "2")
    assert again.returncode == 0, f"call {at}: {again.stderr}"
    assert dates(scene, *OUTPUTS) == before, f"call {at}"
    builds(scene, f"call {at}", "one\none\n")
    return struck.returncode == -9


@pytest.mark.sweep
@pytest.mark.parametrize("part", range(2))
def test_a_failed_build_killed_while_it_is_undone(scene: Scene, part: int) -> None:
    scene.keep()
    assert scene.gitckpt("run", "--from", "build", blow=Blow(at=0)).returncode == 1
    points = spread(scene.calls(), points=12, part=part, parts=2)
    struck = [strike_failure(scene, at) for at in points]
    assert sum(struck) >= len(points) - 2, "the blows did not fall"


@pytest.mark.sweep
def test_a_rollback_killed_on_its_way(scene: Scene) -> None:
    before = dates(scene, *OUTPUTS)
    (scene.path / "b.c").write_text("two\n")
    builds(scene, "at first", "two\ntwo\n")
    scene.keep()
    assert scene.gitckpt("rollback", "2", blow=Blow(at=0)).returncode == 0
    points = spread(scene.calls(), points=8, part=0, parts=1)
    struck = [strike_rollback(scene, at, before) for at in points]
    assert sum(struck) >= len(points) - 2, "the blows did not fall"
