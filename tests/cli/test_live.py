"""A run under way and those beside it: what is asked of it from outside, waiting for it, and watching it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from gitckpt.api.changing import change
from gitckpt.api.detached import NoRunEver, wait_for_run
from gitckpt.api.library import Silent
from gitckpt.api.reading import Where
from gitckpt.engine.requests import Answer, Request, RequestRefused
from gitckpt.model.names import PhaseName
from tests.cli.test_run import start, state, subjects, wait_for, workflow
from tests.repo import Repo

HELD = "touch began; while ! test -e go; do sleep 0.01; done; rm go"
"""A phase that runs until it is let go."""

INCREMENTS = """\
import os, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from gitckpt.api.changing import change
from gitckpt.api.detached import NoRunEver, wait_for_run
from gitckpt.api.library import Silent
from gitckpt.api.reading import Where
from gitckpt.engine.requests import Request
request = Request(verb="incr", key="n", value=1)
with ThreadPoolExecutor(40) as pool:
    list(pool.map(lambda _: change(Where(), request, Silent()), range(40)))
"""
ONE_MORE = Request(verb="incr", key="n", value=1)


@contextmanager
def under_way(repo: Repo, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A run whose phase has made the file `began`."""
    process = start(repo, "run", *arguments)
    try:
        wait_for(repo.path / "began")
        yield process
    finally:
        process.kill()
        process.wait()


def let_go(repo: Repo, process: subprocess.Popen[bytes]) -> int:
    """Let the phase end; the run's exit code."""
    (repo.path / "go").touch()
    return process.wait(20)


def ask(repo: Repo, request: Request) -> Answer:
    return change(Where(directory=repo.path), request, Silent())


def events(repo: Repo) -> list[Any]:
    """What happened in the newest checkpoint, by plain git."""
    found: list[Any] = json.loads(repo.git("show", "gitckpt/demo:.gitckpt/events.json"))["events"]
    return found


def data(repo: Repo) -> Any:
    return state(repo)["data"]


def test_what_is_set_from_outside_is_recorded_at_once_and_survives_the_attempt(repo: Repo) -> None:
    inside = f"{sys.executable} -m gitckpt state set inside 1"
    workflow(repo, f"a: {{run: '{inside}; {HELD}; exit 3'}}")
    with under_way(repo) as process:
        said = ask(repo, Request(verb="set", key="outside", value=2))
        assert said.number == 2
        assert data(repo) == {"outside": 2}
        assert repo.run("state", "get", "inside", env={"GITCKPT_PHASE": "a"}).stdout == "1\n"
        assert let_go(repo, process) == 1
    assert data(repo) == {"outside": 2}, "what the failed attempt wrote went with it"
    assert subjects(repo)[1:] == ["manual state outside", "a failed a@1 exit 3"]


def test_a_run_that_dies_after_a_request_leaves_its_attempt_to_be_set_aside(repo: Repo) -> None:
    workflow(repo, f"a: {{run: 'test -e ok || {{ echo left > left; {HELD}; }}'}}")
    with under_way(repo) as process:
        assert ask(repo, Request(verb="set", key="k", value=1)).number == 2
        process.kill()
    time.sleep(0.4)  # the watchdog's stamp: what is changed later is the user's
    repo.write("ok")
    repo.run("run")
    assert subjects(repo)[1:] == ["manual state k", "edit by Ann Example", "a cut off a@1", "a done"]
    assert repo.git("diff", "--name-only", "gitckpt/demo~3", "gitckpt/demo~2", "--", ":!.gitckpt") == "ok"
    assert repo.git("show", "refs/gitckpt/demo/attempts/a/1:left") == "left"
    assert data(repo) == {"k": 1}


def test_a_change_that_the_phase_under_way_would_contradict_is_refused(repo: Repo) -> None:
    inside = f"{sys.executable} -m gitckpt state append list 1"
    workflow(repo, f"a: {{run: '{inside}; {HELD}'}}")
    with under_way(repo) as process:
        with pytest.raises(RequestRefused, match="a has just changed it: `list` is not a list"):
            ask(repo, Request(verb="set", key="list", value="text"))
        assert let_go(repo, process) == 0
    assert data(repo) == {"list": [1]}


def test_sixty_four_writers_at_once_inside_and_outside_lose_nothing(repo: Repo) -> None:
    repo.write("increments.py", INCREMENTS)
    workflow(repo, f"a: {{run: 'touch began; {sys.executable} increments.py'}}")
    with under_way(repo) as process:
        with ThreadPoolExecutor(24) as pool:
            said = list(pool.map(lambda _: ask(repo, ONE_MORE), range(24)))
        assert process.wait(60) == 0
    assert data(repo) == {"n": 64}
    assert len({answer.number for answer in said} - {None}) == 24, "each of them is a checkpoint of its own"


