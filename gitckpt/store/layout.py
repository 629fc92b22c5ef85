"""Where things lie in a checkpoint's commit: the workspace's files under its folder in the repository, and `.gitckpt/`
at the workspace's top.

Owns the way to the manifest, and to any of our own files. Must not know how checkpoints come to be, nor load what an
event is: `status` reads a manifest and waits for nothing else. State is read from `state.json` only; messages and
trailers are for people.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.codec import decode_manifest
from gitckpt.model.manifest import Manifest
from gitckpt.model.names import LIVE_FOLDER, Oid, PhaseName
from gitckpt.plumbing.reader import Commit, Reader, TreeEntry

FOLDER = LIVE_FOLDER.encode()
TREE = 0o40000
FILE = 0o100644


@dataclass(eq=False)
class NotACheckpoint(GitckptError):
    """A commit on our branch that gitckpt did not make, or cannot read."""

    oid: str
    why: str

    exit_code = ExitCode.CONFLICT

    @property
    def message(self) -> str:
        return f"commit {self.oid[:12]} is not a checkpoint of gitckpt: {self.why}"

    @property
    def hint(self) -> str:
        return (
            "gitckpt doctor --repair keeps it on a ref of its own and sets the branch back to the last checkpoint "
            "(gitckpt verify names it); then run the command again"
        )


@dataclass(frozen=True, slots=True)
class Folder:
    """The entries of a commit's workspace root and of its `.gitckpt`."""

    root: Mapping[bytes, TreeEntry]
    own: Mapping[bytes, TreeEntry]


def folder(reader: Reader, commit: Commit, prefix: bytes) -> Folder:
    """Walk to the workspace's root in a commit. Raises NotACheckpoint where there is none."""
    entries = reader.tree(commit.tree)
    for part in prefix.split(b"/") if prefix else ():
        entry = entries.get(part)
        if entry is None or entry.mode != TREE:
            raise NotACheckpoint(commit.oid, f"it has no folder {prefix.decode(errors='backslashreplace')}")
        entries = reader.tree(entry.oid)
    own = entries.get(FOLDER)
    if own is None or own.mode != TREE:
        raise NotACheckpoint(commit.oid, f"it has no folder {LIVE_FOLDER}")
    return Folder(entries, reader.tree(own.oid))


def commit_of(reader: Reader, oid: Oid) -> Commit:
    """The commit itself. Raises NotACheckpoint where there is none."""
    commit = reader.commit(oid)
    if commit is None:
        raise NotACheckpoint(oid, "there is no such commit")
    return commit


def read_manifest(reader: Reader, oid: Oid, prefix: bytes) -> Manifest:
    """Only the manifest of a commit. Raises NotACheckpoint, Damaged."""
    return decode_manifest(read_own(reader, oid, prefix, "state.json"), f"state.json of {oid[:12]}")


def read_own(reader: Reader, oid: Oid, prefix: bytes, name: str) -> bytes:
    """A file directly in `.gitckpt` of a commit: the cheap way, for no tree is read. Raises NotACheckpoint."""
    path = os.fsdecode(prefix + b"/" + FOLDER if prefix else FOLDER)
    # A name with a newline cannot be asked for, and what is missing is to be named: both go through the trees.
    found = None if "\n" in path else reader.read(f"{oid}:{path}/{name}")
    if found is None:
        return own_file(reader, folder(reader, commit_of(reader, oid), prefix), oid, name.encode())
    return found[1]


def own_file(reader: Reader, found: Folder, oid: Oid, name: bytes) -> bytes:
    """A file directly in `.gitckpt`. Raises NotACheckpoint when it is not there."""
    entry = found.own.get(name)
    if entry is None:
        raise NotACheckpoint(oid, f"it has no {name.decode()}")
    return reader.blob(entry.oid)


def output_of(reader: Reader, oid: Oid, prefix: bytes, phase: PhaseName) -> bytes | None:
    """The captured output of a phase's last attempt as of a commit; None when there is none."""
    entry = folder(reader, commit_of(reader, oid), prefix).own.get(b"output")
    for name in (phase.encode(), b"log"):
        if entry is None:
            return None
        entry = reader.tree(entry.oid).get(name)
    return reader.blob(entry.oid) if entry else None


def items_folder(reader: Reader, oid: Oid, prefix: bytes) -> bytes | None:
    """The folder `.gitckpt/items` of a checkpoint; None when no list was ever frozen."""
    entry = folder(reader, commit_of(reader, oid), prefix).own.get(b"items")
    return entry.oid if entry else None
