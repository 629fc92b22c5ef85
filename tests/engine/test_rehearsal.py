"""`test-resume`: a workflow that resumes well is proved to, one that does not is told which phase is to blame."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from gitckpt.api.reading import Where
from gitckpt.api.rehearsing import FailsUndisturbed, RehearsalRequest, rehearse
from tests.cli.test_run import workflow
from tests.repo import Repo

pytestmark = pytest.mark.sweep

SEED = 19
"""Four kills fall between 0.5 and 0.8 of the time: also on a slow machine some of them in the midst of the work."""


@pytest.fixture(autouse=True)
def own_place_for_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python remembers where temporary files go, and other tests run at the same time."""
    monkeypatch.setattr(tempfile, "tempdir", None)


def quiet(text: str) -> None:
    """Nobody listens."""


def left_behind() -> list[str]:
    return [path.name for path in Path(tempfile.gettempdir()).glob("gitckpt-rehearsal-*")]


def test_a_workflow_that_resumes_well_comes_to_the_same_end(repo: Repo) -> None:
    workflow(repo, "a: {run: 'cat in > a; sleep 0.2; cat in >> a'}\nb: {foreach: [x, y], run: 'sleep 0.1; cp a $ITEM'}")
    repo.write("in", "in\n")
    repo.write(".gitignore", "secret\n")
    repo.write("secret", "not captured\n")
    said = repo.run("test-resume", "--kills", "1", "--seed", str(SEED))
    assert "The same end after 1 kill as undisturbed" in said.stdout
    assert said.stderr.count("; resumed") == 1
    assert sorted(path.name for path in repo.path.iterdir()) == [".git", ".gitignore", "gitckpt.yaml", "in", "secret"]
    assert repo.git("for-each-ref") == ""
    assert not (repo.path / ".git/gitckpt").exists()
    assert left_behind() == []


def test_the_phase_that_does_another_thing_the_second_time_is_to_blame(repo: Repo) -> None:
    """It looks at a file that no checkpoint holds: the one way to see, in the workspace, that it was begun before."""
    begun = "if [ -e cache/begun ]; then echo twice > out; else mkdir cache; > cache/begun; sleep 0.8; echo > out; fi"
    workflow(repo, f"calm: {{run: echo calm > calm; date +%N > when}}\nodd: {{run: '{begun}'}}")
    repo.write(".gitignore", "cache/\n")
    found = rehearse(Where(directory=repo.path), RehearsalRequest(kills=4, seed=SEED), quiet)
    assert not found.equal
    assert [(each.name, each.phase, each.anyway) for each in found.differences] == [
        ("out", "odd", False), ("when", "calm", True)
    ]  # fmt: skip


def test_a_workflow_that_fails_by_itself_is_no_proof_of_anything(repo: Repo) -> None:
    workflow(repo, "a: {run: test -e ignored}")
    repo.write(".gitignore", "ignored\n")
    repo.write("ignored")
    with pytest.raises(FailsUndisturbed) as failed:
        rehearse(Where(directory=repo.path), RehearsalRequest(), quiet)
    assert "undisturbed, a fails: it ended with exit code 1" in failed.value.message
    assert "include" in failed.value.hint
    assert left_behind() == []


def test_gates_and_what_reaches_out_are_refused_without_a_word(repo: Repo) -> None:
    workflow(repo, "a: {run: 'true', compensate: 'true'}\nyes: {gate: {prompt: Go?, fields: {WHO: {required: true}}}}")
    assert "a (has `compensate`), yes (is a gate)" in repo.run("test-resume", ok=2).stderr
    assert "stops at the gate yes" in repo.run("test-resume", "--yes", ok=2).stderr
    assert "WHO is required" in repo.run("test-resume", "--yes", "--answer-gates", ok=2).stderr


@pytest.mark.full
def test_gates_are_answered_and_items_go_on(repo: Repo) -> None:
    workflow(
        repo, "yes: {gate: {prompt: Go?, fields: {WHO: {required: true}}}}\na: {run: 'sleep 1; echo $FORM_WHO > a'}"
    )
    said = repo.run("test-resume", "--yes", "--answer-gates", "--field", "WHO=Ann", "--kills", "3")
    assert "The same end after" in said.stdout
