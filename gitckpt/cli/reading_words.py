"""How the reading commands put things: times, counts, events, tables. All text from outside is made safe here.

Owns the wording. Must not know where values come from; reads no repository.
"""

from __future__ import annotations

import os
import re
from binascii import b2a_base64
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gitckpt.model.amount import plural
from gitckpt.model.manifest import Items, Json, Status, Uncaptured
from gitckpt.model.text import safe
from gitckpt.progress.text import count, duration, size

if TYPE_CHECKING:  # `status` has words of time and number only
    from gitckpt.model.items import ItemsCompleted
    from gitckpt.plumbing.content import Change
    from gitckpt.store.checkpoint import Checkpoint

SHOWN_PATHS = 3
EDIT = "your edit {}"
"""How an edit is named, by its number."""

STATUS_WORDS = {Status.COMPLETED: "done", Status.FAILED: "FAILED", Status.BLOCKED: "BLOCKED"}
"""The words for people where they are not the status itself."""


def status_word(status: Status) -> str:
    """A status as people read it."""
    return STATUS_WORDS.get(status, status.value)


def at_seconds(seconds: int) -> str:
    """A time in seconds since 1970 as local `02:14`, with its date when that is not today's."""
    return _local(datetime.fromtimestamp(seconds, UTC))


def at_iso(text: str | None) -> str:
    """A stored time, as `at_seconds`; as it is, made safe, where it cannot be read; empty for None."""
    if not text:
        return ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return safe(text)
    return _local(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _local(moment: datetime) -> str:
    here = moment.astimezone()
    today = datetime.now(UTC).astimezone().date()
    return f"{here:%H:%M}" if here.date() == today else f"{here:%Y-%m-%d %H:%M}"


def iso(seconds: int) -> str:
    """Seconds since 1970 as ISO 8601 with offset, for JSON."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().isoformat(timespec="seconds")


def elapsed(since: str) -> str:
    """How long ago a stored time was, as `2 m 05 s`; empty where it cannot be read."""
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        return ""
    if moment.tzinfo is None:
        return ""
    return duration(int((datetime.now(UTC) - moment).total_seconds() * 1000))


def table(rows: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    """Rows as lines with aligned columns; the last column is not padded."""
    widths: list[int] = []
    for row in rows:
        for index, cell in enumerate(row):
            if index == len(widths):
                widths.append(0)
            widths[index] = max(widths[index], len(cell))
    lines = []
    for row in rows:
        cells = [cell.ljust(widths[index]) for index, cell in enumerate(row)]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines


def mark(change: Change) -> str:
    """`A`, `M` or `D`, as git says it."""
    return "A" if change.old is None else "D" if change.new is None else "M"


def counts(changes: Sequence[Change]) -> str:
    """`M load_batch.sh` for one file, `+3 files, 1 changed, 2 removed` for more; empty for none."""
    if len(changes) == 1:
        return f"{mark(changes[0])} {safe(changes[0].path)}"
    marks = [mark(change) for change in changes]
    made, changed, removed = marks.count("A"), marks.count("M"), marks.count("D")
    parts = [f"+{plural(made, 'file')}" if made else "", f"{count(changed)} changed" if changed else ""]
    parts.append(f"{count(removed)} removed" if removed else "")
    return ", ".join(part for part in parts if part)


def uncaptured_lines(phase: str, mark_: Uncaptured) -> list[str]:
    """What a phase changed outside the checkpoints, and the line that would capture it."""
    names = ", ".join(safe(path) for path in mark_.paths[:SHOWN_PATHS]) + (" …" if mark_.count > SHOWN_PATHS else "")
    return [
        f"uncaptured: {phase} changed {plural(mark_.count, 'ignored file')} ({size(mark_.size)}) that no checkpoint "
        f"holds: {names}",
        f"  to capture: {mark_.include}",
    ]


def items_words(done: ItemsCompleted, items: Items | None) -> str:
    """`item s2`, `batch 61/100`, `batches 3..5/100`, `items 100..199/1,000`."""
    first, last = done.items[0][0], done.items[-1][1]
    total = items.total if items else last + 1
    size = items.batch if items else None
    if done.batch is not None and size:
        of = -(-total // size)
        end = last // size + 1
        return f"batch {end:,}/{of:,}" if end == done.batch else f"batches {done.batch:,}..{end:,}/{of:,}"
    named = re.fullmatch(r"item (.*) \([0-9,]+ of [0-9,]+\)", done.detail)
    return f"item {named[1]}" if named and done.count == 1 else f"items {first:,}..{last:,}/{total:,}"


def items_json(done: ItemsCompleted) -> dict[str, Json]:
    """Which items were done, as positions from 0 on in the phase's list."""
    ranges: list[Json] = [[first, last] for first, last in done.items]
    return {"ranges": ranges, "count": done.count, "batch": done.batch, "duration_ms": done.duration_ms}


def taken_back_words(checkpoints: Sequence[Checkpoint], edit: str = f"{EDIT} (keep it: --keep-edits)") -> str:
    """What going back takes back: `transform, load (61 batches), your edit 0007 (keep it: --keep-edits)`.

    `checkpoints`: newest first. `edit` says an edit with its number; empty where edits are not taken back.
    """
    parts: dict[str, int] = {}
    more: list[str] = []
    for checkpoint in reversed(checkpoints):
        named = checkpoint.title
        if named.phase and named.kind in ("phase", "merge", "item", "batch") and named.status != "listed":
            word = "batch" if named.kind == "batch" else "item" if named.kind == "item" else ""
            key = f"{named.phase} {word}".strip()
            if not word:
                parts.pop(f"{named.phase} item", None)
                parts.pop(f"{named.phase} batch", None)
            parts[key] = parts.get(key, 0) + 1
        elif named.kind == "edit":
            more += [edit.format(f"{checkpoint.number:04d}")] if edit else []
        elif named.kind in ("named", "partial"):
            more.append(f"{named.kind} {checkpoint.number:04d}")
    return ", ".join([*(_part_words(key, number) for key, number in parts.items()), *more])


def _part_words(key: str, number: int) -> str:
    phase, _, word = key.partition(" ")
    many = f"{word}es" if word == "batch" and number > 1 else f"{word}s" if number > 1 else word
    return f"{phase} ({count(number)} {many})" if word else phase


def path_json(path: bytes) -> Json:
    """A path for JSON: text, or `{"b64": …}` where its bytes are not UTF-8."""
    try:
        return path.decode()
    except UnicodeDecodeError:
        return {"b64": b2a_base64(path, newline=False).decode("ascii")}


def shown_folder(path: str | os.PathLike[str]) -> str:
    """A folder's path made safe."""
    return safe(os.fsencode(path))
