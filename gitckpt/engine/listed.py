"""The items of a phase as of a checkpoint, for whoever only looks: found by their keys, with state and output.

Owns the way from a key to what is known of its item. Takes no lock and changes nothing; reads a list where it lies,
or from a copy that is gone afterwards. Must not know how items are shown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory

from gitckpt.engine.place import Place
from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.items import ItemsListed
from gitckpt.model.listing import Item
from gitckpt.model.manifest import Items, state_of
from gitckpt.model.names import Oid, PhaseName
from gitckpt.model.shard import COMPENSATED, DONE, FAILED, PENDING, SKIPPED, ItemFailure
from gitckpt.model.text import safe
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.layout import items_folder
from gitckpt.store.lists import ItemList
from gitckpt.store.shards import Progress, phase_folder
from gitckpt.store.store import Store

STATES: Mapping[int, str] = {
    PENDING: "to do",
    DONE: "done",
    FAILED: "failed",
    SKIPPED: "skipped",
    COMPENSATED: "compensated",
}

_LOOKED_THROUGH = 20_000
"""Keys that are looked through for ones like a wrong one."""


@dataclass(eq=False)
class NotListed(GitckptError):
    """A phase, or none at all, has a list of items that is in force."""

    phase: str

    exit_code = ExitCode.USAGE

    @property
    def message(self) -> str:
        whose = f"{safe(self.phase)} has no frozen list" if self.phase else "no phase has a frozen list"
        return f"{whose} of items (yet): it is made when a phase with `foreach` starts"

    @property
    def hint(self) -> str:
        start = f"gitckpt run --until {safe(self.phase)}" if self.phase else "gitckpt run"
        where = "where it has `foreach`, let it start" if self.phase else "let it start"
        return f"{where}: {start}; see where it stands: gitckpt status"


@dataclass(eq=False)
class NoSuchItem(GitckptError):
    """No list that was looked at has this key."""

    key: bytes
    phases: tuple[str, ...]
    near: tuple[str, ...]

    exit_code = ExitCode.USAGE

    @property
    def message(self) -> str:
        near = f"; near it: {', '.join(self.near)}" if self.near else ""
        return f"{', '.join(map(safe, self.phases))}: no item has the key {safe(self.key[:200])}{near}"

    @property
    def hint(self) -> str:
        return f"see the keys: gitckpt items {safe(self.phases[0])}"


@dataclass(eq=False)
class InSeveralPhases(GitckptError):
    """More than one phase has an item of this key."""

    key: bytes
    phases: tuple[str, ...]

    exit_code = ExitCode.USAGE

    @property
    def message(self) -> str:
        return f"{', '.join(self.phases)} each have an item {safe(self.key[:200])}"

    @property
    def hint(self) -> str:
        return f"say whose: --only {self.phases[0]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of one item. `number`: of the checkpoint it was done in, 0 where it is not done."""

    index: int
    item: Item
    state: int
    number: int
    failure: ItemFailure | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The items of one phase as of one checkpoint."""

    phase: PhaseName
    items: Items
    progress: Progress
    listing: ItemList

    def known(self, indices: Sequence[int]) -> Iterator[Known]:
        """The items at these indices, ascending."""
        for index, item in zip(indices, self.listing.items(indices), strict=True):
            yield Known(
                index=index,
                item=item,
                state=self.progress.state(index),
                number=self.progress.number(index),
                failure=self.progress.failure(index),
            )

    def find(self, key: bytes) -> int:
        """The index of the item of this key. Raises NoSuchItem with the near ones."""
        index = self.listing.find(key)
        if index is None:
            raise NoSuchItem(key, (self.phase,), near_keys(self.listing, key))
        return index


def near_keys(listing: ItemList, key: bytes) -> tuple[str, ...]:
    """Up to three keys like a wrong one, safe to show."""
    wanted = safe(key)
    names = [safe(item.key) for item in listing.items(range(min(listing.total, _LOOKED_THROUGH)))]
    within = [name for name in names if wanted and wanted in name][:3]
    return tuple(name[:100] for name in within or get_close_matches(wanted, names[:2_000], n=3, cutoff=0.5))


@contextmanager
def open_items(store: Store, place: Place, checkpoint: Checkpoint, phase: PhaseName) -> Iterator[Listed]:
    """The items of a phase. Raises NotListed."""
    items = state_of(checkpoint.manifest, phase).items
    if items is None:
        raise NotListed(phase)
    folder = phase_folder(store.reader, items_folder(store.reader, checkpoint.oid, store.prefix), phase)
    with _as_file(store, place, items.list) as path:
        yield Listed(phase=phase, items=items, progress=Progress(store.reader, folder), listing=ItemList(path))


@contextmanager
def _as_file(store: Store, place: Place, blob: str) -> Iterator[Path]:
    path = place.lists / f"{blob}.jsonl"
    if path.exists():
        yield path
        return
    with TemporaryDirectory(prefix="gitckpt-") as folder:
        copy = Path(folder, "list.jsonl")
        with open(copy, "wb") as file:
            store.reader.stream(bytes.fromhex(blob), file.write)
        yield copy


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where an item stands: its phase and its index."""

    phase: PhaseName
    index: int


