"""The end of an attempt as a checkpoint: success with all its files, or failure with the workspace put back.

Owns what each outcome does to branch, workspace and retries. Must not know how the attempt was run.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import assert_never

from gitckpt.engine.attempt import outcome_of
from gitckpt.engine.capturing import secret_values
from gitckpt.engine.hold import Hold, open_pack, take_snapshot
from gitckpt.engine.land import Beside, Landing, land
from gitckpt.engine.mirror import write_mirror
from gitckpt.engine.oversize import move_oversize
from gitckpt.engine.place import AttemptUnderWay
from gitckpt.engine.settle import differs
from gitckpt.execute.leftovers import forget
from gitckpt.execute.output import capped
from gitckpt.execute.process import Result
from gitckpt.model.decide import Moment, Tried
from gitckpt.model.manifest import Uncaptured
from gitckpt.model.outcome import CutOff, Failed, Outcome, Refused, Succeeded, Unwanted, judge
from gitckpt.model.workflow import Phase, is_retried, retry_delay_ms
from gitckpt.plumbing.pack import Pack
from gitckpt.progress.events import PhaseEnded, Warned
from gitckpt.store import refs
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.workspace.snapshot import Snapshot


def land_outcome(hold: Hold, phase: Phase, under_way: AttemptUnderWay, result: Result, moment: Moment) -> Moment:
    """Land what the attempt came to; the moment then knows what was tried."""
    if (result.step is not None or result.interrupted) and not phase.keep_partial:
        move_oversize(hold, phase.name, under_way.number)
    with open_pack(hold) as pack:
        found = take_snapshot(hold, pack)
        outcome = outcome_of(hold, phase, under_way, result, _uncaptured(found))
        if isinstance(outcome, Unwanted | Refused) and differs(hold, pack, found.content):
            word = "if" if isinstance(outcome, Unwanted) else "requires"
            detail = f"its `{word}` changed files, which it may not"
            outcome = Failed(
                attempt=outcome.attempt, at=outcome.at, duration_ms=result.duration_ms, exit_code=1, detail=detail
            )
        checkpoint = _land(hold, pack, outcome, found)
    _report(hold, outcome, result, checkpoint)
    return _tried(hold, phase, outcome, moment)


def _land(hold: Hold, pack: Pack, outcome: Outcome, found: Snapshot) -> Checkpoint | None:
    """One checkpoint for the outcome; None where there is no news (blocked as before)."""
    events = judge(hold.at_tip.manifest, outcome)
    phase = outcome.attempt.phase
    outputs = {phase: capped(hold.place.output, secrets=secret_values(hold.workflow, hold.given.environment))}
    match outcome:
        case Succeeded():
            forget(hold.place.folder)  # what it left running is the user's from here on
            staged, content, beside = tuple(hold.staged), found.content, None
        case Unwanted() | Refused():
            staged, content, beside = (), hold.at_tip.content, None
            found = replace(found, content=content)
        case Failed(partial=partial) | CutOff(partial=partial):
            ref = refs.attempt(hold.name, phase, outcome.attempt.number)
            beside = Beside(ref=ref, content=found.content, events=events, outputs=outputs)
            staged = tuple(hold.staged) if partial else ()
            content = found.content if partial else hold.at_tip.content
        case _:
            assert_never(outcome)
    hold.staged.clear()
    if not events:
        hold.write_record(replace(hold.record, attempt=None))
        write_mirror(hold, hold.at_tip.manifest)
        return None
    landing = Landing(
        events=(*staged, *events),
        content=content,
        found=found.content,
        outputs=outputs,
        beside=beside,
        ends_attempt=True,
    )
    return _landed(hold, pack, landing)


def _landed(hold: Hold, pack: Pack, landing: Landing) -> Checkpoint:
    """In the snapshot's own pack while that is open, else in a second one."""
    if not pack.finished:
        return land(hold, pack, landing)
    with open_pack(hold) as second:
        return land(hold, second, landing)


def _uncaptured(found: Snapshot) -> Uncaptured | None:
    changed = found.uncaptured
    if not changed.count:
        return None
    paths = tuple(os.fsencode(path).decode(errors="backslashreplace") for path in map(os.fsdecode, changed.paths))
    return Uncaptured(paths=paths, count=changed.count, size=changed.size)


def _tried(hold: Hold, phase: Phase, outcome: Outcome, moment: Moment) -> Moment:
    name = phase.name
    before = moment.tried.get(name, Tried(count=0, ready_ms=None))
    match outcome:
        case Succeeded() | Unwanted():
            return replace(moment, landed=moment.landed + 1)
        case Failed(exit_code=code, timed_out=timed_out):
            again = before.count < phase.retry.max and is_retried(
                phase.retry, ended="timeout" if timed_out else "failure", exit_code=code
            )
            ready = None
            if again:
                chance = int(hold.clock.jitter() * 1000)
                delay = retry_delay_ms(phase.retry, retries_made=before.count, chance_permille=chance)
                ready = hold.clock.monotonic_ms() + delay
            tried = Tried(count=before.count + 1, ready_ms=ready)
        case Refused() | CutOff():
            tried = Tried(count=before.count + 1, ready_ms=None)
        case _:
            assert_never(outcome)
    return replace(moment, tried={**moment.tried, name: tried})


def _report(hold: Hold, outcome: Outcome, result: Result, checkpoint: Checkpoint | None) -> None:
    phase = outcome.attempt.phase
    match outcome:
        case Succeeded(uncaptured=uncaptured):
            status, detail = "done", ""
            if uncaptured:
                names = ", ".join(uncaptured.paths[:3]) + (" …" if uncaptured.count > 3 else "")
                hold.reporter(
                    Warned(
                        f"{phase} changed {uncaptured.count} ignored files that no checkpoint holds: {names}\n"
                        "  to capture them, name them in the phase's `outs:` or in `workspace: {include: [...]}`"
                    )
                )
        case Failed(detail=detail):
            status = "failed"
        case CutOff():
            status, detail = "interrupted", f"kept as {phase}@{outcome.attempt.number}"
        case Unwanted(reason=detail):
            status = "skipped"
        case Refused(reason=detail):
            status = "blocked"
        case _:
            assert_never(outcome)
    for survivor in result.survivors if isinstance(outcome, Succeeded) else ():
        hold.reporter(Warned(f"{phase} left a process running: {survivor.pid} {survivor.command}"))
    number = checkpoint.number if checkpoint else None
    hold.reporter(
        PhaseEnded(phase=phase, status=status, detail=detail, duration_ms=result.duration_ms, checkpoint_number=number)
    )
