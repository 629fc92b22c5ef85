"""An item is any bytes, and has exactly one line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitckpt.model.codec import Damaged
from gitckpt.model.listing import Item, decode_item, encode_bytes, encode_item, key_of_line

AWKWARD = [
    b"",
    b"a",
    b'", "key": "',
    b'{"item": "a", "key": "b"}',
    b'{"b64": "YQ=="}',
    b"\\",
    b"\xff",
    b"\n",
    "é\u2028".encode(),
]
any_bytes = st.one_of(st.binary(), st.text().map(str.encode), st.sampled_from(AWKWARD))
items = st.builds(Item, any_bytes, any_bytes) | any_bytes.map(lambda value: Item(value, value))


@pytest.mark.parametrize(
    ("item", "line"),
    [
        (Item(b"a/b.csv", b"a/b.csv"), b'"a/b.csv"\n'),
        (Item("ü\n".encode(), "ü\n".encode()), '"ü\\n"\n'.encode()),
        (Item(b"\xff", b"\xff"), b'{"b64": "/w=="}\n'),
        (Item(b"\xff", b"k"), b'{"item": {"b64": "/w=="}, "key": "k"}\n'),
        (Item(b'{"id":7}', b"7"), b'{"item": "{\\"id\\":7}", "key": "7"}\n'),
        (Item(b"", b""), b'""\n'),
    ],
)
def test_the_line_of_an_item_is_json_that_a_person_can_read(item: Item, line: bytes) -> None:
    assert encode_item(item) == line
    assert decode_item(line) == item


@given(items)
def test_every_item_comes_back_from_a_line_without_a_newline_inside(item: Item) -> None:
    line = encode_item(item)
    assert decode_item(line) == item
    assert line.index(b"\n") == len(line) - 1
    assert json.loads(line) is not None


@given(items, items)
def test_lines_are_equal_only_when_the_items_are_and_so_are_keys(one: Item, other: Item) -> None:
    assert (encode_item(one) == encode_item(other)) == (one == other)
    assert (key_of_line(encode_item(one)) == key_of_line(encode_item(other))) == (one.key == other.key)


@given(items)
def test_the_text_of_the_key_is_found_without_decoding_the_line(item: Item) -> None:
    assert key_of_line(encode_item(item)) == encode_bytes(item.key)


@given(st.text())
def test_text_is_written_as_the_manifest_writes_it(text: str) -> None:
    assert encode_bytes(text.encode()) == json.dumps(text, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b'"a"',
        b'"a"\n\n',
        b' "a"\n',
        b'"\\u0061"\n',
        b'"\xff"\n',
        b'"\\ud800"\n',
        b"7\n",
        b"null\n",
        b'["a"]\n',
        b"{}\n",
        b'{"item": "a"}\n',
        b'{"key": "a"}\n',
        b'{"item":"a","key":"b"}\n',
        b'{"key": "b", "item": "a"}\n',
        b'{"item": "a", "key": "a"}\n',
        b'{"item": "a", "item": "a", "key": "b"}\n',
        b'{"item": "a", "key": "b", "more": 1}\n',
        b'{"item": 1, "key": "b"}\n',
        b'{"b64": "YQ=="}\n',
        b'{"b64": "/w="}\n',
        b'{"b64": "/x=="}\n',
        b'{"b64": "/w==\xff"}\n',
        b'{"b64": 7}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_any_other_line_is_damage(line: bytes) -> None:
    with pytest.raises(Damaged, match="the list of items is damaged"):
        decode_item(line)


@given(items, st.data())
def test_a_line_with_a_changed_byte_is_another_item_or_damage(item: Item, data: st.DataObject) -> None:
    line = bytearray(encode_item(item))
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] ^= data.draw(st.integers(1, 255))
    try:
        read = decode_item(bytes(line))
    except Damaged:
        return
    assert read != item
    assert encode_item(read) == line
