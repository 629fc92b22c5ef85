"""What is owed to the outside world: every completion that was not compensated, of whichever run, by the history.

Owns the walk along the branch, and what of a debt a pivot keeps. It reads what happened, not where things stand: a
phase that was opened again, reset, or rolled back past did what it did. Must not compensate anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from gitckpt.engine.ports import AtTip
from gitckpt.model.events import (
    Event,
    GateAnswered,
    PhaseCompensated,
    PhaseCompleted,
    Reset,
    RolledBack,
    RunStarted,
    Undone,
)
from gitckpt.model.graph import phase_named
from gitckpt.model.items import ItemsCompensated, ItemsCompleted, Ranges, both, indices_of, ranges_of, without
from gitckpt.model.manifest import state_of
from gitckpt.model.names import Oid, PhaseName
from gitckpt.model.workflow import Phase, Workflow
from gitckpt.store.definition import decode_workflow
from gitckpt.store.layout import items_folder
from gitckpt.store.lists import ItemList, carry_over
from gitckpt.store.shards import Progress, phase_folder
from gitckpt.store.store import Store

_WORDS = tuple(
    kind.__name__.encode()
    for kind in (
        *(PhaseCompleted, PhaseCompensated, ItemsCompleted, ItemsCompensated, GateAnswered),
        *(RolledBack, Undone, Reset, RunStarted),
    )
)
"""What the walk looks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A completion, as far as it was not compensated: of which phase, in which checkpoint. `ran`: the items that it
    was of, in the list of then, none where the phase has none; `items`: those that were not compensated. `stands`:
    where things stand now came by it; `of_run`: in this run."""

    phase: PhaseName
    number: int
    oid: Oid
    ran: Ranges = ()
    items: Ranges = ()
    stands: bool = False
    of_run: bool = False

    @property
    def count(self) -> int:
        """How many items, 1 without any."""
        return sum(last - first + 1 for first, last in self.items) or 1


@dataclass(frozen=True, slots=True)
class Move:
    """A checkpoint after which a pivot before it may count no more: a new run, a reset (`to` is None), or a way back to
    the checkpoint of that number."""

    number: int
    to: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """The completions after a checkpoint that were not compensated, newest first. `gone`: what was compensated by
    checkpoints after it, by phase and number of the completion, no items where it has none; `gates`: approved ones."""

    effects: tuple[Effect, ...]
    gone: Mapping[tuple[PhaseName, int], Ranges]
    gates: tuple[Effect, ...]
    moves: tuple[Move, ...]


def walk(store: Store, tip: Oid, top: int, after: int | None) -> Walked:
    """Read the history from the tip, whose number is `top`, down to the checkpoint after number `after`, or to the
    first there is; None: to where this run began. Raises NotACheckpoint, Damaged."""
    return _Walk(store=store, ids=store.ids(tip), top=top).down_to(after)


@dataclass(slots=True, kw_only=True)
class _Walk:
    """On the way down. `line`: the number of the next checkpoint that where things stand came by."""

    store: Store
    ids: Sequence[Oid]
    top: int
    line: int = 0
    of_run: bool = True
    gone: dict[tuple[PhaseName, int], Ranges] = field(default_factory=dict)
    carried: list[_Carried] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    gates: list[Effect] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)

    def down_to(self, after: int | None) -> Walked:
        self.line = self.top
        for number, oid in zip(range(self.top, after or 0, -1), self.ids, strict=False):
            if after is None and not self.of_run:
                break
            events = self.store.events(oid, _WORDS)
            stands = number == self.line
            moved = next((event for event in events if isinstance(event, RolledBack | Undone)), None)
            to = None if moved is None else moved.to if isinstance(moved, RolledBack) else moved.of - 1
            if stands:
                self.line = number - 1 if to is None else to
            for event in reversed(events):
                self._take(event, number, oid, stands=stands, moved=moved is not None)
            if to is not None or any(isinstance(event, Reset | RunStarted) for event in events):
                self.moves.append(Move(number, to))
            if stands and any(isinstance(event, RunStarted) for event in events):
                self.of_run = False
        return Walked(effects=tuple(self.effects), gone=self.gone, gates=tuple(self.gates), moves=tuple(self.moves))

    def _take(self, event: Event, number: int, oid: Oid, *, stands: bool, moved: bool) -> None:
        made = partial(Effect, number=number, oid=oid, stands=stands, of_run=stands and self.of_run)
        match event:
            case ItemsCompleted(phase=name, items=ran):
                gone = self.gone.get((name, number), ())
                rest = self._without_carried(name, number, oid, without(ran, gone))
                if rest:
                    self.effects.append(made(phase=name, ran=ran, items=rest))
            case PhaseCompleted(phase=name) if (name, number) not in self.gone:
                # What closes a phase with items does nothing that they did not do.
                if state_of(self.store.manifest(oid), name).items is None:
                    self.effects.append(made(phase=name))
            case GateAnswered(phase=name, approved=True):
                self.gates.append(made(phase=name))
            case PhaseCompensated(phase=name, of=of) if of:
                self.gone[name, of] = ()
            case ItemsCompensated(phase=name, of=of, undone=undone) if of:
                self.gone[name, of] = (*self.gone.get((name, of), ()), *undone)
            # Without `of`, beside a move: what a way back found compensated; alone: as versions before recorded it.
            case PhaseCompensated(phase=name) if not moved:
                landed = state_of(self.store.manifest(self.ids[self.top - number + 1]), name).landed
                self.gone[name, landed] = ()
            case ItemsCompensated(phase=name, items=items) if not moved:
                self._undone_before(name, items, number)

    def _undone_before(self, name: PhaseName, items: Ranges, number: int) -> None:
        """Compensated by a version that named items of the list of the day: the shards say when they were done; where
        they carried over from an older list, the key tells."""
        store, before = self.store, self.ids[self.top - number + 1]
        above = items_folder(store.reader, before, store.prefix)
        progress = Progress(store.reader, phase_folder(store.reader, above, name))
        by_number: dict[int, list[int]] = {}
        for index in indices_of(items):
            by_number.setdefault(progress.number(index), []).append(index)
        listed = progress.listed.hex() if progress.listed else ""
        for of, indices in by_number.items():
            ranges = ranges_of(indices)
            place = self.top - of
            there = self.store.events(self.ids[place], _WORDS) if place < len(self.ids) else ()
            if any(isinstance(event, ItemsCompleted) and event.phase == name for event in there):
                self.gone[name, of] = (*self.gone.get((name, of), ()), *ranges)
            else:
                self.carried.append(_Carried(name, listed, ranges, of))

    def _without_carried(self, name: PhaseName, number: int, oid: Oid, items: Ranges) -> Ranges:
        for each in self.carried:
            if each.phase != name or number >= each.before or not items:
                continue
            listed = state_of(self.store.manifest(oid), name).items
            if listed is None:
                continue
            with TemporaryDirectory() as folder:
                ours, theirs = (_list(self.store, blob, Path(folder)) for blob in (listed.list, each.list))
                hit = both(items, carry_over(theirs, each.ranges, ours))
                each.ranges = without(each.ranges, carry_over(ours, hit, theirs)) if hit else each.ranges
            items = without(items, hit)
        self.carried = [each for each in self.carried if each.ranges]
        return items


@dataclass(slots=True)
class _Carried:
    """Items, in one list, that a version before compensated and that were done over a list made before number
    `before`."""

    phase: PhaseName
    list: str
    ranges: Ranges
    before: int


def _list(store: Store, blob: str, folder: Path) -> ItemList:
    path = folder / blob
    if not path.exists():
        with path.open("wb") as file:
            store.reader.stream(bytes.fromhex(blob), file.write)
    return ItemList(path)


# --- what of it can be compensated ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Owing:
    """An effect that can be compensated: by `phase` of `workflow`, today's or the one stored with the completion."""

    effect: Effect
    phase: Phase
    workflow: Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """What going back past checkpoint number `after` is about, newest first. `owed`: what is compensated; `kept`: what
    `pivot` keeps from it; `without`: phases that were completed as well and say of no way to undo it."""

    after: int
    owed: tuple[Owing, ...]
    kept: tuple[Owing, ...]
    pivot: PhaseName | None
    without: tuple[PhaseName, ...]
    walked: Walked


