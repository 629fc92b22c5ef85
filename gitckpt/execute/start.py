"""How the watchdog starts one step: the work it is told, and fork, record, exec in that order.

Owns the reading of the work and the child's side of the fork. It must not know what becomes of the process.
It runs in the watchdog's program, so it imports only what starts fast.
"""

from __future__ import annotations

import errno
import marshal
import os

from gitckpt.execute.namespace import View

TYPE_CHECKING = False  # `typing` and the enums of `signal` take 7 ms to import, half of the watchdog's start
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import NoReturn
else:
    import _signal as signal

_RESTORED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGPIPE", "SIGXFSZ", "SIGCHLD")


class Step:
    """One program to run. `stdin` and `stdout` are paths; without: nothing to read, and the common output."""

    __slots__ = ("argv", "env", "name", "stdin", "stdout", "timeout", "unit")

    def __init__(
        self,
        *,
        name: str,
        argv: list[str],
        timeout_ms: int | None,
        stdin: str | None,
        stdout: str | None,
        env: dict[str, str],
        unit: int,
    ) -> None:
        self.name = name
        self.argv = argv
        self.timeout = _seconds(timeout_ms)
        self.stdin = stdin
        self.stdout = stdout
        self.env = env
        self.unit = unit


class Work:
    """What the runner sends. Both ends are one Python, so `marshal` does; `json` takes 5 ms to import."""

    __slots__ = (
        "cwd",
        "env",
        "grace",
        "live",
        "mark",
        "output",
        "pids",
        "steps",
        "stop_after",
        "timeout",
        "unit_timeout",
        "view",
    )

    def __init__(self, data: bytes) -> None:
        said = marshal.loads(data)
        self.steps = [Step(**step) for step in said["steps"]]
        self.cwd: str = said["cwd"]
        self.env: dict[str, str] = said["env"]
        self.timeout = _seconds(said["timeout_ms"])
        self.unit_timeout = _seconds(said["unit_timeout_ms"])
        self.stop_after = _seconds(said["stop_after_ms"])
        self.grace: float = said["grace_ms"] / 1000
        self.output: str = said["output"]
        self.pids: str = said["pids"]
        self.live: str | None = said["live"]
        self.mark: str = said["mark"]
        self.view = None if said["view"] is None else View(**said["view"])


class StartError(Exception):
    """A step could not be started; `code` as a shell would give it: 127 not found, 126 anything else."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def spawn(step: Step, work: Work, record: Callable[[int], None]) -> int:
    """Start one step in a session of its own. Raises StartError.

    The child waits until `record(pid)` has returned: no process ever runs whose pid is not on disk.
    """
    opened: list[int] = []
    try:
        out = _open(work.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, opened)
        own = out
        if step.stdout is not None:
            own = _open(step.stdout, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, opened)
        stdin = _open(os.devnull if step.stdin is None else step.stdin, os.O_RDONLY, opened)
        gate, go = _pipe(opened)
        report, tell = _pipe(opened)
        pid = os.fork()
        if pid == 0:
            os.close(go)
            _become(step, work, streams=(stdin, own, out), gate=gate, tell=tell)
        _close(tell, opened)
        record(pid)
        os.write(go, b"g")
        said = _read_all(report)
    except OSError as problem:
        raise StartError(126, f"cannot start {step.name}: {_describe(problem)}") from problem
    finally:
        for fd in opened:
            os.close(fd)
    if said:
        code, _, why = said.decode("utf-8", "replace").partition(" ")
        raise StartError(int(code), why)
    return pid


def _become(step: Step, work: Work, *, streams: tuple[int, int, int], gate: int, tell: int) -> NoReturn:
    """The child's side: never returns. What goes wrong is written to `tell`, which a good exec closes."""
    try:
        os.setsid()
        for name in _RESTORED:
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        for number, fd in enumerate(streams):
            # No stream is 0, 1 or 2 itself: the watchdog keeps those three open, so dup2 always copies.
            os.dup2(fd, number)
        if os.read(gate, 1) == b"g":
            _enter(work.cwd)
            _replace(step, work)
        os._exit(125)
    except StartError as problem:
        os.write(tell, f"{problem.code} {problem}".encode("utf-8", "backslashreplace"))
    except OSError as problem:
        os.write(tell, f"126 cannot start {step.name}: {_describe(problem)}".encode("utf-8", "backslashreplace"))
    finally:
        os._exit(126)


def _enter(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as problem:
        raise StartError(126, f"cannot enter {folder}: {_describe(problem)}") from problem


def _replace(step: Step, work: Work) -> None:
    program = step.argv[0]
    env = work.env | step.env
    try:
        os.execvpe(program, step.argv, env)
    except FileNotFoundError as problem:
        if "/" not in program:
            where = env.get("PATH", os.defpath)
            raise StartError(127, f"cannot start {program}: it is in no folder of PATH ({where})") from problem
        if os.path.exists(program):
            why = "the interpreter that its first line names is missing"
            raise StartError(127, f"cannot start {program}: {why}") from problem
        raise StartError(127, f"cannot start {program}: there is no such file") from problem
    except ValueError as problem:  # a NUL in an argument, `=` in a variable's name
        raise StartError(126, f"cannot start {program}: {problem}") from problem
    except OSError as problem:
        why = {
            errno.E2BIG: "the arguments and environment are too long together",
            errno.ENOEXEC: "it is neither a program nor a script with a `#!` line",
            errno.EACCES: "it is not executable",
        }.get(problem.errno or 0, _describe(problem))
        raise StartError(126, f"cannot start {program}: {why}") from problem


def _open(path: str, flags: int, opened: list[int]) -> int:
    # 0600: what a program prints may hold what it was told in secret.
    opened.append(os.open(path, flags | os.O_CLOEXEC, 0o600))
    return opened[-1]


def _pipe(opened: list[int]) -> tuple[int, int]:
    ends = os.pipe()
    opened.extend(ends)
    return ends


def _close(fd: int, opened: list[int]) -> None:
    opened.remove(fd)
    os.close(fd)


def _read_all(fd: int) -> bytes:
    said = b""
    while more := os.read(fd, 4096):
        said += more
    return said


def _describe(problem: OSError) -> str:
    return f"{problem.strerror}: {problem.filename}" if problem.filename else str(problem.strerror)
