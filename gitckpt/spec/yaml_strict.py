"""Strict YAML 1.2 to a tree that keeps positions. Owns the limits on size, depth and aliases.

Only the core scalars have a meaning (`true`, `false`, `null`, numbers): `on`, `no`, `010`, `1:30`, dates and
`1_000` stay text. It reads parser events one by one, so a bomb is refused before it is built. Must not know
what a workflow is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

import yaml

from gitckpt.spec.problem import Findings, Mark, quoted

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_NODES = 50_000
MAX_ALIASED = 100
"""How many values all aliases together may stand for."""

# libyaml parses 10 times faster; where PyYAML was built without it the pure loader gives the same events.
_LOADER: type[yaml.SafeLoader] | type[yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?", re.ASCII)
_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A single value, with the text it was written as."""

    value: str | int | float | bool | None
    text: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class Listing:
    """A sequence."""

    items: tuple[Node, ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Entries:
    """A mapping in file order; the keys are text and unique."""

    pairs: tuple[tuple[Scalar, Node], ...]
    mark: Mark

    def get(self, key: str) -> Node | None:
        """The value of a key, None where it is not there."""
        return next((node for name, node in self.pairs if name.text == key), None)

    def key(self, key: str) -> Scalar | None:
        """The key itself, for its place."""
        return next((name for name, _ in self.pairs if name.text == key), None)


Node = Scalar | Listing | Entries


class _TreeRefused(Exception):
    """The rest of the text cannot be read; what is wrong has been noted."""


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet."""

    event: yaml.CollectionStartEvent
    nodes: list[Node] = field(default_factory=list)
    counted_before: int = 0


def parse(source: bytes, findings: Findings) -> Node | None:
    """The tree of a text of UTF-8 bytes; None, with the problems noted, where there is none.

    Never raises for any bytes; takes less than a second for any.
    """
    text = _decode(source, findings)
    if text is None:
        return None
    try:
        return _Composer(findings).compose(text)
    except _TreeRefused:
        return None
    except yaml.MarkedYAMLError as error:
        findings.error(_place(error.problem_mark or error.context_mark), _syntax_text(error, text))
    except yaml.YAMLError as error:
        findings.error(Mark(1, 1), f"cannot read this as YAML: {quoted(str(error))}")
    return None


def _decode(source: bytes, findings: Findings) -> str | None:
    if len(source) > MAX_BYTES:
        size = f"{len(source):,} bytes"
        findings.error(Mark(1, 1), f"the file has {size}; a workflow file has at most {MAX_BYTES:,}")
        return None
    if source[:2] in (b"\xff\xfe", b"\xfe\xff"):
        findings.error(Mark(1, 1), "the file is UTF-16; save it as UTF-8")
        return None
    try:
        text = source.decode("utf-8")
    except UnicodeDecodeError as error:
        before = source[: error.start].decode("utf-8")
        findings.error(_end_of(before), f"byte 0x{source[error.start]:02x} is not UTF-8")
        return None
    text = text.removeprefix("\ufeff")
    bad = _UNPRINTABLE.search(text)
    if bad:
        findings.error(_end_of(text[: bad.start()]), f"character U+{ord(bad.group()):04X} is not allowed in YAML")
        return None
    return text


def _end_of(before: str) -> Mark:
    return Mark(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def _place(mark: object) -> Mark:
    line, column = getattr(mark, "line", 0), getattr(mark, "column", 0)
    return Mark(line + 1, column + 1)


def _syntax_text(error: yaml.MarkedYAMLError, text: str) -> str:
    mark = error.problem_mark
    lines = text.split("\n")
    if mark is not None and mark.line < len(lines) and lines[mark.line][mark.column : mark.column + 1] == "\t":
        return "a tab cannot indent YAML; use spaces"
    parts = [part for part in (error.problem, error.context) if part]
    return "not valid YAML: " + ", ".join(parts)


def _resolve(text: str) -> str | int | float | bool | None:
    """The core scalars of YAML 1.2 but for leading zeros: `010` is 8 to some readers and 10 to others."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if len(text) <= 40 and not text.lstrip("-+").isdigit() and _FLOAT.fullmatch(text):
        return float(text)
    return text


class _Composer:
    """Builds the tree from events without recursion."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.counted = 0
        self.aliased = 0
        self.root: Node | None = None

    def compose(self, text: str) -> Node | None:
        documents = 0
        for event in _events(text):
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.refuse(event, "a workflow file is one document; this is a second one")
            elif isinstance(event, yaml.AliasEvent):
                self.alias(event)
            elif isinstance(event, yaml.ScalarEvent):
                self.scalar(event)
            elif isinstance(event, yaml.CollectionStartEvent):
                self.start(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self.end()
        if self.root is None:
            self.findings.error(Mark(1, 1), "the file is empty")
        return self.root

    def refuse(self, event: yaml.Event, text: str) -> NoReturn:
        self.findings.error(_place(event.start_mark), text)
        raise _TreeRefused

    def count(self, event: yaml.NodeEvent) -> None:
        self.counted += 1
        if self.counted > MAX_NODES:
            self.refuse(event, f"the file holds more than {MAX_NODES:,} values")
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!":
            short = tag.replace("tag:yaml.org,2002:", "!!")
            self.findings.error(_place(event.start_mark), f"tag {quoted(short)} is not allowed; write plain values")

    def scalar(self, event: yaml.ScalarEvent) -> None:
        self.count(event)
        plain = event.style is None or event.style == ""
        value = _resolve(event.value) if plain and event.tag is None else event.value
        node = Scalar(value=value, text=event.value, mark=_place(event.start_mark))
        self.add(node, event.anchor, 1)

    def start(self, event: yaml.CollectionStartEvent) -> None:
        if len(self.open) >= MAX_DEPTH:
            self.refuse(event, f"nested deeper than {MAX_DEPTH} levels")
        self.open.append(_Open(event, counted_before=self.counted))
        self.count(event)

    def end(self) -> None:
        done = self.open.pop()
        mark = _place(done.event.start_mark)
        node: Node
        if isinstance(done.event, yaml.SequenceStartEvent):
            node = Listing(tuple(done.nodes), mark)
        else:
            node = Entries(tuple(self.pairs(done.nodes)), mark)
        self.add(node, done.event.anchor, self.counted - done.counted_before)

    def pairs(self, nodes: list[Node]) -> Iterator[tuple[Scalar, Node]]:
        seen: dict[str, Mark] = {}
        for key, value in zip(nodes[::2], nodes[1::2], strict=True):
            if not isinstance(key, Scalar):
                self.findings.error(key.mark, "a key must be text, not a list or a mapping")
            elif not isinstance(key.value, str):
                self.findings.error(key.mark, f"a key must be text: write '{key.text[:40]}' in quotes")
            elif key.text == "<<":
                self.findings.error(key.mark, 'merge keys ("<<") are not YAML 1.2; use "defaults"')
            elif key.text in seen:
                first = seen[key.text].line
                self.findings.error(key.mark, f"duplicate key {quoted(key.text)}, first on line {first}")
            else:
                seen[key.text] = key.mark
                yield key, value

    def alias(self, event: yaml.AliasEvent) -> None:
        anchor = event.anchor or ""
        if anchor not in self.anchors:
            self.refuse(event, f"alias {quoted('*' + anchor)} has no complete value above it")
        node, size = self.anchors[anchor]
        self.aliased += size
        self.counted += size
        if self.aliased > MAX_ALIASED:
            self.refuse(event, f"aliases stand for more than {MAX_ALIASED} values")
        self.add(node, None, 0)

    def add(self, node: Node, anchor: str | None, size: int) -> None:
        if anchor is not None:
            self.anchors[anchor] = (node, size)
        if self.open:
            self.open[-1].nodes.append(node)
        else:
            self.root = node


def _events(text: str) -> Iterator[yaml.Event]:
    loader = _LOADER(text)
    try:
        while loader.check_event():
            event = loader.get_event()
            if event is not None:
                yield event
    finally:
        loader.dispose()
