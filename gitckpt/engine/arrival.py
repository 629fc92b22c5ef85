"""What has come of an attempt in a view of its own, from its end until it is part of the history.

Owns these values, and the commit that holds exactly what the attempt did. Must not know in which order they are merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from gitckpt.engine.exact_times import joined_mtimes
from gitckpt.engine.hold import Hold
from gitckpt.engine.inflight import InFlight
from gitckpt.engine.place import AttemptUnderWay
from gitckpt.execute.process import Result
from gitckpt.model.advance import IllegalEvent, advance
from gitckpt.model.events import (
    AttemptCutOff,
    AttemptFailed,
    DataAppended,
    DataIncremented,
    DataSet,
    Event,
    PhaseCompleted,
)
from gitckpt.model.items import ItemsCompleted, ItemsFailed, indices_of
from gitckpt.model.manifest import Manifest
from gitckpt.model.names import Oid, PhaseName
from gitckpt.model.outcome import Outcome
from gitckpt.model.schedule import Flying
from gitckpt.plumbing.content import Content
from gitckpt.plumbing.pack import Pack
from gitckpt.store import refs
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.mtimes import mtimes_at
from gitckpt.store.publish import Draft, write_commit

Ended: TypeAlias = tuple[InFlight, Outcome, Result]

OfData = DataSet | DataAppended | DataIncremented


@dataclass(slots=True, kw_only=True)
class Arrival:
    """An attempt that has succeeded: it began from `start`, and left `content`; `events` are what it means.

    `definition`: what is stored with it, where that is not today's.
    `own`: the commit that says so, once it is written; `is_kept`: that has a ref. `attempt`: its number where it
    failed, and what it left is kept for the next one. `is_plain`: it changed no file, so that no commit of its own is
    merged. `needs`: commits that what it began from is made of. `ended`: the attempt itself, where it ran in this call.
    `dates`: the ids and mtimes (ns) of what it wrote.
    """

    under_way: AttemptUnderWay
    view: str
    first: int | None
    start: Checkpoint
    content: Content
    events: tuple[Event, ...]
    outputs: dict[PhaseName, bytes] = field(default_factory=dict)
    own: Oid | None = None
    attempt: int | None = None
    definition: bytes | None = None
    is_kept: bool = False
    is_plain: bool = False
    needs: tuple[Oid, ...] = ()
    ended: Ended | None = None
    dates: Mapping[bytes, tuple[bytes, int]] = field(default_factory=dict)

    @property
    def phase(self) -> PhaseName:
        return self.under_way.phase

    @property
    def flying(self) -> Flying:
        """The attempt, as decisions see it."""
        return Flying(phase=self.phase, first=self.first)

    @property
    def indices(self) -> list[int]:
        """Its items; none where it is a whole phase."""
        return [i for event in self.events if isinstance(event, ItemsCompleted) for i in indices_of(event.items)]

    @property
    def duration_ms(self) -> int:
        """How long it took."""
        done = (event for event in self.events if isinstance(event, ItemsCompleted | PhaseCompleted))
        return next((event.duration_ms for event in done), 0)

    def ref(self, hold: Hold) -> str:
        """Where its commit is kept while it waits for its turn."""
        name = self.phase if self.first is None else f"{self.phase}.{self.first}"
        return f"{refs.finished(hold.name)}{name}"


def write_own(hold: Hold, pack: Pack, arrival: Arrival) -> Oid:
    """The commit of exactly what the attempt did, on what it began from."""
    if arrival.own is None:
        draft = Draft(
            parents=(arrival.start.oid,),
            content=arrival.content,
            manifest=advance(arrival.start.manifest, arrival.events),
            events=arrival.events,
            definition=arrival.definition or hold.given.definition,
            is_beside=True,
            outputs=arrival.outputs,
            mtimes=joined_mtimes(hold, pack, mtimes_at(hold.store, arrival.start.oid), arrival.dates),
            author=hold.signature(),
            committer=hold.signature(),
        )
        arrival.own = write_commit(hold.store, pack, draft)
    return arrival.own


def foreseen(manifest: Manifest, waiting: Iterable[Sequence[Event]]) -> Manifest:
    """The manifest as it will be when what waits, each with what it means, is merged into it in this order. What one of
    them did to `data` and no longer fits is left out: its merge will say so."""
    for events in waiting:
        try:
            manifest = advance(manifest, events)
        except IllegalEvent:
            manifest = advance(manifest, [event for event in events if not isinstance(event, OfData)])
    return manifest


def as_failure(arrival: Arrival, number: int, why: str) -> tuple[Event, ...]:
    """The events of an attempt that cannot be merged: a failed try of that number, none of whose files stay."""
    found: list[Event] = []
    of_items = any(isinstance(event, ItemsCompleted) for event in arrival.events)
    for event in arrival.events:
        match event:
            # The last items of a phase complete it, too: that they have failed says all, and has used the number.
            case PhaseCompleted(at=at, phase=phase, started=started, duration_ms=took) if not of_items:
                found.append(
                    AttemptFailed(
                        at=at,
                        phase=phase,
                        attempt=number,
                        started=started,
                        duration_ms=took,
                        exit_code=None,
                        detail=why,
                    )
                )
            case ItemsCompleted(at=at, phase=phase, started=started, duration_ms=took):
                found.append(
                    ItemsFailed(
                        at=at,
                        phase=phase,
                        items=event.items,
                        newly=event.count - event.mended,
                        attempt=number,
                        started=started,
                        duration_ms=took,
                        exit_code=None,
                        detail=f"{event.detail}: {why}",
                        final=True,
                        busy_ms=event.busy_ms,
                    )
                )
            case AttemptFailed() | AttemptCutOff() | ItemsFailed():
                # Its files were to stay for the next one: they do not.
                found.append(replace(event, partial=False))
            case _:
                continue
    return tuple(found)


def renumbered(events: tuple[Event, ...], number: int) -> tuple[Event, ...]:
    """The events with a completion as that attempt: numbers are never used again."""
    return tuple(
        replace(event, attempt=max(event.attempt, number)) if isinstance(event, PhaseCompleted) else event
        for event in events
    )
