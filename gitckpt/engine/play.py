"""One play of a workflow in a copy of its workspace: to its end, with kills at given moments on the way.

Owns the copy, the order of commands in it, and what is known of each kill. Never touches the workspace it was copied
from.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from gitckpt.engine.inspect import open_gates
from gitckpt.engine.place import Place
from gitckpt.errors import ExitCode, GitckptError
from gitckpt.execute.leftovers import end_leftovers
from gitckpt.execute.struck import Struck, strike
from gitckpt.model.manifest import Status, state_of
from gitckpt.model.names import LIVE_FOLDER, Oid, PhaseName, WorkflowName
from gitckpt.model.text import safe
from gitckpt.plumbing.content import Content, compare
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository, discover
from gitckpt.plumbing.twin import make_twin
from gitckpt.store.store import Store
from gitckpt.workspace.become import apply
from gitckpt.workspace.statcache import StatCache

_LAST_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What is played: the captured files, where they come from, and how each command is called. `fields`: answers to
    gates; `limit_ms`: how long one command may take."""

    content: Content
    reader: Reader
    like: Repository
    prefix: bytes
    workflow: WorkflowName
    file: Path
    settings: tuple[str, ...] = ()
    fields: Mapping[PhaseName, Mapping[str, str]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    limit_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One kill: after how many ms of the workflow's time, and in which phase (None: between two)."""

    at_ms: int
    phase: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """How a play went. `failed`: why it did not come to its end, with the last lines; `blame`: the phase, where one is
    known. `ms`: how long its commands took."""

    top: Path
    ms: int
    kills: tuple[Kill, ...] = ()
    failed: str = ""
    blame: str | None = None


def play(script: Script, top: Path, log: Path, moments: Sequence[int] = (), start_ms: int = 0) -> Played:
    """Copy the files to `top` and play the workflow there. `moments` (ms, ascending) are when it is killed, counted
    without the `start_ms` that each command after a kill needs to get going. A play that is over has no more kills.
    """
    root = _copied(script, top)
    clock, extra, waiting = 0, 0, list(moments)
    kills: list[Kill] = []
    last: Oid | None = None
    while True:
        wait = waiting[0] - clock + extra if waiting else None
        ended = _command(script, root, log, "run", *script.settings, kill_after_ms=wait)
        if ended.how == "killed":
            clock = waiting.pop(0)
            kills.append(Kill(at_ms=clock, phase=_under_way(root)))
            extra = start_ms
            continue
        clock += max(ended.ms - extra, 0)
        if ended.how == "overdue":
            return _stopped(script, top, clock, kills, "it had not ended in time and was stopped", log)
        match ended.code:
            case ExitCode.DONE:
                return Played(top=top, ms=clock, kills=tuple(kills))
            case ExitCode.STOPPED if (now := _tip(script, top)) != last:
                extra, last = start_ms, now
            case ExitCode.WAITING if _answered(script, top, root, log):
                extra = start_ms
            case code:
                return _stopped(script, top, clock, kills, f"it ended with exit code {code}", log)


def put_away(top: Path, root: Path) -> None:
    """Remove a copy, with what may still run in it."""
    with suppress(GitckptError, OSError):
        end_leftovers(Place(discover(root), root).folder)
    shutil.rmtree(top, ignore_errors=True)


@contextmanager
def opened(script: Script, top: Path) -> Iterator[Store]:
    """The history of a copy, also after it was moved."""
    repository = discover(top)
    with Reader(repository) as reader:
        yield Store(repository, reader, script.workflow, script.prefix)


def rest_ms(script: Script, root: Path, log: Path) -> int:
    """How long a command takes that finds nothing to do."""
    return _command(script, root, log, "run", *script.settings).ms


def root_in(top: Path, prefix: bytes) -> Path:
    """The workspace in a copy: at the same place in its repository."""
    return top / os.fsdecode(prefix) if prefix else top


def _copied(script: Script, top: Path) -> Path:
    make_twin(script.like, top)
    root = root_in(top, script.prefix)
    root.mkdir(parents=True, exist_ok=True)
    changes = compare(script.reader, None, script.content)
    apply(root, script.reader, changes, StatCache(script.like.object_format))
    shutil.rmtree(root / LIVE_FOLDER, ignore_errors=True)
    if not (root / script.file.name).exists():
        shutil.copyfile(script.file, root / script.file.name)  # git ignores it
    return root


def _command(script: Script, root: Path, log: Path, *arguments: str, kill_after_ms: int | None = None) -> Struck:
    where = ("-C", str(root), "--file", script.file.name, "-q")
    return strike(
        (*where, *arguments),
        environment=script.environment,
        log=log,
        kill_after_ms=None if kill_after_ms is None else max(kill_after_ms, 0),
        limit_ms=script.limit_ms,
    )


def _answered(script: Script, top: Path, root: Path, log: Path) -> bool:
    """Approve every gate that waits; False where one did not take the answer."""
    with opened(script, top) as store:
        tip = store.tip()
    waiting = open_gates(tip.manifest) if tip else ()
    for name in waiting:
        given = script.fields.get(name, {})
        answers = [word for key, value in given.items() for word in ("--field", f"{key}={value}")]
        if _command(script, root, log, "approve", name, "-m", "rehearsal", *answers).code:
            return False
    return bool(waiting)


def _tip(script: Script, top: Path) -> Oid | None:
    with opened(script, top) as store:
        return store.tip_oid()


def _under_way(root: Path) -> str | None:
    record = Place(discover(root), root).read()
    attempts = [record.attempt, *(view.under_way for view in record.views if view.own is None)]
    return next((f"{each.phase}@{each.number}" for each in attempts if each is not None), None)


def _failed_phase(script: Script, top: Path, root: Path) -> str | None:
    """The phase that failed, is blocked, or was under way."""
    with opened(script, top) as store:
        tip = store.tip()
    bad = (Status.FAILED, Status.BLOCKED, Status.WAITING)
    names = (name for name in tip.manifest.order if state_of(tip.manifest, name).status in bad) if tip else iter(())
    return next(names, None) or (_under_way(root) or "").partition("@")[0] or None


def _stopped(script: Script, top: Path, ms: int, kills: Sequence[Kill], why: str, log: Path) -> Played:
    lines = log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
    text = "\n".join((why, *(f"  | {safe(line)}" for line in lines)))
    blame = _failed_phase(script, top, root_in(top, script.prefix))
    return Played(top=top, ms=ms, kills=tuple(kills), failed=text, blame=blame)
