"""The end of attempts in views of their own: each judged by what it left, then merged when its turn has come.

Owns that way. Those that end at once share one pack and one move of the branch. Must not know how they were run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gitckpt.engine.after import after, report, with_end_of_tries
from gitckpt.engine.arrival import Arrival
from gitckpt.engine.attempt import outcome_of, with_uncaptured
from gitckpt.engine.capturing import secret_values, shown_uncaptured
from gitckpt.engine.close import land_outcome, only_asked
from gitckpt.engine.failures import write_failed_items
from gitckpt.engine.fleet import Fleet
from gitckpt.engine.hold import Hold, open_pack
from gitckpt.engine.inflight import InFlight
from gitckpt.engine.land import Beside, Landing, land
from gitckpt.engine.merge import Landed, land_arrivals
from gitckpt.engine.oversize import move_oversize_view
from gitckpt.engine.scanned import content_of
from gitckpt.engine.touches import note_dates, say_parted
from gitckpt.engine.views import forget_view, note_hidden, remove_views
from gitckpt.execute.output import capped
from gitckpt.execute.process import Result
from gitckpt.model.decide import live
from gitckpt.model.events import AttemptCutOff, Event
from gitckpt.model.manifest import state_of
from gitckpt.model.moment import Closing, Moment, Tried
from gitckpt.model.names import PhaseName
from gitckpt.model.outcome import CutOff, Failed, Outcome, Succeeded, judge
from gitckpt.plumbing.content import Change, Content
from gitckpt.plumbing.pack import Pack
from gitckpt.progress.events import Finished, ItemsEnded, PhaseEnded
from gitckpt.store import refs


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An attempt that has ended: what that means, and what it left."""

    flight: InFlight
    result: Result
    outcome: Outcome
    content: Content
    changes: tuple[Change, ...]
    dates: Mapping[bytes, tuple[bytes, int]] = field(default_factory=dict)


def land_ended(hold: Hold, fleet: Fleet, ended: Sequence[tuple[InFlight, Result]], moment: Moment) -> Moment:
    """Land what the attempts came to, as far as it is their turn; the moment then knows what was tried."""
    in_views = []
    for flight, result in ended:
        fleet.come_down(flight)
        fleet.groups.let_go(flight)
        if flight.view is None and isinstance(flight.work, Closing) and fleet.plan.isolated(flight.phase.name):
            moment = _close(hold, fleet, flight, result, moment)
        elif flight.view is None:
            moment = land_outcome(hold, fleet.agenda, flight, result, moment)
            if flight.undoing is not None:
                fleet.debts.ended(flight.undoing)
            fleet.agenda.comes_down(flight.phase.name, flight.indices)
        else:
            in_views.append((flight, result))
    if in_views:
        with open_pack(hold) as pack:
            try:
                judged = [_judged(hold, fleet, pack, flight, result, moment) for flight, result in in_views]
                moment = _land(hold, fleet, pack, judged, moment)
            finally:
                for flight, _ in in_views:
                    if flight.running is not None:
                        flight.running.close()
    return land_in_turn(hold, fleet, moment)


def _close(hold: Hold, fleet: Fleet, flight: InFlight, result: Result, moment: Moment) -> Moment:
    """The end of a phase whose items are all done, after those of them that wait for their turn."""
    with open_pack(hold) as pack:
        outcome = outcome_of(hold, fleet.agenda, pack, flight, result, None)
    judged = Judged(flight=flight, result=result, outcome=outcome, content=flight.start.content, changes=())
    return _arrive(hold, fleet, judged, moment)


def _judged(hold: Hold, fleet: Fleet, pack: Pack, flight: InFlight, result: Result, moment: Moment) -> Judged:
    assert flight.view is not None  # else it landed already
    flight.root = flight.view.root(flight.running)
    try:
        failed = result.step is not None or result.interrupted
        if failed and not flight.phase.keep_partial and flight.view.kind == "overlay":
            move_oversize_view(hold, flight.view.folder, flight.phase.name, flight.under_way.number)
        if isinstance(flight.work, Closing) and flight.phase.tolerate and flight.phase.tolerate.to:
            write_failed_items(fleet.agenda, flight.phase, flight.phase.tolerate.to, frozenset(), flight.root)
        content, scan = content_of(hold, pack, flight)
        note_hidden(flight.view.folder, scan.hidden)
        note_dates(hold, flight.view.folder, scan)
        outcome = outcome_of(hold, fleet.agenda, pack, flight, result, shown_uncaptured(scan.uncaptured))
    finally:
        if flight.running is not None:
            flight.running.release()  # it ends while the checkpoint is made
    word = only_asked(outcome)
    if word is not None and scan.changes:
        detail = f"its {word} changed files, which it may not"
        outcome = Failed(
            attempt=outcome.attempt, at=outcome.at, duration_ms=result.duration_ms, exit_code=1, detail=detail
        )
    outcome = with_uncaptured(outcome, shown_uncaptured(scan.uncaptured))
    outcome = with_end_of_tries(fleet.agenda, flight, outcome, moment)
    if isinstance(outcome, Succeeded) and flight.view.kind == "overlay":
        say_parted(hold, scan)
    return Judged(
        flight=flight, result=result, outcome=outcome, content=content, changes=scan.changes, dates=scan.times
    )


