"""The JSON Schema (draft 2020-12) of a workflow file, made from the same declarations as the loader.

For editors: it accepts the shorthands and refuses what a schema can refuse; what needs other values to judge
(cycles, names without case) only the loader knows. Must not know nodes or files.
"""

from __future__ import annotations

from typing import assert_never

from gitckpt.model.duration import DURATION_PATTERN, SIZE_PATTERN
from gitckpt.model.names import LIVE_FOLDER, RESERVED_PHASES
from gitckpt.model.workflow import DEFAULTABLE, VERSION, Form, Phase, Validation, Workflow
from gitckpt.spec.leaves import ENV_NAME_PATTERN, LARGEST_COUNT, LONGEST_REGEX
from gitckpt.spec.shape import (
    ChoiceShape,
    FlagShape,
    FormShape,
    ListShape,
    NamedShape,
    NumberShape,
    OptionalShape,
    RecordShape,
    Shape,
    TableShape,
    TextShape,
    only_keys,
    record_shape,
)

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]

TEXT: list[Json] = ["string", "number"]
"""What YAML may call a text: a number is taken as it was written."""

_INSIDE = rf"^(?!/)(?!(.*/)?\.\.(/|$))(?!{LIVE_FOLDER.replace('.', chr(92) + '.')}(/|$))[^\n]*\S[^\n]*$"
_NAME = r"(?!.*\.\.)(?!.*\.$)(?!.*\.[lL][oO][cC][kK]$)[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


def workflow_schema() -> dict[str, Json]:
    """The whole schema, with one definition for each record."""
    definitions: dict[str, Json] = {}
    whole = _record(record_shape(Workflow), definitions)
    properties = whole["properties"]
    if isinstance(properties, dict):
        defaults = _record(only_keys(record_shape(Phase), DEFAULTABLE), definitions)
        defaults.pop("oneOf", None)
        properties["version"] = {"const": VERSION, "description": "The version of the file's format"}
        properties["defaults"] = {"description": "What every phase has that does not say otherwise", **defaults}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gitckpt workflow file",
        **whole,
        "$defs": definitions,
    }


def _schema(shape: Shape, definitions: dict[str, Json]) -> dict[str, Json]:
    match shape:
        case TextShape():
            return {"type": TEXT}
        case FlagShape():
            return {"type": "boolean"}
        case NumberShape():
            return {"type": "integer"}
        case ChoiceShape(words=words):
            return {"enum": list(words)}
        case FormShape(form=form):
            return _form(form)
        case OptionalShape(inner=inner):
            return {"anyOf": [_schema(inner, definitions), {"type": "null"}]}
        case ListShape(item=item):
            one = _schema(item, definitions)
            return {"anyOf": [one, {"type": "array", "items": one}]}
        case TableShape(key=key, value=value):
            return {
                "type": "object",
                "propertyNames": _key(key),
                "additionalProperties": _schema(value, definitions),
            }
        case NamedShape(name=name, record=record):
            return {
                "type": "object",
                "minProperties": 1,
                "propertyNames": _key(name),
                "additionalProperties": _referred(record, definitions),
            }
        case RecordShape():
            return _referred(shape, definitions)
        case _:
            assert_never(shape)


def _referred(shape: RecordShape, definitions: dict[str, Json]) -> dict[str, Json]:
    name = shape.kind.__name__
    if name not in definitions:
        definitions[name] = {}
        definitions[name] = _record(shape, definitions)
    return {"$ref": f"#/$defs/{name}"}


def _record(shape: RecordShape, definitions: dict[str, Json]) -> dict[str, Json]:
    properties: dict[str, Json] = {}
    for key in shape.keys:
        about: dict[str, Json] = {"description": key.about} if key.about else {}
        properties[key.written] = {**about, **_schema(key.shape, definitions)}
    record: dict[str, Json] = {"type": "object", "properties": properties, "additionalProperties": False}
    required: list[Json] = [key.written for key in shape.keys if key.required]
    if required:
        record["required"] = required
    if shape.kind is Phase:
        record["oneOf"] = [{"required": ["run"]}, {"required": ["argv"]}]
    if shape.kind is Validation:
        record["anyOf"] = [{"required": ["run"]}, {"required": ["file"]}]
        record["dependentRequired"] = {"stdout": ["run"], "min_size": ["file"]}
    short = shape.key(shape.shorthand) if shape.shorthand else None
    if short is None:
        return record
    return {"anyOf": [_schema(_inner(short.shape), definitions), record]}


def _inner(shape: Shape) -> Shape:
    return shape.inner if isinstance(shape, OptionalShape) else shape


def _key(form: Form) -> dict[str, Json]:
    return {**_form(form), "type": "string"}


def _form(form: Form) -> dict[str, Json]:
    match form:
        case Form.DURATION:
            return {"type": "string", "pattern": DURATION_PATTERN, "examples": ["10m", "90s", "1h30m"]}
        case Form.SIZE:
            return {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": SIZE_PATTERN}]}
        case Form.FACTOR:
            return {"type": "number", "minimum": 1, "maximum": 1000}
        case Form.COMMAND:
            return {"type": TEXT, "pattern": r"\S"}
        case Form.REGEX:
            return {"type": TEXT, "format": "regex", "maxLength": LONGEST_REGEX}
        case Form.PATH:
            return {"type": TEXT, "pattern": _INSIDE}
        case Form.PATTERN:
            return {"type": TEXT, "pattern": _INSIDE.replace("^", r"^(?![!#])(?!.*\\$)", 1)}
        case Form.ENV_NAME:
            return {"type": "string", "pattern": ENV_NAME_PATTERN}
        case Form.VALUE:
            return {"type": [*TEXT, "boolean"]}
        case Form.COUNT:
            return {"type": "integer", "minimum": 0, "maximum": LARGEST_COUNT}
        case Form.EXIT_CODE:
            return {"type": "integer", "minimum": 1, "maximum": 255}
        case Form.WORKFLOW_NAME:
            return {"type": TEXT, "pattern": f"^{_NAME}"}
        case Form.PHASE_NAME:
            return {"type": TEXT, "pattern": f"^(?![0-9]+$){_reserved()}{_NAME}"}
        case _:
            assert_never(form)


def _reserved() -> str:
    """No word of the selectors, in any case; ECMA regular expressions have no flag inside."""
    words = ("".join(f"[{letter}{letter.upper()}]" for letter in word) for word in sorted(RESERVED_PHASES))
    return f"(?!({'|'.join(words)})$)"
