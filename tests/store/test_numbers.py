"""The numbers of items: stored as stretches, read by position; and an item found again in an older list."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitckpt.model.codec import Damaged
from gitckpt.model.listing import Item
from gitckpt.store.lists import ItemList, join, write_list
from gitckpt.store.numbers import Numbers, encode_numbers

KEYS = st.lists(st.sampled_from([b"a", b"b", b"c", b"d", b"e", b"f"]), unique=True, max_size=6)


@given(st.lists(st.integers(0, 50), unique=True, max_size=20))
def test_numbers_are_read_as_they_were_written(numbers: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "numbers")
        path.write_bytes(b"".join(encode_numbers(numbers)))
        read = Numbers(path)
        assert [read.of(position) for position in range(len(numbers))] == numbers
        assert bool(path.stat().st_size) == (numbers != list(range(len(numbers))))


def test_without_a_file_they_are_the_positions_and_a_broken_one_is_damaged(tmp_path: Path) -> None:
    assert [Numbers(None).of(position) for position in (0, 7)] == [0, 7]
    (tmp_path / "numbers").write_bytes(b'[1, "x"]\n')
    with pytest.raises(Damaged):
        Numbers(tmp_path / "numbers")


@given(before=KEYS, after=KEYS, data=st.data())
def test_an_item_is_found_in_an_older_list_and_whether_its_row_is_the_same(
    before: list[bytes], after: list[bytes], data: st.DataObject
) -> None:
    rows = {key: data.draw(st.sampled_from([b"row", b"other"])) for key in after}
    with tempfile.TemporaryDirectory() as folder:
        old, new = Path(folder, "old"), Path(folder, "new")
        write_list([Item(b"row", key) for key in before], old)
        write_list([Item(rows[key], key) for key in after], new)
        found = join(ItemList(old), ItemList(new))
    assert list(found.before) == [before.index(key) if key in before else -1 for key in after]
    assert [bool(same) for same in found.same] == [key in before and rows[key] == b"row" for key in after]
