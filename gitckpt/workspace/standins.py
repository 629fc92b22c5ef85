"""What stands in a copy of a workspace for what is not captured: links to the workspace's own entries.

Owns which entry is a link, which a copy, and which a folder of links. In git's eyes the copy must look as the workspace
does, for a phase may commit there: what git tracks is copied, and where a rule hides a folder but would not hide a link
to it (`build/`), a folder is made whose children are links. Must not know what the content holds beyond its paths.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gitckpt.plumbing.content import Item
from gitckpt.plumbing.gitfile import tracked_paths
from gitckpt.plumbing.ignore import Ignore
from gitckpt.plumbing.repository import Repository
from gitckpt.workspace import kinds
from gitckpt.workspace.capture import Numbers, numbers_of
from gitckpt.workspace.cloning import Cloner
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.rules import Matcher
from gitckpt.workspace.walk import Folder

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_BY_GIT = frozenset({b".gitignore", b".gitattributes"})
"""Files that git does not read through a link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIns:
    """Paths, as seen from the repository's top: symlinks to the same path there, copies as they were when made, and
    the folders that were made only to hold such.
    """

    links: frozenset[bytes] = frozenset()
    copies: Mapping[bytes, Numbers] = field(default_factory=dict)
    folders: frozenset[bytes] = frozenset()


@dataclass(slots=True)
class Plan:
    """What to make, parents before children: folders and copies with their stats in the workspace, and links."""

    folders: dict[bytes, os.stat_result] = field(default_factory=dict)
    copies: dict[bytes, os.stat_result] = field(default_factory=dict)
    links: list[bytes] = field(default_factory=list)


def uncaptured_entries(
    folders: Iterable[Folder], items: Mapping[bytes, Item], matcher: Matcher
) -> tuple[list[bytes], list[bytes]]:
    """The topmost entries of a walk that are not captured and lie in folders of the content, and the folders that must
    be made although the content has none: a phase may make a file there that is captured.
    """
    real = {b"", *(path for path, item in items.items() if item.kind == "dir")}
    found: list[bytes] = []
    made: list[bytes] = []
    everywhere = matcher.reaches_everywhere
    for folder in folders:
        if folder.path not in real:
            continue
        for name, kind in zip(folder.names, folder.kinds, strict=True):
            path = folder.child_path(name)
            if path in items:
                continue
            if kind == kinds.HIDDEN_FOLDER and everywhere:
                real.add(path)
                made.append(path)
            elif kind in kinds.NEVER_HELD or kind == kinds.HIDDEN_FOLDER:
                found.append(path)
    return found, made


