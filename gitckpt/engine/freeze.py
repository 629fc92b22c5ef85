"""Freezing the list of a phase's items: from its source to a blob, with what carries over from the list before.

Owns what an item of this phase may be. Must not know how the list is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from gitckpt.engine.agenda import list_file
from gitckpt.engine.capturing import secret_values
from gitckpt.engine.hold import Hold
from gitckpt.engine.inflight import InFlight
from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.items import Ranges
from gitckpt.model.listing import Item
from gitckpt.model.manifest import state_of
from gitckpt.model.outcome import Attempt, Listed
from gitckpt.model.repeat import Foreach
from gitckpt.model.text import safe
from gitckpt.model.workflow import Phase, item_digest
from gitckpt.plumbing.pack import Pack
from gitckpt.store.layout import items_folder
from gitckpt.store.lists import ItemList, carry_over, write_list
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
        os.replace(part, lists / f"{blob}.jsonl")
    finally:
        part.unlink(missing_ok=True)
    definition = item_digest(phase, hold.workflow)
    return Listed(
        attempt=attempt,
        at=hold.now(),
        list=blob,
        total=total,
        definition=definition,
        batch=phase.batch.size if phase.batch else None,
        done=_done_before(hold, phase, definition, ItemList(lists / f"{blob}.jsonl")),
    )


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


def _done_before(hold: Hold, phase: Phase, definition: str, new: ItemList) -> Ranges:
    """The items of an older list of this run that are done, by key; none where they were done by another definition."""
    old = state_of(hold.at_tip.manifest, phase.name).items
    if old is None or old.definition != definition or not old.done:
        return ()
    reader = hold.store.reader
    above = items_folder(reader, hold.at_tip.oid, hold.store.prefix)
    progress = Progress(reader, phase_folder(reader, above, phase.name))
    return carry_over(ItemList(list_file(hold, old.list)), progress.done(old.total), new)
