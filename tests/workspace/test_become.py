"""A restore writes exactly what differs, keeps what is not its own, and never leaves the workspace."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import time
from pathlib import Path

import pytest

from gitckpt.errors import CannotRestore, ObjectUnreadable
from gitckpt.plumbing.content import Change, Content, Item
from gitckpt.workspace.become import apply
from gitckpt.workspace.obstructions import obstructions
from gitckpt.workspace.statcache import StatCache
from gitckpt.workspace.times import ctime_now
from tests.workspace.desk import Desk

OPENED: list[bytes] = []
"""Byte paths of the files opened in this process, as Python's audit tells them."""


ASKED: list[bytes] = []
"""A word for each process started that asks git for ignore rules."""


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "subprocess.Popen" and isinstance(arguments[1], list) and "check-ignore" in arguments[1]:
        ASKED.append(b"check-ignore")
    if event == "open" and isinstance(arguments[0], bytes):
        OPENED.append(arguments[0])


sys.addaudithook(_note)


def two_states(desk: Desk) -> tuple[Content, Content]:
    """A first state with files in place, and a second in which everything has become something else."""
    desk.write("same", "same\n")
    desk.write("text", "one\n")
    desk.write("mode", "mode\n", mode=0o644)
    desk.write("file-dir", "file\n")
    desk.write("dir-file/a/b", "b\n")
    desk.write("file-link", "file\n")
    (desk.root / "link-file").symlink_to("text")
    desk.write("dir-link/x")
    (desk.root / "link-dir").symlink_to("dir-file")
    os.mkfifo(desk.root / "fifo-file")
    desk.write("gone/deep/er", "x\n")
    (desk.root / "empty").mkdir(0o700)
    desk.write("nested/.git/HEAD", "ref: refs/heads/main\n")
    desk.write("locked/child", "1\n", mode=0o444)
    (desk.root / "locked").chmod(0o555)
    first = desk.take().content
    desk.write("text", "two\n")
    (desk.root / "mode").chmod(0o600)
    (desk.root / "file-dir").unlink()
    desk.write("file-dir/now/dir")
    shutil.rmtree(desk.root / "dir-file")
    desk.write("dir-file", "file now\n")
    (desk.root / "file-link").unlink()
    (desk.root / "file-link").symlink_to("same")
    (desk.root / "link-file").unlink()
    desk.write("link-file", "file now\n")
    shutil.rmtree(desk.root / "dir-link")
    (desk.root / "dir-link").symlink_to("empty")
    (desk.root / "link-dir").unlink()
    desk.write("link-dir/y")
    (desk.root / "fifo-file").unlink()
    desk.write("fifo-file", "file now\n", mode=0o755)
    shutil.rmtree(desk.root / "gone")
    (desk.root / "empty").chmod(0o755)
    desk.write("nested/.git/HEAD", "ref: refs/heads/other\n")
    desk.write("nested/.git/new", "n\n")
    (desk.root / "locked").chmod(0o755)
    (desk.root / "locked" / "child").unlink()
    desk.write("locked/child", "2\n", mode=0o400)
    (desk.root / "locked").chmod(0o555)
    return first, desk.take().content


def test_every_swap_of_kinds_goes_both_ways(desk: Desk) -> None:
    first, second = two_states(desk)
    for content in (first, second, first, first, second):
        assert desk.go(content).kept == ()
        assert desk.fresh() == content
        assert desk.take().content == content
    assert not (desk.root / ".gitckpt").exists()


def test_unchanged_paths_and_mode_changes_keep_their_mtimes(desk: Desk) -> None:
    first, _ = two_states(desk)
    old = 1_000_000_000_000_000_000
    for name in ("same", "mode"):
        os.utime(desk.root / name, ns=(old, old))
    inode = (desk.root / "mode").stat().st_ino
    desk.go(first)
    assert (desk.root / "same").stat().st_mtime_ns == old
    assert (desk.root / "mode").stat().st_mtime_ns == old
    assert (desk.root / "mode").stat().st_ino == inode
    assert stat.S_IMODE((desk.root / "mode").stat().st_mode) == 0o644


def test_a_mode_change_over_other_bytes_writes_the_bytes_too(desk: Desk) -> None:
    first, second = two_states(desk)
    desk.write("mode", "not what was recorded\n")
    changes = desk.changes(first)
    assert obstructions(desk.root, changes, second) == [b"mode"]
    desk.go(first)
    assert desk.fresh() == first


def test_what_is_applied_twice_ends_the_same(desk: Desk) -> None:
    first, _ = two_states(desk)
    changes = desk.changes(first)
    for _ in range(2):
        apply(desk.root, desk.reader, changes, StatCache("sha1"))
        assert desk.fresh() == first
    assert apply(desk.root, desk.reader, [], StatCache("sha1")).written == 0


def test_the_counts_are_of_paths(desk: Desk) -> None:
    desk.write("a/b", "1\n")
    desk.write("c", "1\n")
    first = desk.take().content
    shutil.rmtree(desk.root / "a")
    desk.write("c", "2\n")
    desk.write("d", "2\n")
    desk.take()
    applied = desk.go(first)
    assert (applied.written, applied.removed) == (3, 1)


