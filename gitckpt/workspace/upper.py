"""What an attempt changed, read from the upper directory of its overlay: at the cost of what changed.

Owns the meaning of what lies there, as changes of the content that the attempt began with: the same that a snapshot of
what the attempt saw would give. Must not know how the overlay was mounted, nor bring anything to the workspace.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from gitckpt.plumbing.content import MODE_BITS, Change, Content, Defaults, Item, Lookup
from gitckpt.plumbing.objects import refusable
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository
from gitckpt.workspace import kinds
from gitckpt.workspace.capture import Capture, Gone
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.rules import CaptureRules, Matcher
from gitckpt.workspace.scan import ViewScan
from gitckpt.workspace.snapshot import LeftOut
from gitckpt.workspace.statcache import FIELDS
from gitckpt.workspace.unseen import Unseen
from gitckpt.workspace.view_walk import ViewWalk
from gitckpt.workspace.walk import VERBATIM, Folder


@dataclass(frozen=True, slots=True, kw_only=True)
class UpperScan(ViewScan):
    """As every ViewScan. `moved_rules`: a `.gitignore` of a folder that was there before says something else now."""

    moved_rules: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One listed entry; `known` is what the content had there."""

    path: bytes
    name: bytes
    kind: int
    mode: int
    size: int
    inherited: bool
    known: Item | None


def scan(
    *,
    upper: Path,
    seen: Path | None,
    start: Content,
    repository: Repository,
    prefix: bytes,
    rules: CaptureRules,
    pack: Pack,
    reader: Reader,
    defaults: Defaults,
) -> UpperScan:
    """Compare the upper directory with the content `start`; new blobs go into `pack`.

    `seen` is the view's root as we can read it, None or gone for a view that is no longer mounted: then what shows
    through is taken from the workspace (`prefix` below the repository's top). Raises Unreadable, PackFailed, GitFailed,
    ObjectUnreadable, NoScratch.
    """
    workspace = repository.top / os.fsdecode(prefix)
    lower = seen if seen is not None and seen.is_dir() else workspace
    matcher = Matcher(rules)
    lookup = Lookup(reader, start)
    walk = ViewWalk(
        upper=upper,
        lower=lower,
        workspace=workspace,
        repository=repository,
        prefix=prefix,
        matcher=matcher,
        lookup=lookup,
        reader=reader,
    )
    with ExitStack() as opened:
        own, below = (
            Capture(
                disk=opened.enter_context(Disk(place)),
                pack=pack,
                matcher=matcher,
                object_format=repository.object_format,
                default_file=defaults.file,
                reader=reader,
            )
            for place in (upper, lower)
        )
        unseen = Unseen(opened.enter_context(Disk(workspace)), lookup, matcher)
        return _Scanning(walk, lookup, own, below, unseen).result()


@dataclass(slots=True)
class _Found:
    """What comes together: new items, and what of the content is not there any more unless it is new again."""

    new: dict[bytes, Item] = field(default_factory=dict)
    covered: set[bytes] = field(default_factory=set)
    unstable: list[bytes] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    not_kept: list[bytes] = field(default_factory=list)
    dates: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    names: dict[int, list[bytes]] = field(default_factory=dict)