def debt_since(at: AtTip, after: int) -> Debt:
    """What was completed after checkpoint number `after`, of whichever run, and was not compensated since."""
    walked = walk(at.store, at.at_tip.oid, at.at_tip.number, after)
    known = Definitions(at)
    kept_up_to = _Pivots(walked, known)
    owed: list[Owing] = []
    kept: list[Owing] = []
    bare: dict[PhaseName, None] = {}
    for effect in walked.effects:
        how = known.how(effect)
        if how is None:
            bare[effect.phase] = None
        elif kept_up_to.keeps(effect):
            kept.append(how)
        else:
            owed.append(how)
    pivot = kept_up_to.newest.phase if kept and kept_up_to.newest else None
    able = {each.effect.phase for each in (*owed, *kept)}
    return Debt(
        after=after,
        owed=tuple(owed),
        kept=tuple(kept),
        pivot=pivot,
        without=tuple(name for name in bare if name not in able),
        walked=walked,
    )


def debt_of_run(at: AtTip) -> tuple[Owing, ...]:
    """What this run did, of what is part of where it stands, newest first. What a way back left is not: somebody chose
    to leave it."""
    known = Definitions(at)
    found = (
        known.how(effect) for effect in walk(at.store, at.at_tip.oid, at.at_tip.number, None).effects if effect.of_run
    )
    return tuple(how for how in found if how is not None)


