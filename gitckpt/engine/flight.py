"""Attempts under way: begun in the journal, their processes started, and waited for.

Owns what happens between a decision and an outcome. Must not judge how an attempt ended, nor publish anything.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

from gitckpt.engine.agenda import Agenda
from gitckpt.engine.arrival import Arrival
from gitckpt.engine.capturing import secret_values
from gitckpt.engine.fleet import Fleet
from gitckpt.engine.hold import Hold
from gitckpt.engine.inflight import InFlight
from gitckpt.engine.job import job_of
from gitckpt.engine.mirror import mirror_running
from gitckpt.engine.place import AttemptUnderWay, Desk, ViewUnderWay
from gitckpt.engine.ports import Running, View
from gitckpt.engine.requests import serve
from gitckpt.engine.start import Start, start_of
from gitckpt.engine.undoing import Undoing, label_of
from gitckpt.engine.views import make_view, mark_begun
from gitckpt.execute.heartbeat import Heartbeat, end_in_order, mark_begin
from gitckpt.execute.leftovers import PIDS
from gitckpt.execute.output import last_line
from gitckpt.execute.process import Job, Result
from gitckpt.execute.processes import boot_id
from gitckpt.model.decide import is_ending
from gitckpt.model.manifest import Status, state_of
from gitckpt.model.moment import Begin, Closing, Compensating, Listing, Moment, Some, Whole, Work
from gitckpt.model.workflow import Phase, phase
from gitckpt.progress.events import ItemsBegan, OutputLine, PhaseBegan, Waiting, Warned
from gitckpt.workspace.filling import ReplicaTooBig

Signalled = Callable[[], tuple[Literal["interrupt", "terminate"] | None, int]]
"""How the user asked to stop, and how many times."""

TICK_S = 0.05


def begin(hold: Hold, fleet: Fleet, step: Begin) -> None:
    """Make an attempt ready; it starts with the others that are begun at once. Does nothing where another run has its
    concurrency group, or where there is no room for one more copy. Raises ReplicaTooBig where there is none for one."""
    undoing = fleet.debts.next() if isinstance(step.work, Compensating) else None
    chosen = undoing.phase if undoing is not None else phase(hold.workflow, step.phase)
    if not fleet.groups.take(chosen.concurrency):
        if news := fleet.groups.news(chosen):
            hold.reporter(Waiting(phase=chosen.name, until_ms=0, why=news))
        return
    fleet.groups.told.pop(chosen.name, None)
    agenda = fleet.agenda
    indices = _indices(agenda, chosen, step.work)
    under_way = AttemptUnderWay(
        workflow=hold.name,
        phase=chosen.name,
        number=state_of(hold.at_tip.manifest, chosen.name).attempts + 1,
        started=hold.now(),
        items=_label(hold, agenda, chosen, indices, undoing),
        boot=boot_id(),
    )
    start = start_of(hold, fleet.needed(step))
    if start.without:
        fleet.unsettled.update(start.without)
        fleet.groups.give_back(chosen.concurrency)
        return
    try:
        view = _view_with_room(hold, fleet, chosen, step.work, start)
    except ReplicaTooBig as problem:
        fleet.groups.give_back(chosen.concurrency)
        if not fleet.flying():
            raise
        fleet.run_no_more_at_once()
        hold.reporter(Warned(f"{problem.message}; from here on no more than {fleet.plan.jobs} at once"))
        return
    flight = InFlight(
        phase=chosen,
        work=step.work,
        under_way=under_way,
        desk=Desk(view.folder) if view else hold.place.desk,
        start=start.checkpoint,
        below=start.checkpoint.content,
        root=hold.given.root,
        view=view,
        indices=indices,
        undoing=undoing,
        needs=tuple(each.own for each in start.of if each.own is not None),
    )
    agenda.takes_off(chosen.name, indices)
    fleet.ready.append(flight)


def _indices(agenda: Agenda, chosen: Phase, work: Work) -> tuple[int, ...]:
    match work:
        case Some(group=group):
            return tuple(agenda.chosen(chosen.name, group))
        case _:
            return ()


def _label(hold: Hold, agenda: Agenda, chosen: Phase, indices: tuple[int, ...], undoing: Undoing | None) -> str:
    if undoing is not None:
        return label_of(hold, undoing)
    return agenda.part(chosen.name, indices).label if indices else ""


def _view_with_room(hold: Hold, fleet: Fleet, chosen: Phase, work: Work, start: Start) -> View | None:
    """As `_view`, where need be in the room of those that nobody needs any more."""
    try:
        return _view(hold, fleet, chosen, work, start)
    except ReplicaTooBig:
        fleet.clear_away()
        return _view(hold, fleet, chosen, work, start)


def _view(hold: Hold, fleet: Fleet, chosen: Phase, work: Work, start: Start) -> View | None:
    """A view of its own for what may run beside others. What only reads files needs none where the workspace has them
    as they are to be."""
    if not fleet.plan.isolated(chosen.name):
        return None
    match work:
        case Whole() | Some():
            pass
        case Listing() if _asks(chosen) or hold.base is not None or start.is_ahead:
            pass
        case Closing() if chosen.outs or chosen.counters or (chosen.tolerate and chosen.tolerate.to):
            pass
        case _:
            return None
    return make_view(hold, fleet.layers, chosen, start.checkpoint.content, fleet.layers_of(start.of))


def _asks(chosen: Phase) -> bool:
    """Whether making the list of items runs anything."""
    return bool(chosen.condition or chosen.requires or (chosen.foreach and chosen.foreach.run))


def launch(hold: Hold, fleet: Fleet) -> None:
    """Journal all that is ready, in one go, then start it."""
    ready, fleet.ready = fleet.ready, []
    jobs = [(flight, _job(hold, fleet, flight)) for flight in ready]
    in_place = [flight for flight, job in jobs if flight.view is None and (job.steps or _may_change(fleet, flight))]
    views = tuple(_noted(flight) for flight in ready if flight.view is not None)
    if in_place or views:
        under_way = in_place[0].under_way if in_place else hold.record.attempt
        hold.write_record(replace(hold.record, attempt=under_way, views=(*hold.record.views, *views)))
    if in_place:
        mark_begin(hold.place.live)
    fleet.take_off(ready)
    fleet.is_overlooked = fleet.is_overlooked or bool(views)
    mirror_running(hold, [flight for flight in fleet.aloft if flight in in_place or flight.view is not None])
    for flight, job in jobs:
        if flight in in_place or flight.view is not None:
            _tell(hold, fleet.agenda, flight)
        if job.steps or flight.view is not None:
            flight.running = fleet.executor.start(job)


def _job(hold: Hold, fleet: Fleet, flight: InFlight) -> Job:
    flight.desk.begin()
    if flight.view is not None:
        mark_begun(flight.view, hold.given.root)
    job = job_of(hold, fleet.agenda, flight)
    return replace(job, locks=fleet.groups.descriptors(flight.phase.concurrency))


def _may_change(fleet: Fleet, flight: InFlight) -> bool:
    """Work that runs nothing, and yet writes what a phase makes: the list of what failed. Where items have views, it
    has one, too."""
    return isinstance(flight.work, Closing) and not fleet.plan.isolated(flight.phase.name)


def _noted(flight: InFlight) -> ViewUnderWay:
    assert flight.view is not None  # only views are noted so
    return ViewUnderWay(
        under_way=flight.under_way,
        view=flight.view.name,
        kind=flight.view.kind,
        start=flight.start.oid,
        first=flight.flying.first,
    )


def _tell(hold: Hold, agenda: Agenda, flight: InFlight) -> None:
    name = flight.phase.name
    if isinstance(flight.work, Whole) or name not in agenda.begun:
        agenda.begun.add(name)
        undoes = isinstance(flight.work, Compensating)
        eta = None if undoes else state_of(hold.at_tip.manifest, name).previous_duration_ms
        number = flight.under_way.number
        hold.reporter(PhaseBegan(phase=name, attempt=number, eta_ms=eta, compensating=undoes))
    if flight.view is not None and flight.indices:
        hold.reporter(ItemsBegan(phase=name, items=flight.under_way.items))


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


def attend(
    hold: Hold,
    flights: Sequence[InFlight],
    signalled: Signalled,
    until_ms: int | None = None,
    waiting: Sequence[Arrival] = (),
) -> list[tuple[InFlight, Result]]:
    """Wait until some of the attempts have ended, or until a time: serve requests, beat, show their output, pass on the
    user's wish to stop. Those that have ended, with how. `waiting` ended before, and are not merged yet."""
    heartbeat = Heartbeat(hold.place.live) if any(flight.view is None for flight in flights) else None
    while not (ended := _ended(flights)):
        ends = select.poll()  # unlike `select` it knows descriptors above 1023
        for flight in flights:
            if flight.running is not None:
                ends.register(flight.running, select.POLLIN)
        ends.poll(TICK_S * 1000)
        if heartbeat is not None:
            heartbeat.beat()
        done = serve(hold, flights, waiting)
        for flight in flights:
            _pass_on(flight, signalled)
            _show_line(hold, flight)
        hold.reporter.tick()
        if done or (until_ms is not None and hold.clock.monotonic_ms() >= until_ms):
            return _ended(flights)
    serve(hold, flights, waiting)
    for flight, _ in ended:
        if flight.running is not None and flight.view is None:
            flight.running.close()
            mark_end(hold, flight)  # where its watchdog was killed, or found no room
    return ended


