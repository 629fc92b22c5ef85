"""What each reporter writes for the same run."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import gitckpt
from gitckpt.progress import reporter as reporter_module
from gitckpt.progress.events import (
    Finished,
    ItemsBegan,
    ItemsEnded,
    Note,
    OutputLine,
    PhaseBegan,
    PhaseEnded,
    ProgressEvent,
    RunBegan,
    RunEnded,
    Waiting,
    Warned,
)
from gitckpt.progress.live import LiveReporter
from gitckpt.progress.reporter import JsonReporter, LineReporter, QuietReporter, choose, still_running
from gitckpt.progress.running import Board

RUN: list[ProgressEvent] = [
    RunBegan(workflow="nightly-etl", number_of_phases=3, resumed_at="0003-extract"),
    PhaseBegan(phase="transform", attempt=1, eta_ms=40_000),
    OutputLine(phase="transform", line="row 7"),
    PhaseEnded(phase="transform", status="completed", duration_ms=40_000, checkpoint_number=6),
    PhaseBegan(phase="load", attempt=2),
    PhaseEnded(phase="load", status="failed", detail="exit 1", duration_ms=12_000, checkpoint_number=7),
    Note("kept as load@2\nsee it: gitckpt diff load@2"),
    Warned("out/x: a socket is not captured"),
    RunEnded("failed"),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def without_times(text: str) -> list[str]:
    stamp = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d ")
    lines = text.splitlines()
    assert all(stamp.match(line) for line in lines)
    return [stamp.sub("", line, count=1) for line in lines]


def test_a_pipe_gets_one_time_stamped_line_a_change() -> None:
    out = io.StringIO()
    reporter = LineReporter(out)
    for event in RUN:
        reporter(event)
    assert without_times(out.getvalue()) == [
        "nightly-etl: 3 phases, resumed at 0003-extract",
        "transform began (about 40 s)",
        "transform done 40 s 0006",
        "load began attempt 2",
        "load FAILED exit 1 12 s 0007",
        "kept as load@2",
        "see it: gitckpt diff load@2",
        "warning: out/x: a socket is not captured",
        "run failed",
    ]


def test_quiet_tells_only_warnings_and_failures() -> None:
    out = io.StringIO()
    reporter = QuietReporter(out)
    for event in RUN:
        reporter(event)
    reporter.tick()
    reporter.close()
    assert out.getvalue().splitlines() == [
        "load FAILED exit 1 12 s 0007",
        "warning: out/x: a socket is not captured",
    ]


def test_json_is_one_object_a_line_with_a_schema_and_a_time() -> None:
    out = io.StringIO()
    reporter = JsonReporter(out)
    for event in RUN:
        reporter(event)
    said = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [entry["event"] for entry in said] == [
        "run_began",
        "phase_began",
        "output_line",
        "phase_ended",
        "phase_began",
        "phase_ended",
        "note",
        "warned",
        "run_ended",
    ]
    assert all(entry["schema"] == 1 and entry["at"][10] == "T" for entry in said)
    assert said[5] | {"at": ""} == {
        "schema": 1,
        "event": "phase_ended",
        "at": "",
        "phase": "load",
        "status": "failed",
        "detail": "exit 1",
        "duration_ms": 12_000,
        "checkpoint_number": 7,
        "first_checkpoint": None,
    }


def test_a_phase_with_items_ends_with_their_share_and_its_checkpoints_from_first_to_last() -> None:
    out, quiet = io.StringIO(), io.StringIO()
    ended = PhaseEnded(
        phase="extract",
        status="done",
        detail="3/3 items",
        duration_ms=12_000,
        checkpoint_number=3,
        first_checkpoint=1,
    )
    failed = ItemsEnded(
        phase="load",
        status="failed",
        detail="item b (2 of 4): exit 1",
        count=1,
        done=1,
        failed=1,
        skipped=0,
        total=4,
        duration_ms=400,
        checkpoint_number=4,
    )
    for event in (ended, replace(ended, first_checkpoint=3), failed):
        LineReporter(out)(event)
        QuietReporter(quiet)(event)
    assert without_times(out.getvalue()) == [
        "extract done 3/3 items 12 s 0001..0003",
        "extract done 3/3 items 12 s 0003",
        "load FAILED item b (2 of 4): exit 1 1/4 0.4 s 0004",
    ]
    assert quiet.getvalue() == "load FAILED item b (2 of 4): exit 1 1/4 0.4 s 0004\n"


def test_waiting_tells_how_long_and_not_until_when() -> None:
    event = Waiting(phase="load", until_ms=int(time.monotonic() * 1000) + 90_400, why="retry 2 of 5")
    lines, objects = io.StringIO(), io.StringIO()
    LineReporter(lines)(event)
    JsonReporter(objects)(event)
    assert without_times(lines.getvalue()) == ["load waits 1 m 30 s retry 2 of 5"]
    said = json.loads(objects.getvalue())
    assert 89_000 < said["wait_ms"] <= 90_400
    assert "until_ms" not in said


def test_a_silent_phase_is_told_of_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter_module, "_QUIET_LIMIT_S", 0.05)
    out = io.StringIO()
    reporter = LineReporter(out)
    reporter(PhaseBegan(phase="train", attempt=1))
    reporter(OutputLine(phase="train", line="epoch 4"))
    reporter.tick()
    time.sleep(0.06)
    reporter.tick()
    reporter.tick()
    reporter(PhaseEnded(phase="train", status="completed"))
    time.sleep(0.06)
    reporter.tick()
    assert without_times(out.getvalue()) == ["train began", "train running 0.1 s | epoch 4", "train done"]


SIDE_BY_SIDE: list[ProgressEvent] = [
    RunBegan(workflow="etl", number_of_phases=2, jobs=3, done=("fetch",)),
    PhaseBegan(phase="extract", attempt=1),
    PhaseBegan(phase="load", attempt=1),
    ItemsBegan("load", "item s1 (1 of 3)"),
    ItemsBegan("load", "item s2 (2 of 3)"),
    OutputLine(phase="load", items="item s2 (2 of 3)", line="row 7"),
    Finished(phase="load", items="item s2 (2 of 3)", duration_ms=3_200, why="extract comes first"),
    Finished(phase="extract", duration_ms=4_000, why="fetch comes first"),
    ItemsEnded(
        phase="load",
        status="failed",
        detail="exit 1",
        count=1,
        done=0,
        failed=1,
        skipped=0,
        total=3,
        duration_ms=400,
        checkpoint_number=4,
        items="item s1 (1 of 3)",
    ),
]


def test_lines_name_the_phase_and_the_items_where_several_run_side_by_side() -> None:
    out, quiet = io.StringIO(), io.StringIO()
    lines, failures = LineReporter(out), QuietReporter(quiet)
    for event in SIDE_BY_SIDE:
        lines(event)
        failures(event)
    assert without_times(out.getvalue()) == [
        "etl: 2 phases, up to 3 at once",
        "extract began",
        "load began",
        "load item s1 (1 of 3) began",
        "load item s2 (2 of 3) began",
        "load item s2 (2 of 3) finished 3.2 s: extract comes first",
        "extract finished 4.0 s: fetch comes first",
        "load FAILED item s1 (1 of 3): exit 1 0/3 0.4 s 0004",
    ]
    assert quiet.getvalue() == "load FAILED item s1 (1 of 3): exit 1 0/3 0.4 s 0004\n"


def test_json_has_the_events_of_what_runs_side_by_side() -> None:
    out = io.StringIO()
    reporter = JsonReporter(out)
    for event in SIDE_BY_SIDE:
        reporter(event)
    said = [json.loads(line) for line in out.getvalue().splitlines()]
    for entry in said:
        del entry["at"], entry["schema"]
    assert said[0]["jobs"] == 3
    assert said[0]["done"] == ["fetch"]
    assert said[3] == {"event": "items_began", "phase": "load", "items": "item s1 (1 of 3)"}
    assert said[5] == {"event": "output_line", "phase": "load", "items": "item s2 (2 of 3)", "line": "row 7"}
    assert said[6] == {
        "event": "finished",
        "phase": "load",
        "items": "item s2 (2 of 3)",
        "duration_ms": 3_200,
        "why": "extract comes first",
    }
    assert (said[8]["items"], said[8]["detail"]) == ("item s1 (1 of 3)", "exit 1")


def told(events: list[ProgressEvent]) -> str:
    board = Board()
    for event in events:
        board.hear(event, 100.0)
    return still_running(board, 112.0)


def test_one_line_says_all_that_still_runs() -> None:
    assert told(SIDE_BY_SIDE[:3]) == "running: extract 12 s, load 12 s"
    assert told(SIDE_BY_SIDE[:6]) == "running: extract 12 s, load 12 s (2 items)"
    assert told(SIDE_BY_SIDE[:7]) == "running: extract 12 s, load 12 s (1 item)"
    batch = ItemsBegan("load", "items 1..8 of 20 (batch 1)")
    assert told([*SIDE_BY_SIDE[:6], batch]) == "running: extract 12 s, load 12 s (3 groups)"
    assert told([SIDE_BY_SIDE[4], SIDE_BY_SIDE[5]]) == "load item s2 (2 of 3) running 12 s | row 7"
    assert told(SIDE_BY_SIDE[3:5]) == "running: load 12 s (2 items)"
    assert told([SIDE_BY_SIDE[7]]) == ""


def test_a_wait_is_told_of_where_nothing_runs() -> None:
    waits = Waiting(phase="load", until_ms=0, why="until it is tried again")
    assert told([waits]) == "load waits until it is tried again"
    assert told([waits, SIDE_BY_SIDE[1]]) == "extract running 12 s"
    assert told([waits, PhaseEnded(phase="load", status="failed")]) == ""


HOSTILE = "\x1b]0;owned\x07[/x]\u202e\r\x9b\udcff[red]"


def hostile_events() -> list[ProgressEvent]:
    return [
        RunBegan(workflow=HOSTILE, number_of_phases=1, resumed_at=HOSTILE),
        PhaseBegan(phase=HOSTILE, attempt=1),
        ItemsBegan(HOSTILE, HOSTILE),
        OutputLine(phase=HOSTILE, line=HOSTILE, items=HOSTILE),
        Finished(phase=HOSTILE, items=HOSTILE, duration_ms=1, why=HOSTILE),
        OutputLine(phase=HOSTILE, line=HOSTILE),
        Waiting(phase=HOSTILE, until_ms=0, why=HOSTILE),
        PhaseEnded(phase=HOSTILE, status="failed", detail=HOSTILE),
        Note(HOSTILE),
        Warned(HOSTILE),
        RunEnded(HOSTILE),
    ]


@pytest.mark.parametrize("kind", [LineReporter, QuietReporter, LiveReporter])
def test_text_from_outside_cannot_speak_to_the_terminal(
    kind: type[LineReporter | QuietReporter | LiveReporter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "300")
    out = Terminal()
    reporter = kind(out)
    for event in hostile_events():
        reporter(event)
        reporter.tick()
    reporter.close()
    written = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())  # what we emit ourselves
    assert r"\e]0;owned\x07[/x]\u202e\r\x9b\xff[red]" in written
    assert not re.search(r"[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u202e\udcff]", written)


@pytest.mark.parametrize("kind", [LineReporter, QuietReporter, JsonReporter, LiveReporter])
def test_a_reader_that_is_gone_does_not_end_the_run(
    kind: type[LineReporter | QuietReporter | JsonReporter | LiveReporter], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setenv("TERM", "xterm")
    reporter = kind(Gone())
    for event in RUN:
        reporter(event)
        reporter.tick()
    reporter.close()


def test_a_stream_that_knows_only_ascii_gets_escapes() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    QuietReporter(out)(Warned("Zürich → 日本"))
    assert raw.getvalue() == b"warning: Z\\xfcrich \\u2192 \\u65e5\\u672c\n"


def test_the_choice_depends_on_the_stream_and_the_wish() -> None:
    assert choose(io.StringIO(), mode="auto") == "lines"
    assert choose(Terminal(), mode="auto") == "live"
    assert choose(Terminal(), mode="auto", term="dumb") == "lines"
    assert choose(Terminal(), mode="quiet") == "quiet"
    assert choose(Terminal(), mode="json") == "json"


def test_no_reporter_but_the_live_one_imports_rich() -> None:
    code = "import sys, gitckpt.progress.reporter; sys.exit('rich' in sys.modules)"
    root = str(Path(gitckpt.__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", code], check=False, env={**os.environ, "PYTHONPATH": root})
    assert done.returncode == 0
