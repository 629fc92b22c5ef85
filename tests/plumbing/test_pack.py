"""Packs written by us, judged by git: index-pack, verify-pack, fsck, gc. And what is left when a write fails."""

from __future__ import annotations

import errno
import io
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gitckpt.errors import ChangedWhileRead, PackFailed
from gitckpt.plumbing import packfiles
from gitckpt.plumbing.objects import DIRECTORY, FILE, LINK, Signature, hasher, object_id
from gitckpt.plumbing.pack import Pack, sweep
from gitckpt.plumbing.packfiles import encode_index
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository

Plain = Callable[..., bytes]

NOISE = random.Random(7).randbytes
MIB = 1 << 20


def folder_of(repository: Repository) -> Path:
    return repository.common_dir / "objects" / "pack"


def names_in(repository: Repository) -> list[str]:
    return sorted(os.listdir(folder_of(repository)))


def chunked(data: bytes, most: int) -> Callable[[int], bytes]:
    """A reader that gives less than it is asked for."""
    source = io.BytesIO(data)
    return lambda size: source.read(min(size, most))


CONTENTS = [
    b"",
    b"x",
    b"text\n" * 1000,
    NOISE(100),
    NOISE(4097),
    b"z" * (MIB + 1),
    NOISE(MIB),
    b"ab" * (5 * MIB),
    NOISE(65535 * 16) * 9,
    b"q" * (65535 * 160),
]


def test_git_reads_every_kind_of_object_back_and_finds_nothing_to_complain(
    plain: Plain, repository: Repository, anyone: Signature
) -> None:
    with Pack(repository, "one") as pack:
        blobs = [pack.blob(content) for content in CONTENTS]
        streamed = [pack.blob_stream(chunked(content, 70_001), len(content)) for content in CONTENTS]
        inner = pack.tree((b"%03d" % at, FILE, oid) for at, oid in enumerate(blobs))
        tree = pack.tree([(b"d", DIRECTORY, inner), (b"link", LINK, blobs[1]), (b"empty", DIRECTORY, pack.tree([]))])
        commit = pack.commit(tree=tree, parents=(), author=anyone, committer=anyone, message="first")
        second = pack.commit(tree=tree, parents=[commit], author=anyone, committer=anyone, message="second")
        pack.finish()
    assert streamed == blobs
    assert [blob.hex() for blob in blobs] == [
        plain(repository.top, "hash-object", "--stdin", stdin=content).decode().strip() for content in CONTENTS
    ]
    plain(repository.top, "update-ref", "refs/heads/x", second)
    said = plain(repository.top, "fsck", "--strict", "--full")
    assert b"dangling" not in said
    assert b"error" not in said
    (index,) = folder_of(repository).glob("*.idx")
    assert b": ok" in plain(repository.top, "verify-pack", "-v", str(index))
    again = repository.top / "again.idx"
    plain(repository.top, "index-pack", "-o", str(again), str(index.with_suffix(".pack")))
    assert again.read_bytes() == index.read_bytes()


def test_what_is_streamed_first_is_not_stored_again(repository: Repository) -> None:
    big = NOISE(3 * MIB)
    with Pack(repository, "one") as pack:
        assert pack.blob_stream(io.BytesIO(big).read, len(big)) == pack.blob(big)
        assert pack.blob_stream(io.BytesIO(big).read, len(big)) == pack.blob(big)
        assert len(pack) == 1
        pack.finish()
    (packed,) = folder_of(repository).glob("*.pack")
    assert packed.stat().st_size < len(big) + 4096


@pytest.mark.parametrize("promised", [0, 10, 3 * MIB - 1, 3 * MIB + 1, 20 * MIB])
def test_a_file_that_changes_while_it_is_read_leaves_the_pack_as_it_was(
    plain: Plain, repository: Repository, promised: int
) -> None:
    data = NOISE(3 * MIB)
    with Pack(repository, "one") as pack:
        before = pack.blob(b"before")
        with pytest.raises(ChangedWhileRead) as caught:
            pack.blob_stream(io.BytesIO(data).read, promised)
        assert (caught.value.actual > promised) == (len(data) > promised)
        after = pack.blob_stream(io.BytesIO(data).read, len(data))
        pack.finish()
    with Reader(repository) as reader:
        assert reader.blob(before) == b"before"
        assert reader.blob(after) == data
    assert b"error" not in plain(repository.top, "fsck", "--strict")
    (index,) = folder_of(repository).glob("*.idx")
    assert plain(repository.top, "verify-pack", "-v", str(index)).count(b" blob ") == 2


