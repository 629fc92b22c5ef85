"""The JSON Schema (draft 2020-12) of a workflow file, made from the same declarations as the loader.

For editors: it accepts the shorthands and refuses what a schema can refuse; what needs other values to judge
(cycles, names without case) only the loader knows. Must not know nodes or files.
"""

from __future__ import annotations

from typing import assert_never

from gitckpt.model.duration import DURATION_PATTERN, LARGEST_BYTES, SIZE_PATTERN
from gitckpt.model.forms import Form
from gitckpt.model.gate import OnFailure
from gitckpt.model.names import LIVE_FOLDER, RESERVED_PHASES
from gitckpt.model.repeat import Budget, CheckpointEvery, Foreach, Tolerate
from gitckpt.model.workflow import DEFAULTABLE, VERSION, Phase, Validation, Workflow
from gitckpt.spec.checks import COMMANDS
from gitckpt.spec.checks_gate import BESIDE_GATE
from gitckpt.spec.checks_repeat import ONLY_FOR_ITEMS, SOURCES
from gitckpt.spec.leaves import (
    DATA_KEY_PATTERN,
    ENV_NAME_PATTERN,
    FUNCTION_PATTERN,
    LARGEST_AMOUNT,
    LARGEST_COUNT,
    LONGEST_REGEX,
)
from gitckpt.spec.shape import (
    ChoiceShape,
    FlagShape,
    FormShape,
    ListShape,
    NamedShape,
    NumberShape,
    OneKeyShape,
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


def _one_of(*keys: str) -> list[Json]:
    return [{"required": [key]} for key in keys]


def _needing(budget: str, key: str) -> dict[str, Json]:
    """A phase whose budget counts something has the key that makes it."""
    counting: dict[str, Json] = {"type": "object", "required": [budget]}
    return {"if": {"required": ["budget"], "properties": {"budget": counting}}, "then": {"required": [key]}}


_RULES: dict[type, dict[str, Json]] = {
    Phase: {
        "oneOf": _one_of(*COMMANDS),
        "dependentRequired": {key: ["foreach"] for key in ONLY_FOR_ITEMS},
        "dependentSchemas": {"gate": {"propertyNames": {"enum": list(BESIDE_GATE)}}},
        "allOf": [_needing("items", "foreach"), _needing("batches", "batch")],
    },
    Validation: {
        "anyOf": _one_of("run", "python", "file"),
        "dependentRequired": {"stdout": ["run"], "min_size": ["file"]},
    },
    Foreach: {
        "oneOf": _one_of(*SOURCES),
        "dependentSchemas": {"key": {"anyOf": _one_of("csv", "json")}},
    },
    OnFailure: {"oneOf": _one_of("action", "goto"), "dependentRequired": {"max": ["goto"]}},
    Budget: {"minProperties": 1},
    CheckpointEvery: {"minProperties": 1},
    Tolerate: {"anyOf": _one_of("count", "percent")},
}
"""What the keys of a record ask of each other, as far as a schema can tell it."""


def workflow_schema() -> dict[str, Json]:
    """The whole schema, with one definition for each record."""
    definitions: dict[str, Json] = {}
    whole = _record(record_shape(Workflow), definitions)
    properties = whole["properties"]
    if isinstance(properties, dict):
        defaults = _record(only_keys(record_shape(Phase), DEFAULTABLE), definitions)
        for key in _RULES[Phase]:
            defaults.pop(key, None)
        top = properties["on_failure"]
        if isinstance(top, dict):
            top["not"] = {"type": "object", "required": ["goto"]}
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
            return _FORMS[form]
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
                **({"minProperties": 1} if record.kind is Phase else {}),
                "propertyNames": _key(name),
                "additionalProperties": _referred(record, definitions),
            }
        case OneKeyShape(record=record):
            return _record(record, definitions)
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
    record |= _RULES.get(shape.kind, {})
    short = shape.key(shape.shorthand) if shape.shorthand else None
    if short is None:
        return record
    return {"anyOf": [_schema(_inner(short.shape), definitions), record]}


def _inner(shape: Shape) -> Shape:
    return shape.inner if isinstance(shape, OptionalShape) else shape


def _key(form: Form) -> dict[str, Json]:
    return {**_FORMS[form], "type": "string"}


def _reserved() -> str:
    """No word of the selectors, in any case; ECMA regular expressions have no flag inside."""
    words = ("".join(f"[{letter}{letter.upper()}]" for letter in word) for word in sorted(RESERVED_PHASES))
    return f"(?!({'|'.join(words)})$)"


_FORMS: dict[Form, dict[str, Json]] = {
    Form.DURATION: {"type": "string", "pattern": DURATION_PATTERN, "examples": ["10m", "90s", "1h30m"]},
    Form.SIZE: {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": SIZE_PATTERN}]},
    Form.FACTOR: {"type": "number", "minimum": 1, "maximum": 1000},
    Form.COMMAND: {"type": TEXT, "pattern": r"\S"},
    Form.REGEX: {"type": TEXT, "format": "regex", "maxLength": LONGEST_REGEX},
    Form.PATH: {"type": TEXT, "pattern": _INSIDE},
    Form.PATTERN: {"type": TEXT, "pattern": _INSIDE.replace("^", r"^(?![!#])(?!.*\\$)", 1)},
    Form.ENV_NAME: {"type": "string", "pattern": ENV_NAME_PATTERN},
    Form.VALUE: {"type": [*TEXT, "boolean"]},
    Form.COUNT: {"type": "integer", "minimum": 0, "maximum": LARGEST_COUNT},
    Form.AMOUNT: {"type": "integer", "minimum": 1, "maximum": LARGEST_AMOUNT},
    Form.AT_ONCE: {"type": "integer", "minimum": 1, "maximum": LARGEST_AMOUNT},
    Form.QUANTITY: {
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": LARGEST_BYTES},
            {"type": "string", "pattern": SIZE_PATTERN.replace("^", "^(?=.*[1-9])", 1)},
        ]
    },
    Form.PERCENT: {"type": "number", "minimum": 0.001, "maximum": 100},
    Form.DATA_KEY: {"type": "string", "pattern": DATA_KEY_PATTERN},
    Form.FUNCTION: {"type": "string", "pattern": FUNCTION_PATTERN},
    Form.EXIT_CODE: {"type": "integer", "minimum": 1, "maximum": 255},
    Form.WORKFLOW_NAME: {"type": TEXT, "pattern": f"^{_NAME}"},
    Form.PHASE_NAME: {"type": TEXT, "pattern": f"^(?![0-9]+$){_reserved()}{_NAME}"},
    Form.RESOURCE: {"type": TEXT, "pattern": f"^{_NAME}"},
    Form.GROUP: {"type": TEXT, "pattern": f"^{_NAME}"},
}
