"""Where a workflow stands, read and never changed.

Owns the account of one moment (`standing`). Loads no YAML, takes no lock, finishes no journal: what an unclean end
left is reported. People ask often, so what only events tell is loaded where there is something to tell. Must not know
how anything is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from types import ModuleType

from gitckpt.engine.place import Place, Record
from gitckpt.errors import Holder
from gitckpt.model.codec import Damaged, decode_manifest
from gitckpt.model.manifest import Manifest, PhaseState, Status, is_complete, state_of
from gitckpt.model.names import PhaseName
from gitckpt.store.branch import Branch, Point

STUCK = 3
"""So many cut-offs in a row, and a phase is called stuck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How many items an hour the newest checkpoints of a phase did, and how long the rest takes at that pace."""

    items_per_hour: int
    left_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Who works in the workspace now. `phase` is None between phases, and while another command works. `items`: which
    it is at, for people; `pace`: how fast, where that is known."""

    who: Holder
    phase: PhaseName | None = None
    attempt: int | None = None
    since: str = ""
    items: str = ""
    pace: Pace | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One moment. `tip` is the newest checkpoint, None without history; `unfinished` says in sentences what is not as a
    clean end leaves it; `next_command` is None while somebody works, and where scripts make the checkpoints."""

    tip: Point | None
    running: Running | None
    unfinished: tuple[str, ...]
    stuck: tuple[PhaseName, ...]
    next_command: str | None

    @property
    def phases(self) -> Mapping[PhaseName, PhaseState]:
        """The phases in order, the one that runs with status `running`."""
        if self.tip is None:
            return {}
        manifest = self.tip.manifest
        found = {name: state_of(manifest, name) for name in manifest.order}
        now = self.running.phase if self.running else None
        if now in found:
            found[now] = replace(found[now], status=Status.RUNNING)
        return found


def open_gates(manifest: Manifest) -> tuple[PhaseName, ...]:
    """The gates that wait for an answer."""
    return tuple(name for name in manifest.order if state_of(manifest, name).status is Status.WAITING)


def standing(branch: Branch, place: Place, who: Holder | None) -> Standing:
    """Where the workflow stands; `who` holds the workspace's lock. Raises what reading the newest checkpoint does."""
    tip = branch.newest()
    try:
        record = place.read()
        damage: tuple[str, ...] = ()
    except Damaged as problem:
        # History is whole without it, and reading must go on.
        record, damage = Record(), (problem.message,)
    running = _running(branch, place, record, who, tip) if who else None
    unfinished = damage if damage or who else tuple(_unfinished(branch, record, tip))
    stuck = _stuck(tip.manifest, record, running) if tip else ()
    return Standing(
        tip=tip,
        running=running,
        unfinished=unfinished,
        stuck=stuck,
        next_command=None if who else _next_command(branch, record, tip),
    )


def _running(branch: Branch, place: Place, record: Record, who: Holder, tip: Point | None) -> Running:
    under_way = record.attempt
    if under_way is not None and under_way.workflow == branch.workflow:
        return Running(
            who=who,
            phase=under_way.phase,
            attempt=under_way.number,
            since=under_way.started,
            items=under_way.items,
            pace=_of_events().pace(branch, tip, under_way.phase) if tip and under_way.items else None,
        )
    try:
        live = decode_manifest((place.live / "state.json").read_bytes())
    except (OSError, Damaged):
        # The mirror is for eyes: without it the phase is not named.
        return Running(who=who)
    if live.workflow != branch.workflow:
        return Running(who=who)
    phase = next((name for name, state in live.phases.items() if state.status is Status.RUNNING), None)
    return Running(who=who, phase=phase)


def _of_events() -> ModuleType:
    """What events tell, loaded when it is asked for: it takes longer than all the rest of a look."""
    return import_module("gitckpt.engine.inspect_events")


def _unfinished(branch: Branch, record: Record, tip: Point | None) -> Iterator[str]:
    landing, attempt = record.landing, record.attempt
    if landing is not None and landing.workflow == branch.workflow and tip is not None and landing.to == tip.oid:
        what = "rollback" if _of_events().is_rollback(branch, tip) else "command"
        yield f"an interrupted {what} will be finished by the next command that writes"
    elif landing is not None and landing.workflow != branch.workflow:
        yield f"a command of workflow {landing.workflow} was interrupted here; run that one first"
    if attempt is not None and attempt.workflow == branch.workflow:
        # The commands of `always` are no attempt of a phase: they have no number.
        what = f"{attempt.phase}@{attempt.number}" if attempt.number else str(attempt.phase)
        yield (f"{what} was cut off; the next `gitckpt run` keeps what it left and puts your files back")
    if tip is not None and landing is None:
        yield from _away(branch, record, tip)
    elif tip is None and branch.elsewhere():
        yield "its history is on a remote only: gitckpt rollback latest takes it, gitckpt adopt keeps these files"


def _away(branch: Branch, record: Record, tip: Point) -> Iterator[str]:
    base = record.bases.get(branch.workflow)
    if base == tip.oid:
        return
    ways = "gitckpt rollback latest takes the newest, gitckpt adopt keeps these files"
    if base is not None and branch.reader.commit(base) is not None:
        yield f"this workspace is at {branch.manifest(base).sequence:04d}, the branch at {tip.number:04d}: {ways}"
    else:
        yield f"this workspace was never at a checkpoint of it; unless its files equal {tip.number:04d}: {ways}"


def _stuck(manifest: Manifest, record: Record, running: Running | None) -> tuple[PhaseName, ...]:
    """An attempt that died and is not recorded yet counts, too."""
    attempt = record.attempt if running is None else None
    died = attempt.phase if attempt is not None and attempt.workflow == manifest.workflow else None
    return tuple(name for name in manifest.order if state_of(manifest, name).cut_offs + (name == died) >= STUCK)


def _next_command(branch: Branch, record: Record, tip: Point | None) -> str | None:
    if tip is None:
        return "gitckpt rollback latest" if branch.elsewhere() else "gitckpt run"
    base = record.bases.get(branch.workflow)
    if base is not None and base != tip.oid and record.landing is None:
        return "gitckpt rollback latest"
    if not tip.manifest.order:
        return None  # scripts make its checkpoints; which one is next, only they know
    gates = open_gates(tip.manifest)
    if gates and record.attempt is None and tip.manifest.goal.kind == "finish":
        return f"gitckpt approve {gates[0]}"
    if is_complete(tip.manifest) and tip.manifest.run and record.attempt is None:
        return "gitckpt run --again"
    current = state_of(tip.manifest, PhaseName(tip.manifest.current_state))
    if current.status is Status.FAILED and not current.attempts and record.attempt is None:
        # A gate that was rejected, for nothing was tried: `run` would only say so again.
        return f"gitckpt retry {tip.manifest.current_state}"
    return "gitckpt run"
