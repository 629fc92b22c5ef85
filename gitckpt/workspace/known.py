"""What is already stored, folder by folder: so that a snapshot writes only what the known content lacks at
the same path.

Owns the agreement of the stat cache with the known content. Where their trees are equal nothing is read;
where they differ the known trees are. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gitckpt.plumbing.content import Content
from gitckpt.plumbing.extra import ENTRIES, HEADER, escaped_id, mirrored
from gitckpt.plumbing.objects import DIRECTORY
from gitckpt.plumbing.reader import Reader, TreeEntry
from gitckpt.workspace.statcache import Record, StatCache, split_names
from gitckpt.workspace.walk import VERBATIM, Folder


@dataclass(slots=True, kw_only=True)
class View:
    """Raw ids that the known content has for one folder: its two trees, the blobs `entries` and `header`, its
    files.

    An id is empty where it is not known.
    """

    tree: bytes = b""
    extra: bytes = b""
    said: bytes = b""
    header: bytes = b""
    files: Mapping[bytes, bytes] = field(default_factory=dict)


class Known:
    """One known content (None: nothing is stored) beside one stat cache.

    Without a `reader` it helps only as far as the cache agrees with it, whole folders at a time.
    """

    def __init__(self, cache: StatCache, content: Content | None, reader: Reader | None) -> None:
        self._width = cache.width
        self._content = content
        self._reader = reader
        self.escaped_tree = content.escaped or b"" if content else b""
        self.escaped_trusted = content is not None and cache.escaped == self.escaped_tree
        self._escaped: dict[bytes, bytes] = {}
        if self.escaped_tree and not self.escaped_trusted:
            self._escaped = {name: entry.oid for name, entry in self._entries(self.escaped_tree).items()}

    def look_up(self, folder: Folder) -> None:
        """Set the folder's `trusted` (cache and content agree on all below it) and `view` (where not: the
        trees).

        Parents come first.
        """
        record, parent = folder.record, folder.parent
        if folder.zone == VERBATIM:
            folder.trusted = self.escaped_trusted and record is not None
            return
        settled = record is not None and record.settled
        if parent is None:
            if self._content is not None:
                folder.view = (self._content.files, self._content.extra or b"")
        elif parent.trusted:
            # The parent's tree is made of this record's: what holds for the one holds for the other.
            folder.trusted = settled
            return
        else:
            folder.view = (
                self._folder_in(parent.view[0], folder.name),
                self._folder_in(parent.view[1], mirrored(folder.name)),
            )
        agrees = record is not None and settled and (record.tree, record.extra) == folder.view
        folder.trusted = agrees and self._content is not None

    def view(self, folder: Folder) -> View:
        """What the known content has of a folder that was looked up."""
        record = folder.record
        if folder.trusted and record is not None:
            view = View(tree=record.tree, extra=record.extra, said=record.said)
            view.files = cached_ids(record, self._width)
        else:
            tree, extra = folder.view
            view = View(tree=tree, extra=extra)
            view.files = {name: entry.oid for name, entry in self._entries(tree).items()}
            view.said = self._blob_in(extra, ENTRIES)
        if folder.parent is None:
            view.header = self._blob_in(view.extra, HEADER)
        return view

    def escaped(self, folder: Folder, name: bytes, view: View) -> bytes:
        """The known id of a file or link that git could refuse."""
        if not self.escaped_trusted or folder.record is None:
            return self._escaped.get(escaped_id(folder.child_path(name)).encode("ascii"), b"")
        ids = view.files if folder.trusted else cached_ids(folder.record, self._width)
        return ids.get(name, b"")

    def _entries(self, tree: bytes) -> dict[bytes, TreeEntry]:
        return self._reader.tree(tree) if tree and self._reader is not None else {}

    def _folder_in(self, tree: bytes, name: bytes) -> bytes:
        entry = self._entries(tree).get(name)
        return entry.oid if entry is not None and entry.mode == DIRECTORY else b""

    def _blob_in(self, tree: bytes, name: bytes) -> bytes:
        entry = self._entries(tree).get(name)
        return entry.oid if entry is not None else b""


def cached_ids(record: Record, width: int) -> dict[bytes, bytes]:
    """The ids in a record, by name; also those that can no longer be trusted to be on disk."""
    blank = bytes(width)
    ids = record.oids
    found = {}
    for index, name in enumerate(split_names(record.names)):
        oid = ids[index * width : index * width + width]
        if oid != blank:
            found[name] = oid
    return found
