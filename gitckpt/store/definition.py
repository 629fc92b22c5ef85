"""`definition.json`: the validated definition a checkpoint was made with, defaults filled in, and its source.

Owns the codec. The definition is shown and compared; what runs always comes from today's workflow file.
"""

from __future__ import annotations

import base64
from typing import Any, cast

import msgspec

from gitckpt.model.codec import dumps, loads
from gitckpt.model.manifest import SCHEMA, Json
from gitckpt.model.workflow import Workflow

NO_FILE = ""
"""The path of a definition that no file says: scripts make the checkpoints of such a workflow."""


def encode_definition(workflow: Workflow, path: str, source: bytes) -> bytes:
    """`path` is relative to the workspace; `source` the file's bytes."""
    text: Json
    try:
        text = source.decode()
    except UnicodeDecodeError:
        text = {"b64": base64.b64encode(source).decode()}
    plain = cast(Json, msgspec.to_builtins(workflow))
    return dumps({"schema": SCHEMA, "path": path, "source": text, "workflow": plain})


def definition_path(data: bytes) -> str:
    """The path of the file that a stored definition comes from; empty where there was none. Raises Damaged."""
    plain = loads(data, "definition.json")
    path = plain.get("path") if isinstance(plain, dict) else None
    return path if isinstance(path, str) else ""


def definition_source(data: bytes) -> bytes:
    """The bytes of the file that a stored definition comes from. Raises Damaged."""
    plain = loads(data, "definition.json")
    source = plain.get("source") if isinstance(plain, dict) else None
    if isinstance(source, dict) and isinstance(source.get("b64"), str):
        return base64.b64decode(str(source["b64"]))
    return source.encode() if isinstance(source, str) else b""


def decode_workflow(data: bytes) -> Workflow:
    """The workflow of a stored definition. Raises Damaged, msgspec.ValidationError."""
    plain = loads(data, "definition.json")
    workflow = plain.get("workflow") if isinstance(plain, dict) else None
    for phase in cast(list[Any], workflow.get("phases") or []) if isinstance(workflow, dict) else []:
        if isinstance(phase, dict) and isinstance(phase.get("on_failure"), str):
            phase["on_failure"] = {"action": phase["on_failure"]}  # as it was stored before there was `goto`
    return msgspec.convert(workflow, Workflow)
