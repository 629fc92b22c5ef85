"""A list of items on disk: read by position and by key, no two keys equal, done items found again in a new list."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitckpt.errors import ExitCode
from gitckpt.model.codec import Damaged
from gitckpt.model.listing import Item
from gitckpt.store.lists import EqualKeys, ItemList, carry_over, write_list

ODD = [b"", b"\xff", b"a\nb", b'"', b"\\", "é".encode(), b'{"item": "x", "key": "y"}']


def plain(keys: list[bytes]) -> list[Item]:
    return [Item(key, key) for key in keys]


def numbered(count: int) -> list[Item]:
    return [Item(b"row %d" % n, b"key-%d" % n) if n % 3 else Item(b"\xfe%d" % n, b"\xfe%d" % n) for n in range(count)]


def listed(items: list[Item], path: Path) -> ItemList:
    assert write_list(iter(items), path) == len(items)
    return ItemList(path)


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 127, 128, 129, 1000])
def test_a_list_gives_back_its_items_by_position(tmp_path: Path, count: int) -> None:
    items = numbered(count)
    found = listed(items, tmp_path / "list")
    assert found.total == count
    assert list(found.items(range(count))) == items
    assert [found.item(n) for n in range(count)] == items


def test_positions_may_be_asked_for_in_any_order_and_twice(tmp_path: Path) -> None:
    items = numbered(300)
    found = listed(items, tmp_path / "list")
    asked = [random.Random(4).randrange(300) for _ in range(500)] + [299, 0, 64, 63, 64, 128, 127, 0, 0, 299, 299]
    assert list(found.items(asked)) == [items[n] for n in asked]


@pytest.mark.parametrize("index", [-1, 100, 101, 10**9])
def test_a_position_outside_of_the_list_is_an_error(tmp_path: Path, index: int) -> None:
    with pytest.raises(IndexError):
        listed(numbered(100), tmp_path / "list").item(index)


def test_an_item_is_found_by_its_key_and_not_by_what_it_holds(tmp_path: Path) -> None:
    items = [*numbered(200), *plain(ODD), Item(b"own", b"its key"), Item(b'x", "key": "fake', b"real")]
    found = listed(items, tmp_path / "list")
    assert [found.find(item.key) for item in items] == list(range(len(items)))
    for absent in (b"own", b"row 1", b"key-", b"key-1000", b"fake", b'fake"}', b"\xfd"):
        assert found.find(absent) is None


@pytest.mark.parametrize("own_keys", [False, True])
def test_the_first_two_equal_keys_are_named(tmp_path: Path, own_keys: bool) -> None:
    keys = [b"%d" % n for n in range(500)]
    keys[450] = keys[3]
    keys[460] = keys[2]
    items = [Item(b"row %d" % n, key) if own_keys else Item(key, key) for n, key in enumerate(keys)]
    with pytest.raises(EqualKeys) as raised:
        write_list(items, tmp_path / "list")
    assert (raised.value.key, raised.value.first, raised.value.second) == (b"3", 3, 450)
    assert raised.value.exit_code is ExitCode.FAILED
    assert raised.value.message == "items 4 and 451 have the same key: 3"
    assert not (tmp_path / "list").exists()


def test_an_error_of_the_source_leaves_no_file(tmp_path: Path) -> None:
    def broken() -> Iterator[Item]:
        yield Item(b"a", b"a")
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        write_list(broken(), tmp_path / "list")
    assert not (tmp_path / "list").exists()


def test_a_list_that_was_cut_off_is_damage(tmp_path: Path) -> None:
    listed(numbered(10), tmp_path / "list")
    whole = (tmp_path / "list").read_bytes()
    (tmp_path / "list").write_bytes(whole[:-1])
    with pytest.raises(Damaged, match="cut off"):
        ItemList(tmp_path / "list")


def test_a_damaged_line_is_an_error_where_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b'"a"\nnothing\n"c"\n')
    found = ItemList(tmp_path / "list")
    assert [item.value for item in found.items((0, 2))] == [b"a", b"c"]
    with pytest.raises(Damaged):
        found.item(1)


@given(st.lists(st.binary(max_size=3), max_size=40), st.integers(1, 3))
def test_equal_keys_are_found_however_bad_the_digest_is(keys: list[bytes], spread: int) -> None:
    """A digest of so few values makes different keys collide all the time: only equal ones may be named."""
    seen: dict[bytes, int] = {}
    expected = next(((seen[k], n) for n, k in enumerate(keys) if seen.setdefault(k, n) != n), None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list"
        found: tuple[int, int] | None = None
        try:
            write_list(plain(keys), path, digest=lambda key: sum(key) % spread - 1)
        except EqualKeys as error:
            found = error.first, error.second
    assert found == expected


@given(st.data())
def test_what_was_done_is_carried_over_by_key_in_the_fewest_ranges(data: st.DataObject) -> None:
    keys = st.lists(st.sampled_from([*ODD, *(b"%d" % n for n in range(30))]), unique=True)
    before, after = data.draw(keys), data.draw(keys)
    last = max(0, len(before) - 1)
    done = data.draw(st.lists(st.tuples(st.integers(0, last), st.integers(0, last)).map(sorted))) if before else []
    ranges = [(first, end) for first, end in done]
    with tempfile.TemporaryDirectory() as folder:
        old = listed(plain(before), Path(folder) / "old")
        new = listed([Item(b"new " + key, key) for key in after], Path(folder) / "new")
        carried = carry_over(old, ranges, new)
    finished = {before[n] for first, end in ranges for n in range(first, end + 1)}
    covered = [n for first, end in carried for n in range(first, end + 1)]
    assert covered == [n for n, key in enumerate(after) if key in finished]
    assert all(end + 1 < first for (_, end), (first, _) in pairwise(carried))


def test_a_list_that_did_not_change_keeps_what_is_done(tmp_path: Path) -> None:
    items = numbered(1000)
    old, new = listed(items, tmp_path / "old"), listed(items, tmp_path / "new")
    assert carry_over(old, [(0, 99), (500, 500), (990, 999)], new) == ((0, 99), (500, 500), (990, 999))
    assert carry_over(old, [(0, 999)], new) == ((0, 999),)
    assert carry_over(old, [], new) == ()


def test_an_item_added_in_front_makes_only_itself_run(tmp_path: Path) -> None:
    items = numbered(100)
    old, new = listed(items, tmp_path / "old"), listed([Item(b"new", b"new"), *items], tmp_path / "new")
    assert carry_over(old, [(0, 99)], new) == ((1, 100),)


def test_a_range_that_the_old_list_does_not_have_is_an_error(tmp_path: Path) -> None:
    old, new = listed(numbered(5), tmp_path / "old"), listed(numbered(5), tmp_path / "new")
    with pytest.raises(IndexError):
        carry_over(old, [(3, 5)], new)
