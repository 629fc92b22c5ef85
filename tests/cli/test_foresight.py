"""What would happen, told without doing it: `plan`, `plan rollback`, `why`, `status`, with gates and compensations."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.cli.test_run import start, wait_for
from tests.repo import Repo

SAGA = """\
version: 1
workflow: saga
phases:
  migrate:
    foreach: [one, two]
    run: echo "$ITEM" >> done
    compensate: echo "$ITEM" >> ../undone
  publish:
    run: echo pub > pub
    compensate: test -e mended
  ask:
    gate: {prompt: "Publish?", timeout: 1h}
  after: {run: echo x > x}
"""
SLOW = """\
version: 1
workflow: slow
phases:
  each:
    foreach: [a, b, c, d]
    run: if test "$ITEM" = c; then touch began; while ! test -e go; do sleep 0.01; done; fi
"""


def answer(repo: Repo, *arguments: str) -> Any:
    return json.loads(repo.run(*arguments, "--json").stdout)


@pytest.fixture
def asking(repo: Repo) -> Repo:
    """All is done up to the gate, which waits."""
    repo.write("gitckpt.yaml", SAGA)
    repo.run("run", ok=3)
    return repo


def fates(repo: Repo, *arguments: str) -> dict[str, str]:
    return {each["name"]: each["fate"] for each in answer(repo, "plan", *arguments)["phases"]}


def test_before_the_first_run_a_plan_stops_at_the_gate_that_it_will_open(repo: Repo) -> None:
    repo.write("gitckpt.yaml", SAGA)
    assert fates(repo) == {"migrate": "will run", "publish": "will run", "ask": "will ask", "after": "waits"}
    assert "its list of items is made first" in repo.run("plan").stdout


def test_an_open_gate_is_named_with_its_question_its_end_and_the_command_that_answers(asking: Repo) -> None:
    said = asking.run("status").stdout
    assert re.search(r"^ask waits: Publish\? \(until .*\)\nnext: gitckpt approve ask$", said, re.MULTILINE)
    (gate,) = answer(asking, "status")["gates"]
    assert (gate["phase"], gate["prompt"], gate["expires"][10]) == ("ask", "Publish?", "T")
    assert fates(asking) == {"migrate": "done", "publish": "done", "ask": "waits", "after": "waits"}
    assert "gitckpt approve ask, or gitckpt reject ask" in asking.run("why", "ask").stdout
    assert "going back past it runs: test -e mended" in asking.run("why", "publish").stdout


def test_a_rollback_can_be_foreseen_with_its_compensations_and_changes_nothing(asking: Repo) -> None:
    before = asking.git("rev-parse", "gitckpt/saga")
    asking.write("mine", "an edit\n")
    told = answer(asking, "plan", "rollback", "start")
    assert told["target"] == 1
    assert told["taken_back"] == [6, 5, 4, 3, 2]
    assert [each["phase"] for each in told["compensations"]] == ["publish", "migrate"]
    assert told["compensations"][1]["command"] == 'echo "$ITEM" >> ../undone  (for each of 2 items)'
    assert told["left_to_do"] == ["migrate", "publish", "ask", "after"]
    said = asking.run("plan", "rollback", "start").stdout
    assert "Takes back: migrate, publish\nCompensates first, in this order:\n  1.  publish  test -e mended\n" in said
    assert "next: gitckpt rollback start --compensate (or --no-compensate)" in said
    assert asking.git("rev-parse", "gitckpt/saga") == before
    assert not (asking.path.parent / "undone").exists()
    assert "Compensates nothing" in asking.run("plan", "rollback", "latest").stdout


def test_a_pivot_is_named_where_it_forbids_compensation(repo: Repo) -> None:
    repo.write("gitckpt.yaml", SAGA.replace("    run: echo pub > pub\n", "    run: echo pub > pub\n    pivot: true\n"))
    repo.run("run", ok=3)
    told = answer(repo, "plan", "rollback", "start")
    assert (told["compensations"], told["pivot"], told["outside"]) == ([], "publish", ["publish", "migrate"])
    assert "Nothing is compensated: publish is a pivot" in repo.run("plan", "rollback", "start").stdout


def test_a_rollback_that_stopped_half_way_is_told_by_status_and_plan(asking: Repo) -> None:
    asking.run("rollback", "start", "--compensate", ok=1)
    assert "a rollback to 0001 is under way: compensations come first" in asking.run("status").stdout
    assert answer(asking, "status")["goal"] == {"kind": "reach", "checkpoint": 1}
    assert "`gitckpt run` goes on with the rollback to 0001" in asking.run("plan").stdout
    assert fates(asking)["migrate"] == "will be undone"
    rows = [line.split()[:3] for line in asking.run("log").stdout.splitlines()]
    assert rows[0][:2] == ["·", "publish@2"]
    assert rows[1] == ["0007", "compensation", "rolls"]
    asking.write("mended")
    asking.run("run", ok=75)
    assert answer(asking, "status")["goal"] == {"kind": "finish", "checkpoint": None}
    log = asking.run("log").stdout
    assert re.search(r"migrate +compensated item two \(2 of 2\)", log)
    assert "item one of migrate" not in log


def test_while_items_run_status_tells_which_how_many_and_how_fast(repo: Repo) -> None:
    repo.write("gitckpt.yaml", SLOW)
    process = start(repo, "run")
    try:
        wait_for(repo.path / "began")
        said = repo.run("status").stdout
        told = answer(repo, "status")["running"]
        repo.write("go")
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    assert "running: each, item c (3 of 4), attempt 1" in said
    assert re.search(r"each +running +2/4 items, attempt 1 .*left", said)
    assert told["items"] == "item c (3 of 4)"
    assert told["items_per_hour"] > 0
    assert told["left_ms"] >= 0


def test_a_plan_is_for_run_or_for_a_rollback(asking: Repo) -> None:
    assert "gitckpt plan rollback CHECKPOINT" in asking.run("plan", "walk", ok=2).stderr
    assert "gitckpt plan rollback CHECKPOINT" in asking.run("plan", "rollback", "start", "--until", "ask", ok=2).stderr
    assert "no checkpoint is called 'nope'" in asking.run("plan", "rollback", "nope", ok=2).stderr
