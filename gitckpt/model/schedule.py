"""What may run beside what, and in which order results come into the history.

Owns the ranks of phases, who gets a view of its own, how much room there is, and fairness. Must not know what is ready
or done: phases are handed in. Ranks and views depend on the workflow alone, never on which attempt ends first, so that
the same workflow gives the same history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gitckpt.model.names import PhaseName
from gitckpt.model.workflow import Phase, Workflow, order

LEAST_JOBS = 4
"""How many attempts may run at once where nobody says it, also with fewer processors: many of them wait for others."""


@dataclass(frozen=True, slots=True)
class Flying:
    """An attempt in flight: of a whole phase, or of a group of items, known by the index of the first one."""

    phase: PhaseName
    first: int | None = None


def jobs(workflow: Workflow, asked: int | None, cores: int) -> int:
    """How many attempts may run at once: as `asked` for, else as the workflow says, else as is sensible on so many
    processors."""
    most = asked if asked is not None else workflow.max_parallel
    if most is not None:
        return max(1, most)
    return max(LEAST_JOBS, cores, *(phase.max_parallel or 1 for phase in workflow.phases))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What follows from a workflow and the number of attempts at once alone. To be made once for a run: it costs what
    the workflow has phases, and its questions cost nothing. `before`: what each phase needs, as bits by rank."""

    jobs: int
    phases: Mapping[PhaseName, Phase]
    declared: Mapping[str, int]
    ranks: Mapping[PhaseName, int]
    before: Mapping[PhaseName, int]
    views: frozenset[PhaseName]

    @classmethod
    def of(cls, workflow: Workflow, jobs: int) -> Plan:
        """Raises graphlib.CycleError on a cycle, which the loader never lets through."""
        ranks = {name: rank for rank, name in enumerate(order(workflow))}
        phases = {phase.name: phase for phase in workflow.phases}
        before = _before(phases, ranks)
        return cls(
            jobs=max(1, jobs),
            phases=phases,
            declared=workflow.resources,
            ranks=ranks,
            before=before,
            views=_isolated(phases, ranks, before, max(1, jobs)),
        )

    def rank(self, name: PhaseName) -> int:
        """The position in the workflow's order, from 0. Raises KeyError where there is no such phase."""
        return self.ranks[name]

    def ancestors(self, name: PhaseName) -> frozenset[PhaseName]:
        """The phases that it needs, directly or through others, without itself. Raises KeyError."""
        before = self.before[name]
        return frozenset(each for each, rank in self.ranks.items() if before >> rank & 1)

    def isolated(self, name: PhaseName) -> bool:
        """Whether each attempt of the phase gets a view of its own. One that gets none runs alone."""
        return name in self.views

    def items_at_once(self, name: PhaseName) -> int:
        """How many groups of items of the phase may run at once; 1 where it has none. Raises KeyError."""
        phase = self.phases[name]
        if phase.foreach is None or name not in self.views:
            return 1
        return min(phase.max_parallel or 1, self.jobs)


def _before(phases: Mapping[PhaseName, Phase], ranks: Mapping[PhaseName, int]) -> dict[PhaseName, int]:
    """All that each phase needs, as bits by rank: sets of names would take seconds for thousands of phases."""
    before: dict[PhaseName, int] = {}
    for name in ranks:
        before[name] = 0
        for need in ranks.keys() & set(phases[name].needs):
            before[name] |= before[need] | 1 << ranks[need]
    return before


def _isolated(
    phases: Mapping[PhaseName, Phase], ranks: Mapping[PhaseName, int], before: Mapping[PhaseName, int], jobs: int
) -> frozenset[PhaseName]:
    """Phases that say so, and of those that leave it open the ones that something can run beside."""
    doing = [name for name in ranks if phases[name].gate is None]
    isolated = {name for name in doing if phases[name].isolation in ("overlay", "copy")}
    if jobs > 1:
        open_ones = [name for name in doing if phases[name].isolation == "auto"]
        after = _after(phases, ranks)
        groups: dict[str, int] = {}
        company = 0
        for name in (*isolated, *open_ones):
            company |= 1 << ranks[name]
            if (group := phases[name].concurrency) is not None:
                groups[group] = groups.get(group, 0) | 1 << ranks[name]
        for name in open_ones:
            phase = phases[name]
            never = before[name] | after[name] | 1 << ranks[name] | groups.get(phase.concurrency or "", 0)
            if company & ~never or (phase.foreach is not None and (phase.max_parallel or 1) > 1):
                isolated.add(name)
    return frozenset(isolated)


