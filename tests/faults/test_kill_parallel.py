"""Kill a run whose phases and items are in views of their own at any changing call, run it again: the same end.

The onlooker is `scene.py`, which shares no code with what it looks at. A dozen points are struck in the fast tier;
`--full` strikes every one, for overlays and for copies.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.faults.scene import Blow, End, Scene, spread

pytestmark = pytest.mark.sweep

KINDS = ("overlay", "copy")
PARTS = 4
WORKFLOW = """\
version: 1
workflow: demo
isolation: KIND
env: {LD_PRELOAD: ""}
phases:
  slow: {run: 'sleep 0.3; echo 1 > slow; rm sub/link; echo log > cache/slow; GITCKPT state incr ran'}
  quick:
    needs: []
    run: 'echo 1 > quick; echo quick >> kept; rm cache/big; echo log > cache/quick; GITCKPT state incr ran'
  after: {needs: [quick], run: 'cat quick kept > after; mkdir -p out/empty'}
  each:
    needs: []
    foreach: [a, b, c]
    max_parallel: 2
    run: 'mkdir -p each; echo "$ITEM" > "each/$ITEM"; echo "$ITEM" > "cache/$ITEM"'
  last: {needs: [slow, quick, after, each], isolation: none, run: 'cat slow after each/* > last'}
"""


@pytest.fixture
def scene(tmp_path: Path, shim: Path) -> Scene:
    """A repository of the user's with a workflow that was never run."""
    return Scene(tmp_path, shim)


def undisturbed(scene: Scene, kind: str) -> tuple[End, int]:
    """The run without a kill: its end, and how many calls it makes."""
    text = WORKFLOW.replace("KIND", kind).replace("GITCKPT", f"{sys.executable} -m gitckpt")
    (scene.path / "gitckpt.yaml").write_text(text)
    scene.keep()
    done = scene.gitckpt("run", "--jobs", "4", blow=Blow(at=0))
    assert done.returncode == 0, done.stderr
    empty(scene)
    return scene.end(), scene.calls()


def empty(scene: Scene) -> None:
    """No view, no commit that waits, no journal is left."""
    scene.tidy()
    assert scene.git("for-each-ref", "refs/gitckpt/demo/finished") == ""
    (folder,) = (scene.path / ".git/gitckpt/workspaces").iterdir()
    assert [path.name for path in folder.glob("views/*")] == []
    record = json.loads((folder / "workspace.json").read_text())
    left = {key: record.get(key) for key in ("views", "ahead", "landing", "attempt") if record.get(key)}
    assert left == {}


def strike(scene: Scene, at: int, end: End) -> bool:
    """Kill a run at one call and run again. Whether the blow fell."""
    scene.put_back()
    struck = scene.gitckpt("run", "--jobs", "4", blow=Blow(at=at))
    scene.git("fsck", "--strict", "--no-dangling")
    again = scene.gitckpt("run", "--jobs", "4")
    assert again.returncode == 0, f"call {at}: {again.stderr}"
    assert scene.end() == end, f"call {at}: {struck.stderr}\n---\n{again.stderr}"
    verified = scene.gitckpt("verify")
    assert verified.returncode == 0, f"call {at}: {verified.stdout}{verified.stderr}"
    empty(scene)
    return struck.returncode != 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_views_killed_at_some_calls_and_run_again_ends_the_same(scene: Scene, kind: str) -> None:
    end, calls = undisturbed(scene, kind)
    points = spread(calls, points=6, part=0, parts=1)
    assert sum(strike(scene, at, end) for at in points) >= len(points) - 1, "the blows did not fall"


@pytest.mark.full
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_run_of_views_killed_at_every_call_and_run_again_ends_the_same(scene: Scene, kind: str, part: int) -> None:
    end, calls = undisturbed(scene, kind)
    for at in range(part + 1, calls, PARTS):
        strike(scene, at, end)
