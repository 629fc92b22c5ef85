"""A power cut takes the bytes of files that gitckpt had just put in place: nobody edited them, and they are put back.

Here the move is killed after its last rename, and the files are made as such a cut leaves them: `test_power_cut.py` has
the real cuts, after which there are none, for the bytes are on the disk before a file gets its name.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.scene import BRANCH, Blow, Scene

WHOLE = b"".join(b"%d\n" % number for number in range(3_000))
WORKFLOW = """\
version: 1
workflow: demo
env: {LD_PRELOAD: ""}
isolation: KIND
phases:
  one: {run: 'for name in nul short empty mine; do seq 0 2999 > $name; done'}
  two: {run: 'for name in nul short empty mine; do echo two > $name; done; echo "$GITCKPT_ATTEMPT" > tries'}
"""
NAMES = ("nul", "short", "empty", "mine")
WAYS = {"none": ("rollback", "one"), "overlay": ("run",), "copy": ("run",)}
"""What moves the workspace to what phase one made: in place that is a rollback, with views it is the run itself."""


def tear(path: Path) -> dict[str, bytes]:
    """What stands there afterwards: three files as a cut leaves them, and one that the user wrote to."""
    left = {
        "nul": bytes(len(WHOLE)),
        "short": WHOLE[:4096] + bytes(2000),
        "empty": b"",
        "mine": WHOLE + b"written by hand\n",
    }
    for name, data in left.items():
        (path / name).write_bytes(data)
    return left


@pytest.mark.parametrize("kind", ["none", "overlay", pytest.param("copy", marks=pytest.mark.sweep)])
def test_a_file_that_a_cut_left_torn_is_put_back_and_is_no_edit_of_yours(tmp_path: Path, shim: Path, kind: str) -> None:
    scene = Scene(tmp_path, shim)
    scene.git("config", "user.name", "Ann")
    text = WORKFLOW.replace("KIND", kind)
    (scene.path / "gitckpt.yaml").write_text(text if kind == "none" else text.partition("  two:")[0])
    if kind == "none":
        assert scene.gitckpt("run").returncode == 0
    scene.keep()
    calls = scene.log_of_calls(*WAYS[kind])
    named = {f"renameat {scene.path / name}" for name in NAMES}
    last = max(at for at, call in enumerate(calls, 1) if call in named)
    scene.put_back()
    scene.gitckpt(*WAYS[kind], blow=Blow(at=last + 1))
    left = tear(scene.path)
    again = scene.gitckpt("checkpoint", "-m", "looked")
    assert again.returncode == 0, again.stderr
    assert "empty, nul, short: not whole since a command was cut off here" in again.stderr
    assert {name: (scene.path / name).read_bytes() for name in NAMES} == dict.fromkeys(NAMES, WHOLE)
    assert " edit " not in scene.git("log", "--format=%s", BRANCH)
    for name, data in left.items():
        kept = f"refs/gitckpt/demo/rescue/{2 if name == 'mine' else 1}"
        assert scene.git("show", f"{kept}:{name}").encode() == data
        assert scene.git("show", "-s", "--format=%an", kept) == ("Ann\n" if name == "mine" else "gitckpt\n")
