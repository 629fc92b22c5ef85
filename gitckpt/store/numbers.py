"""The numbers of the items of a list: which one each has in its run, where that is not its position.

Owns the file: one line for each stretch of neighbours whose numbers follow on one another, `[position, number]` of the
first. No two items of a run have one number, so a list made anew goes on where the one before it ended. Must not know
what an item is.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from gitckpt.model.codec import Damaged

_parse = msgspec.json.Decoder(tuple[int, int])


class Numbers:
    """The number of each position. `path` None: they are the positions."""

    def __init__(self, path: Path | None) -> None:
        """Raises OSError, Damaged."""
        self._firsts, self._numbers = array("q"), array("q")
        if path is None:
            return
        with path.open("rb") as file:
            for line in file:
                try:
                    first, number = _parse.decode(line)
                except msgspec.DecodeError as error:
                    raise Damaged("the numbers of items", str(error)) from error
                self._firsts.append(first)
                self._numbers.append(number)

    def of(self, position: int) -> int:
        """The number of the item at that position."""
        at = bisect_right(self._firsts, position) - 1
        return position if at < 0 else self._numbers[at] + position - self._firsts[at]


def encode_numbers(numbers: Iterable[int]) -> Iterator[bytes]:
    """The lines for the numbers in order; none where each is its position."""
    expected = 0
    for position, number in enumerate(numbers):
        if number != expected:
            yield b"[%d, %d]\n" % (position, number)
        expected = number + 1
