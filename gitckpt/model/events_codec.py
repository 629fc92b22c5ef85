"""The codec of events: `events.json` to values and back.

Owns how an event is told by its `type`. Must not know where the bytes lie; the JSON itself is the codec's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, cast

from gitckpt.model.codec import (
    Damaged,
    as_kind,
    as_object,
    as_plain,
    dumps,
    loads,
    manifest_from_json,
    manifest_to_json,
)
from gitckpt.model.events import EVENT_TYPES, Event
from gitckpt.model.manifest import SCHEMA, Json

_BLANK: dict[str, Json] = {"workflow": "", "order": [], "phases": {}}
"""Stands in for an event's manifest while the rest of the event is checked."""


def encode_events(events: Sequence[Event]) -> bytes:
    """`events.json`: a list of objects, each with its `type`."""
    return dumps({"schema": SCHEMA, "events": [_event_to_json(event) for event in events]})


def decode_events(data: bytes, what: str = "events.json") -> tuple[Event, ...]:
    """Raises Damaged for anything that is no list of known events."""
    listed = as_object(loads(data, what), what).get("events")
    if not isinstance(listed, list):
        raise Damaged(what, "it has no list of events")
    return tuple(_event(as_object(item, what), what) for item in listed)


def _event_to_json(event: Event) -> dict[str, Json]:
    plain = as_plain(event)
    if "manifest" in plain:
        plain["manifest"] = manifest_to_json(cast(Any, event).manifest)
    return {"type": type(event).__name__, **plain}


def _event(plain: dict[str, Json], what: str) -> Event:
    kind = EVENT_TYPES.get(str(plain.get("type")))
    if kind is None:
        raise Damaged(what, f"no event is called {plain.get('type')!r}")
    names = {f.name for f in fields(kind)}
    known = {key: plain[key] for key in plain if key in names}
    if "manifest" not in names:
        return as_kind(known, kind, what)
    manifest = manifest_from_json(as_object(known.get("manifest"), what), what)
    event = as_kind({**known, "manifest": _BLANK}, kind, what)
    return cast(Event, replace(cast(Any, event), manifest=manifest))
