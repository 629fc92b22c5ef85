"""What a run prints, as it prints it: piece by piece, across attempts, items and phases, until the run ends.

Owns whose output each piece is. Reads only; must not know how it is shown.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from gitckpt.api.opening import open_store
from gitckpt.api.reading import Where, Workspace, active, find_workspace
from gitckpt.engine.place import AttemptUnderWay, Place
from gitckpt.errors import GitckptError
from gitckpt.execute.follow import LiveOutput
from gitckpt.model.codec import Damaged
from gitckpt.model.manifest import DONE, state_of
from gitckpt.model.names import PhaseName
from gitckpt.store.definition import decode_workflow

_LOOK_S = 0.01


@dataclass(eq=False)
class NothingToFollow(GitckptError):
    """No run is active."""

    @property
    def message(self) -> str:
        return "no run is active here, so there is no output to follow"

    @property
    def hint(self) -> str:
        return "what a phase printed: gitckpt output PHASE; begin a run: gitckpt run --detach"


@dataclass(eq=False)
class SecretNotSet(GitckptError):
    """A declared secret that has no value here could not be masked in what the run prints."""

    name: str

    @property
    def message(self) -> str:
        return f"the secret {self.name} is not set here, so it cannot be masked in what the run prints"

    @property
    def hint(self) -> str:
        return f"set {self.name} as the run has it; or see the output when the phase has ended: gitckpt output PHASE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What an attempt printed meanwhile; `last`: nothing follows."""

    phase: PhaseName | None
    attempt: int | None
    data: bytes
    last: bool = False


def is_to_follow(where: Where, phase: PhaseName | None) -> bool:
    """Whether the phase, or anything without a name, may still print. Raises NothingToFollow without a name."""
    with open_store(where) as (workspace, store):
        if active(workspace) is None:
            if phase is None:
                raise NothingToFollow
            return False
        tip = store.tip()
        under_way = _under_way(workspace.place)
    running = under_way.phase if under_way else None
    return tip is None or phase is None or phase == running or state_of(tip.manifest, phase).status not in DONE


def pieces(where: Where, phase: PhaseName | None) -> Iterator[Piece]:
    """What is printed by the phase, or by whatever runs, until no run is active. Raises SecretNotSet."""
    workspace = find_workspace(where)
    with closing(LiveOutput(workspace.place.output, _secrets(where, workspace))) as live:
        attempt = _attempt_of(workspace.place, live)
        if attempt is None:
            live.skip()
        waiting = b""
        while True:
            ended = active(workspace) is None
            over = ended or live.replaced()
            attempt = attempt or _attempt_of(workspace.place, live)
            waiting += live.rest() if over else live.read()
            # Until the journal says whose it is, it waits: an attempt is journalled just after its file is made.
            if (attempt is not None or over) and (waiting or over):
                if phase is None or (attempt is not None and attempt.phase == phase):
                    yield _piece(attempt, waiting, last=over)
                waiting = b""
            if ended:
                return
            if over:
                live.begin_anew()
                attempt = None
            else:
                time.sleep(_LOOK_S)


def _piece(attempt: AttemptUnderWay | None, data: bytes, *, last: bool) -> Piece:
    name = attempt.phase if attempt else None
    number = attempt.number if attempt else None
    return Piece(phase=name, attempt=number, data=data, last=last)


def _attempt_of(place: Place, live: LiveOutput) -> AttemptUnderWay | None:
    """Whose output the file is that is read. The journal is believed while the path still names that file."""
    found = _under_way(place)
    return None if live.replaced() else found


def _under_way(place: Place) -> AttemptUnderWay | None:
    try:
        return place.read().attempt
    except Damaged:
        return None


def _secrets(where: Where, workspace: Workspace) -> Sequence[bytes]:
    """The values of the secrets that the run declares; the first checkpoint may still be under way."""
    while True:
        with open_store(where) as (_, store):
            tip = store.tip_oid()
            if tip is not None:
                names = decode_workflow(store.definition(tip)).secrets
                break
        if active(workspace) is None:
            raise store.no_checkpoints()
        time.sleep(_LOOK_S)
    for name in names:
        if not os.environ.get(name):
            raise SecretNotSet(name)
    return [os.fsencode(os.environ[name]) for name in names]
