"""`decide(workflow, manifest, in_flight, moment) -> Step`: what is next, with its reason.

Owns the order of phases, items, retries, budgets, gates and compensations. Pure: the moment is handed in, nothing
is remembered here, and nothing that is done is ever run again because of a changed definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gitckpt.model.amount import plural
from gitckpt.model.compensate import next_undone, past_pivot
from gitckpt.model.manifest import DONE, Items, Manifest, PhaseState, Status, is_complete, state_of
from gitckpt.model.moment import (
    Asking,
    Await,
    Begin,
    Closing,
    Compensating,
    Expiring,
    Limits,
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
from gitckpt.model.workflow import Phase, Workflow, digest, item_digest


def decide(workflow: Workflow, manifest: Manifest, in_flight: Sequence[PhaseName], moment: Moment) -> Step:
    """The next step. Guarantees: what is done is never begun, a phase never begins before its needs, and with
    finitely many tries every run stops."""
    if in_flight:
        return Await(until_ms=None, reason=f"{', '.join(in_flight)} runs", phase=in_flight[0])
    if moment.stop:
        verdict = Verdict.INTERRUPTED if moment.stop == "interrupt" else Verdict.TERMINATED
        return Stop(verdict=verdict, reason="you stopped it")
    if moment.arrived is not None:
        return moment.arrived
    if manifest.goal.kind != "finish":
        return _undo(workflow, manifest, moment)
    if moment.limits.step:
        failed = _failed_now(workflow, manifest, moment)
        if moment.landed or failed:
            way_back = _way_back(workflow, manifest, failed, moment)
            return way_back or _settled(manifest) or _after_one(manifest, failed)
    step = _next(workflow, manifest, moment) or _settled(manifest) or _end(workflow, manifest, moment)
    return _held_back(manifest, step, moment)


def _held_back(manifest: Manifest, step: Step, moment: Moment) -> Step:
    """What would begin, or be waited for, is not when the run was paused, or its time is used up."""
    if not isinstance(step, Begin | Await):
        return step
    if moment.paused is not None:
        return Stop(verdict=Verdict.STOPPED, reason=f"paused by {moment.paused}", phases=_left(manifest))
    if moment.until_ms is not None and moment.now_ms >= moment.until_ms:
        return Stop(verdict=Verdict.STOPPED, reason="the time of this run is used up", phases=_left(manifest))
    return step


def _given_up(workflow: Workflow, manifest: Manifest, moment: Moment) -> tuple[PhaseName, ...]:
    """The phases that failed in this call and that it does not try again."""
    return tuple(
        phase.name
        for name in manifest.order
        if (phase := phase_named(workflow, name)) is not None
        and _why_given_up(phase, state_of(manifest, name), moment) is not None
    )


def _why_given_up(phase: Phase, state: PhaseState, moment: Moment) -> str | None:
    """Why this call tries no more of the phase; None where it goes on, or has not begun."""
    if state.status is not Status.FAILED:
        return None
    tried = moment.tried.get(phase.name)
    if phase.gate is not None or (tried is not None and tried.ready_ms is None):
        return state.detail or ""
    if state.items is None or state.items.stale:
        return None
    offer = _offer(phase, state.items, moment)
    if not offer.given_up:
        return None
    bearable = tolerated(phase.tolerate, state.items.total)
    too_many = phase.tolerate is not None and offer.given_up > bearable
    if too_many or (offer.group is None and state.items.failed > bearable):
        return f"{offer.given_up:,} of {plural(state.items.total, 'item')} failed, the last: {state.detail or ''}"
    return None


def _failed_now(workflow: Workflow, manifest: Manifest, moment: Moment) -> tuple[PhaseName, ...]:
    """The phases that this call itself tried in vain: a gate may have been rejected long ago."""
    given_up = _given_up(workflow, manifest, moment)
    return tuple(phase.name for phase in workflow.phases if phase.name in given_up and phase.gate is None)


def _way_back(workflow: Workflow, manifest: Manifest, failed: tuple[PhaseName, ...], moment: Moment) -> Return | None:
    """Going back is part of the step that failed; without it the next one would only try the same again."""
    for name in failed:
        phase = phase_named(workflow, name)
        why = _why_given_up(phase, state_of(manifest, name), moment) if phase else None
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


def _next(workflow: Workflow, manifest: Manifest, moment: Moment) -> Step | None:
    """The first phase in order that can go on, or the reason that one of them cannot."""
    wanted = wanted_phases(workflow, moment.limits)
    for name in manifest.order:
        phase = phase_named(workflow, name)
        state = state_of(manifest, name)
        if name not in wanted or phase is None or state.status in DONE:
            continue
        if _unmet(workflow, manifest, phase, moment):
            continue
        step = _step(workflow, manifest, phase, moment)
        if step is not None:
            return step
    return None


def _step(workflow: Workflow, manifest: Manifest, phase: Phase, moment: Moment) -> Step | None:
    """What is next of a phase whose needs are met; None to go on with the phases after it."""
    state = state_of(manifest, phase.name)
    why = _why_given_up(phase, state, moment)
    if why is not None:
        return _failed(workflow, manifest, phase, why, moment)
    work = _work(phase, state, moment)
    if work is None:
        return None
    tried = moment.tried.get(phase.name)
    if tried is not None and tried.ready_ms is None:
        # Not failed, and yet this call tried it and does not try it again: it is blocked, or was cut off.
        if state.status is not Status.BLOCKED and phase.on_failure.action == "continue":
            return None
        verdict = Verdict.BLOCKED if state.status is Status.BLOCKED else Verdict.FAILED
        phases = _and_failed(workflow, manifest, phase, moment)
        return Stop(verdict=verdict, reason=state.detail or "", phases=phases)
    if tried is not None and tried.ready_ms is not None:
        if tried.ready_ms > moment.now_ms:
            return Await(until_ms=tried.ready_ms, reason="until it is tried again", phase=phase.name)
        return Begin(phase=phase.name, reason=f"try {tried.count + 1} of {phase.retry.max + 1}", work=work)
    if isinstance(work, Some) and (spent := _spent(phase, moment)) is not None:
        return Stop(verdict=Verdict.STOPPED, reason=spent, phases=(phase.name,))
    return Begin(phase=phase.name, reason=_reason(manifest, phase), work=work)


def _work(phase: Phase, state: PhaseState, moment: Moment) -> Work | None:
    """Which part of the phase comes next; None where it waits for somebody, or this call may do no more of it."""
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
    items = state.items
    offer = _offer(phase, items, moment)
    bearable = tolerated(phase.tolerate, items.total)
    if offer.group is not None:
        last = not offer.rest and not phase.counters and items.failed - offer.group.failed <= bearable
        return Some(offer.group, closes=last)
    all_tried = items.done + items.skipped + items.failed == items.total
    return Closing() if all_tried and items.failed <= bearable else None


def _offer(phase: Phase, items: Items, moment: Moment) -> Offer:
    """What is next of the items. Those that an earlier call gave up are tried while the budget lasts, then given up
    again: were the run to stop and say to run it again, the same ones would use up every budget for ever."""
    offer = moment.offers.get(phase.name, Offer())
    over = moment.until_ms is not None and moment.now_ms >= moment.until_ms and phase.name in moment.spent
    if offer.group is None or not offer.group.late or not (over or _spent(phase, moment)):
        return offer
    return Offer(given_up=items.failed)


def _spent(phase: Phase, moment: Moment) -> str | None:
    """Which part of the phase's budget this call has used up."""
    budget, spent = phase.budget, moment.spent.get(phase.name)
    if budget is None or spent is None:
        return None
    if budget.items is not None and spent.items >= budget.items:
        return f"the budget of {plural(budget.items, 'item')} is used up"
    if budget.batches is not None and spent.batches >= budget.batches:
        return f"the budget of {plural(budget.batches, 'batch')} is used up"
    if budget.time_ms is not None and moment.now_ms - spent.began_ms >= budget.time_ms:
        return "the budget of time is used up"
    return None


