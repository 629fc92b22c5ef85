"""Git's object formats as pure functions: trees and commits to bytes and back, and which names git refuses.
Knows no repository, no file and no process; ids are raw bytes, 20 or 32 long, and hex text (`Oid`) in
commits.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from gitckpt.model.names import Oid

if TYPE_CHECKING:
    from hashlib import _Hash

FILE = 0o100644
EXECUTABLE = 0o100755
LINK = 0o120000
DIRECTORY = 0o40000
GITLINK = 0o160000


class TreeEntry(NamedTuple):
    """One name of a tree: git's mode, and the raw id."""

    mode: int
    oid: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Who and when: `seconds` since 1970 (git refuses less than 0), `offset_minutes` east of UTC."""

    name: str
    email: str
    seconds: int
    offset_minutes: int

    def encode(self) -> bytes:
        """As a commit's header has it; characters that would break the header are taken out, no name is
        empty.
        """
        name = _header_text(self.name) or "unknown"
        hours, minutes = divmod(abs(self.offset_minutes), 60)
        sign = "-" if self.offset_minutes < 0 else "+"
        when = f"{max(self.seconds, 0)} {sign}{hours:02d}{minutes:02d}"
        return f"{name} <{_header_text(self.email)}> {when}".encode("utf-8", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit as git stores it; `tree` is a raw id, `message` is decoded as UTF-8 with replacements."""

    oid: Oid
    tree: bytes
    parents: tuple[Oid, ...]
    author: Signature
    committer: Signature
    message: str


def hasher(object_format: str) -> Callable[[bytes], _Hash]:
    """The hash that names objects: of a repository with `object_format` "sha1" or "sha256"."""
    if object_format == "sha256":
        return hashlib.sha256
    if object_format == "sha1":
        return _sha1
    raise ValueError(f"unknown object format {object_format!r}")


def _sha1(data: bytes) -> _Hash:
    return hashlib.sha1(data, usedforsecurity=False)


def object_id(object_format: str, kind: str, data: bytes) -> bytes:
    """The id of an object of `kind` ("blob", "tree", "commit") with the content `data`."""
    return hasher(object_format)(b"%s %d\0%s" % (kind.encode("ascii"), len(data), data)).digest()


# --- trees --------------------------------------------------------------------------------------------------

# Only names that this finds can be refusable: empty, a separator or NUL in it, or a first byte that may begin
# `.`, `..`, `.git`, `git~1` or a character that HFS+ does not see. It spares the close look for nearly every
# name.
_SUSPECT = re.compile(rb"\A(?:\Z|\.(?:\Z|\.\Z|[gG\xe2\xef])|[gG][iI][tT]~1|[\xe2\xef])|[/\\\0]")
# Hardly ever asked, so compiled when they are.
_NTFS_DOT_GIT = rb"(?i:(?:\.git|git~1)[. ]*(?:\Z|[:\\/]))"
_HFS_UNSEEN = "[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]"


def refusable(name: bytes) -> bool:
    """Could git refuse a tree with `name` in it, here or on a server or a Mac or Windows machine?

    True for an empty name, `.`, `..`, a name with `/` or NUL, and `.git` in any form that HFS+ or NTFS takes
    for it (any case, unseen characters, `git~1`, a trailing dot, space, stream or backslash): git's own three
    checks.
    """
    if not _SUSPECT.search(name):
        return False
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
        return True
    # With core.protectNTFS a backslash parts components too.
    if any(re.match(_NTFS_DOT_GIT, part) for part in _backslash_tails(name)):
        return True
    return _is_hfs_dot_git(name)


def _backslash_tails(name: bytes) -> Iterable[bytes]:
    yield name
    at = name.find(b"\\")
    while at >= 0:
        yield name[at + 1 :]
        at = name.find(b"\\", at + 1)


def _is_hfs_dot_git(name: bytes) -> bool:
    try:
        seen = name.decode("utf-8")
        whole = True
    except UnicodeDecodeError as broken:
        # git stops at the first malformed character as at the name's end.
        seen = name[: broken.start].decode("utf-8")
        whole = False
    seen = re.sub(_HFS_UNSEEN, "", seen)
    return seen.isascii() and seen.lower() == ".git" and (whole or len(seen) == 4)


