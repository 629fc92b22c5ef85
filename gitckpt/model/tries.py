"""What one call of `run` has tried enough: phases and items that it gives up, and budgets that are used up.

Owns these questions about a moment. Must not know what follows from the answers.
"""

from __future__ import annotations

from gitckpt.model.amount import plural
from gitckpt.model.graph import phase_named
from gitckpt.model.manifest import DONE, Items, Manifest, PhaseState, Status, state_of
from gitckpt.model.moment import Moment, Offer, Spent
from gitckpt.model.names import PhaseName
from gitckpt.model.repeat import tolerated
from gitckpt.model.workflow import Phase, Workflow


def given_up(workflow: Workflow, manifest: Manifest, moment: Moment) -> tuple[PhaseName, ...]:
    """The phases that failed in this call and that it does not try again."""
    return tuple(
        phase.name
        for phase in in_order(workflow, manifest)
        if why_given_up(phase, state_of(manifest, phase.name), moment) is not None
    )


def why_given_up(phase: Phase, state: PhaseState, moment: Moment) -> str | None:
    """Why this call tries no more of the phase; None where it goes on, or has not begun."""
    if state.status is not Status.FAILED:
        return None
    tried = moment.tried.get(phase.name)
    if phase.gate is not None or (tried is not None and tried.ready_ms is None):
        return state.detail or ""
    if state.items is None or state.items.stale:
        return None
    offer = offer_of(phase, state.items, moment)
    if not offer.given_up:
        return None
    bearable = tolerated(phase.tolerate, state.items.total)
    too_many = phase.tolerate is not None and offer.given_up > bearable
    over = offer.group is None and offer.ready_ms is None and not offer.flying
    if too_many or (over and state.items.failed > bearable):
        return f"{offer.given_up:,} of {plural(state.items.total, 'item')} failed, the last: {state.detail or ''}"
    return None


def offer_of(phase: Phase, items: Items, moment: Moment) -> Offer:
    """What is next of the items. Those that an earlier call gave up are tried while the budget lasts, then given up
    again: were the run to stop and say to run it again, the same ones would use up every budget for ever."""
    offer = moment.offers.get(phase.name, Offer())
    over = moment.until_ms is not None and moment.now_ms >= moment.until_ms and phase.name in moment.spent
    if offer.group is None or not offer.group.late or not (over or spent(phase, moment)):
        return offer
    return Offer(given_up=items.failed)


def spent(phase: Phase, moment: Moment) -> str | None:
    """Which part of the phase's budget this call has used up; what is under way counts."""
    budget, offer = phase.budget, moment.offers.get(phase.name, Offer())
    so_far = moment.spent.get(phase.name, Spent(began_ms=moment.now_ms))
    if budget is None:
        return None
    if budget.items is not None and so_far.items + offer.aloft >= budget.items:
        return f"the budget of {plural(budget.items, 'item')} is used up"
    if budget.batches is not None and so_far.batches + offer.batches_aloft >= budget.batches:
        return f"the budget of {plural(budget.batches, 'batch')} is used up"
    if budget.time_ms is not None and moment.now_ms - so_far.began_ms >= budget.time_ms:
        return "the budget of time is used up"
    return None


def in_order(workflow: Workflow, manifest: Manifest) -> list[Phase]:
    """The phases in the manifest's order, those that the workflow file still has."""
    named = {phase.name: phase for phase in workflow.phases}
    return [named[name] for name in manifest.order if name in named]


def unmet_in(workflow: Workflow, manifest: Manifest, moment: Moment) -> frozenset[PhaseName]:
    """The phases that have a need which is not met. One that failed for good in this call is met when it says
    `continue`, or when the run keeps going and the phase is none that needs it."""
    passed = {name for name in given_up(workflow, manifest, moment) if _passes(workflow, name)}
    done = ({name for name, state in manifest.phases.items() if state.status in DONE} - moment.unsettled) | passed
    return frozenset(phase.name for phase in workflow.phases if not done.issuperset(phase.needs))


def _passes(workflow: Workflow, name: PhaseName) -> bool:
    phase = phase_named(workflow, name)
    return phase is not None and phase.on_failure.action == "continue"
