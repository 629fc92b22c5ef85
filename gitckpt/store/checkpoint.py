"""What a checkpoint is, and how a commit is read as one.

Must not know how checkpoints come to be.
"""

from __future__ import annotations

from dataclasses import dataclass

from gitckpt.model.codec import decode_manifest
from gitckpt.model.events import Event, RolledBack, Undone
from gitckpt.model.events_codec import decode_events
from gitckpt.model.names import Oid
from gitckpt.model.title import Title, title
from gitckpt.plumbing.content import Content
from gitckpt.plumbing.objects import encode_tree
from gitckpt.plumbing.reader import Reader
from gitckpt.store.branch import Point
from gitckpt.store.layout import FOLDER, Folder, NotACheckpoint, commit_of, folder, own_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint(Point):
    """One checkpoint: `content` is the workspace's files, `parents[0]` the checkpoint before."""

    parents: tuple[Oid, ...]
    content: Content
    events: tuple[Event, ...]
    author: str
    seconds: int
    offset_minutes: int

    @property
    def title(self) -> Title:
        """What history calls it."""
        return title(self.events)


def came_from(checkpoint: Checkpoint) -> Oid | None:
    """The checkpoint whose files it took up: a rollback's target, else the one before; None at the beginning."""
    for event in reversed(checkpoint.events):
        if isinstance(event, RolledBack | Undone):
            return event.target
    return checkpoint.parents[0] if checkpoint.parents else None


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
    commit = commit_of(reader, oid)
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
