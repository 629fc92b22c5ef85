"""Everything gitckpt knows, asked of plain git alone: no gitckpt is needed to read what it left."""

from __future__ import annotations

import json

import pytest

from tests.repo import Repo

WORKFLOW = """version: 1
workflow: etl
phases:
  extract: {run: 'echo 3 > raw; mkdir empty; chmod 600 raw'}
  transform: {run: 'sed s/3/4/ raw > out; rm raw; echo more >> kept'}
  load: {run: 'cp out loaded; echo half > half; exit 7'}
"""


@pytest.fixture
def ran(repo: Repo) -> Repo:
    """Two phases done, the third failed."""
    repo.write("gitckpt.yaml", WORKFLOW)
    repo.write("kept", "first\n")
    repo.run("run", ok=1)
    return repo


def test_which_phases_ran(ran: Repo) -> None:
    said = ran.git("log", "--first-parent", "--reverse", "--format=%(trailers:key=Gitckpt-Phase,valueonly,separator=)"
                   "/%(trailers:key=Gitckpt-Status,valueonly,separator=)", "gitckpt/etl")  # fmt: skip
    assert said.split() == ["/started", "extract/done", "transform/done", "load/failed"]
    tags = ran.git("tag", "--list", "gitckpt/etl/*").split()
    assert tags == ["gitckpt/etl/0002-extract", "gitckpt/etl/0003-transform"]


def test_what_one_phase_changed(ran: Repo) -> None:
    changed = ran.git("diff", "--name-status", "gitckpt/etl/0002-extract", "gitckpt/etl/0003-transform",
                      "--", ":!.gitckpt")  # fmt: skip
    assert changed.splitlines() == ["M\tkept", "A\tout", "D\traw"]


def test_what_the_failed_attempt_left(ran: Repo) -> None:
    attempt = "refs/gitckpt/etl/attempts/load/1"
    assert ran.git("diff", "--name-status", f"{attempt}~", attempt, "--", ":!.gitckpt").splitlines() == [
        "A\thalf",
        "A\tloaded",
    ]
    assert ran.git("show", f"{attempt}:half") == "half"


def test_the_state_after_phase_2(ran: Repo) -> None:
    state = json.loads(ran.git("show", "gitckpt/etl/0003-transform:.gitckpt/state.json"))
    assert {name: phase["status"] for name, phase in state["phases"].items()} == {
        "extract": "completed",
        "transform": "completed",
        "load": "pending",
    }
    assert (state["current_state"], state["sequence"]) == ("load", 3)


def test_what_a_tree_cannot_say_is_text_beside_it(ran: Repo) -> None:
    extra = json.loads(ran.git("show", "gitckpt/etl/0002-extract:.gitckpt/extra/entries"))
    assert [(entry["name"], entry["type"], entry["mode"]) for entry in extra["entries"]] == [
        ("empty", "dir", "0755"),
        ("raw", "file", "0600"),
    ]


def test_the_user_s_own_status_stays_clean_of_us(ran: Repo) -> None:
    assert ran.git("status", "--short", "--untracked-files=all").splitlines() == [
        "?? gitckpt.yaml",
        "?? kept",
        "?? out",
    ]
