"""What a checkpoint holds stays captured whatever a phase writes into ignore files; the user takes it out by an edit.

Also that failures and cut-offs name what they changed and no checkpoint holds. Over all views, by plain git.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.repo import Repo

VIEWS = pytest.mark.parametrize(
    "view", ["none", pytest.param("overlay", marks=pytest.mark.sweep), pytest.param("copy", marks=pytest.mark.sweep)]
)
FILE = """\
version: 1
workflow: w
isolation: {view}
phases:
  a: {{run: 'echo 1 > a.csv; mkdir -p d/e empty; echo 1 > d/e/x; ln -s a.csv l.csv'}}
  b: {{run: 'printf "*.csv\\nd/\\nempty/\\n" > .gitignore; echo b > new.csv; echo n > d/new'}}
  c: {{run: 'rm a.csv; echo 3 > a.csv; echo 2 >> d/e/x; ln -sfn d l.csv; echo c > more.csv; test -e "$WORLD/ok"'}}
"""


@pytest.fixture(autouse=True)
def world(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder outside, which phases look into wherever their view lies."""
    monkeypatch.setenv("WORLD", str(repo.path.parent))
    return repo.path.parent


def held(repo: Repo) -> list[str]:
    names = repo.git("ls-tree", "-r", "--name-only", "gitckpt/w").splitlines()
    return [name for name in names if not name.startswith(".gitckpt/")]


def at(repo: Repo, path: str) -> str:
    return repo.git("show", f"gitckpt/w:{path}")


@VIEWS
def test_a_phase_cannot_ignore_away_what_a_checkpoint_holds(repo: Repo, view: str) -> None:
    repo.write("gitckpt.yaml", FILE.format(view=view))
    said = repo.run("run", ok=1).stderr
    assert "What the attempt left: 3 files" in said
    assert (repo.path / "a.csv").read_text() == "1\n"
    assert (repo.path / "d/e/x").read_text() == "1\n"
    assert (repo.path / "l.csv").readlink() == Path("a.csv")
    assert "uncaptured: c changed 1 ignored file (2 bytes) that no checkpoint holds: more.csv" in said
    assert "uncaptured: c changed 1 ignored file" in repo.run("status").stdout
    assert {change["path"] for change in json.loads(repo.run("diff", "--json", "c@1").stdout)["changes"]} == {
        "a.csv",
        "d/e/x",
        "l.csv",
    }
    (repo.path.parent / "ok").touch()
    repo.run("run")
    assert held(repo) == [".gitignore", "a.csv", "d/e/x", "gitckpt.yaml", "l.csv"]
    assert (at(repo, "a.csv"), at(repo, "d/e/x"), at(repo, "l.csv")) == ("3", "1\n2", "d")
    # A command that only looks, one that records nothing, and a scan without the cache: none of them drops anything.
    for path in (repo.path / ".git/gitckpt/workspaces").glob("*/cache"):
        path.unlink()
    assert json.loads(repo.run("diff", "--json").stdout)["changes"] == []
    repo.run("run")
    assert "a.csv" in held(repo)
    repo.run("rollback", "a")
    repo.run("undo")
    assert (repo.path / "a.csv").read_text() == "3\n"
    assert held(repo) == [".gitignore", "a.csv", "d/e/x", "gitckpt.yaml", "l.csv"]


