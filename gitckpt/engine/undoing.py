"""What is compensated next, and all that its compensation gets: the items, params, data, idempotency key of then.

Owns the way through a debt in one call of `run` or `rollback`, newest completion first, one item or batch at a time.
Must not run or record anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gitckpt.engine.agenda import label, list_file, progress_at_tip
from gitckpt.engine.debt import Effect, Owing, debt_of_run, debt_since
from gitckpt.engine.hold import Hold
from gitckpt.model.compensate import past_pivot
from gitckpt.model.events import PhaseCompensated
from gitckpt.model.items import ItemsCompensated, Part, Ranges, both, count_of, indices_of, ranges_of, without
from gitckpt.model.manifest import Goal, Items, Manifest, state_of
from gitckpt.model.moment import Owed
from gitckpt.model.names import Oid
from gitckpt.model.shard import DONE
from gitckpt.model.workflow import Phase, Workflow
from gitckpt.store.lists import ItemList, carry_over


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoing:
    """One compensation: of an effect, all of it, or the items `unit` of the list of then, of which `undone` are not
    compensated yet. `phase` of `workflow` says how; `then`: the manifest of the completion."""

    effect: Effect
    phase: Phase
    workflow: Workflow
    then: Manifest
    unit: tuple[int, ...] = ()
    undone: Ranges = ()

    @property
    def items(self) -> Items | None:
        """The items of then."""
        return state_of(self.then, self.effect.phase).items


class Debts:
    """See the module. History is read once for each goal: what this call itself compensates is taken off."""

    def __init__(self, hold: Hold) -> None:
        self._hold = hold
        self._read: tuple[Goal, Oid | None] | None = None
        self._left: list[Owing] = []

    def owed(self) -> Owed | None:
        """What is compensated next under the goal; where that is to finish, what would be if this run compensated."""
        left = self._now()
        return Owed(left[0].effect.phase, left[0].effect.number) if left else None

    def next(self) -> Undoing:
        """All about it. Asked after `owed` told it."""
        owing = self._now()[0]
        effect = owing.effect
        then = self._hold.store.manifest(effect.oid)
        made = Undoing(effect=effect, phase=owing.phase, workflow=owing.workflow, then=then)
        if not effect.items:
            return made
        items = made.items
        # Newest first: of what one checkpoint completed, the last was done last.
        last = effect.items[-1][1]
        size = (items.batch if items else None) or 1
        unit = tuple(index for index in indices_of(effect.ran) if index // size == last // size)
        return replace(made, unit=unit, undone=both(ranges_of(unit), effect.items))

    def ended(self, undoing: Undoing) -> None:
        """It has landed, whatever it came to: what is recorded as compensated is no longer owed."""
        effect = undoing.effect
        if not any(
            isinstance(event, PhaseCompensated | ItemsCompensated)
            and (event.phase, event.of) == (effect.phase, effect.number)
            for event in self._hold.at_tip.events
        ):
            return
        rest = without(effect.items, undoing.undone)
        if rest:
            self._left[0] = replace(self._left[0], effect=replace(effect, items=rest))
        else:
            del self._left[0]

    def _now(self) -> list[Owing]:
        hold, goal = self._hold, self._hold.at_tip.manifest.goal
        # While compensations go on nothing else is completed; a run that is to finish completes more all the time.
        read = (goal, hold.at_tip.oid if goal.kind == "finish" else None)
        if self._read != read:
            self._read, self._left = read, list(_owed(hold, goal))
        return self._left


def _owed(hold: Hold, goal: Goal) -> Sequence[Owing]:
    match goal.kind:
        case "reach":
            return debt_since(hold, goal.after).owed
        case "compensate" if past_pivot(hold.workflow, hold.at_tip.manifest) is not None:
            return ()
        case _:
            return debt_of_run(hold)


def list_of(hold: Hold, undoing: Undoing) -> ItemList:
    """The list of then."""
    assert undoing.items is not None  # it is of items
    return ItemList(list_file(hold, undoing.items.list))


def label_of(hold: Hold, undoing: Undoing) -> str:
    """Its items for people, as they were told when they were done; empty where it has none."""
    items = undoing.items
    if items is None or not undoing.unit:
        return ""
    batch = None if items.batch is None else undoing.unit[0] // items.batch + 1
    part = Part(ranges=undoing.undone, count=count_of(undoing.undone), batch=batch)
    alone = len(undoing.unit) == 1 and items.batch is None
    return label(part, items.total, list_of(hold, undoing).item(undoing.unit[0]) if alone else None)


def standing(hold: Hold, undoing: Undoing) -> tuple[int, ...]:
    """The indices, in today's list, of the items that are done because of what is undone."""
    effect = undoing.effect
    then, now = undoing.items, state_of(hold.at_tip.manifest, effect.phase).items
    if now is None or then is None or not effect.stands:
        return ()
    ranges = undoing.undone
    if then.list != now.list:
        old, new = (ItemList(list_file(hold, each.list)) for each in (then, now))
        ranges = carry_over(old, ranges, new)
    progress = progress_at_tip(hold, effect.phase)
    return tuple(index for index in indices_of(ranges) if progress.state(index) == DONE)


def newest_without(hold: Hold, undoing: Undoing, gone: Sequence[int]) -> int:
    """The number of the newest completion of the phase's items when these are done no more, 0 for none."""
    progress = progress_at_tip(hold, undoing.effect.phase)
    number, ranges = progress.newest()
    if without(ranges, ranges_of(sorted(gone))):
        return number
    return progress.newest(before=number)[0]
