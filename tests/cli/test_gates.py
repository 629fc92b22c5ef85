"""Gates through the real command line: without a terminal, on one, from another shell, and from a clone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from gitckpt.api.library import run
from gitckpt.model.moment import Verdict
from tests.cli.pty_bench import on_terminal
from tests.cli.test_run import state, subjects, workflow
from tests.repo import Repo, Watched

WIZARD = """\
build: {run: echo built > built}
account:
  gate:
    prompt: "Who for $VERSION?"
    show: diff build
    fields:
      email: {required: true, pattern: '[^@]+@[^@]+', desc: the invoice}
      plan: {choices: [free, pro], default: free}
create: {run: 'echo "$FORM_EMAIL $FORM_PLAN" > account'}
"""
PARAMS = "params: {VERSION: {default: v1}}\n"


def at_the_gate(repo: Repo) -> None:
    """A run that waits, begun without a terminal."""
    workflow(repo, WIZARD, top=PARAMS)
    assert run(repo.path).verdict is Verdict.WAITING


def test_without_a_terminal_the_run_ends_with_3_and_holds_no_lock(repo: Repo) -> None:
    workflow(repo, WIZARD, top=PARAMS)
    said = repo.run("run", ok=3).stderr
    assert "account waits: Who for v1?" in said
    assert "gitckpt approve account" in said
    told = json.loads(repo.run("approve", "--field", "email=a@b", "--json", "-m", "known").stdout)
    assert told == {"schema": 1, "phase": "account", "answer": "approved", "checkpoint": 4}
    repo.run("run")
    assert (repo.path / "account").read_text() == "a@b free\n"
    assert "account approved by Ann Example: known" in subjects(repo)
    assert state(repo)["source"]["author"] == "ann@example.org"  # type: ignore[index]


def test_a_refused_answer_says_every_problem_and_ends_with_2(repo: Repo) -> None:
    at_the_gate(repo)
    said = repo.run("approve", "--field", "plan=gold", ok=2).stderr
    assert "account: email is required: the invoice\n" in said
    assert "account: plan must be one of free, pro\n" in said
    assert "given twice" not in said
    assert "twice" in repo.run("approve", "--field", "a=1", "--field", "a=2", ok=2).stderr
    assert "near it: account" in repo.run("reject", "acount", ok=2).stderr


def test_approve_on_a_terminal_shows_what_it_is_about_and_asks_for_what_is_missing(repo: Repo) -> None:
    at_the_gate(repo)
    code, screen = on_terminal(repo.path, "approve", says=[("email (the invoice)", "nobody"), ("must match", "a@b.c")])
    assert (code, "+built" in screen, "Who for v1?" in screen) == (0, True, True)
    assert screen.index("+built") < screen.index("Who for v1?") < screen.index("email (the invoice)")
    phases = state(repo)["phases"]
    assert isinstance(phases, dict)
    assert phases["account"]["answers"] == {"email": "a@b.c", "plan": "free"}


def test_run_on_a_terminal_asks_at_the_gate_and_goes_on_in_the_same_call(repo: Repo) -> None:
    workflow(repo, WIZARD, top=PARAMS)
    says = [("or leave it for later", "a"), ("email", "a@b"), ("plan (free/pro) [free]", "pro"), ("reason", "fine")]
    code, screen = on_terminal(repo.path, "run", says=says)
    assert (code, "Complete, at 0005" in screen) == (0, True)
    assert (repo.path / "account").read_text() == "a@b pro\n"
    assert subjects(repo)[-2:] == ["account approved by Ann Example: fine", "create done"]


def test_on_a_terminal_a_gate_can_be_left_for_later_or_rejected(repo: Repo) -> None:
    workflow(repo, WIZARD, top=PARAMS)
    code, screen = on_terminal(repo.path, "run", says=[("later [later]", "")])
    assert (code, "gitckpt approve account" in screen) == (3, True)
    code, screen = on_terminal(
        repo.path, "run", says=[("later [later]", "what"), ("later [later]", "r"), ("reason", "no")]
    )
    assert (code, "gitckpt retry account" in screen) == (1, True)
    assert "rejected by Ann Example: no" in screen


def test_the_wizard_goes_on_in_a_clone(repo: Repo, tmp_path: Path, watch_repository: Callable[[Path], Watched]) -> None:
    workflow(repo, WIZARD, top=PARAMS)
    repo.commit()
    assert run(repo.path).verdict is Verdict.WAITING
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", repo.path, clone], check=True)
    for key, value in (("user.name", "Bob"), ("user.email", "bob@example.org")):
        subprocess.run(["git", "-C", clone, "config", key, value], check=True)
    watch_repository(clone)
    assert "gitckpt rollback latest" in repo.run("approve", "--field", "email=b@c", ok=5, cwd=clone).stderr
    repo.run("rollback", "latest", cwd=clone)
    repo.run("approve", "--field", "email=b@c", cwd=clone)
    assert run(clone).verdict is Verdict.COMPLETE
    assert (clone / "account").read_text() == "b@c free\n"
