"""One ignored file, and several attempts in views that write it: what comes after sees it, what clashes is kept."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from tests.engine.strikes import Strikes
from tests.repo import Repo

views = pytest.mark.parametrize("view", ["overlay", "copy"])

CHAIN = """\
version: 1
workflow: w
isolation: {view}
phases:
  a: {{run: 'echo a >> log; mkdir -p out; echo a > out/kept'}}
  b: {{run: 'echo b >> log; sleep 0.2'}}
  c: {{run: 'echo c >> log; echo c > out/kept; sleep 0.2'}}
  d: {{run: 'echo d >> log; rm out/kept'}}
"""

ITEMS = """\
version: 1
workflow: w
isolation: {view}
phases:
  a: {{run: 'echo a >> other'}}
  b:
    foreach: [x, y, z]
    max_parallel: 3
    run: |
      {wait}
      echo $ITEM >> log
"""
TOGETHER = 'mkdir -p "$ASIDE/$ITEM"; until test -d "$ASIDE/x" -a -d "$ASIDE/y" -a -d "$ASIDE/z"; do sleep 0.01; done'


def kept_by(repo: Repo) -> dict[str, str]:
    """What was kept, by path in gitckpt's folder: for its owner alone."""
    found = sorted((repo.path / ".git/gitckpt/workspaces").glob("*/replaced/unjoined-*/log"))
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in found)
    return {str(path): path.read_text() for path in found}


@views
def test_what_follows_goes_on_with_what_came_before(repo: Repo, view: str) -> None:
    repo.write(".gitignore", "log\nout/\n")
    repo.write("gitckpt.yaml", CHAIN.format(view=view))
    said = repo.run("run").stderr
    assert (repo.path / "log").read_text() == "a\nb\nc\nd\n"
    assert not (repo.path / "out/kept").exists()
    assert "meanwhile" not in said
    assert kept_by(repo) == {}


@views
def test_what_cannot_be_joined_is_kept_and_named(repo: Repo, tmp_path: Path, view: str) -> None:
    repo.write(".gitignore", "log\nother\n")
    repo.write("gitckpt.yaml", ITEMS.format(view=view, wait=TOGETHER))
    said = repo.run("run", env={"ASIDE": str(tmp_path)}).stderr
    assert (repo.path / "log").read_text() == "x\n"
    assert sorted(kept_by(repo).values()) == ["y\n", "z\n"]
    for item, place in ((2, "y"), (3, "z")):
        assert (
            f"item {place} ({item} of 3) of b changed log, which no checkpoint holds, and so did item x (1 of 3)"
            in said
        )
    assert "did you" not in said
    for path in kept_by(repo):
        assert f"cp -p {path} log" in said
    assert said.index("of b changed log") < said.index("Complete")


def test_what_the_user_wrote_meanwhile_stays_and_is_called_so(repo: Repo, tmp_path: Path) -> None:
    repo.write(".gitignore", "log\nother\n")
    wait = 'touch "$ASIDE/begun-$ITEM"; test $ITEM = x || exit 0; sleep 0.1; echo mine > "$WORKSPACE_OF_THE_USER/log"'
    text = ITEMS.format(view="copy", wait=wait)
    repo.write("gitckpt.yaml", text)
    said = repo.run("run", env={"ASIDE": str(tmp_path), "WORKSPACE_OF_THE_USER": str(repo.path)}).stderr
    assert (repo.path / "log").read_text() == "mine\n"
    assert list(kept_by(repo).values()) == ["x\n"]
    assert "and so did you meanwhile; yours stays" in said


@pytest.mark.sweep
@views
def test_after_a_death_it_is_the_same(repo: Repo, tmp_path: Path, view: str) -> None:
    repo.write(".gitignore", "log\nother\n")
    strikes = Strikes(repo, tmp_path)
    finished = "refs/gitckpt/w/finished/"
    wait = (
        f'test $ITEM = x || exec sh -c "echo $ITEM >> log"; test -z "${{STRIKE_AT-}}" || '
        f"until git rev-parse -q --verify {finished}b.1 && git rev-parse -q --verify {finished}b.2; do :; done; "
        '. "$STRIKE_SH"; strike here'
    )
    repo.write("gitckpt.yaml", ITEMS.format(view=view, wait=wait))
    strikes.killed("here", "run", group=True)
    said = strikes.run("run").stderr
    assert sorted([(repo.path / "log").read_text(), *kept_by(repo).values()]) == ["x\n", "y\n", "z\n"], said
    assert len(re.findall("which no checkpoint holds, and so did", said)) == 2