@contextmanager
def ended_in_order(hold: Hold, flights: Sequence[InFlight]) -> Iterator[None]:
    """What goes wrong in here ends what is under way, and says up to when what changed is its own: all that changes
    later is the user's. `flights`: those under way, as they are then."""
    try:
        yield
    except BaseException:
        for flight in flights:
            if flight.running is not None:
                flight.running.close()
                if flight.view is None:
                    mark_end(hold, flight)
        raise


def mark_end(hold: Hold, flight: InFlight) -> None:
    """The attempt in the workspace itself is over: what changes later is the user's, unless some process of it would
    not die."""
    if not (flight.desk.folder / PIDS).exists():
        end_in_order(hold.place.live)


def end_after_failure(hold: Hold, fleet: Fleet, moment: Moment) -> None:
    """Where a failure is to end all, tell what still runs to end."""
    wanted = moment.limits.fail_fast
    if (hold.workflow.fail_fast if wanted is None else wanted) and not moment.stop and fleet.aloft:
        manifest = fleet.foreseen()
        if any(state.status is Status.FAILED for state in manifest.phases.values()) and is_ending(
            hold.workflow, manifest, fleet.agenda.now(moment)
        ):
            for flight in fleet.aloft:
                if flight.running is not None and not flight.is_told_to_end:
                    flight.running.terminate()
                    flight.is_told_to_end = True


