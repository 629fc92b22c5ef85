"""`decide(workflow, manifest, in_flight, moment) -> Step`: what is next, with its reason.

Owns the order of phases, retries, and the flags of `run` (one `Limits` value). Pure: the moment is handed in, nothing
is remembered here, and nothing that is done is ever run again because of a changed definition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, TypeAlias

from gitckpt.model.manifest import DONE, Manifest, Status, is_complete, state_of
from gitckpt.model.names import PhaseName
from gitckpt.model.workflow import Phase, Workflow, digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The flags of `run` that bound it. `only` and `until` name phases; `step` stops after one phase."""

    only: PhaseName | None = None
    until: PhaseName | None = None
    step: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What this call of `run` has tried of a phase. `ready_ms`: monotonic ms of the next try, None: no more tries."""

    count: int
    ready_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Everything about now that a decision needs. `now_ms` is monotonic; `landed` counts phases ended by this call."""

    now_ms: int = 0
    stop: Literal["interrupt", "terminate"] | None = None
    landed: int = 0
    tried: Mapping[PhaseName, Tried] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)


class Verdict(Enum):
    """Why a run stops."""

    COMPLETE = "complete"
    FAILED = "failed"
    BLOCKED = "blocked"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """Start an attempt of this phase."""

    phase: PhaseName
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Await:
    """Wait for what runs, for a request, or until a monotonic ms."""

    until_ms: int | None
    reason: str
    phase: PhaseName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Nothing more is to be done by this call. `phases`: the ones the verdict is about."""

    verdict: Verdict
    reason: str
    phases: tuple[PhaseName, ...] = ()


Step: TypeAlias = Begin | Await | Stop


def decide(workflow: Workflow, manifest: Manifest, in_flight: Sequence[PhaseName], moment: Moment) -> Step:
    """The next step. Guarantees: a done phase is never begun, a phase never begins before its needs, and with
    finitely many tries every run stops."""
    if in_flight:
        return Await(until_ms=None, reason=f"{', '.join(in_flight)} runs", phase=in_flight[0])
    if moment.stop:
        verdict = Verdict.INTERRUPTED if moment.stop == "interrupt" else Verdict.TERMINATED
        return Stop(verdict=verdict, reason="you stopped it")
    failed = _given_up(manifest, moment)
    if moment.limits.step and (moment.landed or failed):
        return _settled(manifest) or _after_one(manifest, failed)
    return _next(workflow, manifest, moment) or _settled(manifest) or _end(workflow, manifest, moment)


def _given_up(manifest: Manifest, moment: Moment) -> tuple[PhaseName, ...]:
    """The phases that failed in this call and that it does not try again."""
    return tuple(
        name
        for name in manifest.order
        if state_of(manifest, name).status is Status.FAILED
        and (tried := moment.tried.get(name)) is not None
        and tried.ready_ms is None
    )


def _after_one(manifest: Manifest, failed: tuple[PhaseName, ...]) -> Stop:
    """One phase was asked for and has ended, a failed one too where the rest may go on without it."""
    if failed:
        return Stop(verdict=Verdict.FAILED, reason=state_of(manifest, failed[0]).detail or "", phases=failed)
    left = tuple(name for name in manifest.order if state_of(manifest, name).status not in DONE)
    return Stop(verdict=Verdict.STOPPED, reason="one phase was asked for", phases=left)


def _next(workflow: Workflow, manifest: Manifest, moment: Moment) -> Step | None:
    """The first phase in order that can begin, or the reason that one of them cannot."""
    wanted = wanted_phases(workflow, moment.limits)
    for name in manifest.order:
        phase = phase_named(workflow, name)
        state = state_of(manifest, name)
        if name not in wanted or phase is None or state.status in DONE:
            continue
        if _unmet(workflow, manifest, phase, moment):
            continue
        tried = moment.tried.get(name)
        if tried is None:
            return Begin(phase=name, reason=_reason(manifest, phase))
        if tried.ready_ms is not None:
            if tried.ready_ms > moment.now_ms:
                return Await(until_ms=tried.ready_ms, reason=f"{name} is tried again", phase=name)
            return Begin(phase=name, reason=f"try {tried.count + 1} of {phase.retry.max + 1}")
        if state.status is Status.BLOCKED:
            return Stop(verdict=Verdict.BLOCKED, reason=state.detail or "", phases=(name,))
        if phase.on_failure == "stop":
            return Stop(verdict=Verdict.FAILED, reason=state.detail or "", phases=(name,))
    return None


def _settled(manifest: Manifest) -> Stop | None:
    if is_complete(manifest):
        return Stop(verdict=Verdict.COMPLETE, reason="every phase is done")
    return None


def _end(workflow: Workflow, manifest: Manifest, moment: Moment) -> Stop:
    """Nothing can begin and not all is done: failures were passed over, a limit held, or a need is not met."""
    wanted = wanted_phases(workflow, moment.limits)
    failed = tuple(
        name for name in manifest.order if name in wanted and state_of(manifest, name).status is Status.FAILED
    )
    if failed:
        return Stop(verdict=Verdict.FAILED, reason="the rest went on without them", phases=failed)
    waiting = {name: unmet_needs(workflow, manifest, name) for name in manifest.order if name in wanted}
    held = {name: needs for name, needs in waiting.items() if needs and not needs <= wanted}
    if held:
        name, needs = next(iter(held.items()))
        return Stop(verdict=Verdict.BLOCKED, reason=f"it needs {', '.join(sorted(needs))} first", phases=(name,))
    left = tuple(name for name in manifest.order if state_of(manifest, name).status not in DONE)
    return Stop(verdict=Verdict.STOPPED, reason="the rest was not asked for", phases=left)


def wanted_phases(workflow: Workflow, limits: Limits) -> frozenset[PhaseName]:
    """The phases that the flags of a run let it begin."""
    if limits.only is not None:
        return frozenset({limits.only})
    if limits.until is not None:
        return ancestors(workflow, limits.until) | {limits.until}
    return frozenset(phase.name for phase in workflow.phases)


def _unmet(workflow: Workflow, manifest: Manifest, phase: Phase, moment: Moment) -> bool:
    """A need that failed for good in this call does not hold back what follows when it says `continue`."""
    failed = _given_up(manifest, moment)
    for name in unmet_needs(workflow, manifest, phase.name):
        need = phase_named(workflow, name)
        if need is None or need.on_failure != "continue" or name not in failed:
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
    return _reason(manifest, phase)


def _reason(manifest: Manifest, phase: Phase) -> str:
    state = state_of(manifest, phase.name)
    match state.status:
        case Status.FAILED:
            return f"its attempt {state.attempts} failed: {state.detail}"
        case Status.BLOCKED:
            return f"it was blocked: {state.detail}"
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
