"""The progress of 4,096 neighbouring items: what a checkpoint stores of them, and what an event does to it.

Owns the stored form and its exact meaning. Must not know where shards lie, nor what an item is. A shard is changed in
place only by whoever made the copy.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from gitckpt.model.codec import Damaged, dumps, loads
from gitckpt.model.items import (
    ItemsCompensated,
    ItemsCompleted,
    ItemsEvent,
    ItemsFailed,
    ItemsListed,
    ItemsReopened,
    ItemsSkipped,
    Ranges,
)
from gitckpt.model.manifest import SCHEMA, Json

SIZE = 4_096
"""Items in one shard: one file for all was 1 MB a checkpoint at a million items, this is a few KB."""

PENDING, DONE, FAILED, SKIPPED, COMPENSATED = range(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFailure:
    """The last failed try of an item. `final`: the call that tried it gave it up; else it is still under way."""

    attempt: int
    exit_code: int | None
    detail: str
    final: bool = False


@dataclass(slots=True, kw_only=True)
class Shard:
    """Items from `first` on. `states` has one of the constants above for each; `numbers` the number of the checkpoint
    in which it was done, else 0."""

    first: int
    states: bytearray = field(default_factory=lambda: bytearray(SIZE))
    numbers: array[int] = field(default_factory=lambda: array("L", bytes(SIZE * array("L").itemsize)))
    failures: dict[int, ItemFailure] = field(default_factory=dict)

    def copy(self) -> Shard:
        """One that can be changed."""
        return Shard(
            first=self.first,
            states=bytearray(self.states),
            numbers=array("L", self.numbers),
            failures=dict(self.failures),
        )

    def newest(self) -> int:
        """The number of the newest completion, 0 for none."""
        return max(self.numbers)


def apply(shard: Shard, event: ItemsEvent, number: int) -> None:
    """What the event, of the checkpoint with that number, says about the items of this shard."""
    match event:
        case ItemsListed(done=ranges) | ItemsCompleted(items=ranges):
            _put(shard, ranges, DONE, number)
        case ItemsFailed(items=ranges):
            _put(shard, ranges, FAILED, 0)
            failure = ItemFailure(
                attempt=event.attempt, exit_code=event.exit_code, detail=event.detail, final=event.final
            )
            for first, last in _inside(shard, ranges):
                shard.failures.update(dict.fromkeys(range(shard.first + first, shard.first + last + 1), failure))
        case ItemsSkipped(items=ranges):
            _put(shard, ranges, SKIPPED, 0)
        case ItemsReopened(items=ranges):
            _put(shard, ranges, PENDING, 0)
        case ItemsCompensated(items=ranges):
            _put(shard, ranges, COMPENSATED, 0)


def _put(shard: Shard, ranges: Ranges, state: int, number: int) -> None:
    for first, last in _inside(shard, ranges):
        count = last - first + 1
        shard.states[first : last + 1] = bytes([state]) * count
        shard.numbers[first : last + 1] = array("L", [number]) * count
        if shard.failures:
            for index in range(shard.first + first, shard.first + last + 1):
                shard.failures.pop(index, None)


def _inside(shard: Shard, ranges: Ranges) -> Iterator[tuple[int, int]]:
    """The parts of the ranges in this shard, as positions in it."""
    for first, last in ranges:
        low, high = max(first - shard.first, 0), min(last - shard.first, SIZE - 1)
        if low <= high:
            yield low, high


def encode(shard: Shard) -> bytes:
    """Runs of neighbours in one state. A run of done ones is `[first, last, number, step]`: the item at `first` was
    done in checkpoint `number`, each further one `step` (0 or 1) checkpoints later."""
    runs: dict[int, list[Json]] = {DONE: [], SKIPPED: [], COMPENSATED: []}
    for first, last, state in _runs(shard.states):
        if state == DONE:
            runs[DONE] += _numbered(shard, first, last)
        elif state in runs:
            runs[state].append([shard.first + first, shard.first + last])
    failed: dict[str, Json] = {
        str(index): {"attempt": f.attempt, "exit_code": f.exit_code, "detail": f.detail, "final": f.final}
        for index, f in shard.failures.items()
    }
    plain: dict[str, Json] = {
        "schema": SCHEMA,
        "first": shard.first,
        "done": runs[DONE],
        "failed": failed,
        "skipped": runs[SKIPPED],
        "compensated": runs[COMPENSATED],
    }
    return dumps(plain)


def _runs(states: bytearray) -> Iterator[tuple[int, int, int]]:
    start = 0
    while start < SIZE:
        state = states[start]
        rest = states[start:]
        end = start + len(rest) - len(rest.lstrip(bytes([state])))
        if state != PENDING:
            yield start, end - 1, state
        start = end


def _numbered(shard: Shard, first: int, last: int) -> Iterator[Json]:
    numbers = shard.numbers
    start = first
    while start <= last:
        number, end = numbers[start], start + 1
        step = numbers[end] - number if end <= last and numbers[end] - number in (0, 1) else 0
        while end <= last and numbers[end] == number + step * (end - start):
            end += 1
        yield [shard.first + start, shard.first + end - 1, number, step]
        start = end


def decode(data: bytes, what: str) -> Shard:
    """Raises Damaged."""
    plain = loads(data, what)
    try:
        return _decoded(plain)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise Damaged(what, f"it is no shard of items ({error})") from error


def _decoded(plain: Json) -> Shard:
    if not isinstance(plain, dict):
        raise TypeError("not an object")
    shard = Shard(first=_number(plain["first"]))
    for run in _list(plain["done"]):
        first, last, number, step = (_number(each) for each in _list(run))
        _put(shard, ((first, last),), DONE, number)
        if step:
            for low, high in _inside(shard, ((first, last),)):
                shard.numbers[low : high + 1] = array("L", range(number, number + high - low + 1))
    for key, state in (("skipped", SKIPPED), ("compensated", COMPENSATED)):
        for run in _list(plain[key]):
            first, last = (_number(each) for each in _list(run))
            _put(shard, ((first, last),), state, 0)
    failed = plain["failed"]
    if not isinstance(failed, dict):
        raise TypeError("failed")
    for index, told in failed.items():
        if not isinstance(told, dict):
            raise TypeError("failed")
        code = told["exit_code"]
        failure = ItemFailure(
            attempt=_number(told["attempt"]),
            exit_code=None if code is None else _number(code),
            detail=str(told["detail"]),
            final=told.get("final") is True,
        )
        _put(shard, ((int(index), int(index)),), FAILED, 0)
        shard.failures[int(index)] = failure
    return shard


def _number(value: Json) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{value!r} is no number")
    return value


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value
