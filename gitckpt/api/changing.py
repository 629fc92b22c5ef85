"""What is asked of a workflow from any process: answers, named checkpoints, changes of `data`, skips, a pause.

Owns who does it: the active run where there is one, else this command, with the locks. Must not know how it is said.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module

from gitckpt.api.reading import Fileless, Where, Workspace, find_workspace, read_data
from gitckpt.api.writing import phase_name, write
from gitckpt.engine.answers import NoGateWaits
from gitckpt.engine.begin import begin_run
from gitckpt.engine.conclude import NAME as ALWAYS
from gitckpt.engine.hold import Hold
from gitckpt.engine.place import FLIGHT, Place
from gitckpt.engine.ports import Reporter
from gitckpt.engine.requests import Answer, Request, ask, do, event_of, refuse_secret
from gitckpt.engine.settle import settle
from gitckpt.errors import Busy, GitckptError, Holder
from gitckpt.execute.inbox import NotTaken
from gitckpt.execute.lock import holder
from gitckpt.model.advance import IllegalEvent
from gitckpt.model.events import Named
from gitckpt.model.manifest import Json
from gitckpt.model.names import PhaseName
from gitckpt.plumbing.user import identity
from gitckpt.progress.events import Note
from gitckpt.spec.load import resolve_params

SIGNED = frozenset({"approve", "reject", "skip", "pause"})
"""What is recorded with the name of whoever asked for it."""

BEGINS = frozenset({"checkpoint", "set", "append", "incr"})
"""What a script may ask for in a folder that has no workflow file and no checkpoints yet."""

_PAUSE_S = 0.01


@dataclass(eq=False)
class BadValue(GitckptError):
    """A change of `data` that cannot be."""

    why: str

    @property
    def message(self) -> str:
        return self.why

    @property
    def hint(self) -> str:
        return "see what is there: gitckpt state get"


@dataclass(eq=False)
class NothingRuns(GitckptError):
    """A run was to be paused, and there is none."""

    @property
    def message(self) -> str:
        return "no run is active here, so there is nothing to pause"

    @property
    def hint(self) -> str:
        return "see where it stands: gitckpt status"


def change(where: Where, request: Request, reporter: Reporter, timeout_s: float = 600.0) -> Answer:
    """Have it done by the active run, or do it now; returns once it is recorded.

    A named checkpoint from outside waits for the next boundary, however long that takes; all else at most `timeout_s`.
    Raises NothingRuns, RequestRefused, RunEnded, Busy where another workspace is in the way, and what doing it raises.
    """
    fileless: Fileless = "new" if request.verb in BEGINS else "known"
    workspace = find_workspace(where, fileless)
    place = workspace.place
    request = _told_who(workspace, request)
    patient = request.verb == "checkpoint" and request.phase is None
    until = math.inf if patient else time.monotonic() + timeout_s
    told = False
    while True:
        who = holder(place.lock)
        if who is None:
            said = _done_here(where, workspace, request, reporter)
            if said is not None:
                return said
        elif not who.pid:
            time.sleep(_PAUSE_S)  # it is just beginning, and has not yet written who it is
        else:
            if patient and not told:
                reporter(Note("a run is active: the checkpoint is made at its next boundary"))
                told = True
            try:
                return ask(place.inbox, request, partial(_works, place, who), until - time.monotonic())
            except NotTaken:
                # A command that answers no requests, or a run at its end. It was not done, so it can be asked again.
                if time.monotonic() >= until:
                    raise


def data_now(where: Where) -> dict[str, Json]:
    """The workflow's data; for an attempt beside others as it is for that one: with what it wrote itself so far, and
    with what has ended and waits to be merged. Raises NoCheckpoints, RunEnded, NotTaken."""
    workspace = find_workspace(where, "known")
    who = holder(workspace.place.lock)
    if who is None or not os.environ.get(FLIGHT) or _inside(workspace.place) is None:
        return read_data(where)
    request = _told_who(workspace, Request(verb="get"))
    said = ask(workspace.place.inbox, request, partial(_works, workspace.place, who), 600.0)
    return dict(said.value) if isinstance(said.value, dict) else {}


def _works(place: Place, asked: Holder) -> bool:
    now = holder(place.lock)
    return now is not None and now.pid == asked.pid


def _told_who(workspace: Workspace, request: Request) -> Request:
    """The request with the phase it comes from, and the name of whoever asks."""
    phase = _inside(workspace.place)
    flight = os.environ.get(FLIGHT, "") if phase is not None else ""
    request = replace(request, phase=phase, flight=flight)
    if request.verb not in SIGNED:
        return request
    person = identity(workspace.repository)
    name = person.name if person else ""
    email = person.email if person else ""
    return replace(request, author=name or email or "somebody", email=email or None)


def _inside(place: Place) -> PhaseName | None:
    """The phase whose process this is, if it is one of this workspace; or the commands of `always`."""
    name, mirror = os.environ.get("GITCKPT_PHASE"), os.environ.get("GITCKPT_STATE")
    if mirror is not None and mirror != str(place.live / "state.json"):
        return None
    if mirror is not None and "GITCKPT_STATUS" in os.environ:
        return ALWAYS
    return PhaseName(name) if name else None


def _done_here(where: Where, workspace: Workspace, request: Request, reporter: Reporter) -> Answer | None:
    """Do it with the locks; None when somebody else was faster to take them."""
    if request.verb == "pause":
        raise NothingRuns
    try:
        with write(where, reporter, "new" if request.verb in BEGINS else "known") as hold:
            if workspace.script is not None and hold.tip is None:
                text = f"No gitckpt.yaml here: the checkpoints of {workspace.root} are workflow {hold.name}"
                reporter(Note(f"{text}, on the branch gitckpt/{hold.name}"))
                # Only the first checkpoint of all needs it, and it would double the start of every other change.
                import_module("gitckpt.api.beginning").guard(hold, lambda _: False)
            return _do_now(hold, request)
    except Busy as busy:
        if busy.lock != str(workspace.place.lock):
            raise
        return None


def _do_now(hold: Hold, request: Request) -> Answer:
    if request.target is not None:
        phase_name(hold.workflow, request.target)
    event = event_of(request, hold.now())
    refuse_secret(hold, request)
    if hold.tip is None:
        settle(hold)
        if request.verb in ("approve", "reject"):
            raise NoGateWaits(tuple(phase.name for phase in hold.workflow.phases if phase.gate is not None))
        begin_run(hold, resolve_params(hold.workflow, {}))
    try:
        if event is None:
            settle(hold)
            return do(hold, (), request)
        settle(hold, closing=(replace(event, phase=None) if isinstance(event, Named) else event,))
    except IllegalEvent as error:
        raise BadValue(str(error)) from error
    return Answer(number=hold.at_tip.number, value=hold.at_tip.manifest.data.get(request.key))
