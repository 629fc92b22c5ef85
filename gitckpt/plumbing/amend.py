"""A content with some paths changed, at the cost of the folders that lead to them: no other tree is read or written.

Owns how a change works its way into `files`, `extra` and `escaped`: the trees that `graft.build` makes of the whole
list. Knows no disks, and not why anything changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gitckpt.plumbing.content import (
    ENTRIES,
    HEADER,
    Change,
    Content,
    Defaults,
    Escaped,
    Extra,
    Item,
    Objects,
    defaults_of,
    encode_extra,
    encode_header,
    escaped_id,
    mirrored,
    said_in,
)
from gitckpt.plumbing.fresh import Fresh
from gitckpt.plumbing.graft import entry_of, escape_at, folders_above
from gitckpt.plumbing.objects import DIRECTORY, FILE, GITLINK, TreeEntry
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Reader

_Tree = dict[bytes, TreeEntry]


def amend(reader: Reader, pack: Pack, content: Content, changes: Sequence[Change]) -> Content:
    """`content` with the new side of every change; their old sides are not looked at.

    What is absent or no folder on the new side goes with all that was below it; then everything else is put in, and a
    folder that is missing on the way gets the default mode. What would lie below something that is no folder is not
    put in. A socket or device stays named where its folder stays and nothing takes its place. The trees of `content`
    may be in `pack`; only new objects are added to it. Raises ObjectUnreadable, PackFailed.
    """
    return _Amending(Fresh(reader, pack), pack, content, changes).content()


@dataclass(slots=True, kw_only=True)
class _Folder:
    """One folder on the way to a change, and what it was: its trees, and what they held."""

    mode: int
    rows: _Tree
    mirrors: _Tree
    said: dict[bytes, Extra]
    escaped: dict[bytes, Escaped]
    files_were: tuple[bytes | None, _Tree]
    extra_was: tuple[bytes | None, _Tree]
    text_was: tuple[dict[bytes, Extra], dict[bytes, Escaped]]

    def holds_folder(self, name: bytes) -> bool:
        row, said = self.rows.get(name), self.said.get(name)
        if row is not None:
            return row.mode in (DIRECTORY, GITLINK)
        return said is not None and said.type == "dir"

    def say_folder(self, name: bytes, mode: int, usual: int) -> None:
        """Say of a folder what its tree does not: that it is there though empty, or its mode."""
        row = self.rows.get(name)
        if row is not None and row.mode == GITLINK:
            # An empty folder to whoever reads it, and we never write one.
            del self.rows[name]
            row = None
        if row is None or mode != usual:
            self.said[name] = Extra(name=name, type="dir", mode=mode)
        else:
            self.said.pop(name, None)


class _Amending:
    """One content under change. Folders are opened from the top down, changed, and closed from below."""

    def __init__(self, objects: Objects, pack: Pack, content: Content, changes: Sequence[Change]) -> None:
        self._objects = objects
        self._pack = pack
        self._was = content
        self._defaults: Defaults = defaults_of(objects, content)
        # New items (None: gone) by folder: under a name in it, and under a path that git would refuse.
        self._plain: defaultdict[bytes, dict[bytes, Item | None]] = defaultdict(dict)
        self._odd: defaultdict[bytes, dict[bytes, Item | None]] = defaultdict(dict)
        self._touched = {b""}
        # Folders that must be there in the end, unless something that is no folder is in their way.
        self._needed: set[bytes] = set()
        # Changes of the tree `escaped`, by name.
        self._blobs: dict[bytes, bytes | None] = {}
        self._open: dict[bytes, _Folder] = {}
        for path, new in {change.path: change.new for change in changes}.items():
            self._sort_in(path, new)

    def _sort_in(self, path: bytes, new: Item | None) -> None:
        at = escape_at(path)
        if at is None:
            folder, name = _parted(path)
            self._plain[folder][name] = new
        else:
            folder = path[: max(at - 1, 0)]
            self._odd[folder][path[at:]] = new
        above = [*folders_above(folder), folder]
        self._touched.update(above)
        if new is not None:
            self._needed.update(above)

    def content(self) -> Content:
        """Make the changes and write what is new."""
        # A folder's path is longer than that of the folder it is in.
        order = sorted(self._touched, key=len)
        for path in order:
            folder = self._opened(path)
            if folder is not None:
                self._open[path] = folder
                self._change(path, folder)
        for path in reversed(order[1:]):
            if path in self._open:
                self._close(path)
        top = self._open[b""]
        if HEADER not in top.mirrors:
            top.mirrors[HEADER] = TreeEntry(FILE, self._pack.blob(encode_header(self._defaults)))
        self._write_text(top)
        return Content(
            files=self._tree(top.rows, top.files_were),
            extra=self._tree(top.mirrors, top.extra_was),
            escaped=self._escaped(),
        )

    # --- from the top down ----------------------------------------------------------------------------------

    def _opened(self, path: bytes) -> _Folder | None:
        """The folder at `path`, None where there is none and none is to be."""
        if not path:
            return self._load(0, self._was.files, self._was.extra)
        above, name = _parted(path)
        parent = self._open.get(above)
        if parent is None:
            return None
        row, said = parent.rows.get(name), parent.said.get(name)
        if not parent.holds_folder(name):
            taken = row is not None or (said is not None and said.type == "fifo")
            return None if taken or path not in self._needed else self._load(self._defaults.dir, None, None)
        mode = said.mode if said is not None and said.type == "dir" else self._defaults.dir
        mirror = parent.mirrors.get(mirrored(name))
        files = row.oid if row is not None and row.mode == DIRECTORY else None
        return self._load(mode, files, mirror.oid if mirror is not None and mirror.mode == DIRECTORY else None)

    def _load(self, mode: int, files: bytes | None, extra: bytes | None) -> _Folder:
        rows = self._objects.tree(files) if files else {}
        mirrors = self._objects.tree(extra) if extra else {}
        said, listed = said_in(self._objects, mirrors)
        escaped = {each.path: each for each in listed}
        return _Folder(
            mode=mode,
            rows=dict(rows),
            mirrors=dict(mirrors),
            said=dict(said),
            escaped=dict(escaped),
            files_were=(files, rows),
            extra_was=(extra, mirrors),
            text_was=(said, escaped),
        )

    def _change(self, path: bytes, folder: _Folder) -> None:
        for name, new in self._plain.get(path, {}).items():
            if new is not None and new.kind == "dir" and folder.holds_folder(name):
                folder.say_folder(name, new.mode, self._defaults.dir)
                continue
            self._take_out(folder, name)
            if new is not None:
                self._put_in(folder, name, new)
        odd = self._odd.get(path)
        if odd:
            self._change_escaped(path, folder, odd)

    def _take_out(self, folder: _Folder, name: bytes) -> None:
        folder.rows.pop(name, None)
        mirror = folder.mirrors.pop(mirrored(name), None)
        if mirror is not None and self._was.escaped is not None:
            self._forget_below(mirror)
        said = folder.said.get(name)
        if said is not None and said.type not in ("socket", "device"):
            del folder.said[name]

    def _forget_below(self, mirror: TreeEntry) -> None:
        """Take the blobs out of `escaped` that a part of `extra` and those below it name."""
        todo = [mirror]
        while todo:
            entry = todo.pop()
            if entry.mode == DIRECTORY:
                tree = self._objects.tree(entry.oid)
                self._forget(said_in(self._objects, tree)[1])
                todo += tree.values()

    def _forget(self, gone: Iterable[Escaped]) -> None:
        self._blobs.update((each.id.encode("ascii", "replace"), None) for each in gone if each.id is not None)

    def _put_in(self, folder: _Folder, name: bytes, new: Item) -> None:
        # A socket that was named here has had its place taken.
        folder.said.pop(name, None)
        if new.kind == "dir":
            folder.say_folder(name, new.mode, self._defaults.dir)
            return
        row, said = entry_of(name, new, self._defaults)
        if row is not None:
            folder.rows[name] = row
        if said is not None:
            folder.said[name] = said

    # --- paths that git would refuse ------------------------------------------------------------------------

    def _change_escaped(self, owner: bytes, folder: _Folder, changes: dict[bytes, Item | None]) -> None:
        listed = folder.escaped
        for unsaid in {above for path in listed for above in folders_above(path)} - listed.keys():
            self._escape_folder(listed, unsaid)
        ends = {path for path, new in changes.items() if new is None or new.kind != "dir"}
        gone = [path for path in listed if path in ends or not ends.isdisjoint(folders_above(path))]
        self._forget([listed.pop(path) for path in gone])
        for path in sorted(changes, key=len):
            new = changes[path]
            if new is not None and self._reachable(listed, path):
                self._escape(owner, listed, path, new)

    def _reachable(self, listed: dict[bytes, Escaped], path: bytes) -> bool:
        """Make the folders on the way; False where something else is in it."""
        for above in folders_above(path):
            if above not in listed:
                self._escape_folder(listed, above)
            elif listed[above].type != "dir":
                return False
        return True

    def _escape_folder(self, listed: dict[bytes, Escaped], path: bytes) -> None:
        listed[path] = Escaped(path=path, type="dir", mode=self._defaults.dir)

    def _escape(self, owner: bytes, listed: dict[bytes, Escaped], path: bytes, new: Item) -> None:
        before = listed.get(path)
        if before is not None:
            self._forget([before])
        name = escaped_id(owner + b"/" + path if owner else path) if new.oid else None
        listed[path] = Escaped(path=path, type=new.kind, mode=new.mode, id=name)
        if name is not None:
            self._blobs[name.encode("ascii")] = new.oid

    def _escaped(self) -> bytes | None:
        if not self._blobs:
            return self._was.escaped
        before = self._objects.tree(self._was.escaped) if self._was.escaped else {}
        rows = dict(before)
        for name, oid in self._blobs.items():
            if oid is None:
                rows.pop(name, None)
            else:
                rows[name] = TreeEntry(FILE, oid)
        return self._tree(rows, (self._was.escaped, before)) if rows else None

    # --- from below -----------------------------------------------------------------------------------------

    def _close(self, path: bytes) -> None:
        """Tell the folder above what has become of the one at `path`."""
        folder = self._open[path]
        above, name = _parted(path)
        parent = self._open[above]
        self._write_text(folder)
        for rows, were, here, key in (
            (folder.rows, folder.files_were, parent.rows, name),
            (folder.mirrors, folder.extra_was, parent.mirrors, mirrored(name)),
        ):
            if rows:
                here[key] = TreeEntry(DIRECTORY, self._tree(rows, were))
            else:
                here.pop(key, None)
        parent.say_folder(name, folder.mode, self._defaults.dir)

    def _write_text(self, folder: _Folder) -> None:
        if not folder.said and not folder.escaped:
            folder.mirrors.pop(ENTRIES, None)
        elif (folder.said, folder.escaped) != folder.text_was:
            text = encode_extra(folder.said.values(), folder.escaped.values())
            folder.mirrors[ENTRIES] = TreeEntry(FILE, self._pack.blob(text))

    def _tree(self, rows: _Tree, were: tuple[bytes | None, _Tree]) -> bytes:
        """The tree of `rows`, written unless it is the one that was."""
        oid, before = were
        if oid is not None and rows == before:
            return oid
        return self._pack.tree((name, entry.mode, entry.oid) for name, entry in rows.items())


def _parted(path: bytes) -> tuple[bytes, bytes]:
    """The folder that a path lies in, and its name there."""
    folder, _, name = path.rpartition(b"/")
    return folder, name