def _tree_order(entry: tuple[bytes, int, bytes]) -> bytes:
    return entry[0] + b"/" if entry[1] == DIRECTORY else entry[0]


def encode_tree(entries: Iterable[tuple[bytes, int, bytes]]) -> bytes:
    """A tree of `(name, mode, oid)`, in git's order. Raises ValueError for a refusable or a repeated name."""
    ordered = sorted(entries, key=_tree_order)
    suspect = _SUSPECT.search
    for name, _, _ in ordered:
        if suspect(name) and refusable(name):
            raise ValueError(f"a tree cannot hold the name {name!r}")
    if len({name for name, _, _ in ordered}) != len(ordered):
        raise ValueError("a tree cannot hold a name twice")
    return b"".join([b"%o %b\0%b" % (mode, name, oid) for name, mode, oid in ordered])


# Twice as fast as looking for each separator.
_ROWS = {width: re.compile(rb"([0-7]+) ([^\0]*)\0(.{%d})" % width, re.DOTALL) for width in (20, 32)}
_MODES = {b"%o" % mode: mode for mode in (FILE, EXECUTABLE, LINK, DIRECTORY, GITLINK)}


def parse_tree(data: bytes, width: int) -> dict[bytes, TreeEntry]:
    """The entries of a tree by name, in its order; `width` is the length of a raw id (20 or 32).

    Raises ValueError for bytes that are no tree.
    """
    rows = _ROWS[width].findall(data)
    # Whatever is no row lies between two, or at the end.
    if sum([len(mode) + len(name) for mode, name, _ in rows]) + (2 + width) * len(rows) != len(data):
        raise ValueError("the tree is cut off, or is none")
    return {name: TreeEntry(_MODES.get(mode) or int(mode, 8), oid) for mode, name, oid in rows}


# --- commits ------------------------------------------------------------------------------------------------

_CRUD = " .,:;<>\"\\'\t\r\n"
_SIGNATURE = re.compile(r"(?P<name>.*?) ?<(?P<email>[^>]*)>(?: (?P<seconds>\d+) (?P<offset>[+-]\d{4}))?")


def _header_text(text: str) -> str:
    return "".join(mark for mark in text if mark not in "<>" and mark.isprintable()).strip(_CRUD)


def encode_commit(
    *, tree: bytes, parents: Sequence[Oid], author: Signature, committer: Signature, message: str
) -> bytes:
    """A commit's bytes. NULs are taken out of the message, and it ends with a newline."""
    lines = [b"tree " + tree.hex().encode("ascii")]
    lines += [b"parent " + parent.encode("ascii") for parent in parents]
    lines += [b"author " + author.encode(), b"committer " + committer.encode(), b""]
    text = message.replace("\0", "").encode("utf-8", "replace")
    return b"\n".join(lines) + b"\n" + text + (b"" if text.endswith(b"\n") else b"\n")


def parse_commit(oid: Oid, data: bytes) -> Commit:
    """The commit with the bytes `data`. Raises ValueError for bytes that are no commit."""
    head, _, message = data.partition(b"\n\n")
    parents: list[Oid] = []
    said: dict[bytes, bytes] = {}
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        if key == b"parent":
            parents.append(Oid(value.decode("ascii")))
        elif key:
            said.setdefault(key, value)
    try:
        return Commit(
            oid=oid,
            tree=bytes.fromhex(said[b"tree"].decode("ascii")),
            parents=tuple(parents),
            author=_parse_signature(said[b"author"]),
            committer=_parse_signature(said[b"committer"]),
            message=message.decode("utf-8", "replace"),
        )
    except KeyError as missing:
        raise ValueError(f"the commit has no {missing.args[0].decode('ascii')}") from None


def _parse_signature(value: bytes) -> Signature:
    text = value.decode("utf-8", "replace")
    found = _SIGNATURE.match(text)
    if not found:
        return Signature(name=text, email="", seconds=0, offset_minutes=0)
    offset = found["offset"] or "+0000"
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    return Signature(
        name=found["name"],
        email=found["email"],
        seconds=int(found["seconds"] or 0),
        offset_minutes=-minutes if offset[0] == "-" else minutes,
    )
