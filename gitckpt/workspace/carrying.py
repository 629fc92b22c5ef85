"""Entries that no checkpoint holds, brought from a finished view to the workspace, or to a layer of other views.

Owns the way of each: one at a time, under a name of its own first, never through a link, never over what the user
changed meanwhile. Must not know why an entry is not captured.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from gitckpt.workspace.become import naming, require_inside
from gitckpt.workspace.capture import numbers_of, open_to_read
from gitckpt.workspace.cloning import Cloner
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.linking import link_or_copy
from gitckpt.workspace.marks import (
    Silence,
    is_fresh,
    is_whiteout,
    make_whiteout,
    opaque_of,
    said_of,
    set_opaque,
)

_NEW = b".gitckpt-new-"
_CHUNK = 1 << 20
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """Who brought a file: the name of the view, what to call the attempt, when (a ctime); `file` is its inode, size and
    mtime in ns, by which it is known again: the ctime changes when another name of it goes."""

    view: str
    label: str
    at_ns: int
    file: tuple[int, int, int]


class Bringing(Protocol):
    """Who is asked and told while files are brought."""

    def saw(self, path: bytes, found: os.stat_result) -> bool:
        """Whether the view showed what is there now, so that it may be replaced however new it is."""

    def has_placed(self, path: bytes, found: os.stat_result) -> None:
        """It was brought."""


def carry(
    upper: Path, hidden: Sequence[bytes], root: Path, *, since_ns: int | None, bringing: Bringing | None = None
) -> tuple[bytes, ...]:
    """Bring the paths `hidden` of a view's own directory to `root`; those that are gone there go here, too.

    Call it after what is captured has been applied; calling it again, also after a kill, changes nothing more. A file
    is the same one afterwards (a hard link) where that can be, so the view may not run any more. What was changed in
    `root` after `since_ns` (a ctime), and is not what the view `bringing` this saw, is left alone: those paths are the
    answer. With None `root` is a layer: what is gone is hidden by it. Raises CannotRestore, Unreadable.
    """
    with ExitStack() as opened:
        source, target = opened.enter_context(Disk(upper)), opened.enter_context(Disk(root))
        carrying = _Carrying(source, target, since_ns, bringing)
        for path in hidden:
            if since_ns is not None:
                require_inside(root, path)
            with naming(path):
                carrying.bring(path)
        with naming(b""):
            carrying.finish()
    return tuple(sorted(carrying.left))


class _Carrying:
    """One call, path by path."""

    def __init__(self, source: Disk, target: Disk, since_ns: int | None, bringing: Bringing | None) -> None:
        self._source = source
        self._target = target
        self._cloner = Cloner(source)
        self._since_ns = since_ns
        self._bringing = bringing
        self._device = os.fstat(target.folder(b"")).st_dev
        # What folders are to have in the end: those made here, and those opened for the time being.
        self._modes: dict[bytes, int] = {}
        self._done = 0
        self.left: set[bytes] = set()

    def bring(self, path: bytes) -> None:
        """Make the target what the source says of `path`, and of all below it."""
        said = said_of(self._source, path)
        if isinstance(said, Silence):
            if self._way_to(path, "only where it leads"):
                self._remove(path)
                self._remove_emptied(path)
            return
        todo = [(path, said, is_fresh(self._source, path))]
        while todo:
            at, found, fresh = todo.pop()
            if not self._way_to(at, "make what is missing"):
                self.left.add(at)
            elif stat.S_ISDIR(found.st_mode):
                todo += self._folder(at, found, hides_below=fresh)
            else:
                self._entry(at, found)

    def finish(self) -> None:
        """Give folders their modes, and make it all durable."""
        for path in sorted(self._modes, reverse=True):
            found = self._target.look(path)
            if found is not None and stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) != self._modes[path]:
                self._target.set_mode(path, self._modes[path])
        if self._done and self._since_ns is not None:
            self._target.sync()

    # --- folders --------------------------------------------------------------------------------------------

    def _way_to(self, path: bytes, want: Literal["make what is missing", "only where it leads"]) -> bool:
        """Whether the folder that `path` lies in is there, or could be made."""
        parts = path.split(b"/")[:-1]
        for depth in range(1, len(parts) + 1):
            folder = b"/".join(parts[:depth])
            found = self._target.look(folder)
            if found is not None and stat.S_ISDIR(found.st_mode):
                continue
            own = self._source.look(folder)
            if own is None or not stat.S_ISDIR(own.st_mode):
                return False
            if want == "only where it leads" and (found is not None or self._since_ns is not None):
                return False
            if not self._make_folder(folder, found, own):
                return False
        self._open_up(b"/".join(parts))
        return True

    def _make_folder(self, path: bytes, found: os.stat_result | None, own: os.stat_result) -> bool:
        """Make one that is as the source's; False where something newer is in its place."""
        if found is not None:
            if self._is_newer(path, found):
                return False
            parent, name = self._target.place(path)
            os.unlink(name, dir_fd=parent)
        self._open_up(path.rpartition(b"/")[0])
        self._target.make_folder(path, 0o700)
        if found is not None and self._since_ns is None and is_whiteout(found):
            set_opaque(self._target, path)
        self._modes[path] = stat.S_IMODE(own.st_mode)
        self._done += 1
        return True

    def _folder(
        self, path: bytes, own: os.stat_result, *, hides_below: bool
    ) -> list[tuple[bytes, os.stat_result, bool]]:
        """Make or take over a folder; what is in it comes next."""
        found = self._target.look(path)
        if (found is None or not stat.S_ISDIR(found.st_mode)) and not self._make_folder(path, found, own):
            self.left.add(path)
            return []
        self._open_up(path)
        self._modes[path] = stat.S_IMODE(own.st_mode)
        names = {name for name, _ in _listed(self._source, path)}
        is_opaque = opaque_of(self._source, path) == b"y"
        hides_below = hides_below or is_opaque
        if is_opaque and self._since_ns is None:
            set_opaque(self._target, path)
        if hides_below:
            for name, there in _listed(self._target, path):
                if name not in names:
                    self._clear(path + b"/" + name, there)
        below = []
        for name in names:
            at = path + b"/" + name
            said = said_of(self._source, at)
            if isinstance(said, Silence):
                self._remove(at)
            else:
                below.append((at, said, hides_below))
        return below

    def _clear(self, path: bytes, found: os.stat_result) -> None:
        """Remove what is in a folder that hides all below it: a whiteout there would be listed by its name."""
        if self._since_ns is not None:
            self._remove(path)
        elif stat.S_ISDIR(found.st_mode):
            self._remove_folder(path)
        else:
            parent, name = self._target.place(path)
            os.unlink(name, dir_fd=parent)

    def _open_up(self, path: bytes) -> None:
        """Let us change a folder of our own; the superuser needs no right."""
        if not path or os.geteuid() == 0:
            return
        found = self._target.look(path)
        if found is not None and found.st_mode & 0o700 != 0o700:
            self._modes.setdefault(path, stat.S_IMODE(found.st_mode))
            self._target.set_mode(path, stat.S_IMODE(found.st_mode) | 0o700)

    # --- what is no folder ----------------------------------------------------------------------------------

    def _entry(self, path: bytes, own: os.stat_result) -> None:
        if stat.S_ISSOCK(own.st_mode) or stat.S_ISCHR(own.st_mode) or stat.S_ISBLK(own.st_mode):
            return
        found = self._target.look(path)
        if found is not None and self._is_done(path, found, own):
            self._note(path)
            return
        if found is not None and stat.S_ISDIR(found.st_mode):
            if not self._remove(path):
                self.left.add(path)
                return
        elif found is not None and self._is_newer(path, found):
            self.left.add(path)
            return
        # A later try finds the unfinished one by its name.
        digest = base64.b32encode(hashlib.sha256(path).digest())[:16].lower()
        parent, name = self._target.place(path)
        with suppress(FileNotFoundError):
            os.unlink(_NEW + digest, dir_fd=parent)
        link_or_copy(self._cloner, path, own, parent, _NEW + digest)
        os.rename(_NEW + digest, name, src_dir_fd=parent, dst_dir_fd=parent)
        self._done += 1
        self._note(path)

    def _note(self, path: bytes) -> None:
        found = self._target.look(path) if self._bringing is not None else None
        if self._bringing is not None and found is not None:
            self._bringing.has_placed(path, found)

    # --- what goes ------------------------------------------------------------------------------------------

    def _remove(self, path: bytes) -> bool:
        """Remove what is at `path` and below it; False, and what is newer stays and is named."""
        found = self._target.look(path)
        clean = True
        if found is not None and stat.S_ISDIR(found.st_mode):
            clean = self._remove_folder(path)
        elif found is not None and not (self._since_ns is None and is_whiteout(found)):
            clean = not self._is_newer(path, found) or path.rpartition(b"/")[2].startswith(_NEW)
            if clean:
                parent, name = self._target.place(path)
                os.unlink(name, dir_fd=parent)
                self._done += 1
            else:
                self.left.add(path)
        if self._since_ns is None and self._target.look(path) is None:
            parent, name = self._target.place(path)
            make_whiteout(parent, name)
        return clean

    def _remove_emptied(self, path: bytes) -> None:
        """Remove the folders above that are gone in the view, and were kept here for what was in them."""
        while self._since_ns is not None and (path := path.rpartition(b"/")[0]):
            if not isinstance(said_of(self._source, path), Silence):
                return
            parent, name = self._target.place(path)
            try:
                os.rmdir(name, dir_fd=parent)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY, errno.ENOENT):
                    raise
                return
            self._target.forget()
            self._modes.pop(path, None)

    def _remove_folder(self, path: bytes) -> bool:
        folders = [path]
        for folder in folders:
            self._open_up(folder)
            for name, found in _listed(self._target, folder):
                at = folder + b"/" + name
                if stat.S_ISDIR(found.st_mode):
                    if found.st_dev == self._device:
                        folders.append(at)
                elif self._is_newer(at, found) and not name.startswith(_NEW):
                    self.left.add(at)
                else:
                    parent, last = self._target.place(at)
                    os.unlink(last, dir_fd=parent)
        clean = True
        for folder in reversed(folders):
            parent, name = self._target.place(folder)
            try:
                os.rmdir(name, dir_fd=parent)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                    raise
                clean = False
            else:
                self._modes.pop(folder, None)
            self._target.forget()
        self._done += 1
        return clean

    def _is_done(self, path: bytes, found: os.stat_result, own: os.stat_result) -> bool:
        """Whether it is the very file, or the copy of it that an earlier try made."""
        if os.path.samestat(found, own):
            return True
        here, there = numbers_of(found), numbers_of(own)
        is_like = self._is_later(found) and (here[0], here[2], here[3]) == (there[0], there[2], there[3])
        # Two attempts may write as much within one tick of the clock.
        return is_like and _same_bytes(self._source, self._target, path, own)

    def _is_newer(self, path: bytes, found: os.stat_result) -> bool:
        """Whether somebody changed it whom the view did not see."""
        return self._is_later(found) and not (self._bringing is not None and self._bringing.saw(path, found))

    def _is_later(self, found: os.stat_result) -> bool:
        return self._since_ns is not None and found.st_ctime_ns > self._since_ns


