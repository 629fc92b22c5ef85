"""`gc`: old runs go when asked, and the history as it was stays until it is forgotten, also after a kill."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitckpt.engine.retention import drop_runs, forget
from gitckpt.execute.lock import Lock
from gitckpt.plumbing.refs import list_refs
from gitckpt.store.verify import verify
from tests.cli.test_run import state, subjects, workflow
from tests.properties.bench import Bench, definition
from tests.properties.scripted import Scripted, dies_at
from tests.repo import Repo


@pytest.fixture
def runs(repo: Repo) -> Repo:
    """Three runs of one phase, the first of them with a failed attempt: 0001..0008."""
    workflow(repo, "a: {run: 'test -e ok; echo x >> a'}")
    repo.run("run", ok=1)
    repo.write("ok")
    repo.run("run")
    for _ in range(2):
        repo.run("run", "--again")
    return repo


def our_refs(repo: Repo) -> list[str]:
    return repo.git(
        "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads/gitckpt", "refs/tags", "refs/gitckpt"
    ).splitlines()


def test_gc_drops_old_runs_and_everything_goes_on_as_before(runs: Repo) -> None:
    before = our_refs(runs)
    tree, tip = runs.git("rev-parse", "gitckpt/demo^{tree}"), runs.git("rev-parse", "gitckpt/demo")
    would = runs.run("gc", "--keep-runs", "2", "--dry-run").stdout
    assert "Would drop 1 run (4 checkpoints, up to 0004); 0005 would be the first now" in would
    assert "with them: 1 attempt (a@1)" in would
    assert our_refs(runs) == before, "a dry run changed something"

    said = runs.run("gc", "--keep-runs", "2", "-m", "the disk is full").stdout
    assert "Dropped 1 run (4 checkpoints, up to 0004); 0005 is the first now" in said
    assert runs.git("rev-parse", "gitckpt/demo^{tree}") == tree
    assert runs.git("rev-parse", "refs/gitckpt/demo/diverged/1") == tip
    assert "the disk is full" in runs.git("reflog", "show", "gitckpt/demo")
    assert subjects(runs) == ["start started", "a done", "start started", "a done"]
    assert [ref.split()[0] for ref in our_refs(runs) if "/tags/" in ref or "attempts" in ref] == [
        "refs/tags/gitckpt/demo/0006-a", "refs/tags/gitckpt/demo/0008-a"
    ]  # fmt: skip
    assert runs.git("rev-parse", "gitckpt/demo/0008-a") == runs.git("rev-parse", "gitckpt/demo")
    assert "Nothing to drop" in runs.run("gc", "--keep-runs", "2").stdout
    assert "Complete already" in runs.run("run").stderr
    assert "= 0006-a" in runs.run("rollback", "6").stdout


def test_what_was_dropped_is_forgotten_on_request_and_git_frees_it(runs: Repo) -> None:
    old = runs.git("rev-parse", "gitckpt/demo")
    runs.run("gc", "--keep-runs", "1")
    said = json.loads(runs.run("gc", "--forget", "--json").stdout)
    assert (said["forgotten"], said["kept"]) == ([1], [])
    runs.git("reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")
    runs.git("gc", "-q", "--prune=now")
    assert runs.git("cat-file", "--batch-all-objects", "--batch-check").count(old) == 0
    assert runs.run("verify").stdout.startswith("Sound: 2 checkpoints")


def test_a_history_that_something_else_put_aside_is_not_forgotten(runs: Repo) -> None:
    mine = runs.git("commit-tree", "-p", "gitckpt/demo", "-m", "mine", "gitckpt/demo^{tree}")
    runs.git("update-ref", "refs/gitckpt/demo/diverged/1", mine)
    runs.run("gc", "--keep-runs", "1")
    runs.run("run", "--again")
    runs.run("gc", "--keep-runs", "1")
    said = runs.run("gc", "--forget").stdout
    assert "Forgot diverged@2, diverged@3." in said
    assert "gc did not put it aside: diverged@1" in said


def test_gc_does_not_work_under_a_run_nor_in_a_copy(runs: Repo, tmp_path: Path) -> None:
    (lock,) = (runs.path / ".git/gitckpt/workspaces").glob("*/run.lock")
    with Lock.take(lock):
        assert "busy" in runs.run("gc", "--keep-runs", "1", ok=4).stderr
    copy = tmp_path / "copy"
    shutil.copytree(runs.path, copy)
    (copy / "a").write_text("another\n")
    assert "gitckpt adopt" in runs.run("gc", "--keep-runs", "1", ok=5, cwd=copy).stderr
    assert state(runs)["sequence"] == 8


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "repo", definition("first"))
    yield made
    made.close()


@pytest.mark.sweep
@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.full)])
def test_a_gc_that_dies_anywhere_was_done_or_never_began(bench: Bench, step: int) -> None:
    for _ in range(3):
        bench.step(Scripted(lambda root: None), again="anew")
    with bench.writing() as hold:
        old = hold.at_tip.oid
    done = 0
    for death in range(1, 400, step):
        died = dies_at(death, lambda: _drop(bench))
        bench.settled()
        with bench.writing() as hold:
            ids, tip = hold.store.ids(), hold.at_tip
            assert verify(hold.store).findings == ()
            assert hold.record.bases[hold.name] == tip.oid
            assert len(ids) in (2, 6)
            dropped = len(ids) == 2
            assert hold.store.diverged() == ({1: old} if dropped else {}), "the history as it was is not kept"
        if dropped:
            done += 1
            _as_it_was(bench)
        if not died:
            break
    assert death > 12
    assert done > 1, "no death came between the transaction and the end"


def _drop(bench: Bench) -> None:
    with bench.writing() as hold:
        drop_runs(hold, 1, "")


def _as_it_was(bench: Bench) -> None:
    """Before the gc, by plain git."""
    old = bench.repo.git("rev-parse", "refs/gitckpt/w/diverged/1")
    for name in list_refs(bench.repo.repository, "refs/tags/gitckpt/"):
        bench.repo.git("update-ref", "-d", name)
    bench.repo.git("update-ref", "refs/heads/gitckpt/w", old)
    bench.repo.git("update-ref", "-d", "refs/gitckpt/w/diverged/1")
    bench.settled()  # which keeps the history that this has just moved the branch away from
    bench.repo.git("update-ref", "-d", "refs/gitckpt/w/diverged/1")


def test_forgetting_moves_no_branch(bench: Bench) -> None:
    for _ in range(2):
        bench.step(Scripted(lambda root: None), again="anew")
    _drop(bench)
    with bench.writing() as hold:
        before = hold.store.ids()
        assert forget(hold) == ((1,), ())
        assert (hold.store.ids(), hold.store.diverged()) == (before, {})
