"""What `run` would do, with reasons, by asking `decide` itself: each phase is taken to succeed.

Pure: a workflow and a manifest in, a forecast out. Owns the words `will run`, `done`, `skipped`, `waits`, `not asked
for`. Must not know where the manifest came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, assert_never

from gitckpt.model.decide import (
    ancestors,
    changed_definitions,
    decide,
    explain,
    phase_named,
    unmet_needs,
    wanted_phases,
)
from gitckpt.model.manifest import DONE, Manifest, PhaseState, Status, fresh, is_complete, state_of, with_current_state
from gitckpt.model.moment import Await, Begin, Limits, Moment, Return, Stop
from gitckpt.model.names import PhaseName, RunId
from gitckpt.model.workflow import Workflow, dependents, order

Fate: TypeAlias = Literal["will run", "done", "skipped", "waits", "not asked for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """One phase: what becomes of it at the next `run`, and why, in one sentence."""

    phase: PhaseName
    fate: Fate
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """All phases in order. `begins_run`: the call would begin a new run. `changed`: completed phases whose
    definition is another now, which reruns nothing. `dropped`: phases with a past that the file has no more."""

    phases: tuple[Foreseen, ...]
    begins_run: bool
    complete: bool
    changed: tuple[PhaseName, ...]
    dropped: tuple[PhaseName, ...]


def foresee(workflow: Workflow, manifest: Manifest | None, limits: Limits, start_from: PhaseName | None) -> Forecast:
    """What `run` with these limits would do from here; `manifest` None is a workflow without history.

    `start_from` is that of `run --from`. Every phase named must be in the workflow.
    """
    begins = manifest is None or not manifest.run
    now = starting_point(workflow, manifest)
    now = _reopened(now, _chosen(workflow, now, limits, start_from))
    begun = _begun(workflow, now, limits)
    wanted = wanted_phases(workflow, limits)
    phases = tuple(
        Foreseen(phase=name, fate=fate, reason=_reason(workflow, now, begun, name, fate))
        for name in now.order
        for fate in (_fate(now, begun, wanted, name),)
    )
    known = {phase.name for phase in workflow.phases}
    before = manifest.phases if manifest else {}
    return Forecast(
        phases=phases,
        begins_run=begins,
        complete=is_complete(now),
        changed=changed_definitions(workflow, now),
        dropped=tuple(n for n in before if n not in known and before[n].status is not Status.PENDING),
    )


def starting_point(workflow: Workflow, manifest: Manifest | None) -> Manifest:
    """The manifest that the next `run` starts with: of today's phases, and of a new run where none is on."""
    names = order(workflow)
    if manifest is None:
        blank = Manifest(workflow=workflow.workflow, order=names, phases={name: PhaseState() for name in names})
        return with_current_state(blank)
    if not manifest.run:
        return fresh(manifest, run=RunId("next"), at="", order=names)
    known = {name: state_of(manifest, name) for name in names}
    return with_current_state(replace(manifest, order=names, phases={**manifest.phases, **known}))


def because(workflow: Workflow, manifest: Manifest, name: PhaseName) -> tuple[tuple[PhaseName, str], ...]:
    """Why the needs of a phase that are not done are not done, down to those that wait for nothing."""
    unmet = unmet_needs(workflow, manifest, name)
    above = [each for each in manifest.order if each in ancestors(workflow, name)]
    if not unmet:
        return ()
    return tuple(
        (each, explain(workflow, manifest, each)) for each in above if state_of(manifest, each).status not in DONE
    )


def _chosen(
    workflow: Workflow, manifest: Manifest, limits: Limits, start_from: PhaseName | None
) -> frozenset[PhaseName]:
    """The phases that the flags make pending again."""
    if start_from is not None:
        return frozenset({start_from}) | dependents(workflow, start_from)
    if limits.only is not None and state_of(manifest, limits.only).status in DONE:
        return frozenset({limits.only})
    return frozenset()


def _reopened(manifest: Manifest, chosen: frozenset[PhaseName]) -> Manifest:
    def anew(state: PhaseState) -> PhaseState:
        untouched = state.status is Status.PENDING and not state.partial and not state.cut_offs
        return state if untouched else PhaseState(generation=state.generation + 1, attempts=state.attempts)

    states: Mapping[PhaseName, PhaseState] = {
        name: anew(state) if name in chosen else state for name, state in manifest.phases.items()
    }
    return with_current_state(replace(manifest, phases=states))


def _begun(workflow: Workflow, manifest: Manifest, limits: Limits) -> frozenset[PhaseName]:
    """The phases that `decide` would begin, were each of them to succeed."""
    begun: set[PhaseName] = set()
    while True:
        step = decide(workflow, manifest, (), Moment(landed=len(begun), limits=limits))
        match step:
            case Begin(phase=name):
                begun.add(name)
                done = replace(state_of(manifest, name), status=Status.COMPLETED)
                manifest = with_current_state(replace(manifest, phases={**manifest.phases, name: done}))
            case Await() | Return() | Stop():
                return frozenset(begun)
            case _:
                assert_never(step)


def _fate(manifest: Manifest, begun: frozenset[PhaseName], wanted: frozenset[PhaseName], name: PhaseName) -> Fate:
    status = state_of(manifest, name).status
    if name in begun:
        return "will run"
    if status is Status.SKIPPED:
        return "skipped"
    if status in DONE:
        return "done"
    return "waits" if name in wanted else "not asked for"


def _reason(workflow: Workflow, manifest: Manifest, begun: frozenset[PhaseName], name: PhaseName, fate: Fate) -> str:
    phase = phase_named(workflow, name)
    if fate != "will run" or phase is None:
        return explain(workflow, manifest, name)
    first = [need for need in phase.needs if need in begun]
    reason = f"after {', '.join(first)}" if first else explain(workflow, manifest, name)
    return f"{reason}, if `{phase.condition}` holds" if phase.condition else reason