def plan_stand_ins(
    repository: Repository, source: Disk, prefix: bytes, uncaptured: Sequence[bytes], made: Sequence[bytes]
) -> Plan:
    """For entries of the workspace, and for all that lies beside it in the repository. Raises OSError."""
    below = prefix + b"/" if prefix else b""
    top = os.fsencode(repository.top)
    plan = Plan()
    for path in made:
        found = source.look(below + path)
        if found is not None:
            plan.folders[below + path] = found
    waiting = [below + path for path in uncaptured] + list(_beside(top, prefix))
    if not waiting:
        return plan
    tracked = tracked_paths(repository)
    holding = {path[:at] for path in tracked for at in range(len(path)) if path[at : at + 1] == b"/"}
    while waiting:
        path = waiting.pop()
        found = source.look(path)
        if found is None:
            continue
        as_git_sees = path in tracked or path.rpartition(b"/")[2] in _READ_BY_GIT
        if stat.S_ISDIR(found.st_mode) and path in holding:
            plan.folders[path] = found
            waiting += _children(top, path)
        elif as_git_sees and (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
            plan.copies[path] = found
        else:
            plan.links.append(path)
    return plan


def _beside(top: bytes, prefix: bytes) -> Iterator[bytes]:
    parts = prefix.split(b"/") if prefix else []
    for depth, part in enumerate(parts):
        level = b"/".join(parts[:depth])
        yield from (path for path in _children(top, level) if path.rpartition(b"/")[2] not in (part, b".git"))


def _children(top: bytes, folder: bytes) -> list[bytes]:
    if not folder:
        return os.listdir(top)
    return [folder + b"/" + name for name in os.listdir(top + b"/" + folder)]


def make_stand_ins(repository: Repository, view: Repository, disk: Disk, cloner: Cloner, plan: Plan) -> StandIns:
    """Do what the plan says below `view.top`, the folder of `disk`, which is complete but for these.

    Raises OSError, GitFailed.
    """
    making = _Making(repository.top, disk, cloner)
    for path, found in plan.folders.items():
        making.folder(path, found)
    for path, found in plan.copies.items():
        making.copy(path, found)
    for path in plan.links:
        making.link(path)
    folders = {path: status for path in plan.links if (status := making.linked_folder(path)) is not None}
    for path in _seen_otherwise(repository, view, list(folders)):
        making.open_up(path, folders[path])
    making.set_modes()
    return StandIns(links=frozenset(making.links), copies=making.copies, folders=frozenset(making.folders))


def _seen_otherwise(repository: Repository, view: Repository, folders: list[bytes]) -> list[bytes]:
    """Those of `folders` that git ignores in the workspace, where they are folders, and not in the view as links."""
    if not folders:
        return []
    with Ignore(repository) as there:
        hidden = [path for path, yes in zip(folders, there.ignored(folders), strict=True) if yes]
    with Ignore(view) as here:
        return [path for path, yes in zip(hidden, here.ignored(hidden), strict=True) if not yes]


class _Making:
    def __init__(self, top: Path, disk: Disk, cloner: Cloner) -> None:
        self._top = os.fsencode(top)
        self._disk = disk
        self._cloner = cloner
        self.links: set[bytes] = set()
        self.copies: dict[bytes, Numbers] = {}
        self.folders: dict[bytes, int] = {}

    def folder(self, path: bytes, found: os.stat_result) -> None:
        self._disk.make_folder(path, 0o700)
        self.folders[path] = stat.S_IMODE(found.st_mode) & 0o1777

    def link(self, path: bytes) -> None:
        parent, name = self._disk.place(path)
        os.symlink(self._top + b"/" + path, name, dir_fd=parent)
        self.links.add(path)

    def copy(self, path: bytes, found: os.stat_result) -> None:
        parent, name = self._disk.place(path)
        if stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(self._top + b"/" + path), name, dir_fd=parent)
        else:
            number = os.open(name, _CREATE, 0o600, dir_fd=parent)
            try:
                whole = self._cloner.fill(path, numbers_of(found), number)
                os.fchmod(number, stat.S_IMODE(found.st_mode) & 0o1777)
            finally:
                os.close(number)
            if not whole:
                # Changed this very moment, or not ours to read.
                os.unlink(name, dir_fd=parent)
                self.link(path)
                return
        self.copies[path] = numbers_of(os.stat(name, dir_fd=parent, follow_symlinks=False))

    def linked_folder(self, path: bytes) -> os.stat_result | None:
        try:
            found = os.lstat(self._top + b"/" + path)
        except OSError:
            return None
        return found if stat.S_ISDIR(found.st_mode) else None

    def open_up(self, path: bytes, found: os.stat_result) -> None:
        """A folder of links in place of a link to the folder."""
        parent, name = self._disk.place(path)
        os.unlink(name, dir_fd=parent)
        self.links.remove(path)
        self.folder(path, found)
        for child in _children(self._top, path):
            self.link(child)

    def set_modes(self) -> None:
        for path in sorted(self.folders, reverse=True):
            self._disk.set_mode(path, self.folders[path])


def altered(view: Path, repository: Repository, made: StandIns) -> frozenset[bytes]:
    """The stand-ins that are no longer what they were made as, or not there."""
    top, folder = os.fsencode(repository.top), os.fsencode(view)
    changed = {path for path in made.links if _target(folder + b"/" + path) != top + b"/" + path}
    changed |= {path for path, numbers in made.copies.items() if _numbers(folder + b"/" + path) != numbers}
    return frozenset(changed)


def strangers(view: Path, made: StandIns, folder: bytes) -> Iterator[bytes]:
    """What is in a folder of stand-ins that was not made there."""
    try:
        children = _children(os.fsencode(view), folder)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    for child in children:
        if child in made.folders:
            yield from strangers(view, made, child)
        elif child not in made.links and child not in made.copies:
            yield child


def inside(made: StandIns, prefix: bytes) -> StandIns:
    """Those in the workspace, as seen from its root."""
    if not prefix:
        return made
    cut = len(prefix) + 1
    return replace(
        made,
        links=frozenset(path[cut:] for path in made.links if path.startswith(prefix + b"/")),
        copies={path[cut:]: each for path, each in made.copies.items() if path.startswith(prefix + b"/")},
        folders=frozenset(path[cut:] for path in made.folders if path.startswith(prefix + b"/")),
    )


def _target(path: bytes) -> bytes | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _numbers(path: bytes) -> Numbers | None:
    try:
        return numbers_of(os.lstat(path))
    except OSError:
        return None