# --- what is not captured stays -----------------------------------------------------------------------------


def test_ignored_files_are_never_deleted_and_their_folder_stays(desk: Desk) -> None:
    desk.write(".gitignore", "*.log\n")
    first = desk.take().content
    desk.write("d/e/captured")
    desk.write("d/e/mine.log", "precious\n")
    desk.take()
    applied = desk.go(first)
    assert applied.kept == (b"d", b"d/e")
    assert (desk.root / "d/e/mine.log").read_text() == "precious\n"
    assert not (desk.root / "d/e/captured").exists()


def test_an_older_gitignore_does_not_delete_what_it_no_longer_hides(desk: Desk) -> None:
    desk.write("a")
    first = desk.take().content
    desk.write(".gitignore", "out/\n")
    desk.write("out/x", "precious\n")
    desk.take()
    desk.go(first)
    assert not (desk.root / ".gitignore").exists()
    assert (desk.root / "out/x").read_text() == "precious\n"


def test_a_folder_with_ignored_files_steps_aside_for_a_file(desk: Desk) -> None:
    desk.write(".gitignore", "*.log\n")
    desk.write("x", "file\n")
    desk.write("x.kept-1", "taken\n")
    first = desk.take().content
    (desk.root / "x").unlink()
    desk.write("x/captured")
    desk.write("x/mine.log", "precious\n")
    desk.take()
    applied = desk.go(first)
    assert (desk.root / "x").read_text() == "file\n"
    assert applied.kept == (b"x.kept-2",)
    assert (desk.root / "x.kept-2/mine.log").read_text() == "precious\n"


def test_obstructions_are_what_is_neither_old_nor_new(desk: Desk) -> None:
    first, second = two_states(desk)
    changes = desk.changes(first)
    assert obstructions(desk.root, changes, second) == []
    desk.write("text", "edited\n")
    desk.write("gone", "in the way\n")
    (desk.root / "fifo-file").unlink()
    (desk.root / "fifo-file").symlink_to("elsewhere")
    (desk.root / "link-dir/y").unlink()
    assert obstructions(desk.root, changes, second) == [b"fifo-file", b"gone", b"text"]
    desk.go(first)
    assert desk.fresh() == first
    assert obstructions(desk.root, changes, second) == []


def test_a_folder_passed_through_that_became_something_else_is_an_obstruction(desk: Desk, tmp_path: Path) -> None:
    desk.write("d/a", "1\n")
    desk.write("d/same", "1\n")
    first = desk.take().content
    desk.write("d/a", "2\n")
    second = desk.take().content
    changes = desk.changes(first)
    shutil.rmtree(desk.root / "d")
    (desk.root / "d").symlink_to(tmp_path)
    assert obstructions(desk.root, changes, second) == [b"d"]


# --- nothing outside ----------------------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that a restore must not touch."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "a").write_text("canary\n")
    (folder / "gone").write_text("canary\n")
    return folder


