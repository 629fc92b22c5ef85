"""Requests from other processes to the active run, as files: a name orders them, a rename makes them whole.

Owns the inbox folder. It must not know what a request says. Nothing is fsynced: after a power cut there is no run
to ask, and the one who asked is gone too.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from gitckpt.errors import RunEnded

_REQUEST = ".request"
_ANSWER = ".answer"
_LOOK_S = 0.02


def post(inbox: Path, request: bytes) -> str:
    """Hand in a request; returns its ticket. Raises OSError. Tickets sort in the order of their posting."""
    inbox.mkdir(parents=True, exist_ok=True)
    # The monotonic clock is one for all processes of a boot, and is never set back.
    ticket = f"{time.monotonic_ns():020d}-{os.getpid():08d}-{secrets.token_hex(4)}"
    _put(inbox / (ticket + _REQUEST), request)
    return ticket


def wait(inbox: Path, ticket: str, alive: Callable[[], bool], timeout_s: float) -> bytes:
    """The answer, once it is there. Raises RunEnded when the run ends without one, or `timeout_s` passes.

    `alive` says whether a run is active. A request that got no answer is taken back.
    """
    until = time.monotonic() + timeout_s
    while True:
        waiting = alive() and (inbox / (ticket + _REQUEST)).exists()
        late = time.monotonic() >= until
        # Looked at last: an answer given while we asked these questions still counts.
        answer = _take(inbox / (ticket + _ANSWER))
        if answer is not None:
            return answer
        if late or not waiting:
            (inbox / (ticket + _REQUEST)).unlink(missing_ok=True)
            raise RunEnded(timeout_s if waiting else None)
        time.sleep(_LOOK_S)


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


def answer(inbox: Path, ticket: str, said: bytes) -> None:
    """Answer a request, which is then no longer pending. Raises OSError."""
    _put(inbox / (ticket + _ANSWER), said)
    (inbox / (ticket + _REQUEST)).unlink(missing_ok=True)


def sweep(inbox: Path) -> None:
    """Remove all there is: when a run begins and when it ends. Whoever still waits hears that the run ended."""
    try:
        names = os.listdir(inbox)
    except FileNotFoundError:
        return
    for name in names:
        (inbox / name).unlink(missing_ok=True)


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
