"""Who watches a run without a terminal: one line a change, one JSON object a line, or only what went wrong.

Owns the wording of these lines. Must not know how a terminal is redrawn (`live.py` does) and imports nothing heavy.
A stream that is gone (`gitckpt run | head`) ends the telling, never the run.
"""

from __future__ import annotations

import json
import time
from dataclasses import fields
from datetime import UTC, datetime
from typing import Literal, TextIO, TypeAlias, assert_never

from gitckpt.model.amount import plural
from gitckpt.model.text import headline, safe
from gitckpt.progress.events import (
    Finished,
    ItemsBegan,
    ItemsEnded,
    Note,
    OutputLine,
    PhaseBegan,
    PhaseEnded,
    ProgressEvent,
    RunBegan,
    RunEnded,
    Waiting,
    Warned,
)
from gitckpt.progress.running import Board, Row
from gitckpt.progress.text import duration

Mode: TypeAlias = Literal["auto", "quiet", "json"]
Choice: TypeAlias = Literal["live", "lines", "quiet", "json"]

SCHEMA = 1
BAD_STATUSES = frozenset({"failed", "blocked"})
_QUIET_LIMIT_S = 30.0


def choose(stream: TextIO, *, mode: Mode, term: str | None = None) -> Choice:
    """Which reporter suits the stream: `live` on a terminal that can move its cursor, else `lines`."""
    if mode != "auto":
        return mode
    return "live" if stream.isatty() and term != "dumb" else "lines"


