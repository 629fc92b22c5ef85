"""`resolve`, and what `run`, `status` and `why` say of changes that cannot be joined: the real command line."""

from __future__ import annotations

import json

import pytest

from tests.cli.test_run import start, wait_for
from tests.repo import Repo

CLASH = """\
version: 1
workflow: demo
phases:
  first: {needs: [], run: "echo first > both; echo 1 > one"}
  second: {needs: [], run: "sleep 0.3; echo second > both; echo 2 > two"}
  last: {needs: [second], run: "cat both > seen"}
"""

EDITED = """\
version: 1
workflow: demo
phases:
  writer: {needs: [], run: "touch ../began; while ! test -e ../go; do sleep 0.01; done; echo written > both"}
  other: {needs: [], run: "echo o > other"}
"""


def clashed(repo: Repo) -> str:
    """A run that stopped at a conflict of `second`; its last words."""
    repo.write("gitckpt.yaml", CLASH)
    return repo.run("run", ok=5).stderr


def clashed_with_an_edit(repo: Repo) -> str:
    """A run that stopped because the user changed what a phase changed, too."""
    repo.write("gitckpt.yaml", EDITED)
    repo.write("both", "before\n")
    run = start(repo, "run")
    wait_for(repo.path.parent / "began")
    repo.write("both", "mine\n")
    (repo.path.parent / "go").touch()
    assert run.wait(60) == 5
    return repo.run("resolve", ok=5).stdout


def text(repo: Repo, name: str) -> str:
    return (repo.path / name).read_text()


def test_a_run_that_meets_a_conflict_ends_with_5_and_names_path_phases_and_the_commands(repo: Repo) -> None:
    said = clashed(repo)
    assert "second and first changed 1 path differently:\n    both\n" in said
    for command in (
        "gitckpt diff second@1 (what second did)",
        "gitckpt diff 1 3 -- both (what is there since both began, by first)",
        "gitckpt resolve second --ours (what first did counts)",
        "gitckpt resolve second --theirs (what second did counts)",
        "gitckpt retry second",
    ):
        assert command in said
    assert "Nothing is lost" in said
    assert text(repo, "both") == "first\n"
    assert not (repo.path / "two").exists()


def test_every_command_that_a_conflict_offers_to_look_at_it_works(repo: Repo) -> None:
    clashed(repo)
    found = json.loads(repo.run("resolve", "--json", ok=5).stdout)
    (conflict,) = found["conflicts"]
    assert (conflict["name"], conflict["phase"], conflict["paths"]) == ("second", "second", ["both"])
    assert (conflict["ours"], conflict["theirs"], conflict["start_checkpoint"]) == (["first"], "second@1", 1)
    assert found["schema"] == 1
    for command in conflict["look"]:
        program, *arguments = command.split()
        said = repo.run(*arguments).stdout if program == "gitckpt" else repo.git(*arguments)
        assert "both" in said, command


@pytest.mark.parametrize(
    ("choice", "both"), [("--ours", "first\n"), ("--theirs", "second\n"), ("--union", "first\nsecond\n")]
)
def test_after_a_choice_the_run_goes_on_with_what_was_chosen(repo: Repo, choice: str, both: str) -> None:
    clashed(repo)
    said = repo.run("resolve", choice).stdout
    assert "(0004)" in said
    assert "then: gitckpt run" in said
    assert text(repo, "both") == both
    assert text(repo, "two") == "2\n"
    repo.run("run")
    assert text(repo, "seen") == both
    assert "No conflict waits" in repo.run("resolve").stdout


def test_a_choice_is_taken_back_by_undo_and_can_be_made_anew(repo: Repo) -> None:
    clashed(repo)
    repo.run("resolve", "second", "--theirs")
    repo.run("undo")
    assert text(repo, "both") == "first\n"
    assert json.loads(repo.run("status", "--json").stdout)["next_command"] == "gitckpt resolve"
    made = json.loads(repo.run("resolve", "--union", "--json").stdout)
    assert (made["resolved"], made["how"], made["left"]) == ("second", "union", [])
    assert text(repo, "both") == "first\nsecond\n"


def test_retry_does_the_phase_again_on_top_of_what_is_there(repo: Repo) -> None:
    clashed(repo)
    repo.run("retry", "second")
    assert "No conflict waits" in repo.run("resolve").stdout
    repo.run("run")
    assert text(repo, "both") == "second\n"
    assert text(repo, "seen") == "second\n"


def test_a_choice_for_some_paths_leaves_the_others_to_be_joined_and_refuses_what_cannot_be(repo: Repo) -> None:
    clashed(repo)
    refused = repo.run("resolve", "second", "--theirs", "--", "two", ok=2)
    assert "two is not in conflict; nothing was changed\n  what is: both\n" in refused.stderr
    repo.write("deep/x")
    repo.run("resolve", "second", "--theirs", "--", "../both", cwd=repo.path / "deep")
    assert text(repo, "both") == "second\n"


def test_a_choice_that_cannot_be_meant_is_a_usage_error(repo: Repo) -> None:
    clashed(repo)
    for arguments, words in {
        ("--ours", "--theirs"): "--ours and --theirs exclude each other",
        ("--", "both"): "say whose change of these paths counts",
        ("second", "--mine"): "--mine is for your own edits",
        ("--mine",): "--mine is for your own edits",
        ("first",): "no conflict of first waits for a decision\n  what waits: gitckpt resolve second\n",
        ("first", "--ours"): "no conflict of first waits for a decision\n  what waits: gitckpt resolve second\n",
        ("second", "--ours", "--", "deep"): "deep is not in conflict; nothing was changed\n  what is: both\n",
        ("--ours", "--", "/elsewhere"): "is not in the workspace",
    }.items():
        assert words in repo.run("resolve", *arguments, ok=2).stderr
        assert text(repo, "both") == "first\n"


