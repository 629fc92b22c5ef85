"""What `run` would do, with reasons, by asking `decide` itself: each phase is taken to succeed.

Pure: a workflow and a manifest in, a forecast out. Owns the words `will run`, `will ask`, `will be undone`, `done`,
`skipped`, `waits`, `not asked for`. Must not know where the manifest came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, assert_never

from gitckpt.model.amount import plural
from gitckpt.model.dated import done_again
from gitckpt.model.decide import decide
from gitckpt.model.explain import changed_definitions, explain
from gitckpt.model.graph import ancestors, phase_named, unmet_needs, wanted_phases
from gitckpt.model.manifest import (
    DONE,
    Manifest,
    PhaseState,
    Status,
    fresh,
    is_complete,
    reopened,
    state_of,
    with_current_state,
)
from gitckpt.model.moment import (
    Asking,
    Await,
    Begin,
    Expiring,
    Group,
    Limits,
    Moment,
    Offer,
    Return,
    Stop,
    Work,
)
from gitckpt.model.names import PhaseName, RunId
from gitckpt.model.schedule import Flying, Plan
from gitckpt.model.workflow import Phase, Workflow, dependents, order

Fate: TypeAlias = Literal["will run", "will ask", "will be undone", "done", "skipped", "waits", "not asked for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """One phase: what becomes of it at the next `run`, and why, in one sentence. `in_view`: its attempts get views of
    the workspace of their own."""

    phase: PhaseName
    fate: Fate
    reason: str
    in_view: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """All phases in order. `begins_run`: the call would begin a new run. `changed`: completed phases whose
    definition is another now, which reruns nothing. `dropped`: phases with a past that the file has no more.
    `together`: what begins at once, wave by wave, as if all of a wave took equally long."""

    phases: tuple[Foreseen, ...]
    begins_run: bool
    complete: bool
    changed: tuple[PhaseName, ...]
    dropped: tuple[PhaseName, ...]
    together: tuple[tuple[PhaseName, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What the forecast is for: the flags of `run`, the wall clock's time as ISO 8601 with offset, and the phases that
    the goal of the run compensates first. `again`: one that is complete is followed by a new run. `plan` and
    `totals` as `Moment` has them."""

    limits: Limits
    start_from: PhaseName | None
    wall: str
    undone: tuple[PhaseName, ...] = ()
    again: bool = False
    plan: Plan | None = None
    totals: Mapping[str, int] = field(default_factory=dict)


_UNDONE: Fate = "will be undone"


def foresee(workflow: Workflow, manifest: Manifest | None, flags: Flags) -> Forecast:
    """What `run` with these flags would do from here; `manifest` None is a workflow without history.

    Every phase named must be in the workflow.
    """
    going_on = resumed(manifest, again=flags.again)
    now = starting_point(workflow, going_on)
    if going_on is None and manifest is not None:
        now = fresh(manifest, run=RunId("next"), at="", order=order(workflow))
    now = _reopened(now, _chosen(workflow, now, flags.limits, flags.start_from))
    undone = dict.fromkeys(flags.undone, _UNDONE) if now.goal.kind != "finish" else None
    fates, together = (undone, ()) if undone is not None else _begun(workflow, now, flags)
    wanted = _asked_for(workflow, now, flags, fates)
    phases = tuple(
        Foreseen(
            phase=name,
            fate=fate,
            reason=_reason(workflow, now, fates, name, fate),
            in_view=flags.plan is not None and flags.plan.isolated(name),
        )
        for name in now.order
        for fate in (fates.get(name) or _fate(now, wanted, name),)
    )
    known = {phase.name for phase in workflow.phases}
    before = manifest.phases if manifest else {}
    return Forecast(
        phases=phases,
        begins_run=going_on is None,
        complete=is_complete(now),
        changed=changed_definitions(workflow, now),
        dropped=tuple(n for n in before if n not in known and before[n].status is not Status.PENDING),
        together=together,
    )


def resumed(manifest: Manifest | None, *, again: bool) -> Manifest | None:
    """The newest state, where the next `run` goes on with that run; None where it begins one."""
    if manifest is None or not manifest.run or (again and is_complete(manifest)):
        return None
    return manifest


def _asked_for(
    workflow: Workflow, manifest: Manifest, flags: Flags, fates: Mapping[PhaseName, Fate]
) -> frozenset[PhaseName]:
    """The phases that the flags let this call get to; with `--step` what comes after the one is for the next."""
    wanted = wanted_phases(workflow, flags.limits)
    if not flags.limits.step or manifest.goal.kind != "finish":
        return wanted
    all_the_way, _ = _begun(workflow, manifest, replace(flags, limits=replace(flags.limits, step=False)))
    return wanted - (frozenset(all_the_way) - frozenset(fates))


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
        return state if untouched else reopened(state)

    states: Mapping[PhaseName, PhaseState] = {
        name: anew(state) if name in chosen else state for name, state in manifest.phases.items()
    }
    return with_current_state(replace(manifest, phases=states))


