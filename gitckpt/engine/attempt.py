"""What the end of an attempt means: the outcome, from how its processes ended and from the checks after them.

Owns those checks (validation, outs, counters) for each kind of work. Must not move the workspace or the branch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from gitckpt.engine.agenda import Agenda
from gitckpt.engine.answers import expired, filled, new_mark
from gitckpt.engine.freeze import freeze
from gitckpt.engine.hold import Hold
from gitckpt.engine.inflight import InFlight
from gitckpt.engine.job import COMPENSATE, COUNTER
from gitckpt.engine.left import left_by_listing
from gitckpt.engine.undoing import newest_without, standing
from gitckpt.errors import GitckptError
from gitckpt.execute.process import Result
from gitckpt.model.dated import marks_of
from gitckpt.model.gate import Gate
from gitckpt.model.items import Part, ranges_of
from gitckpt.model.manifest import Uncaptured
from gitckpt.model.moment import Asking, Closing, Compensating, Expiring, Listing, Some, Whole
from gitckpt.model.outcome import (
    Asked,
    Attempt,
    Compensated,
    CutOff,
    Failed,
    Outcome,
    Refused,
    Succeeded,
    Unwanted,
)
from gitckpt.model.text import safe
from gitckpt.model.workflow import Phase, Validation, digest
from gitckpt.plumbing.pack import Pack
from gitckpt.progress.text import duration
from gitckpt.workspace.outs import is_made

CANNOT_START = frozenset({126, 127})


def outcome_of(
    hold: Hold, agenda: Agenda, pack: Pack, flight: InFlight, result: Result, uncaptured: Uncaptured | None
) -> Outcome:
    """What the end of an attempt means. `uncaptured`: what it changed that no checkpoint holds."""
    phase = flight.phase
    under_way = flight.under_way
    attempt = Attempt(
        phase=phase.name,
        number=under_way.number,
        started=under_way.started,
        busy_ms=flight.busy_ms,
        mark=new_mark(),
        made_from=marks_of(flight.start.manifest, phase.needs),
    )
    at = hold.now()
    if result.interrupted:
        return CutOff(attempt=attempt, at=at, reason="interrupted", partial=phase.keep_partial)
    said_no = _said_no(phase, attempt, at, result)
    if said_no is not None:
        return said_no
    match flight.work:
        case Asking() | Expiring():
            return _of_gate(hold, phase, attempt, at, flight.work)
        case Listing():
            return _listed(hold, pack, flight, attempt, result)
        case Some(closes=closes):
            return _of_items(hold, agenda, flight, attempt, result, uncaptured, closes=closes)
        case Compensating():
            return _compensated(hold, flight, attempt, result)
        case Whole() | Closing():
            return _of_phase(hold, flight, attempt, result, uncaptured)


def with_uncaptured(outcome: Outcome, uncaptured: Uncaptured | None) -> Outcome:
    """A failure or a cut-off that names what it changed and no checkpoint holds, as a success does."""
    return replace(outcome, uncaptured=uncaptured) if isinstance(outcome, Failed | CutOff) else outcome


def _said_no(phase: Phase, attempt: Attempt, at: str, result: Result) -> Outcome | None:
    step = result.step
    if step is None or result.code in CANNOT_START or result.timed_out or result.signal:
        return None
    if step == "if":
        return Unwanted(attempt=attempt, at=at, reason=f"`if` said no: {_short(phase.condition or '')}")
    if step.startswith("requires "):
        text = phase.requires[int(step.split()[1])]
        return Refused(attempt=attempt, at=at, reason=f"`requires` said no: {_short(text)}")
    return None


def _of_phase(
    hold: Hold, flight: InFlight, attempt: Attempt, result: Result, uncaptured: Uncaptured | None
) -> Succeeded | Failed:
    phase = flight.phase
    problem = _ended_badly(phase, result)
    if problem is None and phase.foreach is None:
        problem = _validation(flight, flight.desk.validate_output)
    problem = problem or _missing_outs(flight.root, phase.outs) or _not_captured(hold, uncaptured)
    counters: dict[str, int] = {}
    if problem is None:
        counters, problem = _counted(flight)
    if problem is None:
        return Succeeded(
            attempt=attempt,
            at=hold.now(),
            duration_ms=result.duration_ms,
            definition=digest(phase, hold.workflow),
            counters=counters,
            uncaptured=uncaptured,
        )
    return _failed(hold, phase, attempt, result, problem)


def _failed(hold: Hold, phase: Phase, attempt: Attempt, result: Result, problem: str) -> Failed:
    return Failed(
        attempt=attempt,
        at=hold.now(),
        duration_ms=result.duration_ms,
        exit_code=result.code,
        detail=problem,
        timed_out=result.timed_out,
        partial=phase.keep_partial,
    )


def _of_items(
    hold: Hold,
    agenda: Agenda,
    flight: InFlight,
    attempt: Attempt,
    result: Result,
    uncaptured: Uncaptured | None,
    *,
    closes: bool,
) -> Succeeded | Failed:
    """Items that passed are done together; where one of them failed, none of its group is."""
    phase = flight.phase
    units = agenda.units(phase.name, flight.indices)
    failing = result.units if result.step is not None else None
    problem = _ended_badly(phase, result)
    for unit in range(result.units if problem is None else 0):
        problem = _validation(flight, flight.desk.validation(unit))
        if problem is not None:
            failing = unit
            break
    if problem is None and (problem := _not_captured(hold, uncaptured)) is not None:
        failing = 0
    if problem is not None:
        part = agenda.part(phase.name, units[min(failing or 0, len(units) - 1)])
        failed = _failed(hold, phase, attempt, result, f"{part.label}: {problem}")
        return replace(failed, part=part)
    passed = [index for unit in units[: result.units] for index in unit]
    whole = result.units == len(units)
    return Succeeded(
        attempt=attempt,
        at=hold.now(),
        duration_ms=result.duration_ms,
        definition=digest(phase, hold.workflow),
        part=agenda.part(phase.name, passed),
        closes=closes and whole and _missing_outs(flight.root, phase.outs) is None,
        uncaptured=uncaptured,
    )


def _listed(hold: Hold, pack: Pack, flight: InFlight, attempt: Attempt, result: Result) -> Outcome:
    phase = flight.phase
    problem = _ended_badly(phase, result)
    if problem is not None or phase.foreach is None:
        return _failed(hold, phase, attempt, result, problem or "it has no items")
    try:
        listed = freeze(hold, pack, flight, phase.foreach, attempt)
        return replace(listed, left=left_by_listing(hold, phase.name, listed.list, listed.done))
    except GitckptError as error:
        return _failed(hold, phase, attempt, result, f"{error.message}\n{error.hint}".rstrip())


def _compensated(hold: Hold, flight: InFlight, attempt: Attempt, result: Result) -> Outcome:
    undoing = flight.undoing
    assert undoing is not None  # that is what it is for
    problem = _ended_badly(flight.phase, result)
    if problem is not None:
        return replace(_failed(hold, flight.phase, attempt, result, problem), compensating=True)
    made = Compensated(
        attempt=attempt, at=hold.now(), duration_ms=result.duration_ms, of=undoing.effect.number, undone=undoing.undone
    )
    if not undoing.undone:
        return made
    gone = standing(hold, undoing)
    newest = newest_without(hold, undoing, gone)
    part = Part(ranges=ranges_of(gone), count=len(gone), label=flight.under_way.items)
    return replace(made, part=part, newest=newest)


def _of_gate(hold: Hold, phase: Phase, attempt: Attempt, at: str, work: Asking | Expiring) -> Outcome:
    gate = phase.gate or Gate(prompt="")
    if isinstance(work, Asking):
        expires = None
        if gate.timeout_ms is not None:
            until = datetime.fromisoformat(at) + timedelta(milliseconds=gate.timeout_ms)
            expires = until.isoformat(timespec="seconds")
        return Asked(attempt=attempt, at=at, prompt=filled(gate.prompt, hold.at_tip.manifest), expires=expires)
    return expired(hold.workflow, phase, attempt, at)


def _counted(flight: InFlight) -> tuple[dict[str, int], str | None]:
    """The numbers that the counters printed; or what one of them printed instead."""
    found: dict[str, int] = {}
    for name in flight.phase.counters:
        try:
            text = flight.desk.counter(name).read_bytes()[:200].decode(errors="replace").strip()
        except FileNotFoundError:
            text = ""
        if not re.fullmatch(r"[+-]?[0-9]{1,15}", text):
            return {}, f"the counter {name} printed no whole number: {_short(text)!r}"
        found[name] = int(text)
    return found, None


def _not_captured(hold: Hold, uncaptured: Uncaptured | None) -> str | None:
    if uncaptured and hold.workflow.workspace.uncaptured == "error":
        what = "1 ignored file" if uncaptured.count == 1 else f"{uncaptured.count:,} ignored files"
        why = f"it changed {what} that no checkpoint holds (workspace.uncaptured: error)"
        return f"{why}\nto capture: {uncaptured.include}"
    return None


def _ended_badly(phase: Phase, result: Result) -> str | None:
    if result.step is None:
        return None
    where = "" if result.step in ("run", COMPENSATE) else f" in {_step_words(result.step)}"
    if result.timed_out:
        return f"timed out after {duration(phase.timeout_ms or result.duration_ms)}{where}"
    if result.signal:
        return f"killed by signal {result.signal}{where}"
    return f"exit {result.code}{where}"


def _step_words(step: str) -> str:
    """A step as a person would name it: the counter by its name, a requirement without its number."""
    return step if step.startswith(COUNTER) else step.split()[0]


def _validation(flight: InFlight, output: Path) -> str | None:
    check = flight.phase.validate
    if check is None:
        return None
    return _stdout_problem(output, check) or _file_problem(flight.root, check)


def _stdout_problem(path: Path, check: Validation) -> str | None:
    rule = check.stdout
    if rule is None:
        return None
    try:
        text = path.read_bytes()[: 8 * 1024 * 1024].decode(errors="replace")
    except FileNotFoundError:
        text = ""
    for wanted in rule.contains:
        if wanted not in text:
            return f"validate: its output does not contain {_short(wanted)!r}"
    for pattern in rule.matches:
        if not re.search(pattern, text, re.MULTILINE):
            return f"validate: its output does not match {_short(pattern)!r}"
    for unwanted in rule.not_contains:
        if unwanted in text:
            return f"validate: its output contains {_short(unwanted)!r}"
    return None


def _file_problem(root: Path, check: Validation) -> str | None:
    if check.file is None:
        return None
    try:
        size = os.stat(root / check.file).st_size
    except OSError:
        return f"validate: the file {_short(check.file)} is not there"
    if size < (check.min_size or 0):
        return f"validate: the file {_short(check.file)} has {size:,} bytes, {check.min_size:,} are wanted"
    return None


def _missing_outs(root: Path, outs: Sequence[str]) -> str | None:
    missing = [out for out in outs if not is_made(root, out)]
    if not missing:
        return None
    return f"outs not made: {', '.join(map(_short, missing))}"


def _short(text: str) -> str:
    return safe(text if len(text) <= 80 else text[:77] + "…")