def _land(hold: Hold, fleet: Fleet, pack: Pack, judged: Sequence[Judged], moment: Moment) -> Moment:
    """Record what failed or only said something; what succeeded waits for its turn, which may be now."""
    others = [each for each in judged if not isinstance(each.outcome, Succeeded)]
    if others:
        pack.finish()  # what failed lands in packs of its own; this one keeps what they refer to
    for each in others:
        moment = _land_other(hold, fleet, each, moment)
    for each in judged:
        if isinstance(each.outcome, Succeeded):
            moment = _arrive(hold, fleet, each, moment)
    if pack.finished:
        return land_in_turn(hold, fleet, moment)
    return _land_in_turn(hold, fleet, pack, moment)


def _arrive(hold: Hold, fleet: Fleet, judged: Judged, moment: Moment) -> Moment:
    flight, outcome = judged.flight, judged.outcome
    arrival = _arrival(hold, judged, (*flight.staged, *judge(flight.start.manifest, outcome)))
    view = flight.view
    layer = view.layer(judged.changes) if view is not None else None
    fleet.wait_for_turn(arrival, layer)
    return after(hold, fleet.agenda, flight, outcome, moment)


def _arrival(hold: Hold, judged: Judged, events: tuple[Event, ...]) -> Arrival:
    flight = judged.flight
    return Arrival(
        under_way=flight.under_way,
        view=flight.name,
        first=flight.flying.first,
        start=flight.start,
        content=judged.content,
        events=events,
        outputs=_outputs(hold, flight) if flight.running else {},
        is_plain=flight.view is None,
        needs=flight.needs,
        ended=(flight, judged.outcome, judged.result),
        dates=judged.dates,
    )


def _outputs(hold: Hold, flight: InFlight) -> dict[PhaseName, bytes]:
    return {flight.phase.name: capped(flight.desk.output, secrets=secret_values(hold.workflow, hold.given.environment))}


def _land_other(hold: Hold, fleet: Fleet, judged: Judged, moment: Moment) -> Moment:
    """A checkpoint that changes no file but says what happened; what a failed attempt left is kept beside it."""
    flight, view = judged.flight, judged.flight.view
    assert view is not None  # it is in a view
    number = max(flight.under_way.number, state_of(hold.at_tip.manifest, flight.phase.name).attempts + 1)
    outcome = replace(judged.outcome, attempt=replace(judged.outcome.attempt, number=number))
    events = judge(hold.at_tip.manifest, outcome)
    content = hold.at_tip.content
    beside, outputs = None, _outputs(hold, flight)
    if isinstance(outcome, Failed | CutOff):
        ref = refs.attempt(hold.name, flight.phase.name, number)
        beside = Beside(
            ref=ref,
            content=judged.content,
            events=events,
            outputs=outputs,
            start=flight.start,
            dates=judged.dates,
        )
    checkpoint = None
    if isinstance(outcome, Failed | CutOff) and outcome.partial:
        arrival = _arrival(hold, replace(judged, outcome=outcome), (*flight.staged, *events))
        arrival.attempt = number
        with open_pack(hold) as second:
            landed = land_arrivals(hold, second, (arrival,))[0]
        checkpoint = landed.checkpoint
        if landed.refused is not None:
            outcome = replace(outcome, partial=False)
            forget_view(hold, view.name)
    elif events:
        landing = Landing(
            events=events, content=content, found=content, outputs=outputs, beside=beside, ends_view=view.name
        )
        with open_pack(hold) as second:
            checkpoint = land(hold, second, landing)
    else:
        forget_view(hold, view.name)
    if not (isinstance(outcome, Failed | CutOff) and outcome.partial):
        remove_views(hold, (view.name,))
    fleet.agenda.comes_down(flight.phase.name, flight.indices)
    report(hold, flight, outcome, judged.result, checkpoint)
    return after(hold, fleet.agenda, flight, outcome, moment)


