"""`doctor`: each thing that can be wrong is found and changed by nobody; a repair mends it and loses no evidence."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from gitckpt.api.library import Silent
from gitckpt.api.mending import examine, exit_code, mend
from gitckpt.api.reading import Where
from gitckpt.engine.finding import Diagnosis
from tests.cli.test_run import start, wait_for, workflow
from tests.repo import Repo
from tests.store.test_verify import loosen, object_file

BRANCH = "refs/heads/gitckpt/demo"


@pytest.fixture
def done(repo: Repo) -> Repo:
    """0001 start · 0002 a · 0003 b."""
    workflow(repo, "a: {run: echo a > a}\nb: {run: echo b > b}")
    repo.run("run")
    return repo


def found(repo: Repo) -> Diagnosis:
    """What doctor says; that it changed nothing is looked at on the way."""
    before = everything(repo)
    diagnosis = examine(Where(directory=repo.path))
    assert everything(repo) == before, "looking changed something"
    return diagnosis


def everything(repo: Repo) -> dict[str, tuple[int, int]]:
    """All files of workspace and repository, by size and time."""
    paths = (Path(at, name) for at, _, names in os.walk(repo.path) for name in names)
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in paths}


def mended(repo: Repo) -> tuple[str, Diagnosis]:
    said = mend(Where(directory=repo.path), Silent())
    return "\n".join(said.done), said.after


def whats(diagnosis: Diagnosis) -> str:
    return "\n".join(f"{each.level}: {each.what} ({each.where})" for each in diagnosis.findings)


def test_a_sound_history_has_no_findings_and_a_repair_does_nothing(done: Repo) -> None:
    assert found(done).findings == ()
    assert mended(done)[0] == ""
    assert done.run("doctor").stdout.startswith("Sound: 3 checkpoints, ")
    said = json.loads(done.run("doctor", "--json").stdout)
    assert (said["schema"], said["sound"], said["findings"], said["checkpoints"]) == (1, True, [], 3)


def test_what_a_killed_command_left_is_found_and_cleared_up(done: Repo) -> None:
    (folder,) = (done.path / ".git/gitckpt/workspaces").iterdir()
    part = done.path / f".git/objects/pack/gitckpt-{folder.name}-0123456789abcdef.part"
    part.write_text("half a pack")
    lock = done.write(f".git/{BRANCH}.lock", "")
    tag_lock = done.write(".git/refs/tags/gitckpt/demo/0002-a.lock", "")
    done.git("update-ref", "-d", "refs/tags/gitckpt/demo/0003-b")
    said = whats(found(done))
    for name in (f"{BRANCH}.lock", "0002-a.lock", part.name, "a tag is missing (refs/tags/gitckpt/demo/0003-b)"):
        assert name in said
    assert exit_code(found(done)) == 1
    did, after = mended(done)
    done.accept()
    assert "made the tag gitckpt/demo/0003-b again" in did
    assert after.findings == ()
    assert not any(path.exists() for path in (part, lock, tag_lock))
    assert done.git("rev-parse", "gitckpt/demo/0003-b") == done.git("rev-parse", "gitckpt/demo")


def test_an_attempt_whose_run_died_is_found_and_set_aside(repo: Repo) -> None:
    workflow(repo, "a: {run: 'echo half > half; exec sleep 60'}")
    runner = start(repo, "run")
    wait_for(repo.path / "half")
    runner.kill()
    runner.wait()
    while list(repo.path.glob(".git/gitckpt/workspaces/*/pids")):
        time.sleep(0.02)  # the watchdog ends what the dead run left
    said = found(repo)
    assert "problem: a@1 of demo was cut off, and not cleared up after" in whats(said)
    assert all(each.mends for each in said.findings if each.level == "problem")
    did, after = mended(repo)
    assert "cleared up after the command that was killed" in did
    assert after.findings == ()
    assert repo.git("show", "refs/gitckpt/demo/attempts/a/1:half") == "half"


def test_a_commit_of_yours_on_the_branch_is_kept_aside_and_the_branch_set_back(done: Repo) -> None:
    sound = done.git("rev-parse", BRANCH)
    mine = done.git("commit-tree", "-p", BRANCH, "-m", "mine", f"{BRANCH}^{{tree}}")
    done.git("update-ref", BRANCH, mine)
    assert "the newest checkpoint is damaged" in whats(found(done))
    did, after = mended(done)
    assert "set the branch back to 0003" in did
    assert (after.findings, done.git("rev-parse", BRANCH)) == ((), sound)
    assert done.git("rev-parse", "refs/gitckpt/demo/diverged/1") == mine
    assert "Complete already" in done.run("run").stderr


def test_a_tip_whose_events_are_lost_is_kept_and_the_files_are_for_you_to_decide(done: Repo) -> None:
    done.break_on_purpose("a missing blob")
    tip, before = done.git("rev-parse", BRANCH), done.git("rev-parse", f"{BRANCH}~1")
    blob = done.git("rev-parse", f"{BRANCH}:.gitckpt/events.json")
    object_file(loosen(done), blob).unlink()
    assert "the newest checkpoint is damaged" in whats(found(done))
    assert "doctor --repair" in done.run("doctor", ok=1).stdout
    assert "set the branch back to 0002" in done.run("doctor", "--repair", ok=5).stdout
    assert done.git("rev-parse", BRANCH) == before
    assert done.git("rev-parse", "refs/gitckpt/demo/diverged/1") == tip
    assert done.git("tag", "-l") == "gitckpt/demo/0002-a", "the tag would be in the way of the next 0003"
    assert "decision: this workspace" in whats(found(done))
    done.run("rollback", "latest")
    done.run("run")
    assert exit_code(found(done)) == 0, "the evidence is no more than a note"
    assert "note: object" in whats(found(done))


def test_a_branch_whose_file_a_power_cut_emptied_is_found_by_its_reflog(done: Repo) -> None:
    tip = done.git("rev-parse", BRANCH)
    (done.path / ".git" / BRANCH).write_bytes(b"")
    said = found(done)
    assert "the branch's file does not hold a commit's id" in whats(said)
    assert exit_code(said) == 1
    did, after = mended(done)
    assert "to 0003" in did
    assert (after.findings, done.git("rev-parse", BRANCH)) == ((), tip)


def test_an_unreadable_loose_object_is_moved_out_of_gits_way_with_its_bytes(done: Repo) -> None:
    oid = "ab" + "c" * 38
    path = done.path / ".git/objects/ab" / oid[2:]
    path.parent.mkdir()
    path.write_bytes(b"torn")
    assert f"object {oid} cannot be read" in whats(found(done))
    assert mended(done)[1].findings == ()
    assert (done.path / ".git/gitckpt/quarantine" / oid).read_bytes() == b"torn"
    assert not path.exists()


def test_what_is_yours_to_decide_is_said_and_left(done: Repo) -> None:
    done.git("symbolic-ref", "HEAD", BRANCH)
    said = found(done)
    assert "decision: a worktree has gitckpt/demo checked out" in whats(said)
    tip = done.git("rev-parse", BRANCH)
    assert exit_code(mended(done)[1]) == 5
    assert done.git("rev-parse", BRANCH) == tip
    done.git("symbolic-ref", "HEAD", "refs/heads/main")


def test_a_workspace_that_is_behind_the_branch_is_yours_to_decide(done: Repo) -> None:
    (path,) = (done.path / ".git/gitckpt/workspaces").glob("*/workspace.json")
    record = json.loads(path.read_text())
    record["bases"] = {"demo": done.git("rev-parse", f"{BRANCH}~1")}
    path.write_text(json.dumps(record))
    assert found(done).findings == (), "its files are those of the newest checkpoint: there is nothing to ask"
    done.write("a", "another\n")
    assert "decision: this workspace is at 0002, the branch at 0003" in whats(found(done))


def test_pushes_that_take_our_refs_along_are_a_note(done: Repo) -> None:
    done.git("remote", "add", "copy", "../copy.git")
    done.git("config", "remote.copy.push", "+refs/tags/*:refs/tags/*")
    done.git("config", "push.default", "matching")
    said = found(done)
    assert "takes the tags of gitckpt along" in whats(said)
    assert "takes the checkpoint branches of gitckpt along" in whats(said)
    assert exit_code(said) == 0


def test_a_history_of_a_later_format_is_not_touched(done: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    done.break_on_purpose("a later format")
    state = done.git("show", f"{BRANCH}:.gitckpt/state.json").replace('"schema": 1', '"schema": 2')
    done.write("../newer.json", state)
    blob = done.git("hash-object", "-w", "../newer.json")
    with monkeypatch.context() as beside:
        beside.setenv("GIT_INDEX_FILE", str(done.path.parent / "index"))
        done.git("read-tree", BRANCH)
        done.git("update-index", "--cacheinfo", f"100644,{blob},.gitckpt/state.json")
        tree = done.git("write-tree")
    done.git("update-ref", BRANCH, done.git("commit-tree", "-p", BRANCH, "-m", "newer", tree))
    tip = done.git("rev-parse", BRANCH)
    assert "decision: this history is in format 2" in whats(found(done))
    assert exit_code(mended(done)[1]) == 5
    assert done.git("rev-parse", BRANCH) == tip
