"""The walk of an attempt's view: its upper directory, and what lies below that only where an ignore file moved.

Owns which entries are listed, and where a changed `.gitignore` means that more than the upper directory must be looked
at. Decides as every walk does. Must not know objects or packs.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from gitckpt.errors import Unreadable
from gitckpt.plumbing.content import Item, Lookup
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository
from gitckpt.workspace.capture import numbers_of
from gitckpt.workspace.marks import is_marked_whiteout, is_whiteout, opaque_mark
from gitckpt.workspace.rules import Matcher
from gitckpt.workspace.statcache import StatCache
from gitckpt.workspace.view_rules import PASSING, ViewRules, read_ignore_file
from gitckpt.workspace.walk import CAPTURED, HIDDEN, Folder, Walk, _own_places

_GITIGNORE = b".gitignore"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TYPES = {"file": stat.S_IFREG, "link": stat.S_IFLNK, "dir": stat.S_IFDIR, "fifo": stat.S_IFIFO}
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})

Numbers = tuple[int, int, int, int, int]


class ViewWalk(Walk):
    """The folders of the upper directory, parents before children.

    A folder is `stale` where an ignore file at or above it moved: then its `inherited` entries, those that the upper
    directory does not hold, are listed, too. `whiteouts` are paths that it hides, `opaque` folders in which it hides
    all others, `fresh` those at or below one.
    """

    def __init__(
        self,
        *,
        upper: Path,
        lower: Path,
        workspace: Path,
        repository: Repository,
        prefix: bytes,
        matcher: Matcher,
        lookup: Lookup,
        reader: Reader,
    ) -> None:
        # There is no cache to take over, and what git ignores is asked elsewhere: the other constructor is not for us.
        self._root = os.fsencode(upper)
        self._lower = os.fsencode(lower)
        self._workspace = os.fsencode(workspace)
        self._skipped = _own_places(workspace, repository, prefix)
        self._matcher = matcher
        self._cache = StatCache(repository.object_format)
        self._blank = bytes(self._cache.width)
        self._lookup = self._held = lookup
        self._was_held = {}
        self.only_held = set()
        self._reader = reader
        # The text of the `.gitignore` files that the upper directory speaks of; b"" for one that it hides.
        self._texts: dict[bytes, bytes] = {}
        self.folders = []
        self.whiteouts: list[bytes] = []
        self.opaque: list[bytes] = []
        self.fresh: set[bytes] = set()
        self.inherited: set[bytes] = set()
        with ViewRules(repository, prefix, self._ignore_text) as rules:
            self._hiding = self._rules = rules
            self._run(stale=False)

    # --- one folder -----------------------------------------------------------------------------------------

    def _list(self, folder: Folder, unknown: list[tuple[Folder, int]]) -> bool:
        """As every walk's; without a cache every entry is new."""
        skipped = {os.fsencode(name) for name in self._skipped.get(folder.path, ())}
        try:
            entries, hidden = self._own_entries(folder, skipped)
            if folder.path not in self.fresh:
                if not folder.stale and folder.zone == CAPTURED and self._rules_moved(folder.path):
                    folder.stale = True
                if folder.stale:
                    self._inherit(folder, entries, hidden | skipped)
        except OSError as error:
            if (error.errno in _GONE and folder.path) or (folder.zone == HIDDEN and error.errno not in PASSING):
                return False
            raise Unreadable(folder.path, os.strerror(error.errno or 0)) from None
        folder.names = list(entries)
        folder.numbers = [number for numbers in entries.values() for number in numbers]
        self._all_new(folder, unknown)
        return True

    def _own_entries(self, folder: Folder, skipped: set[bytes]) -> tuple[dict[bytes, Numbers], set[bytes]]:
        """What the upper directory holds in the folder, and the names that it hides."""
        above = folder.parent
        if above is not None and above.path in self.fresh:
            self.fresh.add(folder.path)
        entries: dict[bytes, Numbers] = {}
        hidden: set[bytes] = set()
        if folder.path in self.inherited:
            return entries, hidden
        number = os.open(self._root + b"/" + folder.path, _FOLDER)
        try:
            mark = opaque_mark(number)
            if mark == b"y":
                self.opaque.append(folder.path)
                self.fresh.add(folder.path)
            for name, found in _listed(number):
                if name in skipped:
                    continue
                path = folder.child_path(name)
                full = b"/proc/self/fd/%d/%b" % (number, name)
                if is_whiteout(found) or (mark == b"x" and is_marked_whiteout(full, found)):
                    hidden.add(name)
                    self.whiteouts.append(path)
                else:
                    entries[name] = _numbers(found)
        finally:
            os.close(number)
        if _GITIGNORE in hidden:
            self._texts[folder.path] = b""
        elif _GITIGNORE in entries:
            self._texts[folder.path] = read_ignore_file(self._root + b"/" + folder.child_path(_GITIGNORE))
        return entries, hidden

    def _inherit(self, folder: Folder, entries: dict[bytes, Numbers], hidden: set[bytes]) -> None:
        """Add what shows through: as the content it began with has it, and what that never held from the disk."""
        found: dict[bytes, Numbers] = {
            name: _numbers_of_item(item) for name, item in self._lookup.children(folder.path).items()
        }
        try:
            number = os.open(self._lower + b"/" + folder.path, _FOLDER)
        except OSError as error:
            if error.errno not in _GONE:
                raise
        else:
            try:
                for name, state in _listed(number):
                    found.setdefault(name, _numbers(state))
            finally:
                os.close(number)
        for name, numbers in found.items():
            if name not in entries and name not in hidden:
                entries[name] = numbers
                self.inherited.add(folder.child_path(name))

    # --- ignore files ---------------------------------------------------------------------------------------

    def _rules_moved(self, path: bytes) -> bool:
        """Whether the `.gitignore` of a folder that was there before says something else now."""
        text = self._texts.get(path)
        if text is None or text == self._text_below(path, self._workspace):
            return False
        was = self._lookup.item(path) if path else None
        return not path or (was is not None and was.kind == "dir") or os.path.isdir(self._workspace + b"/" + path)

    def _ignore_text(self, path: bytes) -> bytes:
        text = self._texts.get(path)
        if text is not None or path in self.fresh:
            return text or b""
        return self._text_below(path, self._lower)

    def _text_below(self, path: bytes, root: bytes) -> bytes:
        name = path + b"/" + _GITIGNORE if path else _GITIGNORE
        item = self._lookup.item(name)
        if item is not None:
            return self._reader.blob(item.oid) if item.kind == "file" else b""
        return read_ignore_file(root + b"/" + name)

    def _decide(self, unknown: list[tuple[Folder, int]]) -> None:
        """As every walk's. What was captured as a file stays so where no ignore file moved."""
        for folder, index in unknown:
            path = folder.child_path(folder.names[index])
            if stat.S_ISDIR(folder.numbers[index * 5]):
                self._rules.folders.add(path)
            elif not folder.stale and folder.path not in self.fresh:
                was = self._lookup.item(path)
                if was is not None and was.kind != "dir":
                    self._rules.sure.add(path)
        super()._decide(unknown)


def _listed(number: int) -> list[tuple[bytes, os.stat_result]]:
    found = []
    with os.scandir(number) as listing:
        for entry in listing:
            try:
                found.append((os.fsencode(entry.name), entry.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue
    return found


def _numbers(found: os.stat_result) -> Numbers:
    return (found.st_mode, 0, 0, 0, 0) if stat.S_ISDIR(found.st_mode) else numbers_of(found)


def _numbers_of_item(item: Item) -> Numbers:
    return (_TYPES[item.kind] | item.mode, 0, 0, 0, 0)
