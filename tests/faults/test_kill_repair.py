"""Kill what mends a repository, and what puts a history aside, at any changing call, and give it again: no good copy
and no checkpoint is lost on the way.

The onlooker is `scene.py`, which shares no code with what it looks at.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.damage import flip
from tests.faults.scene import BRANCH, Blow, Scene, spread

pytestmark = pytest.mark.sweep

Check = Callable[[Scene, str], None]


@pytest.fixture
def scene(tmp_path: Path, shim: Path) -> Scene:
    """A repository of the user's with a workflow that has run."""
    made = Scene(tmp_path, shim)
    assert made.gitckpt("run").returncode == 0
    return made


def strike(scene: Scene, command: tuple[str, ...], points: int, check: Check, again: tuple[int, ...] = (0,)) -> None:
    """Kill the command at some of its calls, give it again, look. `again`: the exit codes it may have then."""
    scene.keep()
    done = scene.gitckpt(*command, blow=Blow(at=0))
    assert done.returncode == 0, done.stdout + done.stderr
    calls = scene.calls()
    check(scene, "in peace")
    for at in spread(calls, points=points, part=0, parts=1):
        scene.put_back()
        struck = scene.gitckpt(*command, blow=Blow(at=at))
        assert struck.returncode in (0, -9), f"call {at}: {struck.stderr}"
        mended = scene.gitckpt(*command)
        assert mended.returncode in again, f"call {at}: {mended.stdout}{mended.stderr}"
        check(scene, f"call {at}")


def test_a_repair_of_damaged_packs_that_dies_anywhere_is_done_by_the_next(scene: Scene) -> None:
    damaged = {scene.git("rev-parse", f"{BRANCH}:{path}").strip() for path in ("two", "out/one")}
    for oid in damaged:
        flip(scene.path, oid)

    def whole(scene: Scene, when: str) -> None:
        scene.git("fsck", "--strict", "--no-dangling")
        for oid in damaged:
            assert scene.git("cat-file", "-t", oid) == "blob\n", when
        assert scene.gitckpt("doctor").returncode == 0, when
        assert [*scene.path.glob(".git/gitckpt/quarantine/pack-*.pack")], f"{when}: the evidence is gone"
        assert scene.gitckpt("verify").returncode == 0, when

    strike(scene, ("doctor", "--repair"), 6, whole)


def test_going_back_over_damage_that_dies_anywhere_loses_no_good_copy(scene: Scene) -> None:
    oid = scene.git("rev-parse", f"{BRANCH}:two").strip()
    flip(scene.path, oid)

    def kept(scene: Scene, when: str) -> None:
        assert scene.git("cat-file", "-t", oid) == "blob\n", when
        assert scene.gitckpt("verify").returncode == 0, when

    strike(scene, ("rollback", "start"), 6, kept)


@pytest.mark.parametrize("command", [("doctor", "--repair"), ("rollback", "latest"), ("reset", "--forget")])
def test_what_is_beyond_the_branch_stays_on_a_ref_wherever_it_dies(scene: Scene, command: tuple[str, ...]) -> None:
    newest = scene.git("rev-parse", BRANCH).strip()
    scene.git("update-ref", BRANCH, f"{BRANCH}~1")

    def held(scene: Scene, when: str) -> None:
        assert newest in scene.git("rev-list", "--all").split(), f"{when}: no ref has the newest"
        scene.git("fsck", "--strict", "--no-dangling")
        # Begun anew in the files that they have made, the phases of this workflow fail.
        assert scene.gitckpt("run").returncode in ((0, 1) if command[0] == "reset" else (0,)), when
        assert newest in scene.git("rev-list", "--all").split(), f"{when}: no ref has the newest any more"
        assert scene.gitckpt("verify").returncode == 0, when

    # Where it was done, there is nothing to forget.
    strike(scene, command, 4, held, again=(0, 2))