def test_an_error_of_the_source_passes_through_and_costs_the_pack_nothing(repository: Repository) -> None:
    def broken(size: int) -> bytes:
        raise OSError(errno.EIO, "the disk")

    with Pack(repository, "one") as pack:
        oid = pack.blob(b"fine")
        with pytest.raises(OSError, match="the disk"):
            pack.blob_stream(broken, 5)
        pack.finish()
    with Reader(repository) as reader:
        assert reader.blob(oid) == b"fine"


def test_a_pack_with_nothing_in_it_leaves_nothing(repository: Repository) -> None:
    with Pack(repository, "one") as pack:
        pack.finish()
        pack.release()
    assert names_in(repository) == []


def test_a_pack_left_without_finish_leaves_nothing(repository: Repository) -> None:
    with Pack(repository, "one") as pack:
        pack.blob(NOISE(3 * MIB))
        pack.blob_stream(io.BytesIO(NOISE(9 * MIB)).read, 9 * MIB)
        assert len(names_in(repository)) == 1
    assert names_in(repository) == []
    with pytest.raises(ValueError, match="finished"):
        pack.blob(b"late")


def test_git_gc_deletes_neither_an_unfinished_pack_nor_a_kept_one(
    plain: Plain, repository: Repository, anyone: Signature
) -> None:
    with Pack(repository, "one") as pack:
        oid = pack.blob(b"kept")
        pack.blob(NOISE(2 * MIB))
        pack.blob_stream(io.BytesIO(NOISE(2 * MIB)).read, 2 * MIB)
        (part,) = folder_of(repository).glob("*.part")
        old = time.time() - 10**7
        os.utime(part, (old, old))
        plain(repository.top, "prune", "--expire=now")
        plain(repository.top, "gc", "-q", "--prune=now")
        pack.finish()
        (keep,) = folder_of(repository).glob("*.keep")
        assert keep.read_bytes() == b"gitckpt one\n"
        plain(repository.top, "gc", "-q", "--prune=now")
        plain(repository.top, "repack", "-a", "-d", "-q")
        with Reader(repository) as reader:
            assert reader.blob(oid) == b"kept"
        pack.release()
        plain(repository.top, "gc", "-q", "--prune=now")
        with Reader(repository) as reader:
            assert not reader.has(oid)
    assert names_in(repository) == []


def test_the_tree_of_an_unfinished_pack_can_be_read(repository: Repository) -> None:
    with Pack(repository, "one") as pack:
        blob = pack.blob(b"x")
        early = pack.tree([(b"early", FILE, blob)])
        pack.blob(NOISE(3 * MIB))
        late = pack.tree([(b"late", FILE, blob)])
        for _ in range(2):
            for oid, name in ((early, b"early"), (late, b"late")):
                entries = pack.written_tree(oid)
                assert entries is not None
                assert entries[name].oid == blob
        assert pack.written_tree(blob) is None
        assert pack.written_tree(repository.null) is None
        pack.blob(NOISE(3 * MIB))
        pack.finish()
    with Reader(repository) as reader:
        assert reader.tree(early)[b"early"].oid == blob


def test_two_writers_of_the_same_objects_do_not_release_each_other(repository: Repository) -> None:
    with Pack(repository, "one") as one, Pack(repository, "two") as two:
        for pack in (one, two):
            pack.blob(b"the same")
            pack.finish()
        one.release()
        (keep,) = folder_of(repository).glob("*.keep")
        assert keep.read_bytes() == b"gitckpt two\n"


