"""Who changed what since when, by the file system's own clock."""

from __future__ import annotations

import os
from pathlib import Path

from gitckpt.workspace.times import changed_since, ctime_now, wait_past


def border(folder: Path) -> int:
    """A moment between what was and what comes, on the file system's clock."""
    now = ctime_now(folder)
    wait_past(folder, wait_past(folder, now))
    return now


def test_the_clock_is_the_file_systems_and_leaves_nothing(tmp_path: Path) -> None:
    before = ctime_now(tmp_path)
    wait_past(tmp_path, before)
    (tmp_path / "a").touch()
    ctime = (tmp_path / "a").stat().st_ctime_ns
    wait_past(tmp_path, ctime)
    assert before < ctime < ctime_now(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_only_later_changes_count_whatever_their_mtime_says(tmp_path: Path) -> None:
    for name in ("old", "edited", "backdated", "chmodded"):
        (tmp_path / name).write_text("1")
    since = border(tmp_path)
    (tmp_path / "edited").write_text("2")
    (tmp_path / "backdated").write_text("2")
    os.utime(tmp_path / "backdated", ns=(1, 1))
    (tmp_path / "chmodded").chmod(0o600)
    (tmp_path / "new").symlink_to("old")
    paths = [b"old", b"edited", b"backdated", b"chmodded", b"new"]
    assert changed_since(tmp_path, paths, since) == set(paths) - {b"old"}


def test_a_moved_folder_counts_with_all_below_it(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_text("1")
    (tmp_path / "stays").mkdir()
    (tmp_path / "stays/d").write_text("1")
    since = border(tmp_path)
    (tmp_path / "a").rename(tmp_path / "moved")
    assert changed_since(tmp_path, [b"moved/b/c", b"moved/b", b"stays/d"], since) == {b"moved/b/c", b"moved/b"}


def test_a_new_neighbour_does_not_make_a_file_new(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/old").write_text("1")
    since = border(tmp_path)
    (tmp_path / "a/new").write_text("1")
    assert changed_since(tmp_path, [b"a/old", b"a/new"], since) == {b"a/new"}


def test_a_deleted_path_counts_by_the_folder_it_was_in(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text("1")
    (tmp_path / "b/x").unlink()
    since = border(tmp_path)
    (tmp_path / "a/x").unlink()
    assert changed_since(tmp_path, [b"a/x", b"b/x", b"b/never/was"], since) == {b"a/x"}
