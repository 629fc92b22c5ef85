"""Outs of a completed phase that somebody removed, or changed: named, and asked about before anything runs on them."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from tests.cli.pty_bench import on_terminal
from tests.repo import Repo

KINDS = ("none", *(pytest.param(kind, marks=pytest.mark.sweep) for kind in ("overlay", "copy")))

FLOW = """\
version: 1
workflow: w
isolation: {kind}
phases:
  make:
    run: mkdir -p data/parts; echo x > data/x.csv; for n in 1 2; do echo $n > data/parts/$n.csv; done
    outs: [data/x.csv, "data/parts/*.csv"]
  check: {{run: test -e ok}}
  count: {{run: cat data/x.csv data/parts/*.csv | wc -l > counted}}
"""
WAYS = (
    "bring them back: gitckpt restore make -- data",
    "make them anew: gitckpt run --from make",
    "they are not needed: gitckpt run --accept-edits",
)


def stopped(repo: Repo, kind: str = "none") -> None:
    """`make` is done, `check` failed and would succeed now, and the user has removed what `make` made."""
    repo.write("gitckpt.yaml", FLOW.format(kind=kind))
    repo.write(".gitignore", "data/\n")  # its outs are captured all the same
    repo.run("run", ok=1)
    repo.write("ok")
    shutil.rmtree(repo.path / "data")


def asked(repo: Repo, *arguments: str) -> Any:
    return json.loads(repo.run(*arguments, "--json").stdout)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_runs_on_outs_that_the_user_removed_before_somebody_decides(repo: Repo, kind: str) -> None:
    stopped(repo, kind)
    words = "outs of make are gone: data/parts/1.csv, data/parts/2.csv, data/x.csv"
    for look in ("status", "plan"):
        assert words in (said := repo.run(look).stdout), said
        assert all(way.partition(": ")[2] in said for way in WAYS)
        assert asked(repo, look)["outs_gone"][0]["count"] == 3
    said = repo.run("run", ok=5).stderr
    assert "your edit 0004 removed data/parts/1.csv, data/parts/2.csv, data/x.csv" in said
    assert f"{words}; check would run without them" in said
    assert all(way in said for way in WAYS)
    assert "removed data/parts/1.csv" in repo.git("log", "-1", "--format=%s", "gitckpt/w")
    # That the edit is recorded does not make it right: it is asked again, also after another command.
    repo.run("checkpoint", "-m", "here")
    assert words in repo.run("run", ok=5).stderr
    assert words in repo.run("status").stdout
    repo.run("restore", "make", "--", "data/x.csv")
    said = repo.run("run", ok=5).stderr
    assert "outs of make are gone: data/parts/1.csv, data/parts/2.csv; check" in said
    assert "gitckpt restore make -- data/parts\n" in said
    repo.run("restore", "make", "--", "data/parts")
    repo.run("run")
    assert (repo.path / "counted").read_text().strip() == "3"
    assert asked(repo, "status")["outs_gone"] == []


@pytest.mark.parametrize("kind", KINDS)
def test_they_can_be_made_anew_or_be_gone_for_good(repo: Repo, kind: str) -> None:
    stopped(repo, kind)
    repo.run("run", "--from", "make")
    assert (repo.path / "counted").read_text().strip() == "3"
    (repo.path / "data/x.csv").unlink()
    # Whatever needs them is done: it is named, and nothing has to be decided.
    said = repo.run("run").stderr
    assert "outs of make are gone: data/x.csv; nothing that is left to run needs them" in said
    repo.run("run", "--from", "count", ok=5)
    said = repo.run("run", "--accept-edits", ok=1).stderr
    assert "it goes on without outs of make, as you said" in said
    assert "cat: data/x.csv" in said
    assert "outs of make" not in repo.run("status").stdout
    (repo.path / "data/parts/1.csv").unlink()
    assert "outs of make are gone: data/parts/1.csv; count would" in repo.run("run", ok=5).stderr
    repo.run("rollback", "make")
    assert "outs of make" not in repo.run("status").stdout
    repo.run("run")


def test_on_a_terminal_it_is_asked_and_the_answer_is_done(repo: Repo) -> None:
    stopped(repo)
    code, screen = on_terminal(repo.path, "run", says=[("What now?", "n")])
    assert (code, "check would run without them" in screen) == (5, True), screen
    code, screen = on_terminal(repo.path, "run", says=[("What now?", "r")])
    assert (code, (repo.path / "counted").read_text().strip()) == (0, "3"), screen


def test_outs_that_a_phase_removed_or_that_the_user_changed_are_no_question(repo: Repo) -> None:
    repo.write(
        "gitckpt.yaml",
        "version: 1\nworkflow: w\nphases:\n"
        '  make: {run: "mkdir -p in; echo 1 > in/a; echo 2 > in/b; echo 3 > in/c", outs: [in/]}\n'
        "  tidy: {run: rm in/a}\n"
        "  check: {run: test -e ok}\n"
        "  use: {run: cat in/* > used}\n",
    )
    repo.run("run", ok=1)
    repo.write("ok")
    repo.write("in/b", "mine\n")
    repo.write("in/new", "more\n")
    said = repo.run("run").stderr
    assert "your edit 0005 changed outs of make, and the run goes on with them: in/b" in said
    assert "are gone" not in said + repo.run("status").stdout
    assert (repo.path / "used").read_text() == "mine\n3\nmore\n"
    (repo.path / "in/new").unlink()
    (repo.path / "in/c").rename(repo.path / "in/c.away")
    repo.run("run")
    (repo.path / "in/c.away").rename(repo.path / "in/c")
    said = repo.run("run", "--from", "use").stderr
    assert "are gone" not in said, "it is there again"


def test_outs_that_go_while_a_phase_runs_beside_are_asked_about_before_the_next_one(repo: Repo) -> None:
    repo.write(
        "gitckpt.yaml",
        "version: 1\nworkflow: w\nphases:\n"
        "  make: {isolation: none, run: mkdir data; echo x > data/x, outs: [data/x]}\n"
        # A copy is not the folder itself: what it removes there is as if somebody else had done it.
        f"  slow: {{isolation: copy, run: rm -r {repo.path}/data}}\n"
        "  use: {isolation: none, run: ls data > used}\n",
    )
    said = repo.run("run", ok=5).stderr
    assert "removed data/x" in said
    assert "outs of make are gone: data/x; use would run without them" in said
    repo.run("restore", "make", "--", "data")
    repo.run("run")
    assert (repo.path / "used").read_text() == "x\n"
