"""A history without its leading runs: what goes, what stays, and that what stays is the same under other ids."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gitckpt.model.events import Edited, RolledBack
from gitckpt.model.manifest import rewound
from gitckpt.model.names import Oid
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.refs import RefUpdate, resolve, transact
from gitckpt.store import refs
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.cut import Cut, find_cut
from gitckpt.store.publish import publish, write_commit
from gitckpt.store.remake import Remaking
from gitckpt.store.verify import verify
from tests.model.made import AT, completed, failed, manifest, started
from tests.repo import Repo
from tests.store.ledger import Ledger, W

EDIT = Edited(at=AT, author="Ann")


def a_run(ledger: Ledger, number: int) -> None:
    """Two checkpoints, then an attempt that failed, recorded by a third."""
    tip = ledger.store.tip()
    before = tip.number if tip else 0
    ledger.add(started(manifest("a", "b"), before), files={b"f": b"%d" % number})
    ledger.add(completed("a"), files={b"f": b"%d a" % number})
    ledger.attempt("b", number, failed("b", number), {b"left": b"%d" % number})
    ledger.add(failed("b", number))


@pytest.fixture
def three(ledger: Ledger) -> Ledger:
    """0001..0003, 0004..0006, 0007..0009."""
    for number in (1, 2, 3):
        a_run(ledger, number)
    return ledger


def roll_back(ledger: Ledger, number: int) -> Checkpoint:
    """To a checkpoint of any run, as the engine records it."""
    tip, oid = ledger.store.tip(), ledger.store.numbered(number)
    assert tip is not None
    assert oid is not None
    target = ledger.store.read(oid)
    whole = rewound(tip.manifest, target.manifest)
    event = RolledBack(at=AT, to=number, target=target.oid, manifest=whole, author="Ann")
    now = replace(whole, sequence=tip.number + 1, updated_at=AT, current_state=target.manifest.current_state)
    with Pack(ledger.repository, "test") as pack:
        draft = replace(ledger.draft(pack, tip, now, (event,)), parents=(tip.oid, target.oid), content=target.content)
        return publish(ledger.store, pack, tip=tip, draft=draft, oid=write_commit(ledger.store, pack, draft))


def cut_at(ledger: Ledger, keep: int) -> Cut:
    found = find_cut(ledger.store, keep)
    assert found is not None
    return found


def remade(ledger: Ledger, cut: Cut) -> dict[Oid, Oid | None]:
    """Make it again and point the branch at it, with all that hangs on it."""
    with Pack(ledger.repository, "test") as pack:
        making = Remaking(ledger.store, pack, cut)
        kept = refs.attempt(W, "b", 3)  # type: ignore[arg-type]
        attempt = resolve(ledger.repository, kept)
        assert attempt is not None
        now = making.attempt(attempt)
        pack.finish()
        updates = [
            RefUpdate(ledger.store.branch, making.ids[cut.kept[-1]], cut.kept[-1]),
            RefUpdate(kept, now, attempt),
            *(RefUpdate(name, making.rescue(oid), oid) for name, oid in cut.rescues.items()),
            *(RefUpdate(name, None, oid) for name, oid in cut.attempts.items()),
        ]
        transact(ledger.repository, updates, "test")
    return making.ids


def test_whole_runs_go_and_the_attempts_that_hang_on_them(three: Ledger) -> None:
    cut = cut_at(three, 1)
    assert (cut.runs, cut.runs_kept, len(cut.dropped), len(cut.kept)) == (2, 1, 6, 3)
    assert sorted(cut.attempts) == ["refs/gitckpt/w/attempts/b/1", "refs/gitckpt/w/attempts/b/2"]
    assert find_cut(three.store, 3) is None
    assert find_cut(three.store, 99) is None


def test_what_stays_is_as_it_was_but_for_its_ids_and_sound(repo: Repo, three: Ledger) -> None:
    before = [three.store.read(oid) for oid in three.store.ids()[:6]]
    now = remade(three, cut_at(three, 2))
    after = list(three.store.history())
    assert [(c.number, c.content, c.manifest, c.events) for c in after] == [
        (c.number, c.content, c.manifest, c.events) for c in before
    ]
    assert after[-1].parents == ()
    report = verify(three.store)
    assert (report.findings, report.checkpoints) == ((), 6)
    attempt = three.store.attempts("b")  # type: ignore[arg-type]
    assert three.store.read(attempt[3]).parents == (three.store.ids()[1],)
    assert set(now.values()) >= set(three.store.ids())


def test_a_run_that_a_kept_rollback_went_back_to_is_kept(three: Ledger) -> None:
    roll_back(three, 5)
    cut = cut_at(three, 1)
    assert (cut.runs, cut.runs_kept, len(cut.dropped)) == (1, 2, 3)


def test_ids_of_other_checkpoints_inside_a_kept_one_follow(three: Ledger) -> None:
    roll_back(three, 8)
    remade(three, cut_at(three, 1))
    tip = three.store.tip()
    assert tip is not None
    event = tip.events[0]
    assert isinstance(event, RolledBack)
    assert event.target == tip.parents[1] == three.store.ids()[2]
    assert verify(three.store).findings == ()


def test_rescued_work_of_a_dropped_run_stays_with_a_copy_of_what_it_lay_over(ledger: Ledger, repo: Repo) -> None:
    a_run(ledger, 1)
    ledger.beside("refs/gitckpt/w/rescue/1", EDIT, files={b"mine": b"precious"})
    over = ledger.store.tip()
    a_run(ledger, 2)
    a_run(ledger, 3)
    cut = cut_at(ledger, 1)
    assert over is not None
    with Pack(ledger.repository, "test") as pack:
        rescue = Remaking(ledger.store, pack, cut).rescue(cut.rescues["refs/gitckpt/w/rescue/1"])
        pack.finish()
        transact(ledger.repository, [RefUpdate("refs/gitckpt/w/rescue/2", rescue, None)], "test")
    assert repo.git("show", f"{rescue}:mine") == "precious"
    copy = ledger.store.read(ledger.store.read(rescue).parents[0])
    assert (copy.parents, copy.content, copy.manifest) == ((), over.content, over.manifest)
