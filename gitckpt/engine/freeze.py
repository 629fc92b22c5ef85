"""Freezing the list of a phase's items: from its source to a blob, with what carries over from the list before.

Owns what an item of this phase may be. Must not know how the list is used.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from gitckpt.engine.agenda import list_file
from gitckpt.engine.capturing import secret_values
from gitckpt.engine.hold import Hold
from gitckpt.engine.inflight import InFlight
from gitckpt.engine.made_from import ItemFacts, Past
from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.items import Ranges, count_of, ranges_of
from gitckpt.model.listing import Item
from gitckpt.model.manifest import Items, newest_list, state_of
from gitckpt.model.outcome import Attempt, Listed
from gitckpt.model.repeat import Foreach
from gitckpt.model.shard import DONE
from gitckpt.model.text import safe
from gitckpt.model.workflow import item_digest
from gitckpt.plumbing.durable import put_whole
from gitckpt.plumbing.pack import Pack
from gitckpt.store.layout import items_folder
from gitckpt.store.lists import ItemList, join, write_list
from gitckpt.store.numbers import Numbers, encode_numbers
from gitckpt.store.shards import Progress, phase_folder
from gitckpt.workspace.sources import longest_item, read_items


@dataclass(eq=False)
class LineBreakInItem(GitckptError):
    """An item with a line break cannot be handed over as a line."""

    phase: str
    key: bytes

    exit_code = ExitCode.FAILED

    @property
    def message(self) -> str:
        shown = safe(self.key[:80])
        return f"{self.phase}: an item holds a line break, and its batch is handed over line by line: {shown}"

    @property
    def hint(self) -> str:
        return "end each item with a zero byte (`batch: {separator: nul}`), or hand them over with `input: args`"


@dataclass(eq=False)
class SecretInItem(GitckptError):
    """An item with the value of a secret would put it into every checkpoint from here on."""

    position: int

    exit_code = ExitCode.FAILED

    @property
    def message(self) -> str:
        return f"item {self.position:,} of its list holds the value of a declared secret"

    @property
    def hint(self) -> str:
        return "items are kept in checkpoints: let the item be a name, and the command read the secret by itself"


def freeze(hold: Hold, pack: Pack, flight: InFlight, source: Foreach, attempt: Attempt) -> Listed:
    """Make the list, put it into the pack, and say what of it is done. Raises what reading the source raises."""
    phase = flight.phase
    lists = hold.place.lists
    lists.mkdir(exist_ok=True)
    part = lists / "new.part"
    try:
        total = write_list(_items(hold, flight, source), part)
        with open(part, "rb") as file:
            blob = pack.blob_stream(file.read, os.stat(part).st_size).hex()
        put_whole(part, lists / f"{blob}.jsonl")
    finally:
        part.unlink(missing_ok=True)
    definition = item_digest(phase, hold.workflow)
    frozen = ItemList(lists / f"{blob}.jsonl")
    state = state_of(hold.at_tip.manifest, phase.name)
    done = _done_before(hold, flight, state.items, definition, frozen)
    size = phase.batch.size if phase.batch else None
    numbers, next_number = _numbered(hold, pack, newest_list(state), frozen)
    return Listed(
        attempt=attempt,
        at=hold.now(),
        list=blob,
        total=total,
        definition=definition,
        batch=size,
        done=done,
        numbers=numbers,
        next=next_number,
        batches=_batches_before(newest_list(state), blob, size),
        anew=state.items is not None and not state.items.stale and count_of(done) < state.items.done,
    )


def _numbered(hold: Hold, pack: Pack, before: Items | None, frozen: ItemList) -> tuple[str | None, int]:
    """The blob with the number of each item, None where they are the positions; and the first number that is free, 0
    where that is the length of the list. Who had one keeps it, and nobody gets one that another item had."""
    if before is None:
        return None, 0
    known = Numbers(list_file(hold, before.numbers) if before.numbers else None)
    numbers, free = array("q"), before.next_number
    for at in join(ItemList(list_file(hold, before.list)), frozen).before:
        numbers.append(free if at < 0 else known.of(at))
        free += at < 0
    text = b"".join(encode_numbers(numbers))
    return pack.blob(text).hex() if text else None, 0 if free == frozen.total else free


def _batches_before(before: Items | None, blob: str, size: int | None) -> int:
    """How many batches had a number before the first one of this list: one of other items never gets theirs."""
    if before is None:
        return 0
    return before.batches if (before.list, before.batch) == (blob, size) else before.next_batch


def _items(hold: Hold, flight: InFlight, source: Foreach) -> Iterator[Item]:
    batch = flight.phase.batch
    by_lines = batch is not None and batch.input != "args" and batch.separator == "newline"
    in_lines = batch is not None and batch.input != "args"
    fits = None if in_lines else longest_item(*((source.variable, "GITCKPT_ITEM") if batch is None else ("",)))
    secret = secret_values(hold.workflow, hold.given.environment)
    read = read_items(flight.root, source, flight.desk.feed / "printed", fits)
    for position, item in enumerate(read, start=1):
        if by_lines and b"\n" in item.value:
            raise LineBreakInItem(flight.phase.name, item.key)
        if any(value in item.value or value in item.key for value in secret):
            raise SecretInItem(position)
        yield item


def _done_before(hold: Hold, flight: InFlight, old: Items | None, definition: str, new: ItemList) -> Ranges:
    """The items of an older list of this run that are done, by key; none where they were done by another definition.
    Those that were made from something else than there is now are to be done again: from another row, another file of
    their own, other files that the definition names."""
    if old is None or old.definition != definition or not old.done:
        return ()
    reader, tip = hold.store.reader, hold.at_tip
    progress = Progress(
        reader, phase_folder(reader, items_folder(reader, tip.oid, hold.store.prefix), flight.phase.name)
    )
    joined = join(ItemList(list_file(hold, old.list)), new)
    facts = ItemFacts(Past(hold.store, tip), flight.phase, flight.start.content)
    candidates = [index for index, at in enumerate(joined.before) if joined.same[index] and progress.state(at) == DONE]
    keys = (item.key for item in new.items(candidates))
    return ranges_of(
        index
        for index, key in zip(candidates, keys, strict=True)
        if not facts.is_out_of_date(key, progress.number(joined.before[index]))
    )
