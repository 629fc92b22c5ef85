"""The loop: decide, do, land, until there is nothing more to do.

Owns the order of effects of a run. Every kind of phase goes through the same loop; crashes are `settle`'s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from gitckpt.engine.agenda import Agenda
from gitckpt.engine.back import go_back
from gitckpt.engine.close import land_outcome
from gitckpt.engine.flight import Signalled, attend, begin, pause
from gitckpt.engine.hold import Hold
from gitckpt.engine.ports import Executor
from gitckpt.engine.requests import serve
from gitckpt.model.decide import decide
from gitckpt.model.moment import Await, Begin, Moment, Return, Stop
from gitckpt.progress.events import Waiting


def run(hold: Hold, executor: Executor, moment: Moment, signalled: Signalled) -> Stop:
    """Run what is left to run, from base = tip = workspace. Returns why it stopped."""
    agenda = Agenda(hold)
    while True:
        serve(hold, running=None)
        stop, _ = signalled()
        moment = agenda.now(replace(moment, stop=stop, paused=hold.paused))
        match decide(hold.workflow, hold.at_tip.manifest, (), moment):
            case Stop() as end:
                return end
            case Begin() as step:
                flight = begin(hold, agenda, executor, step)
                result = attend(hold, flight, signalled)
                moment = land_outcome(hold, agenda, flight, result, moment)
            case Return() as step:
                moment = go_back(hold, agenda, step, moment)
            case Await(until_ms=until, reason=reason, phase=name):
                hold.reporter(Waiting(phase=name or "", until_ms=until or 0, why=reason))
                pause(hold, until, signalled)
            case step:
                assert_never(step)
