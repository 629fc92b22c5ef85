"""Whole runs with views, for whoever runs the tests; as the superuser once more for an ordinary user with a home of its
own, who needs a user namespace for each overlay.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.test_run import start, wait_for, workflow
from tests.execute.bench import eventually
from tests.execute.stage import IS_SUPERUSER
from tests.ordinary import passes_for_an_ordinary_user
from tests.repo import Repo

pytestmark = pytest.mark.sweep

VIEWS = ("overlay", "copy")

PHASES = """\
fetch: {needs: [], run: "mkdir data; echo 1 > data/one; echo old > data/old; chmod 600 data/one"}
rows: {foreach: [a, b, c], max_parallel: 3, run: 'echo "$ITEM" > "row-$ITEM"; rm -f kept; echo new > kept'}
left: {needs: [fetch], run: "rm -r data/old; mkdir -p out/deep; mv data/one out/deep/"}
right: {needs: [fetch], run: "echo more >> log; ln -s ../log data/link"}
join: {needs: [rows, left, right], run: "cat log row-* out/deep/one > joined; test ! -e data/old"}
"""


def files(repo: Repo) -> dict[str, str]:
    """What lies in the workspace, without git's and gitckpt's own."""
    return {
        str(path.relative_to(repo.path)): path.read_text()
        for path in sorted(repo.path.rglob("*"))
        if path.is_file() and not {".git", ".gitckpt"} & set(path.relative_to(repo.path).parts)
    }


def assert_nothing_is_left(repo: Repo) -> None:
    """No view, no mount, no process of an attempt."""
    place = repo.path / ".git/gitckpt/workspaces"
    assert list(place.glob("*/views/*")) == []
    assert os.fspath(repo.path) not in Path("/proc/self/mountinfo").read_text()
    assert list(place.glob("*/pids")) == []


@pytest.mark.parametrize("isolation", VIEWS)
def test_a_parallel_workflow_ends_as_it_would_one_after_the_other(repo: Repo, isolation: str) -> None:
    repo.write("kept", "mine\n")
    repo.write("log", "begun\n", mode=0o640)
    workflow(repo, PHASES, top=f"isolation: {isolation}\n")
    repo.run("run")
    text = (repo.path / "gitckpt.yaml").read_text()
    assert files(repo) == {
        "data/link": "begun\nmore\n",
        "gitckpt.yaml": text,
        "joined": "begun\nmore\na\nb\nc\n1\n",
        "kept": "new\n",
        "log": "begun\nmore\n",
        "out/deep/one": "1\n",
        **{f"row-{name}": f"{name}\n" for name in "abc"},
    }
    assert (repo.path / "out/deep/one").stat().st_mode & 0o777 == 0o600
    assert {path.stat().st_uid for path in repo.path.rglob("*")} == {os.getuid()}
    assert repo.git("show", "--format=", "--name-only", "gitckpt/demo^2", "--", ":!.gitckpt") == "joined"
    assert repo.run("verify").stdout.startswith("Sound")
    assert_nothing_is_left(repo)


@pytest.mark.parametrize("isolation", VIEWS)
def test_after_a_kill_what_had_ended_is_kept_and_the_rest_begins_again(repo: Repo, isolation: str) -> None:
    waits = 'echo x >> "$HOME/slow"; test $(wc -l < "$HOME/slow") -gt 1 || sleep 60; echo slow > slow'
    workflow(
        repo,
        f"quick: {{needs: [], run: 'echo x >> \"$HOME/quick\"; echo q > quick'}}\nslow: {{needs: [], run: '{waits}'}}",
        top=f"isolation: {isolation}\n",
    )
    run = start(repo, "run")
    home = Path(os.environ["HOME"])
    wait_for(home / "slow")
    assert eventually(lambda: "quick done" in repo.git("log", "--all", "--format=%s"))
    assert run.poll() is None
    run.kill()
    run.wait()
    repo.run("run")
    assert (files(repo)["quick"], files(repo)["slow"]) == ("q\n", "slow\n")
    assert ((home / "quick").read_text(), (home / "slow").read_text()) == ("x\n", "x\nx\n")
    assert_nothing_is_left(repo)


@pytest.mark.parametrize("isolation", VIEWS)
def test_what_a_failed_phase_left_unreadable_is_kept_and_a_conflict_is_decided(repo: Repo, isolation: str) -> None:
    repo.write("f", "mine\n", mode=0o644)
    workflow(
        repo,
        "bad: {needs: [], run: 'mkdir d; echo half > d/half; chmod 0 d/half d f; exit 3', on_failure: continue}\n"
        "one: {needs: [], run: 'echo 1 > both'}\n"
        "two: {needs: [], run: 'echo 2 > both'}",
        top=f"isolation: {isolation}\n",
    )
    repo.run("run", ok=5)
    assert not (repo.path / "d").exists()
    assert (repo.path / "f").stat().st_mode & 0o777 == 0o644
    assert repo.git("show", "refs/gitckpt/demo/attempts/bad/1:d/half") == "half"
    modes = [line for line in repo.run("diff", "bad@1").stdout.splitlines() if line.startswith("# ")]
    assert modes == ["# d: folder made with mode 0000", "# d/half: made with mode 0000", "# f: mode 0644 -> 0000"]
    assert files(repo)["both"] == "1\n"
    (found,) = json.loads(repo.run("resolve", "--json", ok=5).stdout)["conflicts"]
    assert (found["phase"], found["ours"], found["paths"]) == ("two", ["one"], ["both"])
    repo.run("resolve", "--theirs")
    assert files(repo)["both"] == "2\n"
    assert_nothing_is_left(repo)


@pytest.mark.parametrize("isolation", VIEWS)
def test_a_folder_that_nobody_may_enter_lands_and_is_asked_about_where_that_hinders(repo: Repo, isolation: str) -> None:
    """The superuser may enter it all the same, and is hindered by nothing."""
    workflow(
        repo,
        "shut: {needs: [], run: 'mkdir d; echo 1 > d/f; chmod 0 d'}\n"
        "open: {needs: [], run: 'echo 1 > e'}\n"
        "after: {needs: [shut, open], run: 'chmod 700 d; echo 2 > d/f; chmod 0 d'}",
        top=f"isolation: {isolation}\n",
    )
    done = repo.run("run", ok=0 if IS_SUPERUSER else 1)
    assert (repo.path / "d").stat().st_mode & 0o777 == 0
    if not IS_SUPERUSER:
        assert "error: cannot read d: Permission denied\n" in done.stderr
        assert "\n  make it readable" in done.stderr
        (repo.path / "d").chmod(0o700)
        repo.run("run", ok=(0, 1))
        (repo.path / "d").chmod(0o700)
        repo.run("run")
    (repo.path / "d").chmod(0o700)
    assert files(repo)["d/f"] == "2\n"
    assert_nothing_is_left(repo)


def test_overlays_can_be_had_here_and_doctor_says_what_differs_for_this_user(repo: Repo) -> None:
    workflow(repo, "a: {needs: [], run: 'true'}")
    said = repo.run("doctor").stdout
    assert "overlays work here" in said
    assert ("setuid programs get no rights" in said) == (os.geteuid() != 0)


if IS_SUPERUSER:

    def test_all_of_it_holds_for_an_ordinary_user() -> None:
        passes_for_an_ordinary_user("tests/faults/test_unprivileged.py")