def test_writers_without_a_run_take_turns(repo: Repo) -> None:
    workflow(repo, "a: {run: 'true'}")
    writers = [start(repo, "state", "incr", "n") for _ in range(4)]
    assert [writer.wait(20) for writer in writers] == [0] * 4
    assert data(repo) == {"n": 4}


def test_pause_lets_the_phase_end_and_stops_the_run_with_75(repo: Repo) -> None:
    workflow(repo, f"a: {{run: '{HELD}; echo a > a'}}\nb: {{run: echo b > b}}")
    with under_way(repo) as process:
        assert "stops at its next boundary (0002)" in repo.run("pause", "-m", "lunch").stdout
        (event,) = events(repo)
        assert (event["type"], event["author"], event["reason"]) == ("Paused", "Ann Example", "lunch")
        assert let_go(repo, process) == 75
    assert subjects(repo)[1:] == ["manual paused lunch", "a done"]
    repo.run("run")
    assert (repo.path / "b").exists()
    assert "nothing to pause" in repo.run("pause", ok=2).stderr


def test_a_pause_while_a_retry_is_awaited_stops_the_run_at_once(repo: Repo) -> None:
    workflow(repo, "a: {run: 'exit 1', retry: {max: 1, delay: 1h}}")
    process = start(repo, "run")
    try:
        live = repo.path / ".gitckpt/state.json"
        wait_for(live)
        while '"failed"' not in live.read_text():
            time.sleep(0.02)
        ask(repo, Request(verb="pause"))
        assert process.wait(20) == 75
    finally:
        process.kill()
        process.wait()


def test_a_pending_phase_can_be_skipped_while_another_runs_but_not_what_runs(repo: Repo) -> None:
    workflow(repo, f"a: {{run: '{HELD}'}}\nb: {{run: echo b > b}}\nc: {{run: echo c > c}}")
    with under_way(repo) as process:
        with pytest.raises(RequestRefused, match="a runs now, so it cannot be skipped"):
            ask(repo, Request(verb="skip", target=PhaseName("a")))
        with pytest.raises(RequestRefused, match="has no phase x"):
            ask(repo, Request(verb="skip", target=PhaseName("x")))
        ask(repo, Request(verb="skip", target=PhaseName("b"), text="not today"))
        (event,) = events(repo)
        assert (event["phase"], event["author"], event["reason"]) == ("b", "Ann Example", "not today")
        assert let_go(repo, process) == 0
    assert not (repo.path / "b").exists()
    assert (repo.path / "c").exists()


def test_a_gate_is_approved_while_another_phase_runs_and_the_run_goes_on_past_it(repo: Repo) -> None:
    workflow(
        repo, f"ok: {{gate: Go?}}\nslow: {{needs: [], run: '{HELD}'}}\nlast: {{needs: [ok, slow], run: echo l > l}}"
    )
    with under_way(repo) as process:
        said = ask(repo, Request(verb="approve", text="yes"))
        assert (said.number, said.phase) == (3, "ok")
        assert let_go(repo, process) == 0
    assert subjects(repo)[2:] == ["ok approved by Ann Example: yes", "slow done", "last done"]


def test_a_checkpoint_from_outside_is_made_at_the_next_boundary_with_the_phases_files(repo: Repo) -> None:
    workflow(
        repo, f"a: {{run: '{HELD}; echo a > a'}}\nb: {{run: 'touch began; while ! test -e go; do sleep 0.01; done'}}"
    )
    with under_way(repo) as process:
        asked = ThreadPoolExecutor(1).submit(ask, repo, Request(verb="checkpoint", text="mine"))
        time.sleep(0.2)
        assert not asked.done()
        (repo.path / "began").unlink()
        (repo.path / "go").touch()
        assert asked.result(20).number == 3
        wait_for(repo.path / "began")
        assert let_go(repo, process) == 0
    assert subjects(repo)[1:] == ["a done", "named named mine", "b done"]
    assert repo.git("show", "gitckpt/demo~1:a") == "a"


def test_a_named_checkpoint_inside_always_does_not_wait_for_itself(repo: Repo) -> None:
    call = f"echo x > x; {sys.executable} -m gitckpt checkpoint -m end"
    repo.write("gitckpt.yaml", f"version: 1\nworkflow: demo\nphases:\n  a: {{run: 'true'}}\nalways:\n  - run: {call}\n")
    repo.run("run", timeout=20)
    assert subjects(repo)[1:] == ["a done", "named named end"]