def land_in_turn(hold: Hold, fleet: Fleet, moment: Moment) -> Moment:
    """Merge what waits and whose turn has come."""
    if not fleet.waiting:
        return moment
    with open_pack(hold) as pack:
        return _land_in_turn(hold, fleet, pack, moment)


def land_these(hold: Hold, fleet: Fleet, arrivals: Sequence[Arrival], moment: Moment) -> Moment:
    """Merge what waits, whatever else may still run: something is about to need the workspace as it is then."""
    if arrivals:
        with open_pack(hold) as pack:
            for landed in _merge(hold, fleet, pack, list(arrivals), ()):
                moment = _give_up(landed, moment)
    return moment


def _land_in_turn(hold: Hold, fleet: Fleet, pack: Pack, moment: Moment) -> Moment:
    manifest = fleet.foreseen()
    alive = live(hold.workflow, manifest, fleet.flying(), fleet.agenda.now(moment))
    ready = fleet.in_turn(alive)
    unkept = [arrival for arrival in fleet.waiting if not arrival.is_kept and not arrival.is_plain]
    keep = [arrival for arrival in unkept if arrival not in ready]
    if not ready and not keep:
        return moment
    refused = _merge(hold, fleet, pack, ready, keep)
    for arrival in keep:
        _say_it_waits(hold, arrival)
    for landed in refused:
        moment = _give_up(landed, moment)
    return moment


def _merge(hold: Hold, fleet: Fleet, pack: Pack, ready: Sequence[Arrival], keep: Sequence[Arrival]) -> list[Landed]:
    """Returns those that could not be merged."""
    landed = land_arrivals(hold, pack, ready, keep)
    for each in landed:
        fleet.has_landed(each.arrival, is_merged=each.refused is None)
        ended = each.arrival.ended
        fleet.agenda.comes_down(each.arrival.phase, ended[0].indices if ended else each.arrival.indices)
        if each.refused is not None:
            _say_refused(hold, each)
        elif ended is not None:
            report(hold, *ended, each.checkpoint)
        else:
            _say_landed(hold, each, "done", "had succeeded before the run died")
    refused = [each for each in landed if each.refused is not None]
    gone = {each.arrival.view for each in refused}
    if gone:
        hold.write_record(
            replace(hold.record, views=tuple(view for view in hold.record.views if view.view not in gone))
        )
        remove_views(hold, sorted(gone))
    return refused


def _say_it_waits(hold: Hold, arrival: Arrival) -> None:
    assert arrival.ended is not None  # it ended in this call
    flight, _, result = arrival.ended
    hold.reporter(
        Finished(
            phase=flight.phase.name,
            items=flight.under_way.items,
            duration_ms=result.duration_ms,
            why="what comes before it in the workflow is merged first",
        )
    )


def _say_refused(hold: Hold, landed: Landed) -> None:
    detail = state_of(landed.checkpoint.manifest, landed.arrival.phase).detail or ""
    if any(isinstance(event, AttemptCutOff) for event in landed.checkpoint.events):
        _say_landed(hold, landed, "interrupted", "what it began from could not be merged")
    else:
        _say_landed(hold, landed, "failed", detail)


def _say_landed(hold: Hold, landed: Landed, status: str, detail: str) -> None:
    arrival, number = landed.arrival, landed.checkpoint.number
    if arrival.first is None:
        hold.reporter(
            PhaseEnded(
                phase=arrival.phase,
                status=status,
                detail=detail,
                duration_ms=arrival.duration_ms,
                checkpoint_number=number,
            )
        )
        return
    items = state_of(landed.checkpoint.manifest, arrival.phase).items
    assert items is not None  # it has items
    hold.reporter(
        ItemsEnded(
            phase=arrival.phase,
            status=status,
            detail=detail,
            items=arrival.under_way.items,
            count=len(arrival.indices),
            done=items.done,
            failed=items.failed,
            skipped=items.skipped,
            total=items.total,
            duration_ms=arrival.duration_ms,
            checkpoint_number=number,
        )
    )


def _give_up(landed: Landed, moment: Moment) -> Moment:
    """What could not be merged is not tried again by this call: somebody decides."""
    name = landed.arrival.phase
    count = moment.tried[name].count if name in moment.tried else 0
    return replace(moment, tried={**moment.tried, name: Tried(count=count + 1, ready_ms=None)})
