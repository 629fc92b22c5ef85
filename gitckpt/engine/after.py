"""What follows an outcome that has landed: what this call of `run` remembers of it, and what it tells.

Owns the retries and the budget of one call. Must not record anything: that was done before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from gitckpt.engine.agenda import Agenda, progress_at_tip
from gitckpt.engine.capturing import left_words, uncaptured_words
from gitckpt.engine.hold import Hold
from gitckpt.engine.inflight import InFlight
from gitckpt.engine.left import say_left
from gitckpt.execute.process import Result
from gitckpt.model.amount import plural
from gitckpt.model.items import Part
from gitckpt.model.manifest import Uncaptured, state_of
from gitckpt.model.moment import Moment, Spent, Tried
from gitckpt.model.names import PhaseName
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
)
from gitckpt.model.workflow import Ended, Phase, continues_after_items, is_retried, retry_delay_ms
from gitckpt.progress.events import ItemsEnded, Note, PhaseEnded, Warned
from gitckpt.store.checkpoint import Checkpoint


def after(hold: Hold, agenda: Agenda, flight: InFlight, outcome: Outcome, moment: Moment) -> Moment:
    """The moment, with what was tried, spent and ended."""
    name = flight.phase.name
    match outcome:
        case Succeeded(part=part, closes=closes):
            if part is not None:
                agenda.finished(name, part)
                moment = _spent(hold, agenda, flight.phase, part, moment, outcome.duration_ms)
            tried = moment.tried.get(name)
            # That others of its items succeed does not take back that one of them ended the phase.
            ended = tried is not None and tried.ready_ms is None and _side_by_side(flight.phase, moment)
            return replace(moment if ended else _untried(moment, name), landed=moment.landed + closes)
        case Unwanted() | Expired():
            return replace(_untried(moment, name), landed=moment.landed + 1)
        case Listed():
            agenda.forget((name,))
            return _untried(moment, name)
        case Compensated() | Asked():
            return _untried(moment, name)
        case Failed():
            return _failed(hold, agenda, flight.phase, outcome, moment)
        case Refused() | CutOff():
            count = moment.tried[name].count if name in moment.tried else 0
            return replace(moment, tried={**moment.tried, name: Tried(count=count + 1, ready_ms=None)})
        case _:
            assert_never(outcome)


def _untried(moment: Moment, name: PhaseName) -> Moment:
    return replace(moment, tried={key: tried for key, tried in moment.tried.items() if key != name})


def _spent(hold: Hold, agenda: Agenda, phase: Phase, part: Part, moment: Moment, took_ms: int) -> Moment:
    before = moment.spent.get(phase.name) or Spent(began_ms=hold.clock.monotonic_ms() - took_ms)
    units = agenda.counted(phase.name, part)
    now = replace(before, items=before.items + part.count, batches=before.batches + units)
    return replace(moment, spent={**moment.spent, phase.name: now})


def with_end_of_tries(agenda: Agenda, flight: InFlight, outcome: Outcome, moment: Moment) -> Outcome:
    """A failure with the word on whether this call tries it again."""
    if not isinstance(outcome, Failed):
        return outcome
    retry = flight.phase.retry
    ended: Ended = "timeout" if outcome.timed_out else "failure"
    again = is_retried(retry, ended=ended, exit_code=outcome.exit_code)
    return replace(outcome, final=not again or _count(agenda, outcome, moment) >= retry.max)


def _count(agenda: Agenda, failed: Failed, moment: Moment) -> int:
    """How often it failed before in this call. Of a group of items each has its own tries: that another one failed
    before it is no try of it."""
    name = failed.attempt.phase
    if failed.part is not None:
        return agenda.failures(name, failed.part)
    return moment.tried[name].count if name in moment.tried else 0


def _failed(hold: Hold, agenda: Agenda, phase: Phase, outcome: Failed, moment: Moment) -> Moment:
    count = _count(agenda, outcome, moment)
    if not outcome.final:
        chance = int(hold.clock.jitter() * 1000)
        delay = retry_delay_ms(phase.retry, retries_made=count, chance_permille=chance)
        ready = hold.clock.monotonic_ms() + delay
        if outcome.part is not None and _side_by_side(phase, moment):
            # The phase's other items do not wait for it.
            agenda.failed(phase.name, outcome.part, ready)
            return moment
        if outcome.part is not None:
            agenda.failed(phase.name, outcome.part)
        return replace(moment, tried={**moment.tried, phase.name: Tried(count=count + 1, ready_ms=ready)})
    if outcome.part is not None:
        agenda.gave_up(phase.name, outcome.part)
        moment = _spent(hold, agenda, phase, outcome.part, moment, outcome.duration_ms)
        if continues_after_items(phase):
            return _untried(moment, phase.name)
    return replace(moment, tried={**moment.tried, phase.name: Tried(count=count + 1, ready_ms=None)})


def _side_by_side(phase: Phase, moment: Moment) -> bool:
    return moment.plan is not None and moment.plan.items_at_once(phase.name) > 1


def report(hold: Hold, flight: InFlight, outcome: Outcome, result: Result, checkpoint: Checkpoint | None) -> None:
    """Tell those who watch."""
    phase = outcome.attempt.phase
    number = checkpoint.number if checkpoint else None
    match outcome:
        case Succeeded(uncaptured=uncaptured):
            _warn_uncaptured(hold, phase, uncaptured)
            for survivor in result.survivors:
                hold.reporter(Warned(f"{phase} left a process running: {survivor.pid} {survivor.command}"))
            for gone in result.ended:
                what = f"{gone.pid} {gone.command}"
                hold.reporter(Warned(f"{phase} left a process running in its view; it was ended: {what}"))
        case Listed(total=total, done=carried, left=left):
            known = sum(last - first + 1 for first, last in carried)
            more = f", {known:,} of them done before" if known else ""
            anew = f"; to do all again: gitckpt run --from {phase} --all-items" if known else ""
            hold.reporter(Note(f"{phase}: {plural(total, 'item')}{more}{anew}"))
            say_left(hold, left)
            return
        case Failed(uncaptured=uncaptured) | CutOff(uncaptured=uncaptured):
            if uncaptured is not None and flight.view is None and not outcome.partial:
                hold.reporter(Warned(left_words(phase, uncaptured)))
            else:
                _warn_uncaptured(hold, phase, uncaptured)
        case Asked(prompt=prompt):
            hold.reporter(PhaseEnded(phase=phase, status="waiting", detail=prompt, checkpoint_number=number))
            return
        case _:
            pass
    part = outcome.part if isinstance(outcome, Succeeded | Failed) else None
    side_by_side = flight.view is not None and bool(flight.indices)
    if checkpoint is not None and (part is not None or (side_by_side and isinstance(outcome, CutOff))):
        hold.reporter(_of_items(flight, outcome, result, checkpoint))
        if isinstance(outcome, CutOff):
            return  # others of its items may still run
    if part is None or (isinstance(outcome, Succeeded) and outcome.closes):
        status, detail = _words(outcome)
        ended = PhaseEnded(
            phase=phase, status=status, detail=detail, duration_ms=result.duration_ms, checkpoint_number=number
        )
        hold.reporter(_with_items(hold, ended) if isinstance(outcome, Succeeded) else ended)


def _of_items(flight: InFlight, outcome: Outcome, result: Result, checkpoint: Checkpoint) -> ItemsEnded:
    """The end of a try of some items, by the label under which those side by side were begun."""
    items = state_of(checkpoint.manifest, flight.phase.name).items
    part = outcome.part if isinstance(outcome, Succeeded | Failed) else None
    status, detail = _words(outcome)
    return ItemsEnded(
        phase=flight.phase.name,
        status=status,
        detail=part.label if part is not None and isinstance(outcome, Succeeded) else detail,
        items=flight.under_way.items if flight.view is not None else "",
        count=part.count if part is not None else len(flight.indices),
        done=items.done if items else 0,
        failed=items.failed if items else 0,
        skipped=items.skipped if items else 0,
        total=items.total if items else 0,
        duration_ms=result.duration_ms,
        checkpoint_number=checkpoint.number,
    )


def _with_items(hold: Hold, ended: PhaseEnded) -> PhaseEnded:
    """The end of a phase; of one with items how many are done, in which checkpoints, and the sum of their times."""
    name = PhaseName(ended.phase)
    state = state_of(hold.at_tip.manifest, name)
    items = state.items
    if items is None:
        return ended
    words = [f"{items.done:,}/{plural(items.total, 'item')}"]
    words += [f"{items.failed:,} failed"] if items.failed else []
    words += [f"{items.skipped:,} skipped"] if items.skipped else []
    first = progress_at_tip(hold, name).oldest() or ended.checkpoint_number
    return replace(ended, detail=", ".join(words), duration_ms=state.duration_ms, first_checkpoint=first)


def _words(outcome: Outcome) -> tuple[str, str]:
    match outcome:
        case Succeeded():
            return "done", ""
        case Failed(detail=detail, compensating=compensating):
            return "failed", f"its compensation failed: {detail}" if compensating else detail
        case CutOff(attempt=attempt):
            return "interrupted", f"kept as {attempt.phase}@{attempt.number}"
        case Unwanted(reason=reason):
            return "skipped", reason
        case Refused(reason=reason):
            return "blocked", reason
        case Compensated(part=part):
            return "compensated", part.label if part else ""
        case Expired(approved=approved):
            return ("done" if approved else "failed"), "nobody answered in time"
        case Listed() | Asked():
            return "pending", ""
        case _:
            assert_never(outcome)


def _warn_uncaptured(hold: Hold, phase: PhaseName, uncaptured: Uncaptured | None) -> None:
    if uncaptured is not None:
        hold.reporter(Warned(uncaptured_words(phase, uncaptured)))
