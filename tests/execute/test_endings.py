"""How attempts end before their time, and that nothing of them is left running then."""

from __future__ import annotations

import os
import signal
import time

import pytest

from gitckpt.execute.process import Step
from tests.execute.bench import Bench, eventually, result_of, runs, watchdog_of

FAMILY = """
echo $$ > leader.pid
sleep 60 & echo $! > child.pid
setsid sh -c 'echo $$ > session.pid; exec sleep 60' &
sh -c 'setsid sh -c "setsid sleep 60 & echo \\$! > forked.pid" &'
until [ -s session.pid ] && [ -s forked.pid ]; do sleep 0.01; done
echo $$ > ready.pid
"""
MEMBERS = ("leader.pid", "child.pid", "session.pid", "forked.pid")


def family_of(bench: Bench) -> list[int]:
    bench.pid("ready.pid")
    members = [bench.pid(name) for name in MEMBERS]
    assert all(runs(pid) for pid in members if pid != members[0])
    return members


@pytest.mark.parametrize("ending", ["failure", "time-out", "terminate", "interrupt", "kill", "close"])
def test_no_process_outlives_an_attempt_that_did_not_succeed(bench: Bench, ending: str) -> None:
    last = "until [ -e seen ]; do sleep 0.01; done; exit 4" if ending == "failure" else "sleep 60"
    running = bench.start(FAMILY + last, timeout_ms=700 if ending == "time-out" else None)
    members = family_of(bench)
    match ending:
        case "failure":
            (bench.workspace / "seen").touch()
        case "terminate":
            running.terminate()
        case "interrupt":
            running.interrupt()
        case "kill":
            running.kill()
        case "close":
            running.close()
    if ending != "close":
        result = result_of(running)
        assert result.step == "run"
        assert result.timed_out == (ending == "time-out")
        assert result.interrupted == (ending in {"terminate", "interrupt", "kill"})
        assert result.survivors == ()
    assert not [pid for pid in members if runs(pid)]
    assert bench.stamp() is not None
    assert not (bench.state / "pids").exists()


def test_a_program_that_ignores_every_polite_signal_is_killed_after_the_grace(bench: Bench) -> None:
    running = bench.start("trap '' INT TERM; echo $$ > leader.pid; while :; do sleep 0.05; done", grace_ms=150)
    bench.pid("leader.pid")
    began = time.monotonic()
    running.interrupt()
    result = result_of(running)
    assert (result.signal, result.interrupted) == (signal.SIGKILL, True)
    assert 0.3 <= time.monotonic() - began < 1.5, "one grace after each of two signals"


def test_an_interruption_comes_as_sigint_and_the_program_may_tidy_up(bench: Bench) -> None:
    running = bench.start("trap 'echo tidy; exit 0' INT; echo $$ > leader.pid; while :; do sleep 0.02; done")
    bench.pid("leader.pid")
    running.interrupt()
    result = result_of(running)
    assert bench.said().endswith("tidy\n")
    assert (result.step, result.code, result.interrupted) == ("run", 0, True)


def test_the_group_keeps_its_grace_when_its_leader_ends_first(bench: Bench) -> None:
    running = bench.start(
        "bash -c 'trap \"sleep 0.15; echo late; exit\" TERM; echo $$ > child.pid; while :; do sleep 0.02; done' &"
        "echo $$ > leader.pid; trap 'exit 9' TERM; while :; do sleep 0.02; done",
        grace_ms=2000,
    )
    bench.pid("leader.pid")
    bench.pid("child.pid")
    time.sleep(0.05)
    began = time.monotonic()
    running.terminate()
    assert result_of(running).code == 9
    assert bench.said().endswith("late\n")
    assert time.monotonic() - began < 1.5, "the grace ends with the group"


def test_a_second_request_hastens_the_end(bench: Bench) -> None:
    running = bench.start("trap '' INT TERM; echo $$ > leader.pid; while :; do sleep 0.02; done", grace_ms=30_000)
    bench.pid("leader.pid")
    began = time.monotonic()
    running.interrupt()
    running.terminate()
    time.sleep(0.1)
    assert running.poll() is None
    running.kill()
    assert result_of(running).interrupted
    assert time.monotonic() - began < 2


def test_a_request_that_comes_with_the_start_is_heard(bench: Bench) -> None:
    running = bench.start("sleep 60")
    running.kill()
    assert result_of(running).interrupted


def test_a_stopped_program_ends_too(bench: Bench) -> None:
    running = bench.start("echo $$ > leader.pid; kill -STOP $$; sleep 60")
    bench.pid("leader.pid")
    running.terminate()
    assert result_of(running).signal == signal.SIGTERM


