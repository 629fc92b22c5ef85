"""Walks a tree of nodes along a shape to plain values, noting every problem at its place.

Owns shorthands (one value for a list or a record, a list for a record), unknown, later and missing keys. Must not
know what the values mean to each other: that is `checks`.
"""

from __future__ import annotations

from typing import Final, assert_never

from gitckpt.spec.leaves import Refused, choice_of, flag_of, kind_of, leaf_of, number_of, text_of
from gitckpt.spec.problem import Findings, Mark, near, quoted
from gitckpt.spec.shape import (
    ChoiceShape,
    FlagShape,
    FormShape,
    Key,
    ListShape,
    NamedShape,
    NumberShape,
    OneKeyShape,
    OptionalShape,
    RecordShape,
    Shape,
    TableShape,
    TextShape,
)
from gitckpt.spec.yaml_strict import Entries, Listing, Node, Scalar


class Missing:
    """No value, because what stands there was refused."""


MISSING: Final = Missing()

Plain = str | int | float | bool | None | list["Plain"] | dict[str, "Plain"]
Record = dict[str, Plain]


def read(shape: Shape, node: Node, findings: Findings, where: str) -> Plain | Missing:
    """The plain value of a node, MISSING where it is refused as a whole; `where` names it in a sentence.

    A record keeps its good keys when others are refused, so that checks across keys can still be made.
    """
    match shape:
        case OptionalShape(inner=inner):
            return None if _is_null(node) else read(inner, node, findings, where)
        case ListShape(item=item):
            return _list(item, node, findings, where)
        case TableShape():
            return _table(shape, node, findings, where)
        case NamedShape():
            return _named(shape, node, findings, where)
        case OneKeyShape(record=record, key=key):
            values = read_record(record, node, findings, where)
            return MISSING if isinstance(values, Missing) else values.get(key.kept, MISSING)
        case RecordShape():
            return read_record(shape, node, findings, where)
        case TextShape() | FlagShape() | NumberShape() | FormShape() | ChoiceShape():
            return _leaf(shape, node, findings, where)
        case _:
            assert_never(shape)


def read_record(shape: RecordShape, node: Node, findings: Findings, where: str) -> Record | Missing:
    """The plain values of a mapping with known keys, under the names they are kept by."""
    short = shape.key(shape.shorthand) if shape.shorthand else None
    if short and _is_short(short.shape, node):
        plain = read(short.shape, node, findings, where)
        return MISSING if isinstance(plain, Missing) else {short.kept: plain}
    if not isinstance(node, Entries):
        findings.error(node.mark, f"{where} must be a mapping of keys, not {kind_of(node)}")
        return MISSING
    values: Record = {}
    for name, value in node.pairs:
        key_shape = shape.key(name.text)
        if key_shape is None:
            _unknown(shape, name, findings)
            continue
        plain = read(key_shape.shape, value, findings, quoted(name.text))
        if not isinstance(plain, Missing):
            values[key_shape.kept] = plain
    _demand(shape.keys, node, findings)
    return values


def _is_short(shape: Shape, node: Node) -> bool:
    """Whether the node stands for a whole record: one value, or a list where the key that it stands for takes one."""
    if isinstance(node, Scalar):
        return node.value is not None
    inner = shape.inner if isinstance(shape, OptionalShape) else shape
    return isinstance(node, Listing) and isinstance(inner, ListShape)


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _leaf(
    shape: TextShape | FlagShape | NumberShape | FormShape | ChoiceShape,
    node: Node,
    findings: Findings,
    where: str,
) -> Plain | Missing:
    try:
        match shape:
            case TextShape():
                return text_of(node)
            case FlagShape():
                return flag_of(node)
            case NumberShape():
                return number_of(node)
            case ChoiceShape(words=words):
                return choice_of(node, words)
            case FormShape(form=form):
                return leaf_of(form, node)
            case _:
                assert_never(shape)
    except Refused as refused:
        findings.error(node.mark, f"{where} {refused}")
        return MISSING


def _list(item: Shape, node: Node, findings: Findings, where: str) -> Plain | Missing:
    if _is_null(node):
        findings.error(node.mark, f"{where} is empty; write [] for none")
        return MISSING
    items = node.items if isinstance(node, Listing) else (node,)
    read_items = [read(item, each, findings, where) for each in items]
    good = [each for each in read_items if not isinstance(each, Missing)]
    return good if len(good) == len(read_items) else MISSING


def _table(shape: TableShape, node: Node, findings: Findings, where: str) -> Plain | Missing:
    if not isinstance(node, Entries):
        findings.error(node.mark, f"{where} must be a mapping of names, not {kind_of(node)}")
        return MISSING
    values: Record = {}
    for name, value in node.pairs:
        try:
            key = leaf_of(shape.key, name)
        except Refused as refused:
            findings.error(name.mark, f"{where} {refused}")
            continue
        plain = read(shape.value, value, findings, quoted(name.text))
        if not isinstance(plain, Missing):
            values[str(key)] = plain
    return values


def _named(shape: NamedShape, node: Node, findings: Findings, where: str) -> Plain | Missing:
    if not isinstance(node, Entries):
        findings.error(node.mark, f"{where} must be a mapping of names, not {kind_of(node)}")
        return MISSING
    records: list[Plain] = []
    for name, value in node.pairs:
        try:
            leaf_of(shape.name, name)
        except Refused as refused:
            findings.error(name.mark, f"a {shape.kept} in {where} {refused}")
        record = read_record(shape.record, value, findings, quoted(name.text))
        if not isinstance(record, Missing):
            records.append({shape.kept: name.text, **record})
    return records


def _unknown(shape: RecordShape, name: Scalar, findings: Findings) -> None:
    if name.text in shape.later:
        findings.error(name.mark, f"{quoted(name.text)} is not in this version of gitckpt")
        return
    known = [*(key.written for key in shape.keys), *shape.folded]
    guess = _belongs(shape, name.text) or near(name.text, known) or f"; the keys here are {', '.join(known)}"
    findings.error(name.mark, f"unknown key {quoted(name.text)}{guess}")


def _belongs(shape: RecordShape, name: str) -> str:
    """Where a key belongs that stands one level too high."""
    homes: list[str] = []
    for key in shape.keys:
        inner = key.shape.inner if isinstance(key.shape, OptionalShape) else key.shape
        inner = inner.record if isinstance(inner, OneKeyShape) else inner
        if isinstance(inner, RecordShape) and inner.key(name):
            homes.append(quoted(key.written))
    return f"; it belongs into {' or '.join(homes)}" if homes else ""


def _demand(keys: tuple[Key, ...], node: Entries, findings: Findings) -> None:
    for key in keys:
        if key.required and node.get(key.written) is None:
            findings.error(node.mark, f'missing key "{key.written}"')


def place(root: Node, *path: str | int) -> Mark:
    """Where the value at a path of keys and positions stands; where it is absent, what it would stand in."""
    node = root
    for step in path:
        inner: Node | None = None
        if isinstance(node, Entries) and isinstance(step, str):
            inner = node.get(step)
        elif isinstance(node, Listing) and isinstance(step, int) and step < len(node.items):
            inner = node.items[step]
        if inner is None:
            break
        node = inner
    return node.mark