def test_the_user_takes_files_out_by_an_ignore_rule_or_by_exclude_and_is_told_where_they_are(repo: Repo) -> None:
    file = FILE.format(view="none")
    (repo.path.parent / "ok").touch()
    repo.write("gitckpt.yaml", file)
    repo.run("run")
    repo.write(".gitignore", "*.csv\nd/\nempty/\na.csv\n")
    assert [(c["path"], c["change"]) for c in json.loads(repo.run("diff", "--json").stdout)["changes"]] == [
        (".gitignore", "M"),
        ("a.csv", "D"),
    ]
    said = repo.run("run").stderr
    assert "no longer captured: a.csv" in said
    assert "last held by 0004: gitckpt restore 4 -- a.csv" in said
    assert held(repo) == [".gitignore", "d/e/x", "gitckpt.yaml", "l.csv"]
    assert "no longer captures a.csv" in repo.run("log", "-n", "1").stdout
    assert "captured no longer: a.csv" in repo.run("show", "latest").stdout
    assert (repo.path / "a.csv").read_text() == "3\n"
    repo.write("gitckpt.yaml", file + "workspace: {exclude: [d/]}\n")
    said = repo.run("run").stderr
    assert "no longer captured: d/e/x" in said
    assert "last held by 0005: gitckpt restore 5 -- d/e/x" in said
    assert held(repo) == [".gitignore", "gitckpt.yaml", "l.csv"]
    assert (repo.path / "d/e/x").read_text() == "1\n2\n"
    repo.write(".gitignore", "d/\nempty/\n")
    repo.run("run")
    assert held(repo) == [".gitignore", "a.csv", "gitckpt.yaml", "l.csv", "more.csv", "new.csv"]


@VIEWS
def test_an_attempt_that_is_cut_off_names_what_it_changed_and_no_checkpoint_holds(repo: Repo, view: str) -> None:
    repo.write(".gitignore", "*.log\n")
    repo.write("old.log", "old\n")
    repo.write(
        "gitckpt.yaml",
        f"version: 1\nworkflow: w\nisolation: {view}\nphases:\n"
        "  a: {run: 'echo 1 > a.log; touch $WORLD/began; while [ ! -e $WORLD/ok ]; do sleep 0.1; done'}\n",
    )
    run = subprocess.Popen([sys.executable, "-m", "gitckpt", "run"], cwd=repo.path, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 30
    while not (repo.path.parent / "began").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.wait()
    said = repo.run("rollback", "1").stderr
    assert "a changed 1 ignored file that no checkpoint holds: a.log" in said
    (repo.path.parent / "ok").touch()
    assert "cut off" in repo.run("show", "2").stdout


def test_what_the_user_excludes_after_a_kill_is_left_alone_and_named(repo: Repo, world: Path) -> None:
    file = (
        "version: 1\nworkflow: w\nphases:\n  a: {run: 'echo 2 > model; echo 2 > plain; touch $WORLD/began; sleep 60'}\n"
    )
    repo.write("gitckpt.yaml", file)
    repo.write("model", "1\n")
    repo.write("plain", "1\n")
    run = subprocess.Popen([sys.executable, "-m", "gitckpt", "run"], cwd=repo.path, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 30
    while not (world / "began").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.wait()
    time.sleep(0.5)
    repo.write("gitckpt.yaml", file.replace("sleep 60", "true") + "workspace: {exclude: [model]}\n")
    said = repo.run("rollback", "1").stderr
    assert "no longer captured: model" in said
    repo.run("undo")
    assert (repo.path / "model").read_text() == "2\n"
    assert (repo.path / "plain").read_text() == "1\n"


@VIEWS
@pytest.mark.parametrize("end", ["true", "false"])
def test_what_was_there_before_and_no_checkpoint_holds_is_named_when_it_changes(
    repo: Repo, view: str, end: str
) -> None:
    """In a copy such files are links to the workspace's own."""
    phase = f"a: {{run: 'echo x >> top.log; echo y >> d/in.log; {end}'}}"
    repo.write("gitckpt.yaml", f"version: 1\nworkflow: w\nisolation: {view}\nphases:\n  {phase}\n")
    repo.write(".gitignore", "*.log\ncache/\n")
    for name in ("top.log", "d/in.log", "untouched.log", "cache/untouched"):
        repo.write(name)
    time.sleep(0.02)  # a file system's clock has a grain
    said = repo.run("run", ok=end == "false").stderr
    assert "uncaptured: a changed 2 ignored files" in said
    assert "d/in.log, top.log" in said
    assert "untouched" not in said
