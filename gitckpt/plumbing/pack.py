"""Writes one pack in this process, durable in three fsyncs however many objects it holds, and immune to
damaged loose objects. Owns the pack and index formats and the names of unfinished files; knows nothing of
refs or of what is stored.

Formats: https://git-scm.com/docs/pack-format (pack version 2, index version 2). No deltas: they cost time now
and git's own repack makes them later.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from gitckpt.errors import ChangedWhileRead
from gitckpt.model.names import Oid
from gitckpt.plumbing.entry import (
    BLOB,
    CHUNK,
    COMMIT,
    SAMPLE,
    STORED_ABOVE,
    TREE,
    Entry,
    Offered,
    Stored,
    decode_head,
    encode_entries,
    entry_head,
    exactly,
    level_for,
)
from gitckpt.plumbing.objects import (
    Signature,
    TreeEntry,
    encode_commit,
    encode_tree,
    hasher,
    parse_tree,
)
from gitckpt.plumbing.packfiles import Unfinished, encode_index, sweep
from gitckpt.plumbing.repository import Repository

__all__ = ["Pack", "sweep"]

_PACK_HEAD = b"PACK" + (2).to_bytes(4, "big") + bytes(4)

_FLUSH = 1 << 20
# Objects are deflated in batches, beside the thread that reads files: 10,000 texts of 4 KB took 0.26 s with
# two workers and 0.44 s without (two cores). What fits one batch is done at the end, without a thread.
_BATCH = 1 << 18
_WORKERS = min(4, os.cpu_count() or 1)
_UNDER_WAY = 2 * _WORKERS


class Pack:
    """One pack under way. Use it as a context manager: left without `finish` it leaves nothing behind, and
    after it nothing but the pack.

    Not for two threads. `owner` (letters, digits, `.`, `_`, `-`) marks the files of this writer for `sweep`.
    Every method raises PackFailed when the system refuses a write.
    """

    def __init__(self, repository: Repository, owner: str) -> None:
        self._hash = hasher(repository.object_format)
        self._width = len(repository.null)
        self._files = Unfinished(repository, owner)
        self._buffer = bytearray()
        self._flushed = 0
        # Offset and crc32 by raw id; both 0 until the entry is in the buffer.
        self._index: dict[bytes, tuple[int, int]] = {}
        self._offered: list[Offered] = []
        self._offered_size = 0
        self._workers: ThreadPoolExecutor | None = None
        self._under_way: deque[Future[list[Entry]]] = deque()
        self._finished = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_workers()
        if not self._finished:
            self._finished = True
            self._files.discard()
        else:
            # Published or given up: git may repack or drop it from now on.
            self.release()

    @property
    def finished(self) -> bool:
        """Whether nothing more can be put in."""
        return self._finished

    @property
    def name(self) -> str | None:
        """`pack-<hex>` once it is stored; None for one that was empty."""
        return self._files.name if self._finished and self._index else None

    def __contains__(self, oid: bytes) -> bool:
        return oid in self._index

    def __len__(self) -> int:
        return len(self._index)

    # --- objects --------------------------------------------------------------------------------------------

    def blob(self, data: bytes) -> bytes:
        """Add a blob; its raw id."""
        oid = self._hash(b"blob %d\0%b" % (len(data), data)).digest()
        if oid not in self._index:
            self._add(BLOB, oid, data)
        return oid

    def blob_stream(self, read: Callable[[int], bytes], size: int) -> bytes:
        """Add a blob of `size` bytes that `read(n)` yields, at most n at a time, b"" at the end; its raw id.

        Raises ChangedWhileRead when `read` gives fewer or more bytes; the pack is then as it was before the
        call. Holds about 3 MiB of it at a time.
        """
        if self._finished:
            raise ValueError("the pack is finished")
        self._settle()
        start = self._flushed + len(self._buffer)
        with ExitStack() as undo:
            undo.callback(self._rewind, start)
            oid, crc = self._stream(read, size)
            undo.pop_all()
        if oid in self._index:
            self._rewind(start)
        else:
            self._index[oid] = (start, crc)
        return oid

    def tree(self, entries: Iterable[tuple[bytes, int, bytes]]) -> bytes:
        """Add a tree of `(name, mode, raw id)`; its raw id. Raises ValueError as `encode_tree` does."""
        data = encode_tree(entries)
        oid = self._hash(b"tree %d\0%b" % (len(data), data)).digest()
        if oid not in self._index:
            self._add(TREE, oid, data)
        return oid

    def commit(
        self, *, tree: bytes, parents: Sequence[Oid], author: Signature, committer: Signature, message: str
    ) -> Oid:
        """Add a commit; its id as hex text."""
        data = encode_commit(tree=tree, parents=parents, author=author, committer=committer, message=message)
        oid = self._hash(b"commit %d\0%b" % (len(data), data)).digest()
        if oid not in self._index:
            self._add(COMMIT, oid, data)
        return Oid(oid.hex())

    def written_tree(self, oid: bytes) -> dict[bytes, TreeEntry] | None:
        """The entries of a tree in this pack, unseen by readers before `finish`; None where it has none."""
        data = self._written(oid, TREE)
        return None if data is None else parse_tree(data, self._width)

    def written_blob(self, oid: bytes) -> bytes | None:
        """As `written_tree`, of a blob: its content."""
        return self._written(oid, BLOB)

    def written_size(self, oid: bytes) -> int | None:
        """The size in bytes of an object in this pack, as long as it is unfinished; None where it has none."""
        if oid not in self._index or self._finished:
            return None
        _, size, _ = decode_head(next(self._pieces(oid)))
        return size

    # --- entries --------------------------------------------------------------------------------------------

    def _add(self, kind: int, oid: bytes, data: bytes) -> None:
        if self._finished:
            raise ValueError("the pack is finished")
        self._index[oid] = (0, 0)
        self._offered.append((kind, oid, data))
        self._offered_size += len(data)
        if self._offered_size >= _BATCH:
            self._hand_over()

    def _hand_over(self) -> None:
        """Let the workers deflate what was offered, and take over what is done, in the order of offering."""
        batch, self._offered, self._offered_size = self._offered, [], 0
        if _WORKERS == 1:
            self._take(encode_entries(batch))
            return
        if self._workers is None:
            self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="gitckpt-pack")
        self._under_way.append(self._workers.submit(encode_entries, batch))
        while len(self._under_way) > _UNDER_WAY or (self._under_way and self._under_way[0].done()):
            self._take(self._under_way.popleft().result())

    def _settle(self) -> None:
        """Bring everything that was offered into the buffer or the file."""
        while self._under_way:
            self._take(self._under_way.popleft().result())
        if self._offered:
            batch, self._offered, self._offered_size = self._offered, [], 0
            self._take(encode_entries(batch))
        if not self._flushed and not self._buffer:
            self._buffer += _PACK_HEAD

    def _take(self, entries: list[Entry]) -> None:
        buffer = self._buffer
        if not self._flushed and not buffer:
            buffer += _PACK_HEAD
        for oid, crc, entry in entries:
            self._index[oid] = (self._flushed + len(buffer), crc)
            buffer += entry
            if len(buffer) >= _FLUSH:
                self._flush()
                buffer = self._buffer

    def _stop_workers(self) -> None:
        if self._workers is not None:
            self._workers.shutdown(cancel_futures=True)
            self._workers = None

    def _stream(self, read: Callable[[int], bytes], size: int) -> tuple[bytes, int]:
        digest = self._hash(b"blob %d\0" % size)
        head = entry_head(BLOB, size)
        crc = zlib.crc32(head)
        self._buffer += head
        first = exactly(read, min(size, CHUNK))
        level = 0 if size > STORED_ABOVE else level_for(first[:SAMPLE])
        deflate = Stored(size) if level == 0 else zlib.compressobj(level)
        done = 0
        data = first
        while True:
            done += len(data)
            if len(data) < min(CHUNK, size - done + len(data)):
                raise ChangedWhileRead(done)
            digest.update(data)
            packed = deflate.compress(data)
            crc = zlib.crc32(packed, crc)
            self._write(packed)
            if done == size:
                break
            data = exactly(read, min(size - done, CHUNK))
        more = read(SAMPLE)
        if more:
            raise ChangedWhileRead(size + len(more))
        packed = deflate.flush()
        self._write(packed)
        return digest.digest(), zlib.crc32(packed, crc)

    def _write(self, packed: bytes) -> None:
        self._buffer += packed
        if len(self._buffer) >= _FLUSH:
            self._flush()

    def _flush(self) -> None:
        # Out of the way first: when this raises, the pack is over, and nothing may be added to what it failed on.
        data, self._buffer = self._buffer, bytearray()
        self._files.append(data)
        self._flushed += len(data)

    def _rewind(self, start: int) -> None:
        if start >= self._flushed:
            self._buffer = self._buffer[: start - self._flushed]
        else:
            self._buffer = bytearray()
            self._files.cut(start)
            self._flushed = start

    def _written(self, oid: bytes, kind: int) -> bytes | None:
        if oid not in self._index or self._finished:
            return None
        pieces = self._pieces(oid)
        first = next(pieces)
        found, _, after = decode_head(first)
        if found != kind:
            return None
        inflate = zlib.decompressobj()
        parts = [inflate.decompress(first[after:])]
        while not inflate.eof:
            parts.append(inflate.decompress(next(pieces)))
        return b"".join(parts)

    def _pieces(self, oid: bytes) -> Iterator[bytes]:
        """The entry of an object and what follows it; the first piece holds its head whole."""
        self._settle()
        start = self._index[oid][0]
        if start < self._flushed:
            self._flush()
            yield from self._files.read_from(start)
        else:
            for at in range(start - self._flushed, len(self._buffer), SAMPLE):
                yield bytes(self._buffer[at : at + SAMPLE])

    # --- the end --------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Make the pack durable and visible to git, kept from `git gc` until `release`. An empty one leaves
        nothing.

        Calling it again does nothing. Raises PackFailed; then nothing is left and nothing may be published.
        """
        if self._finished:
            return
        self._finished = True
        if not self._index:
            self._files.discard()
            return
        self._settle()
        self._stop_workers()
        count = len(self._index).to_bytes(4, "big")
        digest = self._hash(b"")
        if self._flushed:
            self._flush()
            self._files.number(count, digest)
        else:
            self._buffer[8:12] = count
            digest.update(self._buffer)
        trailer = digest.digest()
        self._buffer += trailer
        self._flush()
        self._files.publish(encode_index(self._index, trailer, self._hash))

    def release(self) -> None:
        """Let git repack the pack from now on: call it when a ref holds what is in it."""
        self._files.release()
