"""Objects that cannot be read any more: what the workspace still holds is stored anew before anything is built on it or
put over it, and where nothing holds it, nothing is moved."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.test_run import workflow
from tests.damage import flip, lose
from tests.repo import Repo

BRANCH = "gitckpt/demo"
ONE = "mkdir sub; seq 100 > a; seq 50 > sub/x; ln -s a link"


@pytest.fixture
def done(repo: Repo) -> Repo:
    """0001 start · 0002 one · 0003 two; `three` fails until there is a file `go`."""
    workflow(repo, f"one: {{run: '{ONE}'}}\ntwo: {{run: echo b > b}}\nthree: {{run: test -e go}}")
    repo.run("run", ok=1)
    return repo


def fsck(repo: Repo) -> int:
    return subprocess.run(["git", "fsck", "--strict"], cwd=repo.path, capture_output=True, check=False).returncode


def files(repo: Repo) -> dict[str, bytes | str]:
    """The workspace byte for byte, without what is gitckpt's or git's."""
    found: dict[str, bytes | str] = {}
    for at, folders, names in os.walk(repo.path):
        folders[:] = [name for name in folders if name not in (".git", ".gitckpt")]
        for path in (Path(at, name) for name in names):
            found[str(path.relative_to(repo.path))] = os.readlink(path) if path.is_symlink() else path.read_bytes()
    return found


def refs(repo: Repo) -> str:
    return repo.git("for-each-ref", "refs/heads/gitckpt", "refs/tags/gitckpt", "refs/gitckpt")


def test_going_back_over_damaged_files_keeps_the_only_good_copies(done: Repo) -> None:
    before = files(done)
    for path in ("a", "sub/x", "link"):
        flip(done.path, done.git("rev-parse", f"{BRANCH}:{path}"))
    said = done.run("verify", ok=1).stdout
    assert "doctor --repair stores all of it anew" in said
    assert "rollback" not in said, "what can be healed needs no way back"
    assert "3 objects of the history could not be read; stored anew" in done.run("rollback", "1").stderr
    assert set(files(done)) == {"gitckpt.yaml"}
    done.run("undo")
    assert files(done) == before
    done.run("rollback", "start")
    done.run("restore", "2", "a")
    assert (done.path / "a").read_bytes() == before["a"]
    assert done.run("verify").stdout.startswith("Sound: ")
    # Git reads the good copy, but does not call a repository sound in which the damaged one lies.
    assert fsck(done) != 0
    assert "a whole pack" in done.run("doctor", ok=1).stdout
    assert "put a whole pack in the place" in done.run("doctor", "--repair").stdout
    assert (fsck(done), len([*done.path.glob(".git/gitckpt/quarantine/pack-*.pack")])) == (0, 1)


def test_an_excluded_file_that_a_checkpoint_holds_is_kept_as_well(repo: Repo) -> None:
    workflow(repo, "one: {run: seq 90 > model.bin}")
    repo.run("run")
    good = repo.git("rev-parse", f"{BRANCH}:model.bin")
    workflow(repo, "one: {run: seq 90 > model.bin}", 'workspace: {exclude: ["model.bin"]}\n')
    flip(repo.path, good)
    repo.run("rollback", "start")
    assert repo.git("cat-file", "-s", good) == str(len("".join(f"{number}\n" for number in range(1, 91))))
    repo.run("doctor", "--repair")


def test_a_run_heals_what_it_builds_on_and_doctor_heals_the_same_way(done: Repo) -> None:
    tree, state = (done.git("rev-parse", f"{BRANCH}:{path}") for path in ("sub", ".gitckpt/state.json"))
    flip(done.path, tree)
    assert "1 object of the history could not be read; stored anew" in done.run("run", ok=1).stderr
    assert done.run("verify").stdout.startswith("Sound: ")
    flip(done.path, done.git("rev-parse", f"{BRANCH}:a"))
    flip(done.path, state)  # made again from the events, and the state before it
    assert "stored 2 objects anew, from your files" in done.run("doctor", "--repair").stdout
    assert fsck(done) == 0
    lose(done.path, done.git("rev-parse", f"{BRANCH}:sub/x"))
    done.break_on_purpose("a whole pack is lost, and with it checkpoints that nothing else holds")
    assert "the checkpoints before 0005" in done.run("run", ok=5).stderr


def test_a_run_does_not_build_on_what_nothing_holds_any_more(done: Repo) -> None:
    good = (done.path / "a").read_bytes()
    flip(done.path, done.git("rev-parse", f"{BRANCH}:a"))
    done.write("a", "mine\n")
    before, there = files(done), refs(done)
    said = done.run("run", ok=5).stderr
    assert "damaged or gone in the repository, and your files do not have it any more: a" in said
    assert "git fetch --refetch CLONE gitckpt/demo" in said
    assert (files(done), refs(done)) == (before, there)
    assert "bring what is missing from a clone" in done.run("verify", ok=1).stdout
    done.write("a", good)
    assert "stored anew" in done.run("run", ok=1).stderr
    done.write("a", "mine\n")
    done.run("run", ok=1)
    done.run("doctor", "--repair")


def test_a_clone_brings_back_what_is_lost_and_an_adoption_goes_on_without(done: Repo) -> None:
    done.git("clone", "-q", "--mirror", "--no-hardlinks", ".", "../clone")
    flip(done.path, done.git("rev-parse", f"{BRANCH}:a"))
    done.write("a", "mine\n" * 50)
    done.run("run", ok=5)
    assert "1 finding" in done.run("doctor", "--repair", ok=1).stdout
    done.git("-c", "maintenance.auto=false", "fetch", "-q", "--refetch", "../clone", BRANCH)
    assert fsck(done) == 0
    assert "three failed" in done.run("run", ok=1).stderr
    flip(done.path, done.git("rev-parse", f"{BRANCH}:a"))
    done.write("a", "mine again\n")
    done.run("run", ok=5)
    done.run("adopt")
    done.write("go")
    done.run("run")
    assert done.git("show", f"{BRANCH}:a") == "mine again"
    done.break_on_purpose("the checkpoint before the adoption has lost a file")


def test_an_attempt_is_not_put_back_with_bytes_that_are_lost(repo: Repo) -> None:
    """The disk fails while the phase runs: its leavings stay until somebody decides."""
    top, tests = repo.path, Path(__file__).parents[2]
    breaks = f'import sys; sys.path.insert(0, "{tests}"); from tests.damage import flip; from pathlib import Path; '
    oid = "$(git rev-parse gitckpt/demo:a)"
    python = os.sys.executable  # type: ignore[attr-defined]
    repo.write("break.sh", f"{python} -c '{breaks}flip(Path(\"{top}\"), sys.argv[1])' {oid}\n")
    workflow(repo, "one: {run: seq 100 > a}\ntwo: {run: 'sh break.sh; echo half > a; echo new > c; false'}")
    said = repo.run("run", ok=5).stderr
    assert "do not have it any more: a" in said
    assert "nothing was moved or recorded" not in said, "a phase was done before"
    assert "two@1 ran, and that is not recorded; what it left is among your files" in said
    assert ((repo.path / "a").read_text(), (repo.path / "c").read_text()) == ("half\n", "new\n")
    assert "0002" in repo.git("log", "-1", "--format=%s", BRANCH)
    assert json.loads(repo.run("status", "--json").stdout)["unfinished"]
    repo.run("run", ok=5)
    repo.write("a", "".join(f"{number}\n" for number in range(1, 101)))
    workflow(repo, "one: {run: seq 100 > a}\ntwo: {run: echo fine > c}")
    repo.run("run")
    repo.run("doctor", "--repair")


@pytest.mark.sweep
@pytest.mark.parametrize("kind", ["none", "overlay", "copy"])
@pytest.mark.parametrize("what", ["a", "sub", "link", ".gitckpt/extra"])
def test_whatever_is_damaged_in_the_midst_of_a_run_no_good_copy_is_lost(repo: Repo, what: str, kind: str) -> None:
    tests = Path(__file__).parents[2]
    breaks = f'import sys; sys.path.insert(0, "{tests}"); from tests.damage import flip; from pathlib import Path; '
    python = os.sys.executable  # type: ignore[attr-defined]
    script = f"{python} -c '{breaks}flip(Path(sys.argv[2]), sys.argv[1])' $(git -C $TOP rev-parse gitckpt/demo:{what})"
    repo.write("break.sh", f"{script} $TOP\n")
    phases = f"""
one: {{run: '{ONE}; chmod 600 a; mkdir empty'}}
two: {{isolation: {kind}, run: 'test "$BREAK" = no || sh break.sh; rm -r sub link; echo other > a'}}
three: {{run: echo c > c}}
"""
    workflow(repo, phases)
    repo.run("run", "--until", "one", ok=75)
    before = files(repo)
    repo.run("run", ok=(0, 5), env={"TOP": str(repo.path)})
    repo.run("doctor", "--repair", ok=(0, 1, 5))
    repo.run("run", ok=(0, 5), env={"TOP": str(repo.path), "BREAK": "no"})
    repo.run("rollback", "one", ok=(0, 5))
    if kind == "none" and what in ("a", "sub", "sub/x", "link"):
        repo.break_on_purpose("the phase itself wrote over the only good copy")
        return
    assert files(repo) == before
    repo.run("doctor", "--repair", ok=(0, 1, 5))
