"""The live table, as a terminal shows it in the end."""

from __future__ import annotations

import io
import re
import threading
import time

import pytest
from rich.cells import cell_len

from gitckpt.progress.events import (
    Finished,
    ItemsBegan,
    ItemsEnded,
    Note,
    OutputLine,
    PhaseBegan,
    PhaseEnded,
    RunBegan,
    RunEnded,
    Waiting,
    Warned,
)
from gitckpt.progress.live import LiveReporter
from gitckpt.progress.screen import fit


class Terminal(io.StringIO):
    """Keeps what is written, and can show the screen: it obeys the few sequences that redrawing needs."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        lines, row, column = [""], 0, 0
        for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]", self.getvalue()):
            if token == "\n":
                row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
            elif token == "\r":
                column = 0
            elif token == "\x1b[K":
                lines[row] = lines[row][:column]
            elif token == "\x1b[J":
                lines[row] = lines[row][:column]
                del lines[row + 1 :]
            elif re.fullmatch(r"\x1b\[\d+A", token):
                row = max(0, row - int(token[2:-1]))
            elif not token.startswith("\x1b"):
                lines[row] = lines[row][:column].ljust(column) + token + lines[row][column + 1 :]
                column += 1
        while lines and not lines[-1].strip():
            lines.pop()
        return [line.rstrip() for line in lines]


class Time:
    """Stands still until it is moved on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "30")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    return Terminal()


def test_finished_phases_stay_and_running_ones_are_redrawn_below_them(terminal: Terminal, clock: Time) -> None:
    reporter = LiveReporter(terminal, clock)
    reporter(PhaseBegan(phase="extract", attempt=1))
    reporter(
        PhaseEnded(phase="extract", status="completed", detail="3/3 items", duration_ms=12_000, checkpoint_number=3)
    )
    reporter(PhaseBegan(phase="transform", attempt=2, eta_ms=60_000))
    reporter(OutputLine(phase="transform", line="row 7"))
    clock.now += 7
    reporter.tick()
    assert terminal.screen() == [
        "extract  done       3/3 items   12 s   0003",
        "transform  running    7.0 s, about 53 s left, attempt 2  | row 7",
    ]
    reporter(PhaseEnded(phase="transform", status="failed", detail="exit 1", duration_ms=400))
    reporter(RunEnded("failed"))
    reporter.close()
    assert terminal.screen() == [
        "extract  done       3/3 items   12 s   0003",
        "transform  FAILED     exit 1   0.4 s",
    ]


def test_a_note_scrolls_up_above_the_running_phase(terminal: Terminal) -> None:
    reporter = LiveReporter(terminal)
    reporter(PhaseBegan(phase="train", attempt=1))
    reporter(Note("train: checkpoint 0007 epoch 40"))
    shown = terminal.screen()
    assert shown[0] == "train: checkpoint 0007 epoch 40"
    assert shown[1].startswith("train  running")
    reporter.close()
    assert terminal.screen() == ["train: checkpoint 0007 epoch 40"]


def test_waiting_counts_down_and_says_why(terminal: Terminal, clock: Time) -> None:
    reporter = LiveReporter(terminal, clock)
    reporter(Waiting(phase="load", until_ms=int(time.monotonic() * 1000) + 20_000, why="retry 2 of 5"))
    assert re.fullmatch(r"load  waits      (20|19) s  \| retry 2 of 5", terminal.screen()[0])
    reporter(PhaseBegan(phase="load", attempt=2))
    clock.now += 0.1
    reporter.tick()
    assert terminal.screen() == ["load  running    0.1 s, attempt 2"]
    reporter.close()
    assert terminal.screen() == []


