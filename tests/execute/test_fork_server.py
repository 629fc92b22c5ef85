"""Watchdogs that are forked by a process that is ready; and where that cannot be, or that process is killed."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from pathlib import Path

import pytest

from gitckpt.execute import fork_server
from gitckpt.execute.fork_server import ForkServer
from gitckpt.execute.processes import command_of, everything, stat_of
from tests.execute.bench import Bench, eventually, result_of, runs, watchdog_of


@pytest.fixture(params=["forked", "spawned"])
def both(bench: Bench, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(ForkServer, "is_supported", request.param == "forked")
    return bench


def children(pid: int) -> list[int]:
    return [process.pid for process in everything() if process.parent == pid]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_an_attempt_is_the_same_however_its_watchdog_was_started(both: Bench) -> None:
    for code in (0, 3):
        result = both.run(f"cat; ls -l /proc/self/fd > fds; pwd; exit {code}")
        assert (result.code, result.signal) == ((None, None) if code == 0 else (3, None))
        streams = [line.split()[8] for line in (both.workspace / "fds").read_text().splitlines()[1:]]
        assert streams == ["0", "1", "2", "3"], "3 is the folder that ls lists"
    assert both.said() == f"{both.workspace}\n" * 2


def test_a_lock_is_held_until_the_attempt_is_over_whatever_becomes_of_the_runner(both: Bench) -> None:
    path = both.path / "lock"
    lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX)
    running = both.start("until test -e go; do sleep 0.01; done", locks=(lock,))
    os.close(lock)
    free = ["flock", "-n", str(path), "true"]
    assert subprocess.run(free, check=False).returncode == 1
    (both.workspace / "go").touch()
    assert result_of(running).step is None
    assert eventually(lambda: subprocess.run(free, check=False).returncode == 0)


def test_a_watchdog_that_is_killed_is_found_out(both: Bench) -> None:
    running = both.start("echo $$ > phase.pid; sleep 60")
    leader = both.pid("phase.pid")
    os.kill(watchdog_of(both.state).pid, signal.SIGKILL)
    result = result_of(running)
    assert (result.step, result.signal, result.code) == ("watchdog", signal.SIGKILL, None)
    assert eventually(lambda: not runs(leader))


def test_one_process_forks_them_all_and_another_takes_its_place_when_it_is_killed(bench: Bench) -> None:
    parents = []
    for kill in (False, True, False):
        running = bench.start("echo $$ > phase.pid; sleep 60")
        bench.pid("phase.pid")
        watchdog = watchdog_of(bench.state).pid
        parents.append(parent(watchdog))
        if kill:
            os.kill(parents[-1], signal.SIGKILL)
            assert eventually(lambda: not any(runs(server) for server in parents))
        assert runs(watchdog)
        running.terminate()
        assert result_of(running).interrupted
        running.close()
        (bench.workspace / "phase.pid").unlink()
    assert parents[0] == parents[1] != parents[2]


def test_it_ends_with_its_executor_and_the_attempts_go_on(bench: Bench) -> None:
    running = bench.start("echo $$ > phase.pid; until test -e go; do sleep 0.01; done; echo done")
    bench.pid("phase.pid")
    server = parent(watchdog_of(bench.state).pid)
    bench.executor.close()
    assert stat_of(server) is None
    (bench.workspace / "go").touch()
    assert result_of(running).step is None
    assert bench.said() == "done\n"


def test_one_that_is_stopped_is_given_up_and_another_takes_its_place(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork_server, "_PATIENCE_MS", 100)
    bench.run("echo $$ > phase.pid")
    bench.executor.prepare()
    (server,) = [pid for pid in children(os.getpid()) if "watchdog" in command_of(pid)]
    os.kill(server, signal.SIGSTOP)
    result = bench.run("echo never")
    assert (result.step, result.code) == ("run", 126)
    assert "the process that starts watchdogs was stopped or killed" in bench.said()
    assert not runs(server)
    assert bench.run("echo again").step is None


def test_it_ends_with_its_runner(bench: Bench) -> None:
    runner = bench.runner("echo $$ > phase.pid; sleep 60")
    bench.pid("phase.pid")
    server = parent(watchdog_of(bench.state).pid)
    assert parent(server) == runner.pid
    runner.kill()
    runner.wait()
    assert eventually(lambda: not runs(server))
