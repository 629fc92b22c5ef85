"""From a walk to trees, deepest folder first: reads what changed, reuses what the cache and the known content
agree on.

Owns which objects go into the pack. Law: every object reachable from the new content and not from the known
one, at the same path, is written. Must not know how the walk decides, nor what the snapshot is for.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from gitckpt.plumbing.content import (
    ENTRIES,
    HEADER,
    MODE_BITS,
    Content,
    Defaults,
    Escaped,
    Extra,
    encode_extra,
    encode_header,
    escaped_id,
    mirrored,
)
from gitckpt.plumbing.objects import DIRECTORY, EXECUTABLE, FILE, LINK, encode_tree, hasher, refusable
from gitckpt.plumbing.pack import Pack
from gitckpt.workspace import kinds
from gitckpt.workspace.capture import Capture, Gone
from gitckpt.workspace.known import Known, View, cached_ids
from gitckpt.workspace.statcache import FIELDS, Record, StatCache, pack_stats, split_names
from gitckpt.workspace.walk import VERBATIM, Folder

LARGEST = 5
_SAID = {kinds.FIFO: "fifo", kinds.SOCKET: "socket", kinds.DEVICE: "device"}
_TreeRow = tuple[bytes, int, bytes]


@dataclass(slots=True)
class _Made:
    """One folder being put together."""

    rows: list[_TreeRow] = field(default_factory=list)
    said: list[Extra] = field(default_factory=list)
    mirrors: list[_TreeRow] = field(default_factory=list)
    dirty: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)


class Assembler:
    """Makes the content of one walk. `known` is what is already stored, read through `reader` where the cache
    differs.
    """

    def __init__(
        self,
        *,
        pack: Pack,
        capture: Capture,
        cache: StatCache,
        defaults: Defaults,
        known: Known,
        scan_ns: int,
    ) -> None:
        self._pack = pack
        self._capture = capture
        self._cache = cache
        self._defaults = defaults
        self._usual_file, self._usual_exec = defaults.file, defaults.exec
        self._known = known
        self._scan_ns = scan_ns
        self._hash = hasher(cache.object_format)
        self.unstable: list[bytes] = []
        self.records: dict[bytes, Record] = {}

    def content(self, folders: list[Folder]) -> Content:
        """Put all folders (parents before children) together; the pack then holds whatever is new."""
        for folder in folders:
            self._known.look_up(folder)
        for folder in reversed(folders):
            self._assemble(folder)
        top = folders[0]
        trusted = top.reused and self._known.escaped_trusted
        escaped = self._known.escaped_tree if trusted else self._escaped_tree(folders)
        return Content(files=top.tree, extra=top.extra or None, escaped=escaped or None)

    # --- one folder -----------------------------------------------------------------------------------------

    def _assemble(self, folder: Folder) -> None:
        record = folder.record
        if (
            folder.same
            and folder.trusted
            and record is not None
            and (self._known.escaped_trusted or not record.escaped)
            and all(child.reused for child in folder.children)
        ):
            folder.reused = True
            folder.tree, folder.extra = record.tree, record.extra
            folder.escaped = record.escaped
            folder.files, folder.size = record.files, record.size
            self.records[folder.path] = record
            return
        if folder.same and record is not None:
            ids = cached_ids(record, self._cache.width)
            folder.oids = [ids.get(name, b"") for name in folder.names]
        view = self._known.view(folder)
        made = _Made()
        folder.escaped, folder.files, folder.size = [], 0, 0
        children = {child.name: child for child in folder.children if child.files >= 0}
        plain = _never if folder.zone == VERBATIM else _plain
        for index, name in enumerate(folder.names):
            oid = folder.oids[index]
            if oid and folder.kinds[index] == kinds.FILE and oid == view.files.get(name) and plain(name):
                self._enter(folder, index, made)
            else:
                self._entry(folder, index, view, made, children.get(name))
        if folder.zone == VERBATIM:
            folder.tree = folder.extra = said = b""
        else:
            folder.tree = self._tree(made.rows, view.tree) if made.rows or folder.parent is None else b""
            folder.extra, said = self._extra(folder, made, view)
        self.records[folder.path] = self._record(folder, made, said)

    def _entry(self, folder: Folder, index: int, view: View, made: _Made, child: Folder | None) -> None:
        name, kind = folder.names[index], folder.kinds[index]
        if kind in kinds.WALKED:
            if child is None:
                made.gone.append(index)
            else:
                self._folder_entry(folder, child, made, hidden=kind == kinds.HIDDEN_FOLDER)
            return
        # An ignore file counts as changed when it was touched too near the scan, captured or not.
        if name == b".gitignore" and folder.numbers[index * FIELDS + 4] >= self._scan_ns:
            made.dirty.append(index)
        if kind in kinds.BY_CONTENT or kind == kinds.LINK:
            try:
                self._held_entry(folder, index, view, made)
            except Gone:
                made.gone.append(index)
        elif kind in _SAID:
            mode = folder.numbers[index * FIELDS] & MODE_BITS
            if folder.zone != VERBATIM and not refusable(name):
                made.said.append(Extra(name=name, type=_SAID[kind], mode=mode))  # type: ignore[arg-type]
            elif kind == kinds.FIFO:
                folder.escaped.append((name, "fifo", mode, b""))
            folder.files += kind == kinds.FIFO

    def _held_entry(self, folder: Folder, index: int, view: View, made: _Made) -> None:
        name, kind, oid = folder.names[index], folder.kinds[index], folder.oids[index]
        at = index * FIELDS
        if kind != kinds.LINK and kind != kinds.FILE:
            if not self._touched(folder, name, at):
                return
            kind = kinds.FILE
        odd = folder.zone == VERBATIM or refusable(name)
        known = self._known.escaped(folder, name, view) if odd else view.files.get(name, b"")
        if not oid or oid != known:
            path = folder.child_path(name)
            read = self._capture.link if kind == kinds.LINK else self._capture.file
            captured = read(path, known)
            kind = folder.kinds[index] = captured.kind
            oid = folder.oids[index] = captured.oid
            folder.numbers[at : at + FIELDS] = captured.numbers
            if not captured.stable:
                self.unstable.append(path)
            if not captured.stable or captured.numbers[4] >= self._scan_ns:
                made.dirty.append(index)
            if not oid:
                return
        mode = folder.numbers[at] & MODE_BITS
        if odd:
            folder.files += 1
            folder.size += folder.numbers[at + 2] if kind == kinds.FILE else 0
            row = ("link", 0) if kind == kinds.LINK else ("file", mode)
            folder.escaped.append((name, *row, oid))
        elif kind == kinds.LINK:
            folder.files += 1
            made.rows.append((name, LINK, oid))
        else:
            self._enter(folder, index, made)

    def _enter(self, folder: Folder, index: int, made: _Made) -> None:
        """Enter a plain file whose blob is stored."""
        at = index * FIELDS
        mode = folder.numbers[at]
        folder.files += 1
        folder.size += folder.numbers[at + 2]
        name = folder.names[index]
        git_mode, usual = (EXECUTABLE, self._usual_exec) if mode & 0o100 else (FILE, self._usual_file)
        made.rows.append((name, git_mode, folder.oids[index]))
        if mode & MODE_BITS != usual:
            made.said.append(Extra(name=name, type="file", mode=mode & MODE_BITS))

    def _touched(self, folder: Folder, name: bytes, at: int) -> bool:
        """Whether a file left out for its bytes or mode must be looked at again."""
        record = folder.record
        if folder.same or record is None:
            return record is None
        names = split_names(record.names)
        if name not in names:
            return True
        was = names.index(name)
        then = pack_stats(folder.numbers[at : at + FIELDS])
        return was in record.dirty or record.stats[was * FIELDS * 8 : (was + 1) * FIELDS * 8] != then

    def _folder_entry(self, folder: Folder, child: Folder, made: _Made, *, hidden: bool) -> None:
        if hidden and not (child.tree or child.extra or child.escaped):
            return
        mode = child.mode & MODE_BITS
        folder.files += child.files
        folder.size += child.size
        if child.zone == VERBATIM:
            folder.escaped.append((child.name, "dir", mode, b""))
            folder.escaped += [(child.name + b"/" + path, *rest) for path, *rest in child.escaped]  # type: ignore[misc]
            return
        if child.tree:
            made.rows.append((child.name, DIRECTORY, child.tree))
        if child.extra:
            made.mirrors.append((mirrored(child.name), DIRECTORY, child.extra))
        if mode != self._defaults.dir or not child.tree:
            made.said.append(Extra(name=child.name, type="dir", mode=mode))

    # --- objects --------------------------------------------------------------------------------------------

    def _tree(self, rows: list[_TreeRow], known: bytes) -> bytes:
        if known:
            data = encode_tree(rows)
            if self._hash(b"tree %d\0%b" % (len(data), data)).digest() == known:
                return known
        return self._pack.tree(rows)

    def _blob(self, data: bytes, known: bytes) -> bytes:
        if known and self._hash(b"blob %d\0%b" % (len(data), data)).digest() == known:
            return known
        return self._pack.blob(data)

    def _extra(self, folder: Folder, made: _Made, view: View) -> tuple[bytes, bytes]:
        """The ids of the folder's `extra` tree and of its `entries` blob; empty where there is nothing to
        say.
        """
        rows, said = made.mirrors, b""
        if made.said or folder.escaped:
            listed = [
                Escaped(path=path, type=kind, mode=mode, id=self._id(folder, path) if oid else None)  # type: ignore[arg-type]
                for path, kind, mode, oid in folder.escaped
            ]
            said = self._blob(encode_extra(made.said, listed), view.said)
            rows.append((ENTRIES, FILE, said))
        if folder.parent is None:
            header = self._blob(encode_header(self._defaults), view.header)
            rows.append((HEADER, FILE, header))
        return (self._tree(rows, view.extra) if rows else b""), said

    def _id(self, folder: Folder, path: bytes) -> str:
        return escaped_id(folder.child_path(path))

    def _escaped_tree(self, folders: list[Folder]) -> bytes:
        rows = [
            (escaped_id(folder.child_path(path)).encode(), FILE, oid)
            for folder in folders
            if folder.zone != VERBATIM
            for path, _, _, oid in folder.escaped
            if oid
        ]
        return self._tree(rows, self._known.escaped_tree) if rows else b""

    # --- the record -----------------------------------------------------------------------------------------

    def _record(self, folder: Folder, made: _Made, said: bytes) -> Record:
        width, blank = self._cache.width, bytes(self._cache.width)
        for index in sorted(made.gone, reverse=True):
            del folder.names[index], folder.kinds[index], folder.oids[index]
            del folder.numbers[index * FIELDS : (index + 1) * FIELDS]
        if made.gone:
            made.dirty = [
                index for index in range(len(folder.names)) if folder.numbers[index * FIELDS + 4] >= self._scan_ns
            ]
        folder.oids = [oid if len(oid) == width else blank for oid in folder.oids]
        sizes = [
            (size, name)
            for size, name, kind in zip(folder.numbers[2::FIELDS], folder.names, folder.kinds, strict=True)
            if kind == kinds.FILE
        ]
        return Record(
            names=b"/".join(folder.names),
            stats=pack_stats(folder.numbers),
            kinds=bytes(folder.kinds),
            oids=b"".join(folder.oids),
            dirty=made.dirty,
            folders=[index for index, kind in enumerate(folder.kinds) if kind in kinds.WALKED],
            settled=True,
            tree=folder.tree,
            extra=folder.extra,
            said=said,
            escaped=folder.escaped,
            files=folder.files,
            size=folder.size,
            large=heapq.nlargest(LARGEST, sizes),
            named=[index for index, kind in enumerate(folder.kinds) if kind in kinds.NAMED],
        )


def _plain(name: bytes) -> bool:
    """Whether a tree may hold the name; nearly every name is told by its first byte."""
    return (name[0] not in b".gG\xe2\xef" and b"\\" not in name) or not refusable(name)


def _never(_name: bytes) -> bool:
    return False
