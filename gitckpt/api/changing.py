"""Named checkpoints and changes of `data`: by the active run where there is one, else at once."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from gitckpt.api.reading import Where, find_workspace
from gitckpt.api.writing import write
from gitckpt.engine.begin import begin_run
from gitckpt.engine.hold import Hold
from gitckpt.engine.ports import Reporter
from gitckpt.engine.requests import Answer, Request, ask, event_of
from gitckpt.engine.settle import settle
from gitckpt.errors import GitckptError
from gitckpt.execute.lock import holder
from gitckpt.model.advance import IllegalEvent
from gitckpt.model.events import Event, Named
from gitckpt.spec.load import resolve_params


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


def change(where: Where, request: Request, reporter: Reporter, timeout_s: float = 60.0) -> Answer:
    """A named checkpoint, or a change of `data`: by the active run where there is one, else at once."""
    workspace = find_workspace(where)
    place = workspace.place
    if holder(place.lock) is not None and os.environ.get("GITCKPT_PHASE"):
        return ask(place.inbox, request, lambda: holder(place.lock) is not None, timeout_s)
    with write(where, reporter) as hold:
        event = event_of(request, hold.now())
        if event is None:
            return Answer(value=hold.at_tip.manifest.data.get(request.key))
        return _change_now(hold, event, request)


def _change_now(hold: Hold, event: Event, request: Request) -> Answer:
    settle(hold) if hold.tip is None else None
    if hold.tip is None:
        begin_run(hold, resolve_params(hold.workflow, {}))
    if isinstance(event, Named):
        event = replace(event, phase=None)
    try:
        settle(hold, closing=(event,))
    except IllegalEvent as error:
        raise BadValue(str(error)) from error
    return Answer(number=hold.at_tip.number, value=hold.at_tip.manifest.data.get(request.key))
