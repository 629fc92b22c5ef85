"""Why a phase runs, or does not: the reasons that `why` and `plan` print.

Owns these words. Must not decide anything.
"""

from __future__ import annotations

from gitckpt.model.amount import plural
from gitckpt.model.graph import phase_named, unmet_needs
from gitckpt.model.manifest import DONE, Manifest, Status, state_of
from gitckpt.model.names import PhaseName
from gitckpt.model.workflow import Phase, Workflow, digest, item_digest


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
    return reason_to_begin(manifest, phase) + (midway if name in changed_midway(workflow, manifest) else "")


def reason_to_begin(manifest: Manifest, phase: Phase) -> str:
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
