"""The branch was moved back, deleted or replaced by hand: what is known beyond it is said, kept, and taken up again,
and nothing is done twice outside."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.test_run import workflow
from tests.repo import Repo

BRANCH = "refs/heads/gitckpt/demo"
OURS = ("refs/heads/gitckpt", "refs/tags/gitckpt", "refs/gitckpt")
PHASES = """
one: {run: echo 1 > one}
pay: {foreach: [a, b, c], run: 'echo "$ITEM $GITCKPT_IDEMPOTENCY_KEY" >> ../journal'}
last: {run: 'echo "last $GITCKPT_IDEMPOTENCY_KEY" >> ../journal; echo half > half; test -e go'}
"""


@pytest.fixture
def paid(repo: Repo) -> Repo:
    """0001 start · 0002 one · 0003 the list · 0004 0005 0006 the items of pay · 0007 last failed, as last@1."""
    workflow(repo, PHASES)
    repo.run("run", ok=1)
    return repo


def ours(repo: Repo) -> list[str]:
    return repo.git("for-each-ref", "--format=%(refname) %(objectname)", *OURS).splitlines()


def keys(repo: Repo) -> Counter[str]:
    """How often each line stands in the journal of the outside world."""
    return Counter((repo.path.parent / "journal").read_text().splitlines())


def delete_all(repo: Repo) -> None:
    repo.git("pack-refs", "--all")
    for name in repo.git("for-each-ref", "--format=%(refname)", *OURS).splitlines():
        repo.git("update-ref", "-d", name)


def collect_garbage(repo: Repo) -> None:
    """Whatever no ref holds is gone after it."""
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("gc", "-q", "--prune=now")


def test_a_branch_moved_back_is_said_by_all_and_set_forward_with_nothing_paid_twice(paid: Repo) -> None:
    tip, before = paid.git("rev-parse", BRANCH), keys(paid)
    paid.git("update-ref", BRANCH, f"{BRANCH}~3")
    refs = ours(paid)
    what = "the branch was moved back from 0007 to 0004 (known to this workspace)"
    for command, code in (("status", 0), ("log", 0), ("verify", 1), ("doctor", 1)):
        said = paid.run(command, ok=code)
        assert what in said.stdout + said.stderr, command
        assert "gitckpt doctor --repair" in said.stdout + said.stderr
    assert json.loads(paid.run("status", "--json").stdout)["next_command"] == "gitckpt doctor --repair"
    assert json.loads(paid.run("verify", "--json", ok=1).stdout)["beyond"]["newest"] == 7
    assert ours(paid) == refs, "looking changed something"
    for arguments in (["run"], ["reset"], ["retry"], ["checkpoint", "-m", "x"]):
        said = paid.run(*arguments, ok=5)
        assert what in said.stderr
        assert "kept as diverged@1" in said.stderr
    assert (paid.git("rev-parse", "refs/gitckpt/demo/diverged/1"), keys(paid)) == (tip, before)
    paid.git("update-ref", "-d", "refs/gitckpt/demo/attempts/last/1")
    collect_garbage(paid)
    assert "set the branch forward from 0004 to 0007" in paid.run("doctor", "--repair").stdout
    assert (paid.git("rev-parse", BRANCH), paid.git("for-each-ref", "refs/gitckpt/demo/diverged")) == (tip, "")
    paid.write("go")
    paid.run("run")
    assert {line.split()[0]: count for line, count in keys(paid).items()} == {"a": 1, "b": 1, "c": 1, "last": 2}
    assert paid.run("verify").stdout.startswith("Sound: ")


def test_with_all_refs_deleted_nothing_begins_anew_by_itself(paid: Repo) -> None:
    tip, before = paid.git("rev-parse", BRANCH), keys(paid)
    delete_all(paid)
    what = "the branch is gone, and its newest known checkpoint is 0007"
    for command, code in (("status", 0), ("log", 5), ("verify", 5), ("doctor", 1), ("diff one", 5), ("run", 5)):
        said = paid.run(*command.split(), ok=code)
        assert what in said.stdout + said.stderr, command
        assert "gitckpt reset --forget" in said.stdout + said.stderr
    collect_garbage(paid)
    assert keys(paid) == before
    assert "set the branch, which was gone, to 0007" in paid.run("doctor", "--repair").stdout
    assert paid.git("rev-parse", BRANCH) == tip
    paid.write("go")
    paid.run("run")
    assert sorted(keys(paid).values()) == [1, 1, 1, 2]
    delete_all(paid)
    assert "set the branch, which was gone, to 0009" in paid.run("rollback", "latest").stderr
    assert "Complete already" in paid.run("run").stderr
    delete_all(paid)
    paid.run("adopt")
    assert "Complete already" in paid.run("run").stderr


@pytest.mark.parametrize("way", ["rollback", "adopt"])
def test_who_goes_on_from_where_the_branch_is_loses_nothing_of_what_came_since(paid: Repo, way: str) -> None:
    tip, attempt = paid.git("rev-parse", BRANCH), paid.git("rev-parse", "refs/gitckpt/demo/attempts/last/1")
    paid.git("update-ref", BRANCH, f"{BRANCH}~2")
    said = paid.run(*(["rollback", "latest"] if way == "rollback" else ["adopt"]))
    assert "what came after 0005, up to 0007, is no more on the branch; it stays as diverged@1" in said.stderr
    assert paid.git("rev-parse", "refs/gitckpt/demo/diverged/1") == tip
    paid.run("run", ok=1)
    assert paid.git("rev-parse", "refs/gitckpt/demo/diverged/1-attempts/last/1") == attempt
    collect_garbage(paid)
    assert paid.git("cat-file", "-t", attempt) == "commit"
    assert paid.run("verify").stdout.startswith("Sound: ")
    assert "no more" not in paid.run("run", ok=1).stderr
    paid.run("rollback", "diverged@1", "--no-compensate")
    paid.write("go")
    paid.run("run")
    assert "yours to decide" not in paid.run("doctor").stdout


def test_starting_over_is_a_decision_and_pays_with_other_keys(paid: Repo) -> None:
    tip, before = paid.git("rev-parse", BRANCH), keys(paid)
    delete_all(paid)
    paid.run("run", ok=5)
    said = paid.run("reset", "--forget", "-m", "a new year").stdout
    assert "put aside as diverged@1 (git log refs/gitckpt/demo/diverged/1)" in said
    assert "put aside" in paid.run("doctor").stdout
    paid.write("go")
    paid.run("run")
    assert paid.git("log", "--format=%s", "--first-parent", BRANCH).splitlines()[-1].startswith("0001 start")
    assert paid.git("rev-parse", "refs/gitckpt/demo/diverged/1") == tip
    assert [*(keys(paid) - before).values()] == [1, 1, 1, 1]
    # With a branch, too: all of its attempts make room, and the way back is said.
    paid.run("run", "--again")
    again = paid.git("rev-parse", BRANCH)
    said = paid.run("reset", "--forget").stdout
    assert ours(paid)[0].startswith("refs/gitckpt/")
    paid.git(*said.rpartition("as before")[2].split()[1:])
    assert paid.git("rev-parse", BRANCH) == again
    assert "Complete already" in paid.run("run").stderr


def test_objects_that_are_gone_with_the_branch_are_no_reason_to_begin_silently(paid: Repo) -> None:
    before = keys(paid)
    delete_all(paid)
    collect_garbage(paid)
    said = paid.run("run", ok=5).stderr
    assert "the branch is gone, and so are the checkpoints that this workspace was at" in said
    assert "git fetch CLONE gitckpt/demo:gitckpt/demo" in said
    assert keys(paid) == before
    assert "yours to decide" in paid.run("doctor", ok=5).stdout
    assert "nothing of it was left" in paid.run("reset", "--forget").stdout
    paid.run("run", ok=1)
    assert "0007 last failed" in paid.git("log", "-1", "--format=%s", BRANCH)


def test_another_worktree_and_a_tag_know_what_this_one_does_not(paid: Repo) -> None:
    """This worktree stays at 0007; another takes the branch further, and then it is moved back to where this one is."""
    paid.write("go")
    paid.commit()
    paid.git("worktree", "add", "-q", "../other", "HEAD")
    other = paid.path.parent / "other"
    paid.run("adopt", cwd=other)
    paid.run("run", cwd=other)
    newest = paid.git("rev-parse", BRANCH)
    paid.git("update-ref", BRANCH, f"{BRANCH}~2")
    said = paid.run("run", ok=5).stderr
    assert f"(known to the workspace {other})" in said
    assert paid.git("rev-parse", "refs/gitckpt/demo/diverged/1") == newest
    paid.run("doctor", "--repair", ok=(0, 5))
    assert paid.git("rev-parse", BRANCH) == newest
    # Only a tag: gitckpt's own folder is gone, as in a clone.
    paid.git("update-ref", BRANCH, f"{BRANCH}~2")
    shutil.rmtree(paid.path / ".git/gitckpt")
    assert "(known to the tag " in paid.run("run", ok=5).stderr
    paid.run("doctor", "--repair", ok=(0, 5))
    assert paid.git("rev-parse", BRANCH) == newest


def test_a_forced_fetch_keeps_what_this_workspace_was_at(paid: Repo) -> None:
    start, mine = paid.git("rev-parse", f"{BRANCH}~3"), paid.git("rev-parse", BRANCH)
    paid.git("clone", "-q", "--no-hardlinks", ".", "../clone")
    clone = paid.path.parent / "clone"
    for arguments in (
        ("config", "user.name", "Bob"),
        ("config", "user.email", "bob@x"),
        ("branch", "gitckpt/demo", start),
    ):
        paid.git("-C", clone, *arguments)
    shutil.copy(paid.path / "gitckpt.yaml", clone)
    paid.run("adopt", cwd=clone)
    (clone / "theirs").write_text("theirs\n")
    paid.run("run", ok=1, cwd=clone)
    paid.git("fetch", "-q", "--force", clone, "gitckpt/demo:gitckpt/demo")
    theirs = paid.git("rev-parse", BRANCH)
    for command, code in (("status", 0), ("verify", 0), ("doctor", 5), ("run", 5)):
        said = paid.run(command, ok=code)
        assert "holds another history than the one that this workspace is at (0007" in said.stdout + said.stderr
    assert paid.git("rev-parse", "refs/gitckpt/demo/diverged/1") == mine
    assert paid.git("rev-parse", BRANCH) == theirs
    paid.run("rollback", "latest")
    assert (paid.path / "theirs").exists()
    paid.run("rollback", "diverged@1", "--no-compensate")
    assert not (paid.path / "theirs").exists()
    assert paid.run("verify").stdout.startswith("Sound: ")


def test_a_history_made_again_by_gc_is_not_taken_for_one_that_was_moved(paid: Repo) -> None:
    paid.write("go")
    paid.run("run")
    paid.run("run", "--again")
    paid.run("gc", "--keep-runs", "1")
    for command in ("run", "status", "verify", "doctor"):
        said = paid.run(command)
        assert "moved back" not in said.stdout + said.stderr
        assert "another history" not in said.stdout + said.stderr
    paid.run("gc", "--forget")
    assert paid.git("for-each-ref", "refs/gitckpt/demo/diverged") == ""
    assert Path(paid.path / "go").exists()