@pytest.mark.parametrize("at", range(3))
def test_a_failed_fsync_is_not_tried_again_and_leaves_nothing(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    calls: list[int] = []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with Pack(repository, "one") as pack:
        pack.blob(b"x")
        with pytest.raises(PackFailed) as caught:
            pack.finish()
    assert len(calls) == at + 1
    assert "Input/output error" in caught.value.message
    assert str(folder_of(repository)) in caught.value.message
    assert names_in(repository) == []


def test_a_failed_sync_of_the_folder_takes_the_pack_back(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(folder: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(packfiles, "sync_folder", broken)
    with Pack(repository, "one") as pack:
        pack.blob(b"x")
        with pytest.raises(PackFailed):
            pack.finish()
    assert names_in(repository) == []


def fill(pack: Pack, way: str) -> None:
    """Put 3 MiB into the pack."""
    data = NOISE(3 * MIB)
    if way == "streamed":
        pack.blob_stream(io.BytesIO(data).read, len(data))
    else:
        pack.blob(data)
        pack.finish()


@pytest.mark.parametrize("way", ["streamed", "whole"])
def test_a_full_disk_names_the_file_and_leaves_nothing(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    real = os.write

    def write(descriptor: int, data: bytes) -> int:
        if len(data) > MIB // 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data)

    with Pack(repository, "one") as pack:
        monkeypatch.setattr(os, "write", write)
        with pytest.raises(PackFailed, match="No space left") as caught:
            fill(pack, way)
        assert "gitckpt-one-" in caught.value.message
        monkeypatch.setattr(os, "write", real)
        # There is room again, but what was written before is gone.
        with pytest.raises((PackFailed, ValueError)):
            fill(pack, way)
    assert names_in(repository) == []


def test_a_sweep_takes_only_what_its_owner_left(repository: Repository) -> None:
    folder = folder_of(repository)
    with Pack(repository, "a") as pack:
        pack.blob(b"whole")
        pack.finish()
        (keep,) = folder.glob("*.keep")
        text = keep.read_bytes()
    keep.write_bytes(text)
    mine = ["gitckpt-a-0123456789abcdef.part", "gitckpt-a-0123456789abcdef.index.part"]
    others = ["gitckpt-a-b-0123456789abcdef.part", "gitckpt-b-0123456789abcdef.part", "pack-f.pack", "tmp_pack_x"]
    for name in mine + others:
        (folder / name).write_bytes(b"?")
    (folder / "pack-1.keep").write_bytes(b"gitckpt b\n")
    (folder / "pack-2.keep").write_bytes(b"")
    (folder / "pack-3.keep").write_bytes(text)
    (folder / "pack-3.pack").write_bytes(b"killed before its index came")
    sweep(repository, "a")
    whole = keep.name.removesuffix(".keep")
    assert set(names_in(repository)) == {*others, "pack-1.keep", "pack-2.keep", f"{whole}.pack", f"{whole}.idx"}


@pytest.mark.parametrize("owner", ["", "a/b", "a b", "é", "a\n"])
def test_an_owner_that_cannot_be_part_of_a_file_name_is_an_error(repository: Repository, owner: str) -> None:
    with pytest.raises(ValueError, match="file's name"):
        Pack(repository, owner)


def test_an_index_holds_offsets_beyond_four_gigabytes(plain: Plain, repository: Repository) -> None:
    entries = {object_id("sha1", "blob", b"%d" % at): (at << 30, at) for at in range(1, 9)}
    width = len(repository.null)
    entries = {oid.ljust(width, b"\0"): value for oid, value in entries.items()}
    index = encode_index(entries, bytes(width), hasher(repository.object_format))
    said = plain(repository.top, "show-index", f"--object-format={repository.object_format}", stdin=index)
    found = {}
    for line in said.splitlines():
        offset, oid, crc = line.split()
        found[bytes.fromhex(oid.decode())] = (int(offset), int(crc.strip(b"()"), 16))
    assert found == entries


def test_many_small_files_fill_many_batches_in_order(plain: Plain, repository: Repository) -> None:
    contents = [b"%d\n" % at * (at % 900) for at in range(6000)]
    with Pack(repository, "one") as pack:
        oids = [pack.blob(content) for content in contents]
        pack.finish()
    with Reader(repository) as reader:
        assert list(reader.blobs(oids)) == contents
    (index,) = folder_of(repository).glob("*.idx")
    plain(repository.top, "verify-pack", str(index))
