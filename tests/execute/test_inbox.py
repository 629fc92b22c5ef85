"""Requests to the active run: in order, none lost, and nobody waits for a run that is gone."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gitckpt.errors import RunEnded
from gitckpt.execute import inbox
from tests.execute.bench import PACKAGE_ROOT

POST = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(PACKAGE_ROOT)!r})
from gitckpt.execute import inbox
folder = Path(sys.argv[1])
tickets = [(n, inbox.post(folder, f"{{sys.argv[2]}}.{{n}}".encode())) for n in range(8)]
for n, ticket in tickets:
    assert inbox.wait(folder, ticket, lambda: True, 20) == f"got {{sys.argv[2]}}.{{n}}".encode()
"""


def test_requests_come_in_the_order_of_their_posting(tmp_path: Path) -> None:
    tickets = [inbox.post(tmp_path / "inbox", str(n).encode()) for n in range(50)]
    assert inbox.pending(tmp_path / "inbox") == [(t, str(n).encode()) for n, t in enumerate(tickets)]


def test_an_answer_reaches_the_one_who_asked_and_leaves_nothing(tmp_path: Path) -> None:
    first, second = inbox.post(tmp_path, b"one"), inbox.post(tmp_path, b"two")
    inbox.answer(tmp_path, second, b"2")
    inbox.answer(tmp_path, first, b"")
    assert inbox.wait(tmp_path, first, lambda: True, 1) == b""
    assert inbox.wait(tmp_path, second, lambda: True, 1) == b"2"
    assert list(tmp_path.iterdir()) == []


def test_nobody_waits_for_a_run_that_is_gone_and_the_request_goes_too(tmp_path: Path) -> None:
    ticket = inbox.post(tmp_path, b"pause")
    with pytest.raises(RunEnded) as caught:
        inbox.wait(tmp_path, ticket, lambda: False, 60)
    assert caught.value.waited_s is None
    assert inbox.pending(tmp_path) == []


def test_an_answer_given_just_before_the_run_ended_counts(tmp_path: Path) -> None:
    ticket = inbox.post(tmp_path, b"pause")

    def ended() -> bool:
        inbox.answer(tmp_path, ticket, b"recorded")
        return False

    assert inbox.wait(tmp_path, ticket, ended, 60) == b"recorded"


def test_a_run_that_does_not_answer_is_given_up_on_in_time(tmp_path: Path) -> None:
    ticket = inbox.post(tmp_path, b"pause")
    began = time.monotonic()
    with pytest.raises(RunEnded, match=r"did not answer within 0.1 s"):
        inbox.wait(tmp_path, ticket, lambda: True, 0.1)
    assert time.monotonic() - began < 1
    assert inbox.pending(tmp_path) == []


def test_sweeping_tells_those_who_wait_that_their_run_is_over(tmp_path: Path) -> None:
    ticket = inbox.post(tmp_path, b"pause")
    threading.Timer(0.05, inbox.sweep, (tmp_path,)).start()
    with pytest.raises(RunEnded):
        inbox.wait(tmp_path, ticket, lambda: True, 20)
    assert list(tmp_path.iterdir()) == []


def test_a_request_that_nobody_looked_at_can_be_asked_again_one_that_was_begun_cannot(tmp_path: Path) -> None:
    untouched, begun = inbox.post(tmp_path, b"one"), inbox.post(tmp_path, b"two")
    assert inbox.take(tmp_path, begun)
    assert [ticket for ticket, _ in inbox.pending(tmp_path)] == [untouched]
    with pytest.raises(inbox.NotTaken):
        inbox.wait(tmp_path, untouched, lambda: False, 60)
    with pytest.raises(RunEnded) as caught:
        inbox.wait(tmp_path, begun, lambda: False, 60)
    assert not isinstance(caught.value, inbox.NotTaken)
    assert not inbox.take(tmp_path, untouched), "it was taken back"
    assert list(tmp_path.iterdir()) == []


def test_what_is_being_done_is_waited_for_however_long_it_takes(tmp_path: Path) -> None:
    ticket = inbox.post(tmp_path, b"large")
    inbox.take(tmp_path, ticket)
    threading.Timer(0.15, inbox.answer, (tmp_path, ticket, b"done")).start()
    assert inbox.wait(tmp_path, ticket, lambda: True, 0.01) == b"done"


def test_an_answer_outlives_the_end_of_its_run_until_it_is_fetched(tmp_path: Path) -> None:
    ticket = inbox.post(tmp_path, b"pause")
    inbox.answer(tmp_path, ticket, b"recorded")
    inbox.sweep(tmp_path)
    assert inbox.wait(tmp_path, ticket, lambda: False, 1) == b"recorded"
    (tmp_path / "00000000000000000001-00000001-aa.answer").touch()
    inbox.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [], "nobody comes for it any more"


def test_who_stops_waiting_takes_the_request_back(tmp_path: Path) -> None:
    def interrupted() -> bool:
        raise KeyboardInterrupt

    ticket = inbox.post(tmp_path, b"skip")
    with pytest.raises(KeyboardInterrupt):
        inbox.wait(tmp_path, ticket, interrupted, 60)
    assert list(tmp_path.iterdir()) == []


def test_an_inbox_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert inbox.pending(tmp_path / "no") == []
    inbox.sweep(tmp_path / "no")


def test_a_request_half_written_is_not_seen(tmp_path: Path) -> None:
    (tmp_path / ".1-2-3.request.tmp").write_bytes(b"half")
    assert inbox.pending(tmp_path) == []


def test_sixty_four_posters_at_once_lose_nothing(tmp_path: Path) -> None:
    # Eight processes with eight requests each under way at a time.
    posters = [subprocess.Popen([sys.executable, "-c", POST, str(tmp_path), str(n)]) for n in range(8)]
    seen: list[bytes] = []
    while len(seen) < 64 and any(poster.poll() is None for poster in posters):
        for ticket, request in inbox.pending(tmp_path):
            seen.append(request)
            inbox.answer(tmp_path, ticket, b"got " + request)
    assert [poster.wait(20) for poster in posters] == [0] * 8
    assert sorted(seen) == sorted(f"{n}.{m}".encode() for n in range(8) for m in range(8))
