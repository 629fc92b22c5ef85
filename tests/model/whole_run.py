"""Calls of `run` without their effects, for workflows of every kind: decide, an outcome from a script, judge, advance.

Owns the pretended world, and what must hold at every step. Knows no scenario.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import assert_never

from gitckpt.model.advance import advance
from gitckpt.model.decide import decide
from gitckpt.model.events import Event, GateAnswered, GoalSet, Reopened, WentBack
from gitckpt.model.items import ItemsEvent, ItemsListed, Part, indices_of, ranges_of
from gitckpt.model.manifest import DONE, Goal, Status, is_complete, state_of
from gitckpt.model.moment import (
    Asking,
    Await,
    Begin,
    Closing,
    Compensating,
    Expiring,
    Group,
    Limits,
    Listing,
    Moment,
    Owed,
    Return,
    Some,
    Spent,
    Stop,
    Tried,
    Verdict,
    Whole,
)
from gitckpt.model.names import PhaseName
from gitckpt.model.outcome import (
    Asked,
    Attempt,
    Compensated,
    CutOff,
    Failed,
    Listed,
    Outcome,
    Refused,
    Succeeded,
    Unwanted,
    judge,
)
from gitckpt.model.repeat import tolerated
from gitckpt.model.shard import DONE as ITEM_DONE
from gitckpt.model.shard import FAILED, Shard, apply
from gitckpt.model.workflow import Phase, Workflow, continues_after_items, dependents, digest, phase
from tests.model.made import AT
from tests.model.offers import MOST_STEPS, OPEN, Offers


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """How things end. `bad`: phases, or items (`p0/1`), that always fail; `flaky`: how often one does at first;
    `unwanted`, `blocked`: phases that say so; `stuck`: phases whose compensation always fails."""

    bad: Set[str] = frozenset()
    flaky: Mapping[str, int] = field(default_factory=dict)
    unwanted: Set[str] = frozenset()
    blocked: Set[str] = frozenset()
    stuck: Set[str] = frozenset()


@dataclass(slots=True)
class Effect:
    """What a phase did outside and was not undone: which of its `items`, none where it has none, and the number of the
    checkpoint that says so."""

    phase: PhaseName
    number: int
    items: list[int] = field(default_factory=list)


@dataclass(slots=True)
class WholeRun(Offers):
    """A run over many calls. `effects`: what is done outside and not undone, oldest first."""

    world: World = field(default_factory=World)
    tries: dict[str, int] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    ran: list[tuple[PhaseName, int]] = field(default_factory=list)
    done: list[tuple[PhaseName, int]] = field(default_factory=list)
    begun: int = 0

    # --- one call -----------------------------------------------------------------------------------------------

    def call(self, limits: Limits | None = None) -> Stop:
        """Until the loop stops."""
        stop = self._loop(limits or Limits(), None)
        assert stop is not None
        return stop

    def dying_call(self, attempt: int) -> None:
        """One that dies in its n-th attempt, if it comes to that."""
        self._loop(Limits(), attempt)

    def _loop(self, limits: Limits, dies_at: int | None) -> Stop | None:
        """A loop that does not end is a failure."""
        self.courses.clear()
        moment = Moment(limits=limits)
        deadly = self.begun + dies_at if dies_at is not None else None
        for _ in range(MOST_STEPS):
            moment = self._now(moment)
            step = decide(self.workflow, self.manifest, (), moment)
            match step:
                case Stop():
                    self._stops_rightly(step)
                    return step
                case Await(until_ms=until):
                    assert until is not None
                    assert until > moment.now_ms, "waiting for what has come already"
                    moment = replace(moment, now_ms=until)
                case Return():
                    moment = self._back(step, moment)
                case Begin():
                    self._begins_rightly(step, moment)
                    self.begun += 1
                    if self.begun == deadly:
                        self._land(CutOff(attempt=self._attempt(step.phase), at=AT, reason="died"))
                        return None
                    moment = self._ended(step, moment)
                case _:
                    assert_never(step)
        raise AssertionError(f"{MOST_STEPS} steps and no end")

    def _now(self, moment: Moment) -> Moment:
        finishes = self.manifest.goal.kind == "finish"
        listed = [n for n, s in self.manifest.phases.items() if s.items is not None and not s.items.stale]
        offers = {n: self.offer(n, moment) for n in listed if finishes}
        return replace(moment, now_ms=moment.now_ms + 1, wall=AT, offers=offers, owed=self._owed)

    def _owed(self) -> Owed | None:
        newest = max(self.undoable(), key=lambda effect: effect.number, default=None)
        return Owed(newest.phase, newest.number) if newest else None

    # --- what happens -------------------------------------------------------------------------------------------

    def _attempt(self, name: PhaseName) -> Attempt:
        return Attempt(phase=name, number=state_of(self.manifest, name).attempts + 1, started=AT)

    def _fails(self, what: str) -> bool:
        self.tries[what] = self.tries.get(what, 0) + 1
        return what in self.world.bad or self.tries[what] <= self.world.flaky.get(what, 0)

    def _land(self, outcome: Outcome) -> None:
        self._record(*judge(self.manifest, outcome))

    def _record(self, *events: Event) -> None:
        """`advance` takes whatever `judge` made, no generation falls, and counts and shards tell the same."""
        if not events:
            return
        before = self.manifest
        self.manifest = advance(before, events)
        for event in events:
            if isinstance(event, ItemsEvent):
                if isinstance(event, ItemsListed):
                    self.shards[event.phase] = Shard(first=0)
                apply(self.shards[event.phase], event, self.manifest.sequence)
        for name, state in self.manifest.phases.items():
            then = state_of(before, name)
            assert state.generation >= then.generation, "a generation fell"
            assert state.attempts >= then.attempts, "a number of an attempt fell"
            if state.items is not None and not state.items.stale:
                states = self.shards[name].states
                assert states.count(ITEM_DONE) == state.items.done
                assert states.count(FAILED) == state.items.failed

    def _ended(self, step: Begin, moment: Moment) -> Moment:
        name, this = step.phase, phase(self.workflow, step.phase)
        attempt = self._attempt(name)
        match step.work:
            case Asking():
                self._land(Asked(attempt=attempt, at=AT, prompt="?"))
                return _untried(moment, name)
            case Expiring():
                raise AssertionError("no gate has a time-out")
            case Whole() | Listing() if name in self.world.unwanted:
                self._land(Unwanted(attempt=attempt, at=AT, reason="no"))
                return replace(_untried(moment, name), landed=moment.landed + 1)
            case Whole() | Listing() if name in self.world.blocked:
                self._land(Refused(attempt=attempt, at=AT, reason="no"))
                return self._gave_up(name, moment)
            case Listing():
                self._list(this, attempt)
                return _untried(moment, name)
            case Some(group=group, closes=closes):
                return self._items(this, attempt, group, closes, moment)
            case Compensating(number=number):
                return self._undone(name, attempt, number, moment)
            case Whole() | Closing():
                return self._whole(this, attempt, moment)

    def _whole(self, this: Phase, attempt: Attempt, moment: Moment) -> Moment:
        if this.foreach is None:
            self.ran.append((this.name, 0))
            if self._fails(this.name):
                self._land(_failed(attempt))
                return self._tried(this, moment, moment.tried.get(this.name, Tried(count=0, ready_ms=None)).count)
        self._land(_succeeded(attempt, this, self.workflow))
        if this.foreach is None:
            self.effects.append(Effect(this.name, self.manifest.sequence))
            self.done.append((this.name, 0))
        return replace(_untried(moment, this.name), landed=moment.landed + 1)

    def _list(self, this: Phase, attempt: Attempt) -> None:
        """The list never changes, so what is done carries over."""
        assert this.foreach is not None
        total = len(this.foreach.values or ())
        shard = self.shards.get(this.name)
        states = shard.states if shard else bytearray(total)
        done = ranges_of(index for index in range(total) if states[index] == ITEM_DONE)
        self._land(
            Listed(
                attempt=attempt,
                at=AT,
                list="ab" * 20,
                total=total,
                definition="sha256:0",
                batch=this.batch.size if this.batch else None,
                done=done,
            )
        )

    def _items(self, this: Phase, attempt: Attempt, group: Group, closes: bool, moment: Moment) -> Moment:
        chosen = self.of_group(this.name, group)
        for unit in self.units(this.name, chosen):
            self.ran += [(this.name, index) for index in unit]
            if sum(self._fails(f"{this.name}/{index}") for index in unit):
                part = self._part(this.name, unit)
                count = self.courses[this.name].failures.get(part.ranges[0][0], 0)
                self._land(replace(_failed(attempt), part=part, final=count >= this.retry.max))
                return self._items_failed(this, part, moment)
        part = self._part(this.name, chosen)
        self._land(replace(_succeeded(attempt, this, self.workflow), part=part, closes=closes))
        self.effects.append(Effect(this.name, self.manifest.sequence, list(chosen)))
        self.done += [(this.name, index) for index in chosen]
        course = self.courses[this.name]
        course.position = chosen[-1] + 1 if chosen[0] >= course.position else course.position
        course.failures = {}
        return replace(_untried(self._spent(this.name, part, moment), this.name), landed=moment.landed + closes)

    def _items_failed(self, this: Phase, part: Part, moment: Moment) -> Moment:
        course, first = self.courses[this.name], part.ranges[0][0]
        count = course.failures.get(first, 0)
        if count < this.retry.max:
            course.failures[first] = count + 1
            course.position = min(course.position, first)
            return self._tried(this, moment, count)
        course.given_up.update(indices_of(part.ranges))
        course.count += part.count
        moment = self._spent(this.name, part, moment)
        return _untried(moment, this.name) if continues_after_items(this) else self._gave_up(this.name, moment)

    def _part(self, name: PhaseName, indices: Sequence[int]) -> Part:
        states = self.shards[name].states
        before = sum(states[index] == FAILED for index in indices)
        return Part(ranges=ranges_of(indices), count=len(indices), failed_before=before)

    def _spent(self, name: PhaseName, part: Part, moment: Moment) -> Moment:
        spent = moment.spent.get(name, Spent(began_ms=moment.now_ms))
        units = len(self.units(name, list(indices_of(part.ranges))))
        now = replace(spent, items=spent.items + part.count, batches=spent.batches + units)
        return replace(moment, spent={**moment.spent, name: now})

    def _tried(self, this: Phase, moment: Moment, count: int) -> Moment:
        ready = moment.now_ms + 1_000 if count < this.retry.max else None
        return replace(moment, tried={**moment.tried, this.name: Tried(count=count + 1, ready_ms=ready)})

    def _gave_up(self, name: PhaseName, moment: Moment) -> Moment:
        return replace(moment, tried={**moment.tried, name: Tried(count=1, ready_ms=None)})

    def _undone(self, name: PhaseName, attempt: Attempt, number: int, moment: Moment) -> Moment:
        if name in self.world.stuck:
            self._land(replace(_failed(attempt), compensating=True))
            this = phase(self.workflow, name)
            return self._tried(this, moment, moment.tried.get(name, Tried(count=0, ready_ms=None)).count)
        (effect,) = (each for each in self.effects if (each.phase, each.number) == (name, number))
        made = Compensated(attempt=attempt, at=AT, duration_ms=1, of=number)
        if effect.items:
            items = state_of(self.manifest, name).items
            unit = self.units(name, effect.items)[-1]
            stood = [i for i in unit if items is not None and self.shards[name].states[i] == ITEM_DONE]
            left = (n for i, n in enumerate(self.shards[name].numbers) if i not in stood)
            made = replace(made, undone=ranges_of(unit), part=self._part(name, stood), newest=max(left, default=0))
            effect.items = [index for index in effect.items if index not in unit]
        self._land(made)
        if not effect.items:
            self.effects.remove(effect)
        return _untried(moment, name)

    def _back(self, step: Return, moment: Moment) -> Moment:
        match step.way:
            case "goto":
                assert step.to is not None
                assert step.phase is not None
                assert state_of(self.manifest, step.phase).gotos < phase(self.workflow, step.phase).on_failure.max
                names = self._from(step.to)
                self._record(WentBack(at=AT, phase=step.phase, to=step.to, phases=names))
                tried = {n: t for n, t in moment.tried.items() if n not in names}
                return replace(moment, tried=tried, landed=moment.landed + 1)
            case "compensate":
                self._record(GoalSet(at=AT, goal=Goal(kind="compensate"), author="a", reason="r"))
                return replace(moment, tried={})
            case "arrive":
                assert not self.undoable(), "it arrived with something left to compensate"
                self._record(GoalSet(at=AT, goal=Goal(), author="a", reason=""))
                return replace(moment, arrived=Stop(verdict=Verdict.FAILED, reason="compensated"))

    def _from(self, name: PhaseName) -> tuple[PhaseName, ...]:
        """The phase and what needs it, in order."""
        chosen = {name, *dependents(self.workflow, name)}
        names = tuple(each for each in self.manifest.order if each in chosen)
        for each in names:
            self.courses.pop(each, None)
        return names

    def reopen(self, name: PhaseName) -> None:
        """`run --from`, without the run."""
        self._record(Reopened(at=AT, phases=self._from(name), author="a", reason="r"))

    def undoable(self) -> list[Effect]:
        """What can be undone; nothing past a pivot."""
        pivots = [each for each in self.workflow.phases if each.pivot]
        if any(state_of(self.manifest, each.name).status is Status.COMPLETED for each in pivots):
            return []
        able = {each.name for each in self.workflow.phases if each.compensate}
        return [effect for effect in self.effects if effect.phase in able]

    def answer(self, approved: Callable[[PhaseName], bool]) -> None:
        """Somebody answers every gate that waits."""
        for name in self.manifest.order:
            if state_of(self.manifest, name).status is Status.WAITING:
                self._record(
                    GateAnswered(
                        at=AT, phase=name, approved=approved(name), author="a", email="a@b", reason="", definition="d"
                    )
                )

    # --- what must hold -----------------------------------------------------------------------------------------

    def _begins_rightly(self, step: Begin, moment: Moment) -> None:
        this, state = phase(self.workflow, step.phase), state_of(self.manifest, step.phase)
        if isinstance(step.work, Compensating):
            self._undoes_the_newest(step)
            return
        assert self.manifest.goal.kind == "finish"
        assert state.status not in DONE, "what is done was begun again"
        for need in this.needs:
            status = state_of(self.manifest, need).status
            passed_over = phase(self.workflow, need).on_failure.action == "continue" and status is Status.FAILED
            assert status in DONE or passed_over, f"{this.name} began before {need}"
        if isinstance(step.work, Some):
            chosen = range(step.work.group.first, step.work.group.last + 1)
            assert any(self.shards[this.name].states[index] in OPEN for index in chosen)
            spent, budget = moment.spent.get(this.name), this.budget
            if spent and budget and this.name not in moment.tried:
                assert budget.items is None or spent.items < budget.items, "a budget was passed"
                assert budget.batches is None or spent.batches < budget.batches, "a budget was passed"

    def _undoes_the_newest(self, step: Begin) -> None:
        left = {effect.number: effect.phase for effect in self.undoable()}
        assert isinstance(step.work, Compensating)
        assert left.get(step.work.number) == step.phase, f"{step.phase} has nothing to undo, or is past a pivot"
        assert step.work.number == max(left), "what was done before it was undone first"

    def _stops_rightly(self, stop: Stop) -> None:
        assert (stop.verdict is Verdict.COMPLETE) == is_complete(self.manifest) or stop.verdict is Verdict.FAILED
        if stop.verdict is not Verdict.COMPLETE:
            return
        for this in self.workflow.phases:
            state = state_of(self.manifest, this.name)
            if state.status is Status.SKIPPED or this.foreach is None:
                continue
            items = state.items
            assert items is not None
            assert items.failed <= tolerated(this.tolerate, items.total), "it is complete with too many failures"
            assert items.done + items.failed + items.skipped == items.total, "it is complete before all was tried"


def _untried(moment: Moment, name: PhaseName) -> Moment:
    return replace(moment, tried={each: tried for each, tried in moment.tried.items() if each != name})


def _failed(attempt: Attempt) -> Failed:
    return Failed(attempt=attempt, at=AT, duration_ms=1, exit_code=1, detail="exit 1")


def _succeeded(attempt: Attempt, this: Phase, workflow: Workflow) -> Succeeded:
    return Succeeded(attempt=attempt, at=AT, duration_ms=1, definition=digest(this, workflow))
