"""What a snapshot leaves out, odd homes, files that do not hold still, and how much there is."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from gitckpt.plumbing.content import Content, list_content
from gitckpt.workspace.rules import CaptureRules
from gitckpt.workspace.snapshot import measure
from gitckpt.workspace.statcache import StatCache
from tests.workspace.desk import Desk


def settle(desk: Desk) -> None:
    """Let the clock move past the last write, so that the cache may trust what it sees."""
    time.sleep(0.03)


# --- secrets ------------------------------------------------------------------------------------------------


def test_what_looks_like_a_secret_is_left_out_and_named(desk: Desk) -> None:
    desk.write(".env")
    desk.write("sub/.env.local")
    desk.write("id_ed25519")
    desk.write("id_ed25519.pub")
    desk.write("server.pem", "-----BEGIN RSA PRIVATE KEY-----\n")
    desk.write("ca.pem", "-----BEGIN CERTIFICATE-----\n")
    desk.write("credentials.json", mode=0o600)
    desk.write("secrets.yaml", mode=0o644)
    desk.write("data.bin", mode=0o600)
    desk.write("log.txt", "x hunter2hunter2 y\n")
    desk.rules = CaptureRules(secrets=(b"hunter2hunter2", b"x"))
    for _ in range(2):
        found = desk.take()
        assert {out.path: out.why for out in found.left_out} == {
            b".env": "a secret by its name",
            b"sub/.env.local": "a secret by its name",
            b"id_ed25519": "a secret by its name",
            b"server.pem": "holds a private key",
            b"credentials.json": "named like a key and readable by its owner only",
            b"log.txt": "holds a declared secret",
        }
        assert desk.paths(found.content) == {
            b"sub", b"id_ed25519.pub", b"ca.pem", b"secrets.yaml", b"data.bin",
        }  # fmt: skip
    assert found.content == desk.fresh()


def test_include_brings_a_secret_by_name_in_but_never_a_declared_one(desk: Desk) -> None:
    desk.write(".env", "A=1\n")
    desk.write("k.pem", "PRIVATE KEY")
    desk.write("token", "hunter2hunter2")
    desk.rules = CaptureRules(include=("*",), secrets=(b"hunter2hunter2",))
    found = desk.take()
    assert desk.paths(found.content) == {b".env", b"k.pem"}
    desk.rules = CaptureRules()
    assert {out.path for out in desk.take().left_out} == {b".env", b"k.pem"}


def test_a_newly_declared_secret_is_sought_in_files_already_seen(desk: Desk) -> None:
    desk.write("a", "hunter2hunter2")
    settle(desk)
    assert desk.paths(desk.take().content) == {b"a"}
    desk.rules = CaptureRules(secrets=(b"hunter2hunter2",))
    assert desk.paths(desk.take().content) == set()
    desk.write("a", "harmless")
    assert desk.paths(desk.take().content) == {b"a"}


def test_a_secret_across_the_pieces_of_a_big_file_is_found(desk: Desk) -> None:
    data = bytearray(3 << 20)
    data[(1 << 20) - 5 : (1 << 20) + 9] = b"hunter2hunter2"
    desk.write("big", bytes(data))
    desk.rules = CaptureRules(secrets=(b"hunter2hunter2",))
    assert [out.path for out in desk.take().left_out] == [b"big"]


# --- odd homes ----------------------------------------------------------------------------------------------


def test_a_workspace_in_a_subfolder_obeys_the_rules_above_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "w", prefix="sub/dir")
    desk.write("a.log")
    desk.write("b")
    desk.write("c/d")
    assert desk.paths(desk.take().content) == {b"a.log", b"b", b"c", b"c/d"}
    (desk.repository.top / ".gitignore").write_text("*.log\n")
    assert desk.paths(desk.take().content) == {b"b", b"c", b"c/d"}
    desk.git("add", "-f", "sub/dir/a.log")
    assert b"a.log" in desk.paths(desk.take().content)
    (desk.repository.top / "sub" / ".gitignore").write_text("/dir/c\n")
    assert desk.paths(desk.take().content) == {b"a.log", b"b"}
    desk.reader.close()


def test_a_sha256_repository_works(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "w", object_format="sha256")
    desk.write("a/b", "1\n", mode=0o600)
    desk.write("n/.git/x")
    first = desk.take().content
    assert len(first.files) == 32
    desk.write("a/b", "2\n")
    desk.take()
    desk.go(first)
    assert desk.fresh() == first
    desk.commit(first)
    assert desk.git("fsck", "--strict", "--no-dangling") == ""
    desk.reader.close()


def test_a_linked_worktrees_own_git_file_is_not_captured(desk: Desk, tmp_path: Path) -> None:
    desk.git("-c", "user.name=t", "-c", "user.email=t@x", "commit", "-q", "--allow-empty", "-m", "x")
    desk.git("worktree", "add", "-q", "--detach", str(desk.root / "linked"))
    other = Desk.__new__(Desk)
    other.__dict__.update(desk.__dict__)
    assert b"linked/.git" in desk.paths(desk.take().content)
    from gitckpt.plumbing.repository import discover

    other.root = desk.root / "linked"
    other.repository = discover(other.root)
    other.known = None
    other.cache_path = tmp_path / "other-cache"
    other.write("a")
    assert other.paths(other.take().content) == {b"a"}


# --- files that do not hold still ---------------------------------------------------------------------------


def test_a_file_that_grows_while_it_is_read_is_saved_and_named(desk: Desk) -> None:
    size = 64 << 20
    path = desk.write("big.log", b"0" * size)
    stop = threading.Event()

    def grow() -> None:
        with path.open("ab", buffering=0) as out:
            while not stop.is_set():
                out.write(b"more\n")
                if out.tell() > max(size + size // 2, 1 << 16):
                    out.truncate(size)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        for _ in range(50):
            found = desk.take()
            if found.unstable:
                break
    finally:
        stop.set()
        writer.join()
    assert found.unstable == (b"big.log",)
    assert desk.reader.size(list_content(desk.reader, found.content)[b"big.log"].oid) >= size
    again = desk.take()
    assert again.unstable == ()
    assert desk.reader.size(list_content(desk.reader, again.content)[b"big.log"].oid) == path.stat().st_size


def test_files_coming_and_going_during_a_scan_never_stop_it(desk: Desk) -> None:
    desk.write("here")
    stop = threading.Event()

    def churn() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            path = desk.root / "d" / f"f{turn % 7}"
            path.parent.mkdir(exist_ok=True)
            match turn % 3:
                case 0:
                    path.write_text(str(turn))
                case 1:
                    path.unlink(missing_ok=True)
                    os.mkfifo(path)
                case _:
                    path.unlink(missing_ok=True)
                    path.symlink_to("here")
            if turn % 20 == 0:
                (desk.root / "d").rename(desk.root / f"moved{turn % 3}") if not (
                    desk.root / f"moved{turn % 3}"
                ).exists() else None

    writer = threading.Thread(target=churn)
    writer.start()
    try:
        for _ in range(60):
            found = desk.take()
            assert b"here" in desk.paths(found.content)
    finally:
        stop.set()
        writer.join()
    assert desk.take().content == desk.fresh()


# --- how much -----------------------------------------------------------------------------------------------


def test_sizes_and_the_biggest_files_are_told_before_and_after(desk: Desk) -> None:
    for number in range(8):
        desk.write(f"d{number % 2}/f{number}", b"x" * (number * 100))
    desk.write(".gitignore", "*.log\n")
    desk.write("a.log", b"x" * 9999)
    wanted = (
        (b"d1/f7", 700), (b"d0/f6", 600), (b"d1/f5", 500), (b"d0/f4", 400), (b"d1/f3", 300),
    )  # fmt: skip
    before = measure(root=desk.root, repository=desk.repository, prefix=b"", rules=CaptureRules())
    assert (before.files, before.size, before.biggest) == (9, 2806, wanted)
    for _ in range(2):
        found = desk.take()
        assert (found.files, found.size, found.large) == (9, 2806, wanted)


def test_an_empty_workspace_is_a_content_too(desk: Desk) -> None:
    found = desk.take()
    assert found.files == 0
    assert desk.paths(found.content) == set()
    desk.commit(found.content)
    assert desk.git("fsck", "--strict", "--no-dangling") == ""


def test_a_cache_of_another_object_format_is_not_used(desk: Desk) -> None:
    desk.write("a")
    desk.take()
    assert StatCache.load(desk.cache_path, "sha256").folders == {}


def test_equal_workspaces_give_equal_contents_whatever_the_order_of_making(tmp_path: Path) -> None:
    contents: list[Content] = []
    for order in (("a", "b/c", "d"), ("d", "b/c", "a")):
        desk = Desk(tmp_path / order[0])
        for name in order:
            desk.write(name)
        contents.append(desk.take().content)
        desk.reader.close()
    assert contents[0] == contents[1]


def test_an_unpublished_restore_does_not_make_its_objects_known(desk: Desk) -> None:
    desk.write("n/.git/HEAD", "1\n")
    first = desk.take().content
    desk.write("n/.git/HEAD", "2\n")
    second = desk.take().content
    desk.go(first)
    # As after a kill: the cache has seen the restore, the record has not.
    desk.known = second
    desk.take()
    assert desk.packed > 0


def test_a_folder_that_became_a_symlink_after_the_walk_leads_nowhere(desk: Desk, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("not ours\n")
    desk.write("d/f", "ours\n")
    from gitckpt.plumbing.objects import object_id
    from gitckpt.plumbing.pack import Pack
    from gitckpt.workspace.capture import Capture, Gone
    from gitckpt.workspace.disk import Disk
    from gitckpt.workspace.rules import Matcher

    with Pack(desk.repository, "test") as pack, Disk(desk.root) as disk:
        capture = Capture(
            disk=disk,
            pack=pack,
            matcher=Matcher(CaptureRules()),
            object_format="sha1",
            default_file=0o644,
            reader=None,
        )
        assert capture.file(b"d/f", b"").oid == object_id("sha1", "blob", b"ours\n")
        disk.forget()
        (desk.root / "d" / "f").unlink()
        (desk.root / "d").rmdir()
        (desk.root / "d").symlink_to(outside)
        with pytest.raises(Gone):
            capture.file(b"d/f", b"")


@pytest.mark.parametrize("more", [b"x", b""])
def test_a_small_file_that_changed_between_two_looks_is_tried_again_then_named(desk: Desk, more: bytes) -> None:
    from gitckpt.plumbing.pack import Pack
    from gitckpt.workspace.capture import Capture
    from gitckpt.workspace.disk import Disk
    from gitckpt.workspace.rules import Matcher

    path = desk.write("small", "1234")
    with Pack(desk.repository, "test") as pack, Disk(desk.root) as disk:
        capture = Capture(
            disk=disk,
            pack=pack,
            matcher=Matcher(CaptureRules()),
            object_format="sha1",
            default_file=0o644,
            reader=None,
        )
        number = os.open(path, os.O_RDONLY)
        found = os.fstat(number)
        settle(desk)
        path.write_bytes(b"5678" + more)
        assert capture._read(number, found, b"small", b"", last=False) is None
        os.lseek(number, 0, os.SEEK_SET)
        captured = capture._read(number, found, b"small", b"", last=True)
        os.close(number)
    assert captured is not None
    assert not captured.stable


def test_a_fifo_in_place_of_a_file_blocks_nobody(desk: Desk) -> None:
    from gitckpt.plumbing.pack import Pack
    from gitckpt.workspace.capture import Capture, Gone
    from gitckpt.workspace.disk import Disk
    from gitckpt.workspace.rules import Matcher

    os.mkfifo(desk.root / "pipe")
    with Pack(desk.repository, "test") as pack, Disk(desk.root) as disk:
        capture = Capture(
            disk=disk,
            pack=pack,
            matcher=Matcher(CaptureRules()),
            object_format="sha1",
            default_file=0o644,
            reader=None,
        )
        with pytest.raises(Gone):
            capture.file(b"pipe", b"")


def test_a_submodule_is_captured_as_files(desk: Desk, tmp_path: Path) -> None:
    other = Desk(tmp_path / "other")
    other.write("f")
    other.git("add", "f")
    other.git("-c", "user.name=t", "-c", "user.email=t@x", "commit", "-q", "-m", "x")
    desk.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.root), "sm")
    desk.write(".gitignore", "*.log\n")
    desk.write("sm/dirty.log")
    desk.write("sm/new")
    other.reader.close()
    assert desk.paths(desk.take().content) == {
        b".gitignore", b".gitmodules", b"sm", b"sm/.git", b"sm/f", b"sm/new",
    }  # fmt: skip
