"""An attempt under way: begun in the journal, its processes started, and waited for.

Owns what happens between a decision and an outcome. Must not judge how it ended, nor publish anything.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from gitckpt.engine.agenda import Agenda
from gitckpt.engine.capturing import secret_values
from gitckpt.engine.hold import Hold
from gitckpt.engine.job import job_of
from gitckpt.engine.mirror import mirror_running
from gitckpt.engine.place import AttemptUnderWay
from gitckpt.engine.ports import Executor, Running
from gitckpt.engine.requests import serve
from gitckpt.execute.heartbeat import Heartbeat, mark_begin
from gitckpt.execute.output import last_line
from gitckpt.execute.process import Result
from gitckpt.model.manifest import state_of
from gitckpt.model.moment import Begin, Closing, Compensating, Group, Some, Whole, Work
from gitckpt.model.workflow import Phase, phase
from gitckpt.progress.events import OutputLine, PhaseBegan

Signalled = Callable[[], tuple[Literal["interrupt", "terminate"] | None, int]]
"""How the user asked to stop, and how many times."""

TICK_S = 0.05


@dataclass(slots=True, kw_only=True)
class InFlight:
    """The attempt under way. `running` is None where its work needs no process."""

    phase: Phase
    work: Work
    under_way: AttemptUnderWay
    running: Running | None


def begin(hold: Hold, agenda: Agenda, executor: Executor, step: Begin) -> InFlight:
    """Journal the attempt, then start it."""
    chosen = phase(hold.workflow, step.phase)
    state = state_of(hold.at_tip.manifest, chosen.name)
    under_way = AttemptUnderWay(
        workflow=hold.name,
        phase=chosen.name,
        number=state.attempts + 1,
        started=hold.now(),
        items=_items_of(agenda, chosen, step.work),
    )
    hold.staged.clear()
    job = job_of(hold, agenda, chosen, step.work, under_way)
    # A file of its own: a daemon that an earlier phase left may still write into the old one.
    hold.place.output.unlink(missing_ok=True)
    hold.place.output.write_bytes(b"")
    hold.place.validate_output.unlink(missing_ok=True)
    if not job.steps and not isinstance(step.work, Closing):
        return InFlight(phase=chosen, work=step.work, under_way=under_way, running=None)
    hold.write_record(replace(hold.record, attempt=under_way))
    mark_begin(hold.place.live)
    mirror_running(hold, chosen.name)
    if isinstance(step.work, Whole) or chosen.name not in agenda.begun:
        agenda.begun.add(chosen.name)
        undoes = isinstance(step.work, Compensating)
        eta = None if undoes else state.previous_duration_ms
        number = under_way.number
        hold.reporter(PhaseBegan(phase=chosen.name, attempt=number, eta_ms=eta, compensating=undoes))
    running = executor.start(job) if job.steps else None
    return InFlight(phase=chosen, work=step.work, under_way=under_way, running=running)


def _items_of(agenda: Agenda, chosen: Phase, work: Work) -> str:
    match work:
        case Some(group=group):
            return agenda.part(chosen.name, agenda.chosen(chosen.name, group)).label
        case Compensating(group=Group() as group):
            return agenda.part(chosen.name, agenda.undone(chosen.name, group)).label
        case _:
            return ""


NOTHING_RAN = Result(
    step=None,
    code=None,
    signal=None,
    timed_out=False,
    interrupted=False,
    duration_ms=0,
    step_durations=(),
    survivors=(),
    units=0,
    output_from=0,
)


def attend(hold: Hold, flight: InFlight, signalled: Signalled) -> Result:
    """Wait for the attempt's end: serve requests, beat, show its output, pass on the user's wish to stop."""
    if flight.running is None:
        return NOTHING_RAN
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
    """Wait for a time, until the user wishes to stop, or until somebody asked for something that was done."""
    while until_ms is not None and hold.clock.monotonic_ms() < until_ms and signalled()[1] == 0:
        if serve(hold, None):
            return
        select.select([], [], [], min(TICK_S, max(0.0, (until_ms - hold.clock.monotonic_ms()) / 1000)))
        hold.reporter.tick()
