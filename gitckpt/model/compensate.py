"""Which completed phase is to be compensated next, and which cannot be any more.

Owns the order (newest completion first) and the pivot. Pure; must not know commands or processes.
"""

from __future__ import annotations

from gitckpt.model.manifest import Manifest, PhaseState, Status, state_of
from gitckpt.model.names import PhaseName
from gitckpt.model.workflow import Workflow


def has_effect(state: PhaseState, after: int) -> bool:
    """Whether something of the phase was completed after checkpoint number `after`: itself, or some of its items."""
    items = state.items if state.items is not None and not state.items.stale else None
    some = items.done > 0 if items is not None else state.status is Status.COMPLETED
    return some and state.landed > after


def past_pivot(workflow: Workflow, manifest: Manifest, after: int) -> PhaseName | None:
    """A completed phase past which nothing is compensated, if one was completed after checkpoint number `after`."""
    for phase in workflow.phases:
        state = state_of(manifest, phase.name)
        if phase.pivot and state.status is Status.COMPLETED and state.landed > after:
            return phase.name
    return None


def to_undo(
    workflow: Workflow, manifest: Manifest, undoable: frozenset[PhaseName], *, after: int
) -> tuple[PhaseName, ...]:
    """The phases with something to compensate, newest completion first; none past a pivot.

    `undoable`: the phases that had a compensation when they were completed; those that have one today count too.
    """
    if past_pivot(workflow, manifest, after) is not None:
        return ()
    able = undoable | {phase.name for phase in workflow.phases if phase.compensate}
    found = [name for name in manifest.phases if name in able and has_effect(state_of(manifest, name), after)]
    return tuple(sorted(found, key=lambda name: state_of(manifest, name).landed, reverse=True))


def next_undone(
    workflow: Workflow, manifest: Manifest, undoable: frozenset[PhaseName], *, after: int
) -> PhaseName | None:
    """The phase whose newest completion is the newest of all."""
    return next(iter(to_undo(workflow, manifest, undoable, after=after)), None)