def test_the_time_out_of_a_step_is_its_own(bench: Bench) -> None:
    quick = Step("if", ("sleep", "0.05"), timeout_ms=5000)
    slow = Step("run", ("sleep", "60"), timeout_ms=100)
    result = bench.run(quick, slow)
    assert (result.step, result.timed_out, result.interrupted) == ("run", True, False)
    assert 100 <= result.duration_ms < 1500


def test_a_program_that_ends_well_when_its_time_is_over_has_still_failed(bench: Bench) -> None:
    result = bench.run("trap 'exit 0' TERM; while :; do sleep 0.02; done", "touch next", timeout_ms=100)
    assert (result.step, result.code, result.timed_out) == ("run", 0, True)
    assert not (bench.workspace / "next").exists()


def test_a_program_that_forks_without_end_is_caught(bench: Bench) -> None:
    running = bench.start("f() { : > alive; (f) & }; f & echo $$ > leader.pid; while :; do (f) & sleep 0.01; done")
    bench.pid("leader.pid")
    time.sleep(0.2)
    running.kill()
    assert result_of(running).interrupted
    (bench.workspace / "alive").unlink()
    time.sleep(0.1)
    assert not (bench.workspace / "alive").exists()


def test_a_daemon_that_a_success_leaves_lives_on_and_keeps_writing(bench: Bench) -> None:
    result = bench.run(
        "setsid bash -c 'echo $$ > daemon.pid; while :; do echo beat; sleep 0.02; done' & "
        "until [ -s daemon.pid ]; do sleep 0.01; done"
    )
    daemon = bench.pid("daemon.pid")
    assert result.step is None
    assert [survivor.pid for survivor in result.survivors if survivor.pid == daemon] == [daemon]
    assert "while :; do echo beat" in next(s.command for s in result.survivors if s.pid == daemon)
    before = len(bench.said())
    assert eventually(lambda: len(bench.said()) > before)
    assert bench.run("true").step is None, "it must not hold the lock"


def test_a_straggler_that_ends_soon_is_not_named(bench: Bench) -> None:
    result = bench.run("sleep 0.1 &")
    assert (result.step, result.survivors) == (None, ())


def test_the_stamp_is_made_after_the_last_write_also_where_the_phase_removed_its_folder(bench: Bench) -> None:
    bench.run("rm -rf .gitckpt; (trap '' TERM; while :; do echo x >> last; done) & sleep 0.2; exit 1")
    stamp = bench.stamp()
    assert stamp is not None
    assert stamp >= (bench.workspace / "last").stat().st_ctime_ns


def test_a_link_in_place_of_the_live_folder_is_not_followed(bench: Bench) -> None:
    elsewhere = bench.path / "elsewhere"
    elsewhere.mkdir()
    result = bench.run(f"rm -rf .gitckpt; ln -s {elsewhere} .gitckpt")
    assert result.step is None
    assert os.listdir(elsewhere) == []


@pytest.mark.parametrize("count", range(3))
def test_when_the_runner_is_killed_nothing_is_left_and_the_stamp_is_the_last_thing(bench: Bench, count: int) -> None:
    runner = bench.runner(FAMILY + "while :; do echo x >> last; done")
    members = family_of(bench)
    runner.kill()
    runner.wait()
    assert eventually(lambda: bench.stamp() is not None)
    assert not [pid for pid in members if runs(pid)], "the stamp was made while one still ran"
    stamp = bench.stamp()
    assert stamp is not None
    assert stamp >= (bench.workspace / "last").stat().st_ctime_ns


def test_signals_to_the_runners_group_do_not_reach_the_watchdog_or_the_phase(bench: Bench) -> None:
    runner = bench.runner("trap 'echo hit' INT TERM HUP; echo $$ > leader.pid; sleep 0.3; echo whole > whole")
    leader = bench.pid("leader.pid")
    watchdog = watchdog_of(bench.state)
    assert watchdog.session == watchdog.pid
    assert os.getpgid(leader) not in {os.getpgid(runner.pid), watchdog.pid}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        os.kill(watchdog.pid, number)
    assert eventually((bench.workspace / "whole").exists)
    assert runner.wait(5) == 0
    assert bench.said() == ""


def test_when_only_the_watchdog_is_killed_the_attempt_ends_and_says_so(bench: Bench) -> None:
    running = bench.start(FAMILY + "sleep 60")
    members = family_of(bench)
    os.kill(watchdog_of(bench.state).pid, signal.SIGKILL)
    result = result_of(running)
    assert (result.step, result.signal, result.code) == ("watchdog", signal.SIGKILL, None)
    assert not [pid for pid in members if runs(pid)]
    assert bench.stamp() is not None