def _begun(
    workflow: Workflow, manifest: Manifest, flags: Flags
) -> tuple[dict[PhaseName, Fate], tuple[tuple[PhaseName, ...], ...]]:
    """The phases that `decide` would begin, were each of them to succeed, and which of them at once; a gate stays open
    once it asks."""
    fates: dict[PhaseName, Fate] = {}
    waves: list[tuple[PhaseName, ...]] = []
    ended: dict[PhaseName, Status] = {}
    while True:
        offers = {name: _all_that_is_left(state) for name, state in manifest.phases.items() if state.items}
        moment = Moment(
            landed=len(fates), limits=flags.limits, wall=flags.wall, offers=offers, plan=flags.plan, totals=flags.totals
        )
        # All of a phase with items counts as one here: which groups it has is not known before its list.
        match decide(workflow, manifest, tuple(map(Flying, ended)), moment):
            case Begin(phase=name, work=work):
                status = _after(workflow, name, work)
                fates[name] = "will ask" if status is Status.WAITING else "will run"
                if isinstance(work, Asking | Expiring):
                    manifest = _with_status(manifest, {name: status})
                else:
                    ended[name] = status
            case _ if ended:
                waves.append(tuple(ended))
                manifest, ended = _with_status(manifest, ended), {}
            case Await() | Return() | Stop():
                return fates, tuple(waves)
            case step:
                assert_never(step)


def _with_status(manifest: Manifest, ended: Mapping[PhaseName, Status]) -> Manifest:
    states = {name: replace(state_of(manifest, name), status=status) for name, status in ended.items()}
    return with_current_state(replace(manifest, phases={**manifest.phases, **states}))


def _after(workflow: Workflow, name: PhaseName, work: Work) -> Status:
    phase = phase_named(workflow, name)
    match work:
        case Asking():
            return Status.WAITING
        case Expiring() if phase is not None and phase.gate is not None and phase.gate.on_timeout != "approve":
            return Status.FAILED
        case _:
            return Status.COMPLETED


def _all_that_is_left(state: PhaseState) -> Offer:
    items = state.items
    left = items.total - items.done - items.skipped if items and not items.stale else 0
    if items is None or not left:
        return Offer()
    return Offer(group=Group(first=0, last=items.total - 1, count=left, units=left, failed=items.failed))


def _fate(manifest: Manifest, wanted: frozenset[PhaseName], name: PhaseName) -> Fate:
    status = state_of(manifest, name).status
    if status is Status.SKIPPED:
        return "skipped"
    if status in DONE:
        return "done"
    return "waits" if name in wanted else "not asked for"


def _reason(
    workflow: Workflow, manifest: Manifest, fates: Mapping[PhaseName, Fate], name: PhaseName, fate: Fate
) -> str:
    phase = phase_named(workflow, name)
    if fate == "will be undone":
        return "it is compensated, newest completion first"
    if phase is None or fate not in ("will run", "will ask"):
        return reason_of(workflow, manifest, name)
    first = [need for need in phase.needs if need in fates]
    reason = f"after {', '.join(first)}" if first else reason_of(workflow, manifest, name)
    items = _of_items(manifest, phase)
    reason = f"{reason}; {items}" if items else reason
    return f"{reason}, if `{phase.condition}` holds" if phase.condition else reason


def reason_of(workflow: Workflow, manifest: Manifest, name: PhaseName) -> str:
    """As `decide.explain`, with the way on from a gate that was rejected."""
    phase, state = phase_named(workflow, name), state_of(manifest, name)
    if phase is not None and phase.gate is not None and state.status is Status.FAILED:
        return f"it was {state.detail}; to ask anew: gitckpt retry {name}"
    if state.conflict is not None and state.status not in DONE:
        return f"{explain(workflow, manifest, name)}; to choose: gitckpt resolve {name}"
    return explain(workflow, manifest, name)


def _of_items(manifest: Manifest, phase: Phase) -> str:
    if phase.foreach is None:
        return ""
    state = state_of(manifest, phase.name)
    items = state.items
    if items is None:
        return "its list of items is made first"
    if items.stale:
        return "its list of items is made anew; what is done carries over by its key where it is not out of date"
    if state.made_from and done_again(manifest, state):
        return "its list of items is made anew, for what it needs was done again; what is not out of date carries over"
    left = items.total - items.done - items.skipped
    failed = f", {items.failed:,} of them failed" if items.failed else ""
    return f"{left:,} of {plural(items.total, 'item')} {'is' if left == 1 else 'are'} left{failed}"


def about(workflow: Workflow, manifest: Manifest, name: PhaseName) -> tuple[str, ...]:
    """More of a phase, a sentence each: its items, its gate, what undoes it."""
    phase, state = phase_named(workflow, name), state_of(manifest, name)
    if phase is None:
        return ()
    told: list[str] = []
    items = state.items
    if phase.foreach is not None and state.status not in DONE:
        told.append(_of_items(manifest, phase))
    elif items is not None and items.failed:
        failed = f"{items.failed:,} of {plural(items.total, 'item')} failed"
        told.append(f"{failed}, which is tolerated: gitckpt items {name} --failed")
    if state.status is Status.WAITING:
        told.append(f"answer it: gitckpt approve {name}, or gitckpt reject {name}")
        told += [f"it answers itself at {state.expires}"] if state.expires else []
    if phase.compensate:
        told.append(f"going back past it runs: {' ; '.join(phase.compensate)}")
    if phase.pivot:
        told.append("it is a pivot: once it is done, nothing before it is compensated")
    if name in manifest.outside:
        told.append("what it did outside this folder was never undone")
    return tuple(told)
