"""What a checkpoint is, and how a commit is read as one.

Owns the layout of a checkpoint's commit: the workspace's files under its folder in the repository, and `.gitckpt/`
at the workspace's top. Must not know how checkpoints come to be. State is read from `state.json` only; messages and
trailers are for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.codec import decode_events, decode_manifest
from gitckpt.model.events import Event
from gitckpt.model.manifest import Manifest
from gitckpt.model.names import LIVE_FOLDER, Oid, PhaseName
from gitckpt.model.title import Title, title
from gitckpt.plumbing.content import Content
from gitckpt.plumbing.objects import encode_tree
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One checkpoint: `content` is the workspace's files, `parents[0]` the checkpoint before."""

    oid: Oid
    parents: tuple[Oid, ...]
    content: Content
    manifest: Manifest
    events: tuple[Event, ...]
    author: str
    seconds: int
    offset_minutes: int

    @property
    def number(self) -> int:
        """1 + the first parent's."""
        return self.manifest.sequence

    @property
    def title(self) -> Title:
        """What history calls it."""
        return title(self.events)


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


def content_of(reader: Reader, found: Folder, oid: Oid) -> Content:
    """The workspace's content. The tree without `.gitckpt` is in no commit, so the reader is told of it."""
    rest = [(name, entry.mode, entry.oid) for name, entry in found.root.items() if name != FOLDER]
    try:
        files = reader.remember_tree(encode_tree(rest))
    except ValueError as error:
        raise NotACheckpoint(oid, str(error)) from error

    def tree(name: bytes) -> bytes | None:
        entry = found.own.get(name)
        return entry.oid if entry else None

    return Content(files=files, extra=tree(b"extra"), escaped=tree(b"escaped"))


def read_checkpoint(reader: Reader, oid: Oid, prefix: bytes) -> Checkpoint:
    """Read one commit as a checkpoint. Raises NotACheckpoint, Damaged."""
    commit = reader.commit(oid)
    if commit is None:
        raise NotACheckpoint(oid, "there is no such commit")
    found = folder(reader, commit, prefix)
    manifest = decode_manifest(own_file(reader, found, oid, b"state.json"), f"state.json of {oid[:12]}")
    events = decode_events(own_file(reader, found, oid, b"events.json"), f"events.json of {oid[:12]}")
    return Checkpoint(
        oid=oid,
        parents=commit.parents,
        content=content_of(reader, found, oid),
        manifest=manifest,
        events=events,
        author=commit.author.name,
        seconds=commit.author.seconds,
        offset_minutes=commit.author.offset_minutes,
    )


def read_manifest(reader: Reader, oid: Oid, prefix: bytes) -> Manifest:
    """Only the manifest of a commit: the cheap way. Raises NotACheckpoint, Damaged."""
    path = f"{prefix.decode()}/{LIVE_FOLDER}" if prefix else LIVE_FOLDER
    found = reader.read(f"{oid}:{path}/state.json")
    if found is None:
        raise NotACheckpoint(oid, "it has no state.json")
    return decode_manifest(found[1], f"state.json of {oid[:12]}")


def own_file(reader: Reader, found: Folder, oid: Oid, name: bytes) -> bytes:
    """A file directly in `.gitckpt`. Raises NotACheckpoint when it is not there."""
    entry = found.own.get(name)
    if entry is None:
        raise NotACheckpoint(oid, f"it has no {name.decode()}")
    return reader.blob(entry.oid)


def output_of(reader: Reader, oid: Oid, prefix: bytes, phase: PhaseName) -> bytes | None:
    """The captured output of a phase's last attempt as of a commit; None when there is none."""
    commit = reader.commit(oid)
    if commit is None:
        raise NotACheckpoint(oid, "there is no such commit")
    entry = folder(reader, commit, prefix).own.get(b"output")
    for name in (phase.encode(), b"log"):
        if entry is None:
            return None
        entry = reader.tree(entry.oid).get(name)
    return reader.blob(entry.oid) if entry else None


def items_folder(reader: Reader, oid: Oid, prefix: bytes) -> bytes | None:
    """The folder `.gitckpt/items` of a checkpoint; None when no list was ever frozen."""
    commit = reader.commit(oid)
    if commit is None:
        raise NotACheckpoint(oid, "there is no such commit")
    entry = folder(reader, commit, prefix).own.get(b"items")
    return entry.oid if entry else None
