"""What git ignores in a view that git cannot be asked about: in a folder that holds its `.gitignore` files and folders,
and nothing else.

Owns that folder, and which files of the user's index count although a rule ignores them. Must not decide what is
captured, nor know where the text of a `.gitignore` comes from.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType

from gitckpt.errors import LIMITS
from gitckpt.plumbing.ignore import Ignore, tracked_in
from gitckpt.plumbing.process import user_git
from gitckpt.plumbing.repository import Repository
from gitckpt.plumbing.scratch import scratch_folder
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.hiding import Hiding

_GITIGNORE = b".gitignore"
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
PASSING = LIMITS | {errno.EIO}


class ViewRules(Hiding):
    """As `Hiding`, for a view of the workspace; `text` gives the `.gitignore` of a folder of the view, b"" for none.

    Whoever asks says first which of the asked paths are `folders`, and which are `sure` not to be ignored.
    """

    def __init__(self, repository: Repository, prefix: bytes, text: Callable[[bytes], bytes]) -> None:
        # Nothing of the workspace's own is read before the first question: so the other constructor is not for us.
        self._repository = repository
        self._prefix = prefix + b"/" if prefix else b""
        self._root = os.fsencode(repository.top) + b"/" + self._prefix
        self._ignore: Ignore | None = None
        self._tracked: set[bytes] = set()
        self._tracked_above: set[bytes] = set()
        self._text = text
        self._scratch: Disk | None = None
        self._placed: set[bytes] = set()
        self._closing = ExitStack()
        self.folders: set[bytes] = set()
        self.sure: set[bytes] = set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def ignored(self, paths: Sequence[bytes]) -> list[bool]:
        """Whether each path (relative to the workspace) is ignored by a pattern, tracked or not. Raises GitFailed."""
        asked = [path for path in paths if path not in self.sure]
        if not asked:
            return [False] * len(paths)
        hidden = {path for path, yes in zip(asked, self._ask(asked), strict=True) if yes}
        self._remember_tracked(sorted(hidden))
        return [path in hidden for path in paths]

    def ignored_here(self, paths: Sequence[bytes]) -> set[bytes]:
        """Those of `paths` (folders are among `folders`, and above what is asked) that a `.gitignore` in the repository
        ignores, not one of the user's own settings. Raises GitFailed."""
        if not paths:
            return set()
        ignore = self._placed_for(paths)
        sources = ignore.ignored_by([self._prefix + path for path in paths])
        return {
            path
            for path, source in zip(paths, sources, strict=True)
            if source is not None and not source.startswith(b"/") and source.rpartition(b"/")[2] == _GITIGNORE
        }

    def tracked(self, path: bytes) -> bool:
        """As Hiding's, for paths at or below those that were found to be ignored."""
        return path in self._tracked or path in self._tracked_above

    def _ask(self, paths: Sequence[bytes]) -> list[bool]:
        return self._placed_for(paths).ignored([self._prefix + path for path in paths])

    def _placed_for(self, paths: Sequence[bytes]) -> Ignore:
        if self._ignore is None or self._scratch is None:
            self._open()
        assert self._scratch is not None
        assert self._ignore is not None
        for path in paths:
            self._place(self._scratch, path)
        return self._ignore

    def _remember_tracked(self, hidden: list[bytes]) -> None:
        below = len(self._prefix)
        for path in tracked_in(self._repository, [self._prefix + path for path in hidden]):
            self._tracked.add(path[below:])
            self._tracked_above.update(path[below:at] for at in range(below, len(path)) if path[at : at + 1] == b"/")

    # --- the folder that git is asked in --------------------------------------------------------------------

    def _open(self) -> None:
        top = self._closing.enter_context(scratch_folder("gitckpt-rules-"))
        self._scratch = self._closing.enter_context(Disk(top))
        self._ignore = self._closing.enter_context(Ignore(self._repository, top=top))
        above = self._prefix.rstrip(b"/").split(b"/")[:-1] if self._prefix else []
        real = os.fsencode(self._repository.top)
        if self._prefix:
            for depth in range(len(above) + 1):
                folder = b"/".join(above[:depth])
                self._write(folder, read_ignore_file(os.path.join(real, folder, _GITIGNORE)))
            self._scratch.ensure(self._prefix.rstrip(b"/"))
        self._place_excludes(real)

    def _place_excludes(self, real: bytes) -> None:
        """A relative `core.excludesFile` is looked for at the repository's top."""
        said = user_git(self._repository, "config", "-z", "--type=path", "--get", "core.excludesFile", ok=(0, 1))
        path = said.rstrip(b"\0")
        if not path or path.startswith(b"/") or b".." in path.split(b"/"):
            return
        text = read_ignore_file(os.path.join(real, path))
        if text and self._scratch is not None:
            folder, _, name = os.path.normpath(path).rpartition(b"/")
            _put(self._scratch, folder, name, text)

    def _place(self, scratch: Disk, path: bytes) -> None:
        """Make what decides about `path`: the `.gitignore` beside it, and itself where it is a folder."""
        folder = path.rpartition(b"/")[0]
        if folder not in self._placed:
            self._placed.add(folder)
            self._write((self._prefix + folder).rstrip(b"/"), self._text(folder))
        if path in self.folders:
            scratch.ensure(self._prefix + path)

    def _write(self, folder: bytes, text: bytes) -> None:
        if text and self._scratch is not None:
            _put(self._scratch, folder, _GITIGNORE, text)


def _put(disk: Disk, folder: bytes, name: bytes, text: bytes) -> None:
    number = os.open(name, _CREATE, 0o600, dir_fd=disk.ensure(folder))
    with os.fdopen(number, "wb") as file:
        file.write(text)


def read_ignore_file(path: bytes) -> bytes:
    """What git would read there: it follows no link, and takes what it may not read for nothing. Raises OSError where
    it could be read another time."""
    try:
        with os.fdopen(os.open(path, _READ), "rb") as file:
            return file.read()
    except OSError as error:
        if error.errno in PASSING:
            raise
        return b""
