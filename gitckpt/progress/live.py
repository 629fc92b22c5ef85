"""Who watches a run on a terminal: the running phases redrawn in place, results scrolling up above them.

Owns the table and the pace of redrawing. Must not know the engine. Only the cli imports this module, and only when
stderr is a terminal: rich takes 60 ms. There is no thread: the loop's `tick` redraws.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from typing import TextIO, assert_never

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.live import Live
from rich.text import Text

from gitckpt.model.amount import plural
from gitckpt.model.text import safe
from gitckpt.progress.events import (
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
from gitckpt.progress.reporter import BAD_STATUSES, lines_of, parts_of, shown_status, wait_ms
from gitckpt.progress.text import duration

_REDRAW_S = 0.1
_NAME_CELLS = 24
_STYLES = {"completed": "green", "failed": "bold red", "blocked": "bold red", "waiting": "yellow"}
_LEAST_LINE_CELLS = 8


@dataclass(slots=True)
class _Row:
    phase: str
    attempt: int = 1
    eta_ms: int | None = None
    line: str = ""
    waiting: Waiting | None = None
    began: float = field(default_factory=time.monotonic)
    items: ItemsEnded | None = None
    first: int = 0

    def count(self, event: ItemsEnded) -> None:
        """Items came to an end. `first`: how many had before this call began, which say nothing about its speed."""
        if self.items is None:
            self.first = event.done + event.failed - event.count
        self.items = event
        self.waiting = None

    def share(self) -> str:
        """`61,000/100,000 items, 512/s, about 1 m left`."""
        items = self.items
        if items is None:
            return ""
        seconds = max(time.monotonic() - self.began, 0.001)
        ended = items.done + items.failed
        rate = max(ended - self.first, 0) / seconds
        left = items.total - ended - items.skipped
        words = [f"{items.done:,}/{plural(items.total, 'item')}"]
        words += [f"{items.failed:,} failed"] if items.failed else []
        if rate > 0:
            words.append(f"{rate:,.0f}/s" if rate >= 1 else f"{rate * 60:,.0f}/min")
            words.append(f"about {duration(int(left / rate * 1000))} left")
        return ", ".join(words)


class _Screen(Console):
    def on_broken_pipe(self) -> None:
        """Rich would end the whole program here; the run goes on, unwatched."""
        self.quiet = True


class LiveReporter:
    """One row a running phase: name, elapsed time, what is left by the last run's measure, the last line printed."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._console = _Screen(
            file=stream or sys.stderr,
            highlight=False,
            markup=False,
            emoji=False,
            # Rich alone would only leave the colours out, and still write bold and dim.
            color_system=None if os.environ.get("NO_COLOR") else "auto",
        )
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="ellipsis",
        )
        self._rows: dict[str, _Row] = {}
        self._widest = 0
        self._drawn = 0.0
        self._gone = False

    def __call__(self, event: ProgressEvent) -> None:
        match event:
            case PhaseBegan(phase=phase, attempt=attempt, eta_ms=eta):
                self._rows[phase] = _Row(phase=phase, attempt=attempt, eta_ms=eta)
            case OutputLine(phase=phase, line=line):
                if phase in self._rows:
                    self._rows[phase].line = line
                return  # the next tick shows it: a phase may print far faster than a terminal draws
            case ItemsEnded(phase=phase, status=status):
                self._rows.setdefault(phase, _Row(phase=phase)).count(event)
                if status in BAD_STATUSES:
                    self._print(Text("\n".join(lines_of(event)), style=_STYLES.get(status, "")))
            case PhaseEnded(phase=phase):
                self._rows.pop(phase, None)
                self._print(self._result(event))
            case Waiting(phase=phase):
                self._rows.setdefault(phase, _Row(phase=phase)).waiting = event
            case RunEnded():
                self._rows.clear()
            case Warned():
                self._print(Text("\n".join(lines_of(event)), style="yellow"))
            case RunBegan() | Note():
                for phase in event.phases if isinstance(event, RunBegan) else ():
                    self._name(phase)
                self._print(Text("\n".join(lines_of(event)), style="dim"))
            case _:
                assert_never(event)
        self._draw()

    def tick(self) -> None:
        """Redraw, at most ten times a second, and only while something runs."""
        if self._rows and time.monotonic() - self._drawn >= _REDRAW_S:
            self._draw()

    def close(self) -> None:
        """Take the running rows away; what was printed stays. A second call does nothing."""
        self._rows.clear()
        self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        if self._gone:
            return
        try:
            if self._rows:
                if not self._live.is_started:
                    self._live.start()
                self._live.update(self._table(), refresh=True)
            elif self._live.is_started:
                self._live.stop()
        except OSError:
            self._gone = True  # the terminal was closed: the run goes on, unwatched

    def _print(self, text: Text) -> None:
        if self._gone:
            return
        try:
            self._console.print(text, soft_wrap=True)
        except OSError:
            self._gone = True

    def _name(self, phase: str) -> str:
        """The phase padded to the widest seen, so that the columns below each other stay in line."""
        shown = safe(phase)
        self._widest = max(self._widest, min(cell_len(shown), _NAME_CELLS))
        return shown if cell_len(shown) > self._widest else set_cell_size(shown, self._widest)

    def _result(self, event: PhaseEnded) -> Text:
        status = shown_status(event.status)
        line = Text(f"{self._name(event.phase)}  ")
        line.append(f"{status:<9}", style=_STYLES.get(event.status, ""))
        details = parts_of(event)
        if details:
            line.append("  " + "   ".join(details), style="" if event.status in BAD_STATUSES else "dim")
        return line

    def _table(self) -> Text:
        return Text("\n").join(self._running(row) for row in self._rows.values())

    def _running(self, row: _Row) -> Text:
        """One line, never wider than the terminal: a wrapped one would be redrawn in the wrong place."""
        width = max(1, self._console.width - 1)
        line = Text(f"{self._name(row.phase)}  ", no_wrap=True, overflow="crop", end="")
        if row.waiting is not None:
            left = wait_ms(row.waiting)
            line.append("waits    ", style=_STYLES["waiting"])
            line.append(f"  {duration(left)}" if left else "")
            said = row.waiting.why
        else:
            elapsed = int((time.monotonic() - row.began) * 1000)
            line.append("running  ", style="cyan")
            line.append(f"  {duration(elapsed)}")
            if row.items is not None:
                line.append(f", {row.share()}", style="dim")
            elif row.eta_ms is not None and row.eta_ms > elapsed:
                line.append(f", about {duration(row.eta_ms - elapsed)} left", style="dim")
            if row.attempt > 1:
                line.append(f", attempt {row.attempt}", style="dim")
            said = row.line
        if said and width - line.cell_len >= _LEAST_LINE_CELLS:
            line.append(f"  | {safe(said)}", style="dim")
        line.truncate(width, overflow="ellipsis")
        return line
