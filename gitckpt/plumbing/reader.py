"""Reads objects through one long-lived `git cat-file`: 0.05 ms an object where a process each costs 3 ms.
Owns that process and a bounded memory of trees; knows nothing of what the objects mean to a workflow.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

from gitckpt.errors import ObjectUnreadable
from gitckpt.model.names import Oid
from gitckpt.plumbing.launch import Dialogue, DialogueError
from gitckpt.plumbing.objects import Commit, Signature, TreeEntry, hasher, object_id, parse_commit, parse_tree
from gitckpt.plumbing.process import environment_for
from gitckpt.plumbing.repository import Repository

__all__ = ["Commit", "Reader", "Signature", "TreeEntry"]

# Remembered trees are bounded by their entries, about 150 bytes each: 60 MB at the most.
_REMEMBERED_ENTRIES = 400_000
_REMEMBERED_COMMITS = 1_000
# Questions under way at once when many blobs are read; their text stays far below a pipe's 64 KiB.
_AHEAD = 64


# Trees that no commit holds, told by the caller: the newest are looked at again and again, the rest once.
_REMEMBERED_GIVEN = 64


class Reader:
    """Objects of one repository, one thread at a time. Packs that appear while it is open are found."""

    def __init__(self, repository: Repository, timeout: float = 60.0) -> None:
        self._repository = repository
        self._timeout = timeout
        self._dialogue: Dialogue | None = None
        self._width = len(repository.null)
        self._empty_tree = object_id(repository.object_format, "tree", b"")
        self._trees: OrderedDict[bytes, dict[bytes, TreeEntry]] = OrderedDict()
        self._entries = 0
        self._given: OrderedDict[bytes, dict[bytes, TreeEntry]] = OrderedDict()
        self._commits: OrderedDict[str, Commit] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the git process; the next question would start another."""
        if self._dialogue is not None:
            self._dialogue.close()
            self._dialogue = None

    # --- the dialogue ---------------------------------------------------------------------------------------

    def _open(self) -> Dialogue:
        if self._dialogue is None:
            self._dialogue = Dialogue(
                "cat-file",
                "--batch-command",
                environment=environment_for(self._repository),
                folder=str(self._repository.top),
                timeout=self._timeout,
            )
        return self._dialogue

    def _ask(self, verb: bytes, spec: bytes) -> tuple[str, int] | None:
        """The type and size that git answers with, None for "missing"; the content, if any, is still to be
        read.
        """
        if b"\n" in spec:
            # The dialogue is made of lines; `cat-file -z` is newer than our floor.
            raise ValueError(f"an object's name cannot hold a newline: {spec!r}")
        dialogue = self._open()
        dialogue.send(b"%s %s\n" % (verb, spec))
        return _answer(dialogue, spec)

    def _retried(self, verb: bytes, spec: bytes) -> tuple[str, int] | None:
        """As `_ask`; when the process has died (a signal, memory) a new one is asked, once."""
        try:
            return self._ask(verb, spec)
        except DialogueError:
            self.close()
        try:
            return self._ask(verb, spec)
        except DialogueError as ended:
            self.close()
            raise ObjectUnreadable(os.fsdecode(spec), _why(ended)) from None

    def _rest(self, spec: bytes, size: int) -> bytes:
        dialogue = self._open()
        try:
            data = dialogue.exactly(size)
            dialogue.exactly(1)
        except DialogueError as ended:
            self.close()
            raise ObjectUnreadable(os.fsdecode(spec), _why(ended)) from None
        return data

    # --- questions ------------------------------------------------------------------------------------------

    def read(self, spec: str) -> tuple[str, bytes] | None:
        """Type and content of `spec`, an id or `id:path`; None where there is no such object.

        Raises ObjectUnreadable for a damaged one, ValueError for a newline in `spec`.
        """
        name = os.fsencode(spec)
        found = self._retried(b"contents", name)
        return found and (found[0], self._rest(name, found[1]))

    def blob(self, oid: bytes) -> bytes:
        """The content of a blob. Raises ObjectUnreadable when it is missing, damaged, or no blob."""
        return self._content(oid, "blob")

    def blobs(self, oids: Sequence[bytes]) -> Iterator[bytes]:
        """The contents of blobs in order, asked for ahead: 4 to 10 times as fast as one by one if small."""
        if not oids:
            return
        whole = False
        try:
            dialogue = self._open()
            asked = 0
            for done, oid in enumerate(oids):
                if asked - done <= _AHEAD // 2:
                    batch = oids[asked : done + _AHEAD]
                    dialogue.send(b"".join([b"contents %s\n" % each.hex().encode("ascii") for each in batch]))
                    asked += len(batch)
                yield self._next_blob(dialogue, oid)
            whole = True
        except DialogueError as ended:
            raise ObjectUnreadable(oids[0].hex(), _why(ended)) from None
        finally:
            if not whole:
                # Answers that nobody read would be taken for the next ones.
                self.close()

    def tree(self, oid: bytes) -> dict[bytes, TreeEntry]:
        """The entries of a tree by name. The dictionary is remembered and shared: do not change it.

        Raises ObjectUnreadable when it is missing, damaged, or no tree. The empty tree need not be stored.
        """
        known = self._trees.get(oid)
        if known is not None:
            self._trees.move_to_end(oid)
            return known
        if oid in self._given:
            self._given.move_to_end(oid)
            return self._given[oid]
        if oid == self._empty_tree:
            return {}
        data = self._content(oid, "tree")
        try:
            entries = parse_tree(data, self._width)
        except ValueError as broken:
            raise ObjectUnreadable(oid.hex(), str(broken)) from None
        self._trees[oid] = entries
        self._entries += len(entries)
        while self._entries > _REMEMBERED_ENTRIES and len(self._trees) > 1:
            self._entries -= len(self._trees.popitem(last=False)[1])
        return entries

    def remember_tree(self, data: bytes) -> bytes:
        """Know a tree by its encoded entries although the repository need not hold it; its raw id."""
        oid = object_id(self._repository.object_format, "tree", data)
        self.know_tree(oid, parse_tree(data, self._width))
        return oid

    def know_tree(self, oid: bytes, entries: dict[bytes, TreeEntry]) -> None:
        """As `remember_tree`, of one that is read already; nobody changes `entries` from now on."""
        if oid != self._empty_tree:
            self._given[oid] = entries
            self._given.move_to_end(oid)
            if len(self._given) > _REMEMBERED_GIVEN:
                self._given.popitem(last=False)

    def commit(self, oid: str) -> Commit | None:
        """The commit with this hex id, None where there is none. Raises ObjectUnreadable for anything but a
        commit.
        """
        known = self._commits.get(oid)
        if known is not None:
            return known
        found = self.read(oid)
        if found is None:
            return None
        if found[0] != "commit":
            raise ObjectUnreadable(oid, f"it is a {found[0]}, not a commit")
        try:
            commit = parse_commit(Oid(oid), found[1])
        except ValueError as broken:
            raise ObjectUnreadable(oid, str(broken)) from None
        self._commits[oid] = commit
        if len(self._commits) > _REMEMBERED_COMMITS:
            self._commits.popitem(last=False)
        return commit

    def size(self, oid: bytes) -> int:
        """The size of an object in bytes. Raises ObjectUnreadable when it is missing or damaged."""
        name = oid.hex()
        found = self._retried(b"info", name.encode("ascii"))
        if found is None:
            raise ObjectUnreadable(name, "it is missing")
        return found[1]

    def has(self, oid: bytes) -> bool:
        """Whether the repository holds the object: the cheap look before a ref is pointed at something."""
        return self._retried(b"info", oid.hex().encode("ascii")) is not None

    def stream(self, oid: bytes, write: Callable[[bytes], object]) -> None:
        """Hand the content of a blob to `write` in pieces: a big one never lies in memory whole."""
        name = oid.hex().encode("ascii")
        found = self._retried(b"contents", name)
        if found is None or found[0] != "blob":
            raise self._mismatch(oid, found, "blob")
        whole = False
        try:
            dialogue = self._open()
            for piece in dialogue.pieces(found[1]):
                write(piece)
            dialogue.exactly(1)
            whole = True
        except DialogueError as ended:
            raise ObjectUnreadable(oid.hex(), _why(ended)) from None
        finally:
            if not whole:
                # What is left of the answer would be taken for the next one.
                self.close()

    def missing(self, oids: Sequence[bytes]) -> Iterator[bytes]:
        """Those of the objects that the repository does not have at all; asked for ahead, and none is read."""
        whole = False
        try:
            dialogue = self._open()
            asked = 0
            for done, oid in enumerate(oids):
                if asked - done <= _AHEAD // 2:
                    batch = oids[asked : done + _AHEAD]
                    dialogue.send(b"".join([b"info %s\n" % each.hex().encode("ascii") for each in batch]))
                    asked += len(batch)
                if _answer(dialogue, oid.hex().encode("ascii")) is None:
                    yield oid
            whole = True
        except DialogueError as ended:
            raise ObjectUnreadable(oids[0].hex(), _why(ended)) from None
        finally:
            if not whole:
                # Answers that nobody read would be taken for the next ones.
                self.close()

    def unsound(self, oids: Sequence[bytes]) -> Iterator[tuple[bytes, str]]:
        """Those of the objects, of whatever type, whose bytes cannot be had or are not those they are named for, with
        the reason. All are read and hashed, asked for ahead; what is big never lies in memory whole.
        """
        at, whole = 0, False
        try:
            while at < len(oids):
                asked = at
                try:
                    dialogue = self._open()
                    while at < len(oids):
                        if asked - at <= _AHEAD // 2:
                            batch = oids[asked : at + _AHEAD]
                            dialogue.send(b"".join([b"contents %s\n" % each.hex().encode("ascii") for each in batch]))
                            asked += len(batch)
                        why = self._fault(dialogue, oids[at])
                        at += 1
                        if why is not None:
                            yield oids[at - 1], why
                except (DialogueError, ObjectUnreadable) as ended:
                    # Of a damaged object git says no more than that, and ends.
                    self.close()
                    at += 1
                    yield oids[at - 1], _why(ended)
            whole = True
        finally:
            if not whole:
                # Answers that nobody read would be taken for the next ones.
                self.close()

    def _fault(self, dialogue: Dialogue, oid: bytes) -> str | None:
        name = oid.hex()
        found = _answer(dialogue, name.encode("ascii"))
        if found is None:
            return "it is missing"
        kind, size = found
        digest = hasher(self._repository.object_format)(b"%s %d\0" % (kind.encode("ascii"), size))
        for piece in dialogue.pieces(size):
            digest.update(piece)
        dialogue.exactly(1)
        return None if digest.digest() == oid else "its bytes are not those it is named for"

    # --- the parts of an answer -----------------------------------------------------------------------------

    def _content(self, oid: bytes, kind: str) -> bytes:
        name = oid.hex().encode("ascii")
        found = self._retried(b"contents", name)
        if found is None:
            raise self._mismatch(oid, None, kind)
        data = self._rest(name, found[1])
        if found[0] != kind:
            raise self._mismatch(oid, found, kind)
        return data

    def _next_blob(self, dialogue: Dialogue, oid: bytes) -> bytes:
        name = oid.hex().encode("ascii")
        try:
            found = _answer(dialogue, name)
            if found is None or found[0] != "blob":
                raise self._mismatch(oid, found, "blob")
            return self._rest(name, found[1])
        except DialogueError as ended:
            raise ObjectUnreadable(oid.hex(), _why(ended)) from None

    def _mismatch(self, oid: bytes, found: tuple[str, int] | None, kind: str) -> ObjectUnreadable:
        if found is None:
            return ObjectUnreadable(oid.hex(), "it is missing")
        return ObjectUnreadable(oid.hex(), f"it is a {found[0]}, not a {kind}")


def _answer(dialogue: Dialogue, spec: bytes) -> tuple[str, int] | None:
    line = dialogue.until(b"\n")
    if line.endswith(b" missing"):
        return None
    words = line.split(b" ")
    if len(words) != 3 or not words[2].isdigit():
        raise ObjectUnreadable(os.fsdecode(spec), f"git says {os.fsdecode(line)!r}")
    return words[1].decode("ascii"), int(words[2])


def _why(ended: Exception) -> str:
    """The last that git said: what comes before it are the layers below, and other objects."""
    lines = str(ended).split("\n")
    return lines[-1].removeprefix("fatal: ") or "git cat-file ended"