class Definitions:
    """By which definition an effect is compensated. Each stored one is read once."""

    def __init__(self, at: AtTip) -> None:
        self._store = at.store
        self._today = at.workflow
        self._stored: dict[bytes, Workflow] = {}

    def how(self, effect: Effect) -> Owing | None:
        """Today's phase of that name where it has a compensation, so that a broken one can be fixed; else the one that
        it was completed by, where that has one."""
        return self._by(self._today, effect) or self._by(self._then(effect), effect)

    def _by(self, workflow: Workflow, effect: Effect) -> Owing | None:
        phase = phase_named(workflow, effect.phase)
        able = phase is not None and phase.compensate
        return Owing(effect=effect, phase=phase, workflow=workflow) if phase is not None and able else None

    def is_pivot(self, effect: Effect) -> bool:
        """By today's definition, where it has the phase."""
        phase = phase_named(self._today, effect.phase) or phase_named(self._then(effect), effect.phase)
        return phase is not None and phase.pivot

    def _then(self, effect: Effect) -> Workflow:
        data = self._store.definition(effect.oid)
        found = self._stored.get(data)
        if found is None:
            found = self._stored[data] = decode_workflow(data)
        return found


class _Pivots:
    """What pivots keep: all that was completed before one, and what was completed after it until a new run began, or
    somebody went back past it."""

    def __init__(self, walked: Walked, known: Definitions) -> None:
        done = [effect for effect in (*walked.effects, *walked.gates) if known.is_pivot(effect)]
        self.newest = max(done, key=lambda effect: effect.number, default=None)
        self._spans: list[tuple[int, int]] = []
        force: list[int] = []
        steps = [*((effect.number, None) for effect in done), *((move.number, move) for move in walked.moves)]
        since = 0
        for number, move in sorted(steps, key=lambda step: step[0]):
            if move is None:
                self._spans = [(0, number)]
                since = number
                force.append(number)
            elif force:
                force = [] if move.to is None else [pivot for pivot in force if pivot <= move.to]
                if not force:
                    self._spans.append((since, number))
        if force:
            self._spans.append((since, walked.effects[0].number if walked.effects else since))

    def keeps(self, effect: Effect) -> bool:
        """Whether no way back compensates it."""
        return any(first <= effect.number <= last for first, last in self._spans)
