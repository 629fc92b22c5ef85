"""The start of a run, and the user's commands between runs: reopen, skip, reset, name, change `data`.

Owns what each of them records. Must not run anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from gitckpt.engine.hold import Hold, open_pack, take_snapshot
from gitckpt.engine.land import Landing, land
from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.events import Event, PhaseSkipped, Reopened, Reset, RunStarted
from gitckpt.model.manifest import (
    DONE,
    Manifest,
    PhaseState,
    Status,
    fresh,
    is_complete,
    is_untouched,
    state_of,
)
from gitckpt.model.names import PhaseName, RunId
from gitckpt.model.workflow import dependents, order
from gitckpt.store.checkpoint import Checkpoint


@dataclass(eq=False)
class ParamsDiffer(GitckptError):
    """A run has its params already; they are the same on every resume."""

    names: tuple[str, ...]

    @property
    def message(self) -> str:
        return f"this run began with other values of {', '.join(self.names)}; they stay the same on every resume"

    @property
    def hint(self) -> str:
        return "leave out --set to resume, or give this run up first: gitckpt reset"


@dataclass(eq=False)
class AlreadyDone(GitckptError):
    """The phase is done; skipping or retrying it means nothing."""

    phase: str
    status: str

    exit_code = ExitCode.USAGE

    @property
    def message(self) -> str:
        return f"{self.phase} is {self.status} already"

    @property
    def hint(self) -> str:
        return f"to run it anew, with what needs it: gitckpt run --from {self.phase}"


def ensure_run(hold: Hold, *, again: str, params: Mapping[str, str], given: Iterable[str]) -> bool:
    """Begin a run where there is none, or (`again` is "anew") where the last has completed. Returns whether it did.

    `params` are the resolved values, `given` the names that were set by hand. Raises ParamsDiffer.
    """
    tip = hold.tip
    if tip is not None and tip.manifest.run and not (again == "anew" and is_complete(tip.manifest)):
        known = tip.manifest.params
        differing = tuple(name for name in given if known.get(name) != params[name])
        if differing:
            raise ParamsDiffer(differing)
        return False
    begin_run(hold, params)
    return True


def begin_run(hold: Hold, params: Mapping[str, str]) -> Checkpoint:
    """The first checkpoint of a run: the workspace as it stands."""
    now = hold.now()
    run = RunId(f"{hold.clock.now():%Y%m%d-%H%M%S}-{os.urandom(3).hex()}")
    names = order(hold.workflow)
    given = hold.given
    blank = Manifest(
        workflow=hold.name,
        workspace=os.fsdecode(given.prefix),
        objects=given.repository.object_format,
        order=names,
        phases={name: PhaseState() for name in names},
    )
    base = hold.tip.manifest if hold.tip else blank
    manifest = fresh(base, run=run, at=now, order=names)
    manifest = replace(manifest, params=dict(params), source=given.source)
    with open_pack(hold) as pack:
        found = take_snapshot(hold, pack)
        event = RunStarted(at=now, manifest=manifest)
        return land(hold, pack, Landing(events=(event,), content=found.content, found=found.content))


def record(hold: Hold, *events: Event) -> Checkpoint:
    """A checkpoint of events only: files are those of the tip."""
    content = hold.at_tip.content
    with open_pack(hold) as pack:
        return land(hold, pack, Landing(events=events, content=content, found=content))


def reopen(hold: Hold, phases: Iterable[PhaseName], reason: str) -> tuple[PhaseName, ...]:
    """Make phases pending again, those that are not; returns which. Files stay."""
    manifest = hold.at_tip.manifest
    names = tuple(name for name in phases if not is_untouched(state_of(manifest, name)))
    if names:
        record(hold, Reopened(at=hold.now(), phases=names, author=hold.person(), reason=reason))
    return names


def reopen_from(hold: Hold, phase: PhaseName) -> tuple[PhaseName, ...]:
    """`run --from`: the phase and what needs it."""
    chosen = {phase, *dependents(hold.workflow, phase)}
    return reopen(hold, (name for name in order(hold.workflow) if name in chosen), f"run --from {phase}")


def retry(hold: Hold, phase: PhaseName | None) -> tuple[PhaseName, ...]:
    """Make failed, blocked and skipped phases (or the one named) pending. Raises AlreadyDone for a completed one."""
    manifest = hold.at_tip.manifest
    if phase is not None and state_of(manifest, phase).status is Status.COMPLETED:
        raise AlreadyDone(phase, Status.COMPLETED)
    names = [phase] if phase else [n for n in manifest.order if state_of(manifest, n).status in _RETRIED]
    return reopen(hold, names, "retry")


_RETRIED = frozenset({Status.FAILED, Status.BLOCKED})


def skip(hold: Hold, phase: PhaseName, reason: str, author: str = "") -> Checkpoint:
    """Mark a phase skipped, by the user or the `author` named. Raises AlreadyDone."""
    status = state_of(hold.at_tip.manifest, phase).status
    if status in DONE:
        raise AlreadyDone(phase, status)
    return record(hold, PhaseSkipped(at=hold.now(), phase=phase, reason=reason or "by hand", author=author or hold.person()))


def reset(hold: Hold, reason: str) -> Checkpoint:
    """Give the run up; files stay, history stays, the next `run` begins a new one."""
    now = hold.now()
    manifest = fresh(hold.at_tip.manifest, run=RunId(""), at=now, order=order(hold.workflow))
    return record(hold, Reset(at=now, manifest=manifest, author=hold.person(), reason=reason))