@pytest.mark.parametrize("columns", [1, 5, 12, 20, 40])
def test_no_line_is_wider_than_the_terminal(
    terminal: Terminal, clock: Time, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    reporter = LiveReporter(terminal, clock)
    reporter(PhaseBegan(phase="a-phase-with-quite-a-long-name", attempt=3, eta_ms=10**7))
    reporter(PhaseBegan(phase="日本語の段階", attempt=1))
    reporter(OutputLine(phase="日本語の段階", line="x" * 500))
    clock.now += 0.1
    reporter.tick()
    assert all(cell_len(line) <= max(1, columns - 1) for line in terminal.screen())
    assert len(terminal.screen()) == 2
    reporter.close()
    assert terminal.screen() == []


def test_no_color_is_honoured(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    reporter = LiveReporter(terminal)
    reporter(PhaseBegan(phase="load", attempt=1))
    reporter(PhaseEnded(phase="load", status="failed"))
    reporter.close()
    assert not re.findall(r"\x1b\[[0-9;]*3\dm", terminal.getvalue())


def test_ticks_redraw_at_most_ten_times_a_second_and_never_without_a_running_phase(
    terminal: Terminal, clock: Time
) -> None:
    reporter = LiveReporter(terminal, clock)
    reporter.tick()
    assert terminal.getvalue() == ""
    reporter(PhaseBegan(phase="load", attempt=1))
    written = len(terminal.getvalue())
    for _ in range(1000):
        reporter(OutputLine(phase="load", line="x"))
    for number in range(100):
        reporter(PhaseBegan(phase=f"more-{number}", attempt=1))
    clock.now += 0.09
    reporter.tick()
    assert len(terminal.getvalue()) == written
    clock.now += 0.02
    reporter.tick()
    assert len(terminal.getvalue()) > written
    reporter.close()
    reporter.close()


def test_there_is_no_thread_and_the_cursor_comes_back(terminal: Terminal) -> None:
    before = threading.active_count()
    reporter = LiveReporter(terminal)
    reporter(PhaseBegan(phase="load", attempt=1))
    assert threading.active_count() == before
    reporter.close()
    shows = [found.start() for found in re.finditer(r"\x1b\[\?25h", terminal.getvalue())]
    hides = [found.start() for found in re.finditer(r"\x1b\[\?25l", terminal.getvalue())]
    assert shows
    assert max(shows) > max(hides)


def test_columns_stay_in_line_from_the_first_phase_on_however_long_later_names_are(terminal: Terminal) -> None:
    reporter = LiveReporter(terminal)
    reporter(RunBegan(workflow="etl", number_of_phases=2, phases=("a", "transform")))
    reporter(PhaseEnded(phase="a", status="completed", duration_ms=9, checkpoint_number=2))
    reporter(PhaseEnded(phase="transform", status="completed", duration_ms=9, checkpoint_number=3))
    reporter.close()
    assert terminal.screen()[1:] == ["a          done       0.0 s   0002", "transform  done       0.0 s   0003"]


def test_no_color_leaves_out_every_way_of_writing_text_that_is_not_plain(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    reporter = LiveReporter(terminal)
    reporter(Note("said"))
    reporter(PhaseBegan(phase="a", attempt=1))
    reporter(PhaseEnded(phase="a", status="failed", detail="exit 1", duration_ms=9, checkpoint_number=2))
    reporter.close()
    assert not re.search(r"\x1b\[[0-9;]*m", terminal.getvalue())
    assert "FAILED" in terminal.getvalue()


def items_ended(items: str, *, status: str = "done", detail: str = "", done: int = 1, failed: int = 0) -> ItemsEnded:
    return ItemsEnded(
        phase="load",
        status=status,
        detail=detail,
        count=1,
        done=done,
        failed=failed,
        skipped=0,
        total=100,
        duration_ms=400,
        items=items,
    )


def test_each_that_runs_has_a_row_groups_stand_below_their_phase_and_totals_at_the_bottom(
    terminal: Terminal, clock: Time
) -> None:
    reporter = LiveReporter(terminal, clock)
    reporter(RunBegan(workflow="etl", number_of_phases=6, phases=("a", "b", "load"), jobs=4, done=("z",)))
    reporter(PhaseBegan(phase="a", attempt=1))
    reporter(PhaseBegan(phase="b", attempt=1))
    reporter(PhaseBegan(phase="load", attempt=1, eta_ms=90_000))
    for items in ("item s1 (1 of 100)", "item s2 (2 of 100)", "item north (3 of 100)"):
        reporter(ItemsBegan("load", items))
    reporter(OutputLine(phase="load", items="item north (3 of 100)", line="row 7"))
    reporter(Finished(phase="b", duration_ms=1_500, why="a comes first"))
    clock.now += 2
    reporter(items_ended("item s1 (1 of 100)"))
    reporter(Finished(phase="load", items="item s2 (2 of 100)", duration_ms=1_900, why="item s0 comes first"))
    assert terminal.screen() == [
        "etl: 6 phases, up to 4 at once",
        "a     running    2.0 s",
        "b     finished   1.5 s  | a comes first",
        "load  running    2.0 s, 1/100 items, 30/min, about 3 m 18 s left",
        "  item s2 (2 of 100)     running    2.0 s",
        "  item north (3 of 100)  running    2.0 s  | row 7",
        "3 running, 1 finished, 1 of 6 phases done, 2.0 s",
    ]
    clock.now += 1
    reporter(PhaseEnded(phase="a", status="failed", detail="exit 1", duration_ms=2_500, checkpoint_number=5))
    reporter(PhaseEnded(phase="b", status="done", duration_ms=1_500, checkpoint_number=6))
    assert terminal.screen()[1:] == [
        "a     FAILED     exit 1   2.5 s   0005",
        "b     done       1.5 s   0006",
        "load  running    3.0 s, 1/100 items, 20/min, about 4 m 57 s left",
        "  item s2 (2 of 100)     finished   1.9 s  | item s0 comes first",
        "  item north (3 of 100)  running    3.0 s  | row 7",
        "1 running, 1 finished, 2 of 6 phases done, 1 failed, 3.0 s",
    ]
    reporter(PhaseBegan(phase="a", attempt=2))
    clock.now += 1
    reporter.tick()
    assert terminal.screen()[-1] == "2 running, 1 finished, 2 of 6 phases done, 4.0 s"
    reporter(RunEnded("failed"))
    assert len(terminal.screen()) == 3


def test_a_failed_group_scrolls_away_with_its_reason_and_the_others_stay(terminal: Terminal, clock: Time) -> None:
    reporter = LiveReporter(terminal, clock)
    for items in ("item a (1 of 100)", "item b (2 of 100)"):
        reporter(ItemsBegan("load", items))
    reporter(items_ended("item a (1 of 100)", status="failed", detail="exit 1", done=0, failed=1))
    assert terminal.screen()[0] == "load FAILED item a (1 of 100): exit 1 0/100 0.4 s"
    assert [line.split("  ")[1] for line in terminal.screen()[2:]] == ["item b (2 of 100)"]


@pytest.mark.parametrize("height", [1, 2, 4, 5, 8, 24, 70])
def test_where_not_all_rows_fit_the_newest_that_run_are_shown_and_how_many_more_there_are(
    terminal: Terminal, clock: Time, monkeypatch: pytest.MonkeyPatch, height: int
) -> None:
    monkeypatch.setenv("LINES", str(height))
    reporter = LiveReporter(terminal, clock)
    reporter(RunBegan(workflow="wide", number_of_phases=64, jobs=64))
    for number in range(64):
        clock.now += 0.001
        reporter(PhaseBegan(phase=f"p{number:02d}", attempt=1))
    reporter(Finished(phase="p63", duration_ms=9, why="p00 comes first"))
    clock.now += 1
    reporter.tick()
    rows = [line for line in terminal.screen()[1:] if line.startswith("p")]
    assert len(terminal.screen()[1:]) <= max(1, height - 2)
    room = max(1, height - 4)
    if room >= 64:
        assert len(rows) == 64
        return
    shown = max(1, room - 1)
    assert [row[:3] for row in rows] == [f"p{number:02d}" for number in range(63 - shown, 63)]
    if room > 1:
        assert f"… and {64 - shown} more" in terminal.screen()
    if height >= 4:
        assert terminal.screen()[-1].startswith("63 running, 1 finished, 0 of 64 phases done, 1.")


def test_a_group_is_never_shown_without_the_row_of_its_phase(
    terminal: Terminal, clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINES", "8")
    reporter = LiveReporter(terminal, clock)
    for phase in ("load", "check"):
        clock.now += 1
        reporter(PhaseBegan(phase=phase, attempt=1))
    for number in range(9):
        clock.now += 1
        reporter(ItemsBegan("load", f"item {number}"))
    clock.now += 1
    reporter.tick()
    starts = [line.split("  run")[0].rstrip() for line in terminal.screen()]
    assert starts == ["load", "  item 7", "  item 8", "… and 8 more"]


def test_a_terminal_that_became_narrower_has_wrapped_the_rows_and_all_of_them_are_drawn_over(
    terminal: Terminal, clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    reporter = LiveReporter(terminal, clock)
    for phase in ("a", "b", "c"):
        reporter(PhaseBegan(phase=phase, attempt=1))
        reporter(OutputLine(phase=phase, line="x" * 200))
    clock.now += 1
    reporter.tick()
    monkeypatch.setenv("COLUMNS", "40")
    clock.now += 1
    before = len(terminal.getvalue())
    reporter.tick()
    # Three rows of 99 cells: the first two of them stand on three lines each now.
    assert terminal.getvalue()[before:].startswith("\r\x1b[6A")


def test_what_waits_for_nobody_in_particular_is_over_when_something_begins(terminal: Terminal, clock: Time) -> None:
    reporter = LiveReporter(terminal, clock)
    reporter(Waiting(phase="", until_ms=0, why="until the disk has room"))
    reporter(PhaseBegan(phase="a", attempt=1))
    clock.now += 1
    reporter.tick()
    assert terminal.screen() == ["a  running    1.0 s"]


def test_a_compensation_is_not_counted_as_a_phase_done(terminal: Terminal, clock: Time) -> None:
    reporter = LiveReporter(terminal, clock)
    reporter(RunBegan(workflow="w", number_of_phases=2, jobs=2, done=("a", "b")))
    reporter(PhaseBegan(phase="b", attempt=1, compensating=True))
    reporter(PhaseEnded(phase="b", status="done"))
    reporter(PhaseBegan(phase="c", attempt=1))
    clock.now += 1
    reporter.tick()
    assert terminal.screen()[-1] == "1 running, 1 of 2 phases done, 1.0 s"


def test_results_are_written_at_once_also_while_the_rows_keep_their_pace(terminal: Terminal, clock: Time) -> None:
    reporter = LiveReporter(terminal, clock)
    reporter(PhaseBegan(phase="a", attempt=1))
    reporter(PhaseBegan(phase="b", attempt=1))
    reporter(PhaseEnded(phase="a", status="done"))
    reporter(Warned("careful"))
    assert terminal.screen() == ["a  done", "warning: careful", "b  running    0.0 s"]


def test_a_terminal_that_knows_only_ascii_gets_the_rows_all_the_same(
    monkeypatch: pytest.MonkeyPatch, clock: Time
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    raw = io.BytesIO()
    reporter = LiveReporter(io.TextIOWrapper(raw, encoding="ascii"), clock)
    reporter(PhaseBegan(phase="Zürich", attempt=1))
    reporter(Note("日本"))
    assert b"Z?rich  " in raw.getvalue()
    assert b"??\x1b[0m\n" in raw.getvalue()


@pytest.mark.parametrize("text", ["", "abc", "abcdefgh", "日本語日本語", "a日本", "a" * 10_000, "e\u0301" * 50])
@pytest.mark.parametrize("width", [1, 2, 3, 5, 8, 12])
def test_a_fitted_line_has_as_many_cells_as_it_says_and_never_too_many(text: str, width: int) -> None:
    for line in ([(text, "")], [("ab", "2"), (text, "31"), ("", ""), ("語", "")]):
        fitted, cells = fit(line, width)
        shown = "".join(part for part, _ in fitted)
        assert cell_len(shown) == cells <= width
        assert shown == "".join(part for part, _ in line) or shown.endswith("…") or len(text) > 2 * width