def canary(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_symlink_planted_where_a_folder_goes_is_replaced_and_never_followed(desk: Desk, outside: Path) -> None:
    before = canary(outside)
    desk.write("d/a", "1\n")
    desk.write("e/f/a", "1\n")
    first = desk.take().content
    shutil.rmtree(desk.root / "d")
    desk.write("e/f/a", "2\n")
    desk.write("e/f/gone", "2\n")
    desk.take()
    changes = desk.changes(first)
    (desk.root / "d").symlink_to(outside)
    shutil.rmtree(desk.root / "e/f")
    (desk.root / "e/f").symlink_to(outside)
    apply(desk.root, desk.reader, changes, StatCache("sha1"))
    assert canary(outside) == before
    assert (desk.root / "d/a").read_text() == "1\n"
    assert (desk.root / "e/f/a").read_text() == "1\n"
    assert not (desk.root / "d").is_symlink()


def test_a_symlink_planted_where_our_own_folder_goes_is_not_followed(desk: Desk, outside: Path) -> None:
    before = canary(outside)
    first, _ = two_states(desk)
    (desk.root / ".gitckpt").symlink_to(outside)
    desk.go(first)
    assert canary(outside) == before
    assert desk.fresh() == first


@pytest.mark.parametrize(
    "path",
    [b"../x", b"a/../../x", b"/x", b"a//x", b".", b"", b"a/.", b".git/config", b".gitckpt/state.json", b"a\0b"],
)
def test_a_path_that_no_checkpoint_of_ours_names_is_refused(desk: Desk, path: bytes) -> None:
    desk.write("a", "1\n")
    desk.take()
    oid = bytes.fromhex(desk.git("hash-object", "-w", str(desk.root / "a")))
    config = (desk.repository.git_dir / "config").read_bytes()
    change = Change(path=path, old=None, new=Item(kind="file", mode=0o644, oid=oid))
    with pytest.raises(CannotRestore):
        apply(desk.root, desk.reader, [change], StatCache("sha1"))
    assert (desk.repository.git_dir / "config").read_bytes() == config
    assert not (desk.root.parent / "x").exists()


def test_a_hard_link_out_of_the_workspace_is_cut_not_written_through(desk: Desk, outside: Path) -> None:
    before = canary(outside)
    desk.write("a", "1\n")
    first = desk.take().content
    (desk.root / "a").unlink()
    os.link(outside / "a", desk.root / "a")
    desk.take()
    desk.go(first)
    assert canary(outside) == before
    assert (desk.root / "a").read_text() == "1\n"


# --- bytes and cache ----------------------------------------------------------------------------------------


def test_zero_blocks_come_back_as_holes(desk: Desk) -> None:
    path = desk.write("sparse", b"")
    with path.open("r+b") as file:
        file.write(b"start")
        file.seek(8 << 20)
        file.write(b"mid")
        file.truncate(16 << 20)
    wanted = path.read_bytes()
    first = desk.take().content
    path.unlink()
    desk.take()
    desk.go(first)
    assert path.read_bytes() == wanted
    assert path.stat().st_blocks * 512 < 1 << 20


def test_after_a_restore_nothing_is_read_again(desk: Desk) -> None:
    for number in range(20):
        desk.write(f"d/{number}", f"{number}\n")
    first = desk.take().content
    shutil.rmtree(desk.root / "d")
    desk.take()
    desk.go(first)
    names = {b"%d" % number for number in range(20)}
    OPENED.clear()
    found = desk.take()
    assert found.content == first
    assert desk.packed == 0
    assert names.isdisjoint(OPENED)
    (desk.root / "d/7").write_text("changed\n")
    OPENED.clear()
    desk.take()
    assert names.intersection(OPENED) == {b"7"}


def test_on_a_coarse_clock_all_that_was_touched_in_the_tick_is_read_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.write("d/1", "1\n")
    ignore = desk.write("d/.gitignore", "*.log\n")
    names = {b"1", b".gitignore"}
    first = desk.take().content
    time.sleep(0.03)
    desk.take()
    OPENED.clear()
    desk.take()
    assert names.isdisjoint(OPENED), "older than the scan: trusted"
    with monkeypatch.context() as coarse:
        # A clock that shows the time of ten seconds ago, as one of a coarser grain would.
        coarse.setattr("gitckpt.workspace.snapshot.ctime_now", lambda folder: ctime_now(folder) - 10**10)
        desk.write("d/1", "2\n")
        ignore.write_text("*.txt\n")
        desk.take()
        record = desk.load().folders[b"d"]
        assert {record.names.split(b"/")[index] for index in record.dirty} == names
    OPENED.clear()
    ASKED.clear()
    desk.take()
    assert names <= set(OPENED)
    assert ASKED == [b"check-ignore"], "rules that may have changed are asked again"
    ASKED.clear()
    desk.take()
    assert ASKED == []
    monkeypatch.setattr("gitckpt.workspace.afterwards.ctime_now", lambda folder: 0)
    desk.go(first)
    OPENED.clear()
    assert desk.take().content == first
    assert names <= set(OPENED)


def test_a_restored_path_that_is_ignored_by_now_is_decided_anew(desk: Desk) -> None:
    desk.write("a.log", "1\n")
    first = desk.take().content
    (desk.root / "a.log").unlink()
    desk.write("b", "1\n")
    desk.take()
    desk.go(first)
    (desk.repository.git_dir / "info").mkdir(exist_ok=True)
    (desk.repository.git_dir / "info" / "exclude").write_text("*.log\n")
    found = desk.take().content
    assert found == desk.fresh()
    assert desk.paths(found) == set()


def test_what_cannot_be_written_is_a_fact_with_its_path(desk: Desk) -> None:
    desk.write("d/a", "1\n")
    first = desk.take().content
    (desk.root / "d/a").unlink()
    desk.take()
    changes = desk.changes(first)
    missing = [
        Change(path=change.path, old=None, new=Item(kind="file", mode=0o644, oid=b"\1" * 20)) for change in changes
    ]
    with pytest.raises(ObjectUnreadable):
        apply(desk.root, desk.reader, missing, StatCache("sha1"))
    assert not (desk.root / "d/a").exists(), "nothing half-written stands under its own name"
    assert desk.go(first).written == 1
    assert desk.fresh() == first


def test_an_ignore_file_that_a_restore_brings_or_takes_away_is_seen_by_the_next_scan(desk: Desk) -> None:
    desk.write("data.log")
    desk.write("sub/data.log")
    without = desk.take().content
    desk.write(".gitignore", "*.log\n")
    hiding = desk.take().content
    desk.go(without)
    desk.write("data.log")
    desk.write("sub/data.log")
    assert desk.take().content == without
    # The files stay where they are: what the rule hides is not the restore's.
    changes = [change for change in desk.changes(hiding) if change.path == b".gitignore"]
    cache = desk.load()
    apply(desk.root, desk.reader, changes, cache)
    cache.save()
    assert desk.take().content == hiding
    (desk.root / ".gitignore").unlink()
    assert desk.take().content == without
