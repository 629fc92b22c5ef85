"""What other processes ask of an active run, and how it is done.

Owns the requests' text on both sides, and when each is done: at once what needs no files, as a checkpoint of its own;
at the next boundary a named checkpoint, for the files belong to the phase under way. What that phase asks for itself
lands with it. Must not know who waits for the answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias, assert_never

import msgspec

from gitckpt.engine.answers import Reply, answer
from gitckpt.engine.arrival import Arrival, OfData, foreseen
from gitckpt.engine.begin import record, skip
from gitckpt.engine.capturing import require_no_secret
from gitckpt.engine.hold import Hold, open_pack, take_snapshot
from gitckpt.engine.inflight import InFlight
from gitckpt.engine.land import Landing, land
from gitckpt.engine.merge import land_so_far
from gitckpt.engine.mirror import mirror_running
from gitckpt.engine.settle import record_edits
from gitckpt.errors import GitckptError
from gitckpt.execute import inbox
from gitckpt.model.advance import IllegalEvent, advance
from gitckpt.model.codec import dumps
from gitckpt.model.events import DataAppended, DataIncremented, DataSet, Event, Named, Paused
from gitckpt.model.graph import phase_named
from gitckpt.model.manifest import Json, Manifest
from gitckpt.model.names import PhaseName
from gitckpt.progress.events import Note
from gitckpt.store.checkpoint import Checkpoint


@dataclass(eq=False)
class RequestRefused(GitckptError):
    """The active run could not do what was asked."""

    why: str
    way_on: str = ""

    @property
    def message(self) -> str:
        return self.why

    @property
    def hint(self) -> str:
        return self.way_on


Verb: TypeAlias = Literal["checkpoint", "set", "append", "incr", "get", "approve", "reject", "skip", "pause"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked. `text` is the message or reason; `phase`: the phase from inside of which it was asked, and
    `flight` which of its attempts, where several are under way.

    `key` and `value` are for changes of `data`; `target` is the phase that is answered or skipped; `fields` are the
    answers of an approval; `author` and `email` say who asks.
    """

    verb: Verb
    phase: PhaseName | None = None
    flight: str = ""
    text: str = ""
    key: str = ""
    value: Json = None
    target: PhaseName | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    author: str = ""
    email: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`number`: of the checkpoint made, None for what lands with its phase; `phase`: the one it is about; `value`: what
    `data[key]` is now; `error` and `hint`: why it was not done."""

    number: int | None = None
    phase: PhaseName | None = None
    value: Json = None
    error: str | None = None
    hint: str = ""


def ask(folder: Path, request: Request, alive: Callable[[], bool], timeout_s: float) -> Answer:
    """Ask the active run and wait until it is recorded. Raises RequestRefused, RunEnded, and NotTaken where nobody
    looked at it."""
    require_storable(request)
    ticket = inbox.post(folder, msgspec.json.encode(request))
    said = msgspec.json.decode(inbox.wait(folder, ticket, alive, timeout_s), type=Answer)
    if said.error is not None:
        raise RequestRefused(said.error, said.hint)
    return said


def require_storable(request: Request) -> None:
    """Raises RequestRefused for what JSON in UTF-8 cannot hold: half a surrogate pair, a number without end."""
    try:
        dumps([request.text, request.key, request.value, request.author, request.email, dict(request.fields)])
    except (ValueError, RecursionError) as error:
        raise RequestRefused(f"that cannot be stored as JSON in UTF-8: {error}") from error


def event_of(request: Request, at: str) -> Named | OfData | None:
    """The event that a named checkpoint or a change of `data` stands for; None for all else. Raises RequestRefused
    for what cannot be stored."""
    require_storable(request)
    match request.verb:
        case "checkpoint":
            return Named(at=at, message=request.text, phase=request.phase)
        case "set":
            return DataSet(at=at, key=request.key, value=request.value)
        case "append":
            return DataAppended(at=at, key=request.key, value=request.value)
        case "incr":
            by = request.value
            if not isinstance(by, int) or isinstance(by, bool):
                raise IllegalEvent(f"{by!r} is not a whole number")
            return DataIncremented(at=at, key=request.key, by=by)
        case _:
            return None


def serve(hold: Hold, flights: Sequence[InFlight], waiting: Sequence[Arrival] = ()) -> int:
    """Do the requests that wait, oldest first, and answer them; how many were done. `flights` are under way; at a
    boundary there are none, and the workspace equals the tip but for what the user did. `waiting` have ended, and are
    not merged yet."""
    done = 0
    for ticket, data in inbox.pending(hold.place.inbox):
        try:
            request = msgspec.json.decode(data, type=Request)
        except msgspec.DecodeError as error:
            inbox.answer(hold.place.inbox, ticket, msgspec.json.encode(Answer(error=f"not understood: {error}")))
            continue
        if _is_for_later(request, flights) or not inbox.take(hold.place.inbox, ticket):
            continue
        try:
            said = do(hold, flights, request, waiting)
            _tell(hold, request)
        except GitckptError as error:
            said = Answer(error=error.message, hint=error.hint)
        except IllegalEvent as error:
            said = Answer(error=str(error))
        inbox.answer(hold.place.inbox, ticket, msgspec.json.encode(said))
        done += 1
    return done


def _is_for_later(request: Request, flights: Sequence[InFlight]) -> bool:
    """A checkpoint of files that belong to somebody else's phase has to wait for the end of it."""
    return request.verb == "checkpoint" and bool(flights) and _asking(flights, request) is None


