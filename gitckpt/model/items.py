"""What happens to the items of a phase, as events; each tells indices into the phase's frozen list.

Owns these events and their ranges. Must not know what an item is, nor how its progress is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from gitckpt.model.manifest import Uncaptured, later
from gitckpt.model.names import PhaseName

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""Ascending, apart, both ends included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some items of a phase: which, how many, and how many of them had failed before. `label` is for people."""

    ranges: Ranges
    count: int
    failed_before: int = 0
    batch: int | None = None
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsListed:
    """The list of a phase's items is frozen: the blob `list`. `done` carry over from an older list, by their keys.

    `numbers`, `next`, `batches`: as Items has them; `made_from`: as PhaseState. `anew`: it takes the place of a list
    that was in force, and some of what was done of that is to be done again.
    """

    at: str
    phase: PhaseName
    list: str
    total: int
    definition: str
    batch: int | None = None
    done: Ranges = ()
    numbers: str | None = later()
    next: int = later(0)
    batches: int = later(0)
    made_from: Mapping[PhaseName, str] = later({})
    anew: bool = later(default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsCompleted:
    """Items are done, with all their files. `mended` of them had failed before. `busy_ms`: of those that ran beside
    others of their phase, how much longer the phase took by them; together it is how long any of them ran."""

    at: str
    phase: PhaseName
    items: Ranges
    count: int
    mended: int
    started: str
    duration_ms: int
    batch: int | None = None
    detail: str = ""
    uncaptured: Uncaptured | None = None
    busy_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsFailed:
    """A try of items ended badly; `newly` of them had not failed before. `final`: the call gave them up with it.
    `busy_ms`: as in ItemsCompleted; `uncaptured`: as in AttemptFailed."""

    at: str
    phase: PhaseName
    items: Ranges
    newly: int
    attempt: int
    started: str
    duration_ms: int
    exit_code: int | None
    detail: str
    partial: bool = False
    final: bool = False
    busy_ms: int | None = None
    uncaptured: Uncaptured | None = later()


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsSkipped:
    """Somebody said that items need not be done. `failed` of them had failed before."""

    at: str
    phase: PhaseName
    items: Ranges
    count: int
    failed: int
    author: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsReopened:
    """Items are to be done again: `done`, `failed` and `skipped` count what they were."""

    at: str
    phase: PhaseName
    items: Ranges
    done: int
    failed: int
    skipped: int
    author: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsCompensated:
    """What items did outside the workspace was undone: of the completion in checkpoint number `of` those that
    `undone` names, in the list of then. `items`, `count`: those of today's list that stood on it, and are no longer
    done. `newest`: the number of the newest completion left, 0 for none."""

    at: str
    phase: PhaseName
    items: Ranges
    count: int
    newest: int
    duration_ms: int
    detail: str = ""
    of: int = later(0)
    undone: Ranges = later(())


ItemsEvent: TypeAlias = ItemsListed | ItemsCompleted | ItemsFailed | ItemsSkipped | ItemsReopened | ItemsCompensated


def ranges_of(indices: Iterable[int]) -> Ranges:
    """Ascending indices as ranges."""
    found: list[tuple[int, int]] = []
    for index in indices:
        if found and found[-1][1] == index - 1:
            found[-1] = (found[-1][0], index)
        else:
            found.append((index, index))
    return tuple(found)


def indices_of(ranges: Iterable[tuple[int, int]]) -> Iterator[int]:
    """Every index of the ranges."""
    for first, last in ranges:
        yield from range(first, last + 1)


def count_of(ranges: Iterable[tuple[int, int]]) -> int:
    """How many indices the ranges hold."""
    return sum(last - first + 1 for first, last in ranges)


def without(ranges: Ranges, gone: Ranges) -> Ranges:
    """What the ranges hold and `gone` does not."""
    found: list[tuple[int, int]] = []
    for first, last in ranges:
        at = first
        for low, high in gone:
            if high < at or low > last:
                continue
            if low > at:
                found.append((at, low - 1))
            at = high + 1
        if at <= last:
            found.append((at, last))
    return tuple(found)


def both(ranges: Ranges, others: Ranges) -> Ranges:
    """What both hold."""
    return without(ranges, without(ranges, others))
