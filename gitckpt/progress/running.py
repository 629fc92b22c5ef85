"""What runs, waits or has finished at this moment, and how far the whole is, as the events tell it.

Owns the account that every reporter shows from. Must not know how it is shown, nor any clock: the time is handed in, in
seconds of the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import assert_never

from gitckpt.model.amount import plural
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
from gitckpt.progress.text import duration


@dataclass(slots=True, kw_only=True)
class Row:
    """An attempt under way, or a phase whose groups of items run side by side: `groups`, by their labels.

    `side_by_side`: it had groups, also when none of them is under way now. `first`: how many items had ended before
    this run of the program, which say nothing about its speed.
    """

    name: str
    began: float
    attempt: int = 1
    eta_ms: int | None = None
    compensating: bool = False
    line: str = ""
    waiting: Waiting | None = None
    finished: Finished | None = None
    items: ItemsEnded | None = None
    first: int = 0
    side_by_side: bool = False
    groups: dict[str, Row] = field(default_factory=dict)

    def elapsed_ms(self, now: float) -> int:
        """How long it has run, or did run when it has finished."""
        return self.finished.duration_ms if self.finished is not None else int((now - self.began) * 1000)

    def has_finished(self) -> bool:
        """Nothing of it runs any more, and something of it waits for its turn to be merged."""
        if self.finished is not None:
            return True
        return bool(self.groups) and all(group.finished is not None for group in self.groups.values())

    def waits(self) -> bool:
        """It waits for a time or for somebody, and nothing of it runs."""
        return self.waiting is not None and all(group.finished is not None for group in self.groups.values())

    def attempts(self) -> Iterator[Row]:
        """What of it is an attempt: itself, or its groups."""
        if self.side_by_side:
            yield from self.groups.values()
        else:
            yield self

    def count(self, event: ItemsEnded) -> None:
        """Items came to an end."""
        if self.items is None:
            self.first = event.done + event.failed - event.count
        self.items = event
        self.waiting = None

    def share(self, now: float) -> str:
        """`61,000/100,000 items, 512/s, about 1 m left`; empty where no item has ended."""
        items = self.items
        if items is None:
            return ""
        seconds = max(now - self.began, 0.001)
        ended = items.done + items.failed
        rate = max(ended - self.first, 0) / seconds
        left = items.total - ended - items.skipped
        words = [f"{items.done:,}/{plural(items.total, 'item')}"]
        words += [f"{items.failed:,} failed"] if items.failed else []
        if rate > 0:
            words.append(f"{rate:,.0f}/s" if rate >= 1 else f"{rate * 60:,.0f}/min")
            words.append(f"about {duration(int(left / rate * 1000))} left")
        return ", ".join(words)


@dataclass(slots=True)
class Board:
    """The rows by phase, in the order in which they began, and the phases that have ended, by how."""

    rows: dict[str, Row] = field(default_factory=dict)
    jobs: int = 1
    number_of_phases: int = 0
    began: float = 0.0
    done: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)

    def hear(self, event: ProgressEvent, now: float) -> None:
        """Take an event into account."""
        match event:
            case RunBegan(jobs=jobs, number_of_phases=number, done=done):
                self.jobs, self.number_of_phases, self.began, self.done = jobs, number, now, set(done)
            case PhaseBegan(phase=phase):
                self._begin(event, now)
            case ItemsBegan(phase=phase, items=items):
                row = self._row(phase, now)
                row.side_by_side, row.waiting = True, None
                row.groups[items] = Row(name=items, began=now)
            case OutputLine(phase=phase, items=items, line=line):
                if phase in self.rows:
                    self.rows[phase].groups.get(items, self.rows[phase]).line = line
            case Finished(phase=phase, items=items):
                row = self._row(phase, now)
                (row.groups.setdefault(items, Row(name=items, began=now)) if items else row).finished = event
            case ItemsEnded(phase=phase, items=items):
                row = self._row(phase, now)
                row.groups.pop(items, None)
                row.count(event)
            case PhaseEnded():
                self._end(event)
            case Waiting(phase=phase):
                self.failed.discard(phase)
                self._row(phase, now).waiting = event
            case RunEnded():
                self.rows.clear()
            case Note() | Warned():
                pass
            case _:
                assert_never(event)

    def _row(self, phase: str, now: float) -> Row:
        # Of items that go on after a failure no `PhaseBegan` is said again.
        return self.rows.setdefault(phase, Row(name=phase, began=now))

    def _begin(self, event: PhaseBegan, now: float) -> None:
        self.rows.pop("", None)  # what nobody in particular waited for is over
        for ended in (self.done, self.skipped, self.failed):
            ended.discard(event.phase)
        self.rows[event.phase] = Row(
            name=event.phase,
            began=now,
            attempt=event.attempt,
            eta_ms=event.eta_ms,
            compensating=event.compensating,
        )

    def _end(self, event: PhaseEnded) -> None:
        row = self.rows.pop(event.phase, None)
        match event.status:
            case "done" | "completed" if row is None or not row.compensating:
                self.done.add(event.phase)
            case "skipped":
                self.skipped.add(event.phase)
            case "failed" | "blocked":
                self.failed.add(event.phase)
            case _:
                pass

    def running(self) -> list[Row]:
        """The rows of which something runs."""
        return [row for row in self.rows.values() if not (row.waits() or row.has_finished())]

    def totals(self, now: float) -> str:
        """`3 running, 1 finished, 12 of 20 phases done, 1 failed, 2 m 10 s`."""
        attempts = [attempt for row in self.rows.values() if not row.waits() for attempt in row.attempts()]
        finished = sum(attempt.finished is not None for attempt in attempts)
        waiting = sum(row.waits() for row in self.rows.values())
        words = [f"{len(attempts) - finished} running"]
        words += [f"{finished} finished"] if finished else []
        words += [f"{waiting} waiting"] if waiting else []
        words.append(f"{len(self.done)} of {plural(self.number_of_phases, 'phase')} done")
        words += [f"{len(self.skipped)} skipped"] if self.skipped else []
        words += [f"{len(self.failed)} failed"] if self.failed else []
        return ", ".join([*words, duration(int((now - self.began) * 1000))])
