"""What one call of `run` still has to do of the items of each phase: which group is next, and what it gave up.

Owns the way through each frozen list. Knows positions and states, never a million keys: shards are read as they are
needed. Must not start anything or record anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice, takewhile
from pathlib import Path

from gitckpt.engine.hold import Hold
from gitckpt.model.graph import phase_named
from gitckpt.model.items import Part, indices_of, ranges_of
from gitckpt.model.listing import Item
from gitckpt.model.manifest import DONE, Items, state_of
from gitckpt.model.moment import Group, Moment, Offer, Spent
from gitckpt.model.names import PhaseName
from gitckpt.model.shard import FAILED
from gitckpt.model.workflow import Phase, continues_after_items
from gitckpt.plumbing.durable import put_whole
from gitckpt.store.layout import items_folder
from gitckpt.store.lists import ItemList
from gitckpt.store.numbers import Numbers
from gitckpt.store.shards import Progress, phase_folder

MOST_UNITS = 1_000
"""Units in one group where only a time bounds it: an attempt names all of them to its watchdog."""


@dataclass(slots=True)
class Course:
    """A phase's way through its list in this call: `position` is where the next group is looked for, `late` where it is
    looked for among the items that an earlier call gave up. `flying`: items that are under way, or that succeeded and
    are not merged yet; `aloft`: those of them that no budget counts yet; `ready`: when an item that failed may be tried
    again, in ms of the monotonic clock."""

    folder: bytes | None = None
    progress: Progress | None = None
    position: int = 0
    late: int = 0
    given_up: set[int] = field(default_factory=set)
    count: int = 0
    failures: dict[int, int] = field(default_factory=dict)
    flying: set[int] = field(default_factory=set)
    aloft: set[int] = field(default_factory=set)
    ready: dict[int, int] = field(default_factory=dict)


class Agenda:
    """See the module. One is made for each call of `run`. `begun`: phases whose beginning was told."""

    def __init__(self, hold: Hold) -> None:
        self._hold = hold
        self._courses: dict[PhaseName, Course] = {}
        self._lists: dict[str, ItemList] = {}
        self._numbers: dict[str | None, Numbers] = {}
        self.begun: set[PhaseName] = set()
        self._moment = Moment()

    def now(self, moment: Moment) -> Moment:
        """The moment with the time, and with what is next of each phase's items."""
        hold = self._hold
        manifest = hold.at_tip.manifest
        names = [
            name
            for name, state in manifest.phases.items()
            if manifest.goal.kind == "finish" and self.items(name) is not None and state.status not in DONE
        ]
        self._moment = replace(
            moment,
            now_ms=hold.clock.monotonic_ms(),
            wall=hold.now(),
            offers={name: self._offer(name, moment) for name in names},
        )
        return self._moment

    def time_left_ms(self, phase: Phase) -> int | None:
        """For how long a group of the phase's items may go on to its next: what is left of the time of its checkpoint,
        of its budget and of this call; None for ever."""
        moment, budget = self._moment, phase.budget
        limits: list[int | None] = [phase.checkpoint_every.time_ms if phase.checkpoint_every else None]
        if moment.until_ms is not None:
            limits.append(moment.until_ms - moment.now_ms)
        if budget is not None and budget.time_ms is not None:
            spent = moment.spent.get(phase.name)
            limits.append(budget.time_ms - (moment.now_ms - spent.began_ms if spent else 0))
        known = [limit for limit in limits if limit is not None]
        return max(1, min(known)) if known else None

    def items(self, name: PhaseName) -> Items | None:
        """The counts of a phase whose list is frozen and in force."""
        items = state_of(self._hold.at_tip.manifest, name).items
        return items if items is not None and not items.stale else None

    def progress(self, name: PhaseName) -> Progress:
        """Which items are done, as of the tip."""
        hold = self._hold
        folder = phase_folder(
            hold.store.reader, items_folder(hold.store.reader, hold.at_tip.oid, hold.store.prefix), name
        )
        course = self._courses.setdefault(name, Course())
        if course.progress is None or course.folder != folder:
            course.progress = Progress(hold.store.reader, folder, course.progress)
            course.folder = folder
        return course.progress

    def listing(self, name: PhaseName) -> ItemList:
        """The frozen list, from a copy of it as a file."""
        items = self.items(name)
        assert items is not None  # asked for after an offer was made
        return self.list_of(items)

    def list_of(self, items: Items) -> ItemList:
        """As `listing`, of these counts."""
        found = self._lists.get(items.list)
        if found is None:
            found = self._lists[items.list] = ItemList(list_file(self._hold, items.list))
        return found

    def number(self, items: Items, index: int) -> int:
        """The number of an item, which no other one has had in its run."""
        blob = items.numbers
        if blob not in self._numbers:
            self._numbers[blob] = Numbers(list_file(self._hold, blob) if blob else None)
        return self._numbers[blob].of(index)

    def batch(self, items: Items, index: int) -> int:
        """The number of the batch that an item is in, from 1 on, which no other one has had in its run."""
        return index // (items.batch or 1) + 1 + items.batches

    def part(self, name: PhaseName, indices: Sequence[int]) -> Part:
        """These items, as events name them."""
        progress, items = self.progress(name), self.items(name)
        size = items.batch if items else None
        part = Part(
            ranges=ranges_of(indices),
            count=len(indices),
            failed_before=sum(progress.state(index) == FAILED for index in indices),
            batch=None if size is None else indices[0] // size + 1,
        )
        item = self.listing(name).item(indices[0]) if len(indices) == 1 and size is None else None
        return replace(part, label=label(part, items.total if items else 0, item))

    def chosen(self, name: PhaseName, group: Group) -> list[int]:
        """The indices of the items of a group that was just offered."""
        wanted = self._late(name, group.first) if group.late else self._early(name, group.first)
        return list(takewhile(lambda index: index <= group.last, wanted))

    def units(self, name: PhaseName, indices: Sequence[int]) -> list[list[int]]:
        """The indices as one list for each process: an item, or what is to be done of a batch."""
        items = self.items(name)
        size = items.batch or 1 if items else 1
        units: list[list[int]] = []
        for index in indices:
            if units and units[-1][0] // size == index // size:
                units[-1].append(index)
            else:
                units.append([index])
        return units

    def takes_off(self, name: PhaseName, indices: Iterable[int]) -> None:
        """These are under way: they are offered no more."""
        course, chosen = self._courses.setdefault(name, Course()), tuple(indices)
        course.flying.update(chosen)
        course.aloft.update(chosen)

    def waits(self, name: PhaseName, indices: Iterable[int]) -> None:
        """These succeeded in a run before, which counted them, and are not merged yet: they are not offered."""
        self._courses.setdefault(name, Course()).flying.update(indices)

    def comes_down(self, name: PhaseName, indices: Iterable[int]) -> None:
        """What became of these is recorded, or they were not tried after all."""
        course, chosen = self._courses.setdefault(name, Course()), tuple(indices)
        course.flying.difference_update(chosen)
        course.aloft.difference_update(chosen)

    def counted(self, name: PhaseName, part: Part) -> int:
        """These are part of what was spent of a budget from here on; how many processes they were."""
        indices = list(indices_of(part.ranges))
        self._courses.setdefault(name, Course()).aloft.difference_update(indices)
        return len(self.units(name, indices))

    def finished(self, name: PhaseName, part: Part) -> None:
        """These are done: go on after them."""
        course = self._courses[name]
        if part.ranges[0][0] >= course.position and not course.flying:
            course.position = part.ranges[-1][1] + 1
        course.failures.pop(part.ranges[0][0], None)

    def gave_up(self, name: PhaseName, part: Part) -> None:
        """These failed, and this call does not try them again. Others of their group are still to be done."""
        course = self._courses[name]
        course.given_up.update(indices_of(part.ranges))
        course.count += part.count

    def failures(self, name: PhaseName, part: Part) -> int:
        """How often these items failed before in this call."""
        return self._courses[name].failures.get(part.ranges[0][0], 0)

    def failed(self, name: PhaseName, part: Part, ready_ms: int | None = None) -> None:
        """These failed once more, and are tried again before anything else, but not before `ready_ms`."""
        course, first = self._courses[name], part.ranges[0][0]
        course.failures[first] = course.failures.get(first, 0) + 1
        course.position = min(course.position, first)
        if ready_ms is not None:
            course.ready.update((index, ready_ms) for index in indices_of(part.ranges))

    def forget(self, names: Iterable[PhaseName]) -> None:
        """These phases begin anew."""
        for name in names:
            self._courses.pop(name, None)

    def _offer(self, name: PhaseName, moment: Moment) -> Offer:
        phase, items = phase_named(self._hold.workflow, name), self.items(name)
        if phase is None or items is None:
            return Offer()
        course = self._courses.setdefault(name, Course())
        now = self._hold.clock.monotonic_ms()
        course.ready = {index: at for index, at in course.ready.items() if at > now}
        if moment.limits.item is not None:
            return self._one(name, moment.limits.item)
        in_order = self._in_order(name)
        batches_aloft = len(self.units(name, sorted(course.aloft)))
        aloft = Offer(
            given_up=course.count, flying=len(course.flying), aloft=len(course.aloft), batches_aloft=batches_aloft
        )
        spent = moment.spent.get(name, Spent(began_ms=0))
        spent = replace(spent, items=spent.items + aloft.aloft, batches=spent.batches + batches_aloft)
        group = _group(phase, items, self._early(name, course.position), spent)
        late = group is None and not in_order
        if late:
            group = _group(phase, items, self._late(name, course.late), spent)
        if group is None:
            ready = min(course.ready.values(), default=None)
            return replace(aloft, ready_ms=ready)
        # What lies before it is done or given up: without this, ten thousand failures are passed over each time.
        # But not what is under way, or is to be tried again: that is looked for again.
        first = min((group.first, *course.flying, *course.ready))
        if late:
            course.late = first
        else:
            course.position = first
        group = replace(group, late=late)
        progress = self.progress(name)
        failed = sum(progress.state(index) == FAILED for index in self.chosen(name, group))
        follows = self._late(name, group.last + 1) if late else self._early(name, group.last + 1)
        rest = chain(follows, () if late or in_order else self._late(name, course.late))
        more = bool(course.ready) or next(rest, None) is not None
        group = replace(group, failed=failed)
        return replace(aloft, group=group, rest=more)

    def _in_order(self, name: PhaseName) -> bool:
        """Whether no item may be passed over: one that fails ends the phase, or one alone was asked for."""
        phase = phase_named(self._hold.workflow, name)
        return phase is None or not continues_after_items(phase) or self._moment.limits.item is not None

    def _early(self, name: PhaseName, start: int) -> Iterator[int]:
        """What is still to be done, from `start` on; where the order does not count, what an earlier call gave up is
        left for the end: else a few such items at the front would use up each call's time."""
        course, progress, items = self._courses.setdefault(name, Course()), self.progress(name), self.items(name)
        in_order = self._in_order(name)
        for index in progress.open(start, items.total if items else 0):
            if index in course.given_up or index in course.flying or index in course.ready:
                continue
            failure = None if in_order else progress.failure(index)
            if failure is None or not failure.final:
                yield index

    def _late(self, name: PhaseName, start: int) -> Iterator[int]:
        """What an earlier call gave up and this one did not yet."""
        course, progress, items = self._courses.setdefault(name, Course()), self.progress(name), self.items(name)
        failed = progress.among(frozenset({FAILED}), start, items.total if items else 0)
        out = course.given_up | course.flying | course.ready.keys()
        return (index for index in failed if index not in out and _is_final(progress, index))

    def _one(self, name: PhaseName, index: int) -> Offer:
        course, progress = self._courses.setdefault(name, Course()), self.progress(name)
        items = self.items(name)
        open_items = list(islice(progress.open(0, items.total if items else 0), 2))
        if index in course.given_up or index in course.flying or next(progress.open(index, index + 1), None) is None:
            return Offer(given_up=course.count)
        failed = int(progress.state(index) == FAILED)
        group = Group(first=index, last=index, count=1, units=1, failed=failed)
        return Offer(group=group, rest=open_items != [index], given_up=course.count)


