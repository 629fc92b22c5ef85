"""Git fails to read an ignore file once and goes on without it: no file changes sides for that."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workspace.desk import Desk


def _a_new_file(desk: Desk) -> None:
    desk.write("new.log")


def _a_new_file_deeper(desk: Desk) -> None:
    desk.write("sub/new.log")


def _other_rules(desk: Desk) -> None:
    (desk.repository.common_dir / "info" / "exclude").write_text("other\n")


def _another_index(desk: Desk) -> None:
    desk.git("add", "kept")


CHANGES: dict[str, tuple[Callable[[Desk], None], int]] = {
    "a new file": (_a_new_file, 1),
    "a new file, deeper": (_a_new_file_deeper, 2),
    "other rules": (_other_rules, 2),
    "another index": (_another_index, 1),
}
"""What happens between two scans, and how often git reads an ignore file in the second one when nothing fails."""


def _desk(top: Path) -> Desk:
    desk = Desk(top)
    desk.write(".gitignore", "*.log\nbig/\n")
    desk.write("sub/.gitignore", "!keep.log\n")
    for name in ("kept", "big/hidden", "seen.log", "tracked.log", "sub/keep.log", "sub/kept"):
        desk.write(name)
    desk.git("add", "-f", "tracked.log")
    desk.take()
    return desk


@pytest.mark.parametrize("change", CHANGES)
def test_a_read_of_an_ignore_file_that_fails_once_moves_no_file(
    tmp_path: Path, shim: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    happens, reads = CHANGES[change]
    counter = tmp_path / "counter"
    for at in range(reads + 1):
        desk = _desk(tmp_path / str(at))
        happens(desk)
        counter.unlink(missing_ok=True)
        with monkeypatch.context() as struck:
            for name in ("FI_READS", "FI_PATH"):
                struck.setenv(name, "/.gitignore")
            for name, value in {"FILE": counter, "AT": at, "ACT": errno.EIO}.items():
                struck.setenv(f"FI_{name}", str(value))
            struck.setenv("LD_PRELOAD", str(shim))
            found = desk.take()
        count = int.from_bytes(counter.read_bytes()[:8], sys.byteorder)
        assert count == reads if at == 0 else count >= at
        wanted = {b".gitignore", b"kept", b"tracked.log", b"sub/.gitignore", b"sub/keep.log", b"sub/kept"}
        assert desk.paths(found.content) - {b"sub"} == wanted, at
        desk.reader.close()


def test_what_is_ignored_near_the_top_is_no_question_far_down(desk: Desk) -> None:
    desk.write(".gitignore", "big/\n")
    desk.write("big/hidden")
    deep = "/".join(f"d{number}" for number in range(28))
    desk.write(f"{deep}/a")
    desk.take()
    desk.write(f"{deep}/b")
    assert f"{deep}/b".encode() in desk.paths(desk.take().content)
