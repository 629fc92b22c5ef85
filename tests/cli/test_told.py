"""What a person is told where something stopped: why, how to mend it, and a next command that works as it stands."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.repo import Repo

HEAD = "version: 1\nworkflow: told\nphases:\n"
SAGA = """\
  one: {run: echo 1 >> db, compensate: 'true'}
  each:
    foreach: [a, b]
    run: echo "$ITEM" >> db
    compensate: test "$ITEM" != a || test -e mended
"""
GATE = """\
  build: {run: echo 1 > built}
  ask:
    gate: {prompt: Go?, show: diff build, fields: {why: {required: true}, note: {}}}
  last: {run: echo 2 > last}
"""


def test_a_list_that_cannot_be_made_is_told_in_one_line_and_how_to_mend_it_in_another(repo: Repo) -> None:
    repo.write("gitckpt.yaml", HEAD + "  each: {foreach: {lines: none.txt}, run: 'true'}\n")
    said = repo.run("run", ok=1).stderr
    assert "each failed: none.txt: the file that holds the items is not there\n" in said
    assert "  mend it    make it, or mend `foreach` in the workflow file; then: gitckpt run\n" in said
    for words in (said, *(repo.run(*words.split()).stdout for words in ("status", "log", "why each", "show latest"))):
        assert "\\n" not in words
        assert "is not there" in words


def test_a_line_of_output_without_end_does_not_flood_the_screen(repo: Repo) -> None:
    flood = 'head -c 140000 /dev/zero | tr "\\0" x'
    repo.write("gitckpt.yaml", HEAD + f"  each: {{foreach: {{run: '{flood}'}}, run: 'true'}}\n")
    said = repo.run("run", ok=1).stderr
    assert "the item has 140,000 bytes" in said
    repo.write("gitckpt.yaml", HEAD + f"  each: {{run: '{flood}; exit 3'}}\n")
    said += repo.run("run", ok=1).stderr + repo.run("log").stdout
    assert max(map(len, said.splitlines())) < 1200
    assert max(map(len, repo.run("log").stdout.splitlines())) < 300


def test_a_rollback_tells_each_compensation_and_nothing_stays_of_one_that_failed_before(repo: Repo) -> None:
    repo.write("gitckpt.yaml", HEAD + SAGA)
    repo.run("run")
    stopped = repo.run("rollback", "start", "--compensate", ok=1).stderr
    assert "each compensated item b (2 of 2)" in stopped
    assert "each FAILED its compensation failed: exit 1" in stopped
    assert "its compensation failed" in repo.run("status").stdout
    repo.write("mended")
    told = repo.run("rollback", "start", "--compensate").stderr
    assert "each compensated item a (1 of 2)" in told
    assert "one compensated" in told
    assert "attempt 2" not in told
    ended = json.loads(repo.git("show", "gitckpt/told~1:.gitckpt/state.json"))
    assert (ended["phases"]["each"]["status"], ended["phases"]["each"]["detail"]) == ("compensated", None)


def test_the_command_that_answers_a_gate_names_its_fields_and_what_to_look_at(repo: Repo) -> None:
    repo.write("gitckpt.yaml", HEAD + GATE)
    said = repo.run("run", ok=3).stderr
    assert "  see it     gitckpt diff build\n" in said
    assert "  answer     gitckpt approve ask --field why=… · gitckpt reject ask\n" in said
    line = next(line for line in said.splitlines() if "answer" in line)
    repo.run(*shlex.split(line.partition("gitckpt ")[2].partition(" · ")[0]))


def test_an_approved_gate_is_a_checkpoint_by_its_name(repo: Repo) -> None:
    repo.write("gitckpt.yaml", HEAD + GATE)
    repo.run("run", ok=3)
    assert "no checkpoint is called 'ask'" in repo.run("show", "ask", ok=2).stderr
    repo.run("approve", "--field", "why=so")
    repo.run("run")
    assert repo.run("show", "ask").stdout.startswith("0004-ask\n")
    assert "0004-ask" in repo.run("rollback", "ask").stdout
    assert not (repo.path / "last").exists()


def test_after_a_rejection_the_next_command_is_the_one_that_asks_again(repo: Repo) -> None:
    repo.write("gitckpt.yaml", HEAD + GATE)
    repo.run("run", ok=3)
    repo.run("reject", "-m", "no")
    told = repo.run("status").stdout
    assert "next: gitckpt retry ask\n" in told
    assert "0 attempts" not in told
    repo.run("retry", "ask")
    repo.run("run", ok=3)


def test_a_goto_that_went_back_as_often_as_it_may_says_so(repo: Repo) -> None:
    repo.write("gitckpt.yaml", HEAD + "  a: {run: 'true'}\n  b: {run: 'false', on_failure: {goto: a, max: 2}}\n")
    said = repo.run("run", ok=1).stderr
    assert said.count("going back to a") == 2
    assert "b failed: exit 1 (it went back to a 2 times already)" in said


def test_a_phase_whose_definition_changed_in_the_middle_of_its_items_is_told_before_it_goes_on(repo: Repo) -> None:
    text = HEAD + "  each: {foreach: [a, b, c], budget: {items: 1}, run: echo old >> done}\n"
    repo.write("gitckpt.yaml", text)
    repo.run("run", ok=75)
    assert "changed" not in repo.run("run", ok=75).stderr
    repo.write("gitckpt.yaml", text.replace("echo old", "echo new"))
    assert "only the rest follows the new one" in repo.run("why", "each").stdout
    said = repo.run("run").stderr
    assert "each changed after 2 of 3 items were done; these stay, the rest follows the new definition" in said
    assert (repo.path / "done").read_text() == "old\nold\nnew\n"


def test_what_was_skipped_with_failed_items_is_not_called_tolerated(repo: Repo) -> None:
    repo.write("gitckpt.yaml", HEAD + "  each: {foreach: [a, b], run: 'false'}\n  b: {run: 'true'}\n")
    repo.run("run", ok=1)
    repo.run("skip", "each", "-m", "later")
    assert "tolerated" not in repo.run("run").stderr
    assert "so many may" not in repo.run("status").stdout


def test_a_secret_does_not_get_into_a_checkpoint_as_an_item(repo: Repo) -> None:
    text = HEAD.replace("phases:", "secrets: [TOKEN]\nphases:")
    repo.write("gitckpt.yaml", text + "  each: {foreach: {run: 'echo a; echo x-$TOKEN'}, run: 'true'}\n")
    said = repo.run("run", ok=1, env={"TOKEN": "hunter2hunter2"}).stderr
    assert "each failed: item 2 of its list holds the value of a declared secret" in said
    assert "hunter2hunter2" not in said
    for commit in repo.git("rev-list", "--all").split():
        assert "hunter2hunter2" not in repo.git("log", "-1", "-p", "--root", commit)


def test_undo_of_a_rollback_with_compensations_is_not_followed_by_the_same_rollback(repo: Repo) -> None:
    repo.write("mended")
    repo.write("gitckpt.yaml", HEAD + SAGA)
    repo.run("run")
    repo.run("rollback", "start", "--compensate")
    assert not (repo.path / "db").exists()
    assert "`gitckpt run` will do one, each" in repo.run("undo").stdout
    assert (repo.path / "db").read_text() == "1\na\nb\n"
    assert "under way" not in repo.run("status").stdout
    repo.run("run")
    assert (repo.path / "db").read_text() == "1\na\nb\n1\na\nb\n"


def test_a_secret_is_refused_as_data_and_as_a_param(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cr3t-value")
    repo.write(
        "gitckpt.yaml",
        "version: 1\nworkflow: w\nsecrets: [TOKEN]\nparams: {P: {default: x}}\nphases: {a: {run: 'true'}}\n",
    )
    assert repo.run("run").returncode == 0
    for words in (("state", "set", "k", "it is s3cr3t-value"), ("run", "--again", "--set", "P=s3cr3t-value")):
        refused = repo.run(*words, ok=2)
        assert "declared secret" in refused.stderr
        assert "s3cr3t" not in refused.stderr
    assert "s3cr3t" not in repo.git("log", "-p", "--all")


def test_a_rejected_gate_that_compensates_says_why_and_is_asked_again_by_run(repo: Repo) -> None:
    repo.write(
        "gitckpt.yaml",
        "version: 1\nworkflow: w\nphases:\n  a: {run: 'true', compensate: 'true'}\n"
        "  g: {gate: 'Go?', on_failure: compensate}\n",
    )
    repo.run("run", ok=3)
    repo.run("reject", "g", "-m", "not today")
    said = repo.run("run", ok=1).stderr
    assert "not today; what was done outside is compensated" in said
    assert "ask again  gitckpt run" in said
    assert "gitckpt approve" in repo.run("run", ok=3).stderr
