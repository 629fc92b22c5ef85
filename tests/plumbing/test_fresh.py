"""What an unfinished pack holds is read beside what the repository has, wherever in the pack it lies."""

from __future__ import annotations

import io
import random

import pytest

from gitckpt.errors import ObjectUnreadable
from gitckpt.plumbing.fresh import Fresh
from gitckpt.plumbing.objects import FILE
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository

SIZES = (0, 1, 15, 16, 5_000, 70_000, 3 << 20)


def test_objects_are_read_while_their_pack_is_written_and_after(repository: Repository) -> None:
    noise = random.Random(7).randbytes(max(SIZES))
    texts = [noise[:size] for size in SIZES] + [b"line\n" * (size // 5) for size in SIZES[2:]]
    with Reader(repository) as reader, Pack(repository, "one") as pack:
        fresh = Fresh(reader, pack)
        blobs = {pack.blob(text): text for text in texts}
        streamed = noise[: 9 << 18][::-1]
        blobs[pack.blob_stream(io.BytesIO(streamed).read, len(streamed))] = streamed
        tree = pack.tree([(b"f", FILE, next(iter(blobs)))])
        late = pack.blob(b"late")
        for _ in range(2):
            for oid, text in {**blobs, late: b"late"}.items():
                assert fresh.size(oid) == len(text)
                assert fresh.blob(oid) == text
            assert fresh.tree(tree).keys() == {b"f"}
            pack.finish()


def test_what_neither_has_and_what_is_something_else_is_unreadable(repository: Repository) -> None:
    with Reader(repository) as reader, Pack(repository, "one") as pack:
        fresh = Fresh(reader, pack)
        tree = pack.tree([(b"f", FILE, pack.blob(b"x"))])
        for read, oid in ((fresh.blob, tree), (fresh.tree, pack.blob(b"x")), (fresh.size, bytes([9]) * len(tree))):
            with pytest.raises(ObjectUnreadable):
                read(oid)