def find_item(store: Store, place: Place, checkpoint: Checkpoint, key: bytes, only: PhaseName | None) -> Whereabouts:
    """The one phase whose list has the key. Raises NotListed, NoSuchItem, InSeveralPhases."""
    names = [only] if only is not None else checkpoint.manifest.order
    asked = [name for name in names if (items := state_of(checkpoint.manifest, name).items) and not items.stale]
    if not asked:
        raise NotListed(only or "")
    found: list[Whereabouts] = []
    for name in asked:
        with open_items(store, place, checkpoint, name) as listed:
            index = listed.listing.find(key)
        if index is not None:
            found.append(Whereabouts(name, index))
    if len(found) > 1:
        raise InSeveralPhases(key, tuple(each.phase for each in found))
    if not found:
        raise NoSuchItem(key, tuple(asked), _near_in(store, place, checkpoint, asked, key))
    return found[0]


def _near_in(
    store: Store, place: Place, checkpoint: Checkpoint, phases: Sequence[PhaseName], key: bytes
) -> tuple[str, ...]:
    near: dict[str, None] = {}
    for name in phases:
        with open_items(store, place, checkpoint, name) as listed:
            near |= dict.fromkeys(near_keys(listed.listing, key))
    return tuple(near)[:3]


# --- what an item printed -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """What an item printed: `where` is the checkpoint (`0012`) or attempt (`load@2`) that has it; `together`: so many
    items, which it printed together with."""

    data: bytes
    where: str
    together: int = 1


def printed_by(store: Store, place: Place, phase: PhaseName, key: bytes) -> Printed | None:
    """The output of the checkpoint that completed the item, or of its last failed try; None where none is kept.

    Raises NotListed, NoSuchItem.
    """
    tip = store.tip()
    while tip is not None:
        with open_items(store, place, tip, phase) as listed:
            (known,) = listed.known([listed.find(key)])
        if known.failure is not None:
            return _failed(store, phase, known.failure.attempt)
        if not known.number:
            return None
        oid = store.numbered(known.number)
        if oid is None:
            return None
        done_in = store.read(oid)
        carried = any(isinstance(event, ItemsListed) and event.phase == phase for event in done_in.events)
        if not carried:
            data = store.output(oid, phase)
            many = _together(done_in, phase)
            return None if data is None else Printed(data=data, where=f"{done_in.number:04d}", together=many)
        # It was done over an older list.
        tip = store.read(done_in.parents[0]) if done_in.parents else None
    return None


def _together(checkpoint: Checkpoint, phase: PhaseName) -> int:
    return sum(getattr(e, "count", 0) for e in checkpoint.events if getattr(e, "phase", None) == phase)


def _failed(store: Store, phase: PhaseName, attempt: int) -> Printed | None:
    oid = failure_checkpoint(store, phase, attempt)
    data = store.output(oid, phase) if oid else None
    return None if data is None else Printed(data=data, where=f"{phase}@{attempt}")


def failure_checkpoint(store: Store, phase: PhaseName, attempt: int) -> Oid | None:
    """The checkpoint that says that an attempt failed: it has the output of the very item that did."""
    kept = store.attempt(phase, attempt)
    commit = store.reader.commit(kept) if kept else None
    if commit is None or not commit.parents:
        return None
    return store.numbered(store.manifest(commit.parents[0]).sequence + 1)


def indices_in(listed: Listed, states: Collection[int], most: int) -> tuple[list[int], int]:
    """The first `most` items in one of the states, and how many more there are."""
    wanted = listed.progress.among(frozenset(states), 0, listed.items.total)
    shown: list[int] = []
    more = 0
    for index in wanted:
        if len(shown) < most:
            shown.append(index)
        else:
            more += 1
    return shown, more
