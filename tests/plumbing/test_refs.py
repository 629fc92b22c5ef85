"""Refs against git: all or none, compare and swap, and a reason that fits when git refuses."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gitckpt.errors import ExitCode, GitFailed, RefBlocked, RefLocked, RefMoved
from gitckpt.model.names import Oid
from gitckpt.plumbing.objects import Signature
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.refs import RefUpdate, list_refs, remove_own_lock, remove_packed_lock, resolve, rev_list, transact
from gitckpt.plumbing.repository import Repository, discover

Plain = Callable[..., bytes]

BRANCH = "refs/heads/gitckpt/etl"
TAG = "refs/tags/gitckpt/etl/0001-load"
OTHER = "refs/gitckpt/etl/attempts/load/1"


@pytest.fixture
def chain(repository: Repository, anyone: Signature) -> list[Oid]:
    """Four commits, each the parent of the next."""
    ids: list[Oid] = []
    with Pack(repository, "one") as pack:
        tree = pack.tree([])
        for at in range(4):
            ids.append(pack.commit(tree=tree, parents=ids[-1:], author=anyone, committer=anyone, message=f"{at}"))
        pack.finish()
    return ids


def refs_by_git(plain: Plain, repository: Repository) -> dict[str, str]:
    said = plain(repository.top, "for-each-ref", "--format=%(refname) %(objectname)").decode()
    return dict(line.split() for line in said.splitlines())


def test_refs_are_made_moved_and_deleted_together(plain: Plain, repository: Repository, chain: list[Oid]) -> None:
    transact(
        repository,
        [RefUpdate(BRANCH, chain[0], None), RefUpdate(TAG, chain[0], None), RefUpdate(OTHER, chain[1], None)],
        "first\nline",
    )
    assert refs_by_git(plain, repository) == {BRANCH: chain[0], TAG: chain[0], OTHER: chain[1]}
    transact(
        repository,
        [RefUpdate(BRANCH, chain[1], chain[0]), RefUpdate(OTHER, None, chain[1]), RefUpdate(TAG, None, None)],
        "second",
    )
    assert refs_by_git(plain, repository) == {BRANCH: chain[1]}
    assert b"second" in plain(repository.top, "reflog", "show", BRANCH)
    assert b"first line" in plain(repository.top, "reflog", "show", BRANCH)
    transact(repository, [], "nothing")


@pytest.mark.parametrize("packed", ["loose", "packed"])
@pytest.mark.parametrize(
    ("wrong", "expected", "actual"),
    [
        (RefUpdate(TAG, Oid("N"), Oid("3")), "3", "0"),
        (RefUpdate(TAG, Oid("N"), None), None, "0"),
        (RefUpdate(TAG, None, Oid("3")), "3", "0"),
        (RefUpdate(OTHER, Oid("N"), Oid("3")), "3", None),
        (RefUpdate(OTHER, None, Oid("3")), "3", None),
    ],
)
def test_when_one_old_value_does_not_hold_nothing_moves(
    plain: Plain, repository: Repository, chain: list[Oid], packed: str, wrong: RefUpdate,
    expected: str | None, actual: str | None,
) -> None:  # fmt: skip
    def real(word: str | None) -> Oid | None:
        return None if word is None else chain[1] if word == "N" else chain[int(word)]

    transact(repository, [RefUpdate(BRANCH, chain[0], None), RefUpdate(TAG, chain[0], None)], "begin")
    if packed == "packed":
        plain(repository.top, "pack-refs", "--all")
    before = refs_by_git(plain, repository)
    with pytest.raises(RefMoved) as caught:
        transact(
            repository,
            [RefUpdate(BRANCH, chain[1], chain[0]), RefUpdate(wrong.name, real(wrong.new), real(wrong.old))],
            "refused",
        )
    assert (caught.value.name, caught.value.expected, caught.value.actual) == (
        wrong.name, real(expected), real(actual),
    )  # fmt: skip
    assert caught.value.exit_code == ExitCode.BUSY
    assert refs_by_git(plain, repository) == before
    assert not list((repository.common_dir / "refs").rglob("*.lock"))


@pytest.mark.parametrize("blocker", ["refs/heads/gitckpt", "refs/heads/gitckpt/etl/deeper"])
@pytest.mark.parametrize("packed", ["loose", "packed"])
def test_a_branch_in_the_way_is_named_with_the_command_that_moves_it(
    plain: Plain, repository: Repository, chain: list[Oid], blocker: str, packed: str
) -> None:
    plain(repository.top, "update-ref", blocker, chain[0])
    if packed == "packed":
        plain(repository.top, "pack-refs", "--all")
    with pytest.raises(RefBlocked) as caught:
        transact(repository, [RefUpdate(TAG, chain[0], None), RefUpdate(BRANCH, chain[0], None)], "refused")
    assert (caught.value.name, caught.value.blocker) == (BRANCH, blocker)
    assert caught.value.exit_code == ExitCode.CONFLICT
    assert f"git branch -m {blocker.removeprefix('refs/heads/')}" in caught.value.hint
    assert refs_by_git(plain, repository) == {blocker: chain[0]}


def test_a_lock_that_a_killed_writer_left_is_named_and_can_be_removed(
    plain: Plain, repository: Repository, chain: list[Oid]
) -> None:
    transact(repository, [RefUpdate(BRANCH, chain[0], None)], "begin")
    lock = repository.common_dir / f"{BRANCH}.lock"
    lock.write_bytes(b"")
    with pytest.raises(RefLocked) as caught:
        transact(repository, [RefUpdate(BRANCH, chain[1], chain[0])], "refused")
    assert caught.value.lock == str(lock)
    remove_own_lock(repository, BRANCH)
    remove_own_lock(repository, BRANCH)
    transact(repository, [RefUpdate(BRANCH, chain[1], chain[0])], "fine")
    assert resolve(repository, BRANCH) == chain[1]


WRITE = """
import sys
from pathlib import Path
from gitckpt.errors import RepositoryNotWritable
from gitckpt.plumbing.refs import RefUpdate, transact
from gitckpt.plumbing.repository import discover

