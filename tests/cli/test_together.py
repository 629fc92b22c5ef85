"""Phases side by side as people see them: flags, plan, status, history, differences, output, doctor."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.test_run import start, subjects, wait_for
from tests.repo import Repo

THREE = """\
version: 1
workflow: demo
phases:
  one: {needs: [], run: "echo 1 > a; echo new > shared/one"}
  two: {needs: [], run: "echo 2 > b; sleep 0.2"}
  many:
    needs: []
    max_parallel: 2
    foreach: {list: [x, y]}
    run: "echo $GITCKPT_ITEM > many.$GITCKPT_ITEM"
  end: {needs: [one, two, many], run: "cat a b many.x many.y > all"}
"""

HELD = """\
version: 1
workflow: demo
phases:
  slow: {needs: [], run: "echo one; touch ../slow; while ! test -e ../go; do sleep 0.01; done; printf two; echo s > s"}
  quick: {needs: [], run: "echo done; sleep 0.3; echo q > q"}
  items:
    needs: []
    max_parallel: 2
    foreach: {list: [x, y]}
    run: "echo at $GITCKPT_ITEM; while ! test -e ../go; do sleep 0.01; done; echo $GITCKPT_ITEM > i.$GITCKPT_ITEM"
"""


def answer(repo: Repo, *arguments: str) -> Any:
    return json.loads(repo.run(*arguments, "--json").stdout)


def done(repo: Repo) -> None:
    repo.write("gitckpt.yaml", THREE)
    repo.write("shared/old")
    repo.run("run", "--jobs", "4")


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


def follow(repo: Repo, *phase: str) -> subprocess.Popen[str]:
    """`output -f` in the background."""
    command = [sys.executable, "-m", "gitckpt", "output", "-f", *phase]
    return subprocess.Popen(command, cwd=repo.path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


# --- the flags ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["0", "-1", "two", "1.5", "", "99999999999"])
def test_a_number_of_jobs_that_cannot_be_is_refused_with_what_can(repo: Repo, number: str) -> None:
    repo.write("gitckpt.yaml", THREE)
    for command in ("run", "plan"):
        said = repo.run(command, f"--jobs={number}", ok=2).stderr
        assert "--jobs takes a whole number of 1 or more" in said
        assert "--jobs 1" in said
    assert not (repo.path / ".git/gitckpt").exists()


def test_keep_going_and_fail_fast_exclude_each_other(repo: Repo) -> None:
    repo.write("gitckpt.yaml", THREE)
    assert "exclude each other" in repo.run("run", "-k", "--fail-fast", ok=2).stderr


def test_with_one_job_phases_run_one_after_the_other_in_the_workspace_itself(repo: Repo) -> None:
    lines = "".join(f"  {name}: {{needs: [], run: 'pwd > {name}; sleep 0.1; ls > ls.{name}'}}\n" for name in "ab")
    repo.write("gitckpt.yaml", f"version: 1\nworkflow: demo\nphases:\n{lines}")
    repo.run("run", "-j", "1")
    assert "a\n" in (repo.path / "ls.b").read_text()
    assert repo.git("rev-list", "--count", "--min-parents=2", "gitckpt/demo") == "0"


def test_keep_going_does_what_does_not_need_the_failed_phase(repo: Repo) -> None:
    phases = "bad: {needs: [], run: exit 3}\n  good: {needs: []}\n  more: {needs: [good], run: echo m > m}"
    text = phases.replace("good: {needs: []}", "good: {needs: [], run: sleep 0.2; echo g > g}")
    repo.write(
        "gitckpt.yaml", f"version: 1\nworkflow: demo\nphases:\n  {text}\n  last: {{needs: [bad], run: echo l}}\n"
    )
    repo.run("run", ok=1)
    assert "more done" not in subjects(repo)
    said = repo.run("run", "--keep-going", ok=1).stderr
    assert "bad failed: exit 3" in said
    assert "more done" in subjects(repo)
    assert "last done" not in subjects(repo)


def test_fail_fast_ends_what_still_runs(repo: Repo) -> None:
    phases = "bad: {needs: [], run: sleep 0.3; exit 3}\n  long: {needs: [], run: sleep 60}"
    repo.write("gitckpt.yaml", f"version: 1\nworkflow: demo\nphases:\n  {phases}\n")
    began = time.monotonic()
    assert "bad failed: exit 3" in repo.run("run", "--fail-fast", ok=1).stderr
    assert time.monotonic() - began < 20


def test_a_plan_says_what_may_run_beside_what_and_changes_nothing(repo: Repo) -> None:
    repo.write("gitckpt.yaml", THREE)
    said = repo.run("plan", "--jobs", "3").stdout
    assert "at once (at most 3), if all take equally long: one, two, many | end" in said
    assert "in views of their own, merged in this order: one, two, many\n" in said
    told = answer(repo, "plan", "-j2")
    assert (told["jobs"], told["together"]) == (2, [["one", "two"], ["many"], ["end"]])
    assert [each["in_view"] for each in told["phases"]] == [True, True, True, False]
    alone = repo.run("run", "--dry-run", "-j", "1").stdout
    assert "at once" not in alone
    assert not (repo.path / ".git/gitckpt").exists()


# --- history ------------------------------------------------------------------------------------------------------


def test_the_graph_has_the_shape_of_gits_own(repo: Repo) -> None:
    done(repo)
    ours = repo.run("log", "--graph", "--all").stdout.splitlines()
    theirs = repo.git("log", "--graph", "--format=%H", "gitckpt/demo").splitlines()
    marks = [[line.index("*") for line in lines if "*" in line[:12]] for lines in (ours, theirs)]
    assert marks[0] == marks[1]
    assert max(marks[0]) > 0
    assert "by itself" in "\n".join(ours)


def test_nothing_is_left_under_way_by_a_run_that_has_ended(repo: Repo) -> None:
    done(repo)
    told = answer(repo, "status")
    assert (told["unfinished"], told["running"], told["conflicts"]) == ([], None, [])
    assert answer(repo, "doctor")["findings"] == []


def test_a_merge_says_what_it_merged_and_what_that_began_from(repo: Repo) -> None:
    done(repo)
    merge = next(each for each in answer(repo, "log")["checkpoints"] if each["phase"] == "two")
    assert (merge["kind"], merge["status"], len(merge["parents"])) == ("merge", "done", 2)
    assert merge["merged"]["own"] == merge["parents"][1]
    said = repo.run("show", "two").stdout
    assert f"own     {merge['merged']['own']}" in said
    assert f"start   {merge['merged']['start']} (it began from 000" in said
    assert "two was merged: what it changed since it began" in said
    assert answer(repo, "show", "two")["merged"] == merge["merged"]


def test_the_difference_of_a_phase_is_its_own_changes_whatever_came_between(repo: Repo) -> None:
    done(repo)
    names = {name: repo.run("diff", name, "--name-only").stdout.split() for name in ("one", "two", "many", "end")}
    assert names == {"one": ["a", "shared/one"], "two": ["b"], "many": ["many.x", "many.y"], "end": ["all"]}


def test_items_that_changed_one_file_side_by_side_show_it_as_it_was_joined(repo: Repo) -> None:
    run = "sleep 0.2; echo $GITCKPT_ITEM >> results"
    items = f'many: {{max_parallel: 2, foreach: {{list: [x, y]}}, run: "{run}"}}'
    top = "version: 1\nworkflow: demo\nmerge: {on_conflict: union}\nphases:\n"
    repo.write("gitckpt.yaml", f"{top}  {items}\n")
    repo.write("results", "head\n")
    repo.run("run")
    assert [line for line in repo.run("diff", "many").stdout.splitlines() if line[:1] in "+-"][2:] == ["+x", "+y"]
    assert "1 path settled by a rule" in repo.run("log", "--all").stdout


def test_what_a_failed_attempt_left_is_seen_from_what_it_began_from(repo: Repo) -> None:
    phases = "quick: {needs: [], run: echo q > q}\n  bad: {needs: [], run: sleep 0.3; echo b > b; exit 1}"
    repo.write("gitckpt.yaml", f"version: 1\nworkflow: demo\nphases:\n  {phases}\n")
    repo.run("run", ok=1)
    assert repo.run("diff", "bad@1", "--name-only").stdout == "b\n"
    assert (repo.path / "q").exists()


# --- while it runs ------------------------------------------------------------------------------------------------


@pytest.mark.sweep
def test_status_shows_all_that_runs_and_what_waits_to_be_merged(repo: Repo) -> None:
    repo.write("gitckpt.yaml", HELD)
    run = start(repo, "run", "--jobs", "4")
    wait_for(repo.path.parent / "slow")
    until(lambda: "quick" in repo.git("for-each-ref", "refs/gitckpt/demo/finished"))
    told, said = answer(repo, "status"), repo.run("status").stdout
    (repo.path.parent / "go").touch()
    assert run.wait(60) == 0
    phases = {each["name"]: each for each in told["phases"]}
    assert [phases[name]["status"] for name in ("slow", "quick", "items")] == ["running", "completed", "running"]
    assert [each["to_be_merged"] for each in phases.values()] == [0, 1, 0]
    running = told["running"]
    assert sorted({each["phase"] for each in running["attempts"]}) == ["items", "slow"]
    assert sum(each["phase"] == "items" for each in running["attempts"]) == 2
    assert running["phase"] == running["attempts"][0]["phase"]
    assert "quick  done     to be merged" in said
    assert "2 at once" in said
    assert "(3 attempts at once)" in said
    assert "to be merged" not in repo.run("status").stdout


@pytest.mark.sweep
def test_after_a_kill_status_and_doctor_name_what_was_cut_off_and_what_is_kept(repo: Repo) -> None:
    repo.write("gitckpt.yaml", HELD)
    run = start(repo, "run", "--jobs", "4")
    wait_for(repo.path.parent / "slow")
    until(lambda: "quick" in repo.git("for-each-ref", "refs/gitckpt/demo/finished"))
    run.kill()
    run.wait()
    said = repo.run("status").stdout
    assert "note: slow@1, items@1 were cut off; the next `gitckpt run` keeps what they left" in said
    assert "note: quick had succeeded; the next `gitckpt run` merges it" in said
    found = json.loads(repo.run("doctor", "--json", ok=1).stdout)["findings"]
    assert any("quick@1 of demo had succeeded when its run died" in each["what"] for each in found)
    assert any("slow@1 of demo was cut off" in each["what"] for each in found)
    (repo.path.parent / "go").touch()
    repo.run("run")
    assert answer(repo, "doctor")["findings"] == []
    assert repo.run("diff", "quick", "--name-only").stdout == "q\n"


@pytest.mark.sweep
def test_followed_output_says_whose_each_line_is(repo: Repo) -> None:
    repo.write("gitckpt.yaml", HELD)
    run = start(repo, "run", "--jobs", "4")
    wait_for(repo.path.parent / "slow")
    until(lambda: len(answer(repo, "status")["running"]["attempts"]) >= 3)
    with follow(repo) as everything, follow(repo, "items") as items, follow(repo, "slow") as slow:
        pipes = [process.stdout for process in (everything, items, slow) if process.stdout]
        firsts = [pipe.readline() for pipe in pipes]
        (repo.path.parent / "go").touch()
        followed = [first + pipe.read() for first, pipe in zip(firsts, pipes, strict=True)]
    assert run.wait(60) == 0
    assert {"slow: one", "slow: two", "items item x (1 of 2): at x"} <= set(followed[0].splitlines())
    assert sorted(followed[1].splitlines()) == ["item x (1 of 2): at x", "item y (2 of 2): at y"]
    assert followed[2] == "one\ntwo"


# --- isolation ----------------------------------------------------------------------------------------------------


def test_doctor_says_which_views_can_be_had_and_what_is_different_in_them(repo: Repo) -> None:
    repo.write("gitckpt.yaml", THREE)
    told = answer(repo, "doctor")["isolation"]
    assert told["auto"] == ("overlay" if told["overlay"] else "copy")
    assert (told["why_no_overlay"] is None) == told["overlay"]
    assert told["phases"] == {"auto": ["one", "two", "many", "end"]}
    said = repo.run("doctor").stdout
    assert f"`auto` is `{told['auto']}`, else `none`" in said
    assert "EXDEV" in said
    assert ".venv" in said
    assert not (repo.path / ".git/gitckpt").exists(), "looking left something"


def test_a_rename_that_an_overlay_cannot_do_names_the_isolation_that_can(repo: Repo) -> None:
    program = "import os; os.rename('old', 'new')"
    repo.write(
        "gitckpt.yaml", "version: 1\nworkflow: demo\nphases:\n  a: {isolation: overlay, run: python3 rename.py}\n"
    )
    repo.write("rename.py", program)
    repo.write("old/file")
    if not json.loads(repo.run("doctor", "--json", ok=(0, 1)).stdout)["isolation"]["overlay"]:
        assert "no overlay can be had here" in repo.run("run", ok=2).stderr
        return
    said = repo.run("run", ok=1).stderr
    assert "mend it    a folder that was there before cannot be renamed in an overlay: give a `isolation: copy`" in said
    repo.write("gitckpt.yaml", "version: 1\nworkflow: demo\nphases:\n  a: {isolation: copy, run: python3 rename.py}\n")
    repo.run("run")
    assert (repo.path / "new/file").exists()
    assert not (repo.path / "old").exists()
