"""The failed items of a phase as a file in the workspace, where `tolerate: {to: FILE}` asks for it.

Owns the file's form: one JSON object a line, `item`, `key` where it has one of its own, `exit_code`, `detail`: nothing
that another number of tries would change, for the file is part of the checkpoint. Must not know what made an item fail.
"""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from gitckpt.engine.agenda import Agenda
from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.listing import Item
from gitckpt.model.manifest import Json
from gitckpt.model.shard import FAILED, ItemFailure
from gitckpt.model.text import safe
from gitckpt.model.workflow import Phase


@dataclass(eq=False)
class CannotTellFailures(GitckptError):
    """The file for failed items cannot be written."""

    path: str
    why: str

    exit_code = ExitCode.FAILED

    @property
    def message(self) -> str:
        return f"cannot write the failed items to {safe(self.path)}: {self.why}"

    @property
    def hint(self) -> str:
        return "let `tolerate: {to: …}` name a file that can be written; then: gitckpt run"


def write_failed_items(agenda: Agenda, phase: Phase, path: str, done_now: Collection[int], root: Path) -> None:
    """Replace the file below `root` with what has failed as of the tip, without the items that are `done_now`: the file
    is part of the checkpoint that says so. Where nothing has failed, no file is made. Raises CannotTellFailures."""
    items = agenda.items(phase.name)
    if items is None:
        return
    progress, listing = agenda.progress(phase.name), agenda.listing(phase.name)
    target = os.path.join(root, path)
    failed = progress.among(frozenset({FAILED}), 0, items.total) if items.failed else ()
    indices = [index for index in failed if index not in done_now]
    if not indices and not os.path.exists(target):
        return
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            for index, item in zip(indices, listing.items(indices), strict=True):
                file.write(json.dumps(_told(item, progress.failure(index)), ensure_ascii=False) + "\n")
    except OSError as error:
        raise CannotTellFailures(path, error.strerror or str(error)) from error


def _told(item: Item, failure: ItemFailure | None) -> dict[str, Json]:
    told: dict[str, Json] = {"item": _text(item.value)}
    if item.key != item.value:
        told["key"] = _text(item.key)
    if failure is not None:
        told |= {"exit_code": failure.exit_code, "detail": failure.detail}
    return told


def _text(value: bytes) -> Json:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": b64encode(value).decode()}
