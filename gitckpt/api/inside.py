"""What a phase's own process asks of the run that started it, for functions in Python."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gitckpt.engine.place import FLIGHT, Place
from gitckpt.engine.requests import Answer, Request, Verb, ask
from gitckpt.execute.lock import holder
from gitckpt.model.manifest import Json
from gitckpt.model.names import PhaseName
from gitckpt.plumbing.repository import discover


def ask_from_inside(root: Path, verb: Verb, said: Mapping[str, Json], timeout_s: float) -> Answer:
    """Ask the run of the workspace `root`, and wait until it is recorded. Raises RequestRefused, RunEnded."""
    place = Place(discover(root), root)
    phase = PhaseName(os.environ["GITCKPT_PHASE"])
    text, key = said.get("text", ""), said.get("key", "")
    flight = os.environ.get(FLIGHT, "")
    request = Request(verb=verb, phase=phase, flight=flight, text=str(text), key=str(key), value=said.get("value"))
    return ask(place.inbox, request, lambda: holder(place.lock) is not None, timeout_s)
