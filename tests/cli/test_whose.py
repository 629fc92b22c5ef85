"""What you do after a run has died, or has failed for want of room, is yours; what its phase did is the attempt's."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.engine.dying import dies, in_small, stamped
from tests.repo import Repo

VIEWS = ("none", *(pytest.param(kind, marks=pytest.mark.sweep) for kind in ("overlay", "copy")))
"""Where the phase runs: in the workspace itself in the fast tier, in a view of its own as well in the whole one."""

LIFTED = "ulimit -S -f unlimited; head -c 2000000 /dev/urandom"


def define(repo: Repo, phases: str, top: str = "") -> None:
    text = "".join(f"  {line}\n" for line in phases.strip().splitlines())
    repo.write("gitckpt.yaml", f"version: 1\nworkflow: demo\n{top}phases:\n{text}")


def subjects(repo: Repo) -> list[str]:
    """The checkpoints without their numbers, the oldest first."""
    said = repo.git("log", "--first-parent", "--reverse", "--format=%s", "gitckpt/demo")
    return [line.partition(" ")[2] for line in said.splitlines()]


def edit_of(repo: Repo, path: str = "notes.txt") -> list[str]:
    """All that the newest checkpoint with a change of that path changed, which is an edit of the user's."""
    commit = repo.git("log", "--first-parent", "-1", "--format=%H", "gitckpt/demo", "--", path)
    assert '"type": "Edited"' in repo.git("show", f"{commit}:.gitckpt/events.json")
    found = repo.git("diff", "--name-status", "--no-renames", f"{commit}^", commit, "--", ":!.gitckpt")
    return found.replace("\t", " ").splitlines()


def append(repo: Repo, name: str) -> None:
    with (repo.path / name).open("a") as file:
        file.write("mine\n")


