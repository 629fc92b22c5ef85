"""Several runs at the same time: in one repository, in several workspaces, and one inside a phase of another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_run import wait_for
from tests.repo import Repo

pytestmark = pytest.mark.sweep

GITCKPT = '"$GITCKPT_PYTHON" -m gitckpt'
MEETING = 'touch "$HOME/$ME"; until test -e "$HOME/$OTHER"; do sleep 0.01; done'
"""A command that only ends when another one runs at the same time."""


def write(folder: Path, name: str, phases: str, top: str = "", file: str = "gitckpt.yaml") -> Path:
    """A workflow file in that folder, each phase a line."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"  {line}\n" for line in phases.strip().splitlines())
    (folder / file).write_text(f"version: 1\nworkflow: {name}\n{top}phases:\n{lines}")
    return folder


def meeting(folder: Path, me: str, other: str) -> Path:
    """A workflow that can only end while the other one runs."""
    top = f"env: {{ME: {me}, OTHER: {other}}}\n"
    phases = (
        f"meet: {{needs: [], timeout: 20s, run: '{MEETING}; echo $ME > met'}}\nside: {{needs: [], run: echo > side}}"
    )
    return write(folder, me, phases, top)


def begin(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A command in the background, whose words are kept."""
    return subprocess.Popen(
        [sys.executable, "-m", "gitckpt", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(*commands: subprocess.Popen[str]) -> list[int]:
    """The exit codes, once all have ended; what they said where one is not 0."""
    said = [each.communicate(timeout=60)[0] for each in commands]
    assert all(each.returncode == 0 for each in commands), said
    return [each.returncode for each in commands]


def files_of(repo: Repo, workflow: str) -> list[str]:
    """What the newest checkpoint holds, without gitckpt's own."""
    names = repo.git("ls-tree", "-r", "--name-only", f"gitckpt/{workflow}").splitlines()
    return [name for name in names if ".gitckpt/" not in name]


def home(name: str) -> Path:
    return Path(os.environ["HOME"], name)


def test_two_workflows_in_two_subfolders_run_at_once_and_each_history_has_its_own_files(repo: Repo) -> None:
    runs = [begin(meeting(repo.path / me, me, other), "run") for me, other in (("one", "two"), ("two", "one"))]
    ended(*runs)
    for name in ("one", "two"):
        assert files_of(repo, name) == [f"{name}/{file}" for file in ("gitckpt.yaml", "met", "side")]
        assert (repo.path / name / "met").read_text() == f"{name}\n"


def test_two_worktrees_run_at_once(repo: Repo) -> None:
    repo.commit()
    repo.git("worktree", "add", "-q", "../second")
    second = repo.path.parent / "second"
    ended(begin(meeting(repo.path, "one", "two"), "run"), begin(meeting(second, "two", "one"), "run"))
    assert files_of(repo, "one") == files_of(repo, "two") == ["gitckpt.yaml", "met", "side"]
    assert (second / "met").read_text() == "two\n"
    views = (repo.path / ".git/gitckpt/workspaces").glob("*/views/*")
    assert list(views) == [], "the views of both are gone"


@pytest.mark.parametrize(
    ("where", "words"),
    [
        pytest.param(("run",), "has held this since", id="the same workflow"),
        pytest.param(
            ("run", "--file", "other.yaml"), "has held this since", id="another file", marks=pytest.mark.sweep
        ),
        pytest.param(("-C", "sub", "run"), "has held this since", id="a folder inside", marks=pytest.mark.sweep),
    ],
)
def test_a_second_run_in_the_same_files_ends_with_4_and_the_first_one_does_not_notice(
    repo: Repo, where: tuple[str, ...], words: str
) -> None:
    wait = 'touch "$HOME/began"; until test -e "$HOME/go"; do sleep 0.01; done; echo x > x'
    write(repo.path, "one", f"a: {{needs: [], run: '{wait}'}}\nb: {{needs: [], run: echo b > b}}")
    write(repo.path, "other", "a: {run: echo o > o}", file="other.yaml")
    write(repo.path / "sub", "sub", "a: {run: echo s > s}")
    first = begin(repo.path, "run")
    wait_for(home("began"))
    refused = repo.run(*where, ok=4).stderr
    home("go").touch()
    ended(first)
    assert f"process {first.pid} on" in refused
    assert words in refused
    assert not (repo.path / "o").exists()
    assert not (repo.path / "sub/s").exists()
    repo.run("run", "--file", "other.yaml")  # in turn they may
    assert (repo.path / "o").exists()


def test_a_workspace_around_one_that_runs_is_busy_too(repo: Repo) -> None:
    wait = 'touch "$HOME/began"; until test -e "$HOME/go"; do sleep 0.01; done'
    write(repo.path, "top", "a: {run: echo top > top}")
    first = begin(write(repo.path / "sub", "sub", f"a: {{run: '{wait}'}}"), "run")
    wait_for(home("began"))
    repo.run("run", ok=4)
    home("go").touch()
    ended(first)
    assert not (repo.path / "top").exists()


@pytest.mark.parametrize(
    ("place", "isolation"),
    [
        ("inside", "overlay"),
        pytest.param("another folder", "overlay", marks=pytest.mark.sweep),
        pytest.param("another folder", "copy", marks=pytest.mark.sweep),
        pytest.param("inside", "none", marks=pytest.mark.sweep),
        pytest.param("inside", "copy", marks=pytest.mark.sweep),
        pytest.param("beside", "overlay", marks=pytest.mark.sweep),
    ],
)
def test_a_phase_may_run_another_workspace(repo: Repo, place: str, isolation: str) -> None:
    outer = repo.path / "outer"
    inner = {"another folder": repo.path / "inner", "inside": outer / "inner", "beside": repo.path.parent / "beside"}
    where = inner[place]
    write(where, "nested", "x: {needs: [], run: echo x > x}\ny: {needs: [], run: echo y > y}")
    if place != "another folder":
        subprocess.run(["git", "init", "-q", where], check=True)
    nested = "inner" if place == "inside" else str(where)  # what lies inside is part of the view
    write(
        outer,
        "outer",
        f"go: {{needs: [], isolation: {isolation}, run: '{GITCKPT} -C {nested} run; {GITCKPT} state set k 1'}}\n"
        "side: {needs: [], run: echo side > side}",
    )
    done = repo.run("run", cwd=outer)
    assert (where / "x").read_text() == "x\n", done.stderr
    assert (where / "y").read_text() == "y\n"
    said = json.loads(repo.run("status", "--json", cwd=where).stdout)
    assert [phase["status"] for phase in said["phases"]] == ["completed", "completed"]
    assert "Complete already" in repo.run("run", cwd=where).stderr
    assert json.loads(repo.run("state", "get", cwd=outer).stdout) == {"k": 1}, "it is the outer run's, not the nested"
    assert repo.run("verify", cwd=where).stdout.startswith("Sound")


@pytest.mark.parametrize("isolation", ["overlay", pytest.param("copy", marks=pytest.mark.sweep)])
def test_git_in_a_view_of_a_subfolder_finds_the_repository(repo: Repo, isolation: str) -> None:
    repo.write("outer/tracked")
    repo.commit("mine")
    run = "git log -1 --format=%s > found; git rev-parse --show-prefix >> found; git ls-files >> found"
    write(repo.path / "outer", "outer", f"a: {{isolation: {isolation}, run: {run}}}")
    repo.run("run", cwd=repo.path / "outer")
    assert (repo.path / "outer/found").read_text() == "mine\nouter/\ntracked\n"


@pytest.mark.parametrize("isolation", ["overlay", pytest.param("copy", marks=pytest.mark.sweep)])
def test_what_would_move_the_workspace_is_busy_inside_of_a_view_and_changes_nothing(repo: Repo, isolation: str) -> None:
    refused = ("run", "undo", "rollback start", "-C deep run")
    lines = "".join(f"{GITCKPT} {each} 2>> said; echo $? >> codes\n" for each in refused)
    repo.write("inside.sh", f"mkdir deep; echo before > mine\n{lines}cat said codes; rm said codes\n")
    write(
        repo.path,
        "demo",
        "first: {needs: [], run: echo 1 > first}\n"
        f"second: {{needs: [first], isolation: {isolation}, run: sh inside.sh}}\n"
        "third: {needs: [first], run: echo 3 > third}",
    )
    repo.run("run")
    said = repo.run("output", "second").stdout
    assert said.splitlines()[-len(refused) :] == ["4"] * len(refused)
    assert said.count("has held this since") == len(refused)
    assert (repo.path / "mine").read_text() == "before\n"
    assert [
        line.split()[1] for line in repo.git("log", "--first-parent", "--format=%s", "gitckpt/demo").splitlines()
    ] == [
        "third",
        "second",
        "first",
        "start",
    ]


@pytest.mark.parametrize("isolation", ["overlay", pytest.param("copy", marks=pytest.mark.sweep)])
def test_reading_and_recording_inside_of_a_view_are_about_the_whole_workflow(repo: Repo, isolation: str) -> None:
    commands = {
        "status": "status --json",
        "diff": "diff first",
        "set": "state set seen 7",
        "get": "state get seen",
        "checkpoint": "checkpoint -m half",
        "after": "show latest",
        "doctor": "doctor",
    }
    lines = "".join(
        f'{GITCKPT} {command} > "$HOME/{name}"; echo $? > "$HOME/{name}.code"\n' for name, command in commands.items()
    )
    repo.write("inside.sh", f"echo half > mine\n{lines}echo whole > mine\n")
    write(
        repo.path,
        "demo",
        "first: {needs: [], run: echo 1 > first}\n"
        f"second: {{needs: [first], isolation: {isolation}, run: sh inside.sh}}\n"
        "third: {needs: [first], run: echo 3 > third}",
    )
    repo.run("run")
    told = {name: home(name).read_text() for name in commands}
    codes = {name: int(home(f"{name}.code").read_text()) for name in commands}
    assert codes == dict.fromkeys(commands, 0), told
    phases = {phase["name"]: phase["status"] for phase in json.loads(told["status"])["phases"]}
    assert (phases["first"], phases["second"]) == ("completed", "running")
    assert "+1" in told["diff"]
    assert told["get"] == "7\n"
    assert "half" in told["after"]
    half = repo.git("log", "--first-parent", "--format=%H", "--grep=half", "gitckpt/demo")
    assert repo.git("show", f"{half}:mine") == "half", "a checkpoint inside holds what the phase had done by then"
    assert (repo.path / "mine").read_text() == "whole\n"
