"""What a call of `run` is offered of the items of each phase: a pure copy of the engine's agenda, over plain lists.

Owns the way through each list. Must not decide anything, nor know how items end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gitckpt.model.manifest import Manifest, state_of
from gitckpt.model.moment import Group, Moment, Offer, Spent
from gitckpt.model.names import PhaseName
from gitckpt.model.shard import COMPENSATED, FAILED, PENDING, Shard
from gitckpt.model.workflow import Phase, Workflow, continues_after_items, phase

MOST_STEPS = 2_000
OPEN = (PENDING, FAILED, COMPENSATED)


@dataclass(slots=True)
class Course:
    """The way through one list in one call."""

    position: int = 0
    given_up: set[int] = field(default_factory=set)
    count: int = 0
    failures: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Offers:
    """Where each list stands in the newest manifest, and in this call."""

    workflow: Workflow
    manifest: Manifest
    shards: dict[PhaseName, Shard] = field(default_factory=dict)
    courses: dict[PhaseName, Course] = field(default_factory=dict)

    def early(self, name: PhaseName) -> list[int]:
        """What is still to be done, from where this call stands; where the order does not count, without what an
        earlier call gave up."""
        course, states = self.courses.setdefault(name, Course()), self.shards[name].states
        in_order = not continues_after_items(phase(self.workflow, name))
        return [
            index
            for index in range(course.position, self._total(name))
            if states[index] in OPEN and index not in course.given_up and (in_order or not self._is_final(name, index))
        ]

    def late(self, name: PhaseName) -> list[int]:
        """What an earlier call gave up and this one did not yet, where the order does not count."""
        course, states = self.courses.setdefault(name, Course()), self.shards[name].states
        if not continues_after_items(phase(self.workflow, name)):
            return []
        left = [index for index in range(self._total(name)) if states[index] == FAILED and self._is_final(name, index)]
        return [index for index in left if index not in course.given_up]

    def _is_final(self, name: PhaseName, index: int) -> bool:
        failure = self.shards[name].failures.get(index)
        return failure is not None and failure.final

    def _total(self, name: PhaseName) -> int:
        items = state_of(self.manifest, name).items
        return items.total if items else 0

    def of_group(self, name: PhaseName, group: Group) -> list[int]:
        """The group's items."""
        wanted = self.late(name) if group.late else self.early(name)
        return [index for index in wanted if group.first <= index <= group.last]

    def offer(self, name: PhaseName, moment: Moment) -> Offer:
        """What is next of the phase's items."""
        course, this = self.courses.setdefault(name, Course()), phase(self.workflow, name)
        early, late = self.early(name), self.late(name)
        wanted = early or late
        chosen = self.chosen(this, wanted, moment.spent.get(name, Spent(began_ms=0)))
        if not chosen:
            return Offer(given_up=course.count)
        group = Group(
            first=chosen[0],
            last=chosen[-1],
            count=len(chosen),
            units=len(self.units(name, chosen)),
            failed=sum(self.shards[name].states[index] == FAILED for index in chosen),
            late=not early,
        )
        rest = wanted[-1] > chosen[-1] or bool(early and late)
        return Offer(group=group, rest=rest, given_up=course.count)

    def chosen(self, this: Phase, wanted: Sequence[int], spent: Spent) -> list[int]:
        most, batches = (this.checkpoint_every.items or 1) if this.checkpoint_every else 1, MOST_STEPS
        if this.budget and this.budget.items is not None:
            most = min(most, max(1, this.budget.items - spent.items))
        if this.budget and this.budget.batches is not None:
            batches = max(1, this.budget.batches - spent.batches)
        chosen: list[int] = []
        for unit in self.units(this.name, wanted)[:batches]:
            if len(chosen) >= most:
                break
            chosen += unit
        return chosen

    def units(self, name: PhaseName, indices: Sequence[int]) -> list[list[int]]:
        """One list for each process."""
        items = state_of(self.manifest, name).items
        size = (items.batch if items else None) or 1
        units: dict[int, list[int]] = {}
        for index in indices:
            units.setdefault(index // size, []).append(index)
        return list(units.values())
