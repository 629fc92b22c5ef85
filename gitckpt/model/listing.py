"""The items of a phase's list, and the text of a list: one line an item.

Owns the one form that an item has as a line: canonical JSON without spaces at its ends, so two lists are equal when
their bytes are. An item is any bytes; its key is what it is known by. Must not know where a list comes from or lies.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass

import msgspec

from gitckpt.model.codec import Damaged

_BEFORE_ITEM = b'{"item": '
_BEFORE_KEY = b', "key": '
_json = msgspec.json.Encoder()
_parse = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class Item:
    """What a phase is done for once. Without a key of its own, `key` equals `value`."""

    value: bytes
    key: bytes


def encode_item(item: Item) -> bytes:
    r"""The item's line, `\n` included. Two items have the same line only when they are equal."""
    value = encode_bytes(item.value)
    if item.key == item.value:
        return value + b"\n"
    return b"".join((_BEFORE_ITEM, value, _BEFORE_KEY, encode_bytes(item.key), b"}\n"))


def decode_item(line: bytes) -> Item:
    """The item that `encode_item` made `line` of. Raises Damaged for every other line."""
    try:
        parsed = _parse.decode(line)
        if isinstance(parsed, dict) and "item" in parsed:
            item = Item(_bytes_of(parsed["item"]), _bytes_of(parsed["key"]))
        else:
            value = _bytes_of(parsed)
            item = Item(value, value)
    except (ValueError, KeyError, RecursionError) as error:
        raise Damaged("the list of items", f"a line is no item: {error}") from error
    if encode_item(item) != line:
        raise Damaged("the list of items", f"a line is no item: {line[:80]!r}")
    return item


def encode_bytes(value: bytes) -> bytes:
    """JSON of any bytes: a string where they are UTF-8, else an object with their base64."""
    try:
        return _json.encode(value.decode())
    except UnicodeDecodeError:
        return b'{"b64": "%b"}' % binascii.b2a_base64(value, newline=False)


def key_of_line(line: bytes) -> bytes:
    """What `encode_bytes` made of the key of the item whose line this is, without the cost of decoding it.

    The border is found from the right: within a string of JSON every quote has a backslash before it.
    """
    if not line.startswith(_BEFORE_ITEM):
        return line[:-1]
    return line[line.rindex(_BEFORE_KEY) + len(_BEFORE_KEY) : -2]


def _bytes_of(parsed: object) -> bytes:
    if isinstance(parsed, str):
        return parsed.encode()
    if isinstance(parsed, dict) and isinstance(text := parsed["b64"], str):
        return binascii.a2b_base64(text)
    raise ValueError("neither text nor base64")
