"""The failed items of a phase as a file in the workspace, where `tolerate: {to: FILE}` asks for it.

Owns the file's form: one JSON object a line, `item`, `key` where it has one of its own, `attempt`, `exit_code`,
`detail`. Must not know what made an item fail.
"""

from __future__ import annotations

import json
import os
from base64 import b64encode

from gitckpt.engine.agenda import Agenda
from gitckpt.engine.hold import Hold
from gitckpt.model.manifest import Json
from gitckpt.model.shard import FAILED
from gitckpt.model.workflow import Phase


def write_failed_items(hold: Hold, agenda: Agenda, phase: Phase, path: str) -> None:
    """Replace the file with what has failed as of the tip. Where nothing has, the file is not made."""
    items = agenda.items(phase.name)
    if items is None:
        return
    progress, listing = agenda.progress(phase.name), agenda.listing(phase.name)
    target = os.path.join(hold.given.root, path)
    if not items.failed and not os.path.exists(target):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    indices = list(progress.among(frozenset({FAILED}), 0, items.total)) if items.failed else []
    with open(target, "w", encoding="utf-8") as file:
        for index, item in zip(indices, listing.items(indices), strict=True):
            failure = progress.failure(index)
            told: dict[str, Json] = {"item": _text(item.value)}
            if item.key != item.value:
                told["key"] = _text(item.key)
            if failure is not None:
                told |= {"attempt": failure.attempt, "exit_code": failure.exit_code, "detail": failure.detail}
            file.write(json.dumps(told, ensure_ascii=False) + "\n")


def _text(value: bytes) -> Json:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": b64encode(value).decode()}
