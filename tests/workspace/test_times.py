"""Who changed what since when, by the file system's own clock."""

from __future__ import annotations

import os
from pathlib import Path

from gitckpt.model.whose import Later, whose
from gitckpt.workspace import kinds
from gitckpt.workspace.statcache import Entry, StatCache
from gitckpt.workspace.times import changed_of, ctime_now, wait_past


def changed_since(folder: Path, paths: list[bytes], since: int, before: StatCache | None = None) -> set[bytes]:
    """Those of the paths that count as changed after `since`."""
    return set(whose(changed_of(folder, paths, lambda: before or StatCache("sha1")), Later(since)))


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


def test_a_deletion_is_in_doubt_when_another_name_came_into_its_folder_later(tmp_path: Path) -> None:
    for name in ("x", "known", "was/y"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
    before = seen(tmp_path, "x", "known", "was")
    (tmp_path / "x").unlink()
    since = border(tmp_path)
    (tmp_path / "known").write_text("2")
    (tmp_path / "was/new").write_text("1")
    (tmp_path / ".gitckpt").mkdir()
    (tmp_path / "gone").touch()
    (tmp_path / "gone").unlink()  # so that the folder has changed later
    assert changed_since(tmp_path, [b"x"], since, before) == {b"x"}
    (tmp_path / "new").touch()
    assert changed_since(tmp_path, [b"x"], since, before) == set()


def test_a_file_that_was_moved_is_known_again_by_its_number_and_times(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("1")
    before = seen(tmp_path, "x")
    since = border(tmp_path)
    (tmp_path / "x").rename(tmp_path / "y")
    assert changed_since(tmp_path, [b"x", b"y"], since, before) == {b"x", b"y"}
    (tmp_path / "y").write_text("2")  # now nothing tells that it is the same
    assert changed_since(tmp_path, [b"x", b"y"], since, before) == {b"y"}


def seen(folder: Path, *names: str) -> StatCache:
    """What a scan knew of these entries."""
    cache = StatCache("sha1")
    entries = {}
    for name in names:
        found = (folder / name).lstat()
        kind = kinds.FOLDER if (folder / name).is_dir() else kinds.FILE
        numbers = (found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        entries[name.encode()] = Entry(stat=numbers, kind=kind)
    cache.put(b"", entries)
    return cache
