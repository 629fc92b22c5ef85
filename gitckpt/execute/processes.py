"""What runs on this machine: readers of `/proc`, and signals that cannot fail.

Owns nothing but the look at processes. The watchdog, a program of its own, imports it, so it imports only
what starts fast, and it must not know attempts, gitckpt's errors, or anything above. Where there is no
`/proc` it sees nothing.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # `typing` and the enums of `signal` take 7 ms to import, half of the watchdog's start
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import TypeAlias

    Finder: TypeAlias = Callable[[], "list[Stat]"]
else:
    import _signal as signal

MARK = "GITCKPT_PROCESS_MARK"
"""Set in every process of an attempt: one that left its session and lost its parent is still recognised."""


class Stat:
    """What `/proc/PID/stat` says of a process. `start` is in clock ticks since the boot (field 22)."""

    __slots__ = ("parent", "pid", "session", "start", "state")

    def __init__(self, pid: int, fields: list[bytes]) -> None:
        self.pid = pid
        self.state = fields[0].decode()
        self.parent = int(fields[1])
        self.session = int(fields[3])
        self.start = int(fields[19])


def stat_of(pid: int) -> Stat | None:
    """None: there is no such process, or no `/proc` on this system."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    # The name of the program stands in brackets and may itself hold brackets and spaces.
    return Stat(pid, text[text.rindex(b")") + 2 :].split())


def everything() -> list[Stat]:
    """Each process that this user can see; empty where there is no `/proc`."""
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    return [found for name in names if name.isdigit() and (found := stat_of(int(name))) is not None]


def descendants(of: set[int], seen: list[Stat]) -> list[Stat]:
    """The living processes below the pids `of`, at any depth; a zombie is passed through but not listed."""
    children: dict[int, list[Stat]] = {}
    for process in seen:
        children.setdefault(process.parent, []).append(process)
    found: list[Stat] = []
    queue = list(of)
    known = set(of)
    while queue:
        for process in children.get(queue.pop(), ()):
            if process.pid not in known:
                known.add(process.pid)
                queue.append(process.pid)
                if process.state not in "ZX":
                    found.append(process)
    return found


def boot_id() -> str:
    """One value for each boot of this machine; empty where the system has none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def command_of(pid: int) -> str:
    """The command line, at most 200 characters, as the process gave it (not made safe for a terminal)."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(2000).rstrip(b"\0").split(b"\0")
    except OSError:
        return ""
    return os.fsdecode(b" ".join(words))[:200]


def send(pid: int, number: int) -> None:
    """Send one signal; a process that is gone, or is another user's, is no error here."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def signal_group(leader: int, number: int) -> None:
    """Send one signal to the whole group of `leader`; nobody there is no error."""
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        pass


def group_lives(leader: int) -> bool:
    """Whether the group has a member, a zombie included."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def stop_then_kill(find: Finder) -> dict[int, Stat]:
    """One sweep: stop all that `find` gives until it gives nothing new, then kill them. Returns these.

    Stopping first: a program that forks faster than we look cannot get away.
    """
    stopped: dict[int, Stat] = {}
    while fresh := [process for process in find() if process.pid not in stopped]:
        for process in fresh:
            send(process.pid, signal.SIGSTOP)
            stopped[process.pid] = process
    for pid in stopped:
        send(pid, signal.SIGKILL)
    return stopped
