"""After an unclean end: end what a dead run left running, and nothing else.

Owns the reading of the pids file that the watchdog writes. It must not know checkpoints. A process is ours when the
pids file names its pid **and** start time, when its environment carries the attempt's mark, or when it is below
one of these or in a session that has one: a session's number is not used again while a member lives, so one proven
member proves the session. After a reboot nothing of ours can be left.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gitckpt.errors import LeftoversRemain
from gitckpt.execute.processes import MARK, Stat, boot_id, descendants, everything, stat_of, stop_then_kill
from gitckpt.execute.stamp import write_stamp

PHASE_LOCK = "phase.lock"
PIDS = "pids"
_END_S = 5.0
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recorded:
    boot: str
    mark: bytes
    live: str | None
    roots: frozenset[tuple[int, int]]


def end_leftovers(state_dir: Path, wait_s: float = 10.0, say: Callable[[str], None] = lambda _: None) -> None:
    """End what the attempt of `state_dir` left running. Raises LeftoversRemain when some of it will not end.

    While its watchdog still works (it holds `phase.lock`) wait for that up to `wait_s` seconds, then kill it too.
    """
    taken = _wait_for_watchdog(state_dir / PHASE_LOCK, wait_s, say)
    try:
        end_recorded(state_dir)
    finally:
        if taken is not None:
            os.close(taken)


def forget(state_dir: Path) -> None:
    """The attempt is recorded: what it left running by its success is the user's from here on."""
    (state_dir / PIDS).unlink(missing_ok=True)


def end_recorded(state_dir: Path) -> None:
    """Kill the attempt's processes, remove the list; if any was found, the stamp. Raises LeftoversRemain."""
    recorded = _read(state_dir / PIDS)
    found = recorded is not None and recorded.boot == boot_id() and _kill_until_gone(recorded)
    if recorded is not None and found and recorded.live is not None:
        try:
            write_stamp(recorded.live)
        except OSError:
            pass  # the border is then the heartbeat's
    forget(state_dir)


def _wait_for_watchdog(lock: Path, wait_s: float, say: Callable[[str], None]) -> int | None:
    """The lock, taken; None when it is still held after `wait_s` seconds."""
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    until = time.monotonic() + wait_s
    told = False
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                os.close(fd)
                return None
            if not told:
                say(f"ending what a dead run left running (up to {wait_s:g} s)")
                told = True
            time.sleep(_LOOK_S)
        else:
            return fd


def _read(path: Path) -> _Recorded | None:
    try:
        told, _, live = path.read_bytes().partition(b"\nlive ")
    except FileNotFoundError:
        return None
    words = [line.split() for line in told.split(b"\n")]
    try:
        return _Recorded(
            boot=next(word[1].decode() for word in words if word[0] == b"boot"),
            mark=next(f"{MARK}=".encode() + word[1] for word in words if word[0] == b"mark"),
            live=os.fsdecode(live) or None,
            roots=frozenset((int(word[1]), int(word[2])) for word in words if word[0] == b"process"),
        )
    except (ValueError, IndexError, StopIteration):
        # No boot id on this system, so no start times either; or damage, and as the file is replaced whole
        # that was a power cut, after which nothing of it can still run.
        return None


def _kill_until_gone(recorded: _Recorded) -> dict[int, Stat]:
    """Returns those that were killed. Raises LeftoversRemain when some live on after five seconds."""
    killed: dict[int, Stat] = {}
    until = time.monotonic() + _END_S
    while True:
        swept = stop_then_kill(lambda: _ours(recorded))
        killed.update(swept)
        # One that is dying is found no more when all that led to it are gone.
        left = [process.pid for process in killed.values() if _lives(process)]
        if not left:
            return killed
        if time.monotonic() >= until:
            raise LeftoversRemain(tuple(sorted(left)))
        time.sleep(_LOOK_S)


def _lives(process: Stat) -> bool:
    found = stat_of(process.pid)
    return found is not None and found.start == process.start and found.state not in "ZX"


def _ours(recorded: _Recorded) -> list[Stat]:
    """The living processes that are provably the attempt's; never this process or one above it."""
    seen = everything()
    spared = _above(os.getpid())
    proven = {
        process.pid
        for process in seen
        if process.pid not in spared
        and ((process.pid, process.start) in recorded.roots or _marked(process.pid, recorded.mark))
    }
    sessions = {process.session for process in seen if process.pid in proven}
    sessions -= {process.session for process in seen if process.pid in spared}
    proven |= {process.pid for process in seen if process.session in sessions}
    below = {process.pid for process in descendants(proven, seen)}
    return [
        process
        for process in seen
        if process.pid in proven | below and process.pid not in spared and process.state not in "ZX"
    ]


def _above(pid: int) -> set[int]:
    chain: set[int] = set()
    while pid > 0 and pid not in chain:
        chain.add(pid)
        found = stat_of(pid)
        pid = found.parent if found else 0
    return chain


def _marked(pid: int, mark: bytes) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return mark in environment.split(b"\0")
