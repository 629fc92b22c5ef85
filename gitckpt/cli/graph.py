"""A graph of commits drawn with characters, as `git log --graph` does it.

Owns the lanes. Pure: names in, text out. Must not know what a commit is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One commit: `line` has its mark, `after` are the lines below it that only lead to others."""

    line: str
    after: tuple[str, ...]


def draw(commits: Sequence[tuple[str, Sequence[str], str]]) -> list[Drawn]:
    """Each commit as its name, what it builds on, and its mark; every one comes before those that it builds on."""
    lanes: list[str] = []
    return [_drawn(lanes, *commit) for commit in commits]


def _drawn(lanes: list[str], name: str, parents: Sequence[str], mark: str) -> Drawn:
    """Draw one, and change the lanes, each of which leads to a commit, to those below it."""
    if name not in lanes:
        lanes.append(name)
    at = lanes.index(name)
    line = " ".join(mark if lane == at else "|" for lane in range(len(lanes)))
    after: list[str] = []
    if parents:
        lanes[at] = parents[0]
    else:
        del lanes[at]
        after += [_row({2 * lane: "|" for lane in range(at)} | _slant("/", at, len(lanes)))] if lanes[at:] else []
    for parent in reversed(parents[1:]):
        stay = {2 * lane: "|" for lane in range(at + 1)}
        after.append(_row(stay | _slant("\\", at, len(lanes))))
        lanes.insert(at + 1, parent)
    after += _joined(lanes)
    return Drawn(line=line, after=tuple(after))


def _joined(lanes: list[str]) -> Iterator[str]:
    """Bring lanes that lead to the same commit together, the right one to the left one."""
    while (pair := _twins(lanes)) is not None:
        left, right = pair
        count = len(lanes)
        del lanes[right]
        if right == left + 1:
            yield _row({2 * lane: "|" for lane in range(right)} | _slant("/", left, count - 1))
            continue
        across = {2 * lane + 1: "_" for lane in range(left + 1, right - 1)}
        yield _row({2 * lane: "|" for lane in range(right)} | across | _slant("/", right - 1, count - 1))
        yield _row({2 * lane: "|" for lane in range(count - 1)} | {2 * left + 1: "/"})


def _twins(lanes: Sequence[str]) -> tuple[int, int] | None:
    for right, name in enumerate(lanes):
        left = lanes.index(name)
        if left < right:
            return left, right
    return None


def _slant(sign: str, first: int, end: int) -> dict[int, str]:
    """Lanes from `first` on that move aside by one."""
    return {2 * lane + 1: sign for lane in range(first, end)}


def _row(signs: dict[int, str]) -> str:
    return "".join(signs.get(place, " ") for place in range(max(signs, default=-1) + 1))
