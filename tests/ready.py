"""The real command line without waiting for Python: an interpreter that has gitckpt imported forks for each command.

Each command is a process of its own, in a session of its own, with its own folder, environment and standard streams; it
goes on as `python -m gitckpt` does. Only the start of Python and the imports are shared: they are two thirds of what a
command costs. What they depend on decides: where a command's environment differs in that, Python is started anew. Owns
both ends; run as a program it is the far one. Must not know what is tested, nor import gitckpt at the near end.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

_READ_AT_START = ("LANG", "LC_", "LD_", "PYTHON")
"""Variables that the start of Python, or an import, reads; and `PATH`, by which GitPython looks for git."""

_WORD = 4
"""Bytes of a number on the wire."""

Finished = subprocess.CompletedProcess[str]


def _fixed(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name == "PATH" or name.startswith(_READ_AT_START)}


class _Heard:
    """A pipe from a command, as `subprocess` would make it, and what came through."""

    def __init__(self) -> None:
        self.near, self.far = os.pipe()
        os.set_blocking(self.near, False)
        self._data = b""

    def take(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while more := os.read(self.near, 65536):
                self._data += more

    def text(self) -> str:
        """All of it, from a command that has ended; a process that it left may still hold the pipe."""
        self.take()
        said = self._data.decode("utf-8", "surrogateescape")
        return io.IncrementalNewlineDecoder(None, translate=True).decode(said)

    def __enter__(self) -> _Heard:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.near)
        os.close(self.far)


class Ready:
    """Starts commands in the environment of this very moment; `preload`: a library that comes before all others."""

    def __init__(self, preload: Path | None = None) -> None:
        self._variables = {"LD_PRELOAD": str(preload)} if preload else {}
        environment = {**os.environ, **self._variables}
        self._fixed = _fixed(environment)
        self._wire, far = socket.socketpair()
        with far:
            self._process = subprocess.Popen(
                # -P: the tests' own folders are no modules. -B: nothing is written before a fault is due in a command.
                [sys.executable, "-PB", __file__, str(far.fileno())],
                cwd="/",
                env=environment,
                # Pipes, as a command's own will be: Python looks once what its standard streams are.
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[far.fileno()],
                start_new_session=True,
            )

    def run(
        self, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, stdin: str = "", timeout: float = 60
    ) -> Finished:
        """`gitckpt ARGUMENTS` in the test's environment, with `env` put over it: its exit code (a signal's is negative)
        and what it said, odd bytes as surrogates.

        Raises `TimeoutExpired` after `timeout` seconds, when it has been killed.
        """
        environment = {**os.environ, **self._variables, **(env or {})}
        if _fixed(environment) != self._fixed:
            return _started_anew(arguments, cwd=cwd, environment=environment, stdin=stdin, timeout=timeout)
        try:
            return self._forked(arguments, cwd, environment, stdin, timeout)
        except ConnectionError as gone:
            _, complaints = self._process.communicate(timeout=10)
            raise AssertionError(f"what commands are forked from has died: {complaints.decode()}") from gone

    def _forked(
        self, arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], stdin: str, timeout: float
    ) -> Finished:
        with tempfile.TemporaryFile() as read, _Heard() as out, _Heard() as err:
            read.write(stdin.encode("utf-8", "surrogateescape"))
            read.seek(0)
            told = json.dumps([arguments, str(cwd), environment]).encode()
            socket.send_fds(self._wire, [len(told).to_bytes(_WORD)], [read.fileno(), out.far, err.far])
            self._wire.sendall(told)
            pid = int.from_bytes(_take(self._wire, _WORD))
            ended = self._wait((out, err), timeout)
            if not ended:
                os.kill(pid, signal.SIGKILL)
            code = int.from_bytes(_take(self._wire, _WORD), signed=True)
            if not ended:
                raise subprocess.TimeoutExpired(["gitckpt", *arguments], timeout)
            return subprocess.CompletedProcess(["gitckpt", *arguments], code, out.text(), err.text())

    def _wait(self, streams: tuple[_Heard, _Heard], timeout: float) -> bool:
        """Take in what is said until the command has ended; whether it has, in time."""
        until = time.monotonic() + timeout
        wire = self._wire.fileno()
        while (left := until - time.monotonic()) > 0:
            awake, _, _ = select.select([wire, *(each.near for each in streams)], (), (), left)
            for stream in streams:
                stream.take()
            if wire in awake:
                return True
        return False

    def give_up(self) -> None:
        self._wire.close()
        self._process.kill()
        self._process.communicate(timeout=10)

    def end(self) -> None:
        self._wire.close()
        said, complaints = self._process.communicate(timeout=10)
        assert (self._process.returncode, said, complaints) == (0, b"", b"")


_started: dict[Path | None, Ready] = {}
"""One for all tests, once the first of them asks for it, and one under each library."""


def gitckpt(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout: float = 60,
    preload: Path | None = None,
) -> Finished:
    """`Ready.run` of the one that most tests share."""
    if preload not in _started:
        _started[preload] = Ready(preload)
    try:
        return _started[preload].run(*arguments, cwd=cwd, env=env, stdin=stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise
    except BaseException:
        # A test that is out of time is interrupted anywhere; what is on the wire then is no answer to the next one.
        _started.pop(preload).give_up()
        raise


def end() -> None:
    """After the last test."""
    while _started:
        _started.popitem()[1].end()


def _started_anew(
    arguments: tuple[str, ...], *, cwd: Path, environment: Mapping[str, str], stdin: str, timeout: float
) -> Finished:
    return subprocess.run(
        [sys.executable, "-m", "gitckpt", *arguments],
        cwd=cwd,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="surrogateescape",
        start_new_session=True,
        timeout=timeout,
        check=False,
    )


def _take(wire: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = wire.recv(size - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


# --- the far end ------------------------------------------------------------------------------------------------------


def _import_all() -> None:
    from gitckpt.cli.main import COMMANDS

    for module, _ in COMMANDS.values():
        with contextlib.suppress(Exception):  # it fails again, and is seen, in the command that needs it
            import_module(f"gitckpt.cli.{module.partition(':')[0]}")
    assert tempfile.tempdir is None, "an import has asked for the folder of temporary files, which is each command's"
    gc.collect()
    gc.freeze()


def _serve(wire: socket.socket) -> list[str] | None:
    """Fork for every command. In a child: its arguments. At the end of the wire: None."""
    while True:
        head, streams, _, _ = socket.recv_fds(wire, _WORD, 3)
        if not head:
            return None
        head += _take(wire, _WORD - len(head))
        arguments, cwd, environment = json.loads(_take(wire, int.from_bytes(head)))
        pid = os.fork()
        if pid == 0:
            wire.close()
            _become(streams, cwd, environment)
            return [*arguments]
        for stream in streams:
            os.close(stream)
        wire.sendall(pid.to_bytes(_WORD))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        wire.sendall(code.to_bytes(_WORD, signed=True))


def _become(streams: list[int], cwd: str, environment: Mapping[str, str]) -> None:
    os.setsid()
    for wanted, stream in enumerate(streams):
        os.dup2(stream, wanted)
        os.close(stream)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.path.insert(0, cwd)


def _main() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as wire:
        _import_all()
        arguments = _serve(wire)
    if arguments is not None:
        sys.argv = ["gitckpt", *arguments]
        try:
            runpy.run_module("gitckpt", run_name="__main__", alter_sys=True)
        except SystemExit as end:
            _leave(end.code)


def _leave(code: object) -> None:
    """As an interpreter ends, but for the taking apart of its memory: half of what a short command costs after a fork,
    since every page that is touched must be copied."""
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    _main()
