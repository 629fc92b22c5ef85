"""How the watchdog watches: the life and death of one attempt's processes.

Owns the steps' processes, their pids file, the locks (descriptors it is given) and the stamp that is
made once the last of them is dead. It must not know workflows, git, or gitckpt's errors; it runs in a program
of its own (`watchdog.py`), so it imports only what starts fast.

Protocol. Standard input: the work, then single letters: `I` interrupt, `T` terminate, `K` kill; end of file
means that the runner has died. Standard output: how it ended. Work and end are each a length (4 bytes) and as many
bytes of `marshal`. The pids file is lines of a word and what it names; `live` is the last, and may hold newlines; it
is missing where no stamp is wanted. A watchdog that mounted a view stays after its end, so that the runner can look
into the view, and keeps lock and pids file; it leaves when it is told `D`, done, or its runner dies.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import select
import time

from gitckpt.execute import namespace
from gitckpt.execute.processes import (
    Stat,
    boot_id,
    command_of,
    descendants,
    everything,
    group_lives,
    signal_group,
    stat_of,
    stop_then_kill,
)
from gitckpt.execute.stamp import mark_started, write_stamp
from gitckpt.execute.start import StartError, Step, Work, spawn
from gitckpt.execute.units import Units

TYPE_CHECKING = False  # `typing` and the enums of `signal` take 7 ms to import, half of the watchdog's start
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

STRAGGLERS_S = 0.3
GIVE_UP_S = 10.0
MOST_SURVIVORS = 100
DONE = ord("D")
RUNGS: dict[int, tuple[int, ...]] = {
    ord("I"): (signal.SIGINT, signal.SIGTERM, signal.SIGKILL),
    ord("T"): (signal.SIGTERM, signal.SIGKILL),
    ord("K"): (signal.SIGKILL,),
}
_SUBREAPER = 36
HAS_PROC = os.path.isdir("/proc/self")


class Watchdog:
    """Runs the steps of one attempt, one after another, and answers for every process they make."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.began = time.monotonic()
        self.units = Units(work)
        self.boot = boot_id()
        self.own = stat_of(os.getpid())
        self.records: list[str] = []
        self.durations: list[tuple[str, int]] = []
        self.leader = 0
        self.ended: dict[int, int] = {}
        self.childless = True
        self.has_started = False
        self.runner_died = False
        self.interrupted = False
        self.timed_out = False
        self.viewing = False
        self.released = False
        self.ladder: list[int] = []
        self.next_rung = 0.0
        self.wake, self.woken = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(self.woken, False)
        self.poller = select.poll()
        self.poller.register(0, select.POLLIN)
        self.poller.register(self.wake, select.POLLIN)

    # -- what comes in

    def listen(self, timeout: float) -> None:
        """Wait for a letter, the end of the runner, the end of a child, or `timeout` seconds; then reap."""
        for fd, _ in self.poller.poll(max(0, int(timeout * 1000 + 0.999))):
            if fd == self.wake:
                os.read(self.wake, 4096)
                continue
            letters = os.read(0, 4096)
            if not letters:
                self.poller.unregister(0)
                self.runner_died = True
                self.ladder, self.next_rung = [signal.SIGKILL], 0.0
            self.obey(letters)
        self.reap()

    def obey(self, letters: bytes) -> None:
        """A second request only ever hastens the end: it never climbs back up, nor repeats a signal."""
        for letter in letters:
            self.released |= letter == DONE
            rungs = RUNGS.get(letter, ())
            if not rungs:
                continue
            if not (self.interrupted or self.timed_out) or len(rungs) <= len(self.ladder):
                self.ladder, self.next_rung = [*rungs], 0.0
            self.interrupted = True

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.childless = True
                return
            if pid == 0:
                self.childless = False
                return
            if pid == self.leader:
                self.ended[pid] = status

    # -- one step

    def run(self, step: Step) -> int:
        """The wait status of the step. Raises StartError."""
        began = time.monotonic()
        deadline = self.units.deadline(began, step.timeout)
        self.ended.clear()  # thousands of units come round to the same pids
        self.leader = spawn(step, self.work, lambda pid: self.begun(pid, step.name))
        try:
            return self.attend(deadline)
        finally:
            self.durations.append((step.name, int((time.monotonic() - began) * 1000)))

    def attend(self, deadline: float | None) -> int:
        """The leader's wait status, once it is dead and, if told to end, its group too or killed.

        A leader that even SIGKILL does not end in time counts as killed.
        """
        self.reap()
        while True:
            status = self.ended.get(self.leader)
            now = time.monotonic()
            if status is not None and (not self.ladder or not group_lives(self.leader)):
                return status
            if deadline is not None and now >= deadline and not self.timed_out and not self.ladder:
                self.timed_out = True
                self.ladder, self.next_rung = [signal.SIGTERM, signal.SIGKILL], now
            if self.ladder and now >= self.next_rung:
                rung = self.ladder.pop(0)
                if rung == signal.SIGKILL:
                    self.end_all()
                    return self.ended.get(self.leader, int(signal.SIGKILL))
                signal_group(self.leader, rung)
                signal_group(self.leader, signal.SIGCONT)
                self.next_rung = now + self.work.grace
            waits = [3600.0]
            if self.ladder:
                # The group's other members are not our children, so their end is looked for, not told.
                waits += [self.next_rung - now] + ([0.01] if status is not None else [])
            elif deadline is not None:
                waits.append(deadline - now)
            self.listen(max(0.0, min(waits)))

    def begun(self, pid: int, step: str) -> None:
        """A process exists, and waits: put it on disk before it runs.

        It takes the place of the step before: that one's leader is dead, so its number proves nothing any more.
        """
        found = stat_of(pid)
        self.records = [f"process {pid} {found.start if found else 0} {step}"]
        self.record([])
        if not self.has_started:
            mark_started(os.path.dirname(self.work.pids))
            self.has_started = True

    def record(self, survivors: list[Stat]) -> None:
        """Replace the pids file: enough for `end_leftovers` to end these processes and no others."""
        said = [
            f"boot {self.boot}",
            f"mark {self.work.mark}",
            f"process {os.getpid()} {self.own.start if self.own else 0} watchdog",
            *self.records,
            *(f"process {left.pid} {left.start} left" for left in survivors),
            *([] if self.work.live is None else [f"live {self.work.live}"]),
        ]
        temporary = f"{self.work.pids}.{os.getpid()}"
        with open(temporary, "wb") as file:
            file.write(os.fsencode("\n".join(said)))
        os.replace(temporary, self.work.pids)

    # -- the end

    def alive(self) -> list[Stat]:
        return descendants({os.getpid()}, everything())

    def nobody_left(self) -> bool:
        """As subreaper we are the parent of every orphan: without a child there is no descendant."""
        self.reap()
        return self.childless and (HAS_PROC or not self.leader or not group_lives(self.leader))

    def end_all(self) -> list[Stat]:
        """Kill every descendant, in whatever session. Returns those that would not die in 10 s."""
        give_up = time.monotonic() + GIVE_UP_S
        pause = 0.001
        while not self.nobody_left():
            stubborn = stop_then_kill(self.alive)
            if not HAS_PROC and self.leader:
                signal_group(self.leader, signal.SIGKILL)
            if time.monotonic() >= give_up:
                return list(stubborn.values())
            self.listen(pause)
            pause = min(pause * 2, 0.02)
        return []

    def stragglers(self) -> list[Stat]:
        """After a success: what still runs 0.3 s later, and is left running unless the runner dies."""
        until = time.monotonic() + STRAGGLERS_S
        while not self.nobody_left():
            alive = self.alive()
            if self.runner_died:
                return self.end_all()
            if not alive or time.monotonic() >= until:
                return alive
            self.listen(0.01)
        return []

    def say(self, line: str) -> None:
        """One line of our own in the output file; where that cannot be written there is nobody to tell."""
        try:
            out = os.open(self.work.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            os.write(out, f"gitckpt: {line}\n".encode("utf-8", "backslashreplace"))
            os.close(out)
        except OSError:
            pass

    # -- the whole

    def told_to_end(self) -> bool:
        return self.runner_died or self.interrupted

    def make_view(self) -> bool:
        """Mount the view, if the work has one. False: it cannot be, and the output file says why."""
        if self.work.view is None:
            return True
        try:
            self.record([])
            namespace.enter()
            namespace.mount(self.work.view)
        except (namespace.ViewError, OSError) as problem:
            self.say(f"cannot make the view: {problem}")
            return False
        self.viewing = True
        return True

    def run_steps(self) -> tuple[str | None, int | None, int | None]:
        """Every step in order; returns the one that ended the attempt, with its code or its signal."""
        step: str | None = None
        code: int | None = None
        ended_by: int | None = None
        for planned in self.work.steps:
            self.listen(0)
            if not self.units.enter(planned.unit):
                break
            if self.told_to_end():
                step = planned.name
                break
            try:
                status = self.run(planned)
            except StartError as problem:
                self.say(str(problem))
                step, code = planned.name, problem.code
                break
            if planned.stdout is not None:
                self.copy(planned.stdout)
            if status != 0 or self.timed_out or self.told_to_end():
                step = planned.name
                code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
                ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
                break
        if step is None and self.viewing and not namespace.stands():
            # Only the superuser's phase can. What it wrote since then is in the workspace itself.
            self.say("the view was unmounted")
            return "view", 126, None
        return step, code, ended_by

    def run_all(self) -> dict[str, object]:
        """The view, every step, the end of what they left, the stamp; returns what the status pipe is to say."""
        step: str | None
        if self.make_view():
            step, code, ended_by = self.run_steps()
        else:
            step, code, ended_by = (self.work.steps[0].name if self.work.steps else "view"), 126, None
        took = time.monotonic() - self.began
        ended: list[list[object]] = []
        if step is None:
            self.units.leave()
            survivors = self.stragglers()
            stuck = survivors if self.runner_died else []
            if self.work.live is None:
                # They would write to a view that is read, or is gone; and keep a mount, below which nothing may change.
                ended = described(survivors)
                survivors = stuck = self.end_all()
        else:
            survivors = stuck = self.end_all()
        self.settle(survivors, stuck)
        return {
            "step": step,
            "code": code,
            "signal": ended_by,
            "timed_out": self.timed_out,
            "interrupted": self.interrupted,
            "duration_ms": int(took * 1000),
            "step_durations": self.durations,
            "units": self.units.passed,
            "output_from": 0 if step is None else self.units.output_from,
            "survivors": described(survivors),
            "ended": ended,
            "view": self.viewing,
        }

    def settle(self, survivors: list[Stat], stuck: list[Stat]) -> None:
        """The stamp, unless something of a failed attempt still runs; then the list of what is left."""
        try:
            if not stuck and self.work.live is not None:
                write_stamp(self.work.live)
        except OSError as problem:
            self.say(f"no stamp in {self.work.live}: {problem.strerror}")
        try:
            if survivors:
                self.record(survivors)
            elif not self.viewing:
                os.unlink(self.work.pids)
        except OSError:
            pass  # the old list stays: its pids are checked against their start times before any use

    def linger(self) -> None:
        """Keep the view until the runner is done with it."""
        while not (self.released or self.runner_died):
            self.listen(3600.0)
        if self.nobody_left():
            try:
                os.unlink(self.work.pids)
            except OSError:
                pass  # the old list stays, as in `settle`

    def copy(self, path: str) -> None:
        """Add what a step with an output of its own printed to the common output, at most 1 MiB."""
        try:
            with open(path, "rb") as own, open(self.work.output, "ab") as out:
                out.write(own.read(1 << 20))
        except OSError as problem:
            self.say(f"cannot copy {path}: {problem.strerror}")


def described(processes: list[Stat]) -> list[list[object]]:
    return [[one.pid, command_of(one.pid)] for one in processes[:MOST_SURVIVORS]]


def main(locks: tuple[int, ...]) -> None:
    """Read the work, watch it to its end, say how it ended, and leave without Python's slow farewell. `locks`: their
    descriptors, which stay open until no process of the attempt is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    said = read_exactly(int.from_bytes(read_exactly(4), "big"))
    work = Work(said)
    for lock in locks:
        os.set_inheritable(lock, False)  # noqa: FBT003 - the function has no keyword
    if HAS_PROC:
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    os.chdir("/")
    watchdog = Watchdog(work)
    signal.set_wakeup_fd(watchdog.woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    end = marshal.dumps(watchdog.run_all())
    if not watchdog.viewing:
        for lock in locks:  # before the runner hears of the end: its next phase takes the first one at once
            os.close(lock)
    try:
        os.write(1, len(end).to_bytes(4, "big") + end)
    except BrokenPipeError:
        pass
    if watchdog.viewing:
        watchdog.linger()
    os._exit(0)


def read_exactly(length: int) -> bytes:
    """So many bytes of the standard input; where it ends before, the runner has died and nothing was begun."""
    said = bytearray()
    while len(said) < length:
        more = os.read(0, length - len(said))
        if not more:
            os._exit(0)
        said += more
    return bytes(said)
