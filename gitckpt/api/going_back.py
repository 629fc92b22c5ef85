"""`rollback` and `undo`: at once, or by the loop of `run` where compensations come first."""

from __future__ import annotations

from dataclasses import dataclass

from gitckpt.api.reading import Where
from gitckpt.api.writing import write
from gitckpt.engine.flight import Signalled
from gitckpt.engine.ports import Reporter
from gitckpt.engine.rewind import Moved, Outside, last_command, moved_to, rollback, undo
from gitckpt.engine.run import run
from gitckpt.execute.executor import LocalExecutor
from gitckpt.model.moment import Moment, Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackRequest:
    """Where to (None: to before your last command), and what becomes of your edits and of what was done outside."""

    selector: str | None = None
    keep_edits: bool = False
    outside: Outside = "ask"


def roll_back(where: Where, request: RollbackRequest, reporter: Reporter, signalled: Signalled) -> Moved | Stop:
    """Go back. A Stop says why it did not arrive: a compensation failed, or somebody stopped it.

    Raises Undecided, and what `engine.rewind.rollback` and `undo` raise.
    """
    with write(where, reporter) as hold:
        before, selector = hold.tip, request.selector
        if selector is None and request.outside != "compensate":
            return undo(hold, request.outside)
        selector = selector or str(last_command(hold).number - 1)
        moved = rollback(hold, selector, keep_edits=request.keep_edits, outside=request.outside)
        if moved is not None:
            return moved
        with LocalExecutor() as executor:
            stop = run(hold, executor, Moment(), signalled)
        return moved_to(hold, before) or stop
