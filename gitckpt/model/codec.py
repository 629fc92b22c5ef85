"""The codecs: canonical JSON, and the manifest to it and back. Events have a codec of their own, so that who asks only
where a workflow stands does not load them.

Owns the stored text: UTF-8, keys sorted, indent 1, one final newline, integers not floats. Keys that a later version
added are kept, and a newer schema is read as far as it is understood. Must not know where the bytes lie.
"""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from gitckpt.errors import ExitCode, GitckptError
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
    return manifest_from_json(as_object(loads(data, what), what), what)


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
    plain = as_plain(manifest)
    plain["phases"] = {name: _flat(as_plain(state)) for name, state in manifest.phases.items()}
    return _flat(plain)


def _flat(plain: dict[str, Json]) -> dict[str, Json]:
    unknown = plain.pop("unknown")
    return {**cast(dict[str, Json], unknown), **plain}


def as_plain(value: object) -> dict[str, Json]:
    """A value of the model as a JSON object. Fields that came later are left out where they have their default."""
    plain = cast(dict[str, Json], msgspec.to_builtins(value))
    _leave_out(value, plain)
    return plain


def _leave_out(value: object, plain: dict[str, Json]) -> None:
    for name, default in _later_fields(cast(Any, type(value))):
        if getattr(value, name) == default:
            del plain[name]
    for name in plain:
        held = getattr(value, name)
        if is_dataclass(held) and isinstance(inner := plain[name], dict):
            _leave_out(held, inner)


@cache
def _later_fields(kind: Any) -> tuple[tuple[str, object], ...]:
    later = (each for each in fields(kind) if each.metadata.get("later"))
    return tuple(
        (each.name, each.default if each.default_factory is MISSING else each.default_factory()) for each in later
    )


def manifest_from_json(plain: dict[str, Json], what: str) -> Manifest:
    """The manifest that parsed JSON holds. Raises Damaged."""
    phases = as_object(plain.get("phases"), what)
    known, unknown = _split(plain, Manifest)
    states = {PhaseName(name): _state(as_object(state, what), what) for name, state in phases.items()}
    manifest = as_kind({**known, "phases": {}, "unknown": unknown}, Manifest, what)
    return replace(manifest, phases=states)


def _state(plain: dict[str, Json], what: str) -> PhaseState:
    known, unknown = _split(plain, PhaseState)
    return as_kind({**known, "unknown": unknown}, PhaseState, what)


def _split(plain: dict[str, Json], kind: type[Any]) -> tuple[dict[str, Json], dict[str, Json]]:
    names = {f.name for f in fields(kind)} - {"unknown"}
    return {k: v for k, v in plain.items() if k in names}, {k: v for k, v in plain.items() if k not in names}


def as_kind(plain: dict[str, Json], kind: type[_T], what: str) -> _T:
    """A JSON object as a value of the model. Raises Damaged."""
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        raise Damaged(what, str(error)) from error


def as_object(value: Json, what: str) -> dict[str, Json]:
    """Parsed JSON that must be an object. Raises Damaged."""
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
