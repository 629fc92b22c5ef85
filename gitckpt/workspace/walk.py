"""The walk: one pass over the names and stats of a workspace, level by level, deciding what each entry is.

Owns listing, the comparison with the stat cache, and the decisions. Reads no file and writes nothing; must
not know objects or packs.
"""

from __future__ import annotations

import errno
import os
import stat
from array import array
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from gitckpt.errors import LIMITS, Unreadable
from gitckpt.model.names import LIVE_FOLDER
from gitckpt.plumbing.content import Lookup
from gitckpt.plumbing.ignore import agreed
from gitckpt.plumbing.objects import refusable
from gitckpt.plumbing.repository import Repository
from gitckpt.workspace import kinds
from gitckpt.workspace.hiding import Hiding
from gitckpt.workspace.rules import QUIET_CACHES, Matcher
from gitckpt.workspace.statcache import FIELDS, Escaped, Record, StatCache, pack_stats, split_names

CAPTURED = 0
"""Zone of an ordinary folder."""
HIDDEN = 1
"""Zone inside a folder that git ignores: only what the rules bring in, or the index holds, is captured."""
VERBATIM = 2
"""Zone below a name git could refuse, such as a nested `.git`: captured whole."""

_GITIGNORE = b".gitignore"
_WITNESSES = (kinds.HIDDEN_FOLDER, kinds.QUIET, kinds.HIDDEN)
_SHALLOW = 16
"""Git 2.39 crashes where it has been 24 folders deep and then names the rule of a folder far above."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TYPES = {
    stat.S_IFREG: kinds.FILE,
    stat.S_IFLNK: kinds.LINK,
    stat.S_IFDIR: kinds.FOLDER,
    stat.S_IFIFO: kinds.FIFO,
    stat.S_IFSOCK: kinds.SOCKET,
}


class Folder:
    """One directory of the walk, and later what the snapshot made of it. Lists run in parallel, in listing
    order.
    """

    __slots__ = (
        "children", "escaped", "extra", "files", "kinds", "mode", "name", "names", "numbers", "oids",
        "parent", "path", "record", "reused", "same", "size", "stale", "tree", "trusted", "view", "was", "zone",
    )  # fmt: skip

    def __init__(self, path: bytes, zone: int, record: Record | None) -> None:
        self.path = path
        self.zone = zone
        self.record = record
        self.parent: Folder | None = None
        self.name = b""
        self.mode = 0
        self.stale = False
        self.same = False
        self.names: list[bytes] = []
        self.numbers: list[int] = []
        self.kinds = bytearray()
        # The kinds at the last scan, UNDECIDED for what was not there; empty where none is needed.
        self.was = bytearray()
        self.oids: list[bytes] = []
        self.children: list[Folder] = []
        # What the snapshot makes of the folder; `files` is -1 while it has not been listed.
        self.view = (b"", b"")
        self.trusted = False
        self.reused = False
        self.tree = b""
        self.extra = b""
        self.escaped: list[Escaped] = []
        self.files = -1
        self.size = 0

    def child_path(self, name: bytes) -> bytes:
        """The path of an entry, relative to the workspace's root."""
        return self.path + b"/" + name if self.path else name

    def witness(self) -> bytes | None:
        """The path of an entry that is decided to be ignored, if there is one."""
        places = (self.kinds.find(kind) for kind in _WITNESSES)
        return next((self.child_path(self.names[place]) for place in places if place >= 0), None)


