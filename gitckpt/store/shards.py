"""Where the progress of items lies in a checkpoint: `.gitckpt/items/<phase>/`, a frozen list and shards beside it.

Owns this layout: `list.jsonl`, `numbers.jsonl` where an item's number in its run is not its position, and `00000.json`
for each 4,096 items that anything was done of. A checkpoint writes only the shards that its events touch. Must not know
what the items are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from gitckpt.model.events import Event
from gitckpt.model.items import (
    ItemsCompensated,
    ItemsCompleted,
    ItemsEvent,
    ItemsFailed,
    ItemsListed,
    ItemsReopened,
    ItemsSkipped,
    Ranges,
    ranges_of,
)
from gitckpt.model.names import PhaseName
from gitckpt.model.shard import DONE, FAILED, PENDING, SIZE, ItemFailure, Shard, apply, decode, encode
from gitckpt.plumbing.content import Objects
from gitckpt.plumbing.objects import TreeEntry

LIST, NUMBERS = b"list.jsonl", b"numbers.jsonl"
FILE, TREE = 0o100644, 0o40000
OPEN = frozenset({PENDING, FAILED, 4})
"""The states of items that are still to be done: also those whose last try failed, and those compensated."""

REMEMBERED = 8


class Sink(Protocol):
    """What takes objects and gives their ids: a pack, or, where they are only to be compared, nothing at all."""

    def blob(self, data: bytes) -> bytes: ...

    def tree(self, entries: Sequence[tuple[bytes, int, bytes]]) -> bytes: ...


class Progress:
    """The items of one phase as of one checkpoint. `tree`: its folder, None where nothing was listed yet.

    `before`: an earlier one, whose shards are taken over where they are the same.
    """

    def __init__(self, reader: Objects, tree: bytes | None, before: Progress | None = None) -> None:
        self._reader = reader
        self._entries: Mapping[bytes, TreeEntry] = reader.tree(tree) if tree else {}
        self._shards: dict[int, Shard] = {}
        self._newest: dict[int, int] = {}
        if before is not None:
            same = {number for number in before._stored() if before._blob(number) == self._blob(number)}  # noqa: SLF001
            self._shards = {number: s for number, s in before._shards.items() if number in same}  # noqa: SLF001
            self._newest = {number: n for number, n in before._newest.items() if number in same}  # noqa: SLF001

    def _stored(self) -> list[int]:
        return [int(name[:5]) for name in self._entries if name not in (LIST, NUMBERS)]

    def _blob(self, number: int) -> TreeEntry | None:
        return self._entries.get(name_of(number))

    @property
    def listed(self) -> bytes | None:
        """The blob of the frozen list."""
        entry = self._entries.get(LIST)
        return entry.oid if entry else None

    def shard(self, number: int) -> Shard:
        """That shard, an empty one where nothing is stored."""
        found = self._shards.get(number)
        if found is None:
            entry = self._entries.get(name_of(number))
            what = f"items {number * SIZE}.."
            found = Shard(first=number * SIZE) if entry is None else decode(self._reader.blob(entry.oid), what)
            while len(self._shards) >= REMEMBERED:
                self._shards.pop(next(iter(self._shards)))
            self._shards[number] = found
        return found

    def state(self, index: int) -> int:
        """One of the constants of `model.shard`."""
        return self.shard(index // SIZE).states[index % SIZE]

    def number(self, index: int) -> int:
        """The number of the checkpoint in which the item was done, 0 where it was not."""
        return self.shard(index // SIZE).numbers[index % SIZE]

    def failure(self, index: int) -> ItemFailure | None:
        """Its last failed try."""
        return self.shard(index // SIZE).failures.get(index)

    def open(self, start: int, total: int) -> Iterator[int]:
        """The items from `start` on that are still to be done, ascending."""
        return self.among(OPEN, start, total)

    def among(self, states: frozenset[int], start: int, total: int) -> Iterator[int]:
        """The items from `start` on in one of the states, ascending."""
        for number in range(start // SIZE, -(-total // SIZE)):
            shard = self.shard(number)
            low = max(start - shard.first, 0)
            for position in range(low, min(SIZE, total - shard.first)):
                if shard.states[position] in states:
                    yield shard.first + position

    def done(self, total: int) -> Ranges:
        """The items that are done."""
        return ranges_of(self.among(frozenset({DONE}), 0, total))

    def blobs(self) -> Mapping[int, bytes]:
        """The blob of each shard that is stored, by its number."""
        return {number: self._entries[name_of(number)].oid for number in self._stored()}

    def oldest(self) -> int:
        """The number of the oldest completion among the first 4,096 items that were begun, 0 for none."""
        stored = min(self._stored(), default=0)
        return min((number for number in self.shard(stored).numbers if number), default=0)

    def newest(self, before: int | None = None) -> tuple[int, Ranges]:
        """The number of the newest completion (below `before`), and the items that were done in it; 0 for none."""
        stored = self._stored()
        best = 0
        for number in stored:
            if number not in self._newest:
                self._newest[number] = self.shard(number).newest()
            if before is None:
                best = max(best, self._newest[number])
            elif self._newest[number]:
                best = max(best, max((n for n in self.shard(number).numbers if n < before), default=0))
        if not best:
            return 0, ()
        found = (
            shard.first + position
            for number in stored
            if self._newest[number] >= best
            for shard in (self.shard(number),)
            for position, done in enumerate(shard.numbers)
            if done == best
        )
        return best, ranges_of(found)


def name_of(number: int) -> bytes:
    """The file of a shard."""
    return b"%05d.json" % number


def items_after(reader: Objects, pack: Sink, base: bytes | None, events: Sequence[Event], number: int) -> bytes | None:
    """The folder `items` of the checkpoint with that number, whose events follow on the folder `base`."""
    # What was undone of an older list, or gone back past, changes nothing of the list of today.
    touched = [
        event
        for event in events
        if isinstance(event, _ITEMS_EVENTS) and (not isinstance(event, ItemsCompensated) or event.items)
    ]
    if not touched:
        return base
    folders = dict(reader.tree(base)) if base else {}
    for phase in dict.fromkeys(event.phase for event in touched):
        entry = folders.get(phase.encode())
        ours = [event for event in touched if event.phase == phase]
        tree = _phase_after(reader, pack, entry.oid if entry else None, ours, number)
        folders[phase.encode()] = TreeEntry(TREE, tree)
    return pack.tree([(name, entry.mode, entry.oid) for name, entry in folders.items()])


_ITEMS_EVENTS = (ItemsListed, ItemsCompleted, ItemsFailed, ItemsSkipped, ItemsReopened, ItemsCompensated)


def _phase_after(reader: Objects, pack: Sink, base: bytes | None, events: Iterable[ItemsEvent], number: int) -> bytes:
    entries = dict(reader.tree(base)) if base else {}
    before = Progress(reader, base)
    changed: dict[int, Shard] = {}
    for event in events:
        if isinstance(event, ItemsListed):
            entries = {LIST: TreeEntry(FILE, bytes.fromhex(event.list))}
            if event.numbers is not None:
                entries[NUMBERS] = TreeEntry(FILE, bytes.fromhex(event.numbers))
            before, changed = Progress(reader, None), {}
            ranges = event.done
        else:
            ranges = event.items
        for which in _touched(ranges):
            if which not in changed:
                changed[which] = before.shard(which).copy()
            apply(changed[which], event, number)
    for which, shard in changed.items():
        entries[name_of(which)] = TreeEntry(FILE, pack.blob(encode(shard)))
    return pack.tree([(name, entry.mode, entry.oid) for name, entry in entries.items()])


def _touched(ranges: Ranges) -> list[int]:
    return sorted({number for first, last in ranges for number in range(first // SIZE, last // SIZE + 1)})


def phase_folder(reader: Objects, items: bytes | None, phase: PhaseName) -> bytes | None:
    """The folder of one phase in the folder `items`."""
    entry = reader.tree(items).get(phase.encode()) if items else None
    return entry.oid if entry else None
