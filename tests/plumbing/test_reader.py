"""Reading through the long-lived process: what is there, what is not, what is damaged, and a process that
dies.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from gitckpt.errors import ObjectUnreadable
from gitckpt.plumbing import reader as reader_module
from gitckpt.plumbing.objects import DIRECTORY, FILE, Signature, object_id
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository

Plain = Callable[..., bytes]


def loose(plain: Plain, repository: Repository, data: bytes) -> bytes:
    return bytes.fromhex(plain(repository.top, "hash-object", "-w", "--stdin", stdin=data).decode().strip())


def test_objects_are_read_by_id_and_by_path(plain: Plain, repository: Repository, anyone: Signature) -> None:
    with Pack(repository, "one") as pack:
        blob = pack.blob(b"content\n\n")
        inner = pack.tree([(b"f with space", FILE, blob)])
        tree = pack.tree([(b"d missing", DIRECTORY, inner)])
        commit = pack.commit(tree=tree, parents=(), author=anyone, committer=anyone, message="m")
        pack.finish()
    with Reader(repository) as reader:
        assert reader.read(blob.hex()) == ("blob", b"content\n\n")
        assert reader.read(f"{commit}:d missing/f with space") == ("blob", b"content\n\n")
        assert reader.read(f"{commit}:d missing/nothing missing") is None
        assert reader.read(f"{commit}:é") is None
        assert reader.tree(tree)[b"d missing"] == (DIRECTORY, inner)
        assert reader.size(blob) == 9
        found = reader.commit(commit)
        assert found is not None
        assert (found.tree, found.author, found.message, found.oid) == (tree, anyone, "m\n", commit)
        assert reader.commit(commit) is found
        assert reader.commit(repository.null.hex()) is None


def test_a_newline_in_a_name_is_refused_instead_of_asking_two_questions(repository: Repository) -> None:
    with Reader(repository) as reader, pytest.raises(ValueError, match="newline"):
        reader.read("HEAD:a\nb")


def test_the_empty_tree_is_readable_though_never_stored(repository: Repository) -> None:
    empty = object_id(repository.object_format, "tree", b"")
    with Reader(repository) as reader:
        assert reader.tree(empty) == {}
        assert reader.read(empty.hex()) == ("tree", b"")


def test_packs_and_loose_objects_that_appear_later_are_found(plain: Plain, repository: Repository) -> None:
    with Reader(repository) as reader:
        for at in range(3):
            oid = object_id(repository.object_format, "blob", b"packed %d" % at)
            assert not reader.has(oid)
            with Pack(repository, "one") as pack:
                pack.blob(b"packed %d" % at)
                pack.finish()
            assert reader.blob(oid) == b"packed %d" % at
            assert reader.blob(loose(plain, repository, b"loose %d" % at)) == b"loose %d" % at
        plain(repository.top, "repack", "-a", "-d", "-q", "-k")
        assert reader.blob(oid) == b"packed 2"


def test_a_missing_object_and_one_of_another_kind_are_told_apart(plain: Plain, repository: Repository) -> None:
    oid = loose(plain, repository, b"x")
    with Reader(repository) as reader:
        with pytest.raises(ObjectUnreadable, match="missing"):
            reader.blob(repository.null)
        with pytest.raises(ObjectUnreadable, match="missing"):
            reader.size(repository.null)
        with pytest.raises(ObjectUnreadable, match="it is a blob, not a tree"):
            reader.tree(oid)
        with pytest.raises(ObjectUnreadable, match="it is a blob, not a commit"):
            reader.commit(oid.hex())
        with pytest.raises(ObjectUnreadable, match="missing"):
            reader.stream(repository.null, lambda piece: None)
        assert reader.blob(oid) == b"x"


@pytest.mark.parametrize("damage", [b"", b"garbage", b"half"])
def test_a_damaged_object_is_named_and_the_next_one_is_still_read(
    plain: Plain, repository: Repository, damage: bytes
) -> None:
    content = os.urandom(5000)
    broken, whole = loose(plain, repository, content), loose(plain, repository, b"whole")
    path = repository.common_dir / "objects" / broken.hex()[:2] / broken.hex()[2:]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:2500] if damage == b"half" else damage)
    with Reader(repository) as reader:
        for _ in range(2):
            with pytest.raises(ObjectUnreadable) as caught:
                reader.blob(broken)
            assert broken.hex() in caught.value.message
            with pytest.raises(ObjectUnreadable):
                reader.stream(broken, lambda piece: None)
            assert reader.blob(whole) == b"whole"


def test_a_process_that_was_killed_is_started_again(plain: Plain, repository: Repository) -> None:
    oid = loose(plain, repository, b"x")
    with Reader(repository) as reader:
        for _ in range(3):
            assert reader.blob(oid) == b"x"
            assert reader._dialogue is not None
            process = reader._dialogue._process
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert reader.size(oid) == 1
            assert list(reader.blobs([oid] * 3)) == [b"x"] * 3


def test_leaving_the_reader_ends_its_process(plain: Plain, repository: Repository) -> None:
    with Reader(repository) as reader:
        reader.has(repository.null)
        assert reader._dialogue is not None
        process = reader._dialogue._process
    assert process.poll() is not None


def test_a_big_blob_is_streamed_in_pieces(repository: Repository) -> None:
    content = os.urandom(11 << 20)
    with Pack(repository, "one") as pack:
        oid = pack.blob(content)
        pack.finish()
    pieces: list[bytes] = []
    with Reader(repository) as reader:
        reader.stream(oid, pieces.append)
        assert reader.size(oid) == len(content)
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= 1 << 20


def test_a_writer_that_fails_in_the_middle_of_a_stream_does_not_spoil_the_next_answer(
    repository: Repository,
) -> None:
    with Pack(repository, "one") as pack:
        big, small = pack.blob(os.urandom(3 << 20)), pack.blob(b"small")
        pack.finish()

    def broken(piece: bytes) -> None:
        raise OSError("disk full")

    with Reader(repository) as reader:
        with pytest.raises(OSError, match="disk full"):
            reader.stream(big, broken)
        assert reader.blob(small) == b"small"


def test_many_blobs_come_in_order_and_may_be_left_half_way(repository: Repository) -> None:
    contents = [b"%d" % at * (at % 5000) for at in range(1000)]
    with Pack(repository, "one") as pack:
        oids = [pack.blob(content) for content in contents]
        pack.finish()
    with Reader(repository) as reader:
        assert list(reader.blobs(oids)) == contents
        assert list(reader.blobs([])) == []
        for at, content in enumerate(reader.blobs(oids)):
            assert content == contents[at]
            if at == 100:
                break
        assert reader.blob(oids[500]) == contents[500]
        with pytest.raises(ObjectUnreadable, match="missing"):
            list(reader.blobs([oids[3], repository.null, oids[4]]))
        assert reader.blob(oids[3]) == contents[3]


def test_remembered_trees_are_bounded(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "_REMEMBERED_ENTRIES", 50)
    with Pack(repository, "one") as pack:
        blob = pack.blob(b"x")
        trees = [pack.tree([(b"%d-%d" % (at, n), FILE, blob) for n in range(20)]) for at in range(10)]
        pack.finish()
    with Reader(repository) as reader:
        for _ in range(2):
            for at, oid in enumerate(trees):
                assert b"%d-7" % at in reader.tree(oid)
                assert len(reader._trees) <= 2
