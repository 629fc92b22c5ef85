"""The loop: decide, do, land, until there is nothing more to do.

Owns the order of effects of a run. Every kind of phase goes through the same loop, one at a time or many; crashes are
`settle`'s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from gitckpt.engine.agenda import Agenda
from gitckpt.engine.back import go_back
from gitckpt.engine.ended import land_all, land_ended
from gitckpt.engine.fleet import Fleet
from gitckpt.engine.flight import Signalled, attend, begin, end_after_failure, launch, pause
from gitckpt.engine.hold import Hold
from gitckpt.engine.ports import Executor
from gitckpt.engine.requests import serve
from gitckpt.engine.settle import record_edits
from gitckpt.model.decide import decide
from gitckpt.model.moment import Await, Begin, Moment, Return, Stop
from gitckpt.model.schedule import Plan
from gitckpt.progress.events import Waiting


def run(hold: Hold, executor: Executor, moment: Moment, signalled: Signalled) -> Stop:
    """Run what is left to run, from base = tip = workspace. Returns why it stopped, and then it is so again."""
    agenda = Agenda(hold)
    fleet = Fleet(hold, agenda, executor, moment.plan or Plan.of(hold.workflow, jobs=1))
    while True:
        serve(hold, fleet.aloft)
        stop, _ = signalled()
        moment = agenda.now(replace(moment, stop=stop, paused=hold.paused, held=dict(fleet.groups.held)))
        step = decide(hold.workflow, fleet.foreseen(), fleet.flying(), moment)
        match step:
            case Stop() | Return() if fleet.waiting:
                land_all(hold, fleet)
            case Stop() as end:
                fleet.bring_workspace()
                if fleet.has_flown:
                    # What the user did meanwhile was looked for only at paths that a phase changed.
                    record_edits(hold)
                return end
            case Begin() if fleet.must_settle_first(step):
                land_all(hold, fleet)
                fleet.bring_workspace()
            case Begin():
                begin(hold, fleet, step)
            case Return():
                fleet.bring_workspace()
                moment = go_back(hold, agenda, step, moment)
            case Await(until_ms=until) if fleet.aloft or fleet.ready:
                launch(hold, fleet)
                moment = land_ended(hold, fleet, attend(hold, fleet.aloft, signalled, until), moment)
                fleet.bring_workspace()
                fleet.groups.held.clear()
                end_after_failure(hold, fleet, moment)
            case Await(until_ms=until, reason=reason, phase=name):
                if name not in fleet.groups.told:
                    hold.reporter(Waiting(phase=name or "", until_ms=until or 0, why=reason))
                pause(hold, until, signalled)
                fleet.groups.held.clear()
            case _:
                assert_never(step)
