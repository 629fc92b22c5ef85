"""Who watches a run on a terminal: a row for each that runs, drawn over and over, results scrolling up above them.

Owns the wording of the rows, which of them there is room for, and the pace. Must not know the engine, nor how a
terminal is written to. Only the cli imports this module, and only when stderr is a terminal. There is no thread: the
loop's `tick` redraws.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

from rich.cells import cell_len

from gitckpt.model.text import headline, safe
from gitckpt.progress.events import ItemsEnded, Note, PhaseEnded, ProgressEvent, RunBegan, Warned
from gitckpt.progress.reporter import BAD_STATUSES, lines_of, parts_of, shown_status, wait_ms
from gitckpt.progress.running import Board, Row
from gitckpt.progress.screen import BAD, CYAN, DIM, GREEN, PLAIN, YELLOW, Line, Screen, Span, padded
from gitckpt.progress.text import duration

_REDRAW_S = 0.1
_NAME_CELLS = 24
_LABEL_CELLS = 32
_LEAST_ROWS_FOR_TOTALS = 4
_ROWS_LEFT_FREE = 4
_STYLES = {"completed": GREEN, "done": GREEN, "failed": BAD, "blocked": BAD, "waiting": YELLOW}


class LiveReporter:
    """One row a running attempt: name, elapsed time, what is left by the last run's measure, the last line printed.

    A phase whose items run side by side has a row with their share, and below it one for each group. The totals are
    the last line, where several attempts may run at once. `clock`: seconds that never jump.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._screen = Screen(stream or sys.stderr)
        self._clock = clock
        self._board = Board()
        self._widest = 0
        self._widest_label = 0
        self._drawn = float("-inf")

    def __call__(self, event: ProgressEvent) -> None:
        now = self._clock()
        self._board.hear(event, now)
        above = self._said(event)
        if above or not self._board.rows:
            self._draw(now, above)
        else:
            self.tick()  # many may begin and end in a moment, far faster than a terminal draws

    def tick(self) -> None:
        """Redraw, at most ten times a second, and only while something runs."""
        now = self._clock()
        if self._board.rows and now - self._drawn >= _REDRAW_S:
            self._draw(now)

    def close(self) -> None:
        """Take the running rows away; what was printed stays. A second call does nothing."""
        self._board.rows.clear()
        self._screen.show(())

    def _draw(self, now: float, above: Iterable[Line] = ()) -> None:
        self._drawn = now
        self._screen.show(self._frame(now), above)

    def _said(self, event: ProgressEvent) -> list[Line]:
        """What scrolls up because of an event."""
        match event:
            case PhaseEnded():
                return [self._result(event)]
            case ItemsEnded(status=status) if status in BAD_STATUSES or status == "interrupted":
                return _lines(event, _STYLES.get(status, PLAIN))
            case Warned():
                return _lines(event, YELLOW)
            case RunBegan(phases=phases):
                for phase in phases:
                    self._name(phase)
                return _lines(event, DIM)
            case Note():
                return _lines(event, DIM)
            case _:
                return []

    def _result(self, event: PhaseEnded) -> Line:
        status = event.status
        line: list[Span] = [(f"{self._name(event.phase)}  ", PLAIN)]
        line.append((f"{shown_status(status):<9}", _STYLES.get(status, PLAIN)))
        details = parts_of(event)
        if details:
            line.append(("  " + "   ".join(details), PLAIN if status in BAD_STATUSES else DIM))
        return line

    def _name(self, phase: str) -> str:
        """The phase padded to the widest seen, so that the columns below each other stay in line."""
        shown = safe(phase)
        self._widest = max(self._widest, min(cell_len(shown), _NAME_CELLS))
        return padded(shown, self._widest)

    def _frame(self, now: float) -> list[Line]:
        """What is to be seen at the bottom now: the rows there is room for, how many more there are, the totals."""
        board = self._board
        if not board.rows:
            return []
        height = self._screen.size()[1]
        room = max(1, height - _ROWS_LEFT_FREE)
        rows = [entry for row in board.rows.values() for entry in _entries(row)]
        shown = rows if len(rows) <= room else _most_useful(rows, max(1, room - 1))
        for row, group in shown:
            self._named(row, group)  # all are measured before the first is written
        lines = [_row_spans(self._named(row, group), group or row, now) for row, group in shown]
        if len(shown) < len(rows) and room > 1:
            lines.append([(f"… and {len(rows) - len(shown)} more", DIM)])
        if board.jobs > 1 and height >= _LEAST_ROWS_FOR_TOTALS:
            lines.append([(board.totals(now), PLAIN)])
        return lines

    def _named(self, row: Row, group: Row | None) -> str:
        if group is None:
            return f"{self._name(row.name)}  "
        label = safe(group.name)
        self._widest_label = max(self._widest_label, min(cell_len(label), _LABEL_CELLS))
        return f"  {padded(label, self._widest_label)}  "


def _entries(row: Row) -> Iterator[tuple[Row, Row | None]]:
    """A phase's own row, then one for each group under way."""
    yield row, None
    for group in row.groups.values():
        yield row, group


def _lines(event: ProgressEvent, style: str) -> list[Line]:
    return [[(line, style)] for line in lines_of(event)]


def _row_spans(name: str, row: Row, now: float) -> Line:
    """Name, state, elapsed time, what is known of the rest, and what it printed last or waits for."""
    line: list[Span] = [(name, PLAIN)]
    if row.waiting is not None and row.waits():
        left = wait_ms(row.waiting)
        line += [("waits    ", YELLOW), (f"  {duration(left)}" if left else "", PLAIN)]
        said = row.waiting.why
    else:
        elapsed = row.elapsed_ms(now)
        line.append(("finished ", GREEN) if row.has_finished() else ("running  ", CYAN))
        line.append((f"  {duration(elapsed)}", PLAIN))
        line.append((_outlook(row, elapsed, now), DIM))
        said = headline(row.finished.why) if row.finished is not None else row.line
    if said:
        line.append((f"  | {safe(said)}", DIM))
    return line


def _outlook(row: Row, elapsed_ms: int, now: float) -> str:
    words = ""
    if row.items is not None:
        words += f", {row.share(now)}"
    elif row.finished is None and row.eta_ms is not None and row.eta_ms > elapsed_ms:
        words += f", about {duration(row.eta_ms - elapsed_ms)} left"
    return words + (f", attempt {row.attempt}" if row.attempt > 1 else "")


def _most_useful(rows: list[tuple[Row, Row | None]], room: int) -> list[tuple[Row, Row | None]]:
    """As many as there is room for, in their order: what runs before what waits or has finished, the newest first.

    No group is kept without the row of its phase.
    """

    def rank(entry: tuple[Row, Row | None]) -> tuple[bool, float, int]:
        row, group = entry
        if group is not None:
            return group.finished is not None, -group.began, 1
        running = [attempt.began for attempt in row.attempts() if attempt.finished is None and not row.waits()]
        newest = max(running or [attempt.began for attempt in row.attempts()] or [row.began])
        return not running, -newest, 0

    kept = sorted(range(len(rows)), key=lambda index: rank(rows[index]))[:room]
    return [rows[index] for index in sorted(kept)]
