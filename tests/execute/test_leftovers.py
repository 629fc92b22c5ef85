"""After the worst: runner and watchdog both killed. What they left is ended, and nothing else is touched."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time

import pytest

from gitckpt.execute import leftovers
from gitckpt.execute.leftovers import end_leftovers, forget
from gitckpt.execute.processes import boot_id, stat_of
from tests.execute.bench import Bench, eventually, runs, watchdog_of
from tests.execute.test_endings import FAMILY, family_of


def orphaned(bench: Bench, command: str = FAMILY + "sleep 60") -> list[int]:
    """A family whose watchdog and runner were killed at once."""
    runner = bench.runner(command)
    members = family_of(bench)
    watchdog = watchdog_of(bench.state)
    os.kill(watchdog.pid, signal.SIGSTOP)
    runner.kill()
    runner.wait()
    os.kill(watchdog.pid, signal.SIGKILL)
    assert eventually(lambda: not runs(watchdog.pid))
    return members


def test_a_family_without_watchdog_and_runner_is_ended_and_stamped(bench: Bench) -> None:
    members = orphaned(bench)
    assert all(runs(pid) for pid in members)
    end_leftovers(bench.state)
    assert not [pid for pid in members if runs(pid)]
    assert bench.stamp() is not None
    assert not (bench.state / "pids").exists()


def test_ending_leftovers_again_does_nothing(bench: Bench) -> None:
    orphaned(bench)
    end_leftovers(bench.state)
    stamp = bench.stamp()
    end_leftovers(bench.state)
    assert bench.stamp() == stamp


def test_a_state_folder_that_never_saw_an_attempt_is_fine(bench: Bench) -> None:
    end_leftovers(bench.state)


def test_a_process_that_cleared_its_environment_and_lost_its_parent_is_found_by_its_session(bench: Bench) -> None:
    members = orphaned(bench, "(env -i sleep 60 & echo $! > bare.pid); " + FAMILY + "sleep 60")
    bare = bench.pid("bare.pid")
    assert runs(bare)
    end_leftovers(bench.state)
    assert not [pid for pid in [*members, bare] if runs(pid)]


def test_while_the_watchdog_works_it_is_waited_for(bench: Bench) -> None:
    runner = bench.runner(FAMILY + "sleep 60")
    members = family_of(bench)
    watchdog = watchdog_of(bench.state)
    os.kill(watchdog.pid, signal.SIGSTOP)
    runner.kill()
    runner.wait()
    threading.Timer(0.2, os.kill, (watchdog.pid, signal.SIGCONT)).start()
    told: list[str] = []
    began = time.monotonic()
    end_leftovers(bench.state, say=told.append)
    assert 0.15 < time.monotonic() - began < 2
    assert not [pid for pid in members if runs(pid)]
    assert eventually(lambda: not runs(watchdog.pid)), "it gave its lock back just before it ended"
    assert told == ["ending what a dead run left running (up to 10 s)"]


def test_a_watchdog_that_does_not_come_to_an_end_is_killed_with_the_rest(bench: Bench) -> None:
    runner = bench.runner(FAMILY + "sleep 60")
    members = family_of(bench)
    watchdog = watchdog_of(bench.state)
    os.kill(watchdog.pid, signal.SIGSTOP)
    runner.kill()
    runner.wait()
    end_leftovers(bench.state, wait_s=0.1)
    assert not [pid for pid in [*members, watchdog.pid] if runs(pid)]


@pytest.mark.parametrize("lie", ["start time", "boot"])
def test_a_pid_that_was_used_again_is_left_alone(bench: Bench, lie: str) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        found = stat_of(stranger.pid)
        assert found is not None
        start = found.start - (lie == "start time")
        boot = "another" if lie == "boot" else boot_id()
        bench.state.mkdir()
        told = f"boot {boot}\nmark 0f\nprocess {stranger.pid} {start} run\nlive {bench.live}"
        (bench.state / "pids").write_text(told)
        end_leftovers(bench.state)
        assert runs(stranger.pid)
        assert bench.stamp() is None
        stranger.kill()


def test_what_else_runs_on_the_machine_is_never_touched(bench: Bench) -> None:
    with subprocess.Popen(["sleep", "60"]) as neighbour:  # our own session, as a user's shell has it
        orphaned(bench)
        end_leftovers(bench.state)
        assert runs(neighbour.pid)
        neighbour.kill()


def test_a_daemon_is_the_users_once_its_attempt_is_recorded(bench: Bench) -> None:
    command = "setsid sleep 60 & echo $! > daemon.pid"
    bench.run(command)
    daemon = bench.pid("daemon.pid")
    forget(bench.state)
    end_leftovers(bench.state)
    assert runs(daemon)


def test_a_daemon_of_an_attempt_that_was_never_recorded_is_ended(bench: Bench) -> None:
    bench.run("setsid sleep 60 & echo $! > daemon.pid")
    daemon = bench.pid("daemon.pid")
    assert runs(daemon)
    end_leftovers(bench.state)
    assert not runs(daemon)


@pytest.mark.parametrize("damage", [b"", b"\0\0\0\0", b"boot x\nmark", b"process a b c\nlive /x", b"boot\n\n\n"])
def test_a_damaged_list_ends_nothing_and_is_removed(bench: Bench, damage: bytes) -> None:
    bench.state.mkdir()
    (bench.state / leftovers.PIDS).write_bytes(damage)
    end_leftovers(bench.state)
    assert not (bench.state / "pids").exists()
    assert bench.stamp() is None
