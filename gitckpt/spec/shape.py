"""The declarations of a workflow in `model` as a description that the reader and the JSON Schema both walk.

Owns what the file's shape adds to the types: keys unlike their attribute, shorthands, keys of later versions.
Must not know nodes, positions or texts of errors.
"""

from __future__ import annotations

import dataclasses
import types
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from gitckpt.model.forms import Form
from gitckpt.model.gate import Gate, OnFailure
from gitckpt.model.repeat import Batch, CheckpointEvery, Foreach, Tolerate
from gitckpt.model.together import Merge, MergeRule
from gitckpt.model.workflow import Always, Param, Phase, Validation, Workflow, WorkspaceRules

SHORTHANDS: dict[type, str] = {
    Validation: "run",
    Param: "default",
    Foreach: "list",
    Batch: "size",
    CheckpointEvery: "items",
    Tolerate: "count",
    Gate: "prompt",
    OnFailure: "action",
    Always: "run",
    Merge: "on_conflict",
    MergeRule: "rule",
}
"""Where one value, or a list where the key takes one, may stand for a mapping: the key that it is the value of."""

LONG_FORMS: dict[Form, tuple[str, str]] = {Form.GROUP: ("group", "The name of the group")}
"""Leaves that may be written as a mapping of one key as well: that key, and what the schema says of it."""

FILLED_IN: dict[type, frozenset[str]] = {Phase: frozenset({"code"})}
"""What the loader finds out by itself, so that no file holds it."""

LATER_KEYS: dict[type, frozenset[str]] = {
    Workflow: frozenset({"retention"}),
    WorkspaceRules: frozenset({"large_files"}),
}
"""Keys that the design has and this version does not: they get an error of their own."""


@dataclass(frozen=True, slots=True)
class TextShape:
    """Any text."""


@dataclass(frozen=True, slots=True)
class FlagShape:
    """`true` or `false`."""


@dataclass(frozen=True, slots=True)
class NumberShape:
    """A whole number."""


@dataclass(frozen=True, slots=True)
class FormShape:
    """A leaf with a form of its own."""

    form: Form


@dataclass(frozen=True, slots=True)
class ChoiceShape:
    """One of some words."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OptionalShape:
    """The shape inside, or `null` for none."""

    inner: Shape


@dataclass(frozen=True, slots=True)
class ListShape:
    """A list; one value stands for a list of one."""

    item: Shape


@dataclass(frozen=True, slots=True)
class TableShape:
    """A mapping whose keys the user chooses."""

    key: Form
    value: Shape


@dataclass(frozen=True, slots=True)
class NamedShape:
    """A mapping from names to records, kept as a list in file order: the key becomes the record's `kept`."""

    name: Form
    record: RecordShape
    kept: str


@dataclass(frozen=True, slots=True)
class OneKeyShape:
    """A leaf that may also be written as a mapping with one key: the record has this key alone, as its shorthand."""

    record: RecordShape
    key: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a record: as written in the file, as kept, and what it takes."""

    written: str
    kept: str
    shape: Shape
    required: bool
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordShape:
    """A mapping with known keys. `later` are keys of versions to come, `folded` those merged in before."""

    kind: type
    keys: tuple[Key, ...]
    shorthand: str | None
    later: frozenset[str]
    folded: tuple[str, ...] = ()

    def key(self, written: str) -> Key | None:
        """The key written so, None where there is none."""
        return next((each for each in self.keys if each.written == written), None)


Shape = (
    TextShape
    | FlagShape
    | NumberShape
    | FormShape
    | ChoiceShape
    | OptionalShape
    | ListShape
    | TableShape
    | NamedShape
    | OneKeyShape
    | RecordShape
)


@cache
def record_shape(kind: type) -> RecordShape:
    """The shape of one of the dataclasses that a workflow is made of."""
    hints = get_type_hints(kind, include_extras=True)
    keys = tuple(
        Key(
            written=field.metadata.get("key") or field.name,
            kept=field.name,
            shape=_shape(hints[field.name]),
            required=field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
            about=field.metadata.get("about", ""),
        )
        for field in dataclasses.fields(kind)
        if field.name not in FILLED_IN.get(kind, ())
    )
    return RecordShape(
        kind=kind,
        keys=keys,
        shorthand=SHORTHANDS.get(kind),
        later=LATER_KEYS.get(kind, frozenset()),
        folded=("defaults",) if kind is Workflow else (),
    )


def without_key(record: RecordShape, written: str) -> RecordShape:
    """The same record where that key cannot be written (the name of a phase is the key above it)."""
    return dataclasses.replace(record, keys=tuple(key for key in record.keys if key.written != written))


def only_keys(record: RecordShape, written: tuple[str, ...]) -> RecordShape:
    """The same record with those keys alone (what `defaults` may hold)."""
    return dataclasses.replace(record, keys=tuple(key for key in record.keys if key.written in written))


def _shape(hint: Any) -> Shape:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _form_shape(next(each for each in args[1:] if isinstance(each, Form)))
    if origin is Literal:
        return ChoiceShape(args)
    if origin in (Union, types.UnionType):
        return OptionalShape(_shape(next(each for each in args if each is not types.NoneType)))
    if origin is tuple:
        return _list_shape(args[0])
    if origin is dict:
        return TableShape(_form(args[0]), _shape(args[1]))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return record_shape(hint)
    plain: dict[object, Shape] = {str: TextShape(), bool: FlagShape(), int: NumberShape()}
    return plain[hint]


def _form_shape(form: Form) -> FormShape | OneKeyShape:
    if form not in LONG_FORMS:
        return FormShape(form)
    name, about = LONG_FORMS[form]
    key = Key(written=name, kept=name, shape=FormShape(form), required=True, about=about)
    return OneKeyShape(RecordShape(kind=str, keys=(key,), shorthand=name, later=frozenset()), key)


def _list_shape(hint: Any) -> Shape:
    """A list of records that have a name is written as a mapping from their names."""
    shape = _shape(hint)
    name = shape.key("name") if isinstance(shape, RecordShape) else None
    if not isinstance(shape, RecordShape) or name is None:
        return ListShape(shape)
    if not isinstance(name.shape, FormShape):
        raise TypeError(f"the name of {shape.kind.__name__} needs a form")
    return NamedShape(name.shape.form, without_key(shape, "name"), name.kept)


def _form(hint: Any) -> Form:
    shape = _shape(hint)
    if not isinstance(shape, FormShape):
        raise TypeError(f"the keys of a mapping need a form: {hint}")
    return shape.form