def _failed(workflow: Workflow, manifest: Manifest, phase: Phase, why: str, moment: Moment) -> Step | None:
    """What follows the last failed try of a phase; None to go on with the rest."""
    policy = phase.on_failure
    if policy.goto is not None and moment.limits.only is None:
        if state_of(manifest, phase.name).gotos < policy.max:
            return Return(way="goto", reason=why, phase=phase.name, to=policy.goto)
        why = f"{why} (it went back to {policy.goto} {policy.max} times already)"
    elif policy.action == "continue":
        return None
    elif policy.action == "compensate":
        if next_undone(workflow, manifest, moment.undoable, after=0) is not None:
            return Return(way="compensate", reason=why, phase=phase.name)
        pivot = past_pivot(workflow, manifest, after=0)
        why = f"{why} (nothing is compensated past the pivot {pivot})" if pivot is not None else why
    return Stop(verdict=Verdict.FAILED, reason=why, phases=_and_failed(workflow, manifest, phase, moment))


def _and_failed(workflow: Workflow, manifest: Manifest, phase: Phase, moment: Moment) -> tuple[PhaseName, ...]:
    """The phase that stops the run, then those that failed in this call and that the rest went on without."""
    among = wanted_phases(workflow, moment.limits) - {phase.name}
    return (phase.name, *(name for name in _given_up(workflow, manifest, moment) if name in among))


