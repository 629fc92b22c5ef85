"""One attempt of a phase: what its processes get, and what its end means.

Owns the environment of phases, the list of steps, and the checks after them (validation, outs). Must not move the
workspace or the branch.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from gitckpt.engine.hold import Hold
from gitckpt.engine.place import AttemptUnderWay
from gitckpt.execute.process import Job, Result, Step, shell_argv
from gitckpt.model.manifest import Manifest, Uncaptured, state_of
from gitckpt.model.names import PhaseName
from gitckpt.model.outcome import Attempt, CutOff, Failed, Outcome, Refused, Succeeded, Unwanted
from gitckpt.model.text import safe
from gitckpt.model.workflow import Phase, Validation, digest, environment
from gitckpt.progress.text import duration
from gitckpt.workspace.outs import is_made

GRACE_MS = 10_000
CANNOT_START = frozenset({126, 127})


def job_of(hold: Hold, phase: Phase, attempt: AttemptUnderWay) -> Job:
    """Everything the executor needs to run the phase."""
    root = hold.given.root
    return Job(
        steps=tuple(_steps(phase)),
        cwd=root / phase.working_directory,
        env=_environment(hold, phase, attempt),
        timeout_ms=phase.timeout_ms,
        grace_ms=GRACE_MS,
        output=hold.place.output,
        validate_output=hold.place.validate_output,
        state_dir=hold.place.folder,
        live_dir=hold.place.live,
    )


def _steps(phase: Phase) -> list[Step]:
    def shell(name: str, text: str) -> Step:
        return Step(name=name, argv=shell_argv(phase.shell, text))

    steps = [shell("if", phase.condition)] if phase.condition else []
    steps += [shell(f"requires {n}", text) for n, text in enumerate(phase.requires)]
    steps += [shell("run", text) for text in phase.run]
    if phase.argv:
        steps.append(Step(name="run", argv=phase.argv))
    if phase.validate and phase.validate.run:
        steps.append(shell("validate", phase.validate.run))
    return steps


def _environment(hold: Hold, phase: Phase, attempt: AttemptUnderWay) -> dict[str, str]:
    manifest = hold.at_tip.manifest
    state = state_of(manifest, phase.name)
    return {
        **hold.given.environment,
        **manifest.params,
        **environment(hold.workflow, phase),
        "GITCKPT_WORKFLOW": hold.name,
        "GITCKPT_RUN": manifest.run,
        "GITCKPT_PHASE": phase.name,
        "GITCKPT_ATTEMPT": str(attempt.number),
        "GITCKPT_IDEMPOTENCY_KEY": idempotency_key(manifest, phase.name),
        # Empty rather than unset when there is nothing to go on from, so that `set -u` scripts can look at it.
        "GITCKPT_RESUMED": "1" if state.partial else "",
        "GITCKPT_STATE": str(hold.place.live / "state.json"),
    }


def idempotency_key(manifest: Manifest, phase: PhaseName) -> str:
    """Stays the same for retry, resume and kill; a new generation of the phase has another."""
    parts = (manifest.workflow, manifest.run, phase, str(state_of(manifest, phase).generation))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def outcome_of(
    hold: Hold, phase: Phase, under_way: AttemptUnderWay, result: Result, uncaptured: Uncaptured | None
) -> Outcome:
    """What the end of an attempt's processes means. `uncaptured`: what it changed that no checkpoint holds."""
    attempt = Attempt(phase=phase.name, number=under_way.number, started=under_way.started)
    at = hold.now()
    if result.interrupted:
        return CutOff(attempt=attempt, at=at, reason="interrupted", partial=phase.keep_partial)
    said_no = result.step is not None and result.code not in CANNOT_START and not result.timed_out and not result.signal
    if said_no and result.step == "if":
        return Unwanted(attempt=attempt, at=at, reason=f"`if` said no: {_short(phase.condition or '')}")
    if said_no and result.step is not None and result.step.startswith("requires "):
        text = phase.requires[int(result.step.split()[1])]
        return Refused(attempt=attempt, at=at, reason=f"`requires` said no: {_short(text)}")
    problem = _ended_badly(phase, result) or _validation(hold, phase) or _missing_outs(hold.given.root, phase.outs)
    if problem is None and uncaptured and hold.workflow.workspace.uncaptured == "error":
        problem = f"it changed {uncaptured.count} ignored files that no checkpoint holds (workspace.uncaptured: error)"
    if problem is None:
        return Succeeded(
            attempt=attempt,
            at=at,
            duration_ms=result.duration_ms,
            definition=digest(phase, hold.workflow),
            uncaptured=uncaptured,
        )
    return Failed(
        attempt=attempt,
        at=at,
        duration_ms=result.duration_ms,
        exit_code=result.code,
        detail=problem,
        timed_out=result.timed_out,
        partial=phase.keep_partial,
    )


def _ended_badly(phase: Phase, result: Result) -> str | None:
    if result.step is None:
        return None
    where = "" if result.step == "run" else f" in {result.step.split()[0]}"
    if result.timed_out:
        return f"timed out after {duration(phase.timeout_ms or result.duration_ms)}{where}"
    if result.signal:
        return f"killed by signal {result.signal}{where}"
    return f"exit {result.code}{where}"


def _validation(hold: Hold, phase: Phase) -> str | None:
    check = phase.validate
    if check is None:
        return None
    return _stdout_problem(hold.place.validate_output, check) or _file_problem(hold.given.root, check)


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
