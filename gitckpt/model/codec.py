"""The codecs: manifest, events and definition to canonical JSON and back.

Owns the stored text: UTF-8, keys sorted, indent 1, one final newline, integers not floats. Keys that a later version
added are kept, and a newer schema is read as far as it is understood. Must not know where the bytes lie.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar, cast

import msgspec

from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.events import EVENT_TYPES, Event
from gitckpt.model.manifest import SCHEMA, Json, Manifest, PhaseState, volatile_keys
from gitckpt.model.names import PhaseName

_T = TypeVar("_T")

MAX_BYTES = 16 * 1024 * 1024
"""A manifest or a list of events larger than this is refused before it is parsed."""


@dataclass(eq=False)
class Damaged(GitckptError):
    """Stored JSON that cannot be read as what it should be."""

    what: str
    why: str

    exit_code = ExitCode.CONFLICT

    @property
    def message(self) -> str:
        return f"{self.what} is damaged: {self.why}"

    @property
    def hint(self) -> str:
        return (
            "see what is wrong: gitckpt doctor (gitckpt verify for the history alone)\n"
            "keep it aside and go back to the newest sound checkpoint: gitckpt doctor --repair\n"
            "then take that one: gitckpt rollback latest (your files are rescued first)"
        )


@dataclass(eq=False)
class NewerSchema(GitckptError):
    """A checkpoint of a later format: it is shown as far as possible and never written after."""

    found: int

    exit_code = ExitCode.CONFLICT

    @property
    def message(self) -> str:
        return f"this history is in format {self.found}; this gitckpt writes format {SCHEMA} and will not touch it"

    @property
    def hint(self) -> str:
        return "update gitckpt (pip install -U gitckpt), then run the command again; reading works"


_BLANK: dict[str, Json] = {"workflow": "", "order": [], "phases": {}}
"""Stands in for an event's manifest while the rest of the event is checked."""


def dumps(value: Json) -> bytes:
    """Canonical bytes of a JSON value. Raises ValueError for NaN and for text that is not Unicode."""
    text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def loads(data: bytes, what: str) -> Json:
    """Parse stored JSON strictly: UTF-8, no duplicate keys, no NaN, bounded size and depth. Raises Damaged."""
    if len(data) > MAX_BYTES:
        raise Damaged(what, f"it has {len(data):,} bytes, {MAX_BYTES:,} are allowed")
    try:
        text = data.decode()  # `json.loads` would take UTF-16 as well
        value = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite)
        if "\\ud" in text.lower():
            dumps(value)  # half a surrogate pair could be read and never be written again
        return cast(Json, value)
    except (ValueError, RecursionError) as error:
        raise Damaged(what, str(error) or "it is nested too deep") from error


def encode_manifest(manifest: Manifest) -> bytes:
    """`state.json`."""
    return dumps(manifest_to_json(manifest))


def decode_manifest(data: bytes, what: str = "state.json") -> Manifest:
    """Raises Damaged. A newer schema is read as far as it is understood."""
    return _manifest(_object(loads(data, what), what), what)


def encode_events(events: Sequence[Event]) -> bytes:
    """`events.json`: a list of objects, each with its `type`."""
    return dumps({"schema": SCHEMA, "events": [_event_to_json(event) for event in events]})


def decode_events(data: bytes, what: str = "events.json") -> tuple[Event, ...]:
    """Raises Damaged for anything that is no list of known events."""
    listed = _object(loads(data, what), what).get("events")
    if not isinstance(listed, list):
        raise Damaged(what, "it has no list of events")
    return tuple(_event(_object(item, what), what) for item in listed)


def stable(manifest: Manifest) -> dict[str, Json]:
    """The manifest without its volatile keys: what law 2 compares."""
    plain = manifest_to_json(manifest)
    phases = cast(dict[str, dict[str, Json]], plain["phases"])
    dropped = volatile_keys(PhaseState)
    kept: dict[str, Json] = {k: v for k, v in plain.items() if k not in volatile_keys(Manifest)}
    return kept | {"phases": {name: {k: v for k, v in s.items() if k not in dropped} for name, s in phases.items()}}


def require_writable(manifest: Manifest) -> None:
    """Raises NewerSchema for a history that a later gitckpt wrote."""
    if manifest.schema > SCHEMA:
        raise NewerSchema(manifest.schema)


def manifest_to_json(manifest: Manifest) -> dict[str, Json]:
    """The manifest as plain JSON, keys of later versions included."""
    plain = _plain(manifest)
    plain["phases"] = {name: _flat(_plain(state)) for name, state in manifest.phases.items()}
    return _flat(plain)


def _flat(plain: dict[str, Json]) -> dict[str, Json]:
    unknown = plain.pop("unknown")
    return {**cast(dict[str, Json], unknown), **plain}


def _plain(value: object) -> dict[str, Json]:
    return cast(dict[str, Json], msgspec.to_builtins(value))


def _event_to_json(event: Event) -> dict[str, Json]:
    plain = _plain(event)
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
        return _convert(known, kind, what)
    manifest = _manifest(_object(known.get("manifest"), what), what)
    event = _convert({**known, "manifest": _BLANK}, kind, what)
    return cast(Event, replace(cast(Any, event), manifest=manifest))


def _manifest(plain: dict[str, Json], what: str) -> Manifest:
    phases = _object(plain.get("phases"), what)
    known, unknown = _split(plain, Manifest)
    states = {PhaseName(name): _state(_object(state, what), what) for name, state in phases.items()}
    manifest = _convert({**known, "phases": {}, "unknown": unknown}, Manifest, what)
    return replace(manifest, phases=states)


def _state(plain: dict[str, Json], what: str) -> PhaseState:
    known, unknown = _split(plain, PhaseState)
    return _convert({**known, "unknown": unknown}, PhaseState, what)


def _split(plain: dict[str, Json], kind: type[Any]) -> tuple[dict[str, Json], dict[str, Json]]:
    names = {f.name for f in fields(kind)} - {"unknown"}
    return {k: v for k, v in plain.items() if k in names}, {k: v for k, v in plain.items() if k not in names}


def _convert(plain: dict[str, Json], kind: type[_T], what: str) -> _T:
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        raise Damaged(what, str(error)) from error


def _object(value: Json, what: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise Damaged(what, "an object was expected")
    return value


def _no_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(text: str) -> Json:
    raise ValueError(f"{text} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:40]} is too large a number")
    return number
