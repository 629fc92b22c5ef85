"""The loop: decide, do, land, until there is nothing more to do.

Owns the order of effects of a run. Every kind of phase goes through the same loop; crashes are `settle`'s.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, assert_never

from gitckpt.engine.attempt import job_of
from gitckpt.engine.capturing import secret_values
from gitckpt.engine.close import land_outcome
from gitckpt.engine.hold import Hold
from gitckpt.engine.mirror import mirror_running
from gitckpt.engine.place import AttemptUnderWay
from gitckpt.engine.ports import Executor, Running
from gitckpt.engine.requests import serve
from gitckpt.execute.heartbeat import Heartbeat, mark_begin
from gitckpt.execute.output import last_line
from gitckpt.execute.process import Result
from gitckpt.model.decide import Await, Begin, Limits, Moment, Stop, decide
from gitckpt.model.manifest import state_of
from gitckpt.model.workflow import Phase, phase
from gitckpt.progress.events import OutputLine, PhaseBegan, Waiting

Signalled = Callable[[], tuple[Literal["interrupt", "terminate"] | None, int]]
"""How the user asked to stop, and how many times."""

TICK_S = 0.05


@dataclass(slots=True, kw_only=True)
class InFlight:
    """The attempt under way."""

    phase: Phase
    under_way: AttemptUnderWay
    running: Running


def run(hold: Hold, executor: Executor, limits: Limits, signalled: Signalled) -> Stop:
    """Run what is left to run, from base = tip = workspace. Returns why it stopped."""
    moment = Moment(limits=limits)
    while True:
        stop, _ = signalled()
        moment = replace(moment, now_ms=hold.clock.monotonic_ms(), stop=stop)
        match decide(hold.workflow, hold.at_tip.manifest, (), moment):
            case Stop() as end:
                return end
            case Begin(phase=name):
                flight = begin(hold, executor, phase(hold.workflow, name))
                result = attend(hold, flight, signalled)
                moment = land_outcome(hold, flight.phase, flight.under_way, result, moment)
            case Await(until_ms=until, reason=reason, phase=name):
                hold.reporter(Waiting(phase=name or "", until_ms=until or 0, why=reason))
                pause(hold, until, signalled)
            case step:
                assert_never(step)


def begin(hold: Hold, executor: Executor, chosen: Phase) -> InFlight:
    """Journal the attempt, then start it."""
    state = state_of(hold.at_tip.manifest, chosen.name)
    under_way = AttemptUnderWay(workflow=hold.name, phase=chosen.name, number=state.attempts + 1, started=hold.now())
    hold.staged.clear()
    # A file of its own: a daemon that an earlier phase left may still write into the old one.
    hold.place.output.unlink(missing_ok=True)
    hold.place.output.write_bytes(b"")
    hold.place.validate_output.unlink(missing_ok=True)
    hold.write_record(replace(hold.record, attempt=under_way))
    mark_begin(hold.place.live)
    mirror_running(hold, chosen.name)
    hold.reporter(PhaseBegan(phase=chosen.name, attempt=under_way.number, eta_ms=state.previous_duration_ms))
    running = executor.start(job_of(hold, chosen, under_way))
    return InFlight(phase=chosen, under_way=under_way, running=running)


def attend(hold: Hold, flight: InFlight, signalled: Signalled) -> Result:
    """Wait for the attempt's end: serve requests, beat, show its output, pass on the user's wish to stop."""
    heartbeat = Heartbeat(hold.place.live)
    heard = 0
    line = ""
    try:
        while (result := flight.running.poll()) is None:
            select.select([flight.running], [], [], TICK_S)
            heartbeat.beat()
            serve(hold, flight.phase.name)
            heard = _pass_on(flight.running, signalled, heard)
            latest = last_line(hold.place.output, secret_values(hold.workflow, hold.given.environment))
            if latest != line:
                line = latest
                hold.reporter(OutputLine(phase=flight.phase.name, line=line))
            hold.reporter.tick()
        serve(hold, flight.phase.name)
        return result
    finally:
        flight.running.close()


def _pass_on(running: Running, signalled: Signalled, heard: int) -> int:
    wish, times = signalled()
    if times > heard and wish is not None:
        if times > 1:
            running.kill()
        elif wish == "interrupt":
            running.interrupt()
        else:
            running.terminate()
    return times


def pause(hold: Hold, until_ms: int | None, signalled: Signalled) -> None:
    """Wait for a time, or until the user wishes to stop."""
    while until_ms is not None and hold.clock.monotonic_ms() < until_ms and signalled()[1] == 0:
        select.select([], [], [], min(TICK_S, max(0.0, (until_ms - hold.clock.monotonic_ms()) / 1000)))
        hold.reporter.tick()
