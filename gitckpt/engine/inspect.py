"""Where a workflow stands, read and never changed.

Owns the account of one moment (`standing`). Loads no YAML, takes no lock, finishes no journal: what an unclean end
left is reported. People ask often, so what only events tell is loaded where there is something to tell. Must not know
how anything is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from types import ModuleType
from typing import Literal

from gitckpt.engine.beyond import Beyond, beyond
from gitckpt.engine.place import AttemptUnderWay, Place, Record
from gitckpt.errors import Holder
from gitckpt.model.codec import Damaged, decode_manifest
from gitckpt.model.conflicts import conflicts
from gitckpt.model.dated import OutOfDate, command_for, out_of_date
from gitckpt.model.manifest import Manifest, PhaseState, Status, is_complete, state_of
from gitckpt.model.names import PhaseName
from gitckpt.plumbing.refs import list_refs
from gitckpt.store import refs
from gitckpt.store.branch import Branch, Point

STUCK = 3
"""So many cut-offs in a row, and a phase is called stuck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How many items an hour the newest checkpoints of a phase did, and how long the rest takes at that pace."""

    items_per_hour: int
    left_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """An attempt under way. `attempt` None where it is not known; `items`: which it is at, for people; `pace`: how fast
    its phase is, where that is known; `view`: of which kind its own view of the workspace is, None where it has none.
    """

    phase: PhaseName
    attempt: int | None = None
    since: str = ""
    items: str = ""
    pace: Pace | None = None
    view: Literal["overlay", "copy"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Who works in the workspace now, and the attempts under way, oldest first: none between phases, and while another
    command works."""

    who: Holder
    flights: tuple[Flight, ...] = ()

    @property
    def first(self) -> Flight | None:
        """The attempt that began first."""
        return self.flights[0] if self.flights else None

    def of(self, phase: PhaseName) -> tuple[Flight, ...]:
        """The attempts of one phase."""
        return tuple(flight for flight in self.flights if flight.phase == phase)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One moment. `tip` is the newest checkpoint, None without history; `unfinished` says in sentences what is not as a
    clean end leaves it; `next_command` is None while somebody works, and where scripts make the checkpoints.
    `to_be_merged`: how many attempts of each phase have succeeded and wait for their turn to be part of the history; of
    one without items it is the phase that has."""

    tip: Point | None
    running: Running | None
    unfinished: tuple[str, ...]
    stuck: tuple[PhaseName, ...]
    next_command: str | None
    to_be_merged: Mapping[PhaseName, int] = field(default_factory=dict)

    @property
    def phases(self) -> Mapping[PhaseName, PhaseState]:
        """The phases in order: those that run with status `running`, those that only wait to be merged `completed`."""
        if self.tip is None:
            return {}
        manifest = self.tip.manifest
        found = {name: state_of(manifest, name) for name in manifest.order}
        for name in self.to_be_merged:
            if name in found and found[name].items is None:
                found[name] = replace(found[name], status=Status.COMPLETED)
        for flight in self.running.flights if self.running else ():
            if flight.phase in found:
                found[flight.phase] = replace(found[flight.phase], status=Status.RUNNING)
        return found

    @property
    def out_of_date(self) -> tuple[OutOfDate, ...]:
        """The completed phases that are older than a phase they need."""
        return out_of_date(self.tip.manifest) if self.tip else ()


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
    merges = to_be_merged(branch, record)
    known = None if damage or who else beyond(branch, place, tip, record)
    unfinished = damage if damage or who else tuple(_unfinished(branch, record, tip, merges, known))
    stuck = _stuck(tip.manifest, record, running) if tip else ()
    return Standing(
        tip=tip,
        running=running,
        unfinished=unfinished,
        stuck=stuck,
        next_command=None if who else _next_command(branch, record, tip, known),
        to_be_merged=merges,
    )


def to_be_merged(branch: Branch, record: Record) -> Mapping[PhaseName, int]:
    """How many attempts of each phase have succeeded and are not merged. Git is asked only where a view has one."""
    if not any(view.own for view in record.views if view.under_way.workflow == branch.workflow):
        return {}
    waiting = frozenset(list_refs(branch.repository, refs.finished(branch.workflow)).values())
    names = [view.under_way.phase for view in record.views if view.own in waiting]
    return {name: names.count(name) for name in dict.fromkeys(names)}


def _running(branch: Branch, place: Place, record: Record, who: Holder, tip: Point | None) -> Running:
    under_way: list[tuple[AttemptUnderWay, Literal["overlay", "copy"] | None]] = []
    under_way += [(record.attempt, None)] if record.attempt is not None else []
    under_way += [(view.under_way, view.kind) for view in record.views if view.own is None]
    mine = [(attempt, kind) for attempt, kind in under_way if attempt.workflow == branch.workflow]
    if mine:
        paces = {a.phase: _of_events().pace(branch, tip, a.phase) for a, _ in mine if tip and a.items}
        flights = (
            Flight(
                phase=attempt.phase,
                attempt=attempt.number,
                since=attempt.started,
                items=attempt.items,
                pace=paces.get(attempt.phase),
                view=kind,
            )
            for attempt, kind in mine
        )
        return Running(who=who, flights=tuple(flights))
    try:
        live = decode_manifest((place.live / "state.json").read_bytes())
    except (OSError, Damaged):
        # The mirror is for eyes: without it the phases are not named.
        return Running(who=who)
    if live.workflow != branch.workflow:
        return Running(who=who)
    names = [name for name in live.order if state_of(live, name).status is Status.RUNNING]
    return Running(who=who, flights=tuple(Flight(phase=name) for name in names))


def _of_events() -> ModuleType:
    """What events tell, loaded when it is asked for: it takes longer than all the rest of a look."""
    return import_module("gitckpt.engine.inspect_events")


def _unfinished(
    branch: Branch, record: Record, tip: Point | None, merges: Mapping[PhaseName, int], known: Beyond | None
) -> Iterator[str]:
    landing, attempt = record.landing, record.attempt
    if landing is not None and landing.workflow == branch.workflow and tip is not None and landing.to == tip.oid:
        what = "rollback" if _of_events().is_rollback(branch, tip) else "command"
        yield f"an interrupted {what} will be finished by the next command that writes"
    elif landing is not None and landing.workflow != branch.workflow:
        yield f"a command of workflow {landing.workflow} was interrupted here; run that one first"
    died = [attempt] if attempt is not None else []
    died += [view.under_way for view in record.views if view.own is None]
    # The commands of `always` are no attempt of a phase: they have no number.
    cut = dict.fromkeys(
        f"{each.phase}@{each.number}" if each.number else str(each.phase)
        for each in died
        if each.workflow == branch.workflow
    )
    if cut:
        kept = "what it left and puts" if len(cut) == 1 else "what they left and puts"
        yield f"{', '.join(cut)} {_was(len(cut))} cut off; the next `gitckpt run` keeps {kept} your files back"
    if merges:
        yield f"{', '.join(merges)} had succeeded; the next `gitckpt run` merges {'it' if len(merges) == 1 else 'them'}"
    elif tip is not None and landing is None and record.ahead.get(branch.workflow) == tip.oid:
        yield f"your files are not yet as at {tip.number:04d}; the next command that writes brings them there"
    if known is not None:
        yield f"{known.what}: {'; '.join(known.ways(branch.workflow, None))}"
    elif tip is not None and landing is None:
        yield from _away(branch, record, tip)
    elif tip is None and branch.elsewhere():
        yield "its history is on a remote only: gitckpt rollback latest takes it, gitckpt adopt keeps these files"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _away(branch: Branch, record: Record, tip: Point) -> Iterator[str]:
    base = record.bases.get(branch.workflow)
    if tip.oid in (base, record.ahead.get(branch.workflow)):
        return
    ways = "gitckpt rollback latest takes the newest, gitckpt adopt keeps these files"
    if base is not None and branch.reader.commit(base) is not None:
        yield f"this workspace is at {branch.manifest(base).sequence:04d}, the branch at {tip.number:04d}: {ways}"
    else:
        yield f"this workspace was never at a checkpoint of it; unless its files equal {tip.number:04d}: {ways}"


def _stuck(manifest: Manifest, record: Record, running: Running | None) -> tuple[PhaseName, ...]:
    """An attempt that died and is not recorded yet counts, too."""
    under_way = [record.attempt] if record.attempt is not None else []
    under_way += [view.under_way for view in record.views if view.own is None]
    died = {each.phase for each in under_way if running is None and each.workflow == manifest.workflow}
    return tuple(name for name in manifest.order if state_of(manifest, name).cut_offs + (name in died) >= STUCK)


def _next_command(branch: Branch, record: Record, tip: Point | None, known: Beyond | None) -> str | None:
    if known is not None and known.kind in ("behind", "gone"):
        return "gitckpt doctor --repair"
    if known is not None and known.kind == "lost":
        return None
    if tip is None:
        return "gitckpt rollback latest" if branch.elsewhere() else "gitckpt run"
    base, ahead = record.bases.get(branch.workflow), record.ahead.get(branch.workflow)
    if base is not None and tip.oid not in (base, ahead) and record.landing is None:
        return "gitckpt rollback latest"
    if not tip.manifest.order:
        return None  # scripts make its checkpoints; which one is next, only they know
    cut_off = record.attempt is not None or bool(record.views)
    if conflicts(tip.manifest) and not cut_off:
        return "gitckpt resolve"
    gates = open_gates(tip.manifest)
    if gates and not cut_off and tip.manifest.goal.kind == "finish":
        return f"gitckpt approve {gates[0]}"
    if is_complete(tip.manifest) and tip.manifest.run and not cut_off:
        older = out_of_date(tip.manifest)
        return command_for(older) if older else "gitckpt run --again"
    current = state_of(tip.manifest, PhaseName(tip.manifest.current_state))
    if current.status is Status.FAILED and not current.attempts and not cut_off:
        # A gate that was rejected, for nothing was tried: `run` would only say so again.
        return f"gitckpt retry {tip.manifest.current_state}"
    return "gitckpt run"