class Walk:
    """The folders of one walk, parents before children, and the basis its decisions rest on.

    The entries named by `skipped`, by folder, count as not there. What is `held` already stays captured although git
    ignores it by now; `only_held` are the paths that are captured for no other reason. `linked`: the names that each
    file with several has here.
    """

    def __init__(
        self,
        *,
        root: Path,
        repository: Repository,
        prefix: bytes,
        matcher: Matcher,
        cache: StatCache,
        key: bytes,
        held: Lookup | None = None,
        skipped: Mapping[bytes, frozenset[str]] = MappingProxyType({}),
    ) -> None:
        self._root = os.fsencode(root)
        self._skipped = _own_places(root, repository, prefix)
        for folder, names in skipped.items():
            self._skipped[folder] = self._skipped.get(folder, frozenset()) | names
        self._matcher = matcher
        self._cache = cache
        self._blank = bytes(cache.width)
        self._held = held
        self._was_held = _by_folder(cache.held)
        self.only_held: set[bytes] = set()
        self.linked: dict[tuple[int, int], list[bytes]] = {}
        self.folders: list[Folder] = []
        with Hiding(repository, prefix, cache.basis) as hiding:
            self._hiding = hiding
            self.basis = hiding.basis
            self._run(stale=hiding.stale or cache.key != key)

    def _run(self, *, stale: bool) -> None:
        top = Folder(b"", CAPTURED, self._cache.folders.get(b""))
        top.stale = stale
        level = [top]
        while level:
            unknown: list[tuple[Folder, int]] = []
            present = [folder for folder in level if self._list(folder, unknown)]
            self._decide(unknown)
            self.folders += present
            level = []
            for folder in present:
                self._descend(folder)
                level += folder.children

    # --- one folder -----------------------------------------------------------------------------------------

    def _list(self, folder: Folder, unknown: list[tuple[Folder, int]]) -> bool:
        """List one folder; False when it has gone, or cannot be read and need not be."""
        try:
            joined, folder.numbers = self._scan(folder.path)
        except OSError as error:
            gone = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP) and folder.path
            if gone or (folder.zone == HIDDEN and error.errno not in LIMITS):
                return False
            raise Unreadable(folder.path, os.strerror(error.errno or 0)) from None
        folder.names = split_names(joined)
        record = folder.record
        stats = pack_stats(folder.numbers)
        if record is None:
            self._all_new(folder, unknown)
        elif record.stats == stats and record.names == joined:
            folder.kinds = bytearray(record.kinds)
            folder.same = not folder.stale and not record.dirty and record.settled
            if not folder.same:
                self._merge(folder, record, unknown)
        else:
            self._merge(folder, record, unknown)
        self._check_held(folder, unknown)
        return True

    def _check_held(self, folder: Folder, unknown: list[tuple[Folder, int]]) -> None:
        """What is held now is told by the content, never by the cache: that may be of another checkpoint."""
        names = self._was_held.get(folder.path, set())
        if not names and (kinds.HIDDEN_FOLDER not in folder.kinds or not self._may_hold(folder)):
            return
        wrong = []
        for index, name in enumerate(folder.names):
            kind = folder.kinds[index]
            if kind == kinds.UNDECIDED or (name not in names and kind != kinds.HIDDEN_FOLDER):
                continue
            path = folder.child_path(name)
            if self._is_held(path, folder.numbers[index * FIELDS]) != (name in names):
                wrong.append(index)
            elif name in names:
                self.only_held.add(path)
        if wrong and folder.same and folder.record is not None:
            folder.same = False
            self._merge(folder, folder.record, unknown)
        for index in wrong:
            if folder.kinds[index] != kinds.UNDECIDED:
                folder.kinds[index] = kinds.UNDECIDED
                unknown.append((folder, index))

    def _scan(self, path: bytes) -> tuple[bytes, list[int]]:
        """The names of a folder, joined by slashes, and the numbers of each. Through a descriptor: 15 %
        faster.
        """
        names: list[str] = []
        numbers: list[int] = []
        add, extend = names.append, numbers.extend
        skipped = self._skipped.get(path)
        opened = os.open(self._root + b"/" + path if path else self._root, _FOLDER)
        try:
            with os.scandir(opened) as listing:
                for entry in listing:
                    name = entry.name
                    if skipped is not None and name in skipped:
                        continue
                    try:
                        found = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    mode = found.st_mode
                    if mode & 0o170000 == 0o040000:
                        extend((mode, 0, 0, 0, 0))
                    else:
                        extend((mode, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
                        if found.st_nlink > 1:
                            self._note_link(found, path, name)
                    add(name)
        finally:
            os.close(opened)
        return os.fsencode("/".join(names)), numbers

    def _note_link(self, found: os.stat_result, folder: bytes, name: str) -> None:
        path = folder + b"/" + os.fsencode(name) if folder else os.fsencode(name)
        self.linked.setdefault((found.st_dev, found.st_ino), []).append(path)

    def _all_new(self, folder: Folder, unknown: list[tuple[Folder, int]]) -> None:
        count = len(folder.names)
        folder.kinds = bytearray(count)
        folder.oids = [b""] * count
        unknown += [(folder, index) for index in range(count)]

    def _merge(self, folder: Folder, record: Record, unknown: list[tuple[Folder, int]]) -> None:
        """Take over what the cache still knows, entry by entry."""
        width = self._cache.width
        old = {name: index for index, name in enumerate(split_names(record.names))}
        before = array("q")
        before.frombytes(record.stats)
        dirty = set(record.dirty)
        numbers, blank = folder.numbers, self._blank
        if _GITIGNORE in old or _GITIGNORE in folder.names:
            folder.stale = folder.stale or _rules_changed(folder, old, before, dirty)
        folder.kinds = bytearray(len(folder.names))
        folder.was = bytearray(len(folder.names))
        folder.oids = [b""] * len(folder.names)
        for index, name in enumerate(folder.names):
            was = old.get(name)
            if was is None:
                unknown.append((folder, index))
                continue
            at, then = index * FIELDS, was * FIELDS
            kind = folder.was[index] = record.kinds[was]
            unchanged = was not in dirty and before[then : then + FIELDS].tolist() == numbers[at : at + FIELDS]
            oid = record.oids[was * width : was * width + width]
            if unchanged:
                folder.oids[index] = oid if oid != blank else b""
            elif kind in kinds.HELD and oid != blank and before[then + 3] != numbers[at + 3]:
                self._cache.displaced.append((folder.child_path(name), oid, before[then + 3]))
            if folder.stale or not _decision_holds(kind, numbers[at] ^ before[then], unchanged):
                unknown.append((folder, index))
            else:
                folder.kinds[index] = kind
        for name in old.keys() - set(folder.names):
            was = old[name]
            if record.kinds[was] in kinds.HELD:
                self._cache.displace(folder.path, name, record.entry(was, width, ()))

    # --- decisions ------------------------------------------------------------------------------------------

    def _decide(self, unknown: list[tuple[Folder, int]]) -> None:
        """Decide the new entries of one level; git is asked about all of them in one batch."""
        asked = [
            (folder, index)
            for folder, index in unknown
            if folder.zone == CAPTURED and not refusable(folder.names[index])
        ]
        hidden = {(id(folder), index) for (folder, index), yes in zip(asked, self._answers(asked), strict=True) if yes}
        for folder, index in unknown:
            ignored = folder.zone == HIDDEN or (id(folder), index) in hidden
            decide = self._decide_ignored if ignored else self._decide_seen
            kind = folder.kinds[index] = self._unless_excluded(folder, index, decide)
            if kind == kinds.FILE and self._bytes_decide(folder.child_path(folder.names[index])):
                # Whether it is left out shows only when it is read: a cached id must not spare that.
                folder.oids[index] = b""

    def _answers(self, asked: list[tuple[Folder, int]]) -> list[bool]:
        """Which of the entries git ignores. An answer that hides or shows what the last scan saw otherwise is doubted:
        git may have failed to read an ignore file, and goes on without it."""
        paths = [folder.child_path(folder.names[index]) for folder, index in asked]
        count = len(paths)
        paths += _witnesses(folder for folder, _ in asked)
        answers = self._hiding.ignored(paths)
        if not all(answers[count:]) or any(
            self._turned(folder, index, yes) for (folder, index), yes in zip(asked, answers, strict=False)
        ):
            answers = agreed(answers, lambda: self._hiding.ignored_afresh(paths))
        return answers[:count]

    def _turned(self, folder: Folder, index: int, ignored: bool) -> bool:  # noqa: FBT001 - a fact, not a choice
        was = folder.was[index] if folder.was else kinds.UNDECIDED
        if was in kinds.IGNORED or not ignored:
            return was in kinds.IGNORED and not ignored
        if was in (kinds.UNDECIDED, kinds.EXCLUDED):
            return False
        path = folder.child_path(folder.names[index])
        asked = path + b"/" if stat.S_ISDIR(folder.numbers[index * FIELDS]) else path
        return not (path in self._cache.held or self._hiding.tracked(path) or self._matcher.brought_in(asked))

    def _unless_excluded(self, folder: Folder, index: int, decide: Callable[[bytes, bytes, int], int]) -> int:
        name, mode = folder.names[index], folder.numbers[index * FIELDS]
        path = folder.child_path(name)
        asked = path + b"/" if stat.S_ISDIR(mode) else path
        return kinds.EXCLUDED if self._matcher.excluded(asked) else decide(path, name, mode)

    def _decide_ignored(self, path: bytes, name: bytes, mode: int) -> int:
        folder = stat.S_ISDIR(mode)
        if self._matcher.brought_in(path + b"/" if folder else path):
            return self._decide_seen(path, name, mode)
        if not folder:
            counts = self._hiding.tracked(path) or self._counts_as_held(path, mode)
            return self._decide_seen(path, name, mode) if counts else kinds.HIDDEN
        if not refusable(name):
            leads = self._matcher.leads(path) or self._hiding.tracked(path)
            if leads or self._counts_as_held(path, mode):
                # By its name alone, never by what it holds now: so it is there again after a restore.
                return kinds.WAY
        if name in QUIET_CACHES and not self._hiding.tracked(path) and not self._matcher.looks_into(name):
            return kinds.QUIET
        return kinds.HIDDEN_FOLDER

    def _counts_as_held(self, path: bytes, mode: int) -> bool:
        if not self._is_held(path, mode):
            return False
        self.only_held.add(path)
        return True

    def _may_hold(self, folder: Folder) -> bool:
        return self._held is not None and (not folder.path or self._held.item(folder.path) is not None)

    def _is_held(self, path: bytes, mode: int) -> bool:
        """Whether the held content has something of that sort there: a folder, or anything else."""
        item = self._held.item(path) if self._held is not None else None
        return item is not None and (item.kind == "dir") == stat.S_ISDIR(mode)

    def _decide_seen(self, path: bytes, _name: bytes, mode: int) -> int:
        kind = _TYPES.get(stat.S_IFMT(mode), kinds.DEVICE)
        if kind == kinds.FILE and self._matcher.secret_by_name(path):
            return kinds.SECRET_NAME
        return kind

    def _bytes_decide(self, path: bytes) -> bool:
        return self._matcher.may_hold_key(path) or self._matcher.secret_by_mode(path)

    def _descend(self, folder: Folder) -> None:
        record = folder.record
        if folder.same and record is not None:
            indexes = record.folders
        else:
            walked = kinds.WALKED
            indexes = [index for index, kind in enumerate(folder.kinds) if kind in walked]
        for index in indexes:
            name = folder.names[index]
            if folder.zone == VERBATIM or (folder.kinds[index] == kinds.FOLDER and refusable(name)):
                zone = VERBATIM
            else:
                zone = HIDDEN if folder.kinds[index] in (kinds.HIDDEN_FOLDER, kinds.WAY) else CAPTURED
            path = folder.child_path(name)
            child = Folder(path, zone, self._cache.folders.get(path))
            child.parent, child.name, child.mode = folder, name, folder.numbers[index * FIELDS]
            child.stale = folder.stale
            folder.children.append(child)


def _witnesses(folders: Iterable[Folder]) -> list[bytes]:
    """Of each folder and those above it, one entry that is known to be ignored: if git says that it is not, it has not
    read what ignores it."""
    found: dict[bytes, bytes | None] = {}
    for folder in folders:
        at: Folder | None = folder if folder.path.count(b"/") < _SHALLOW else None
        while at is not None and at.path not in found:
            found[at.path] = at.witness() if at.record is not None else None
            at = at.parent
    return [path for path in found.values() if path is not None]


def _by_folder(paths: Iterable[bytes]) -> dict[bytes, set[bytes]]:
    found: dict[bytes, set[bytes]] = {}
    for path in paths:
        folder, _, name = path.rpartition(b"/")
        found.setdefault(folder, set()).add(name)
    return found


def _decision_holds(kind: int, changed_bits: int, unchanged: bool) -> bool:  # noqa: FBT001 - a fact, not a choice
    """Whether a cached decision still stands for an entry whose mode differs in `changed_bits`."""
    if kind == kinds.UNDECIDED or changed_bits & 0o170000:
        return False
    return unchanged or kind not in (kinds.SECRET_MODE, kinds.PRIVATE_KEY, kinds.SECRET_VALUE)


def _rules_changed(folder: Folder, old: dict[bytes, int], before: array[int], dirty: set[int]) -> bool:
    """Whether this folder's own `.gitignore` came, went, changed, or cannot be told."""
    was = old.get(_GITIGNORE)
    if was is None or _GITIGNORE not in folder.names or was in dirty:
        return True
    now = folder.names.index(_GITIGNORE) * FIELDS
    return folder.numbers[now : now + FIELDS] != before[was * FIELDS : was * FIELDS + FIELDS].tolist()


def _own_places(root: Path, repository: Repository, prefix: bytes) -> dict[bytes, frozenset[str]]:
    """Names never captured, by folder: our live folder, and the repository's own git directory."""
    places: dict[bytes, set[str]] = {b"": {LIVE_FOLDER}}
    if not prefix:
        places[b""].add(".git")
    for place in (repository.git_dir, repository.common_dir):
        if place.is_relative_to(root):
            folder, _, name = str(place.relative_to(root)).rpartition("/")
            places.setdefault(os.fsencode(folder), set()).add(name)
    return {folder: frozenset(names) for folder, names in places.items()}
