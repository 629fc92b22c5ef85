"""The graph of a workflow's phases, and how far a manifest has come in it.

Owns questions about needs. Must not decide anything.
"""

from __future__ import annotations

from gitckpt.model.manifest import DONE, Manifest, state_of
from gitckpt.model.moment import Limits
from gitckpt.model.names import PhaseName
from gitckpt.model.workflow import Phase, Workflow


def wanted_phases(workflow: Workflow, limits: Limits) -> frozenset[PhaseName]:
    """The phases that the flags of a run let it begin."""
    if limits.only is not None:
        return frozenset({limits.only})
    if limits.until is not None:
        return ancestors(workflow, limits.until) | {limits.until}
    return frozenset(phase.name for phase in workflow.phases)


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
