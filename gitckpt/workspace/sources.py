"""The items that a phase's `foreach` names, read from the workspace as it stands.

Owns the meaning of each kind of source, the order, and what a source must not hold. One item at a time is in memory;
an order takes 100,000 (the rest waits in files without a name), and a JSON list its text. Must not know phases, nor
how the list is kept.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import IO

from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.listing import Item, decode_item, encode_item
from gitckpt.model.repeat import Foreach
from gitckpt.model.text import safe
from gitckpt.plumbing.scratch import scratch_file
from gitckpt.workspace.pattern import matching
from gitckpt.workspace.records import BadRecord, Record, csv_rows, json_values

_MOST_OF_ONE_VARIABLE = 128 * 1024
"""Linux's MAX_ARG_STRLEN on pages of 4 KiB: `NAME=value` and its final NUL, whatever the limit on all together."""

_SORTED_AT_ONCE = 100_000
"""Items, and what each is ranked by: 25 MB where they are short."""

_DIGITS = re.compile(rb"[0-9]+")


@dataclass(eq=False)
class SourceMissing(GitckptError):
    """The file that holds the items is not there."""

    exit_code = ExitCode.FAILED
    path: str

    @property
    def message(self) -> str:
        return f"{safe(self.path)}: the file that holds the items is not there"

    @property
    def hint(self) -> str:
        return "make it, or mend `foreach` in the workflow file; then: gitckpt run"


@dataclass(eq=False)
class SourceUnreadable(GitckptError):
    """A source cannot be read as what it should be. `line` counts from 1; None: it is not about a line."""

    exit_code = ExitCode.FAILED
    path: str
    line: int | None
    why: str

    @property
    def message(self) -> str:
        return f"{_place(self.path, self.line)}: {safe(self.why)}"

    @property
    def hint(self) -> str:
        return "nothing of the list was taken; mend it, then: gitckpt run"


@dataclass(eq=False)
class NulInItem(GitckptError):
    """An item or its key holds a NUL, which no variable, argument or list of lines can carry."""

    exit_code = ExitCode.FAILED
    where: str
    line: int | None

    @property
    def message(self) -> str:
        return f"{_place(self.where, self.line)}: an item cannot hold a NUL byte"

    @property
    def hint(self) -> str:
        return "a list that NULs separate can be turned into lines: tr '\\0' '\\n' < LIST"


@dataclass(eq=False)
class ItemTooLong(GitckptError):
    """An item does not fit into a variable or an argument. `size` and `limit` in bytes."""

    exit_code = ExitCode.FAILED
    where: str
    line: int | None
    size: int
    limit: int

    @property
    def message(self) -> str:
        return (
            f"{_place(self.where, self.line)}: the item has {self.size:,} bytes; "
            f"the system hands a process at most {self.limit:,} in one variable or argument"
        )

    @property
    def hint(self) -> str:
        return "let the item be the name of a file that holds it, or hand it over with `batch: {input: stdin}`"


@dataclass(eq=False)
class NoItems(GitckptError):
    """A source gave no item, and `allow_empty` is not set. `source`: as a person would name it."""

    exit_code = ExitCode.FAILED
    source: str

    @property
    def message(self) -> str:
        return f"{safe(self.source)}: there is no item"

    @property
    def hint(self) -> str:
        return "mend the source; where it may well be empty, say so in `foreach`: {…, allow_empty: true}"


def longest_item(*names: str) -> int:
    """The most bytes that a value of each of these environment variables can have."""
    return _MOST_OF_ONE_VARIABLE - 1 - max(len(os.fsencode(name)) + 1 for name in names)


def read_items(root: Path, source: Foreach, printed: Path | None, most_bytes: int | None) -> Iterator[Item]:
    """The items of `source`, in its order, at most `source.limit` of them; equal keys are not looked for.

    `root`: the workspace. `printed`: what the command of `run` printed. `most_bytes`: of one item; None: no limit.
    `sort` goes by the keys. While iterated raises SourceMissing, SourceUnreadable, NulInItem, ItemTooLong, NoItems.
    """
    where, records = _records(root, source, printed)
    items = _checked(where, records, most_bytes)
    match source.sort or ("name" if source.glob else "none"):
        case "name":
            items = _in_order(items, _name)
        case "natural":
            items = _in_order(items, _natural)
    empty = True
    for item in islice(items, source.limit):
        empty = False
        yield item
    if empty and not source.allow_empty:
        raise NoItems(where)


