"""Going back within a run: from a failure to an earlier phase or to compensation, and arriving where a goal leads.

Owns what each of them records. Files move only where a rollback arrives, by `rewind`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from gitckpt.engine.agenda import Agenda
from gitckpt.engine.begin import record
from gitckpt.engine.hold import Hold
from gitckpt.engine.left import as_event, left_by_opening
from gitckpt.engine.rewind import arrive_at
from gitckpt.model.events import Event, GoalSet, Reopened, WentBack
from gitckpt.model.graph import ancestors, phase_named
from gitckpt.model.manifest import Goal, Status, state_of
from gitckpt.model.moment import Moment, Return, Stop, Verdict
from gitckpt.model.names import PhaseName
from gitckpt.model.workflow import dependents
from gitckpt.progress.events import Note


def go_back(hold: Hold, agenda: Agenda, step: Return, moment: Moment) -> Moment:
    """Record the way back; the moment then knows that what is to be done again was not yet tried."""
    match step.way:
        case "goto":
            return _goto(hold, agenda, step, moment)
        case "compensate":
            goal = Goal(kind="compensate")
            reason = f"{step.phase} failed: {step.reason}"
            record(hold, GoalSet(at=hold.now(), goal=goal, author=hold.person(), reason=reason))
            hold.reporter(Note(f"{reason}; what was done is compensated, newest first"))
            return replace(moment, tried={})
        case "arrive":
            return replace(moment, arrived=_arrive(hold))
        case _:
            assert_never(step.way)


def _goto(hold: Hold, agenda: Agenda, step: Return, moment: Moment) -> Moment:
    assert step.phase is not None  # a failure is a phase's
    assert step.to is not None  # and it says where to
    chosen = {step.to, *dependents(hold.workflow, step.to)}
    names = (step.to, *(name for name in hold.at_tip.manifest.order if name in chosen and name != step.to))
    went = WentBack(at=hold.now(), phase=step.phase, to=step.to, phases=names, numbered=True)
    record(hold, went, *as_event(hold, left_by_opening(hold, names)))
    hold.reporter(Note(f"{step.phase} failed: {step.reason}; going back to {step.to}"))
    agenda.forget(names)
    tried = {name: tried for name, tried in moment.tried.items() if name not in names}
    return replace(moment, tried=tried, landed=moment.landed + 1)


def _arrive(hold: Hold) -> Stop:
    """Nothing is left to compensate: take up the goal itself."""
    manifest = hold.at_tip.manifest
    goal = manifest.goal
    if goal.kind == "reach":
        moved = arrive_at(hold, goal)
        return Stop(verdict=Verdict.STOPPED, reason=f"rolled back to {moved.target.number:04d}", phases=())
    failed = tuple(name for name in manifest.order if state_of(manifest, name).status is Status.FAILED)
    events: list[Event] = [GoalSet(at=hold.now(), goal=Goal(), author=hold.person(), reason="")]
    anew = _done_anew(hold)
    if anew:
        reason = "what they need was compensated"
        events.append(Reopened(at=hold.now(), phases=anew, author=hold.person(), reason=reason))
        whole = (name for name in anew if state_of(manifest, name).items is None)
        events += as_event(hold, left_by_opening(hold, whole))
    record(hold, *events)
    why = (state_of(manifest, failed[0]).detail or "") if failed else ""
    reason = f"{why}; what was done outside is compensated" if why else "what was done outside is compensated"
    return Stop(verdict=Verdict.FAILED, reason=reason, phases=failed)


def _done_anew(hold: Hold) -> tuple[PhaseName, ...]:
    """Phases that stand on something that was compensated: completed ones, and gates that were rejected. The next run
    does that something again, so it does them again, too."""
    manifest = hold.at_tip.manifest
    compensated = {name for name, state in manifest.phases.items() if state.status is Status.COMPENSATED}
    found = []
    for name in manifest.order:
        phase, status = phase_named(hold.workflow, name), state_of(manifest, name).status
        again = status is Status.COMPLETED or (status is Status.FAILED and phase is not None and phase.gate is not None)
        if again and ancestors(hold.workflow, name) & compensated:
            found.append(name)
    return tuple(found)