def _asking(flights: Sequence[InFlight], request: Request) -> InFlight | None:
    """The attempt from inside of which it is asked."""
    if request.phase is None:
        return None
    own = [flight for flight in flights if flight.phase.name == request.phase and flight.name == request.flight]
    return own[0] if own else None


def do(hold: Hold, flights: Sequence[InFlight], request: Request, waiting: Sequence[Arrival] = ()) -> Answer:
    """Do one request in a workspace that is settled, or with `flights` under way and others `waiting` to be merged.

    Raises IllegalEvent for a change that cannot be, RequestRefused, AlreadyDone, and what answering a gate raises.
    """
    event = event_of(request, hold.now())
    refuse_secret(hold, request)
    match request.verb:
        case "checkpoint" | "set" | "append" | "incr":
            assert event is not None  # these four have one
            return _event_done(hold, flights, waiting, request, event)
        case "get":
            return Answer(value=_data(hold, waiting, _asking(flights, request), request.key))
        case "approve" | "reject":
            reply = Reply(
                approved=request.verb == "approve",
                author=request.author,
                email=request.email,
                fields=request.fields,
                reason=request.text,
            )
            made = answer(hold, request.target, reply)
        case "skip":
            made = _skipped(hold, flights, waiting, request)
        case "pause":
            made = record(hold, Paused(at=hold.now(), author=request.author, reason=request.text))
            hold.paused = request.author
        case _:
            assert_never(request.verb)
    mirror_running(hold, flights)
    return Answer(number=made.number, phase=made.title.phase)


def refuse_secret(hold: Hold, request: Request) -> None:
    """Raises HoldsSecret where what is to be recorded has the value of a declared secret in it."""
    value = request.value if isinstance(request.value, str) else json.dumps(request.value, ensure_ascii=False)
    given = (request.text, request.key, value, *request.fields.values())
    require_no_secret(hold.workflow, hold.given.environment, "that", *given)


def _event_done(
    hold: Hold, flights: Sequence[InFlight], waiting: Sequence[Arrival], request: Request, event: Named | OfData
) -> Answer:
    flight = _asking(flights, request)
    # The commands of `always` run inside of no phase that it could land with.
    phase = flight.phase.name if flight and flight.phase.name in hold.at_tip.manifest.phases else None
    if flight is not None and flight.undoing is not None:
        phase = None if isinstance(event, Named) else phase  # no attempt of the phase begins from it
    if flight is not None and isinstance(event, Named):
        made = _named_inside(hold, flight, replace(event, phase=phase))
        flight.staged.clear()
        mirror_running(hold, flights)
        return Answer(number=made.number)
    if flight is None or phase is None:
        return _recorded(hold, flights, waiting, request, event)
    _require_possible(hold, flights, waiting, flight, event)
    flight.staged.append(event)
    mirror_running(hold, flights)
    return Answer(value=_data(hold, waiting, flight, request.key))


