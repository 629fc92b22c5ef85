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
from gitckpt.engine.place import AttemptUnderWay, Place, Record, ViewUnderWay
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
    """What an attempt printed meanwhile; `last`: nothing follows. `view`: the name of its own view of the workspace,
    where others may run beside it; `items`: which it is at, for people."""

    phase: PhaseName | None
    attempt: int | None
    data: bytes
    last: bool = False
    view: str = ""
    items: str = ""


def is_to_follow(where: Where, phase: PhaseName | None) -> bool:
    """Whether the phase, or anything without a name, may still print. Raises NothingToFollow without a name."""
    with open_store(where) as (workspace, store):
        if active(workspace) is None:
            if phase is None:
                raise NothingToFollow
            return False
        tip = store.tip()
        record = _record(workspace.place)
    running = {view.under_way.phase for view in record.views} | ({record.attempt.phase} if record.attempt else set())
    return tip is None or phase is None or phase in running or state_of(tip.manifest, phase).status not in DONE


def pieces(where: Where, phase: PhaseName | None, before: bytes) -> Iterator[Piece]:
    """What is printed by the phase, or by whatever runs, until no run is active. `before`: what is stored of the phase
    from when it was found to go on. Raises SecretNotSet."""
    workspace = find_workspace(where)
    secrets = _secrets(where, workspace)
    shown = False
    with closing(_InPlace(workspace.place, secrets)) as in_place, closing(_InViews(workspace.place, secrets)) as views:
        while True:
            ended = active(workspace) is None
            for piece in (*in_place.printed(ended=ended), *views.printed(ended=ended)):
                if phase is None or piece.phase == phase:
                    shown = shown or bool(piece.data)
                    yield piece
            if ended:
                break
            if not in_place.is_behind:
                time.sleep(_LOOK_S)
    if phase is not None and not shown and (stored := stored_output(where, phase)) != before:
        # It was over between two looks, so that nobody saw whose output it was: its checkpoint has it.
        yield Piece(phase=phase, attempt=None, data=stored, last=True)


def stored_output(where: Where, phase: PhaseName | None) -> bytes:
    """What the newest checkpoint has of the phase's output."""
    if phase is None:
        return b""
    with open_store(where) as (_, store):
        tip = store.tip_oid()
        return (store.output(tip, phase) if tip is not None else None) or b""


class _InPlace:
    """The output of attempts in the workspace itself, one after the other, all at one path. `is_behind`: the path names
    another file by now."""

    def __init__(self, place: Place, secrets: Sequence[bytes]) -> None:
        self._place = place
        self._live = LiveOutput(place.desk.output, secrets)
        self._attempt = self._whose()
        self._waiting = b""
        self.is_behind = False
        if self._attempt is None:
            self._live.skip()

    def printed(self, *, ended: bool) -> Iterator[Piece]:
        """What is new; `ended`: nothing follows."""
        over = ended or self._live.replaced()
        attempt = self._attempt = self._attempt or self._whose()
        self._waiting += self._live.rest() if over else self._live.read()
        # Until the journal says whose it is, it waits: an attempt is journalled just after its file is made.
        if (attempt is not None or over) and (self._waiting or over):
            name, number = (attempt.phase, attempt.number) if attempt else (None, None)
            yield Piece(phase=name, attempt=number, data=self._waiting, last=over)
            self._waiting = b""
        self.is_behind = over and not ended
        if self.is_behind:
            self._live.begin_anew()
            self._attempt = None

    def _whose(self) -> AttemptUnderWay | None:
        """Whose output the file is that is read. The journal is believed while the path still names that file."""
        found = _record(self._place).attempt
        return None if self._live.replaced() else found

    def close(self) -> None:
        """Give the file back."""
        self._live.close()


class _InViews:
    """The output of attempts in views of their own, side by side, each in a file of its own."""

    def __init__(self, place: Place, secrets: Sequence[bytes]) -> None:
        self._place = place
        self._secrets = secrets
        self._open: dict[str, tuple[ViewUnderWay, LiveOutput]] = {}

    def printed(self, *, ended: bool) -> Iterator[Piece]:
        """What is new of each; `ended`: nothing follows."""
        running = {view.view: view for view in _record(self._place).views if view.own is None}
        for name, view in running.items():
            if name not in self._open:
                self._open[name] = view, LiveOutput(self._place.views / name / "output", self._secrets)
        for name, (view, live) in list(self._open.items()):
            over = ended or name not in running
            data = live.rest() if over else live.read()
            if data or over:
                attempt = view.under_way
                yield Piece(
                    phase=attempt.phase,
                    attempt=attempt.number,
                    data=data,
                    last=over,
                    view=name,
                    items=attempt.items,
                )
            if over:
                live.close()
                del self._open[name]

    def close(self) -> None:
        """Give the files back."""
        for _, live in self._open.values():
            live.close()


def _record(place: Place) -> Record:
    try:
        return place.read()
    except Damaged:
        return Record()


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
