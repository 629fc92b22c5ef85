"""How the last call of `run` in a workspace ended, as a small file for those who wait for it.

Owns that file. It is a convenience: the truth about the workflow is its newest checkpoint, so nothing is fsynced and
what cannot be written is left out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from gitckpt.engine.hold import Hold
from gitckpt.engine.place import Place
from gitckpt.errors import GitckptError

NAME = "last-run.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """`exit_code` is None from when the run has begun until it ends; of one that was killed it stays so."""

    pid: int
    began: str
    exit_code: int | None = None


def last_run(place: Place) -> LastRun | None:
    """The last run; None where there was none, or it has not begun yet."""
    try:
        return msgspec.json.decode((place.folder / NAME).read_bytes(), type=LastRun)
    except (OSError, msgspec.DecodeError):
        return None


@contextmanager
def remembered(hold: Hold) -> Iterator[Callable[[int | None], None]]:
    """Forget the run before; the caller says None when its own has begun, and its exit code when it has ended.

    An error that ends it is remembered by its exit code.
    """
    began = hold.now()

    def say(exit_code: int | None) -> None:
        _write(hold.place, LastRun(pid=os.getpid(), began=began, exit_code=exit_code))

    try:
        (hold.place.folder / NAME).unlink(missing_ok=True)
        yield say
    except GitckptError as error:
        say(int(error.exit_code))
        raise


def _write(place: Place, last: LastRun) -> None:
    temporary = place.folder / f"{NAME}.new"
    try:
        temporary.write_bytes(msgspec.json.encode(last))
        os.replace(temporary, place.folder / NAME)
    except OSError:
        return
