"""One attempt seen from the runner: what it is told, how it is asked to end, how it ended.

Owns the runner's end of the two pipes, and the shells' command lines. It must not know workflows or checkpoints.
One `state_dir` holds one attempt at a time: attempts that run at once each have their own.
"""

from __future__ import annotations

import marshal
import os
import secrets
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gitckpt.execute.fork_server import Child
from gitckpt.execute.leftovers import PIDS, end_recorded
from gitckpt.execute.processes import MARK
from gitckpt.execute.wire import environment_of, framed, path_of, text_of

_SHELLS = {
    "bash": ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"),
    "sh": ("sh", "-e", "-c"),
    "python": ("python3", "-c"),
}
VALIDATE = "validate"
"""The name of the step whose standard output goes to the attempt's `validate_output`."""

VIEW = "view"
"""What a result names as its step where the view itself failed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One program of an attempt; the first that ends with anything but 0 ends the attempt.

    `stdin`: a file to read from (default: nothing to read). `stdout`: a file of its own, made empty first; what
    it prints is added to the common output too. The step named `validate` gets the attempt's `validate_output`.
    `env` is added to the attempt's environment. Steps in a row with one `unit` are an item or batch of their own.
    """

    name: str
    argv: tuple[str, ...]
    timeout_ms: int | None = None
    stdin: Path | None = field(default=None, kw_only=True)
    stdout: Path | None = field(default=None, kw_only=True)
    env: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    unit: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """What an attempt's processes see at `target`: an overlay that only they see, which writes to `upper`.

    `lowers`: topmost first, the workspace itself last; nothing of them may change meanwhile. `work`: an empty folder
    on the file system of `upper`. `binds`: pairs (source, destination); what really is at `source` is seen at
    `destination`, and written there for good. A pair of which neither exists is left out; a missing one is a failure.
    """

    target: Path
    lowers: tuple[Path, ...]
    upper: Path
    work: Path
    binds: tuple[tuple[Path, Path], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """All that one attempt needs. `timeout_ms` is for all steps together; `grace_ms` follows each signal.

    `unit_timeout_ms` is for the steps of each unit together. After `stop_after_ms` no further unit is begun: the
    first one always is, and none is cut in two. `env` is the whole environment. `output` is appended to, so the
    caller gives each attempt a file of its own. `live_dir` is the workspace's `.gitckpt`, where the stamp is made;
    None: the attempt is not in the workspace itself, no stamp is made, and none of its processes outlives it.

    With a `view` the steps run in it, and there may be none at all. `locks`:
    descriptors of locks that stay held until its processes are dead, also when the runner dies before.
    """

    steps: tuple[Step, ...]
    cwd: Path
    env: Mapping[str, str]
    timeout_ms: int | None
    grace_ms: int
    output: Path
    validate_output: Path
    state_dir: Path
    live_dir: Path | None
    unit_timeout_ms: int | None = None
    stop_after_ms: int | None = None
    view: Overlay | None = None
    locks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Survivor:
    """A process that still ran when its attempt succeeded. `command` is not yet safe for a terminal."""

    pid: int
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How an attempt ended. `step` is the one that ended it; None: all that were begun passed.

    `code` and `signal` are that step's, at most one of them is set; both None: it was never started. A time-out
    or an interruption is a failure also where the step itself then ended with 0. `step="watchdog"` with
    `signal=9`: the watchdog was killed, and the attempt's processes with it. Durations: ms, monotonic.
    `units`: how many units, from the first on, passed all their steps (a killed watchdog tells none).
    `output_from`: where in the output file the unit that ended the attempt begins, in bytes; 0 where none did.
    `ended`: what still ran after the success of an attempt with a view, and was killed. A view that cannot be made is
    `code=126` with the first step's name, or `view` where there is none; one that a step unmounted is `view`, too.
    """

    step: str | None
    code: int | None
    signal: int | None
    timed_out: bool
    interrupted: bool
    duration_ms: int
    step_durations: tuple[tuple[str, int], ...]
    survivors: tuple[Survivor, ...]
    units: int = 0
    output_from: int = 0
    ended: tuple[Survivor, ...] = ()


def shell_argv(shell: str, text: str) -> tuple[str, ...]:
    """The command line for a text in a shell: `bash`, `sh`, `python`, or a program that takes `-c TEXT`."""
    known = _SHELLS.get(shell)
    if known is not None:
        return (*known, text)
    return (*shlex.split(shell), "-c", text)


class Running:
    """An attempt under way. `fileno()` becomes readable when `poll()` has a result.

    A view outlives its attempt: it can be looked at by `root` until `release()` or `close()`.
    """

    def __init__(
        self,
        *,
        job: Job,
        process: Child | None,
        control: int,
        status: int,
        began: float,
        result: Result | None = None,
    ) -> None:
        self._job = job
        self._process = process
        self._control = control
        self._status = status
        self._began = began
        self._result = result
        self._heard = b""
        self._lingers = False
        os.set_blocking(status, False)

    @classmethod
    def never_started(cls, job: Job, problem: OSError) -> Running:
        """An attempt whose watchdog could not even be started: its result is there at once."""
        first = job.steps[0].name if job.steps else VIEW
        _append(job.output, f"gitckpt: cannot start {first}: {problem}\n")
        hear, tell = os.pipe()
        result = Result(
            step=first,
            code=126,
            signal=None,
            timed_out=False,
            interrupted=False,
            duration_ms=0,
            step_durations=(),
            survivors=(),
        )
        _close([tell])  # so that `fileno()` is readable at once
        nobody = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        return cls(job=job, process=None, control=nobody, status=hear, began=time.monotonic(), result=result)

    def fileno(self) -> int:
        """To wait on: readable when there is a result."""
        return self._status

    def poll(self) -> Result | None:
        """The result, or None while the attempt runs. Never blocks, but after a watchdog's violent death.

        Raises LeftoversRemain when the watchdog was killed and the attempt's processes then would not end.
        """
        if self._result is not None or self._process is None:
            return self._result
        gone = self._hear()
        length = int.from_bytes(self._heard[:4], "big")
        whole = len(self._heard) >= 4 and len(self._heard) == 4 + length
        if not gone and not whole:
            return None
        if whole:
            self._result, self._lingers = _end(self._heard[4:])
            if not self._lingers:
                self._process.wait()
        else:
            code = self._process.wait()
            end_recorded(self._job.state_dir)
            self._result = self._orphaned(code)
        return self._result

    @property
    def root(self) -> Path | None:
        """The view's root, as this process can open it, from the result to the release; else None.

        Follow no symbolic link below it, and do not resolve it: both lead to the real workspace.
        """
        if not self._lingers or self._process is None or self._job.view is None:
            return None
        return Path(f"/proc/{self._process.pid}/root{os.path.realpath(self._job.view.target)}")

    def release(self) -> None:
        """The view is no longer needed. Nobody waits here: it is unmounted when `close` returns at the latest."""
        if self._lingers:
            self._lingers = False
            self.say(b"D")

    def interrupt(self) -> None:
        """As Ctrl-C: SIGINT to the step's group, after the grace SIGTERM, after another grace the end of all."""
        self.say(b"I")

    def terminate(self) -> None:
        """SIGTERM to the step's group, after the grace the end of every process of the attempt."""
        self.say(b"T")

    def kill(self) -> None:
        """SIGKILL every process of the attempt."""
        self.say(b"K")

    def close(self) -> None:
        """Give the pipes back. An attempt that still runs is killed first, as if the runner had died."""
        if self._control >= 0:
            self._lingers = False
            _close([self._control])
            if self._process is not None:
                self._process.wait()
            _close([self._status])
            self._control = self._status = -1

    def say(self, text: bytes) -> None:
        """Send to the watchdog; one that is gone has answered already, or `poll` will find it dead."""
        try:
            while text:
                text = text[os.write(self._control, text) :]
        except BrokenPipeError:
            pass

    def _hear(self) -> bool:
        """Read what is there; whether the watchdog has closed its end."""
        try:
            while more := os.read(self._status, 1 << 16):
                self._heard += more
        except BlockingIOError:
            return False
        return True

    def _orphaned(self, code: int) -> Result:
        return Result(
            step="watchdog",
            code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            timed_out=False,
            interrupted=False,
            duration_ms=int((time.monotonic() - self._began) * 1000),
            step_durations=(),
            survivors=(),
        )


def work_of(job: Job) -> bytes:
    """The work, as the watchdog's protocol wants it. Its `-X utf8` makes text of bytes the way agreed here."""
    mark = secrets.token_hex(16)
    work = {
        "steps": [
            {
                "name": step.name,
                "argv": [text_of(word) for word in step.argv],
                "timeout_ms": step.timeout_ms,
                "stdin": None if step.stdin is None else path_of(step.stdin),
                "stdout": None if (own := _own_output(step, job)) is None else path_of(own),
                "env": environment_of(step.env),
                "unit": step.unit,
            }
            for step in job.steps
        ],
        "cwd": path_of(job.cwd),
        "env": environment_of(job.env) | {MARK: mark},
        "timeout_ms": job.timeout_ms,
        "unit_timeout_ms": job.unit_timeout_ms,
        "stop_after_ms": job.stop_after_ms,
        "grace_ms": job.grace_ms,
        "output": path_of(job.output),
        "pids": path_of(job.state_dir / PIDS),
        "live": None if job.live_dir is None else path_of(job.live_dir),
        "view": None if job.view is None else _view(job.view),
        "mark": mark,
    }
    return framed(work)


def _view(view: Overlay) -> dict[str, object]:
    return {
        "target": path_of(view.target),
        "lowers": [path_of(lower) for lower in view.lowers],
        "upper": path_of(view.upper),
        "work": path_of(view.work),
        "binds": [(path_of(source), path_of(destination)) for source, destination in view.binds],
    }


def _own_output(step: Step, job: Job) -> Path | None:
    if step.stdout is None and step.name == VALIDATE:
        return job.validate_output
    return step.stdout


def _end(data: bytes) -> tuple[Result, bool]:
    """The result, and whether the watchdog stays and holds a view."""
    said = marshal.loads(data)
    result = Result(
        step=said["step"],
        code=said["code"],
        signal=said["signal"],
        timed_out=said["timed_out"],
        interrupted=said["interrupted"],
        duration_ms=said["duration_ms"],
        step_durations=tuple((name, ms) for name, ms in said["step_durations"]),
        survivors=tuple(Survivor(pid, command) for pid, command in said["survivors"]),
        units=said["units"],
        output_from=said["output_from"],
        ended=tuple(Survivor(pid, command) for pid, command in said["ended"]),
    )
    return result, said["view"]


def _append(path: Path, text: str) -> None:
    try:
        with path.open("ab") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
    except OSError:
        pass  # the very file may be what cannot be written; the result says that nothing started


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
