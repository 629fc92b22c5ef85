"""What the commands say in words: of flags that are wrong, of how far a run is, of why nothing goes back."""

from __future__ import annotations

import json

import pytest

from gitckpt.model.amount import plural
from tests.repo import Repo

HEAD = "version: 1\nworkflow: words\n"
PARAMS = "params: {MODE: {default: fast, pattern: 'fast|slow'}, OTHER: {default: x}}\n"
TWO = "phases:\n  a: {run: 'true'}\n  b: {run: 'true'}\n"


def test_an_amount_of_one_has_a_word_of_its_own() -> None:
    assert [plural(1, "item"), plural(0, "item"), plural(2_000, "file")] == ["1 item", "0 items", "2,000 files"]
    assert [plural(1, "batch"), plural(2, "batch")] == ["1 batch", "2 batches"]


@pytest.mark.parametrize("words", ["NOPE=1", "MODE=sloow", "MODE"])
def test_a_plan_refuses_a_wrong_param_as_run_does(repo: Repo, words: str) -> None:
    repo.write("gitckpt.yaml", HEAD + PARAMS + TWO)
    refused = repo.run("run", "--set", words, ok=2)
    assert repo.run("plan", "--set", words, ok=2).stderr.splitlines()[-2:] == refused.stderr.splitlines()[-2:]
    dry = repo.run("run", "--dry-run", "--set", words, ok=2)
    assert (dry.stdout, dry.stderr.splitlines()[-2:]) == ("", refused.stderr.splitlines()[-2:])


def test_a_plan_refuses_a_secret_and_another_value_than_the_run_began_with(repo: Repo) -> None:
    repo.write("gitckpt.yaml", HEAD + "secrets: [TOKEN]\n" + PARAMS + TWO)
    repo.run("run", "--step", "--set", "MODE=slow", ok=75)
    for words in (["--set", "MODE=fast"], ["--set", "OTHER=hunter2hunter2"]):
        refused = repo.run("run", *words, ok=2, env={"TOKEN": "hunter2hunter2"}).stderr
        assert repo.run("plan", *words, ok=2, env={"TOKEN": "hunter2hunter2"}).stderr == refused
        assert repo.run("run", "--dry-run", *words, ok=2, env={"TOKEN": "hunter2hunter2"}).stderr == refused
    repo.run("plan", "--set", "MODE=slow")


def test_a_dry_run_of_one_step_shows_one_phase_and_one_of_again_a_new_run(repo: Repo) -> None:
    repo.write("gitckpt.yaml", HEAD + TWO)

    def fates(*words: str) -> list[str]:
        return [phase["fate"] for phase in json.loads(repo.run(*words, "--json").stdout)["phases"]]

    assert fates("run", "--dry-run") == ["will run", "will run"]
    assert fates("run", "--dry-run", "--step") == ["will run", "not asked for"]
    repo.run("run", "--step", ok=75)
    assert fates("plan", "--step", "--again") == ["done", "will run"]
    repo.run("run")
    assert fates("plan") == ["done", "done"]
    assert fates("run", "--dry-run", "--again") == ["will run", "will run"]
    assert "`gitckpt run --again` begins a new run" in repo.run("plan", "--again").stdout


def test_a_dry_run_refuses_a_wrong_budget(repo: Repo) -> None:
    repo.write("gitckpt.yaml", HEAD + TWO)
    assert "--budget cannot be 'soon'" in repo.run("run", "--dry-run", "--budget", "soon", ok=2).stderr


def test_a_failure_past_a_pivot_says_why_nothing_is_compensated(repo: Repo) -> None:
    repo.write(
        "gitckpt.yaml",
        HEAD + "phases:\n  a: {run: 'true', compensate: echo undone > undone}\n  paid: {run: 'true', pivot: true}\n"
        "  send: {run: 'false', on_failure: compensate}\n",
    )
    said = repo.run("run", ok=1).stderr
    assert "send failed: exit 1 (nothing is compensated past the pivot paid)\n" in said
    assert not (repo.path / "undone").exists()


def test_status_tells_how_many_phases_are_done(repo: Repo) -> None:
    repo.write("gitckpt.yaml", HEAD + TWO)
    before = json.loads(repo.run("status", "--json").stdout)
    assert (before["phases_done"], before["phases_total"]) == (0, 0)
    repo.run("run", "--step", ok=75)
    assert repo.run("status").stdout.startswith("words   in b, 1/2 phases done, at 0002\n")
    now = json.loads(repo.run("status", "--json").stdout)
    assert (now["phases_done"], now["phases_total"], now["current_state"]) == (1, 2, "b")
    assert all(now[key][10] == "T" and now[key][-6] in "+-" for key in ("started_at", "updated_at"))


def test_one_item_is_never_called_one_items(repo: Repo) -> None:
    repo.write(
        "gitckpt.yaml",
        HEAD + "phases:\n  one: {foreach: [a], run: 'echo 1 > one; echo 2 > two'}\n"
        "  two: {foreach: [a, b], budget: {items: 1}, run: 'echo 1 > three; rm one'}\n",
    )
    said = repo.run("run", ok=75).stderr
    assert "the budget of 1 item is used up" in said
    for words in ("status", "log", "plan", "why two", "items one", "show latest", "log --all"):
        said += repo.run(*words.split()).stdout
    assert "1/1 item\n" in said or "1/1 item " in said
    assert "1 items" not in said
    assert "1 files" not in said


def test_a_file_beside_another_change_is_one_file(repo: Repo) -> None:
    repo.write("old", "1")
    repo.write("gitckpt.yaml", HEAD + "phases:\n  a: {run: 'echo 1 > new; rm old'}\n")
    repo.run("run")
    assert "+1 file, 1 removed" in repo.run("log").stdout


def test_the_last_words_name_all_that_failed_and_was_passed_over(repo: Repo) -> None:
    repo.write(
        "gitckpt.yaml",
        HEAD + "phases:\n  a: {run: exit 4, on_failure: continue}\n  b: {run: exit 5, on_failure: continue}\n"
        "  c: {run: exit 6}\n",
    )
    said = repo.run("run", ok=1).stderr
    at = [said.index(words) for words in ("c failed: exit 6\n", "a failed: exit 4\n", "b failed: exit 5\n")]
    assert at == sorted(at)


def test_at_a_gate_the_last_words_name_what_failed_before_it(repo: Repo) -> None:
    repo.write(
        "gitckpt.yaml",
        HEAD + "phases:\n  a: {run: exit 4, on_failure: continue}\n  ask: {gate: {prompt: Go?}}\n",
    )
    said = repo.run("run", ok=3).stderr
    assert "a failed: exit 4\nask waits: Go?\n" in said
