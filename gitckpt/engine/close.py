"""The end of an attempt as a checkpoint: success with all its files, or failure with the workspace put back.

Owns what each outcome does to branch, workspace and retries. Must not know how the attempt was run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from gitckpt.engine.after import after, report, with_end_of_tries
from gitckpt.engine.agenda import Agenda
from gitckpt.engine.attempt import outcome_of, with_uncaptured
from gitckpt.engine.capturing import secret_values, shown_uncaptured
from gitckpt.engine.dating import border_ns
from gitckpt.engine.edits import land_edit, mark_of, users_changes
from gitckpt.engine.failures import write_failed_items
from gitckpt.engine.flight import mark_end
from gitckpt.engine.hold import Hold, open_pack, seal, take_snapshot
from gitckpt.engine.inflight import InFlight
from gitckpt.engine.land import Beside, Landing, land
from gitckpt.engine.mirror import write_mirror
from gitckpt.engine.oversize import move_oversize
from gitckpt.engine.settle import differs
from gitckpt.execute.leftovers import forget
from gitckpt.execute.output import capped
from gitckpt.execute.process import Result
from gitckpt.execute.stamp import mark_started
from gitckpt.model.manifest import Uncaptured
from gitckpt.model.moment import Closing, Moment, Some
from gitckpt.model.outcome import (
    Asked,
    Compensated,
    CutOff,
    Expired,
    Failed,
    Listed,
    Outcome,
    Refused,
    Succeeded,
    Unwanted,
    judge,
)
from gitckpt.plumbing.content import Content, compare
from gitckpt.plumbing.fresh import Fresh
from gitckpt.plumbing.pack import Pack
from gitckpt.store import refs
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.workspace.snapshot import Snapshot


def land_outcome(hold: Hold, agenda: Agenda, flight: InFlight, result: Result, moment: Moment) -> Moment:
    """Land what the attempt came to; the moment then knows what was tried."""
    phase = flight.phase
    if (result.step is not None or result.interrupted) and not phase.keep_partial:
        move_oversize(hold, phase.name, flight.under_way.number, mark_of(hold, flight.under_way))
    if isinstance(flight.work, Some | Closing) and result.step is None and not result.interrupted:
        _tell_failed_items(hold, agenda, flight, result.units)
    with open_pack(hold) as pack:
        found, changed = _found(hold, pack, flight)
        outcome = outcome_of(hold, agenda, pack, flight, result, changed)
        word = only_asked(outcome)
        if word is not None and flight.running is not None and differs(hold, pack, found):
            detail = f"its {word} changed files, which it may not"
            outcome = Failed(
                attempt=outcome.attempt, at=outcome.at, duration_ms=result.duration_ms, exit_code=1, detail=detail
            )
        outcome = with_end_of_tries(agenda, flight, with_uncaptured(outcome, changed), moment)
        if isinstance(outcome, Failed | CutOff) and not outcome.partial and flight.running is not None:
            _keep_edits(hold, pack, flight, found)
        checkpoint = _land(hold, pack, flight, outcome, found, result.output_from if flight.running else None)
    report(hold, flight, outcome, result, checkpoint)
    return after(hold, agenda, flight, outcome, moment)


def _keep_edits(hold: Hold, pack: Pack, flight: InFlight, found: Content) -> None:
    """What the user changed since the last process ended is not put back with the rest."""
    if found == hold.at_tip.content:
        return
    changes = compare(Fresh(hold.store.reader, pack), hold.at_tip.content, found)
    mine = users_changes(hold, changes, mark_of(hold, flight.under_way))
    if mine:
        seal(hold, pack)
        land_edit(hold, mine)


def _found(hold: Hold, pack: Pack, flight: InFlight) -> tuple[Content, Uncaptured | None]:
    """What the workspace holds now. What ran nothing beside attempts in views of their own changed nothing: then the
    workspace is not looked at, for it may lag behind."""
    if flight.running is None and (hold.base is not None or hold.record.views):
        return hold.at_tip.content, None
    found: Snapshot = take_snapshot(hold, pack)
    return found.content, shown_uncaptured(found.uncaptured)


def _tell_failed_items(hold: Hold, agenda: Agenda, flight: InFlight, passed: int) -> None:
    """The failed items as a file, as they are with the units that have just `passed`."""
    phase, work = flight.phase, flight.work
    if phase.tolerate and phase.tolerate.to:
        units = agenda.units(phase.name, flight.indices) if isinstance(work, Some) else []
        done_now = frozenset(index for unit in units[:passed] for index in unit)
        # A file of the attempt's that no process of it writes: it is not the user's, either.
        mark_started(str(flight.desk.folder))
        write_failed_items(agenda, phase, phase.tolerate.to, done_now, flight.root)
        mark_end(hold, flight)


def only_asked(outcome: Outcome) -> str | None:
    """What ran, where it was only to say something, and may not change files."""
    match outcome:
        case Unwanted():
            return "`if`"
        case Refused():
            return "`requires`"
        case Listed():
            return "source of items"
        case _:
            return None


def _land(
    hold: Hold, pack: Pack, flight: InFlight, outcome: Outcome, found: Content, output_from: int | None
) -> Checkpoint | None:
    """One checkpoint for the outcome; None where there is no news (blocked as before).

    `output_from`: where in the output what failed began; None where nothing ran, so that earlier output stays.
    """
    events = judge(hold.at_tip.manifest, outcome)
    phase = outcome.attempt.phase
    hidden = secret_values(hold.workflow, hold.given.environment)
    outputs = {phase: capped(flight.desk.output, secrets=hidden)}
    if output_from is None and not isinstance(outcome, Failed):
        outputs = {}
    match outcome:
        case Succeeded() | Compensated():
            forget(hold.place.folder)  # what it left running is the user's from here on
            staged, content, beside = tuple(flight.staged), found, None
        case Unwanted() | Refused() | Listed() | Asked() | Expired():
            staged, content, beside = (), hold.at_tip.content, None
            found = content
        case Failed(partial=partial) | CutOff(partial=partial):
            ref = refs.attempt(hold.name, phase, outcome.attempt.number)
            beside = Beside(ref=ref, content=found, events=events, outputs=outputs)
            # The attempt has all that was printed, the checkpoint what the item that failed did.
            outputs = {phase: capped(flight.desk.output, secrets=hidden, begin=output_from)} if output_from else outputs
            staged = tuple(flight.staged) if partial else ()
            content = found if partial else hold.at_tip.content
        case _:
            assert_never(outcome)
    is_undone = isinstance(outcome, Failed | CutOff) and not outcome.partial
    if not events:
        hold.write_record(replace(hold.record, attempt=None))
        write_mirror(hold, hold.at_tip.manifest)
        return None
    landing = Landing(
        events=(*staged, *events),
        content=content,
        found=found,
        outputs=outputs,
        beside=beside,
        ends_attempt=True,
        redates=is_undone,
        since_ns=border_ns(hold) if is_undone else None,
    )
    return _landed(hold, pack, landing)


def _landed(hold: Hold, pack: Pack, landing: Landing) -> Checkpoint:
    """In the snapshot's own pack while that is open, else in a second one."""
    if not pack.finished:
        return land(hold, pack, landing)
    with open_pack(hold) as second:
        return land(hold, second, landing)