def _undo(workflow: Workflow, manifest: Manifest, moment: Moment) -> Step:
    """The next compensation, newest completion first; at the end of them, the goal itself."""
    name = next_undone(workflow, manifest, moment.undoable, after=manifest.goal.after)
    if name is None:
        return Return(way="arrive", reason="nothing is left to compensate")
    tried = moment.tried.get(name)
    reason = "it is compensated"
    if tried is not None:
        if tried.ready_ms is None:
            return Stop(verdict=Verdict.FAILED, reason=_detail(manifest, name), phases=(name,))
        if tried.ready_ms > moment.now_ms:
            return Await(until_ms=tried.ready_ms, reason="until its compensation is tried again", phase=name)
        reason = f"try {tried.count + 1} of its compensation"
    offer = moment.offers.get(name, Offer())
    return _held_back(manifest, Begin(phase=name, reason=reason, work=Compensating(offer.group)), moment)


def _settled(manifest: Manifest) -> Stop | None:
    if is_complete(manifest):
        return Stop(verdict=Verdict.COMPLETE, reason="every phase is done")
    return None


def _end(workflow: Workflow, manifest: Manifest, moment: Moment) -> Stop:
    """Nothing can begin and not all is done: failures were passed over, a gate waits, a limit held, or a need is not
    met."""
    wanted = wanted_phases(workflow, moment.limits)
    among = [name for name in manifest.order if name in wanted]
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


def wanted_phases(workflow: Workflow, limits: Limits) -> frozenset[PhaseName]:
    """The phases that the flags of a run let it begin."""
    if limits.only is not None:
        return frozenset({limits.only})
    if limits.until is not None:
        return ancestors(workflow, limits.until) | {limits.until}
    return frozenset(phase.name for phase in workflow.phases)


def _unmet(workflow: Workflow, manifest: Manifest, phase: Phase, moment: Moment) -> bool:
    """A need that failed for good in this call does not hold back what follows when it says `continue`."""
    failed = _given_up(workflow, manifest, moment)
    for name in unmet_needs(workflow, manifest, phase.name):
        need = phase_named(workflow, name)
        if need is None or need.on_failure.action != "continue" or name not in failed:
            return True
    return False


