"""What other processes ask of an active run, and how it is done: named checkpoints and `data`.

Owns the requests' text on both sides. A request from inside the phase under way lands with that phase.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from gitckpt.engine.hold import Hold, open_pack, take_snapshot
from gitckpt.engine.land import Landing, land
from gitckpt.engine.mirror import mirror_running
from gitckpt.errors import GitckptError
from gitckpt.execute import inbox
from gitckpt.model.advance import IllegalEvent, advance
from gitckpt.model.codec import dumps
from gitckpt.model.events import DataAppended, DataIncremented, DataSet, Event, Named
from gitckpt.model.manifest import Json
from gitckpt.model.names import PhaseName
from gitckpt.progress.events import Note


@dataclass(eq=False)
class RequestRefused(GitckptError):
    """The active run could not do what was asked."""

    why: str

    @property
    def message(self) -> str:
        return self.why


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`checkpoint` with `text` its message, or a change of `data[key]`."""

    verb: Literal["checkpoint", "set", "append", "incr", "get"]
    phase: PhaseName | None = None
    text: str = ""
    key: str = ""
    value: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`number`: of the checkpoint made; `value`: what `data[key]` is now; `error`: why it was not done."""

    number: int | None = None
    value: Json = None
    error: str | None = None


def ask(folder: Path, request: Request, alive: Callable[[], bool], timeout_s: float) -> Answer:
    """Ask the active run and wait until it is recorded. Raises RequestRefused, RunEnded."""
    require_storable(request)
    ticket = inbox.post(folder, msgspec.json.encode(request))
    answer = msgspec.json.decode(inbox.wait(folder, ticket, alive, timeout_s), type=Answer)
    if answer.error is not None:
        raise RequestRefused(answer.error)
    return answer


def require_storable(request: Request) -> None:
    """Raises RequestRefused for what JSON in UTF-8 cannot hold: half a surrogate pair, a number without end."""
    try:
        dumps([request.text, request.key, request.value])
    except (ValueError, RecursionError) as error:
        raise RequestRefused(f"that cannot be stored as JSON in UTF-8: {error}") from error


def event_of(request: Request, at: str) -> Event | None:
    """The event a request stands for; None for one that only reads. Raises RequestRefused for what cannot be stored."""
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
        case "get":
            return None


def serve(hold: Hold, phase: PhaseName) -> None:
    """Do every request that waits, in order, and answer it."""
    for ticket, data in inbox.pending(hold.place.inbox):
        try:
            answer = _serve_one(hold, phase, msgspec.json.decode(data, type=Request))
        except (IllegalEvent, msgspec.DecodeError, GitckptError) as error:
            answer = Answer(error=str(error))
        inbox.answer(hold.place.inbox, ticket, msgspec.json.encode(answer))


def _serve_one(hold: Hold, running: PhaseName, request: Request) -> Answer:
    manifest = hold.at_tip.manifest
    event = event_of(request, hold.now())
    if event is None:
        now = advance(manifest, hold.staged) if hold.staged else manifest
        return Answer(value=now.data.get(request.key))
    if isinstance(event, Named):
        event = Named(at=event.at, message=event.message, phase=running)
        with open_pack(hold) as pack:
            found = take_snapshot(hold, pack)
            events = (*hold.staged, event)
            checkpoint = land(hold, pack, Landing(events=events, content=found.content, found=found.content))
        hold.staged.clear()
        mirror_running(hold, running)
        hold.reporter(Note(f"{running}: checkpoint {checkpoint.number:04d} {request.text}"))
        return Answer(number=checkpoint.number)
    after = advance(manifest, [*hold.staged, event])
    hold.staged.append(event)
    mirror_running(hold, running)
    return Answer(value=after.data.get(request.key))
