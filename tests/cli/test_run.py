"""`gitckpt run` by its exit codes, its words and what it leaves: real phases in a real repository."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.repo import Repo


def workflow(repo: Repo, phases: str, top: str = "") -> None:
    """A workflow file with these phases, each line as it stands."""
    lines = "".join(f"  {line}\n" for line in phases.strip().splitlines())
    repo.write("gitckpt.yaml", f"version: 1\nworkflow: demo\n{top}phases:\n{lines}")


def start(repo: Repo, *arguments: str) -> subprocess.Popen[bytes]:
    """A command in the background."""
    return subprocess.Popen(
        [sys.executable, "-m", "gitckpt", *arguments],
        cwd=repo.path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(path: Path, seconds: float = 20) -> None:
    """Until a phase has made a file."""
    until = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < until, f"{path} was never made"
        time.sleep(0.02)


def state(repo: Repo) -> dict[str, object]:
    """The newest manifest, by plain git."""
    found: dict[str, object] = json.loads(repo.git("show", "gitckpt/demo:.gitckpt/state.json"))
    return found


def subjects(repo: Repo) -> list[str]:
    """The subjects of the checkpoints, oldest first, without their numbers."""
    said = repo.git("log", "--first-parent", "--reverse", "--format=%s", "gitckpt/demo").splitlines()
    return [line.partition(" ")[2] for line in said]


def test_a_run_ends_with_0_and_a_second_one_does_nothing(repo: Repo) -> None:
    workflow(repo, "one: {run: echo 1 >> one}\ntwo: {run: cat one > two}")
    repo.run("run")
    assert subjects(repo) == ["start started", "one done", "two done"]
    again = repo.run("run")
    assert "Complete already" in again.stderr
    assert (repo.path / "one").read_text() == "1\n"
    assert len(subjects(repo)) == 3


def test_a_failure_puts_the_files_back_and_says_cause_output_attempt_and_next_command(repo: Repo) -> None:
    repo.write("kept", "as it was\n")
    workflow(repo, "load: {run: 'echo junk > junk; echo spoilt > kept; echo working; echo boom: no route >&2; exit 3'}")
    failed = repo.run("run", ok=1).stderr
    assert "load failed: exit 3: boom: no route" in failed
    assert "  | working\n  | boom: no route\n" in failed
    assert "What the attempt left: 2 files (12 bytes), kept as load@1" in failed
    assert "gitckpt diff load@1 · gitckpt output load@1" in failed
    assert not (repo.path / "junk").exists()
    assert (repo.path / "kept").read_text() == "as it was\n"
    assert repo.git("show", "refs/gitckpt/demo/attempts/load/1:kept") == "spoilt"
    assert repo.git("show", "gitckpt/demo:kept") == "as it was"


def test_resume_runs_only_what_is_left_with_the_mended_file_as_an_edit(repo: Repo) -> None:
    workflow(repo, "one: {run: echo ran >> one}\ntwo: {run: ./two.sh}")
    repo.write("two.sh", "#!/bin/sh\nexit 1\n", 0o755)
    repo.run("run", ok=1)
    repo.write("two.sh", "#!/bin/sh\necho two > two\n", 0o755)
    repo.run("run")
    assert subjects(repo)[-3:] == ["two failed two@1 exit 1", "edit by Ann Example", "two done"]
    assert (repo.path / "one").read_text() == "ran\n"
    assert repo.git("diff", "--name-only", "gitckpt/demo~1", "gitckpt/demo", "--", ":!.gitckpt") == "two"


def test_retries_are_made_with_their_waits_and_each_try_is_an_attempt(repo: Repo) -> None:
    run = "echo x >> $HOME/tries; test $(wc -l < $HOME/tries) -ge 3"
    workflow(repo, f"one: {{run: '{run}', retry: {{max: 3, delay: 10ms}}}}")
    repo.run("run")
    assert subjects(repo)[1:] == ["one failed one@1 exit 1", "one failed one@2 exit 1", "one done"]


def test_only_the_exit_codes_named_are_retried(repo: Repo) -> None:
    workflow(repo, "one: {run: exit 4, retry: {max: 3, delay: 1ms, exit_codes: [75]}}")
    repo.run("run", ok=1)
    assert subjects(repo)[1:] == ["one failed one@1 exit 4"]


def test_a_time_out_is_a_failure_that_ends_every_descendant(repo: Repo) -> None:
    workflow(repo, "one: {run: 'setsid sh -c \"sleep 1; touch $HOME/late\" & sleep 60', timeout: 300ms}")
    said = repo.run("run", ok=1).stderr
    assert "timed out after 0.3 s" in said
    time.sleep(1)
    assert not (Path(os.environ["HOME"]) / "late").exists()


def test_on_failure_continue_goes_on_and_the_run_still_ends_with_1(repo: Repo) -> None:
    workflow(repo, "one: {run: exit 1, on_failure: continue}\ntwo: {run: echo 2 > two}")
    repo.run("run", ok=1)
    assert (repo.path / "two").exists()
    assert subjects(repo)[1:] == ["one failed one@1 exit 1", "two done"]


def test_an_if_that_says_no_skips_and_requires_that_says_no_blocks_without_an_attempt(repo: Repo) -> None:
    workflow(repo, "one: {if: test -e flag, run: exit 9}\ntwo: {requires: test -e ready, run: echo 2 > two}")
    said = repo.run("run", ok=1).stderr
    assert "two is blocked" in said
    assert subjects(repo)[1:] == [
        "one skipped `if` said no: test -e flag",
        "two blocked `requires` said no: test -e ready",
    ]
    repo.run("run", ok=1)
    assert len(subjects(repo)) == 3, "being blocked again is no news"
    repo.write("ready")
    repo.run("run")
    phases = state(repo)["phases"]
    assert isinstance(phases, dict)
    assert (phases["one"]["status"], phases["two"]["status"], phases["two"]["attempts"]) == ("skipped", "completed", 1)


def test_an_if_may_not_change_files(repo: Repo) -> None:
    workflow(repo, "one: {if: 'touch sly; false', run: 'true'}")
    assert "its `if` changed files" in repo.run("run", ok=1).stderr
    assert not (repo.path / "sly").exists()


@pytest.mark.parametrize(
    ("check", "word"),
    [
        ("test -s out", "exit 1 in validate"),
        ("{run: echo FAIL, stdout: {contains: PASS}}", "does not contain 'PASS'"),
        ("{run: echo PASS WARN, stdout: {not_contains: WARN}}", "contains 'WARN'"),
        ("{run: echo 12, stdout: {matches: '^[a-z]+$'}}", "does not match"),
        ("{file: out, min_size: 10}", "has 0 bytes, 10 are wanted"),
        ("{file: nowhere}", "is not there"),
    ],
)
def test_a_validation_that_does_not_hold_fails_the_phase(repo: Repo, check: str, word: str) -> None:
    workflow(repo, f"one: {{run: ': > out', validate: {check}}}")
    assert word in repo.run("run", ok=1).stderr
    assert not (repo.path / "out").exists()


def test_outs_must_be_there_and_are_captured_although_ignored(repo: Repo) -> None:
    repo.write(".gitignore", "data/\n")
    workflow(repo, "one: {run: 'mkdir -p data; echo 1 > data/a.csv', outs: ['data/*.csv']}")
    repo.run("run")
    assert repo.git("show", "gitckpt/demo:data/a.csv") == "1"
    workflow(repo, "one: {run: 'true', outs: [nowhere.txt]}")
    assert "outs not made: nowhere.txt" in repo.run("run", "--from", "one", ok=1).stderr


def test_ignored_files_that_a_phase_changed_are_named_with_the_line_to_add(repo: Repo) -> None:
    repo.write(".gitignore", "*.log\n")
    workflow(repo, "one: {run: echo 1 > out.log}")
    said = repo.run("run").stderr
    assert "uncaptured: one changed 1 ignored file (2 bytes) that no checkpoint holds: out.log" in said
    line = 'to capture: workspace: {include: ["out.log"]}'
    assert line in said
    assert line in repo.run("rollback", "start").stdout, "the file stays as it is, and that is said"
    workflow(repo, "one: {run: echo 2 > out.log}", top="workspace: {uncaptured: error}\n")
    said = repo.run("run", "--from", "one", ok=1).stderr
    assert "1 ignored file that no checkpoint holds" in said
    assert line in said


def test_secrets_are_masked_in_output_and_kept_out_of_checkpoints(repo: Repo) -> None:
    workflow(repo, "one: {run: 'echo the $WORD; echo $WORD > file; echo a > .env'}", top="secrets: [WORD]\n")
    said = repo.run("run", env={"WORD": "hunter22"}).stderr
    assert "file: left out of checkpoints (holds a declared secret)" in said
    assert ".env: left out of checkpoints" in said
    assert repo.git("show", "gitckpt/demo:.gitckpt/output/one/log") == "the ***"
    assert repo.git("ls-tree", "--name-only", "gitckpt/demo").splitlines() == [".gitckpt", "gitckpt.yaml"]


def test_keep_partial_lets_the_next_attempt_build_on_what_was_left(repo: Repo) -> None:
    workflow(repo, "one: {run: 'echo \"$GITCKPT_RESUMED\" >> seen; test $(wc -l < seen) -ge 2', keep_partial: true}")
    repo.run("run", ok=1)
    repo.run("run")
    assert (repo.path / "seen").read_text() == "\n1\n"


def test_a_checkpoint_inside_a_phase_is_where_the_next_attempt_starts(repo: Repo) -> None:
    phase = (
        "echo ${GITCKPT_RESUMED:-new} >> seen; echo half > half; "
        f'{sys.executable} -m gitckpt checkpoint -m half; echo lost > lost; test -n "$GITCKPT_RESUMED"'
    )
    workflow(repo, f"one: {{run: {json.dumps(phase)}}}")
    repo.run("run", ok=1)
    assert (repo.path / "half").exists()
    assert not (repo.path / "lost").exists()
    repo.run("run")
    assert (repo.path / "seen").read_text() == "new\n1\n"
    assert "one named half" in subjects(repo)


def test_data_that_a_failed_attempt_wrote_goes_with_the_attempt(repo: Repo) -> None:
    call = f"{sys.executable} -m gitckpt state"
    workflow(repo, f"one: {{run: '{call} set rows 5; {call} incr n; {call} get n; test -e ok'}}")
    repo.run("run", ok=1)
    assert state(repo)["data"] == {}
    assert repo.git("show", "gitckpt/demo:.gitckpt/output/one/log") == "1\n1"
    repo.write("ok")
    repo.run("run")
    assert state(repo)["data"] == {"rows": 5, "n": 1}


def test_step_until_only_and_from_do_what_they_say(repo: Repo) -> None:
    workflow(repo, "a: {run: echo >> a}\nb: {run: echo >> b}\nc: {run: echo >> c}\nd: {run: echo >> d}")
    assert "left: b, c, d" in repo.run("run", "--step", ok=75).stderr
    repo.run("run", "--until", "b", ok=75)
    assert sorted(p.name for p in repo.path.iterdir() if len(p.name) == 1) == ["a", "b"]
    assert "d needs c, which is not done" in repo.run("run", "--only", "d", ok=2).stderr
    repo.run("run", "--only", "a", ok=75)
    repo.run("run")
    repo.run("run", "--from", "c")
    assert {name: (repo.path / name).read_text() for name in "abcd"} == {
        "a": "\n\n", "b": "\n", "c": "\n\n", "d": "\n\n"
    }  # fmt: skip


def test_again_begins_a_new_run_only_when_the_last_has_completed(repo: Repo) -> None:
    workflow(repo, "a: {run: echo >> a}\nb: {run: 'test -e ok'}")
    repo.run("run", "--again", ok=1)
    repo.run("run", "--again", ok=1)
    repo.write("ok")
    repo.run("run", "--again")
    assert (repo.path / "a").read_text() == "\n"
    repo.run("run", "--again")
    assert (repo.path / "a").read_text() == "\n\n"
    assert subjects(repo).count("start started") == 2


def test_params_are_recorded_and_the_same_on_every_resume(repo: Repo) -> None:
    top = "params: {SINCE: {default: '2020', pattern: '\\d{4}'}}\n"
    workflow(repo, "a: {run: 'echo $SINCE > since; test -e ok'}", top=top)
    assert "SINCE" in repo.run("run", "--set", "SINCE=x", ok=2).stderr
    repo.run("run", "--set", "SINCE=2021", ok=1)
    assert "they stay the same" in repo.run("run", "--set", "SINCE=2022", ok=2).stderr
    repo.write("ok")
    repo.run("run")
    assert (repo.path / "since").read_text() == "2021\n"


def test_a_second_run_at_the_same_time_is_told_who_holds_it(repo: Repo) -> None:
    workflow(repo, "a: {run: 'touch began; sleep 20'}")
    first = start(repo, "run")
    try:
        wait_for(repo.path / "began")
        busy = repo.run("run", ok=4)
        assert f"process {first.pid} on " in busy.stderr
    finally:
        first.send_signal(signal.SIGINT)
        first.wait(20)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_a_stop_sets_the_attempt_aside_and_the_next_run_goes_on(repo: Repo, number: int, code: int) -> None:
    workflow(repo, "a: {run: 'echo left > left; test -e ok || { touch began; sleep 20; }'}")
    running = start(repo, "run")
    wait_for(repo.path / "began")
    running.send_signal(number)
    assert running.wait(20) == code
    assert not (repo.path / "left").exists()
    assert repo.git("show", "refs/gitckpt/demo/attempts/a/1:left") == "left"
    repo.write("ok")
    repo.run("run")
    assert (repo.path / "left").exists()


def test_a_phase_that_ignores_the_first_ctrl_c_is_ended_by_the_second(repo: Repo) -> None:
    workflow(repo, "a: {run: \"trap '' INT TERM; touch began; sleep 30 & wait; sleep 30\"}")
    running = start(repo, "run")
    wait_for(repo.path / "began")
    running.send_signal(signal.SIGINT)
    time.sleep(0.4)
    assert running.poll() is None
    began = time.monotonic()
    running.send_signal(signal.SIGINT)
    assert running.wait(20) == 130
    assert time.monotonic() - began < 5


def test_a_killed_run_is_set_aside_and_what_the_user_did_since_is_kept(repo: Repo) -> None:
    workflow(repo, "a: {run: 'echo dead > dead; test -e ok || { touch began; sleep 20; }'}")
    running = start(repo, "run")
    wait_for(repo.path / "began")
    running.kill()
    running.wait()
    time.sleep(0.5)
    repo.write("mine", "mine\n")
    repo.write("ok")
    said = repo.run("run").stderr
    assert "a@1 was cut off" in said
    assert "gitckpt restore a@1 -- began" in said
    assert subjects(repo)[1:] == ["edit by Ann Example", "a cut off a@1", "a done"]
    assert repo.git("diff", "--name-only", "gitckpt/demo~3", "gitckpt/demo~2", "--", ":!.gitckpt").split() == [
        "mine",
        "ok",
    ]
    assert not (repo.path / "began").exists()


@pytest.mark.sweep
def test_three_cut_offs_in_a_row_are_said_and_it_still_runs(repo: Repo) -> None:
    workflow(repo, "a: {run: 'test -e ok || { touch began; sleep 20; }'}")
    for _ in range(3):
        running = start(repo, "run")
        wait_for(repo.path / "began")
        running.kill()
        running.wait()
        (repo.path / "began").unlink()
    time.sleep(0.5)  # the watchdog's stamp: what is changed later is the user's
    repo.write("ok")
    said = repo.run("run").stderr
    assert "a was cut off 3 times in a row" in said


def test_an_attempt_too_big_to_store_is_moved_and_named(repo: Repo) -> None:
    top = "attempts: {keep_up_to: 1MiB}\n"
    workflow(repo, "a: {run: 'head -c 2000000 /dev/zero > big; exit 1'}", top=top)
    said = repo.run("run", ok=1).stderr
    assert "they were moved, not stored" in said
    moved = repo.path / ".git/gitckpt/attempts/demo/a-1/big"
    assert moved.stat().st_size == 2_000_000
    assert not (repo.path / "big").exists()
    assert "to go on from them: gitckpt restore a@1" in said


def test_a_daemon_left_by_a_completed_phase_blocks_nothing_and_is_named(repo: Repo) -> None:
    workflow(repo, "a: {run: 'sleep 30 & echo $! > pid'}\nb: {run: echo b > b}")
    said = repo.run("run").stderr
    pid = int((repo.path / "pid").read_text())
    try:
        assert f"a left a process running: {pid} sleep 30" in said
        assert "Complete already" in repo.run("run").stderr
    finally:
        os.kill(pid, signal.SIGKILL)


def test_json_events_are_one_object_a_line(repo: Repo) -> None:
    workflow(repo, "a: {run: echo hi}")
    lines = [json.loads(line) for line in repo.run("run", "--json").stdout.splitlines()]
    assert [line["event"] for line in lines if line["event"] != "output_line"] == [
        "run_began", "phase_began", "phase_ended", "run_ended"
    ]  # fmt: skip


def test_a_changed_definition_is_said_and_reruns_nothing(repo: Repo) -> None:
    workflow(repo, "a: {run: echo 1 >> a}")
    repo.run("run")
    workflow(repo, "a: {run: echo 2 >> a}\nb: {run: echo b > b}")
    said = repo.run("run").stderr
    assert "changed since it was done: a" in said
    assert (repo.path / "a").read_text() == "1\n"
    assert (repo.path / "b").exists()


def test_a_first_checkpoint_over_the_limit_asks_and_on_a_pipe_is_refused(repo: Repo) -> None:
    workflow(repo, "a: {run: 'true'}", top="workspace: {max_size: 1KiB}\n")
    repo.write("big", "x" * 2000)
    said = repo.run("run", ok=2).stderr
    assert "big (2,000 bytes)" in said
    assert repo.git("for-each-ref") == ""
