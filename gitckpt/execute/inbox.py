"""Requests from other processes to the active run, as files: a name orders them, a rename makes them whole.

Owns the inbox folder. It must not know what a request says. Nothing is fsynced: after a power cut there is no run
to ask, and the one who asked is gone too. A request is in one of three files, so that both sides know whether it may
have been done: `.request` (nobody looked at it), `.taken` (it is being done), `.answer` (it was done, or refused).
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gitckpt.errors import RunEnded

_REQUEST = ".request"
_TAKEN = ".taken"
_ANSWER = ".answer"
_LOOK_S = 0.02
_STALE_NS = 600 * 10**9


@dataclass(eq=False)
class NotTaken(RunEnded):
    """Nobody looked at the request, and it was taken back: it was not done and will not be."""


def post(inbox: Path, request: bytes) -> str:
    """Hand in a request; returns its ticket. Raises OSError. Tickets sort in the order of their posting."""
    inbox.mkdir(parents=True, exist_ok=True)
    # The monotonic clock is one for all processes of a boot, and is never set back.
    ticket = f"{time.monotonic_ns():020d}-{os.getpid():08d}-{secrets.token_hex(4)}"
    _put(inbox / (ticket + _REQUEST), request)
    return ticket


def wait(inbox: Path, ticket: str, alive: Callable[[], bool], timeout_s: float) -> bytes:
    """The answer, once it is there.

    `alive` says whether the run that is asked still is. Raises NotTaken when it ended, or `timeout_s` passed, with the
    request as it was; RunEnded when it ended while it did it, so that nobody knows whether it was recorded.
    """
    until = time.monotonic() + timeout_s
    request, taken, answer_ = (inbox / (ticket + kind) for kind in (_REQUEST, _TAKEN, _ANSWER))
    try:
        while True:
            active, late = alive(), time.monotonic() >= until
            # In the order in which a request goes through them, so that one on its way is seen somewhere.
            if request.exists():
                if (late or not active) and _removed(request):
                    raise NotTaken(timeout_s if active else None)
            elif taken.exists():
                if not active and (said := _take(answer_)) is None and _removed(taken):
                    raise RunEnded(None)
                if not active and said is not None:
                    return said
            elif (said := _take(answer_)) is not None:
                return said
            else:
                raise NotTaken(None)  # swept: a run is just beginning or ending
            time.sleep(_LOOK_S)
    finally:
        _removed(request)  # whoever interrupts the waiting takes back what was asked


def pending(inbox: Path) -> list[tuple[str, bytes]]:
    """The requests without an answer, oldest first, as (ticket, request)."""
    try:
        names = sorted(name for name in os.listdir(inbox) if name.endswith(_REQUEST))
    except FileNotFoundError:
        return []
    found: list[tuple[str, bytes]] = []
    for name in names:
        try:
            found.append((name.removesuffix(_REQUEST), (inbox / name).read_bytes()))
        except FileNotFoundError:
            continue  # taken back meanwhile
    return found


def take(inbox: Path, ticket: str) -> bool:
    """Begin to do a request; False when it was taken back meanwhile. From here on it is no longer pending."""
    try:
        (inbox / (ticket + _REQUEST)).rename(inbox / (ticket + _TAKEN))
    except FileNotFoundError:
        return False
    return True


def answer(inbox: Path, ticket: str, said: bytes) -> None:
    """Answer a request, which is then no longer pending. Raises OSError."""
    _put(inbox / (ticket + _ANSWER), said)
    for kind in (_REQUEST, _TAKEN):
        (inbox / (ticket + kind)).unlink(missing_ok=True)


def sweep(inbox: Path) -> None:
    """Remove all requests: when a run begins and when it ends. Whoever still waits hears that it was not done.

    What was taken or answered is for the one who asked to find; what nobody came for in ten minutes is removed.
    """
    try:
        names = os.listdir(inbox)
    except FileNotFoundError:
        return
    for name in names:
        if name.endswith(_REQUEST) or not _is_fresh(name):
            (inbox / name).unlink(missing_ok=True)


def _is_fresh(name: str) -> bool:
    """By the ticket; one from before the last boot may be of any age, and nobody waits for it."""
    posted = name.lstrip(".").partition("-")[0]
    return posted.isdigit() and 0 <= time.monotonic_ns() - int(posted) < _STALE_NS


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _put(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    while True:
        temporary.write_bytes(data)
        try:
            temporary.replace(path)
        except FileNotFoundError:
            continue  # swept between the two calls: a run is just beginning or ending
        return


def _take(path: Path) -> bytes | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    path.unlink(missing_ok=True)
    return data
