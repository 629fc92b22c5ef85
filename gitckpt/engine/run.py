"""The loop: decide, do, land, until there is nothing more to do.

Owns the order of effects of a run. Every kind of phase goes through the same loop, one at a time or many; crashes are
`settle`'s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from gitckpt.engine.agenda import Agenda
from gitckpt.engine.back import go_back
from gitckpt.engine.ended import land_ended, land_in_turn, land_these
from gitckpt.engine.fleet import Fleet
from gitckpt.engine.flight import Signalled, attend, begin, end_after_failure, ended_in_order, launch, pause
from gitckpt.engine.hold import Hold
from gitckpt.engine.ports import Executor
from gitckpt.engine.recover import waiting
from gitckpt.engine.removals import require_outs
from gitckpt.engine.requests import serve
from gitckpt.engine.views import remove_views, require_overlays
from gitckpt.model.decide import decide
from gitckpt.model.graph import wanted_phases
from gitckpt.model.manifest import DONE, state_of
from gitckpt.model.moment import Await, Begin, Moment, Return, Stop
from gitckpt.model.schedule import Plan
from gitckpt.progress.events import Waiting


def run(hold: Hold, executor: Executor, moment: Moment, signalled: Signalled) -> Stop:
    """Run what is left to run, from base = tip = workspace. Returns why it stopped, and then it is so again."""
    agenda = Agenda(hold)
    fleet = Fleet(hold, agenda, executor, moment.plan or Plan.of(hold.workflow, jobs=1))
    fleet.take_up(waiting(hold))
    _require_overlays(fleet, moment)
    try:
        with ended_in_order(hold, fleet.aloft):
            moment = land_in_turn(hold, fleet, fleet.agenda.now(replace(moment, owed=fleet.debts.owed)))
            return _loop(hold, fleet, moment, signalled)
    finally:
        fleet.groups.close()
        remove_views(hold, [flight.name for flight in fleet.ready if flight.view is not None])


def _loop(hold: Hold, fleet: Fleet, moment: Moment, signalled: Signalled) -> Stop:
    while True:
        serve(hold, (*fleet.aloft, *fleet.ready), fleet.waiting)
        stop, _ = signalled()
        moment = fleet.agenda.now(
            replace(
                moment,
                stop=stop,
                plan=fleet.plan,
                paused=hold.paused,
                held=dict(fleet.groups.held),
                unsettled=frozenset(fleet.unsettled),
            )
        )
        step = decide(hold.workflow, fleet.foreseen(), fleet.flying(), moment)
        match step:
            case Stop() | Return() if fleet.waiting:
                moment = land_these(hold, fleet, fleet.waiting, moment)
            case Stop() as end:
                fleet.bring_workspace()
                fleet.clear_away()
                fleet.look_for_edits()
                return end
            case Begin() if fleet.must_settle_first(step):
                moment = land_these(hold, fleet, fleet.before(step), moment)
                fleet.bring_workspace()
                fleet.look_for_edits()
                require_outs(hold, step.phase)
            case Begin():
                begin(hold, fleet, step)
            case Return():
                fleet.bring_workspace()
                moment = go_back(hold, fleet.agenda, step, moment)
            case Await(until_ms=until) if fleet.aloft or fleet.ready:
                launch(hold, fleet)
                fleet.clear_away()
                ended = attend(hold, fleet.aloft, signalled, until, fleet.waiting)
                moment = land_ended(hold, fleet, ended, moment)
                fleet.bring_workspace()
                fleet.groups.held.clear()
                end_after_failure(hold, fleet, moment)
            case Await(until_ms=until, reason=reason, phase=name):
                if name not in fleet.groups.told:
                    hold.reporter(Waiting(phase=name or "", until_ms=until or 0, why=reason))
                pause(hold, until, signalled, fleet.waiting)
                fleet.groups.held.clear()
            case _:
                assert_never(step)


def _require_overlays(fleet: Fleet, moment: Moment) -> None:
    """What is left to run gets the views that it says, or nothing runs. Raises NoOverlay."""
    hold, manifest = fleet.hold, fleet.foreseen()
    if manifest.goal.kind == "finish":
        wanted = wanted_phases(hold.workflow, moment.limits)
        left = [name for name in wanted if state_of(manifest, name).status not in DONE]
        require_overlays(hold, fleet.layers, [phase for phase in hold.workflow.phases if phase.name in left])
