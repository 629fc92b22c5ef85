"""Scripts that make checkpoints without a workflow file, and the one that is adopted with three lines."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from difflib import ndiff
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.repo import Repo

ADOPT = PROJECT / "examples" / "adopt"
REPORT = "north: 200\nsouth: 200\nwest: 200\n"

# Bash sources this before a script: the script itself stays as it is, and dies before a command.
KILLER = """\
trap '(( ++commands == ${KILL_AT:-0} )) || [[ $BASH_COMMAND == "${KILL_BEFORE:-none}"* ]] && kill -9 $$' DEBUG
"""


class Script:
    """The adopted script in a repository, called as a person calls it."""

    def __init__(self, repo: Repo, folder: Path) -> None:
        self.repo = repo
        repo.write("after.sh", (ADOPT / "after.sh").read_text(), 0o755)
        (folder / "bin").mkdir()
        (folder / "bin/gitckpt").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m gitckpt "$@"\n')
        (folder / "bin/gitckpt").chmod(0o755)
        self.killer = folder / "killer.bash"
        self.killer.write_text(KILLER)
        self.path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"

    def call(self, *, kill_at: int = 0, kill_before: str = "none") -> subprocess.CompletedProcess[str]:
        kill = {"BASH_ENV": str(self.killer), "KILL_AT": str(kill_at), "KILL_BEFORE": kill_before}
        env = {**os.environ, "PATH": self.path, **kill}
        return subprocess.run(
            ["./after.sh"], cwd=self.repo.path, env=env, capture_output=True, text=True, check=False, timeout=60
        )


@pytest.fixture
def script(repo: Repo, tmp_path: Path) -> Script:
    return Script(repo, tmp_path)


def step(repo: Repo) -> str:
    return repo.run("state", "get", "step", ok=(0, 1, 2)).stdout.strip()


def named(repo: Repo, workflow: str = "repo") -> list[str]:
    """The messages of the named checkpoints, oldest first."""
    said = repo.git("log", "--first-parent", "--reverse", "--format=%s", f"gitckpt/{workflow}").splitlines()
    return [line.rpartition(" named ")[2] for line in said if " named " in line]


def test_three_lines_are_added_and_nothing_is_changed() -> None:
    lines = ndiff((ADOPT / "before.sh").read_text().splitlines(), (ADOPT / "after.sh").read_text().splitlines())
    changed = [line for line in lines if not line.startswith(" ")]
    assert [line[:2] for line in changed] == ["+ "] * 3
    assert all(line in (ADOPT / "README.md").read_text() for line in (f"+{each[2:]}" for each in changed))


@pytest.mark.sweep
def test_killed_anywhere_the_adopted_script_goes_on_and_can_be_rolled_back(script: Script) -> None:
    repo = script.repo
    # Before the state file says it, before the state is recorded, and before what was recorded has its name.
    for before, state in (("echo COUNT", ""), ("gitckpt state set", "COUNT"), ("gitckpt checkpoint", "CLEAN")):
        assert script.call(kill_before=before).returncode == -signal.SIGKILL
        assert step(repo) == state
        assert script.call().returncode == 0
    assert step(repo) == "COMPLETE"
    assert (repo.path / "report.txt").read_text() == REPORT
    assert named(repo) == ["COLLECT", "COUNT", "CLEAN"]
    repo.run("rollback", repo.git("log", "--format=%H", "-1", "--grep=named COUNT", "gitckpt/repo"))
    assert step(repo) == "REPORT"
    assert not (repo.path / "report.txt").exists()
    assert script.call().returncode == 0
    assert (repo.path / "report.txt").read_text() == REPORT


@pytest.mark.full
@pytest.mark.parametrize("kill_at", range(2, 24, 3))
def test_killed_before_any_of_its_commands_the_adopted_script_ends_the_same(script: Script, kill_at: int) -> None:
    repo = script.repo
    while "complete" not in script.call().stdout:
        script.call(kill_at=kill_at)
        assert step(repo) in ("", "COLLECT", "COUNT", "REPORT", "CLEAN", "COMPLETE")
    assert (repo.path / "report.txt").read_text() == REPORT
    assert not (repo.path / "work").exists()


@pytest.mark.full
def test_the_same_script_runs_as_a_phase_and_goes_on_from_its_own_checkpoints(script: Script) -> None:
    repo = script.repo
    loop = 'until [ "$(gitckpt state get step)" = COMPLETE ]; do ./after.sh; done'
    assert loop in (ADOPT / "README.md").read_text()
    repo.write("gitckpt.yaml", f"version: 1\nworkflow: report\nphases:\n  report:\n    run: {loop}\n")
    killed = {"PATH": script.path, "BASH_ENV": str(script.killer), "KILL_BEFORE": "echo CLEAN"}
    repo.run("run", env=killed, ok=1, timeout=120)
    assert not (repo.path / "report.txt").exists()
    assert (repo.path / ".report_state").read_text() == "REPORT\n"
    repo.run("run", env={"PATH": script.path})
    state = json.loads(repo.git("show", "gitckpt/report:.gitckpt/state.json"))
    assert state["data"] == {"step": "COMPLETE"}
    assert (repo.path / "report.txt").read_text() == REPORT
    assert named(repo, "report") == ["COLLECT", "COUNT", "REPORT", "CLEAN"]


def test_scripts_of_several_folders_have_workflows_of_their_own(repo: Repo) -> None:
    for name in ("a/b", "c"):
        repo.write(f"{name}/file")
        (repo.path / name / "sub").mkdir()
        said = repo.run("checkpoint", "-m", name, cwd=repo.path / name).stderr
        assert f"workflow {name.replace('/', '-')}" in said
    repo.run("state", "set", "k", "1", cwd=repo.path / "c/sub")
    assert json.loads(repo.run("state", "get", cwd=repo.path / "c").stdout) == {"k": 1}
    assert json.loads(repo.run("state", "get", cwd=repo.path / "a/b/sub").stdout) == {}
    assert "made by scripts, at 0003" in repo.run("status", cwd=repo.path / "c").stdout
    assert set(repo.git("branch", "--list", "gitckpt/*", "--format=%(refname:short)").split()) == {
        "gitckpt/a-b",
        "gitckpt/c",
    }


@pytest.mark.parametrize("command", ["run", "plan", "lint", "log", "state get", "rollback 1", "skip a", "reset"])
def test_only_a_checkpoint_or_data_begins_a_workflow_without_a_file(repo: Repo, command: str) -> None:
    assert "no gitckpt.yaml" in repo.run(*command.split(), ok=2).stderr
    assert repo.git("for-each-ref") == ""


def test_a_workflow_that_has_a_file_is_not_taken_for_one_of_scripts(repo: Repo) -> None:
    repo.write("gitckpt.yaml", "version: 1\nworkflow: repo\nphases: {a: {run: touch a}}\n")
    repo.run("run")
    (repo.path / "gitckpt.yaml").rename(repo.path / "other.yaml")
    before = repo.git("rev-parse", "gitckpt/repo")
    assert "workflow repo comes from gitckpt.yaml" in repo.run("checkpoint", "-m", "x", ok=2).stderr
    assert repo.git("rev-parse", "gitckpt/repo") == before
    assert "0002" in repo.run("--file", "other.yaml", "log").stdout


def test_a_clone_finds_the_checkpoints_of_scripts_whatever_it_is_called(repo: Repo, tmp_path: Path) -> None:
    repo.write("file", "1\n")
    repo.commit()
    repo.run("state", "set", "k", "1")
    subprocess.run(["git", "clone", "-q", repo.path, tmp_path / "other"], check=True)
    subprocess.run(["git", "-C", tmp_path / "other", "config", "user.email", "bob@example.org"], check=True)
    repo.run("checkpoint", "-m", "mine", cwd=tmp_path / "other", ok=5)
    repo.run("rollback", "latest", cwd=tmp_path / "other")
    assert json.loads(repo.run("state", "get", cwd=tmp_path / "other").stdout) == {"k": 1}