def _is_final(progress: Progress, index: int) -> bool:
    failure = progress.failure(index)
    return failure is not None and failure.final


def progress_at_tip(hold: Hold, name: PhaseName) -> Progress:
    """Which items of a phase are done, as of the newest checkpoint."""
    reader = hold.store.reader
    return Progress(reader, phase_folder(reader, items_folder(reader, hold.at_tip.oid, hold.store.prefix), name))


def list_file(hold: Hold, blob: str) -> Path:
    """The frozen list as a file of its own, made from the blob where it is not there."""
    path = hold.place.lists / f"{blob}.jsonl"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        part = path.with_suffix(".part")
        with open(part, "wb") as file:
            hold.store.reader.stream(bytes.fromhex(blob), file.write)
        put_whole(part, path)
    return path


def _group(phase: Phase, items: Items, wanted: Iterator[int], spent: Spent) -> Group | None:
    """The next items that share a process, or a checkpoint, as far as the phase's budget goes."""
    size = items.batch or 1
    every, budget = phase.checkpoint_every, phase.budget
    most = 1 if every is None else every.items or MOST_UNITS * size
    most_units = MOST_UNITS
    if budget is not None and budget.items is not None:
        most = min(most, max(1, budget.items - spent.items))
    if budget is not None and budget.batches is not None:
        most_units = min(most_units, max(1, budget.batches - spent.batches))
    chosen: list[int] = []
    units = 0
    for index in wanted:
        begins = not chosen or chosen[-1] // size != index // size
        if begins and (len(chosen) >= most or units >= most_units):
            break
        units += begins
        chosen.append(index)
    if not chosen:
        return None
    return Group(first=chosen[0], last=chosen[-1], count=len(chosen), units=units)


def label(part: Part, total: int, item: Item | None) -> str:
    """The items for people: `3/100 s3`, `61,000..61,999 of 100,000 (batch 62)`."""
    first, last = part.ranges[0][0], part.ranges[-1][1]
    if part.batch is not None:
        return f"items {first:,}..{last:,} of {total:,} (batch {part.batch:,})"
    if item is not None and part.count == 1:
        return f"item {item.key[:60].decode(errors='backslashreplace')} ({first + 1:,} of {total:,})"
    return f"items {first:,}..{last:,} of {total:,}"
