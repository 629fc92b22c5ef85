"""What a snapshot holds, what it leaves out, and that the cache never changes the answer."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

from gitckpt.plumbing.content import Defaults, list_content
from gitckpt.workspace.rules import CaptureRules
from tests.workspace.desk import Desk


def settle(desk: Desk) -> None:
    """Let the clock move past the last write, so that the cache may trust what it sees."""
    time.sleep(0.03)


def test_an_unchanged_workspace_writes_nothing_and_gives_the_same_content(desk: Desk) -> None:
    for number in range(30):
        desk.write(f"d{number % 3}/f{number}", f"{number}\n")
    os.mkdir(desk.root / "empty")
    os.mkfifo(desk.root / "pipe")
    first = desk.take()
    assert desk.packed > 30
    assert desk.take().content == first.content
    assert desk.packed == 0
    settle(desk)
    assert desk.take().content == first.content
    assert desk.packed == 0


def test_without_a_cache_a_known_content_still_spares_every_write(desk: Desk) -> None:
    desk.write("a/b/c")
    desk.write("nested/.git/HEAD")
    desk.write("m", mode=0o600)
    os.mkdir(desk.root / "a" / "empty")
    first = desk.take()
    desk.cache_path.unlink()
    assert desk.take().content == first.content
    assert desk.packed == 0


@pytest.mark.parametrize("damage", [b"", b"junk", b"gitckpt stat cache 3\n00000000\x90"])
def test_a_damaged_cache_is_as_good_as_none(desk: Desk, damage: bytes) -> None:
    desk.write("a", "1\n")
    desk.take()
    desk.cache_path.write_bytes(damage)
    desk.write("a", "2\n")
    assert desk.take().content == desk.fresh()


def test_a_flipped_bit_in_the_cache_is_noticed(desk: Desk) -> None:
    desk.write("a", "1\n")
    desk.take()
    data = bytearray(desk.cache_path.read_bytes())
    data[-3] ^= 1
    desk.cache_path.write_bytes(data)
    assert desk.load().folders == {}


def test_an_edit_of_the_same_size_and_mtime_right_after_a_scan_is_seen(desk: Desk) -> None:
    path = desk.write("racy", "AAAA\n")
    for number in range(40):
        before = desk.take().content
        status = path.stat()
        with path.open("r+b") as file:
            file.write(b"%04d" % number)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        after = desk.take().content
        assert after != before, number
        assert desk.reader.blob(list_content(desk.reader, after)[b"racy"].oid) == b"%04d\n" % number


def test_an_edit_right_after_a_restore_is_seen(desk: Desk) -> None:
    path = desk.write("racy", "AAAA\n")
    first = desk.take().content
    path.write_text("BBBB\n")
    second = desk.take().content
    for number in range(20):
        desk.go((first, second)[number % 2])
        status = path.stat()
        with path.open("r+b") as file:
            file.write(b"%04d" % number)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        found = desk.take().content
        assert desk.reader.blob(list_content(desk.reader, found)[b"racy"].oid) == b"%04d\n" % number


def test_a_touched_file_is_not_written_again(desk: Desk) -> None:
    path = desk.write("a", "same\n")
    big = desk.write("big", os.urandom(3 << 20))
    desk.take()
    settle(desk)
    os.utime(path)
    os.utime(big)
    desk.take()
    assert desk.packed == 0


def test_every_object_that_the_known_content_lacks_is_in_the_pack_though_the_cache_has_seen_it(
    desk: Desk,
) -> None:
    desk.write("a/b", "1\n")
    desk.write("x/.git/config", "1\n")
    desk.take()
    desk.write("a/b", "2\n")
    desk.write("a/c", "3\n", mode=0o600)
    desk.write("x/.git/config", "2\n")
    os.mkdir(desk.root / "e")
    settle(desk)
    lost = desk.take(publish=False)
    again = desk.take()
    assert again.content == lost.content
    desk.commit(again.content)
    assert desk.git("fsck", "--strict", "--no-dangling") == ""


def test_modes_kinds_and_empty_folders_are_all_there(desk: Desk) -> None:
    desk.write("plain")
    desk.write("run", mode=0o755)
    desk.write("private", mode=0o600)
    desk.write("odd", mode=0o1711)
    (desk.root / "folder").mkdir(0o750)
    (desk.root / "link").symlink_to("nowhere")
    os.mkfifo(desk.root / "pipe", 0o640)
    items = list_content(desk.reader, desk.take().content)
    seen = {path: (item.kind, item.mode) for path, item in items.items()}
    assert seen == {
        b"plain": ("file", 0o644),
        b"run": ("file", 0o755),
        b"private": ("file", 0o600),
        b"odd": ("file", 0o1711),
        b"folder": ("dir", 0o750),
        b"link": ("link", 0),
        b"pipe": ("fifo", 0o640),
    }


def test_setuid_is_dropped_and_sockets_are_named(desk: Desk) -> None:
    desk.write("su", mode=0o4755)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(desk.root / "sock"))
        found = desk.take()
    items = list_content(desk.reader, found.content)
    assert items[b"su"].mode == 0o755
    assert b"sock" not in items
    assert found.not_kept == (b"sock",)


def test_default_modes_of_a_strict_umask_say_nothing_about_files(desk: Desk) -> None:
    desk.defaults = Defaults(file=0o600, exec=0o700, dir=0o700)
    desk.write("credentials.json", mode=0o600)
    found = desk.take()
    assert found.left_out == ()
    assert list_content(desk.reader, found.content)[b"credentials.json"].mode == 0o600


def test_our_own_folders_are_never_captured(desk: Desk) -> None:
    desk.write(".gitckpt/state.json")
    desk.write("a")
    desk.write("deep/.gitckpt/theirs")
    assert desk.paths(desk.take().content) == {b"a", b"deep", b"deep/.gitckpt", b"deep/.gitckpt/theirs"}


def test_a_nested_repository_is_captured_whole(desk: Desk) -> None:
    nested = desk.root / "sub" / "repo"
    subprocess.run(["git", "init", "-q", nested], check=True)
    desk.write("sub/repo/file")
    desk.write(".gitignore", "*.pack\nhooks\n")
    desk.write("sub/repo/.git/objects/pack/x.pack")
    paths = desk.paths(desk.take().content)
    on_disk = {
        os.fsencode(path.relative_to(desk.root))
        for path in desk.root.rglob("*")
        if (desk.root / ".git") not in path.parents
    }
    assert paths == on_disk - {b".git"}


# --- ignored files ------------------------------------------------------------------------------------------


def test_ignored_files_are_left_to_the_user_and_rules_bring_them_in(desk: Desk) -> None:
    desk.write(".gitignore", "*.log\nout/\nraw/\n")
    desk.write("a.log")
    desk.write("out/x/y")
    desk.write("raw/a.csv")
    desk.write("raw/b.txt")
    desk.write("keep/only.log")
    assert desk.paths(desk.take().content) == {b".gitignore", b"keep"}
    desk.rules = CaptureRules(include=("out/",), outs=("raw/*.csv",))
    found = desk.take()
    assert desk.paths(found.content) == {
        b".gitignore", b"keep", b"out", b"out/x", b"out/x/y", b"raw", b"raw/a.csv",
    }  # fmt: skip
    assert found.content == desk.fresh()
    desk.rules = CaptureRules(include=("out/",), exclude=("y",))
    assert desk.paths(desk.take().content) == {b".gitignore", b"keep", b"out", b"out/x"}


def test_exclude_beats_include_and_needs_no_gitignore(desk: Desk) -> None:
    desk.write("a.tmp")
    desk.write("d/b.tmp")
    desk.write("cache/x")
    desk.write("d/kept")
    desk.rules = CaptureRules(include=("*",), exclude=("*.tmp", "cache/"))
    assert desk.paths(desk.take().content) == {b"d", b"d/kept"}


def test_a_tracked_file_is_never_ignored(desk: Desk) -> None:
    desk.write(".gitignore", "build/\n*.log\n")
    desk.write("build/tracked")
    desk.write("build/other")
    desk.write("a.log")
    desk.git("add", "-f", "build/tracked", "a.log")
    wanted = {b".gitignore", b"build", b"build/tracked", b"a.log"}
    assert desk.paths(desk.take().content) == wanted
    desk.git("rm", "-q", "--cached", "a.log")
    assert desk.paths(desk.take().content) == wanted - {b"a.log"}


@pytest.mark.parametrize("place", [".gitignore", "d/.gitignore", ".git/info/exclude", "user", "config"])
def test_a_changed_ignore_rule_counts_at_once_wherever_it_stands(desk: Desk, place: str, tmp_path: Path) -> None:
    desk.write("d/e/a.log")
    desk.write("d/e/b")
    user = tmp_path / "excludes"
    user.write_text("")
    if place != "config":
        desk.git("config", "core.excludesFile", str(user))
    everything = desk.paths(desk.take().content)
    assert b"d/e/a.log" in everything
    settle(desk)
    desk.take()
    if place == "config":
        user.write_text("*.log\n")
        desk.git("config", "core.excludesFile", str(user))
    elif place == "user":
        user.write_text("*.log\n")
    else:
        desk.write(place, "*.log\n")
    found = desk.take()
    assert b"d/e/a.log" not in desk.paths(found.content)
    assert found.content == desk.fresh()
    if place in (".gitignore", "d/.gitignore"):
        (desk.root / place).unlink()
        assert b"d/e/a.log" in desk.paths(desk.take().content)


def test_a_gitignore_edited_within_a_tick_of_the_scan_counts(desk: Desk) -> None:
    desk.write("a.log")
    desk.write("b.txt")
    path = desk.write(".gitignore", "*.log\n")
    for number in range(20):
        wanted = ("log", "txt")[number % 2]
        status = path.stat()
        with path.open("r+b") as file:
            file.write(b"*." + wanted.encode())
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert (b"a.log" in desk.paths(desk.take().content)) == (wanted == "txt"), number


def test_ignored_files_that_change_between_scans_are_told(desk: Desk) -> None:
    desk.write(".gitignore", "*.log\nout/\n.venv\n")
    desk.write("same.log")
    desk.write("old.log")
    desk.write("gone.log")
    desk.write("out/deep/x", "12345")
    desk.write(".venv/lib/y")
    assert desk.take().uncaptured.count == 0, "the first scan is the baseline"
    desk.write("old.log", "changed\n")
    (desk.root / "gone.log").unlink()
    desk.write("out/deep/z", "123")
    desk.write(".venv/lib/new")
    found = desk.take().uncaptured
    assert found.paths == (b"gone.log", b"old.log", b"out/deep/z")
    assert (found.count, found.size) == (3, 11)
    assert desk.take().uncaptured.count == 0
    for path in ("out/deep/x", "out/deep/z"):
        (desk.root / path).unlink()
    (desk.root / "out" / "deep").rmdir()
    assert desk.take().uncaptured.paths == (b"out/deep/x", b"out/deep/z")


def test_many_uncaptured_files_are_counted_and_twenty_are_named(desk: Desk) -> None:
    desk.write(".gitignore", "*.log\n")
    desk.take()
    for number in range(30):
        desk.write(f"d/{number:02}.log", "12")
    found = desk.take().uncaptured
    assert (len(found.paths), found.count, found.size) == (20, 30, 60)


def test_a_file_that_only_became_ignored_is_not_called_changed(desk: Desk) -> None:
    desk.write("a.log")
    desk.take()
    desk.write(".gitignore", "*.log\n")
    assert desk.take().uncaptured.count == 0


def test_a_cache_folder_that_nobody_ignores_is_captured(desk: Desk) -> None:
    desk.write("target/x")
    assert b"target/x" in desk.paths(desk.take().content)
    desk.write(".gitignore", "target\n")
    desk.rules = CaptureRules(outs=("target/x",))
    assert b"target/x" in desk.paths(desk.take().content)


@pytest.mark.parametrize("pattern", ["data/*.csv", "/data/**/*.csv", "**/data/a.csv"])
def test_an_ignored_folder_on_the_way_to_what_a_rule_captures_comes_and_goes_with_its_content(
    desk: Desk, pattern: str
) -> None:
    desk.rules = CaptureRules(outs=(pattern,))
    desk.write(".gitignore", "data/\nother/\n")
    (desk.root / "other").mkdir()
    without = desk.take().content
    (desk.root / "data").mkdir(0o750)
    empty = desk.take().content
    desk.write("data/a.csv")
    full = desk.take().content
    assert desk.paths(empty) == {b".gitignore", b"data"}
    for content in (empty, full, without, empty, without, full, empty):
        desk.go(content)
        assert desk.take().content == desk.fresh() == content
        assert (desk.root / "data").exists() == (content != without)
        assert (desk.root / "data/a.csv").exists() == (content == full)
    assert stat.S_IMODE((desk.root / "data").stat().st_mode) == 0o750
    assert (desk.root / "other").is_dir()


def test_what_an_ignored_folder_holds_besides_does_not_decide_whether_it_is_captured(desk: Desk) -> None:
    desk.rules = CaptureRules(outs=("data/*.csv",))
    desk.write(".gitignore", "data/\n")
    (desk.root / "data").mkdir()
    empty = desk.take().content
    assert b"data" in desk.paths(empty)
    desk.write("data/mine.txt")
    desk.write("data/below/mine.txt")
    assert desk.take().content == empty
    desk.write("data/a.csv")
    desk.take()
    desk.go(empty)
    assert desk.take().content == empty
    assert (desk.root / "data/mine.txt").exists()


def test_an_ignored_folder_that_the_index_holds_a_file_of_stays_when_the_file_goes(desk: Desk) -> None:
    desk.write(".gitignore", "data/\n")
    desk.write("data/tracked")
    desk.git("add", "-f", "data/tracked")
    full = desk.take().content
    (desk.root / "data/tracked").unlink()
    gone = desk.take().content
    assert desk.paths(gone) == {b".gitignore", b"data"}
    desk.go(full)
    desk.go(gone)
    assert (desk.root / "data").is_dir()
    assert desk.take().content == gone
