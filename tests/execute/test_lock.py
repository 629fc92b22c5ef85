"""Who holds a lock, and that nobody holds it for longer than they live."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gitckpt.errors import Busy, ExitCode
from gitckpt.execute.lock import Lock, holder
from tests.execute.bench import PACKAGE_ROOT, eventually

HOLD = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(PACKAGE_ROOT)!r})
from gitckpt.execute.lock import Lock
lock = Lock.take(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def holding(path: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_a_lock_that_is_held_says_by_whom(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with holding(path) as other:
        with pytest.raises(Busy) as caught:
            Lock.take(path)
        other.kill()
    assert caught.value.exit_code == ExitCode.BUSY
    who = caught.value.holder
    assert who is not None
    assert (who.pid, who.host) == (other.pid, os.uname().nodename)
    assert who.since[10] == "T"
    assert str(other.pid) in caught.value.message
    assert who.since in caught.value.message


def test_the_kernel_frees_the_lock_of_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with holding(path) as other:
        other.kill()
    with Lock.take(path):
        assert holder(path) is not None
    assert holder(path) is None


def test_no_child_inherits_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    lock = Lock.take(path)
    with subprocess.Popen(["sleep", "60"], close_fds=False) as child:
        lock.release()
        Lock.take(path).release()
        child.kill()


def test_looking_at_a_lock_takes_nothing_and_needs_no_right_to_write(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    assert holder(path) is None
    assert not path.exists()
    with Lock.take(path):
        path.chmod(0o444)
        who = holder(path)
        assert who is not None
        assert who.pid == os.getpid()
    assert holder(path) is None


def test_somebody_who_looks_does_not_make_a_lock_busy(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    Lock.take(path).release()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            holder(path)

    watchers = [threading.Thread(target=look) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(40):
            Lock.take(path).release()
    finally:
        over.set()
        for watcher in watchers:
            watcher.join()


def test_a_lock_file_that_was_removed_is_not_mistaken_for_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with Lock.take(path):
        path.unlink()
        with Lock.take(path):
            assert holder(path) is not None


def test_a_lock_file_with_nothing_readable_in_it_still_counts(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with Lock.take(path):
        path.write_bytes(b"\xff{")
        who = holder(path)
        assert who is not None
        assert who.pid == 0
        with pytest.raises(Busy) as caught:
            Lock.take(path)
        assert str(path) in caught.value.message


def test_of_many_that_try_at_once_exactly_one_gets_it(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    many = [
        subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(6)
    ]
    try:
        assert eventually(lambda: [process.poll() for process in many].count(1) == 5, within_s=20)
        who = holder(path)
        assert who is not None
        assert [process.pid for process in many if process.poll() is None] == [who.pid]
    finally:
        for process in many:
            process.kill()
            process.communicate()
