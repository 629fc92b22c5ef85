"""Where a workflow stands, read and never changed.

Owns the account of one moment (`standing`). Loads no YAML, takes no lock, finishes no journal: what an unclean end
left is reported. Must not know how anything is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from gitckpt.engine.place import Place, Record
from gitckpt.errors import Holder
from gitckpt.model.codec import Damaged, decode_manifest
from gitckpt.model.items import ItemsCompleted, ItemsFailed, count_of
from gitckpt.model.manifest import Manifest, PhaseState, Status, is_complete, state_of
from gitckpt.model.names import PhaseName
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.store import Store

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
    """One moment. `manifest` is the newest checkpoint's, None without history; `unfinished` says in sentences what
    is not as a clean end leaves it; `next_command` is None while somebody works,
    and where scripts make the checkpoints."""

    tip: Checkpoint | None
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


def standing(store: Store, place: Place, who: Holder | None) -> Standing:
    """Where the workflow stands; `who` holds the workspace's lock. Raises what reading the newest checkpoint does."""
    tip = store.tip()
    try:
        record = place.read()
        damage: tuple[str, ...] = ()
    except Damaged as problem:
        # History is whole without it, and reading must go on.
        record, damage = Record(), (problem.message,)
    running = _running(store, place, record, who, tip) if who else None
    unfinished = damage if damage or who else tuple(_unfinished(store, record, tip))
    stuck = _stuck(tip.manifest, record, running) if tip else ()
    return Standing(
        tip=tip,
        running=running,
        unfinished=unfinished,
        stuck=stuck,
        next_command=None if who else _next_command(store, record, tip),
    )


def _running(store: Store, place: Place, record: Record, who: Holder, tip: Checkpoint | None) -> Running:
    under_way = record.attempt
    if under_way is not None and under_way.workflow == store.workflow:
        return Running(
            who=who,
            phase=under_way.phase,
            attempt=under_way.number,
            since=under_way.started,
            items=under_way.items,
            pace=_pace(store, tip, under_way.phase) if tip and under_way.items else None,
        )
    try:
        live = decode_manifest((place.live / "state.json").read_bytes())
    except (OSError, Damaged):
        # The mirror is for eyes: without it the phase is not named.
        return Running(who=who)
    if live.workflow != store.workflow:
        return Running(who=who)
    phase = next((name for name, state in live.phases.items() if state.status is Status.RUNNING), None)
    return Running(who=who, phase=phase)


def _pace(store: Store, tip: Checkpoint, phase: PhaseName) -> Pace | None:
    """By the newest checkpoints with items of the phase. Their times have the grain of a second, and between two runs
    nothing was done: where the clock says far more than the processes took, those are believed."""
    items = state_of(tip.manifest, phase).items
    count, took_ms = 0, 0
    begun = ended = ""
    at: Checkpoint | None = tip
    for _ in range(_PACED_BY):
        event = next((e for e in at.events if isinstance(e, ItemsCompleted | ItemsFailed)), None) if at else None
        if at is None or event is None or event.phase != phase:
            break
        count += count_of(event.items)
        took_ms += event.duration_ms
        begun, ended = event.started, ended or event.at
        at = store.read(at.parents[0]) if at.parents else None
    if items is None or not count:
        return None
    wall_ms = int((datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds() * 1000)
    spent = max(took_ms, wall_ms if wall_ms <= 2 * took_ms + _GRAIN_MS else 0, 1)
    left = items.total - items.done - items.failed - items.skipped
    return Pace(items_per_hour=count * 3_600_000 // spent, left_ms=max(left, 0) * spent // count)


_PACED_BY = 20
_GRAIN_MS = 5_000


def _unfinished(store: Store, record: Record, tip: Checkpoint | None) -> Iterator[str]:
    landing, attempt = record.landing, record.attempt
    if landing is not None and landing.workflow == store.workflow and tip is not None and landing.to == tip.oid:
        what = tip.title.kind if tip.title.kind == "rollback" else "command"
        yield f"an interrupted {what} will be finished by the next command that writes"
    elif landing is not None and landing.workflow != store.workflow:
        yield f"a command of workflow {landing.workflow} was interrupted here; run that one first"
    if attempt is not None and attempt.workflow == store.workflow:
        yield (
            f"{attempt.phase}@{attempt.number} was cut off; the next `gitckpt run` keeps what it left "
            "and puts your files back"
        )
    if tip is not None and landing is None:
        yield from _away(store, record, tip)
    elif tip is None and store.elsewhere():
        yield "its history is on a remote only: gitckpt rollback latest takes it, gitckpt adopt keeps these files"


def _away(store: Store, record: Record, tip: Checkpoint) -> Iterator[str]:
    base = record.bases.get(store.workflow)
    if base == tip.oid:
        return
    ways = "gitckpt rollback latest takes the newest, gitckpt adopt keeps these files"
    if base is not None and store.reader.commit(base) is not None:
        yield f"this workspace is at {store.manifest(base).sequence:04d}, the branch at {tip.number:04d}: {ways}"
    else:
        yield f"this workspace was never at a checkpoint of it; unless its files equal {tip.number:04d}: {ways}"


def _stuck(manifest: Manifest, record: Record, running: Running | None) -> tuple[PhaseName, ...]:
    """An attempt that died and is not recorded yet counts, too."""
    attempt = record.attempt if running is None else None
    died = attempt.phase if attempt is not None and attempt.workflow == manifest.workflow else None
    return tuple(name for name in manifest.order if state_of(manifest, name).cut_offs + (name == died) >= STUCK)


def _next_command(store: Store, record: Record, tip: Checkpoint | None) -> str | None:
    if tip is None:
        return "gitckpt rollback latest" if store.elsewhere() else "gitckpt run"
    base = record.bases.get(store.workflow)
    if base is not None and base != tip.oid and record.landing is None:
        return "gitckpt rollback latest"
    if not tip.manifest.order:
        return None  # scripts make its checkpoints; which one is next, only they know
    gates = open_gates(tip.manifest)
    if gates and record.attempt is None and tip.manifest.goal.kind == "finish":
        return f"gitckpt approve {gates[0]}"
    if is_complete(tip.manifest) and tip.manifest.run and record.attempt is None:
        return "gitckpt run --again"
    return "gitckpt run"
