"""Shards of items: what events do to them, and that what is stored is what was meant."""

from __future__ import annotations

from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitckpt.model.codec import Damaged
from gitckpt.model.items import (
    ItemsCompensated,
    ItemsCompleted,
    ItemsFailed,
    ItemsListed,
    ItemsReopened,
    ItemsSkipped,
    Ranges,
    count_of,
    indices_of,
    ranges_of,
)
from gitckpt.model.names import PhaseName
from gitckpt.model.shard import COMPENSATED, DONE, FAILED, PENDING, SIZE, SKIPPED, Shard, apply, decode, encode

P = PhaseName("p")
AT = "2025-01-02T03:04:05+01:00"


def done(*ranges: tuple[int, int]) -> ItemsCompleted:
    return ItemsCompleted(at=AT, phase=P, items=ranges, count=count_of(ranges), mended=0, started=AT, duration_ms=1)


def failed(*ranges: tuple[int, int], attempt: int = 1) -> ItemsFailed:
    return ItemsFailed(
        at=AT,
        phase=P,
        items=ranges,
        newly=0,
        attempt=attempt,
        started=AT,
        duration_ms=1,
        exit_code=7,
        detail="exit 7",
    )


def states(shard: Shard, *positions: int) -> list[int]:
    return [shard.states[position] for position in positions]


def test_each_event_puts_its_items_into_a_state_and_leaves_the_others() -> None:
    shard = Shard(first=0)
    apply(shard, done((0, 3)), 5)
    apply(shard, failed((2, 2), (4, 4), attempt=3), 6)
    apply(shard, ItemsSkipped(at=AT, phase=P, items=((5, 5),), count=1, failed=0, author="A", reason=""), 7)
    gone = ItemsCompensated(at=AT, phase=P, items=((0, 0),), count=1, newest=5, duration_ms=1)
    apply(shard, gone, 8)
    anew = ItemsReopened(at=AT, phase=P, items=((3, 3),), done=1, failed=0, skipped=0, author="A", reason="")
    apply(shard, anew, 9)
    assert states(shard, 0, 1, 2, 3, 4, 5, 6) == [COMPENSATED, DONE, FAILED, PENDING, FAILED, SKIPPED, PENDING]
    assert shard.numbers[:4] == array("L", [0, 5, 0, 0])
    assert sorted(shard.failures) == [2, 4]
    assert shard.failures[4].attempt == 3
    assert shard.newest() == 5


def test_an_item_that_is_done_after_all_has_failed_no_more() -> None:
    shard = Shard(first=SIZE)
    apply(shard, failed((SIZE + 1, SIZE + 2)), 3)
    apply(shard, done((SIZE + 1, SIZE + 1)), 4)
    assert list(shard.failures) == [SIZE + 2]


def test_only_the_part_of_a_range_that_lies_in_the_shard_counts() -> None:
    shard = Shard(first=SIZE)
    apply(shard, done((0, SIZE), (2 * SIZE - 1, 5 * SIZE)), 3)
    assert states(shard, 0, 1, SIZE - 2, SIZE - 1) == [DONE, PENDING, PENDING, DONE]


def test_a_carried_over_item_is_done_in_the_checkpoint_that_froze_the_list() -> None:
    shard = Shard(first=0)
    apply(shard, ItemsListed(at=AT, phase=P, list="", total=9, definition="", done=((2, 3),)), 12)
    assert list(shard.numbers[:5]) == [0, 0, 12, 12, 0]


def test_items_done_one_by_one_are_stored_in_one_line_and_so_are_those_of_one_checkpoint() -> None:
    shard = Shard(first=0)
    for index in range(SIZE):
        apply(shard, done((index, index)), 10 + index)
    assert len(encode(shard)) < 200
    together = Shard(first=0)
    apply(together, done((0, SIZE - 1)), 10)
    assert len(encode(together)) < 200


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["done", "failed", "skipped", "compensated", "reopened"]), st.integers(0, 60), st.integers(0, 9)
    ),
    max_size=25,
)


def _event(kind: str, ranges: Ranges) -> object:
    match kind:
        case "done":
            return done(*ranges)
        case "failed":
            return failed(*ranges)
        case "skipped":
            return ItemsSkipped(at=AT, phase=P, items=ranges, count=1, failed=0, author="A", reason="")
        case "compensated":
            return ItemsCompensated(at=AT, phase=P, items=ranges, count=1, newest=0, duration_ms=1)
        case _:
            return ItemsReopened(at=AT, phase=P, items=ranges, done=0, failed=0, skipped=0, author="A", reason="")


@given(CHANGES, st.sampled_from([0, SIZE * 244]))
def test_what_is_stored_is_what_was_meant(changes: list[tuple[str, int, int]], first: int) -> None:
    shard = Shard(first=first)
    for number, (kind, start, length) in enumerate(changes, 1):
        apply(shard, _event(kind, ((first + start, first + start + length),)), number)  # type: ignore[arg-type]
    again = decode(encode(shard), "it")
    assert (again.first, again.states, again.numbers, again.failures) == (
        shard.first,
        shard.states,
        shard.numbers,
        shard.failures,
    )
    assert encode(again) == encode(shard)


def test_a_copy_can_be_changed_alone() -> None:
    shard = Shard(first=0)
    copy = shard.copy()
    apply(copy, done((0, 5)), 1)
    assert not any(shard.states)


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"{}",
        b'{"first": -1, "done": [], "failed": {}, "skipped": [], "compensated": []}',
        b'{"first": 0, "done": [[1, 2]], "failed": {}, "skipped": [], "compensated": []}',
        b'{"first": 0, "done": [["x", 2, 3, 0]], "failed": {}, "skipped": [], "compensated": []}',
        b'{"first": 0, "done": [], "failed": [], "skipped": [], "compensated": []}',
        b'{"first": 0, "done": [], "failed": {"1": 2}, "skipped": [], "compensated": []}',
        b'{"first": 0, "done": [], "failed": {}, "skipped": [7], "compensated": []}',
    ],
)
def test_a_damaged_shard_is_said_to_be_damaged(data: bytes) -> None:
    with pytest.raises(Damaged):
        decode(data, "items 0..")


@given(st.sets(st.integers(0, 200)))
def test_ranges_hold_just_the_indices_they_were_made_of(indices: set[int]) -> None:
    ranges = ranges_of(sorted(indices))
    assert list(indices_of(ranges)) == sorted(indices)
    assert count_of(ranges) == len(indices)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(ranges))
