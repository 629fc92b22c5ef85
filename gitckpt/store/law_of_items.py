"""The law of items: a checkpoint's folder `items` follows from the one before it and its events, and so do the counts.

Owns which folder a checkpoint's events follow on, and the proof that a stored one does. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gitckpt.errors import GitckptError
from gitckpt.model.events import Event, Reset, RolledBack, RunStarted, Undone
from gitckpt.model.names import Oid
from gitckpt.model.shard import DONE, FAILED, SKIPPED
from gitckpt.plumbing.objects import encode_tree, object_id
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.layout import items_folder
from gitckpt.store.shards import Progress, items_after, phase_folder
from gitckpt.store.store import Store


def items_before(store: Store, parents: Sequence[Oid], events: Sequence[Event]) -> bytes | None:
    """The folder of items that the events follow on: that of the checkpoint whose manifest they set."""
    source = parents[0] if parents else None
    for event in events:
        match event:
            case RunStarted() | Reset():
                return None
            case RolledBack(target=target) | Undone(target=target):
                source = target
            case _:
                continue
    return items_folder(store.reader, source, store.prefix) if source else None


Counts = tuple[int, int, int]
"""How many items are done, failed, skipped."""


def faults_of_items(store: Store, checkpoint: Checkpoint, counted: dict[bytes, Counts]) -> Iterator[str]:
    """What is wrong with a checkpoint's items. `counted`: what shards, by their blobs, were found to hold before.

    Where the one before it is not there (a shallow copy), only the counts are looked at.
    """
    reader = store.reader
    try:
        here = items_folder(reader, checkpoint.oid, store.prefix)
        if all(reader.commit(oid) is not None for oid in _needed(checkpoint)):
            base = items_before(store, checkpoint.parents, checkpoint.events)
            sink = _Nowhere(store.repository.object_format)
            if items_after(reader, sink, base, checkpoint.events, checkpoint.number) != here:
                yield "its items do not follow from its parent's and its events"
        yield from _miscounted(store, checkpoint, here, counted)
    except GitckptError as error:
        yield f"its items cannot be read: {error.message}"


def _needed(checkpoint: Checkpoint) -> tuple[Oid, ...]:
    targets = (event.target for event in checkpoint.events if isinstance(event, RolledBack | Undone))
    return (*checkpoint.parents[:1], *targets)


def _miscounted(
    store: Store, checkpoint: Checkpoint, here: bytes | None, counted: dict[bytes, Counts]
) -> Iterator[str]:
    """Phases whose shards say other numbers than the manifest. A shard is read once, however many have it."""
    for name, state in checkpoint.manifest.phases.items():
        items = state.items
        if items is None:
            continue
        progress = Progress(store.reader, phase_folder(store.reader, here, name))
        if progress.listed is None or progress.listed.hex() != items.list:
            yield f"the list of {name} is not the one that its manifest names"
            continue
        for number, blob in progress.blobs().items():
            if blob not in counted:
                states = progress.shard(number).states
                counted[blob] = (states.count(DONE), states.count(FAILED), states.count(SKIPPED))
        found = [(0, 0, 0), *(counted[blob] for blob in progress.blobs().values())]
        sums = [sum(column) for column in zip(*found, strict=True)]
        if sums != [items.done, items.failed, items.skipped]:
            yield f"the counts of {name} are not those of its items"


class _Nowhere:
    """Gives the ids that objects would have."""

    def __init__(self, object_format: str) -> None:
        self._format = object_format

    def blob(self, data: bytes) -> bytes:
        return object_id(self._format, "blob", data)

    def tree(self, entries: Sequence[tuple[bytes, int, bytes]]) -> bytes:
        return object_id(self._format, "tree", encode_tree(entries))
