"""One attempt from start to end: its steps, its outputs, and why it could not be started."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from gitckpt.errors import Busy
from gitckpt.execute.executor import LocalExecutor
from gitckpt.execute.process import Step, shell_argv
from tests.execute.bench import Bench, result_of


def test_steps_run_in_order_and_their_output_is_one_file(bench: Bench) -> None:
    result = bench.run("echo one", "echo two >&2", "echo three")
    assert (result.step, result.code, result.signal) == (None, None, None)
    assert bench.said() == "one\ntwo\nthree\n"
    assert [name for name, _ in result.step_durations] == ["run", "run", "run"]


def test_the_first_step_that_fails_ends_the_attempt(bench: Bench) -> None:
    steps = [
        Step(name, shell_argv("sh", text))
        for name, text in (("if", "true"), ("run", "exit 7"), ("validate", "touch x"))
    ]
    result = bench.run(*steps)
    assert (result.step, result.code) == ("run", 7)
    assert not (bench.workspace / "x").exists()


def test_a_step_that_a_signal_ended_says_which(bench: Bench) -> None:
    result = bench.run("kill -USR1 $$")
    assert (result.step, result.code, result.signal) == ("run", None, 10)


def test_a_pipeline_that_fails_in_its_middle_fails_the_step(bench: Bench) -> None:
    assert bench.run("false | cat; echo not reached").code == 1
    assert bench.said() == ""


def test_validate_has_an_output_file_of_its_own_that_each_attempt_begins_anew(bench: Bench) -> None:
    check = Step("validate", shell_argv("sh", "echo PASS; echo seen >&2"))
    bench.run("echo hi", check)
    bench.run("echo hi", check)
    assert (bench.path / "validate").read_text() == "PASS\n"
    assert sorted(bench.said().split()) == ["PASS", "PASS", "hi", "hi", "seen", "seen"]


_OF_THE_C_LIBRARY = 0b11 << 31
"""Signals 32 and 33: no program may use them, and what started us may leave them blocked or (`posix_spawn`) ignored."""


def test_any_step_can_have_an_output_and_an_input_file_of_its_own(bench: Bench) -> None:
    source, target = bench.path / "in", bench.path / "out"
    source.write_bytes(b"a\nb\n")
    assert bench.run(Step("count", ("wc", "-l"), stdin=source, stdout=target)).step is None
    assert target.read_text().strip() == "2"


def test_without_an_input_file_there_is_nothing_to_read(bench: Bench) -> None:
    assert bench.run("cat; echo end").step is None
    assert bench.said() == "end\n"


def test_the_environment_is_the_given_one_byte_for_byte(bench: Bench) -> None:
    odd = os.fsdecode(b"\xff\xc3\xa9 \n'x")
    env = {"PATH": os.environ["PATH"], "ODD": odd, "EMPTY": ""}
    assert bench.run('printf %s "$ODD" > odd; env -0 > all', env=env).step is None
    assert (bench.workspace / "odd").read_bytes() == b"\xff\xc3\xa9 \n'x"
    names = {entry.split(b"=")[0] for entry in (bench.workspace / "all").read_bytes().split(b"\0") if entry}
    assert names - {b"PWD", b"SHLVL", b"_"} == {b"PATH", b"ODD", b"EMPTY", b"GITCKPT_PROCESS_MARK"}


def test_a_step_has_default_signals_and_only_three_open_files(bench: Bench) -> None:
    assert bench.run("grep -E '^Sig(Ign|Blk)' /proc/self/status").step is None
    blocked, ignored = bench.said().split()[1::2]
    assert int(blocked, 16) & ~_OF_THE_C_LIBRARY == 0
    assert int(ignored, 16) & ~_OF_THE_C_LIBRARY == 0
    bench.output.unlink()
    code = "import os; print([n for n in range(64) if os.path.exists(f'/proc/self/fd/{n}')])"
    assert bench.run(Step("run", (sys.executable, "-I", "-S", "-c", code))).step is None
    assert bench.said() == "[0, 1, 2]\n"


def test_each_step_leads_a_session_of_its_own(bench: Bench) -> None:
    bench.run("cut -d' ' -f6 /proc/$$/stat; echo $$")
    session, pid = bench.said().split()
    assert session == pid
    assert int(session) != os.getsid(0)


@pytest.mark.parametrize(
    ("step", "code", "said"),
    [
        (Step("run", ("no-such-shell", "-c", "x")), 127, "cannot start no-such-shell: it is in no folder of PATH"),
        (Step("run", ("./absent",)), 127, "cannot start ./absent: there is no such file"),
        (Step("run", ("./plain.txt",)), 126, "cannot start ./plain.txt: it is not executable"),
        (Step("run", ("./headless",)), 126, "cannot start ./headless: it is neither a program nor a script"),
        (Step("run", ("./stray",)), 127, "cannot start ./stray: the interpreter that its first line names is missing"),
        (Step("run", ("true", "x" * 3_000_000)), 126, "arguments and environment are too long together"),
        (Step("run", ("true", "a\0b")), 126, "cannot start true: embedded null byte"),
        (Step("run", ("true",), stdin=Path("/no/such/input")), 126, "No such file or directory: /no/such/input"),
    ],
    ids=["no shell", "no file", "not executable", "no format", "no interpreter", "too long", "nul", "no input"],
)
def test_what_cannot_start_is_a_result_and_a_line_that_says_why(bench: Bench, step: Step, code: int, said: str) -> None:
    for name, text, mode in (("plain.txt", "x", 0o644), ("headless", "x", 0o755), ("stray", "#!/no/such\n", 0o755)):
        (bench.workspace / name).write_text(text)
        (bench.workspace / name).chmod(mode)
    result = bench.run(step)
    assert (result.step, result.code, result.signal) == ("run", code, None)
    assert said in bench.said()
    assert "Traceback" not in bench.said()
    assert len(bench.said().splitlines()) == 1


def test_a_missing_working_directory_is_a_result_too(bench: Bench) -> None:
    result = bench.run("true", cwd=bench.workspace / "gone")
    assert (result.step, result.code) == ("run", 126)
    assert "cannot enter" in bench.said()


def test_an_output_file_that_cannot_be_made_is_a_result_and_frees_the_lock(bench: Bench) -> None:
    running = bench.start("true", output=bench.path / "no folder" / "output")
    result = result_of(running)
    assert (result.step, result.code) == ("run", 126)
    assert bench.run("true").step is None


def test_a_state_folder_belongs_to_one_attempt_at_a_time(bench: Bench) -> None:
    bench.start("sleep 20")
    with pytest.raises(Busy):
        bench.start("true")


def test_the_next_attempt_can_start_the_moment_a_result_is_there(bench: Bench) -> None:
    for _ in range(20):
        assert bench.run("true").step is None


def test_poll_gives_the_same_result_again_and_close_may_come_twice(bench: Bench) -> None:
    running = bench.start("exit 3")
    result = result_of(running)
    assert running.poll() is result
    running.close()
    running.close()


def test_poll_gives_nothing_and_does_not_block_while_the_attempt_runs(bench: Bench) -> None:
    running = bench.start("sleep 20")
    began = time.monotonic()
    assert running.poll() is None
    assert time.monotonic() - began < 0.1


def test_a_shell_that_is_not_known_is_split_into_words(bench: Bench) -> None:
    assert shell_argv("zsh -f", "echo $x") == ("zsh", "-f", "-c", "echo $x")
    assert shell_argv("python", "print(1)") == ("python3", "-c", "print(1)")
    assert shell_argv("sh", "x") == ("sh", "-e", "-c", "x")


def test_bash_reads_no_file_of_the_users(bench: Bench) -> None:
    (bench.path / ".bashrc").write_text("echo read\n")
    env = {"PATH": os.environ["PATH"], "HOME": str(bench.path)}
    bench.run("echo hi", env=env)
    assert bench.said() == "hi\n"


def test_the_executor_holds_nothing_of_an_attempt_that_is_over(bench: Bench) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with LocalExecutor() as executor:
        for _ in range(5):
            running = executor.start(bench.job)
            result_of(running)
            running.close()
    assert len(os.listdir("/proc/self/fd")) == before