def _records(root: Path, source: Foreach, printed: Path | None) -> tuple[str, Iterator[Record]]:
    """What the source is called in an error, and its items as they come."""
    if source.values is not None:
        return "the list in `foreach`", _from_values(source.values)
    if source.glob:
        return f"the pattern {', '.join(source.glob)} (from the workspace's top)", _from_pattern(root, source.glob)
    if source.csv is not None:
        return source.csv, _from_file(root, source.csv, source)
    if source.json is not None:
        return source.json, _from_file(root, source.json, source)
    if source.lines is not None:
        return source.lines, _from_file(root, source.lines, source)
    if printed is None:
        raise ValueError("what the command printed is missing")
    return "what the command of `foreach` printed", _from_printed(printed)


def _from_values(values: Iterable[str]) -> Iterator[Record]:
    for number, text in enumerate(values, 1):
        value = text.encode("utf-8", "surrogateescape")
        yield number, Item(value, value)


def _from_pattern(root: Path, patterns: tuple[str, ...]) -> Iterator[Record]:
    try:
        for path in matching(root, patterns):
            yield None, Item(path, path)
    except OSError as problem:
        folder = os.path.relpath(os.fsdecode(problem.filename or root), root)
        raise SourceUnreadable(folder, None, problem.strerror or "cannot be read") from problem


def _from_printed(printed: Path) -> Iterator[Record]:
    with printed.open("rb") as file:
        yield from _lines(file)


def _from_file(root: Path, path: str, source: Foreach) -> Iterator[Record]:
    with _open(root, path) as file:
        try:
            if source.csv is not None:
                yield from csv_rows(file, source.key)
            elif source.json is not None:
                yield from json_values(file, source.key)
            else:
                yield from _lines(file)
        except BadRecord as bad:
            raise SourceUnreadable(path, bad.line, bad.why) from bad
        except OSError as problem:
            raise SourceUnreadable(path, None, problem.strerror or "cannot be read") from problem


def _lines(file: IO[bytes]) -> Iterator[Record]:
    for number, line in enumerate(file, 1):
        value = line[:-1] if line.endswith(b"\n") else line
        if value:
            yield number, Item(value, value)


def _open(root: Path, path: str) -> IO[bytes]:
    """A regular file inside the workspace, also by a link that stays inside."""
    top = os.path.realpath(os.fsencode(root))
    target = os.path.realpath(os.path.join(top, path.encode("utf-8", "surrogateescape")))
    if not target.startswith(top.rstrip(b"/") + b"/"):
        raise SourceUnreadable(path, None, "leads out of the workspace")
    try:
        fd = os.open(target, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO must not make us wait
    except (FileNotFoundError, NotADirectoryError) as problem:
        raise SourceMissing(path) from problem
    except OSError as problem:
        raise SourceUnreadable(path, None, problem.strerror or "cannot be read") from problem
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise SourceUnreadable(path, None, "is no regular file")
    return os.fdopen(fd, "rb")


def _checked(where: str, records: Iterable[Record], most_bytes: int | None) -> Iterator[Item]:
    for line, item in records:
        if b"\0" in item.value or b"\0" in item.key:
            raise NulInItem(where, line)
        if most_bytes is not None and len(item.value) > most_bytes:
            raise ItemTooLong(where, line, len(item.value), most_bytes)
        yield item


def _in_order(items: Iterator[Item], rank: Callable[[Item], bytes]) -> Iterator[Item]:
    """Sorted by rank. A million items would take 130 MB, so all but the last part are sorted into files and merged."""
    with ExitStack() as files:
        parts: list[Iterator[Item]] = []
        part = sorted(islice(items, _SORTED_AT_ONCE), key=rank)
        while more := list(islice(items, _SORTED_AT_ONCE)):
            file = files.enter_context(scratch_file())
            file.writelines(map(encode_item, part))
            file.seek(0)
            parts.append(map(decode_item, file))
            part = sorted(more, key=rank)
        yield from merge(*parts, part, key=rank)


def _name(item: Item) -> bytes:
    return item.key


def _natural(item: Item) -> bytes:
    """Each number in the key is led by its length, so that bytes compare as the numbers do; ties by the key itself."""
    return b"\0".join((_DIGITS.sub(_led_by_length, item.key), item.key))


def _led_by_length(digits: re.Match[bytes]) -> bytes:
    number = digits[0].lstrip(b"0")
    return b"0" + len(number).to_bytes(8, "big") + number


def _place(where: str, line: int | None) -> str:
    return safe(where) if line is None else f"{safe(where)}, line {line:,}"
