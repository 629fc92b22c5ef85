"""The frozen list of a phase's items as a file: written once, then read by position or by key.

Owns the file (one line an item, `model.listing`), the proof that no two keys are equal, and what of an old list is
done in a new one. Memory stays far below the size of the list. Must not know phases, or where the file is kept.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate, chain, islice, pairwise
from pathlib import Path

from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.codec import Damaged
from gitckpt.model.items import Ranges, ranges_of
from gitckpt.model.listing import Item, decode_item, encode_bytes, encode_item, key_of_line
from gitckpt.model.text import safe

_EVERY = 64
"""Lines between two noted places: 125 KB of them at 1,000,000 items, and at most 63 lines read in vain."""

_PARTS = 64
"""Digests are put in order part by part, because a list of Python's numbers is five times as large as an array."""

Digest = Callable[[bytes], int]
"""A signed number of 64 bits."""


@dataclass(eq=False)
class EqualKeys(GitckptError):
    """Two items of one list are known by the same key. Indices count from 0."""

    exit_code = ExitCode.FAILED
    key: bytes
    first: int
    second: int

    @property
    def message(self) -> str:
        return f"items {self.first + 1:,} and {self.second + 1:,} have the same key: {safe(self.key[:200])}"

    @property
    def hint(self) -> str:
        return "take one of them out of the source; for csv and json, `key:` can name a column that differs in each"


def write_list(items: Iterable[Item], path: Path, digest: Digest = hash) -> int:
    """Write the list and return how many items it has. Raises EqualKeys, OSError, and what `items` raises.

    A list that is not whole leaves no file. `digest` need not be good: equal digests are only looked at closer.
    """
    parts = [array("q") for _ in range(_PARTS)]
    total = 0
    with ExitStack() as undo:
        undo.callback(path.unlink, missing_ok=True)
        with path.open("wb") as file:
            for item in items:
                file.write(encode_item(item))
                number = digest(item.key)
                parts[number % _PARTS].append(number)
                total += 1
        repeated = _repeated(parts)
        if repeated:
            _require_distinct(ItemList(path), repeated, digest)
        undo.pop_all()
    return total


class ItemList:
    """A list that `write_list` wrote. The file is opened for each call and must stay as it is meanwhile."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, and Damaged where the last line is cut off."""
        self._path = path
        with path.open("rb") as file:
            ends = accumulate(map(len, file))
            self._places = array("q", chain((0,), islice(ends, _EVERY - 1, None, _EVERY)))
            file.seek(self._places[-1])
            rest = file.readlines()
            whole = not rest or rest[-1].endswith(b"\n")
        if not whole:
            raise Damaged("the list of items", "its last line is cut off")
        self.total = (len(self._places) - 1) * _EVERY + len(rest)

    def item(self, index: int) -> Item:
        """Raises IndexError, Damaged, OSError."""
        return next(self.items((index,)))

    def items(self, indices: Iterable[int]) -> Iterator[Item]:
        """In the order asked for; ascending is quickest. Raises IndexError, Damaged, OSError while iterated."""
        return map(decode_item, self.lines(indices))

    def find(self, key: bytes) -> int | None:
        """The index of the item with this key. Reads the list from its start: 0.3 s for 1,000,000. Raises OSError."""
        wanted = encode_bytes(key)
        with self._path.open("rb") as file:
            for index, line in enumerate(file):
                if wanted in line and key_of_line(line) == wanted:
                    return index
        return None

    def keys(self) -> Iterator[bytes]:
        """Each key's text in the list, in order: equal where the keys are. Raises OSError while iterated."""
        with self._path.open("rb") as file:
            yield from map(key_of_line, file)

    def lines(self, indices: Iterable[int]) -> Iterator[bytes]:
        r"""As `items`, the lines as they stand, `\n` included."""
        with self._path.open("rb") as file:
            at = 0
            for index in indices:
                if not 0 <= index < self.total:
                    raise IndexError(index)
                if not at <= index <= at + _EVERY:
                    at = index - index % _EVERY
                    file.seek(self._places[index // _EVERY])
                for _ in range(at, index):
                    file.readline()
                yield file.readline()
                at = index + 1


def carry_over(old: ItemList, done: Iterable[tuple[int, int]], new: ItemList) -> Ranges:
    """Which items of `new` were done in `old`, by their keys. Ranges are inclusive; the result's are ascending and
    as few as can be. Raises IndexError for a range that is not in `old`, and OSError."""
    is_done = bytearray(old.total)
    for first, last in done:
        if last >= old.total:
            raise IndexError(last)
        is_done[first : last + 1] = b"\1" * (last + 1 - first)
    return ranges_of(index for index, at in enumerate(join(old, new).before) if at >= 0 and is_done[at])


@dataclass(frozen=True, slots=True)
class Joined:
    """A list beside an older one. `before`: for each item the index of the one with its key there, -1 where there is
    none; `same`: 1 where that is the same in all, not only in its key."""

    before: array[int]
    same: bytearray


def join(old: ItemList, new: ItemList) -> Joined:
    """Find each item of `new` in `old`, by its key. Raises OSError.

    Digests of 128 bits stand for the keys: two different keys with one are not to be found by anybody, and 1,000,000
    keys themselves would take 100 MB. They are compared part by part: 70 MB for 1,000,000 items in each list.
    """
    known, wanted = _Digests(old), _Digests(new)
    before, same = array("q", [-1]) * new.total, bytearray(new.total)
    for part in range(_PARTS):
        places = dict(zip(_split(known.keys[part]), known.places[part], strict=True))
        for digest, index in zip(_split(wanted.keys[part]), wanted.places[part], strict=True):
            found = places.get(digest, -1)
            before[index] = found
            same[index] = found >= 0 and known.lines[found] == wanted.lines[index]
    return Joined(before, same)


class _Digests:
    """A list as digests: of its keys, part by part, with their places, and of its lines."""

    def __init__(self, items: ItemList) -> None:
        self.keys = [bytearray() for _ in range(_PARTS)]
        self.places = [array("q") for _ in range(_PARTS)]
        self.lines = array("q")
        for index, line in enumerate(items.lines(range(items.total))):
            digest = _long_digest(key_of_line(line))
            part = digest[0] % _PARTS
            self.keys[part] += digest
            self.places[part].append(index)
            self.lines.append(hash(line))


def _repeated(parts: list[array[int]]) -> array[int]:
    """The digests that stand more than once in `parts`, ascending. The parts are emptied."""
    found = array("q")
    while parts:
        for one, other in pairwise(sorted(parts.pop())):
            if one == other and not (found and found[-1] == one):
                found.append(one)
    return array("q", sorted(found))


def _require_distinct(items: ItemList, repeated: array[int], digest: Digest) -> None:
    """Raises EqualKeys for the first item whose key an earlier one has. `repeated`: the digests to look at."""
    firsts = array("q", [-1]) * len(repeated)
    collided: dict[bytes, int] = {}  # later keys with the digest of another key: none, with a good digest
    for index, item in enumerate(items.items(range(items.total))):
        number = digest(item.key)
        place = bisect_left(repeated, number)
        if place == len(repeated) or repeated[place] != number:
            continue
        first = firsts[place]
        if first < 0:
            firsts[place] = index
        elif items.item(first).key == item.key:
            raise EqualKeys(item.key, first, index)
        elif (other := collided.setdefault(item.key, index)) != index:
            raise EqualKeys(item.key, other, index)


def _long_digest(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=16).digest()


def _split(digests: bytearray) -> Iterator[bytes]:
    whole = bytes(digests)
    return (whole[at : at + 16] for at in range(0, len(whole), 16))