class _Stream:
    """A text stream that stops being written when its reader is gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream

    def line(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except UnicodeEncodeError:
            self._stream.write(text.encode("ascii", "backslashreplace").decode("ascii") + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: somebody closed the stream
            self._stream = None


class LineReporter:
    """One time-stamped line a change: `2026-11-23T10:00:00+00:00 load done 12 s 0007`."""

    def __init__(self, stream: TextIO) -> None:
        self._out = _Stream(stream)
        self._board = Board()
        self._told = 0.0

    def __call__(self, event: ProgressEvent) -> None:
        self._board.hear(event, time.monotonic())
        if not isinstance(event, OutputLine):
            for line in lines_of(event):
                self._line(line)

    def tick(self) -> None:
        """Every 30 s without a change a line says what still runs: CI kills what is silent."""
        now = time.monotonic()
        if now - self._told >= _QUIET_LIMIT_S and (said := still_running(self._board, now)):
            self._line(said)

    def close(self) -> None:
        """Nothing is held."""

    def _line(self, text: str) -> None:
        self._told = time.monotonic()
        self._out.line(f"{datetime.now(UTC).astimezone().isoformat(timespec='seconds')} {text}")


class QuietReporter:
    """Only warnings and failures, without a time."""

    def __init__(self, stream: TextIO) -> None:
        self._out = _Stream(stream)

    def __call__(self, event: ProgressEvent) -> None:
        if isinstance(event, Warned) or (isinstance(event, PhaseEnded | ItemsEnded) and event.status in BAD_STATUSES):
            for line in lines_of(event):
                self._out.line(line)

    def tick(self) -> None:
        """Nothing to renew."""

    def close(self) -> None:
        """Nothing is held."""


class JsonReporter:
    """One JSON object a line: `{"schema": 1, "event": "phase_ended", "at": "…", …}`, texts as they came."""

    def __init__(self, stream: TextIO) -> None:
        self._out = _Stream(stream)

    def __call__(self, event: ProgressEvent) -> None:
        said: dict[str, object] = {
            "schema": SCHEMA,
            "event": _snake(type(event).__name__),
            "at": datetime.now(UTC).astimezone().isoformat(timespec="milliseconds"),
        }
        for entry in fields(event):
            said[entry.name] = getattr(event, entry.name)
        if isinstance(event, Waiting):
            # Another program has another monotonic clock: it is told how long, not until when.
            said.pop("until_ms")
            said["wait_ms"] = wait_ms(event)
        self._out.line(json.dumps(said))

    def tick(self) -> None:
        """Nothing to renew."""

    def close(self) -> None:
        """Nothing is held."""


def wait_ms(event: Waiting) -> int:
    """How long it still waits; 0 when that is over, or not known."""
    return max(0, event.until_ms - int(time.monotonic() * 1000)) if event.until_ms else 0


def lines_of(event: ProgressEvent) -> list[str]:
    """An event in words, safe to show; several lines where the text has several."""
    match event:
        case RunBegan(workflow=workflow, number_of_phases=number, resumed_at=at):
            whole = f"{safe(workflow)}: {plural(number, 'phase')}"
            whole += f", up to {event.jobs} at once" if event.jobs > 1 else ""
            return [f"{whole}, resumed at {safe(at)}" if at else whole]
        case PhaseBegan(phase=phase, compensating=True):
            return [f"{safe(phase)} is being compensated"]
        case PhaseBegan(phase=phase, attempt=attempt, eta_ms=eta):
            parts = [safe(phase), "began"]
            parts += [f"attempt {attempt}"] if attempt > 1 else []
            parts += [f"(about {duration(eta)})"] if eta is not None else []
            return [" ".join(parts)]
        case ItemsBegan(phase=phase, items=items):
            return [f"{named(phase, items)} began"]
        case Finished(phase=phase, items=items, duration_ms=ran, why=why):
            return [f"{named(phase, items)} finished {duration(ran)}: {headline(why)}"]
        case PhaseEnded(phase=phase, status=status):
            return [" ".join([safe(phase), shown_status(status), *parts_of(event)])]
        case ItemsEnded(phase=phase, status=status, detail=detail, done=done, total=total):
            which = detail if event.items in detail else f"{event.items}: {detail}"
            parts = [safe(phase), shown_status(status), safe(which), f"{done:,}/{total:,}"]
            parts.append(duration(event.duration_ms))
            parts += [f"{event.checkpoint_number:04d}"] if event.checkpoint_number is not None else []
            return [" ".join(parts)]
        case Waiting(phase=phase, why=why):
            left = wait_ms(event)
            return [" ".join([safe(phase), "waits", *([duration(left)] if left else []), safe(why)]).strip()]
        case OutputLine(phase=phase, line=line, items=items):
            return [f"{named(phase, items)} | {safe(line)}"]
        case Note(text=text):
            return [safe(line) for line in text.splitlines()]
        case Warned(text=text):
            return [f"warning: {safe(line)}" for line in text.splitlines()]
        case RunEnded(status=status):
            return [f"run {safe(status)}"]
        case _:
            assert_never(event)


def named(phase: str, items: str) -> str:
    """The phase, and which of its items, where that is one of several groups."""
    return f"{safe(phase)} {safe(items)}" if items else safe(phase)


def still_running(board: Board, now: float) -> str:
    """What runs, with its elapsed time: `train running 2 m 10 s | epoch 4`, or `running: a 12 s, b 3 s (2 items)`.

    Where nothing runs, what waits; empty where nothing does that either.
    """
    rows = board.running()
    if len(rows) > 1 or (rows and len(rows[0].groups) > 1):
        return f"running: {', '.join(_with_groups(row, now) for row in rows)}"
    if rows:
        row = rows[0]
        attempt = next(iter(row.groups.values()), row)
        line = f"{named(row.name, attempt.name if attempt is not row else '')} running"
        line += f" {duration(attempt.elapsed_ms(now))}"
        return f"{line} | {safe(attempt.line)}" if attempt.line else line
    waits = [row.waiting for row in board.rows.values() if row.waiting is not None and row.waits()]
    return ", ".join(line for waiting in waits for line in lines_of(waiting))


def _with_groups(row: Row, now: float) -> str:
    text = f"{safe(row.name)} {duration(row.elapsed_ms(now))}"
    running = [group.name for group in row.groups.values() if group.finished is None]
    word = "item" if all(name.startswith("item ") for name in running) else "group"
    return f"{text} ({plural(len(running), word)})" if running else text


def shown_status(status: str) -> str:
    """`completed` reads `done`; what needs a person stands in capitals."""
    if status == "completed":
        return "done"
    return safe(status).upper() if status in BAD_STATUSES else safe(status)


def parts_of(event: PhaseEnded) -> list[str]:
    """Detail, duration and checkpoint number, those that are there."""
    parts = [headline(event.detail)] if event.detail else []
    parts += [duration(event.duration_ms)] if event.duration_ms is not None else []
    first, last = event.first_checkpoint, event.checkpoint_number
    since = f"{first:04d}.." if first is not None and first != last else ""
    parts += [f"{since}{last:04d}"] if last is not None else []
    return parts


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
