"""Attempts of many items: what has passed when they end, whose time is over, and that each costs next to nothing."""

from __future__ import annotations

import os
import signal

from gitckpt.execute.process import Step, shell_argv
from gitckpt.execute.processes import stat_of
from tests.execute.bench import Bench, eventually, result_of, runs, watchdog_of


def unit(number: int, text: str, name: str = "run", **env: str) -> Step:
    return Step(name, shell_argv("bash", text), unit=number, env=env)


def test_an_attempt_without_units_is_one_unit(bench: Bench) -> None:
    assert bench.run("true", "true").units == 1
    assert bench.run("true", "false").units == 0


def test_units_that_passed_all_their_steps_are_counted(bench: Bench) -> None:
    steps = [unit(n, text) for n in (4, 7, 9) for text in ("true", "test $N -ne 9")]
    result = bench.run(*steps, env={"PATH": os.environ["PATH"], "N": "0"})
    assert (result.step, result.units) == (None, 3)
    result = bench.run(*steps, env={"PATH": os.environ["PATH"], "N": "9"})
    assert (result.step, result.code, result.units) == ("run", 1, 0)


def test_the_unit_that_fails_ends_the_attempt_and_says_where_its_output_begins(bench: Bench) -> None:
    bench.output.write_text("before\n")
    result = bench.run(unit(1, "echo one"), unit(2, "echo two"), unit(2, "echo bad; exit 3"), unit(3, "touch x"))
    assert (result.step, result.code, result.units) == ("run", 3, 1)
    assert bench.output.read_bytes()[result.output_from :] == b"two\nbad\n"
    assert not (bench.workspace / "x").exists()


def test_a_unit_that_cannot_start_says_where_the_reason_stands(bench: Bench) -> None:
    result = bench.run(unit(1, "echo one"), Step("run", ("no-such-program",), unit=2))
    assert (result.code, result.units) == (127, 1)
    assert bench.output.read_bytes()[result.output_from :].startswith(b"gitckpt: cannot start no-such-program")


def test_nothing_is_said_of_the_output_when_all_units_pass(bench: Bench) -> None:
    assert bench.run(unit(1, "echo one"), unit(2, "echo two")).output_from == 0


def test_each_step_has_an_environment_of_its_own_over_the_common_one(bench: Bench) -> None:
    odd = os.fsdecode(b"\xff\n\xc3\xa9 'x=")
    env = {"PATH": os.environ["PATH"], "SHARED": "s", "ITEM": "none"}
    text = 'printf "%s|%s\\0" "$SHARED" "$ITEM"'
    bench.run(unit(1, text, ITEM=odd), unit(2, text, ITEM=""), unit(3, text, SHARED="own"), env=env)
    assert bench.output.read_bytes().split(b"\0") == [b"s|" + os.fsencode(odd), b"s|", b"own|none", b""]


def test_the_path_of_a_step_is_where_its_program_is_looked_for(bench: Bench) -> None:
    (bench.workspace / "bin").mkdir()
    (bench.workspace / "bin" / "greet").write_text("#!/bin/sh\necho hi\n")
    (bench.workspace / "bin" / "greet").chmod(0o755)
    assert bench.run(Step("run", ("greet",), env={"PATH": str(bench.workspace / "bin")})).step is None
    assert bench.said() == "hi\n"


def test_no_further_unit_is_begun_once_it_is_time_to_stop(bench: Bench) -> None:
    steps = [unit(n, text) for n in range(50) for text in ("sleep 0.1", f"echo {n}")]
    result = bench.run(*steps, stop_after_ms=250)
    assert (result.step, result.interrupted, result.timed_out) == (None, False, False)
    assert 2 <= result.units <= 3
    assert bench.said().split() == [str(n) for n in range(result.units)], "no unit was cut in two"


def test_the_first_unit_runs_even_when_it_is_time_to_stop_at_once(bench: Bench) -> None:
    result = bench.run(unit(5, "echo a"), unit(5, "echo b"), unit(6, "echo c"), stop_after_ms=0)
    assert (result.step, result.units, bench.said()) == (None, 1, "a\nb\n")


def test_a_job_without_units_is_never_cut_by_the_time_to_stop(bench: Bench) -> None:
    assert bench.run("echo a", "echo b", stop_after_ms=0).units == 1
    assert bench.said() == "a\nb\n"


def test_each_unit_has_the_whole_time_out(bench: Bench) -> None:
    steps = [unit(n, "sleep 0.15") for n in (1, 2, 3) for _ in range(2)]
    result = bench.run(*steps, unit(4, "sleep 0.2"), unit(4, "sleep 60"), unit_timeout_ms=600)
    assert (result.step, result.timed_out, result.units) == ("run", True, 3)
    assert 1400 <= result.duration_ms < 4000


def test_the_time_out_of_all_steps_holds_across_units(bench: Bench) -> None:
    result = bench.run(*[unit(n, "sleep 0.15") for n in range(20)], timeout_ms=400, unit_timeout_ms=60_000)
    assert (result.timed_out, result.units) == (True, 2)


def test_an_interruption_counts_the_units_before_it(bench: Bench) -> None:
    running = bench.start(unit(1, "true"), unit(2, "echo $$ > leader.pid; sleep 60"), unit(3, "touch x"))
    bench.pid("leader.pid")
    running.terminate()
    result = result_of(running)
    assert (result.step, result.interrupted, result.units) == ("run", True, 1)
    assert not (bench.workspace / "x").exists()


def test_a_process_that_an_earlier_unit_left_ends_with_a_failure_of_a_later_one(bench: Bench) -> None:
    result = bench.run(unit(1, "setsid sleep 60 & echo $! > left.pid"), unit(2, "exit 1"))
    left = bench.pid("left.pid")
    assert (result.units, result.survivors) == (1, ())
    assert not runs(left)


def test_a_process_that_an_earlier_unit_left_is_ended_when_runner_and_watchdog_are_killed(bench: Bench) -> None:
    running = bench.start(
        unit(1, "setsid sleep 60 & echo $! > left.pid; sleep 60 & echo $! > near.pid"),
        unit(2, "echo $$ > leader.pid; sleep 60"),
    )
    members = [bench.pid(name) for name in ("left.pid", "near.pid", "leader.pid")]
    assert all(runs(pid) for pid in members)
    os.kill(watchdog_of(bench.state).pid, signal.SIGKILL)
    result = result_of(running)
    assert (result.step, result.units) == ("watchdog", 0)
    assert eventually(lambda: not any(runs(pid) for pid in members))


def test_the_pids_file_names_the_step_that_runs_and_none_before_it(bench: Bench) -> None:
    running = bench.start(*[unit(n, "true") for n in range(30)], unit(30, "echo $$ > leader.pid; sleep 60"))
    leader = bench.pid("leader.pid")
    told = [line.split() for line in (bench.state / "pids").read_text().splitlines() if line.startswith("process")]
    found = stat_of(leader)
    assert found is not None
    assert [line[1:3] for line in told if line[3] != "watchdog"] == [[str(leader), str(found.start)]]
    running.kill()


def test_a_unit_costs_little_more_than_its_program(bench: Bench) -> None:
    """Measured: 3 ms, of which the program's own start is 2. A wait or a list that grows would show."""
    result = bench.run(*[Step("run", ("true",), unit=n) for n in range(150)])
    assert (result.step, result.units) == (None, 150)
    assert result.duration_ms < 150 * 25