try:
    transact(discover(Path(sys.argv[1])), [RefUpdate(sys.argv[2], sys.argv[3], None)], "refused")
except RepositoryNotWritable as refused:
    print(refused.path, refused.why, sep=": ")
"""


def test_a_folder_that_cannot_be_written_is_named(repository: Repository, chain: list[Oid]) -> None:
    # Root may write everywhere, but not without its capabilities.
    powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    refs = repository.common_dir / "refs" / "heads"
    refs.chmod(0o555)
    try:
        done = subprocess.run(
            [*powerless, sys.executable, "-c", WRITE, str(repository.top), BRANCH, chain[0]],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
    finally:
        refs.chmod(0o755)
    assert done.stdout == f"{refs}: Permission denied\n"


def test_a_ref_cannot_point_at_an_object_that_is_not_there(repository: Repository) -> None:
    with pytest.raises(GitFailed, match="nonexistent object"):
        transact(repository, [RefUpdate(BRANCH, Oid("1" * 2 * len(repository.null)), None)], "refused")
    assert resolve(repository, BRANCH) is None


def test_of_many_writers_with_the_same_old_value_exactly_one_wins(repository: Repository, chain: list[Oid]) -> None:
    transact(repository, [RefUpdate(BRANCH, chain[0], None)], "begin")

    def write(at: int) -> str:
        updates = [RefUpdate(BRANCH, chain[1 + at % 3], chain[0]), RefUpdate(f"{TAG}{at}", chain[0], None)]
        try:
            transact(repository, updates, f"writer {at}")
        except (RefMoved, RefLocked):
            return "refused"
        except GitFailed as failed:
            # It was locked when git looked and free when we did.
            return "refused" if "Unable to create" in failed.stderr else failed.stderr
        return f"{TAG}{at}"

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(write, range(8)))
    winners = [result for result in results if result != "refused"]
    assert len(winners) == 1, winners
    assert list(list_refs(repository, "refs/tags/")) == winners


def test_a_symbolic_ref_is_replaced_and_the_branch_behind_it_never_moved(
    plain: Plain, repository: Repository, chain: list[Oid]
) -> None:
    plain(repository.top, "update-ref", "refs/heads/main", chain[0])
    plain(repository.top, "symbolic-ref", BRANCH, "refs/heads/main")
    assert resolve(repository, BRANCH) == chain[0]
    transact(repository, [RefUpdate(BRANCH, chain[1], chain[0])], "replace")
    assert resolve(repository, BRANCH) == chain[1]
    assert resolve(repository, "refs/heads/main") == chain[0]


def test_only_the_exact_ref_is_resolved(plain: Plain, repository: Repository, chain: list[Oid]) -> None:
    for name in (f"refs/heads/{BRANCH}", f"refs/tags/{BRANCH}", f"{BRANCH}/below"):
        plain(repository.top, "update-ref", name, chain[0])
    assert resolve(repository, BRANCH) is None
    plain(repository.top, "update-ref", "-d", f"{BRANCH}/below")
    plain(repository.top, "update-ref", BRANCH, chain[1])
    for pack in ("loose", "packed"):
        if pack == "packed":
            plain(repository.top, "pack-refs", "--all")
        assert resolve(repository, BRANCH) == chain[1]
    for bad in ("HEAD", "main", "refs/../HEAD"):
        with pytest.raises(ValueError, match="full ref name"):
            resolve(repository, bad)


def test_refs_are_listed_below_a_prefix_only(plain: Plain, repository: Repository, chain: list[Oid]) -> None:
    for name in (BRANCH, f"{BRANCH}2", TAG, "refs/heads/a-b"):
        plain(repository.top, "update-ref", name, chain[0])
    assert set(list_refs(repository, "refs/heads/gitckpt/")) == {BRANCH, f"{BRANCH}2"}
    assert set(list_refs(repository, "refs/heads/gitckpt")) == {BRANCH, f"{BRANCH}2"}
    assert list_refs(repository, BRANCH) == {BRANCH: chain[0]}
    assert list_refs(repository, "refs/nothing/") == {}


def test_commits_are_listed_along_first_parents(
    plain: Plain, repository: Repository, chain: list[Oid], anyone: Signature
) -> None:
    with Pack(repository, "one") as pack:
        side = pack.commit(tree=pack.tree([]), parents=(), author=anyone, committer=anyone, message="side")
        tip = pack.commit(tree=pack.tree([]), parents=(chain[3], side), author=anyone, committer=anyone, message="both")
        pack.finish()
    assert rev_list(repository, tip) == [tip, *reversed(chain)]
    assert rev_list(repository, tip, "--max-count=2") == [tip, chain[3]]
    with pytest.raises(GitFailed):
        rev_list(repository, Oid("--output=" + str(repository.top / "written")))
    assert not (repository.top / "written").exists()


def test_a_linked_worktree_writes_the_refs_that_all_share(
    plain: Plain, repository: Repository, chain: list[Oid], tmp_path: Path
) -> None:
    plain(repository.top, "update-ref", "refs/heads/main", chain[0])
    plain(repository.top, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"), "main")
    linked = discover(tmp_path / "linked")
    transact(linked, [RefUpdate(BRANCH, chain[1], None)], "from the side")
    assert resolve(repository, BRANCH) == resolve(linked, BRANCH) == chain[1]


def test_a_packed_lock_goes_when_it_can_be_of_a_deletion_that_died_and_not_before(repository: Repository) -> None:
    lock = repository.common_dir / "packed-refs.lock"
    now = time.time_ns()
    second = 10**9
    remove_packed_lock(repository, now)
    lock.touch()
    os.utime(lock, ns=(now - 3 * second, now - 3 * second))
    remove_packed_lock(repository, now - 2 * second)
    assert lock.exists(), "it was there before the deletion began"
    remove_packed_lock(repository, now - 4 * second)
    assert not lock.exists()
    lock.touch()
    os.utime(lock, ns=(now, now))
    began = time.monotonic()
    remove_packed_lock(repository, now)
    assert time.monotonic() - began > 1, "a living git gets its time"
    assert not lock.exists()
