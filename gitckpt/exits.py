"""How a command can end: the exit codes, and what every error has in common.

Owns these two, apart from the errors themselves, so that `--help` does not wait for twenty dataclasses. Everybody else
takes them from `errors`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """The closed meanings of the exit codes; later commands may be added, other meanings may not."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    WAITING = 3
    BUSY = 4
    CONFLICT = 5
    BUG = 70
    STOPPED = 75
    INTERRUPTED = 130
    TERMINATED = 143


class GitckptError(Exception):
    """A fact the user can act on. Subclasses are `@dataclass(eq=False)` values with `message` and `hint`."""

    exit_code: ClassVar[ExitCode] = ExitCode.USAGE
    untouched: ClassVar[str] = ""
    """What is said where the command had done nothing at all until then, such as "nothing was recorded"."""

    happened: tuple[str, ...] | None = None
    """What the command had done until then, a line each. None where nobody knows, so that nothing is said of it."""

    @property
    def report(self) -> tuple[str, str]:
        """What to show: the message, and below it what had happened and the next step."""
        below = (*(self.happened or ()), self.hint)
        if not self.untouched or self.happened != ():
            return self.message, "\n".join(below).strip("\n")
        if "\n" in self.message:  # a line for each problem, and none of them is the place for it
            return self.message, "; ".join((self.untouched, self.hint)) if self.hint else self.untouched
        return f"{self.message}; {self.untouched}", self.hint

    @property
    def message(self) -> str:
        """What failed and on which object; one line, or one line a problem."""
        raise TypeError(f"{type(self).__name__} has no message")

    @property
    def hint(self) -> str:
        """The next step; empty where there is none."""
        return ""

    def __str__(self) -> str:
        return self.message
