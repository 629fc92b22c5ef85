"""Two names of one file are one file again when a failed attempt is undone, after a kill, and where one goes back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.engine.strikes import Strikes
from tests.repo import Repo

views = pytest.mark.parametrize("view", ["none", "overlay", "copy"])

WORKFLOW = """\
version: 1
workflow: w
isolation: {view}
phases:
  grow: {{run: 'echo more >> x; {then}'}}
"""


def are_one(repo: Repo, *names: str) -> bool:
    first, *others = (os.lstat(repo.path / name) for name in names)
    return all(os.path.samestat(first, other) for other in others)


def made(repo: Repo, view: str, then: str = "true") -> None:
    (repo.path / "sub").mkdir(exist_ok=True)
    repo.write("x", "one\n")
    os.link(repo.path / "x", repo.path / "sub/y")
    repo.write("gitckpt.yaml", WORKFLOW.format(view=view, then=then))


def text(repo: Repo, name: str) -> str:
    return (repo.path / name).read_text()


@views
def test_after_a_failure_the_next_try_writes_to_both_names(repo: Repo, view: str) -> None:
    made(repo, view, 'cp x z; mv z x; test -e "$ASIDE" || exit 1')
    repo.run("run", ok=1, env={"ASIDE": "nowhere"})
    assert are_one(repo, "x", "sub/y")
    assert text(repo, "sub/y") == "one\n"
    # What the attempt only parted, with the bytes that it had, is one again, too.
    repo.write(
        "gitckpt.yaml", WORKFLOW.format(view=view, then="true").replace("echo more >> x", "cp x z; mv z x; false")
    )
    repo.run("run", ok=1)
    assert are_one(repo, "x", "sub/y")
    repo.write("gitckpt.yaml", WORKFLOW.format(view=view, then="ln x w"))
    said = repo.run("run").stderr
    assert are_one(repo, "x", "w")
    if view == "overlay":
        assert "sub/y and x were one file; in an overlay what is written to is one of its own" in said
        assert text(repo, "sub/y") == "one\n"
        return
    assert are_one(repo, "x", "sub/y")
    assert text(repo, "sub/y") == "one\nmore\n"
    repo.run("rollback", "1")
    assert are_one(repo, "x", "sub/y")
    assert (text(repo, "x"), (repo.path / "w").exists()) == ("one\n", False)
    repo.run("undo")
    assert are_one(repo, "x", "sub/y", "w")
    (repo.path / "x").unlink()
    repo.write("x", "by itself\n")
    repo.run("rollback", "latest")
    repo.run("restore", "1")
    assert are_one(repo, "x", "sub/y")


@pytest.mark.sweep
@views
def test_after_a_kill_they_are_one_again(repo: Repo, tmp_path: Path, view: str) -> None:
    made(repo, view, '. "$STRIKE_SH"; strike here')
    strikes = Strikes(repo, tmp_path)
    strikes.killed("here", "run", group=True)
    strikes.run("rollback", "latest")
    assert are_one(repo, "x", "sub/y")
    strikes.run("run")
    assert text(repo, "x") == "one\nmore\n"
    assert text(repo, "sub/y") == ("one\n" if view == "overlay" else "one\nmore\n")
