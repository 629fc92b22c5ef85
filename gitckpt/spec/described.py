"""From what a Python file declares to the tree that a workflow file would give, so that one reader judges both.

Owns the description's form (JSON: `name`, `line`, `keys`, `phases`, or `error`) and where its values stand: on the line
of the call that declares them. Must not run anything.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from gitckpt.spec.problem import Findings, Mark
from gitckpt.spec.yaml_strict import Entries, Listing, Node, Scalar


@dataclass(frozen=True, slots=True)
class Description:
    """The tree of a declared workflow, and for each phase with functions of its own the digest of their code."""

    root: Entries
    code: dict[str, str]


def read_description(said: bytes, findings: Findings) -> Description | None:
    """The tree; None, with the problem noted, where the file could not say one."""
    value: dict[str, Any] = json.loads(said)
    error = value.get("error")
    if error is not None:
        findings.error(Mark(error["line"], 1), error["text"])
        return None
    top = Mark(value["line"], 1)
    phases = [
        (_text(phase["name"], Mark(phase["line"], 1)), _node(phase["keys"], Mark(phase["line"], 1)))
        for phase in value["phases"]
    ]
    head: tuple[tuple[str, Node], ...] = (
        ("version", Scalar(value=1, text="1", mark=top)),
        ("workflow", _text(value["name"], top)),
    )
    given = [(key, _node(each, top)) for key, each in value["keys"].items()]
    pairs = [*head, *given, ("phases", Entries(tuple(phases), top))]
    return Description(
        root=Entries(tuple((_text(key, top), node) for key, node in pairs), top),
        code={phase["name"]: phase["code"] for phase in value["phases"] if phase["code"]},
    )


def _text(text: str, mark: Mark) -> Scalar:
    return Scalar(value=text, text=text, mark=mark)


def _node(value: Any, mark: Mark) -> Node:
    match value:
        case dict():
            return Entries(tuple((_text(key, mark), _node(each, mark)) for key, each in value.items()), mark)
        case list():
            return Listing(tuple(_node(each, mark) for each in value), mark)
        case bool() | None:
            return Scalar(value=value, text={True: "true", False: "false", None: "null"}[value], mark=mark)
        case _:
            return Scalar(value=value, text=str(value), mark=mark)
