"""What a git tree cannot say about a folder, as text: exact modes, empty folders, FIFOs, and the paths git
would refuse. Owns the blobs `entries` and `header` of `extra/` and the names in `escaped/`; knows no trees,
no disks.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import msgspec

from gitckpt.plumbing.objects import refusable

SCHEMA = 1
ENTRIES = b"entries"
HEADER = b"header"
MODE_BITS = 0o1777

Said = Literal["file", "dir", "fifo", "socket", "device"]
Kind = Literal["file", "link", "dir", "fifo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """The permission bits that go without saying: of files, of files git calls executable, of folders."""

    file: int
    exec: int
    dir: int


USUAL = Defaults(file=0o644, exec=0o755, dir=0o755)


def defaults_under(umask: int) -> Defaults:
    """The permission bits that new files, executables and folders get under `umask`."""
    return Defaults(file=0o666 & ~umask, exec=0o777 & ~umask, dir=0o777 & ~umask)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """What is said of one name in a folder. Sockets and devices are named so, and not kept."""

    name: bytes
    type: Said
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Escaped:
    """A path that git could refuse, relative to the folder that says so; `id` names its blob (file, link)."""

    path: bytes
    type: Kind
    mode: int
    id: str | None = None


# --- the text -----------------------------------------------------------------------------------------------


class Base64Name(msgspec.Struct, forbid_unknown_fields=True):
    """A name whose bytes are no UTF-8."""

    b64: bytes


class _Entry(msgspec.Struct):
    name: str | Base64Name
    type: Said
    mode: str


class _Escape(msgspec.Struct, omit_defaults=True):
    path: str | Base64Name
    type: Kind
    mode: str
    id: str | None = None


class _Folder(msgspec.Struct):
    entries: list[_Entry] = []
    escaped: list[_Escape] = []


class _Header(msgspec.Struct):
    schema: int
    file: str
    exec: str
    dir: str


def encode_extra(entries: Iterable[Extra], escaped: Iterable[Escaped] = ()) -> bytes:
    """The blob `entries` of one folder, sorted by the bytes of names and paths."""
    return _text(
        _Folder(
            entries=[
                _Entry(name=name_out(each.name), type=each.type, mode=f"{each.mode:04o}")
                for each in sorted(entries, key=lambda each: each.name)
            ],
            escaped=[
                _Escape(path=name_out(each.path), type=each.type, mode=f"{each.mode:04o}", id=each.id)
                for each in sorted(escaped, key=lambda each: each.path)
            ],
        )
    )


def decode_extra(data: bytes) -> tuple[tuple[Extra, ...], tuple[Escaped, ...]]:
    """Both lists of a blob `entries`. Raises ValueError for anything else, and for a path that leaves its
    folder.
    """
    folder = msgspec.json.decode(data, type=_Folder)
    entries = tuple(
        Extra(name=name_in(each.name), type=each.type, mode=int(each.mode, 8) & MODE_BITS) for each in folder.entries
    )
    escaped = tuple(
        Escaped(path=name_in(each.path), type=each.type, mode=int(each.mode, 8) & MODE_BITS, id=each.id)
        for each in folder.escaped
    )
    for entry in entries:
        if refusable(entry.name):
            raise ValueError(f"the name {entry.name!r} is not one of a folder's")
    for escape in escaped:
        if b"\0" in escape.path or any(part in (b"", b".", b"..") for part in escape.path.split(b"/")):
            raise ValueError(f"the path {escape.path!r} leaves its folder")
    return entries, escaped


def encode_header(defaults: Defaults) -> bytes:
    """The blob `header` at the top of `extra`."""
    return _text(
        _Header(schema=SCHEMA, file=f"{defaults.file:04o}", exec=f"{defaults.exec:04o}", dir=f"{defaults.dir:04o}")
    )


def decode_header(data: bytes) -> Defaults:
    """The default modes. Raises ValueError for anything else than a header that we understand."""
    header = msgspec.json.decode(data, type=_Header)
    if header.schema != SCHEMA:
        raise ValueError(f"`extra` has schema {header.schema}, this version reads {SCHEMA}")
    return Defaults(file=int(header.file, 8), exec=int(header.exec, 8), dir=int(header.dir, 8))


def _text(value: msgspec.Struct) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=1) + b"\n"


def name_out(name: bytes) -> str | Base64Name:
    """A name for JSON: as text, or as base64 where its bytes are no UTF-8."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return Base64Name(b64=name)


def name_in(name: str | Base64Name) -> bytes:
    """What `name_out` was given."""
    return name.encode("utf-8") if isinstance(name, str) else name.b64


# --- names --------------------------------------------------------------------------------------------------


def mirrored(name: bytes) -> bytes:
    """The component of `extra/` that stands for the folder `name`; never `entries` or `header`."""
    return name + b".d"


def escaped_id(path: bytes) -> str:
    """The name in the `escaped` tree of a path relative to the workspace's top."""
    return base64.b32encode(hashlib.sha256(path).digest()).decode("ascii").rstrip("=").lower()
