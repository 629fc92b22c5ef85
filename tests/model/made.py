"""Small manifests, workflows and events for the tests of the model. Owns their defaults; knows no scenario."""

from __future__ import annotations

from dataclasses import replace

from gitckpt.model.events import AttemptCutOff, AttemptFailed, PhaseCompleted, PhaseSkipped, RunStarted
from gitckpt.model.gate import OnFailure
from gitckpt.model.manifest import Manifest, PhaseState
from gitckpt.model.names import PhaseName, RunId, WorkflowName
from gitckpt.model.workflow import Phase, Retry, Workflow

AT = "2025-01-02T03:04:05+01:00"
LATER = "2025-01-02T04:04:05+01:00"


def name(text: str) -> PhaseName:
    return PhaseName(text)


def manifest(*names: str, **states: PhaseState) -> Manifest:
    """A run of the phases `names`, all pending but those whose state is given."""
    order = tuple(map(PhaseName, names))
    return Manifest(
        workflow=WorkflowName("w"),
        order=order,
        phases={each: states.get(each, PhaseState()) for each in order},
        run=RunId("r1"),
        sequence=1,
        started_at=AT,
        updated_at=AT,
    )


def workflow(*phases: Phase) -> Workflow:
    return Workflow(version=1, workflow=WorkflowName("w"), phases=phases)


def phase(text: str, *needs: str, tries: int = 1, goes_on: bool = False) -> Phase:
    """A phase tried so many times, which lets the rest go on when it failed, or not."""
    return Phase(
        name=PhaseName(text),
        run=("x",),
        needs=tuple(map(PhaseName, needs)),
        retry=Retry(max=tries - 1),
        on_failure=OnFailure(action="continue" if goes_on else "stop"),
    )


def started(whole: Manifest, after: int = 0) -> RunStarted:
    """A run begins, `after` being the number of the checkpoint before it."""
    return RunStarted(at=AT, manifest=replace(whole, sequence=after))


def completed(text: str, attempt: int = 1) -> PhaseCompleted:
    return PhaseCompleted(
        at=LATER, phase=PhaseName(text), attempt=attempt, started=AT, duration_ms=1500, definition="sha256:00"
    )


def failed(text: str, attempt: int = 1, **more: bool) -> AttemptFailed:
    return AttemptFailed(
        at=LATER,
        phase=PhaseName(text),
        attempt=attempt,
        started=AT,
        duration_ms=700,
        exit_code=3,
        detail="exit 3",
        partial=more.get("partial", False),
    )


def cut_off(text: str, attempt: int = 1, **more: bool) -> AttemptCutOff:
    return AttemptCutOff(
        at=LATER,
        phase=PhaseName(text),
        attempt=attempt,
        reason="interrupted" if more.get("by_user") else "died",
        partial=more.get("partial", False),
    )


def skipped(text: str) -> PhaseSkipped:
    return PhaseSkipped(at=LATER, phase=PhaseName(text), reason="no need")