def test_the_lines_of_two_binaries_are_not_joined_and_nothing_changes(repo: Repo) -> None:
    first, second = "printf 'a\\0b' > both", "sleep 0.3; printf 'c\\0d' > both"
    phases = f'first: {{needs: [], run: "{first}"}}\n  second: {{needs: [], run: "{second}"}}'.replace("\\0", "\\\\0")
    repo.write("gitckpt.yaml", f"version: 1\nworkflow: demo\nphases:\n  {phases}\n")
    repo.run("run", ok=5)
    assert "still in conflict: both; nothing was changed" in repo.run("resolve", "--union", ok=5).stderr
    assert (repo.path / "both").read_bytes() == b"a\0b"
    repo.run("resolve", "--theirs")
    assert (repo.path / "both").read_bytes() == b"c\0d"


def test_a_conflict_of_items_names_the_item(repo: Repo) -> None:
    run = "test $GITCKPT_ITEM = x || sleep 0.3; echo $GITCKPT_ITEM > same"
    items = f'many: {{max_parallel: 2, foreach: {{list: [x, y]}}, run: "{run}"}}'
    repo.write("gitckpt.yaml", f"version: 1\nworkflow: demo\nphases:\n  {items}\n")
    said = repo.run("run", ok=5).stderr
    assert "item y (2 of 2) of many and item x (1 of 2) of many changed 1 path differently:\n    same\n" in said
    repo.run("resolve", "--theirs")
    repo.run("run")
    assert text(repo, "same") == "y\n"


def test_without_any_conflict_there_is_nothing_to_resolve(repo: Repo) -> None:
    repo.write("gitckpt.yaml", "version: 1\nworkflow: demo\nphases: {a: {run: echo a > a}}\n")
    assert "has no checkpoints yet" in repo.run("resolve", ok=2).stderr
    repo.run("run")
    assert repo.run("resolve").stdout == "No conflict waits for a decision.\n"
    assert "no conflict waits for a decision" in repo.run("resolve", "--ours", ok=2).stderr


def test_status_and_why_and_show_tell_of_a_conflict(repo: Repo) -> None:
    clashed(repo)
    said = repo.run("status").stdout
    assert "conflict: second and first changed both differently: gitckpt resolve second" in said
    assert said.endswith("next: gitckpt resolve\n")
    told = json.loads(repo.run("status", "--json").stdout)
    assert [each["name"] for each in told["conflicts"]] == ["second"]
    assert [each["conflict"] and each["conflict"]["paths"] for each in told["phases"]] == [None, ["both"], None]
    assert "to choose: gitckpt resolve second" in repo.run("why", "second").stdout
    assert "could not be merged: second, first changed both differently" in repo.run("show", "latest").stdout


@pytest.mark.sweep
@pytest.mark.parametrize(("choice", "both"), [("--mine", "mine\n"), ("--ours", "written\n"), ("--theirs", "mine\n")])
def test_an_edit_of_what_a_phase_changed_meanwhile_is_kept_and_decided(repo: Repo, choice: str, both: str) -> None:
    said = clashed_with_an_edit(repo)
    assert "you and a phase changed 1 path differently:\n    both\n" in said
    assert "gitckpt resolve yours --mine (what you did counts)" in said
    assert "+mine" in repo.run("diff", "rescue@1").stdout
    assert "conflict: you and a phase changed both differently" in repo.run("status").stdout
    assert "complete, but for your decision, 2/2 phases done" in repo.run("status").stdout
    repo.run("resolve", "yours", choice)
    assert "A conflict waits for your decision: gitckpt resolve" in repo.run("undo").stdout
    repo.run("resolve", "yours", choice)
    assert text(repo, "both") == both
    assert "Complete already" in repo.run("run").stderr


@pytest.mark.sweep
@pytest.mark.parametrize(("choice", "both"), [("--mine", "mine\n"), ("--ours", "written\n")])
def test_a_decision_about_an_edit_leaves_what_could_be_joined_as_it_is(repo: Repo, choice: str, both: str) -> None:
    repo.write("joined", "first\n2\n3\n4\n5\n6\nlast\n")
    repo.write("gitckpt.yaml", EDITED.replace("written > both", "written > both; sed -i s/first/FIRST/ joined"))
    repo.write("both", "before\n")
    run = start(repo, "run")
    wait_for(repo.path.parent / "began")
    repo.write("both", "mine\n")
    repo.write("joined", "first\n2\n3\n4\n5\n6\nLAST\n")
    (repo.path.parent / "go").touch()
    assert run.wait(60) == 5
    repo.run("resolve", "yours", choice)
    assert text(repo, "both") == both
    assert text(repo, "joined") == "FIRST\n2\n3\n4\n5\n6\nLAST\n"


@pytest.mark.sweep
def test_a_fetched_history_without_what_is_kept_beside_it_still_lists_the_conflict(repo: Repo) -> None:
    clashed_with_an_edit(repo)
    repo.git("update-ref", "-d", "refs/gitckpt/demo/rescue/1")
    (conflict,) = json.loads(repo.run("resolve", "--json", ok=5).stdout)["conflicts"]
    assert (conflict["name"], conflict["commit"], conflict["start"]) == ("yours", None, None)
    assert "rescue@1, which is gone" in repo.run("resolve", "--mine", ok=2).stderr