def keep_aside(upper: Path, paths: Sequence[bytes], folder: Path) -> frozenset[bytes]:
    """Put what a view's own directory has at the paths, and below them, into `folder`, under the same paths and for its
    owner alone. Those of which there was something. May be done again. Raises OSError, Unreadable.
    """
    kept = set()
    with Disk(upper) as source, Disk(folder) as target:
        cloner = Cloner(source)
        for top in paths:
            todo = [top]
            while todo:
                path = todo.pop()
                found = source.look(path)
                if found is not None and stat.S_ISDIR(found.st_mode):
                    todo += [path + b"/" + name for name, _ in _listed(source, path)]
                elif found is not None and (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
                    target.ensure(path.rpartition(b"/")[0])
                    parent, name = target.place(path)
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=parent)
                    link_or_copy(cloner, path, found, parent, name)
                    if stat.S_ISREG(found.st_mode):
                        target.set_mode(path, 0o600)
                    kept.add(top)
    return frozenset(kept)


def _same_bytes(one: Disk, other: Disk, path: bytes, state: os.stat_result) -> bool:
    if stat.S_ISLNK(state.st_mode):
        targets = [os.readlink(name, dir_fd=parent) for parent, name in (one.place(path), other.place(path))]
        return targets[0] == targets[1]
    if not stat.S_ISREG(state.st_mode):
        return True
    try:
        with open(open_to_read(one, path), "rb") as first, open(open_to_read(other, path), "rb") as second:
            while (data := first.read(_CHUNK)) == second.read(_CHUNK):
                if not data:
                    return True
    except OSError:  # it is brought anew
        pass
    return False


def _listed(disk: Disk, path: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    # A descriptor that only looks cannot be listed.
    with _open(disk, path) as number:
        names = [os.fsencode(name) for name in os.listdir(number)]
        found = [(name, os.stat(name, dir_fd=number, follow_symlinks=False)) for name in names]
    return iter(found)


@contextmanager
def _open(disk: Disk, path: bytes) -> Iterator[int]:
    parent, name = disk.place(path)
    number = os.open(name, _LIST, dir_fd=parent)
    try:
        yield number
    finally:
        os.close(number)