def _after(phases: Mapping[PhaseName, Phase], ranks: Mapping[PhaseName, int]) -> dict[PhaseName, int]:
    """All that needs each phase, as bits by rank."""
    after = dict.fromkeys(ranks, 0)
    for name in reversed(tuple(ranks)):
        for need in ranks.keys() & set(phases[name].needs):
            after[need] |= after[name] | 1 << ranks[name]
    return after


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is free beside the attempts in flight. The phases that are ready are asked about in their order; what one
    that must wait needs is kept for it, so that nothing that comes after it takes it, and none starves.

    `used` and `kept` are amounts by resource; `keepers` and `first_of` say for whom a resource or a group is kept, and
    `alone` which phase waits for all the others to end.
    """

    plan: Plan
    flying: tuple[Flying, ...]
    totals: Mapping[str, int]
    held: Mapping[str, str]
    used: Mapping[str, int]
    kept: Mapping[str, int] = field(default_factory=dict)
    keepers: Mapping[str, PhaseName] = field(default_factory=dict)
    first_of: Mapping[str, PhaseName] = field(default_factory=dict)
    alone: PhaseName | None = None

    @classmethod
    def of(
        cls, plan: Plan, in_flight: Sequence[Flying], totals: Mapping[str, int], held_groups: Mapping[str, str]
    ) -> Room:
        """`totals`: how much the machine has of resources that the workflow does not declare; what is in neither has no
        limit. `held_groups`: the concurrency groups that other runs have, and who they are. Raises KeyError."""
        used: Mapping[str, int] = {}
        for each in in_flight:
            used = _with(used, plan.phases[each.phase].resources)
        limits = {**totals, **plan.declared}
        return cls(plan=plan, flying=tuple(in_flight), totals=limits, held=held_groups, used=used)

    def refuses(self, name: PhaseName) -> str | None:
        """Why an attempt of the phase may not begin now; None where it may. Raises KeyError."""
        phase = self.plan.phases[name]
        return self._no_place(name) or self._not_alone(name) or self._group_taken(phase) or self._short_of(phase)

    def reserve(self, name: PhaseName) -> Room:
        """The room that is left for the phases after one that has to wait; it is not asked about itself any more. For
        one that waits for another run nothing is kept: that can take hours. Raises KeyError."""
        phase = self.plan.phases[name]
        group = phase.concurrency
        if group is not None and group in self.held:
            return self
        first = {} if group is None else {group: name}
        return replace(
            self,
            kept=_with(self.kept, phase.resources),
            keepers={**dict.fromkeys(phase.resources, name), **self.keepers},
            first_of={**first, **self.first_of},
            alone=self.alone if self.alone is not None or self.plan.isolated(name) else name,
        )

    def _no_place(self, name: PhaseName) -> str | None:
        if len(self.flying) >= self.plan.jobs:
            return f"{len(self.flying)} of {self.plan.jobs} attempts run"
        own = [each for each in self.flying if each.phase == name]
        most = self.plan.items_at_once(name)
        if own and (most == 1 or any(each.first is None for each in own)):
            return f"{name} runs"
        return f"{len(own)} of {most} groups of items of {name} run" if len(own) >= most else None

    def _not_alone(self, name: PhaseName) -> str | None:
        """What runs in the workspace itself runs alone: what others change there meanwhile would be taken for its."""
        runs = next((each.phase for each in self.flying if not self.plan.isolated(each.phase)), None)
        if runs is not None:
            return f"{runs} runs in the workspace itself, alone"
        if self.alone is not None:
            return f"{self.alone} comes first, and runs in the workspace itself, alone"
        if self.flying and not self.plan.isolated(name):
            return f"{name} runs in the workspace itself, alone, and {self.flying[0].phase} runs"
        return None

    def _group_taken(self, phase: Phase) -> str | None:
        group = phase.concurrency
        if group is None:
            return None
        begin = f"{phase.name} is in the concurrency group {group}"
        if group in self.held:
            return f"{begin}, which {self.held[group]} has"
        for each in self.flying:
            if each.phase != phase.name and self.plan.phases[each.phase].concurrency == group:
                return f"{begin}, and {each.phase} runs"
        first = self.first_of.get(group, phase.name)
        return f"{begin}, and {first} comes first" if first != phase.name else None

    def _short_of(self, phase: Phase) -> str | None:
        """One that asks for more than the machine has may begin where nobody else asks for any."""
        for resource, amount in phase.resources.items():
            total = self.totals.get(resource)
            used, kept = self.used.get(resource, 0), self.kept.get(resource, 0)
            if total is None or used + kept == 0 or used + kept + amount <= total:
                continue
            if used + amount <= total or not used:
                return f"{resource} is kept for {self.keepers[resource]}"
            names = (each.phase for each in self.flying if resource in self.plan.phases[each.phase].resources)
            return f"{resource} is in use by {', '.join(dict.fromkeys(names))}"
        return None


def _with(amounts: Mapping[str, int], more: Mapping[str, int]) -> Mapping[str, int]:
    return {**amounts, **{name: amounts.get(name, 0) + amount for name, amount in more.items()}} if more else amounts


def may_land(plan: Plan, finished: Flying, live: Iterable[Flying]) -> bool:
    """Whether the result of a finished attempt may come into the history now: when nothing that comes before it is
    live, which is what is in flight and what will still run in this call. A phase without items in sight is live as
    `Flying(phase)`; whether `finished` is among the live does not matter. Raises KeyError."""
    place = _place(plan, finished)
    return all(_place(plan, each) >= place for each in live)


def _place(plan: Plan, flying: Flying) -> tuple[int, bool, int]:
    """The workflow's order; items by index, and what closes their phase after them."""
    return (plan.rank(flying.phase), flying.first is None, flying.first or 0)