def phase_named(workflow: Workflow, name: PhaseName) -> Phase | None:
    """The phase of that name, None where the workflow file has it no more."""
    return next((phase for phase in workflow.phases if phase.name == name), None)


def unmet_needs(workflow: Workflow, manifest: Manifest, name: PhaseName) -> frozenset[PhaseName]:
    """The needs of a phase that are not done."""
    phase = phase_named(workflow, name)
    if phase is None or state_of(manifest, name).status in DONE:
        return frozenset()
    return frozenset(need for need in phase.needs if state_of(manifest, need).status not in DONE)


def ancestors(workflow: Workflow, name: PhaseName) -> frozenset[PhaseName]:
    """All that a phase needs, and what that needs, without itself."""
    found: set[PhaseName] = set()
    todo = [name]
    while todo:
        phase = phase_named(workflow, todo.pop())
        fresh = [need for need in phase.needs if need not in found] if phase else []
        found.update(fresh)
        todo.extend(fresh)
    return frozenset(found)


def changed_definitions(workflow: Workflow, manifest: Manifest) -> tuple[PhaseName, ...]:
    """Completed phases whose definition is not the one they were completed with. Nothing reruns because of it."""
    return tuple(
        phase.name
        for phase in workflow.phases
        if (state := state_of(manifest, phase.name)).status is Status.COMPLETED
        and state.definition is not None
        and state.definition != digest(phase, workflow)
    )


def changed_midway(workflow: Workflow, manifest: Manifest) -> tuple[PhaseName, ...]:
    """Phases of which some items are done, by another definition than the rest will be."""
    return tuple(
        phase.name
        for phase in workflow.phases
        if (state := state_of(manifest, phase.name)).status not in DONE
        and (items := state.items) is not None
        and not items.stale
        and items.done
        and items.definition != item_digest(phase, workflow)
    )


def explain(workflow: Workflow, manifest: Manifest, name: PhaseName) -> str:
    """Why a phase will run, or will not, at the next `run`: one sentence."""
    phase = phase_named(workflow, name)
    state = state_of(manifest, name)
    if phase is None:
        return f"it is {state.status}, and no longer in the workflow file"
    if state.status is Status.COMPLETED:
        since = "; its definition changed since, which reruns nothing: `run --from` would"
        return f"it is done ({state.completed})" + (since if name in changed_definitions(workflow, manifest) else "")
    if state.status is Status.SKIPPED:
        return f"it was skipped: {state.detail}"
    unmet = [need for need in phase.needs if need in unmet_needs(workflow, manifest, name)]
    if unmet:
        return f"it waits for {', '.join(unmet)}"
    midway = "; its definition changed since, and only the rest follows the new one: `run --from` would redo all"
    return _reason(manifest, phase) + (midway if name in changed_midway(workflow, manifest) else "")


def _reason(manifest: Manifest, phase: Phase) -> str:
    state = state_of(manifest, phase.name)
    match state.status:
        case Status.FAILED:
            return f"its attempt {state.attempts} failed: {(state.detail or '').partition(chr(10))[0]}"
        case Status.BLOCKED:
            return f"it was blocked: {state.detail}"
        case Status.COMPENSATED:
            return "it was compensated"
        case Status.WAITING:
            return f"it waits for an answer: {state.detail}"
        case _ if state.items is not None and not state.items.stale and state.items.done:
            are = "is" if state.items.done == 1 else "are"
            return f"{state.items.done:,} of {plural(state.items.total, 'item')} {are} done"
        case _ if state.cut_offs:
            return f"its attempt {state.attempts} was cut off"
        case _ if state.partial:
            return "it goes on from what it kept"
        case _ if state.generation:
            return "it is to run anew"
        case _ if phase.needs:
            return f"{', '.join(phase.needs)} {'is' if len(phase.needs) == 1 else 'are'} done"
        case _:
            return "it needs nothing else"