def _ended(flights: Sequence[InFlight]) -> list[tuple[InFlight, Result]]:
    """What a process that was killed left is found here, too: `poll` then kills the rest."""
    results = [(flight, NOTHING_RAN if flight.running is None else flight.running.poll()) for flight in flights]
    return [(flight, result) for flight, result in results if result is not None]


def _pass_on(flight: InFlight, signalled: Signalled) -> None:
    wish, times = signalled()
    running: Running | None = flight.running
    if times > flight.heard and wish is not None and running is not None:
        if times > 1:
            running.kill()
        elif wish == "interrupt":
            running.interrupt()
        else:
            running.terminate()
    flight.heard = times


def _show_line(hold: Hold, flight: InFlight) -> None:
    latest = last_line(flight.desk.output, secret_values(hold.workflow, hold.given.environment))
    if latest != flight.line:
        flight.line = latest
        items = flight.under_way.items if flight.view is not None else ""
        hold.reporter(OutputLine(phase=flight.phase.name, line=latest, items=items))


def pause(hold: Hold, until_ms: int | None, signalled: Signalled, waiting: Sequence[Arrival]) -> None:
    """Wait for a time, until the user wishes to stop, or until somebody asked for something that was done."""
    while until_ms is not None and hold.clock.monotonic_ms() < until_ms and signalled()[1] == 0:
        if serve(hold, (), waiting):
            return
        time.sleep(min(TICK_S, max(0.0, (until_ms - hold.clock.monotonic_ms()) / 1000)))
        hold.reporter.tick()