def _require_possible(
    hold: Hold, flights: Sequence[InFlight], waiting: Sequence[Arrival], flight: InFlight, event: Event
) -> None:
    """Raises IllegalEvent where the attempt cannot do that to `data` after what has ended so far, or as it began; and
    RequestRefused where it could not be merged with what others under way did to it."""
    staged = [*flight.staged, event]
    advance(foreseen(hold.at_tip.manifest, (arrival.events for arrival in waiting)), staged)
    if flight.view is not None:
        advance(flight.start.manifest, staged)
    for other in flights:
        if other is not flight and other.staged:
            for order in ([*other.staged, *staged], [*staged, *other.staged]):
                _require_together(hold.at_tip.manifest, order, other.phase.name)


def _require_together(manifest: Manifest, events: Sequence[Event], other: PhaseName) -> None:
    try:
        advance(manifest, events)
    except IllegalEvent as error:
        raise RequestRefused(f"{other} has just changed it: {error}", "try again when that has ended") from error


def _named_inside(hold: Hold, flight: InFlight, event: Named) -> Checkpoint:
    """What the attempt has done so far, as a checkpoint that a later attempt starts from."""
    events: tuple[Event, ...] = (*flight.staged, event)
    if flight.view is not None:
        return land_so_far(hold, flight, events)
    with open_pack(hold) as pack:
        found = take_snapshot(hold, pack)
        return land(hold, pack, Landing(events=events, content=found.content, found=found.content))


def _recorded(
    hold: Hold, flights: Sequence[InFlight], waiting: Sequence[Arrival], request: Request, event: Named | OfData
) -> Answer:
    """A checkpoint of its own, which stays when the attempts under way fail."""
    if isinstance(event, Named):
        record_edits(hold, closing=(replace(event, phase=None),))
        return Answer(number=hold.at_tip.number)
    after = advance(hold.at_tip.manifest, [event])
    pending = [(arrival.phase, arrival.events) for arrival in waiting]
    for name, events in (*pending, *((flight.phase.name, tuple(flight.staged)) for flight in flights)):
        if events:
            _require_together(after, events, name)
    made = record(hold, event)
    mirror_running(hold, flights)
    return Answer(number=made.number, value=made.manifest.data.get(request.key))


def _skipped(hold: Hold, flights: Sequence[InFlight], waiting: Sequence[Arrival], request: Request) -> Checkpoint:
    name = request.target
    if name is None or phase_named(hold.workflow, name) is None:
        raise RequestRefused(f"the workflow as it runs has no phase {name}", "see the phases: gitckpt status")
    if any(flight.phase.name == name for flight in flights):
        raise RequestRefused(
            f"{name} runs now, so it cannot be skipped",
            "stop the run first (gitckpt pause lets it end, Ctrl-C or kill cuts it off), then skip it",
        )
    if any(arrival.phase == name for arrival in waiting):
        raise RequestRefused(
            f"{name} has succeeded, and waits to be merged", "when the run has ended: gitckpt rollback, or gitckpt undo"
        )
    return skip(hold, name, request.text, request.author)


def _data(hold: Hold, waiting: Sequence[Arrival], flight: InFlight | None, key: str) -> Json:
    manifest = foreseen(hold.at_tip.manifest, (arrival.events for arrival in waiting))
    now = advance(manifest, flight.staged) if flight and flight.staged else manifest
    return now.data.get(key) if key else dict(now.data)


def _tell(hold: Hold, request: Request) -> None:
    """Those who watch the run see what others did to it; values come by the thousand and are not told."""
    if request.verb not in ("get", "set", "append", "incr"):
        named = hold.at_tip.title
        words = (f"{hold.at_tip.number:04d}", named.phase or named.kind, named.status, named.detail)
        hold.reporter(Note(" ".join(word for word in words if word)))