def test_a_detached_run_is_waited_for_and_ends_with_its_exit_code(repo: Repo) -> None:
    workflow(repo, f"a: {{run: '{HELD}; exit 3'}}")
    said = repo.run("run", "--detach").stderr
    found = re.search(r"process (\d+)\.", said)
    assert found is not None
    pid = int(found[1])
    assert os.getsid(pid) == pid
    wait_for(repo.path / "began")
    still = repo.run("wait", "--timeout", "50ms", "--json", ok=75)
    assert json.loads(still.stdout) == {"schema": 1, "exit_code": 75, "running": True, "killed": False, "pid": pid}
    assert "busy: process" in repo.run("run", "--detach", ok=4).stderr
    (repo.path / "go").touch()
    assert "ended with 1: a phase failed" in repo.run("wait", ok=1).stderr
    log = next((repo.path / ".git/gitckpt/workspaces").glob("*/detached.log"))
    assert "a FAILED exit 3" in log.read_text()
    assert repo.run("wait", "--json", ok=1).stderr == ""


def test_a_detached_run_that_cannot_begin_says_why_with_its_exit_code(repo: Repo) -> None:
    workflow(repo, "a: {run: 'true'}", top="params: {WHO: {required: true}}\n")
    assert "WHO" in repo.run("run", "--detach", ok=2).stderr
    repo.run("run", "--detach", "--set", "WHO=ann b")
    assert "0: complete" in repo.run("wait").stderr
    assert state(repo)["params"] == {"WHO": "ann b"}


def test_nobody_waits_where_no_run_ever_began(repo: Repo) -> None:
    workflow(repo, "a: {run: 'true'}")
    with pytest.raises(NoRunEver):
        wait_for_run(Where(directory=repo.path), None)


def test_a_run_that_was_killed_has_no_exit_code_to_wait_for(repo: Repo) -> None:
    workflow(repo, f"a: {{run: '{HELD}'}}")
    with under_way(repo) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert "did not come to its end" in repo.run("wait", ok=75).stderr


@contextmanager
def watching(repo: Repo, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A command that follows, with its output to be read."""
    command = [sys.executable, "-m", "gitckpt", *arguments]
    environment = {**os.environ, **(env or {})}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=repo.path, env=environment, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


def said_by(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """The rest of what it says, until it ends with 0."""
    assert process.stdout is not None
    assert process.stderr is not None
    rest = process.stdout.read(), process.stderr.read()
    assert process.wait(20) == 0
    return rest


def test_output_is_followed_across_phases_with_secrets_masked_until_the_run_ends(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases = f"a: {{run: 'echo one; {HELD}; echo two'}}\nb: {{run: 'printf the; echo \" $WORD\"'}}"
    workflow(repo, phases, top="secrets: [WORD]\n")
    monkeypatch.setenv("WORD", "hunter22")
    with (
        under_way(repo) as process,
        watching(repo, "output", "-f") as everything,
        watching(repo, "output", "b", "-f") as b,
    ):
        assert "WORD is not set here" in repo.run("output", "-f", ok=2, env={"WORD": ""}).stderr
        assert everything.stdout is not None
        assert everything.stdout.readline() == b"one\n"
        assert let_go(repo, process) == 0
        assert said_by(everything) == (b"two\nthe ***\n", b"==> a, attempt 1\n==> b, attempt 1\n")
        assert said_by(b)[0] == b"the ***\n"
    assert "no run is active" in repo.run("output", "-f", ok=2).stderr
    assert repo.run("output", "b", "-f").stdout == "the ***\n"


def test_status_that_follows_says_each_change_on_a_pipe_and_ends_with_the_run(repo: Repo) -> None:
    workflow(repo, f"a: {{run: '{HELD}'}}\nb: {{run: sleep 0.3}}")
    with under_way(repo) as process, watching(repo, "status", "-f") as status:
        assert status.stdout is not None
        assert re.match(rb"\d{4}-\d\d-\d\dT\S+ a running attempt 1 ", status.stdout.readline())
        assert let_go(repo, process) == 0
        rest, _ = said_by(status)
    told = [line.split()[1:3] for line in rest.splitlines()]
    assert told[0] == [b"b", b"pending"]
    assert [row for row in told if row[1] == b"done"] == [[b"a", b"done"], [b"b", b"done"]]
