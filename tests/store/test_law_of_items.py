"""Items that do not follow from what is said to have happened to them are found by `verify`."""

from __future__ import annotations

from dataclasses import replace

from gitckpt.model.events import RolledBack
from gitckpt.model.items import ItemsCompleted, ItemsFailed, ItemsListed, ItemsReopened
from gitckpt.model.manifest import rewound
from gitckpt.store.selectors import select
from gitckpt.store.verify import verify
from tests.model.made import AT, manifest, name, started
from tests.repo import Repo
from tests.store.ledger import Ledger
from tests.store.test_verify import replace_state, whats

LOAD = name("load")
TOTAL = 5_000
"""Items in two shards."""


def done(first: int, last: int) -> ItemsCompleted:
    many = last - first + 1
    return ItemsCompleted(
        at=AT, phase=LOAD, items=((first, last),), count=many, mended=0, started=AT, duration_ms=1, detail="items"
    )


def listed(repo: Repo, ledger: Ledger) -> None:
    """0001 start · 0002 the list · 0003 items of both shards · 0004 one that failed."""
    text = "".join(f'"{n}"\n' for n in range(TOTAL))
    repo.write("list", text)
    blob = repo.git("hash-object", "-w", "list")
    ledger.add(started(replace(manifest("load"), sequence=0)), files={b"f": b"1"})
    ledger.add(ItemsListed(at=AT, phase=LOAD, list=blob, total=TOTAL, definition="sha256:0"))
    ledger.add(done(4_000, 4_200))
    ledger.add(
        ItemsFailed(
            at=AT,
            phase=LOAD,
            items=((7, 7),),
            newly=1,
            attempt=1,
            started=AT,
            duration_ms=1,
            exit_code=1,
            detail="item 7: exit 1",
        )
    )


def test_items_that_follow_are_sound_also_across_a_rollback(repo: Repo, ledger: Ledger) -> None:
    listed(repo, ledger)
    tip = ledger.store.tip()
    assert tip is not None
    back = select(ledger.store, "3").checkpoint
    whole = rewound(tip.manifest, back.manifest)
    ledger.add(RolledBack(at=AT, to=3, target=back.oid, manifest=whole, author="Ann"))
    ledger.add(done(0, 9))
    again = ItemsReopened(
        at=AT, phase=LOAD, items=((4_100, 4_100),), done=1, failed=0, skipped=0, author="Ann", reason="again"
    )
    ledger.add(again)
    assert verify(ledger.store).findings == ()
    assert select(ledger.store, "before:load").checkpoint.number == 1


def test_a_shard_that_says_otherwise_than_the_events_is_found(repo: Repo, ledger: Ledger) -> None:
    listed(repo, ledger)
    stored = repo.git("show", "gitckpt/w:.gitckpt/items/load/00000.json")
    replace_state(repo, stored.replace("4000", "4001").encode() + b"\n", "items/load/00000.json")
    told = whats(verify(ledger.store))
    assert "0004: its items do not follow from its parent's and its events" in told
    assert "0004: the counts of load are not those of its items" in told
    assert verify(ledger.store).sound_up_to == 3


def test_a_list_that_is_another_is_found(repo: Repo, ledger: Ledger) -> None:
    listed(repo, ledger)
    replace_state(repo, b'"other"\n', "items/load/list.jsonl")
    told = whats(verify(ledger.store))
    assert "0004: the list of load is not the one that its manifest names" in told


def test_a_damaged_shard_is_said_to_be_unreadable(repo: Repo, ledger: Ledger) -> None:
    listed(repo, ledger)
    replace_state(repo, b"{}\n", "items/load/00000.json")
    assert "0004: its items do not follow" in whats(verify(ledger.store))
    assert "0004: its items cannot be read" in whats(verify(ledger.store))
