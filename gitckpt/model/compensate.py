"""Whether a failure may still compensate what its run did: not past a pivot.

Pure; must not know commands or processes. What is owed to the outside world is told by the history, not by the state.
"""

from __future__ import annotations

from gitckpt.model.manifest import Manifest, Status, state_of
from gitckpt.model.names import PhaseName
from gitckpt.model.workflow import Workflow


def past_pivot(workflow: Workflow, manifest: Manifest) -> PhaseName | None:
    """A completed phase of this run past which nothing is compensated, if there is one."""
    for phase in workflow.phases:
        if phase.pivot and state_of(manifest, phase.name).status is Status.COMPLETED:
            return phase.name
    return None
