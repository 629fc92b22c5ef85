"""The live table, as a terminal shows it in the end."""

from __future__ import annotations

import io
import re
import threading
import time

import pytest

from gitckpt.progress.events import Note, OutputLine, PhaseBegan, PhaseEnded, RunBegan, RunEnded, Waiting
from gitckpt.progress.live import LiveReporter


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
            elif token == "\x1b[2K":
                lines[row] = ""
            elif re.fullmatch(r"\x1b\[\d+A", token):
                row = max(0, row - int(token[2:-1]))
            elif not token.startswith("\x1b"):
                lines[row] = lines[row][:column].ljust(column) + token + lines[row][column + 1 :]
                column += 1
        while lines and not lines[-1].strip():
            lines.pop()
        return [line.rstrip() for line in lines]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "30")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    return Terminal()


def test_finished_phases_stay_and_running_ones_are_redrawn_below_them(terminal: Terminal) -> None:
    reporter = LiveReporter(terminal)
    reporter(PhaseBegan(phase="extract", attempt=1))
    reporter(
        PhaseEnded(phase="extract", status="completed", detail="3/3 items", duration_ms=12_000, checkpoint_number=3)
    )
    reporter(PhaseBegan(phase="transform", attempt=2, eta_ms=60_000))
    reporter(OutputLine("transform", "row 7"))
    time.sleep(0.11)
    reporter.tick()
    first, second = terminal.screen()
    assert first == "extract  done       3/3 items   12 s   0003"
    assert re.fullmatch(r"transform  running    0\.\d s, about 1 m 00 s left, attempt 2  \| row 7", second)
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


def test_waiting_counts_down_and_says_why(terminal: Terminal) -> None:
    reporter = LiveReporter(terminal)
    reporter(Waiting(phase="load", until_ms=int(time.monotonic() * 1000) + 20_000, why="retry 2 of 5"))
    assert re.fullmatch(r"load  waits      (20|19) s  \| retry 2 of 5", terminal.screen()[0])
    reporter(PhaseBegan(phase="load", attempt=2))
    assert "running" in terminal.screen()[0]
    reporter.close()
    assert terminal.screen() == []


@pytest.mark.parametrize("columns", [1, 5, 12, 20, 40])
def test_no_line_is_wider_than_the_terminal(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    reporter = LiveReporter(terminal)
    reporter(PhaseBegan(phase="a-phase-with-quite-a-long-name", attempt=3, eta_ms=10**7))
    reporter(PhaseBegan(phase="日本語の段階", attempt=1))
    reporter(OutputLine("日本語の段階", "x" * 500))
    time.sleep(0.11)
    reporter.tick()
    assert all(len(line) <= columns for line in terminal.screen())
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


def test_ticks_redraw_at_most_ten_times_a_second_and_never_without_a_running_phase(terminal: Terminal) -> None:
    reporter = LiveReporter(terminal)
    reporter.tick()
    assert terminal.getvalue() == ""
    reporter(PhaseBegan(phase="load", attempt=1))
    written = len(terminal.getvalue())
    for _ in range(1000):
        reporter(OutputLine("load", "x"))
    reporter.tick()
    assert len(terminal.getvalue()) == written
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
