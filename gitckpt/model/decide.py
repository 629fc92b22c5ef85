"""`decide(workflow, manifest, in_flight, moment) -> Step`: what is next, with its reason.

Owns the order of phases, items, retries, budgets, gates and compensations. Pure: the moment is handed in, nothing
is remembered here, and nothing that is done is ever run again because of a changed definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gitckpt.model.compensate import past_pivot
from gitckpt.model.dated import done_again
from gitckpt.model.explain import reason_to_begin
from gitckpt.model.graph import phase_named, unmet_needs, wanted_phases
from gitckpt.model.manifest import DONE, Conflict, Manifest, PhaseState, Status, is_complete, state_of
from gitckpt.model.moment import (
    Asking,
    Await,
    Begin,
    Closing,
    Compensating,
    Expiring,
    Listing,
    Moment,
    Offer,
    Return,
    Some,
    Step,
    Stop,
    Verdict,
    Whole,
    Work,
)
from gitckpt.model.names import PhaseName
from gitckpt.model.repeat import tolerated
from gitckpt.model.schedule import Flying, Plan, Room
from gitckpt.model.tries import given_up, in_order, offer_of, spent, unmet_in, why_given_up
from gitckpt.model.workflow import Phase, Workflow

LOOK_AGAIN_MS = 200


def decide(workflow: Workflow, manifest: Manifest, in_flight: Sequence[Flying], moment: Moment) -> Step:
    """The next step. Guarantees: what is done is never begun, a phase never begins before its needs nor beside what
    it may not run beside, and with finitely many tries every run stops. While anything is in flight the only steps
    are to begin more and to wait."""
    step = _when_free(workflow, manifest, in_flight, moment)
    # What was done outside is undone one after the other.
    if not in_flight or (isinstance(step, Begin) and manifest.goal.kind == "finish"):
        return step
    runs = ", ".join(dict.fromkeys(each.phase for each in in_flight))
    until = step.until_ms if isinstance(step, Await) else None
    return Await(until_ms=until, reason=f"{runs} runs", phase=in_flight[0].phase)


def is_ending(workflow: Workflow, manifest: Manifest, moment: Moment) -> bool:
    """Whether nothing more is begun: what is in flight comes to its end, and the run stops, or goes back."""
    if moment.stop or moment.arrived is not None or manifest.goal.kind != "finish":
        return True
    over = moment.until_ms is not None and moment.now_ms >= moment.until_ms
    return over or moment.paused is not None or _over(workflow, manifest, moment) is not None


def _when_free(workflow: Workflow, manifest: Manifest, in_flight: Sequence[Flying], moment: Moment) -> Step:
    """What is next, as far as what is in flight lets it begin."""
    if moment.stop:
        verdict = Verdict.INTERRUPTED if moment.stop == "interrupt" else Verdict.TERMINATED
        return Stop(verdict=verdict, reason="you stopped it")
    if moment.arrived is not None:
        return moment.arrived
    if manifest.goal.kind != "finish":
        return _undo(manifest, moment)
    if moment.limits.step:
        failed = _failed_now(workflow, manifest, moment)
        if moment.landed or failed:
            way_back = _way_back(workflow, manifest, failed, moment)
            return way_back or _settled(manifest) or _after_one(manifest, failed)
    step = (
        _clash(manifest)
        or _over(workflow, manifest, moment)
        or _next(workflow, manifest, in_flight, moment)
        or _settled(manifest)
        or _end(workflow, manifest, moment)
    )
    return _held_back(manifest, step, moment)


def _clash(manifest: Manifest) -> Stop | None:
    """The user's own edits and a phase's changes wait for a decision."""
    clash = manifest.clash
    if clash is None:
        return None
    return Stop(verdict=Verdict.CONFLICT, reason=f"your edits clash with what phases changed: {named_paths(clash)}")


def named_paths(conflict: Conflict) -> str:
    """The paths of a conflict, at most three by name."""
    more = conflict.count - min(3, len(conflict.paths))
    return ", ".join(conflict.paths[:3]) + (f" and {more:,} more" if more else "")


def _held_back(manifest: Manifest, step: Step, moment: Moment) -> Step:
    """What would begin, or be waited for, is not when the run was paused, or its time is used up."""
    if not isinstance(step, Begin | Await):
        return step
    if moment.paused is not None:
        return Stop(verdict=Verdict.STOPPED, reason=f"paused by {moment.paused}", phases=_left(manifest))
    if moment.until_ms is not None and moment.now_ms >= moment.until_ms:
        return Stop(verdict=Verdict.STOPPED, reason="the time of this run is used up", phases=_left(manifest))
    return step


def _failed_now(workflow: Workflow, manifest: Manifest, moment: Moment) -> tuple[PhaseName, ...]:
    """The phases that this call itself tried in vain: a gate may have been rejected long ago."""
    names = given_up(workflow, manifest, moment)
    return tuple(phase.name for phase in workflow.phases if phase.name in names and phase.gate is None)


def _way_back(workflow: Workflow, manifest: Manifest, failed: tuple[PhaseName, ...], moment: Moment) -> Return | None:
    """Going back is part of the step that failed; without it the next one would only try the same again."""
    for name in failed:
        phase = phase_named(workflow, name)
        why = why_given_up(phase, state_of(manifest, name), moment) if phase else None
        step = _failed(workflow, manifest, phase, why, moment) if phase and why is not None else None
        if isinstance(step, Return):
            return step
    return None


def _after_one(manifest: Manifest, failed: tuple[PhaseName, ...]) -> Stop:
    """One phase was asked for and has ended, a failed one too where the rest may go on without it."""
    if failed:
        return Stop(verdict=Verdict.FAILED, reason=_detail(manifest, failed[0]), phases=failed)
    return Stop(verdict=Verdict.STOPPED, reason="one phase was asked for", phases=_left(manifest))


def _left(manifest: Manifest) -> tuple[PhaseName, ...]:
    return tuple(name for name in manifest.order if state_of(manifest, name).status not in DONE)


def _detail(manifest: Manifest, name: PhaseName) -> str:
    return state_of(manifest, name).detail or ""


def _over(workflow: Workflow, manifest: Manifest, moment: Moment) -> Stop | Return | None:
    """The first phase in order whose failure ends the run, or leads back. What could begin meanwhile does not."""
    if (
        not moment.tried
        and not moment.offers
        and not any(_may_have_failed(state) for state in manifest.phases.values())
    ):
        return None
    wanted = wanted_phases(workflow, moment.limits)
    unmet = unmet_in(workflow, manifest, moment)
    cut_off: Stop | Return | None = None
    for phase in in_order(workflow, manifest):
        status = state_of(manifest, phase.name).status
        if phase.name not in wanted or status in DONE or phase.name in unmet:
            continue
        step = _ended(workflow, manifest, phase, moment)
        if step is None or (isinstance(step, Stop) and moment.limits.keep_going):
            continue
        if status in (Status.FAILED, Status.BLOCKED):
            return step
        # It was ended because another one failed: that one is the reason.
        cut_off = cut_off or step
    return cut_off


def _may_have_failed(state: PhaseState) -> bool:
    return state.status in (Status.FAILED, Status.BLOCKED) or state.conflict is not None


def _ended(workflow: Workflow, manifest: Manifest, phase: Phase, moment: Moment) -> Stop | Return | None:
    """What follows where this call tries no more of a phase; None where it does, or where the rest goes on."""
    state = state_of(manifest, phase.name)
    if state.conflict is not None:
        against = ", ".join(state.conflict.against) or "what came before"
        reason = f"{phase.name} and {against} changed {named_paths(state.conflict)} differently"
        return Stop(verdict=Verdict.CONFLICT, reason=reason, phases=(phase.name,))
    why = why_given_up(phase, state, moment)
    if why is not None:
        return _failed(workflow, manifest, phase, why, moment)
    tried = moment.tried.get(phase.name)
    if tried is None or tried.ready_ms is not None or _work(manifest, phase, moment) is None:
        return None
    # Not failed, and yet this call tried it and does not try it again: it is blocked, or was cut off.
    if state.status is not Status.BLOCKED and phase.on_failure.action == "continue":
        return None
    verdict = Verdict.BLOCKED if state.status is Status.BLOCKED else Verdict.FAILED
    phases = _and_failed(workflow, manifest, phase, moment)
    return Stop(verdict=verdict, reason=state.detail or "", phases=phases)


def _next(workflow: Workflow, manifest: Manifest, in_flight: Sequence[Flying], moment: Moment) -> Step | None:
    """The first phase in order that can go on, or the reason that one of them cannot. What has to wait for others keeps
    what it waits for from those after it, so that nothing starves."""
    wanted = wanted_phases(workflow, moment.limits)
    unmet = unmet_in(workflow, manifest, moment)
    plan = moment.plan or Plan.of(workflow, jobs=1)
    room = Room.of(plan, in_flight, moment.totals, moment.held)
    waits: Step | None = None
    for phase in in_order(workflow, manifest):
        if phase.name not in wanted or state_of(manifest, phase.name).status in DONE or phase.name in unmet:
            continue
        if _is_full(plan, in_flight, phase):
            continue
        step = _step(manifest, phase, moment)
        match step:
            case None:
                continue
            case Begin(work=Asking() | Expiring()):
                return step
            case Begin():
                reason = room.refuses(phase.name)
                if reason is None:
                    return step
                room = room.reserve(phase.name)
                # Another run says to nobody that it is done with a group: one looks again.
                until = moment.now_ms + LOOK_AGAIN_MS if moment.held else None
                waits = waits or Await(until_ms=until, reason=reason, phase=phase.name)
            case Await() if plan.jobs > 1:
                waits = sooner(waits, step)
            case _:
                return step
    return waits


def sooner(one: Step | None, other: Await) -> Step:
    """Of two waits the one that ends first."""
    if isinstance(one, Await) and (other.until_ms is None or (one.until_ms or other.until_ms + 1) <= other.until_ms):
        return one
    return other


def _is_full(plan: Plan, in_flight: Sequence[Flying], phase: Phase) -> bool:
    """Whether all of the phase that may run at once does."""
    flying = [each for each in in_flight if each.phase == phase.name]
    return any(each.first is None for each in flying) or len(flying) >= max(1, plan.items_at_once(phase.name))


def _step(manifest: Manifest, phase: Phase, moment: Moment) -> Step | None:
    """What is next of a phase whose needs are met; None to go on with the phases after it."""
    state = state_of(manifest, phase.name)
    if why_given_up(phase, state, moment) is not None:
        return None
    work = _work(manifest, phase, moment)
    tried = moment.tried.get(phase.name)
    if tried is not None and tried.ready_ms is None:
        return None
    if work is None:
        ready = moment.offers.get(phase.name, Offer()).ready_ms
        return None if ready is None else Await(until_ms=ready, reason="until it is tried again", phase=phase.name)
    if tried is not None and tried.ready_ms is not None:
        if tried.ready_ms > moment.now_ms:
            return Await(until_ms=tried.ready_ms, reason="until it is tried again", phase=phase.name)
        return Begin(phase=phase.name, reason=f"try {tried.count + 1} of {phase.retry.max + 1}", work=work)
    if isinstance(work, Some) and (used_up := spent(phase, moment)) is not None:
        return Stop(verdict=Verdict.STOPPED, reason=used_up, phases=(phase.name,))
    return Begin(phase=phase.name, reason=reason_to_begin(manifest, phase), work=work)


def _work(manifest: Manifest, phase: Phase, moment: Moment) -> Work | None:
    """Which part of the phase comes next; None where it waits for somebody, or this call may do no more of it."""
    state = state_of(manifest, phase.name)
    if phase.gate is not None:
        if state.status is not Status.WAITING:
            return Asking()
        ends = state.expires if phase.gate.on_timeout != "keep" else None
        # Parsed, because a clone may be in another time zone.
        expired = ends is not None and datetime.fromisoformat(moment.wall) >= datetime.fromisoformat(ends)
        return Expiring() if expired else None
    if phase.foreach is None:
        return Whole()
    if state.items is None or state.items.stale:
        return Listing()
    # What the list was made from is done again: some of the items may be others now.
    if moment.limits.item is None and done_again(manifest, state):
        return Listing()
    items = state.items
    offer = offer_of(phase, items, moment)
    bearable = tolerated(phase.tolerate, items.total)
    if offer.group is not None:
        last = not offer.rest and not phase.counters and items.failed - offer.group.failed <= bearable
        # Of groups that run side by side none knows whether it will be the last.
        return Some(offer.group, closes=last and not _side_by_side(phase, moment))
    all_tried = items.done + items.skipped + items.failed == items.total
    return Closing() if all_tried and items.failed <= bearable else None


def _side_by_side(phase: Phase, moment: Moment) -> bool:
    return moment.plan is not None and moment.plan.items_at_once(phase.name) > 1


def _failed(workflow: Workflow, manifest: Manifest, phase: Phase, why: str, moment: Moment) -> Stop | Return | None:
    """What follows the last failed try of a phase; None to go on with the rest."""
    policy = phase.on_failure
    if policy.goto is not None and moment.limits.only is None:
        if state_of(manifest, phase.name).gotos < policy.max:
            return Return(way="goto", reason=why, phase=phase.name, to=policy.goto)
        why = f"{why} (it went back to {policy.goto} {policy.max} times already)"
    elif policy.action == "continue":
        return None
    elif policy.action == "compensate":
        pivot = past_pivot(workflow, manifest)
        if pivot is None and moment.owed() is not None:
            return Return(way="compensate", reason=why, phase=phase.name)
        why = f"{why} (nothing is compensated past the pivot {pivot})" if pivot is not None else why
    return Stop(verdict=Verdict.FAILED, reason=why, phases=_and_failed(workflow, manifest, phase, moment))


def _and_failed(workflow: Workflow, manifest: Manifest, phase: Phase, moment: Moment) -> tuple[PhaseName, ...]:
    """The phase that stops the run, then those that failed in this call and that the rest went on without."""
    among = wanted_phases(workflow, moment.limits) - {phase.name}
    return (phase.name, *(name for name in given_up(workflow, manifest, moment) if name in among))


def _undo(manifest: Manifest, moment: Moment) -> Step:
    """The next compensation, newest completion first; at the end of them, the goal itself."""
    owed = moment.owed()
    if owed is None:
        return Return(way="arrive", reason="nothing is left to compensate")
    name = owed.phase
    tried = moment.tried.get(name)
    reason = "it is compensated"
    if tried is not None:
        if tried.ready_ms is None:
            return Stop(verdict=Verdict.FAILED, reason=_detail(manifest, name), phases=(name,))
        if tried.ready_ms > moment.now_ms:
            return Await(until_ms=tried.ready_ms, reason="until its compensation is tried again", phase=name)
        reason = f"try {tried.count + 1} of its compensation"
    return _held_back(manifest, Begin(phase=name, reason=reason, work=Compensating(owed.number)), moment)


def _settled(manifest: Manifest) -> Stop | None:
    if is_complete(manifest):
        return Stop(verdict=Verdict.COMPLETE, reason="every phase is done")
    return None


def _end(workflow: Workflow, manifest: Manifest, moment: Moment) -> Stop:
    """Nothing can begin and not all is done: failures were passed over, a gate waits, a limit held, or a need is not
    met."""
    wanted = wanted_phases(workflow, moment.limits)
    among = [name for name in manifest.order if name in wanted]
    phases = {phase.name: phase for phase in workflow.phases}
    for name in among:
        if state_of(manifest, name).conflict is not None and isinstance(
            step := _ended(workflow, manifest, phases[name], moment), Stop
        ):
            return step
    failed = tuple(name for name in among if state_of(manifest, name).status is Status.FAILED)
    waiting = tuple(name for name in among if state_of(manifest, name).status is Status.WAITING)
    if waiting:
        return Stop(verdict=Verdict.WAITING, reason=_detail(manifest, waiting[0]), phases=waiting)
    if failed and moment.limits.item is None:
        return Stop(verdict=Verdict.FAILED, reason="the rest went on without them", phases=failed)
    # Where one item was asked for, others that failed before are the rest: what counts is whether that one failed.
    if any(moment.offers.get(name, Offer()).given_up for name in failed):
        return Stop(verdict=Verdict.FAILED, reason=_detail(manifest, failed[0]), phases=failed)
    needs = {name: unmet_needs(workflow, manifest, name) for name in among}
    held = {name: unmet for name, unmet in needs.items() if unmet and not unmet <= wanted}
    if held:
        name, unmet = next(iter(held.items()))
        return Stop(verdict=Verdict.BLOCKED, reason=f"it needs {', '.join(sorted(unmet))} first", phases=(name,))
    return Stop(verdict=Verdict.STOPPED, reason="the rest was not asked for", phases=_left(manifest))


def live(workflow: Workflow, manifest: Manifest, in_flight: Sequence[Flying], moment: Moment) -> tuple[Flying, ...]:
    """What is in flight, and the phases and the next items that will still run in this call: what comes after them in
    the workflow's order waits to be merged until they are. A gate is never among them: it can wait for days."""
    if is_ending(workflow, manifest, moment):
        return tuple(in_flight)
    flying = {each.phase for each in in_flight}
    wanted = wanted_phases(workflow, moment.limits)
    failed = given_up(workflow, manifest, moment)
    ended = {name for name, tried in moment.tried.items() if tried.ready_ms is None} | set(failed)
    held = unmet_in(workflow, manifest, moment)
    alive: set[PhaseName] = set()
    for phase in in_order(workflow, manifest):
        state = state_of(manifest, phase.name)
        if phase.name in flying:
            alive.add(phase.name)
        elif phase.name in wanted and state.status not in DONE and phase.gate is None and phase.name not in ended:
            unmet = [need for need in phase.needs if state_of(manifest, need).status not in DONE]
            if state.conflict is None and (phase.name not in held or alive.issuperset(unmet)):
                alive.add(phase.name)
    groups = {name: moment.offers[name].group for name in alive if name in moment.offers}
    # What an earlier call gave up comes last, wherever it stands in the list.
    items = (Flying(phase=name, first=group.first) for name, group in groups.items() if group and not group.late)
    return (*in_flight, *(Flying(phase=name) for name in alive - flying), *items)