class _Scanning:
    """One walk put together, the deepest folders first."""

    def __init__(self, walk: ViewWalk, lookup: Lookup, own: Capture, below: Capture, unseen: Unseen) -> None:
        self._walk = walk
        self._lookup = lookup
        self._own = own
        self._below = below
        self._unseen = unseen
        self._found = _Found()
        # Folders in which something is captured or named; and those where the upper directory itself has such.
        self._holding: set[bytes] = set()
        self._present = {folder.path: folder for folder in walk.folders}

    def result(self) -> UpperScan:
        self._cover()
        for folder in reversed(self._walk.folders):
            for entry in self._entries(folder):
                self._enter(folder, entry)
        found = self._found
        changes = []
        for path in sorted(found.covered | found.new.keys()):
            old, new = self._lookup.item(path), found.new.get(path)
            if old != new:
                changes.append(Change(path=path, old=old, new=new))
        return UpperScan(
            changes=tuple(changes),
            unstable=tuple(sorted(found.unstable)),
            left_out=tuple(sorted(found.left_out, key=lambda each: each.path)),
            not_kept=tuple(sorted(found.not_kept)),
            uncaptured=self._unseen.uncaptured(),
            hidden=self._unseen.hidden(),
            dates=found.dates,
            links=tuple(tuple(sorted(names)) for names in found.names.values() if len(names) > 1),
            moved_rules=any(folder.stale for folder in self._walk.folders),
        )

    # --- what is not there any more -------------------------------------------------------------------------

    def _cover(self) -> None:
        """Everything of the content that the upper directory hides, or about which is decided anew."""
        for path in self._walk.whiteouts:
            was = self._lookup.item(path)
            self._cover_at(path)
            self._unseen.hid(path, was)
        for path in self._walk.opaque:
            self._cover_below(path)
            self._unseen.replaced(path, self._held_names)
        for folder in self._walk.folders:
            if folder.stale and (folder.parent is None or not folder.parent.stale):
                self._cover_below(folder.path)

    def _held_names(self, path: bytes) -> set[bytes] | None:
        """The names that the upper directory has in a folder; None where it has no folder that was looked into."""
        folder = self._present.get(path)
        return None if folder is None else set(folder.names)

    def _cover_at(self, path: bytes) -> None:
        was = self._lookup.item(path)
        if was is not None:
            self._found.covered.add(path)
            if was.kind == "dir":
                self._cover_below(path)

    def _cover_below(self, path: bytes) -> None:
        self._found.covered.update(below for below, _ in self._lookup.below(path))

    # --- one entry ------------------------------------------------------------------------------------------

    def _entries(self, folder: Folder) -> list[_Entry]:
        found = []
        for index, name in enumerate(folder.names):
            path, at = folder.child_path(name), index * FIELDS
            found.append(
                _Entry(
                    path=path,
                    name=name,
                    kind=folder.kinds[index],
                    mode=folder.numbers[at],
                    size=folder.numbers[at + 2],
                    inherited=path in self._walk.inherited,
                    known=self._lookup.item(path),
                )
            )
        return found

    def _enter(self, folder: Folder, entry: _Entry) -> None:
        kind = entry.kind
        if kind in kinds.WALKED:
            self._folder(folder, entry)
            return
        if not entry.inherited:
            self._cover_at(entry.path)
            if not stat.S_ISDIR(entry.mode):
                self._unseen.replaced_folder(entry.path)
        if kind in (kinds.FILE, kinds.LINK):
            self._file(folder, entry)
        elif kind == kinds.FIFO:
            self._hold(folder, entry.path, Item(kind="fifo", mode=entry.mode & MODE_BITS))
        elif kind in kinds.NOT_KEPT:
            if not entry.inherited:
                self._found.not_kept.append(entry.path)
            if folder.zone != VERBATIM and not refusable(entry.name):
                self._holding.add(folder.path)
        elif not entry.inherited:
            if kind in kinds.LEFT_OUT:
                self._found.left_out.append(LeftOut(entry.path, kinds.LEFT_OUT[kind]))
            self._unseen.has(entry.path, kind, entry.size)

    def _hold(self, folder: Folder, path: bytes, item: Item) -> None:
        self._found.new[path] = item
        self._holding.add(folder.path)

    def _file(self, folder: Folder, entry: _Entry) -> None:
        known = entry.known
        was = "file" if entry.kind == kinds.FILE else "link"
        same_kind = known if known is not None and known.kind == was else None
        if entry.inherited and same_kind is not None:
            self._hold(folder, entry.path, same_kind)
            return
        source = self._below if entry.inherited else self._own
        read = source.link if entry.kind == kinds.LINK else source.file
        try:
            captured = read(entry.path, same_kind.oid if same_kind is not None else b"")
        except Gone:
            return
        if not captured.oid:
            if not entry.inherited:
                self._found.left_out.append(LeftOut(entry.path, kinds.LEFT_OUT[captured.kind]))
                self._unseen.has(entry.path, captured.kind, entry.size)
            return
        if not captured.stable:
            self._found.unstable.append(entry.path)
        if not entry.inherited:
            self._found.dates[entry.path] = (captured.oid, captured.numbers[3])
            self._found.names.setdefault(captured.numbers[1], []).append(entry.path)
        mode = 0 if captured.kind == kinds.LINK else captured.numbers[0] & MODE_BITS
        item = Item(kind="link" if captured.kind == kinds.LINK else "file", mode=mode, oid=captured.oid)
        self._hold(folder, entry.path, item)

    def _folder(self, parent: Folder, entry: _Entry) -> None:
        path = entry.path
        folder = self._present.get(path)
        if folder is None:
            # It went, or is an ignored one that cannot be read.
            if not entry.inherited:
                self._cover_at(path)
                self._unseen.has(path, entry.kind, 0)
            return
        if not entry.inherited and entry.known is not None and entry.known.kind != "dir":
            self._found.covered.add(path)
        if entry.kind != kinds.HIDDEN_FOLDER or path in self._holding:
            self._hold(parent, path, Item(kind="dir", mode=entry.mode & MODE_BITS))
            return
        self._found.covered.add(path)
        if not entry.inherited:
            self._unseen.has_folder(path, entry.mode, is_fresh=path in self._walk.fresh)
