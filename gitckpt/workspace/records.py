"""CSV and JSON as items: each row or value, its text in one line, and its key.

Owns how a row becomes JSON, how a value is kept exactly (numbers as they are written, members in their order), and
what is refused. Must not know paths, nor the limits of an item.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import IO, NoReturn, TypeAlias

import msgspec

from gitckpt.model.amount import plural
from gitckpt.model.listing import Item

Record: TypeAlias = tuple[int | None, Item]
"""The number of the line where an item begins, from 1, and the item."""

_BLANK = re.compile(r"[ \t\r\n]*")
_BOM = b"\xef\xbb\xbf"
_encode = msgspec.json.Encoder().encode


class BadRecord(ValueError):
    """What is wrong, and in which line."""

    def __init__(self, line: int | None, why: str) -> None:
        super().__init__(why)
        self.line = line
        self.why = why


def csv_rows(file: IO[bytes], key: str | None) -> Iterator[Record]:
    """Each row as a JSON object of texts in the header's order; blank lines are no rows. Raises BadRecord.

    UTF-8, with or without a mark at the start. `key` names the column whose text is the item's key.
    """
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        rows = csv.reader(text, strict=True)
        line = 1
        columns: list[str] = []
        place: int | None = None
        try:
            for row in rows:
                begun, line = line, rows.line_num + 1
                if not row:
                    continue
                if columns:
                    yield begun, _row(columns, row, place, begun)
                else:
                    columns = row
                    place = _column(columns, key, begun)
        except csv.Error as error:
            raise BadRecord(line, f"it is no CSV: {error}") from error
        if not columns:
            raise BadRecord(1, "there is no header row that names the columns")
    finally:
        text.detach()  # the file is its opener's to close


def json_values(file: IO[bytes], key: str | None) -> Iterator[Record]:
    """The members of one JSON list, or the JSON value in each line: a text as it is, any other value as compact JSON.

    `key` names the member of each object, a text or a number, that is its key. The file is read from its start; a
    list is in memory as text meanwhile, lines are not. Raises BadRecord.
    """
    values = _listed(file) if _is_list(file) else _in_lines(file)
    for line, value in values:
        yield line, _json_item(value, key, line)


def _column(columns: list[str], key: str | None, line: int) -> int | None:
    _text(dict.fromkeys(columns, ""), line)
    if len(set(columns)) != len(columns):
        raise BadRecord(line, "two columns of the header have the same name")
    if key is None:
        return None
    if key not in columns:
        raise BadRecord(line, f"the header has no column {key!r}, only: {', '.join(columns)}")
    return columns.index(key)


def _row(columns: list[str], row: list[str], key: int | None, line: int) -> Item:
    if len(row) != len(columns):
        raise BadRecord(line, f"the row has {plural(len(row), 'column')}, the header has {len(columns)}")
    value = _text(dict(zip(columns, row, strict=True)), line)
    return Item(value, value if key is None else row[key].encode())


def _is_list(file: IO[bytes]) -> bool:
    """Whether the whole is one list. `[1]` in each of several lines is a value in each line."""
    opening = next((line for line in file if line.removeprefix(_BOM).strip()), b"").removeprefix(_BOM)
    more = any(line.strip() for line in file)
    file.seek(0)
    if not opening.lstrip().startswith(b"["):
        return False
    try:
        if more:
            _json.decode(opening.decode())
    except (ValueError, RecursionError):
        more = False  # a list over several lines begins with a line that is no value of its own
    return not more


def _in_lines(file: IO[bytes]) -> Iterator[tuple[int, object]]:
    for line, data in enumerate(file, 1):
        text = _decoded(data.removeprefix(_BOM) if line == 1 else data, line).removesuffix("\n")
        begin = _skip(text, 0)
        if begin == len(text):
            continue
        value, after = _value(text, begin, line)
        if _skip(text, after) != len(text):
            raise BadRecord(line, "more than one JSON value stands in the line")
        yield line, value


def _listed(file: IO[bytes]) -> Iterator[tuple[int, object]]:
    text = _decoded(file.read().removeprefix(_BOM), 1)
    line, counted = 1, 0
    at = _skip(text, text.index("[") + 1)
    closed = text.startswith("]", at)
    while not closed:
        line, counted = line + text.count("\n", counted, at), at
        value, after = _value(text, at, line)
        yield line, value
        at = _skip(text, after)
        closed = text.startswith("]", at)
        if not closed and not text.startswith(",", at):
            raise BadRecord(line, "neither a comma nor `]` follows the value that begins here")
        if not closed:
            at = _skip(text, at + 1)
    if _skip(text, at + 1) != len(text):
        raise BadRecord(line, "something follows the end of the list")


def _value(text: str, at: int, line: int) -> tuple[object, int]:
    """The JSON value that begins at `at`, in line `line` of the file, and where it ends."""
    try:
        value, after = _json.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise BadRecord(line + text.count("\n", at, error.pos), f"it is no JSON: {error.msg}") from error
    except ValueError as error:
        raise BadRecord(line, f"it is no JSON: {error}") from error
    except RecursionError as error:
        raise BadRecord(line, "it is nested too deep") from error
    return value, after


def _json_item(value: object, key: str | None, line: int) -> Item:
    text = _text(value, line)
    if key is None:
        return Item(text, text)
    if not isinstance(value, dict):
        raise BadRecord(line, f"the value is no object, so it has no member {key!r}")
    if key not in value:
        raise BadRecord(line, f"the object has no member {key!r}")
    if not isinstance(value[key], str | msgspec.Raw):
        raise BadRecord(line, f"the member {key!r} is neither a text nor a number")
    return Item(text, _text(value[key], line))


def _text(value: object, line: int) -> bytes:
    """A text's bytes; of any other value its JSON in one line."""
    try:
        return value.encode() if isinstance(value, str) else _encode(value)
    except UnicodeEncodeError as error:
        raise BadRecord(line, "it holds text that is not Unicode (UTF-8 is read)") from error
    except RecursionError as error:
        raise BadRecord(line, "it is nested too deep") from error


def _decoded(data: bytes, line: int) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadRecord(line + data.count(b"\n", 0, error.start), "it is not UTF-8") from error


def _skip(text: str, at: int) -> int:
    """Where the blanks from `at` on end."""
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice in one object")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


# A number is kept as it is written: 0.10 stays 0.10, and 12345678901234567890.5 loses no digit.
_json = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=msgspec.Raw, parse_int=msgspec.Raw, parse_constant=_no_constant
)
