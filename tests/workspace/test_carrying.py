"""The way of what no checkpoint holds from a view to the workspace.

What it is after a mounted overlay is seen in test_upper.py.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitckpt.errors import CannotRestore
from gitckpt.workspace.layers import carry
from gitckpt.workspace.times import ctime_now, wait_past
from tests.workspace.ended import ended_anywhere, whiteout
from tests.workspace.shown import manifest


class Way:
    """A view's upper directory and a workspace, with the moment between them."""

    def __init__(self, upper: Path, root: Path) -> None:
        self.upper, self.root = upper, root
        for folder in (upper, root):
            folder.mkdir(mode=0o755)
        self.began = 0

    def put(self, name: str, text: str, *, at: Path | None = None, mode: int = 0o644) -> Path:
        path = (at or self.upper) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def begin(self) -> None:
        wait_past(self.root, ctime_now(self.root))
        self.began = ctime_now(self.root)
        wait_past(self.root, self.began)

    def carry(self, *paths: str) -> tuple[bytes, ...]:
        return carry(self.upper, [path.encode() for path in paths], self.root, since_ns=self.began)


@pytest.fixture
def way(tmp_path: Path) -> Way:
    return Way(tmp_path / "upper", tmp_path / "root")


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Way]:
    """On two disks, so that nothing can be linked."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as other:
        yield Way(Path(other) / "upper", tmp_path / "root")


def test_files_are_the_same_ones_afterwards_and_lose_what_the_overlay_noted(way: Way) -> None:
    way.begin()
    path = way.put("build/x", "new\n", mode=0o640)
    os.setxattr(path, "user.overlay.origin", b"o")
    os.setxattr(path, "user.mine", b"m")
    assert way.carry("build") == ()
    assert os.path.samefile(path, way.root / "build/x")
    assert os.listxattr(way.root / "build/x") == ["user.mine"]


def test_between_disks_bytes_holes_modes_and_times_come_along(far: Way) -> None:
    far.begin()
    path = far.put("build/ro/x", "new\n", mode=0o4750)
    with path.open("r+b") as file:
        file.truncate(1 << 20)
    os.utime(path, ns=(1, 2_000_000_003))
    (far.upper / "build/link").symlink_to("nowhere")
    os.mkfifo(far.upper / "build/pipe", 0o622)
    (far.upper / "build/pipe").chmod(0o622)
    (far.upper / "build/ro").chmod(0o555)
    for _ in range(2):
        assert far.carry("build") == ()
        assert manifest(far.root) == manifest(far.upper)
    found = (far.root / "build/ro/x").stat()
    assert (found.st_mode & 0o7777, found.st_mtime_ns, found.st_size) == (0o4750, 2_000_000_003, 1 << 20)
    assert (far.root / "build/ro/x").read_bytes()[:4] == b"new\n"
    (far.upper / "build/ro").chmod(0o755)
    (far.root / "build/ro").chmod(0o755)


def test_what_the_user_changed_meanwhile_stays_and_is_named(way: Way) -> None:
    for name in ("mine.log", "theirs.log", "gone.log", "cache/old", "cache/mine", "swapped/mine"):
        way.put(name, "before\n", at=way.root)
    way.begin()
    for name in ("mine.log", "cache/mine", "swapped/mine"):
        way.put(name, "the user's\n", at=way.root)
    for name in ("mine.log", "theirs.log", "swapped"):
        way.put(name, "the attempt's\n")
    whiteout(way.upper, "gone.log")
    whiteout(way.upper, "cache")
    for _ in range(2):
        left = way.carry("cache", "gone.log", "mine.log", "swapped", "theirs.log")
        assert left == (b"cache/mine", b"mine.log", b"swapped", b"swapped/mine")
    assert (way.root / "mine.log").read_text() == "the user's\n"
    assert (way.root / "theirs.log").read_text() == "the attempt's\n"
    assert sorted(path.name for path in way.root.iterdir()) == ["cache", "mine.log", "swapped", "theirs.log"]
    assert [path.name for path in (way.root / "cache").iterdir()] == ["mine"]


def test_a_link_in_the_workspace_leads_nowhere(way: Way, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.log").write_text("kept\n")
    (way.root / "d").symlink_to(outside)
    (way.root / "one.log").symlink_to(outside / "kept.log")
    way.begin()
    way.put("d/kept.log", "new\n")
    way.put("one.log", "new\n")
    whiteout(way.upper / "e", "kept.log")
    (way.root / "e").symlink_to(outside)
    assert way.carry("d/kept.log", "e/kept.log", "one.log") == ()
    assert [path.read_text() for path in outside.iterdir()] == ["kept\n"]
    assert not (way.root / "d").is_symlink()
    assert (way.root / "one.log").read_text() == "new\n"


@pytest.mark.parametrize("path", ["../x", ".git/config", ".gitckpt/x", "a//b", "/etc/x"])
def test_a_path_that_no_scan_names_is_refused(way: Way, path: str) -> None:
    with pytest.raises(CannotRestore):
        way.carry(path)


def test_what_a_copy_no_longer_has_goes(way: Way) -> None:
    way.put("cache/x/y", "x\n", at=way.root)
    way.put("kept", "x\n", at=way.root)
    way.begin()
    assert way.carry("cache", "kept/below", "nowhere") == ()
    assert [path.name for path in way.root.iterdir()] == ["kept"]


def test_a_carry_that_was_ended_anywhere_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = 0
    way: Way

    def make() -> None:
        nonlocal number, way
        number += 1
        way = Way(tmp_path / f"upper-{number}", tmp_path / f"root-{number}")
        for name in ("a.log", "build/old", "build/sub/old", "gone/x", "file/now"):
            way.put(name, "before\n", at=way.root)
        way.begin()
        for name in ("a.log", "build/new", "build/sub/new", "file"):
            way.put(name, "after\n")
        os.setxattr(way.upper / "build", "user.overlay.opaque", b"y")
        (way.upper / "build/sub").chmod(0o711)
        whiteout(way.upper, "gone")

    def go() -> tuple[bytes, ...]:
        return way.carry("a.log", "build", "file", "gone")

    make()
    assert go() == ()
    wanted = manifest(way.root)
    assert wanted.keys() == {b"a.log", b"build", b"build/new", b"build/sub", b"build/sub/new", b"file"}
    for _ in ended_anywhere(monkeypatch, make, go):
        assert go() == ()
        assert manifest(way.root) == wanted
