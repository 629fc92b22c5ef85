"""More attempts than refs: the older ones are behind the newer ones, and every way to name them finds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gitckpt.model.names import Oid, PhaseName
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.refs import RefUpdate, transact
from gitckpt.store import refs
from gitckpt.store.attempts import REFS, surplus
from gitckpt.store.publish import write_commit
from gitckpt.store.selectors import NoSuchCheckpoint, select
from gitckpt.store.verify import verify
from tests.model.made import failed, manifest, started
from tests.repo import Repo
from tests.store.ledger import Ledger, W

LOAD = PhaseName("load")
MANY = 2 * REFS + 3


def write_attempt(ledger: Ledger, pack: Pack, number: int, older: Sequence[Oid]) -> Oid:
    """One attempt's commit, with those it takes the room of behind it."""
    tip = ledger.store.tip()
    assert tip is not None
    draft = ledger.draft(pack, tip, tip.manifest, [failed("load", number)], {b"left": b"%d" % number})
    return write_commit(ledger.store, pack, replace(draft, parents=(tip.oid, *older)))


def add_attempt(ledger: Ledger, number: int) -> Oid:
    """One more attempt with its ref, as a landing adds it."""
    ref = refs.attempt(W, LOAD, number)
    gone = surplus(ledger.repository, ref)
    with Pack(ledger.repository, "test") as pack:
        oid = write_attempt(ledger, pack, number, [update.old for update in gone if update.old])
        pack.finish()
        transact(ledger.repository, [RefUpdate(ref, oid, None), *gone], "test")
    return oid


@pytest.fixture
def crowded(ledger: Ledger) -> dict[int, Oid]:
    """Two hundred and three attempts of one phase, the last three added one by one."""
    ledger.add(started(manifest("load", "other")))
    made: dict[int, Oid] = {}
    with Pack(ledger.repository, "test") as pack:
        for number in range(1, 2 * REFS + 1):
            older = made.get(number - REFS)
            made[number] = write_attempt(ledger, pack, number, [older] if older else [])
        pack.finish()
        newest = [RefUpdate(refs.attempt(W, LOAD, n), made[n], None) for n in range(REFS + 1, 2 * REFS + 1)]
        transact(ledger.repository, newest, "test")
    return made | {number: add_attempt(ledger, number) for number in range(2 * REFS + 1, MANY + 1)}


def test_a_phase_keeps_a_hundred_refs_and_all_its_attempts(ledger: Ledger, crowded: dict[int, Oid], repo: Repo) -> None:
    listed = repo.git("for-each-ref", "--format=%(refname)", refs.attempts(W, LOAD)).split()
    assert sorted(int(name.rpartition("/")[2]) for name in listed) == list(range(MANY - REFS + 1, MANY + 1))
    assert ledger.store.attempts(LOAD) == crowded
    assert ledger.store.all_attempts() == {(LOAD, number): oid for number, oid in crowded.items()}
    for number in (1, 2, MANY - REFS, MANY - REFS + 1, MANY):
        assert ledger.store.attempt(LOAD, number) == crowded[number]
        assert select(ledger.store, f"load@{number}").checkpoint.oid == crowded[number]
        assert select(ledger.store, crowded[number]).checkpoint.oid == crowded[number]


def test_an_attempt_without_a_ref_outlives_git_gc(ledger: Ledger, crowded: dict[int, Oid], repo: Repo) -> None:
    repo.git("gc", "-q", "--prune=now")
    assert repo.git("cat-file", "-t", crowded[1]) == "commit"
    assert set(crowded.values()) <= set(ledger.store.attempt_commits())
    assert verify(ledger.store).findings == ()


def test_a_number_that_no_attempt_has_is_in_no_chain(ledger: Ledger, crowded: dict[int, Oid]) -> None:
    assert ledger.store.attempt(LOAD, len(crowded) + 1) is None
    with pytest.raises(NoSuchCheckpoint):
        select(ledger.store, f"load@{len(crowded) + 1}")
    # What a kill left behind takes its own room, and only attempts of the same phase make any.
    assert surplus(ledger.repository, refs.attempt(W, LOAD, len(crowded))) == []
    assert surplus(ledger.repository, refs.attempt(W, PhaseName("other"), 1)) == []
    assert surplus(ledger.repository, f"{refs.rescues(W)}9") == []
