"""Runs in the background: starting one, and waiting for the end of any.

Owns how another process learns that a run has begun and how it ended. Must not know how that is said.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gitckpt.api.opening import open_store
from gitckpt.api.reading import Where, Workspace, find_workspace
from gitckpt.engine.last_run import LastRun, last_run
from gitckpt.errors import Busy, ExitCode, GitckptError, Holder
from gitckpt.execute.detach import start_detached
from gitckpt.execute.lock import holder
from gitckpt.model.manifest import is_complete

_LOOK_S = 0.02


@dataclass(eq=False)
class NoRunEver(GitckptError):
    """There is no run to wait for."""

    @property
    def message(self) -> str:
        return "no run has ever begun here"

    @property
    def hint(self) -> str:
        return "begin one: gitckpt run, or in the background: gitckpt run --detach"


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A run in the background; `log` is where all that it says goes."""

    pid: int
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedAtOnce:
    """A run that ended before it could be watched, with all that it said."""

    exit_code: int
    said: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """How the waiting ended. `exit_code` is the run's; 75 while `who` still runs, and where the run was `killed`."""

    exit_code: int
    who: Holder | None = None
    killed: bool = False


def run_detached(where: Where, arguments: Sequence[str]) -> Begun | EndedAtOnce:
    """Start `gitckpt ARGUMENTS`, a run, in a session of its own; returns once it holds its lock and has begun.

    Raises Busy where another command works here, and what finding the workspace raises.
    """
    place = find_workspace(where).place
    place.make()
    who = holder(place.lock)
    if who is not None:
        raise Busy(str(place.lock), who)
    log = place.folder / "detached.log"
    process = start_detached(arguments, log)
    while process.poll() is None:
        found = last_run(place)
        if found is not None and found.pid == process.pid and found.exit_code is None:
            return Begun(pid=process.pid, log=log)
        time.sleep(_LOOK_S)
    return EndedAtOnce(exit_code=process.returncode, said=log.read_bytes())


def wait_for_run(where: Where, timeout_s: float | None) -> Waited:
    """Wait for the end of the run that is active, or tell how the last one ended. Raises NoRunEver."""
    workspace = find_workspace(where)
    place = workspace.place
    until = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        who, last = holder(place.lock), last_run(place)
        if who is None or not _is_run(who, last):
            return _ended(where, workspace, last)
        if until is not None and time.monotonic() >= until:
            return Waited(exit_code=int(ExitCode.STOPPED), who=who)
        time.sleep(_LOOK_S)


def _is_run(who: Holder, last: LastRun | None) -> bool:
    """Not another command that works after the last run has ended."""
    return last is None or last.exit_code is None or who.pid in (0, last.pid)


def _ended(where: Where, workspace: Workspace, last: LastRun | None) -> Waited:
    # Asked once more: it may have ended between the look at the lock and that at the file.
    last = last_run(workspace.place) or last
    if last is not None and last.exit_code is not None:
        return Waited(exit_code=last.exit_code)
    with open_store(where) as (_, store):
        tip = store.tip()
    if tip is None or (last is None and not tip.manifest.run):
        raise NoRunEver
    if is_complete(tip.manifest) and tip.manifest.run:
        return Waited(exit_code=int(ExitCode.DONE))
    return Waited(exit_code=int(ExitCode.STOPPED), killed=True)
