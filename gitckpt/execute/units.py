"""How far an attempt has come through its units: the items or batches that its steps belong to.

Owns the count, the clock of the current unit, and where its output begins. It must not know processes. The watchdog,
a program of its own, imports it, so it imports only what starts fast.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # `typing` takes 7 ms to import, half of the watchdog's start
if TYPE_CHECKING:
    from gitckpt.execute.start import Work


class Units:
    """The steps come in order; a step whose unit differs from the one before begins a new unit."""

    __slots__ = ("_current", "_start", "_work", "began", "output_from", "passed")

    def __init__(self, work: Work) -> None:
        self._work = work
        self._start = time.monotonic()
        self._current: int | None = None
        self.began = self._start
        self.passed = 0
        self.output_from = 0

    def enter(self, unit: int) -> bool:
        """All steps before have passed, one of `unit` is next; whether there is still time to begin it."""
        if unit == self._current:
            return True
        stop_after = self._work.stop_after
        begun = self._current is not None
        self.leave()
        if begun and stop_after is not None and time.monotonic() - self._start >= stop_after:
            return False
        self._current = unit
        self.began = time.monotonic()
        self.output_from = _size(self._work.output)
        return True

    def leave(self) -> None:
        """The current unit, if any, has passed its last step."""
        self.passed += self._current is not None
        self._current = None

    def deadline(self, began: float, step_timeout: float | None) -> float | None:
        """When a step that began at `began` must have ended, by the monotonic clock; None: never."""
        limits = ((began, step_timeout), (self.began, self._work.unit_timeout), (self._start, self._work.timeout))
        return min((since + limit for since, limit in limits if limit is not None), default=None)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0  # made by the first step
