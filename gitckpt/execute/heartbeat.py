"""When a dead attempt's files end and the user's edits begin: heartbeat, stamp, and the border they give.

Owns three files of the live folder, `begin`, `heartbeat`, `stamp`, and what the mark `started` of an attempt's own
folder means; the watchdog makes the last two. Times are ctimes of these files in ns, as the workspace's own file system
gives them, never readings of a clock: the two differ on network file systems, and a clock may be set. It must not know
what the border is used for.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gitckpt.execute.processes import boot_id
from gitckpt.execute.stamp import HEARTBEAT, STAMP, STARTED, write_stamp

BEGIN = "begin"
NEVER = 2**63 - 1

_SECOND = 10**9


@dataclass(frozen=True, slots=True)
class Border:
    """A change with a ctime above `ns` is the user's; up to it, the dead attempt's. `source` says what told it.

    `unknown`: nothing tells, so nothing is the user's, and all is set aside (nothing is lost by that).
    """

    ns: int
    source: Literal["stamp", "boot", "heartbeat", "unknown"]


class Heartbeat:
    """Shows that the runner lives. The loop calls `beat` as often as it likes; it costs one call a period."""

    def __init__(self, live_dir: Path, period_s: float = 1.0) -> None:
        self._path = live_dir / HEARTBEAT
        self._stamp = live_dir / STAMP
        self._period = period_s
        self._next = 0.0

    def beat(self) -> None:
        """Renew the file's ctime when a period has passed. Raises OSError where the workspace cannot be written."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._period
        try:
            os.utime(self._path)
        except FileNotFoundError:
            if not self._stamp.exists():  # else the attempt has just ended, and what was the heartbeat is its stamp
                _write(self._path)  # the phase cleaned the folder


def mark_begin(live_dir: Path) -> None:
    """An attempt begins: no stamp from before counts, and the heartbeat starts. Raises OSError."""
    live_dir.mkdir(exist_ok=True)
    (live_dir / STAMP).unlink(missing_ok=True)
    _write(live_dir / BEGIN)
    _write(live_dir / HEARTBEAT)


def begin_ns(live_dir: Path) -> int | None:
    """The ctime, in ns, of the mark that the last attempt's begin made; None where it is gone."""
    return _changed(live_dir / BEGIN)


def border(live_dir: Path, period_s: float = 1.0, begun_in: str = "") -> Border:
    """Where the attempt that died here ends. `begun_in`: the boot in which it began, where known. Reads only."""
    begin = _changed(live_dir / BEGIN)
    stamp = _changed(live_dir / STAMP)
    if stamp is not None and (begin is None or stamp >= begin):
        return Border(stamp, "stamp")
    heartbeat = _changed(live_dir / HEARTBEAT)
    boot, started = boot_id(), _boot_ns()
    then = begun_in or _content(live_dir / HEARTBEAT)
    if boot and started is not None and then not in {boot, ""}:
        return Border(max(started, heartbeat or 0), "boot")
    if heartbeat is None:
        return Border(NEVER, "unknown")
    return Border(heartbeat + int(2 * period_s * _SECOND), "heartbeat")


def boot_since(boot: str) -> int:
    """When the machine was started again, in ns on the wall clock, since the boot of that id; 0 where it was not, or
    nobody knows."""
    now, started = boot_id(), _boot_ns()
    return started if boot and now and boot != now and started is not None else 0


def never_started(state_dir: Path, begun_in: str) -> bool:
    """Whether it is certain that no process of the attempt of `state_dir`, begun in that boot, ever ran.

    Within one boot the mark is there as soon as one may run. After a reboot its absence proves nothing: a power cut
    may have lost it.
    """
    return bool(begun_in) and begun_in == boot_id() and state_dir.is_dir() and not (state_dir / STARTED).exists()


def leave_stamp(live_dir: Path, begun_in: str) -> None:
    """The attempt is over, and nothing of it runs any more: where nothing tells up to when what changed is its own, say
    that it is up to now. What cannot be written is left: then nobody edits anything there, either."""
    if border(live_dir, begun_in=begun_in).source == "unknown":
        with suppress(OSError):
            write_stamp(str(live_dir))


def end_in_order(live_dir: Path) -> None:
    """As `leave_stamp`, by the runner itself, once it has seen the attempt's processes end: it need not wait for two
    periods of a heartbeat."""
    if border(live_dir).source != "stamp":
        with suppress(OSError):
            write_stamp(str(live_dir))


def _write(path: Path) -> None:
    """Make the file anew, with the boot's id in it. It is replaced whole: a phase may have left a link there."""
    path.parent.mkdir(exist_ok=True)
    # One name, so that what a kill leaves is replaced; unlinked first, for a phase may have put a link there, too.
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    with open(temporary, "x", encoding="ascii") as file:
        file.write(boot_id() + "\n")
    temporary.replace(path)


def _changed(path: Path) -> int | None:
    try:
        return os.lstat(path).st_ctime_ns
    except (FileNotFoundError, NotADirectoryError):
        return None


def _content(path: Path) -> str:
    try:
        return path.read_bytes()[:100].decode("ascii", "replace").strip()
    except OSError:
        return ""


def _boot_ns() -> int | None:
    """The start of this boot on the wall clock, in whole seconds as the kernel gives it."""
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    seconds = next((int(line.split()[1]) for line in lines if line.startswith("btime ")), None)
    return None if seconds is None else seconds * _SECOND