def killed_at_work(repo: Repo, began: Path) -> None:
    """A run, killed when its phase has made a file outside; then its last process is gone."""
    running = subprocess.Popen(
        [sys.executable, "-m", "gitckpt", "run"],
        cwd=repo.path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not began.exists():
        assert running.poll() is None
        time.sleep(0.005)
    running.kill()
    running.wait()


@pytest.mark.parametrize("kind", VIEWS)
def test_a_run_killed_before_any_process_of_its_phase_takes_nothing_of_yours(repo: Repo, kind: str) -> None:
    define(repo, 'one: {run: "echo $GITCKPT_ATTEMPT > one; cat notes.txt > seen"}', top=f"isolation: {kind}\n")
    repo.write("notes.txt", "notes\n")
    repo.write("old", "old\n")
    dies(repo, "/phase.lock", "run")
    append(repo, "notes.txt")
    (repo.path / "old").unlink()
    said = repo.run("run").stderr
    assert "cut off" not in said
    assert edit_of(repo) == ["M notes.txt", "D old"]
    assert [word for word in subjects(repo) if "cut off" in word] == []
    assert (repo.path / "seen").read_text() == (repo.path / "notes.txt").read_text() == "notes\nmine\n"
    assert ((repo.path / "one").read_text(), (repo.path / "old").exists()) == ("1\n", False)


@pytest.mark.sweep
@pytest.mark.parametrize("at", ["/workspace.json.new", "/begin.new", "/heartbeat.new", "/output"])
def test_it_is_so_at_every_call_between_the_journal_and_the_start(repo: Repo, at: str) -> None:
    define(repo, 'one: {run: "echo one > one"}')
    repo.write("notes.txt", "notes\n")
    repo.run("run")
    # Of those that are made more than once, that of the attempt.
    dies(repo, at, "run", "--from", "one", time={"/workspace.json.new": 3, "/output": 2}.get(at, 1))
    append(repo, "notes.txt")
    repo.run("run")
    assert edit_of(repo) == ["M notes.txt"]
    assert [word for word in subjects(repo) if "cut off" in word] == []


@pytest.mark.parametrize("kind", VIEWS)
def test_of_an_attempt_too_big_to_store_only_its_own_files_are_moved(repo: Repo, kind: str, tmp_path: Path) -> None:
    began = tmp_path / "began"
    one = f"""
      mkdir -p out; head -c 2000000 /dev/urandom > out/big; echo theirs >> shared; rm old
      test -e {began} || {{ touch {began}; sleep 30; }}
"""
    define(repo, f"one:\n  run: |{one}", top=f"isolation: {kind}\nattempts: {{keep_up_to: 1MiB}}\n")
    for name in ("notes.txt", "shared", "old", "gone"):
        repo.write(name, f"{name}\n")
    killed_at_work(repo, began)
    if kind == "none":
        stamped(repo.path)
    time.sleep(0.02)
    append(repo, "notes.txt")
    (repo.path / "gitckpt.yaml").write_text((repo.path / "gitckpt.yaml").read_text() + "# mine\n")
    (repo.path / "gone").rename(repo.path / "went")
    repo.run("state", "set", "seen", "1")
    assert edit_of(repo) == ["M gitckpt.yaml", "D gone", "M notes.txt", "A went"]
    assert (repo.path / "notes.txt").read_text() == "notes.txt\nmine\n"
    assert [(repo.path / name).read_text() for name in ("shared", "old")] == ["shared\n", "old\n"]
    moved = repo.path / ".git/gitckpt/attempts/demo/one-1"
    if kind != "copy":
        assert sorted(path.name for path in moved.rglob("*") if path.is_file()) == ["big", "shared"]
    assert not (repo.path / "out").exists()
    repo.run("run")
    assert (repo.path / "shared").read_text() == "shared\ntheirs\n"


@pytest.mark.sweep
@pytest.mark.parametrize("time_", [1, 2])
def test_a_death_while_an_attempt_too_big_is_moved_changes_nothing_of_that(
    repo: Repo, tmp_path: Path, time_: int
) -> None:
    began = tmp_path / "began"
    one = f"{LIFTED} > big; {LIFTED} > second.big; rm old; test -e {began} || {{ touch {began}; sleep 30; }}"
    define(repo, f"one: {{run: '{one}'}}", top="attempts: {keep_up_to: 1MiB}\n")
    for name in ("notes.txt", "old", "late"):
        repo.write(name, f"{name}\n")
    killed_at_work(repo, began)
    stamped(repo.path)
    time.sleep(0.02)
    append(repo, "notes.txt")
    dies(repo, "big", "checkpoint", "-m", "here", time=time_)
    time.sleep(0.02)
    append(repo, "late")
    repo.run("checkpoint", "-m", "here")
    assert edit_of(repo) == ["M late", "M notes.txt"]
    assert (repo.path / "old").read_text() == "old\n"
    moved = repo.path / ".git/gitckpt/attempts/demo/one-1"
    assert sorted(path.name for path in moved.iterdir()) == ["big", "second.big"]


@pytest.mark.sweep
def test_the_list_of_failed_items_that_gitckpt_writes_itself_is_no_edit_of_yours(repo: Repo) -> None:
    items = "foreach: [a, b], tolerate: {count: 2, to: failed.jsonl}, run: 'test $ITEM = a'"
    define(repo, f"one: {{{items}}}\ntwo: {{run: cat failed.jsonl > two}}")
    repo.write("notes.txt", "notes\n")
    dies(repo, "stamp", "run")
    assert (repo.path / "failed.jsonl").exists()
    time.sleep(2.2)  # two periods of the heartbeat: all that tells here
    append(repo, "notes.txt")
    repo.run("run")
    assert edit_of(repo) == ["M notes.txt"]
    assert (repo.path / "two").read_text() == (repo.path / "failed.jsonl").read_text() != ""


def test_an_error_before_any_process_of_the_phase_takes_nothing_of_yours(repo: Repo) -> None:
    define(repo, 'one: {run: "echo one > one"}')
    repo.write("notes.txt", "notes\n")
    repo.run("checkpoint", "-m", "begun", ok=None)
    repo.run("run", "--until", "one")
    (folder,) = (repo.path / ".git/gitckpt/workspaces").iterdir()
    with (folder / "phase.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = repo.run("run", "--from", "one", ok=4)
    assert "one@2 was to begin, and nothing of it ran" in refused.stderr
    assert "nothing was" not in refused.stderr
    append(repo, "notes.txt")
    repo.run("run")
    assert edit_of(repo) == ["M notes.txt"]
    assert subjects(repo)[-2:] == ["edit by Ann Example", "one done"]


def test_an_error_after_the_phase_says_what_ran_and_what_you_do_then_is_yours(repo: Repo) -> None:
    define(repo, f"zero: {{run: echo zero > zero}}\none: {{run: '{LIFTED} > big; echo one >> notes.txt; rm old'}}")
    for name in ("notes.txt", "mine", "old"):
        repo.write(name, f"{name}\n")
    refused = in_small(repo, 512, "run")
    assert refused.returncode == 1, refused.stderr
    assert "File too large" in refused.stderr
    assert "recorded before that: 0002 zero done" in refused.stderr
    told = "one@1 ran, and that is not recorded; what it left is among your files: the next command keeps that as one@1"
    assert told in refused.stderr
    assert "nothing was" not in refused.stderr
    time.sleep(0.03)
    append(repo, "mine")
    append(repo, "new")
    said = repo.run("checkpoint", "-m", "here").stderr
    assert "gitckpt restore one@1 -- " in said
    assert edit_of(repo, "mine") == ["M mine", "A new"]
    assert (repo.path / "notes.txt").read_text() == "notes.txt\n"
    assert (repo.path / "old").exists()
    assert not (repo.path / "big").exists()


@pytest.mark.sweep
def test_an_error_while_a_phase_runs_ends_it_and_what_you_do_then_is_yours(repo: Repo) -> None:
    limit = "resource.prlimit(int(open('../runner').read()), resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))"
    repo.write("one.sh", f'echo one > one; python3 -c "import resource; {limit}"; rm .gitckpt/heartbeat; sleep 30\n')
    define(repo, "one: {run: 'echo $$ > ../pid; . ./one.sh'}")
    repo.write("notes.txt", "notes\n")
    words = ["sh", "-c", 'echo $$ > ../runner; exec "$@"', "sh", sys.executable, "-m", "gitckpt", "run"]
    began = time.monotonic()
    refused = subprocess.run(
        words, cwd=repo.path, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1, refused.stderr
    assert "one@1 ran, and that is not recorded" in refused.stderr
    assert time.monotonic() - began < 20
    assert not Path("/proc", (repo.path.parent / "pid").read_text().strip()).exists()
    append(repo, "notes.txt")
    repo.run("checkpoint", "-m", "here")
    assert edit_of(repo) == ["M notes.txt"]
    assert not (repo.path / "one").exists()


STRUCK = "test ! -e ../wait || { kill -9 $(cat ../runner); sleep 30; }"
COMPENSATED = f"""
zero: {{run: echo zero > zero}}
one: {{run: echo one > one, compensate: '{STRUCK}; echo 1 >> ../undone'}}
two: {{run: echo two > two, compensate: 'echo 2 >> ../undone; test ! -e ../big || {LIFTED} > big'}}
"""


def test_a_rollback_that_goes_on_names_what_it_undoes_of_yours(repo: Repo) -> None:
    define(repo, COMPENSATED)
    repo.write("notes.txt", "notes\n")
    repo.run("run")
    outside = repo.path.parent
    (outside / "wait").touch()
    words = [sys.executable, "-m", "gitckpt", "rollback", "zero", "--compensate"]
    struck = subprocess.run(
        ["sh", "-c", 'echo $$ > ../runner; exec "$@"', "sh", *words], cwd=repo.path, capture_output=True, check=False
    )
    assert struck.returncode == -9, struck.stderr
    (outside / "wait").unlink()
    stamped(repo.path)
    time.sleep(0.02)
    append(repo, "notes.txt")
    said = repo.run("run", ok=75).stderr
    (number,) = [line for line in repo.run("log").stdout.splitlines() if "edit" in line]
    edit = int(number.split()[0])
    assert (
        f"it undoes your edit {edit:04d} (notes.txt); to bring that back: gitckpt restore {edit} -- notes.txt" in said
    )
    assert (repo.path / "notes.txt").read_text() == "notes\n"
    assert (outside / "undone").read_text() == "2\n1\n"
    repo.run("restore", str(edit), "--", "notes.txt")
    assert (repo.path / "notes.txt").read_text() == "notes\nmine\n"


def test_an_error_in_a_rollback_that_compensates_says_what_was_done(repo: Repo) -> None:
    define(repo, COMPENSATED)
    repo.run("run")
    (repo.path.parent / "big").touch()
    refused = in_small(repo, 512, "rollback", "zero", "--compensate")
    assert refused.returncode == 1, refused.stderr
    assert (repo.path.parent / "undone").read_text() == "2\n"
    for word in ("recorded before that: 0005", "two@2 ran, and that is not recorded", "run the command again"):
        assert word in refused.stderr
    assert "nothing" not in refused.stderr
    os.unlink(repo.path.parent / "big")
    repo.run("rollback", "zero", "--compensate")
    assert not (repo.path / "one").exists()
