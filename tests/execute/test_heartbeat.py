"""The border between a dead attempt's files and the user's edits."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from gitckpt.execute.heartbeat import (
    NEVER,
    Border,
    Heartbeat,
    border,
    end_in_order,
    leave_stamp,
    mark_begin,
    never_started,
)
from gitckpt.execute.processes import boot_id
from gitckpt.execute.stamp import mark_started, write_stamp
from tests.execute.bench import Bench


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tmp_path / ".gitckpt"


def changed(path: Path) -> int:
    return os.lstat(path).st_ctime_ns


def test_without_a_stamp_the_border_is_the_heartbeat_and_two_periods(live: Path) -> None:
    mark_begin(live)
    assert border(live, period_s=0.5) == Border(changed(live / "heartbeat") + 10**9, "heartbeat")


def test_the_stamp_is_the_border_once_it_is_made(live: Path) -> None:
    mark_begin(live)
    write_stamp(str(live))
    assert border(live) == Border(changed(live / "stamp"), "stamp")


def test_a_stamp_from_an_earlier_attempt_does_not_count(live: Path) -> None:
    mark_begin(live)
    write_stamp(str(live))
    time.sleep(0.02)
    (live / "begin").touch()
    assert border(live).source == "unknown"
    mark_begin(live)
    assert not (live / "stamp").exists()


def test_after_a_reboot_the_border_is_not_before_the_start_of_this_boot(live: Path) -> None:
    mark_begin(live)
    (live / "heartbeat").write_text("an earlier boot\n")
    told = border(live)
    assert told.source == "boot"
    assert told.ns >= changed(live / "heartbeat")


def test_a_stamp_counts_also_after_a_reboot(live: Path) -> None:
    mark_begin(live)
    write_stamp(str(live))
    (live / "heartbeat").write_text("an earlier boot\n")
    assert border(live).source == "stamp"


def test_where_nothing_tells_nothing_is_the_users(live: Path) -> None:
    assert border(live) == Border(NEVER, "unknown")
    live.mkdir()
    assert border(live) == Border(NEVER, "unknown")


def test_asking_for_the_border_writes_nothing(live: Path) -> None:
    mark_begin(live)
    before = {path.name: changed(path) for path in live.iterdir()}
    border(live)
    assert {path.name: changed(path) for path in live.iterdir()} == before


def test_a_beat_renews_the_ctime_once_a_period(live: Path) -> None:
    mark_begin(live)
    heartbeat = Heartbeat(live, period_s=0.05)
    first = changed(live / "heartbeat")
    time.sleep(0.02)
    heartbeat.beat()
    second = changed(live / "heartbeat")
    heartbeat.beat()
    assert changed(live / "heartbeat") == second > first
    time.sleep(0.07)
    heartbeat.beat()
    assert changed(live / "heartbeat") > second


def test_a_beat_makes_the_file_again_where_a_phase_removed_its_folder(live: Path) -> None:
    mark_begin(live)
    heartbeat = Heartbeat(live, period_s=0)
    for path in live.iterdir():
        path.unlink()
    live.rmdir()
    heartbeat.beat()
    assert border(live).source == "heartbeat"


def test_all_that_a_killed_attempt_wrote_is_before_the_border_and_an_edit_after_it(bench: Bench) -> None:
    mark_begin(bench.live)
    runner = bench.runner("echo $$ > leader.pid; n=0; while :; do echo $n > file$((n++ % 50)); done")
    bench.pid("leader.pid")
    time.sleep(0.1)
    runner.kill()
    runner.wait()
    while border(bench.live).source != "stamp":
        time.sleep(0.002)
    edge = border(bench.live).ns
    assert all(changed(path) <= edge for path in bench.workspace.glob("file*"))
    time.sleep(0.01)
    edit = bench.workspace / "file1"
    edit.write_text("mine")
    assert changed(edit) > edge


def test_the_stamp_needs_no_new_file_and_a_second_one_is_the_same(live: Path) -> None:
    mark_begin(live)
    number = (live / "heartbeat").stat().st_ino
    write_stamp(str(live))
    assert ((live / "stamp").stat().st_ino, (live / "heartbeat").exists()) == (number, False)
    Heartbeat(live, period_s=0).beat()
    assert not (live / "heartbeat").exists()
    first = border(live).ns
    time.sleep(0.02)
    write_stamp(str(live))
    assert (live / "stamp").stat().st_ino == number
    assert border(live).ns > first


def test_a_runner_that_ends_in_order_leaves_the_stamp_unless_it_is_there(live: Path) -> None:
    mark_begin(live)
    end_in_order(live)
    first = border(live)
    assert first.source == "stamp"
    time.sleep(0.02)
    end_in_order(live)
    assert border(live) == first


def test_where_nothing_tells_the_next_command_says_that_it_is_up_to_now(live: Path) -> None:
    mark_begin(live)
    leave_stamp(live, boot_id())
    assert border(live).source == "heartbeat"
    shutil.rmtree(live)
    assert border(live).source == "unknown"
    assert border(live, begun_in="an earlier boot").source == "boot"
    leave_stamp(live, boot_id())
    assert border(live).source == "stamp"


def test_without_the_mark_nothing_ran_in_this_boot(tmp_path: Path) -> None:
    assert never_started(tmp_path, boot_id())
    assert not never_started(tmp_path, "an earlier boot")
    assert not never_started(tmp_path, "")
    assert not never_started(tmp_path / "removed", boot_id())
    mark_started(str(tmp_path))
    assert not never_started(tmp_path, boot_id())
