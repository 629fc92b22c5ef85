"""What an attempt did to entries that no checkpoint holds: ignored, excluded, left out.

Owns the list of them for the workspace, and the account of ignored files for the user. What was below an upper
directory is looked up in the workspace. Must not know whiteouts, nor what is captured beyond what it is told.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from gitckpt.errors import Unreadable
from gitckpt.plumbing.content import Item, Lookup
from gitckpt.workspace import kinds
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.rules import QUIET_CACHES, Matcher
from gitckpt.workspace.snapshot import MENTIONED, Uncaptured

_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Unseen:
    """Is told what was found, the deepest folders first; `lookup` is the content that the attempt began with."""

    def __init__(self, workspace: Disk, lookup: Lookup, matcher: Matcher) -> None:
        self._workspace = workspace
        self._lookup = lookup
        self._matcher = matcher
        self._paths: set[bytes] = set()
        self._whole: set[bytes] = set()
        self._sizes: dict[bytes, int] = {}

    # --- what is told ---------------------------------------------------------------------------------------

    def has(self, path: bytes, kind: int, size: int) -> None:
        """The attempt made or changed an entry that is not captured."""
        self._paths.add(path)
        self._whole.add(path)
        if kind == kinds.HIDDEN:
            self._sizes[path] = size

    def has_folder(self, path: bytes, mode: int, *, is_fresh: bool) -> None:
        """The attempt's ignored folder holds nothing captured: it counts as one if it is new, or its mode is."""
        was = self._look(path)
        if is_fresh or was is None or not stat.S_ISDIR(was.st_mode) or was.st_mode != mode:
            self._paths.add(path)
            self._whole.add(path)

    def hid(self, path: bytes, was: Item | None) -> None:
        """The attempt removed what was at `path`."""
        if was is None:
            self._gone(path)
        elif was.kind == "dir":
            self._leftovers(path, _nothing)

    def replaced(self, path: bytes, names: Callable[[bytes], set[bytes] | None]) -> None:
        """The attempt made the folder anew; `names` tells what it has there and below."""
        self._leftovers(path, names)

    def replaced_folder(self, path: bytes) -> None:
        """The attempt has something that is no folder at `path`."""
        found = self._look(path)
        if found is not None and stat.S_ISDIR(found.st_mode):
            self._leftovers(path, _nothing)

    # --- what was in the workspace and is gone --------------------------------------------------------------

    def _leftovers(self, path: bytes, names: Callable[[bytes], set[bytes] | None]) -> None:
        """Entries of the workspace's folder that neither the content nor the attempt has."""
        todo = [path]
        while todo:
            folder = todo.pop()
            held = names(folder) or set()
            known = self._lookup.children(folder)
            for name, is_folder in self._listed(folder):
                at = folder + b"/" + name if folder else name
                if name in held:
                    if is_folder and names(at) is not None:
                        todo.append(at)
                elif name not in known:
                    self._gone(at)
                elif is_folder and known[name].kind == "dir":
                    todo.append(at)

    def _gone(self, path: bytes) -> None:
        """Something that was not captured is gone: it and all below it."""
        self._paths.add(path)
        self._whole.add(path)
        found = self._look(path)
        if found is None or not stat.S_ISDIR(found.st_mode):
            if found is None or not (stat.S_ISSOCK(found.st_mode) or stat.S_ISCHR(found.st_mode)):
                self._count(path)
            return
        todo = [path]
        while todo:
            folder = todo.pop()
            if folder.rpartition(b"/")[2] in QUIET_CACHES:
                continue
            for name, is_folder in self._listed(folder):
                if is_folder:
                    todo.append(folder + b"/" + name)
                else:
                    self._count(folder + b"/" + name)

    def _count(self, path: bytes) -> None:
        if not self._matcher.excluded(path) and not self._matcher.secret_by_name(path):
            self._sizes.setdefault(path, 0)

    def _listed(self, folder: bytes) -> list[tuple[bytes, bool]]:
        own = (".git", ".gitckpt") if not folder else ()
        try:
            # What is a folder in the view may be a link in the workspace, which leads elsewhere.
            parent, name = self._workspace.place(folder)
            number = os.open(name or b".", _LIST, dir_fd=parent)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return []
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return []
        try:
            with os.scandir(number) as found:
                return [
                    (os.fsencode(each.name), each.is_dir(follow_symlinks=False))
                    for each in found
                    if each.name not in own
                ]
        finally:
            os.close(number)

    def _look(self, path: bytes) -> os.stat_result | None:
        """As `Disk.look`; None, too, in a folder that its own user may not enter: nothing in there was of use to it."""
        try:
            return self._workspace.look(path)
        except Unreadable:
            return None

    # --- the answers ----------------------------------------------------------------------------------------

    def hidden(self) -> tuple[bytes, ...]:
        """The paths for the workspace, none below a folder that counts as a whole."""
        return tuple(path for path in sorted(self._paths) if not any(above in self._whole for above in _above(path)))

    def uncaptured(self) -> Uncaptured:
        """The ignored files that are new, changed or gone."""
        paths = sorted(self._sizes)
        return Uncaptured(paths=tuple(paths[:MENTIONED]), count=len(paths), size=sum(self._sizes.values()))


def _nothing(_path: bytes) -> set[bytes] | None:
    return None


def _above(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    return [b"/".join(parts[:depth]) for depth in range(1, len(parts))]
