"""What git ignores, asked as seldom as possible: decisions live in the stat cache while what they rest on is
the same.

Owns that basis (excludes files, configuration, the index's tracked exceptions) and the one long-lived
question process. Must not decide what is captured.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from gitckpt.errors import GitFailed
from gitckpt.plumbing.ignore import Ignore, agreed, tracked_ignored
from gitckpt.plumbing.process import user_git
from gitckpt.plumbing.repository import Repository
from gitckpt.workspace.statcache import Basis, signature, signatures


class Hiding:
    """Git's ignore rules for one workspace; `prefix` is its path below the repository's top.

    `basis` is what decisions rest on now; `stale` tells that it differs from the one the cache was made with,
    apart from `.gitignore` files inside the workspace, which the walk itself sees.
    """

    def __init__(self, repository: Repository, prefix: bytes, cached: Basis) -> None:
        self._repository = repository
        self._prefix = prefix + b"/" if prefix else b""
        self._root = os.fsencode(repository.top) + b"/" + self._prefix
        self._ignore: Ignore | None = None
        self.basis = _basis(repository, prefix, cached)
        self.stale = (self.basis.sources, self.basis.excludes_file, self.basis.tracked) != (
            cached.sources,
            cached.excludes_file,
            cached.tracked,
        )
        self._tracked_folders = frozenset(
            path[:at] for path in self.basis.tracked for at in range(len(path)) if path[at : at + 1] == b"/"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ignore is not None:
            self._ignore.__exit__(kind, error, trace)
            self._ignore = None

    def ignored(self, paths: Sequence[bytes]) -> list[bool]:
        """Whether each path (relative to the workspace) is ignored by a pattern, tracked or not."""
        if not paths:
            return []
        try:
            return self._ask(paths)
        except GitFailed:
            # Git refuses a path beyond a symlink, and a folder may have become one since it was listed. What
            # is hidden for this once is seen as it is by the next scan.
            moved = [_beyond_link(self._root, path) for path in paths]
            if not any(moved):
                raise
        answers = iter(self._ask([path for path, gone in zip(paths, moved, strict=True) if not gone]))
        return [gone or next(answers) for gone in moved]

    def ignored_afresh(self, paths: Sequence[bytes]) -> list[bool]:
        """As `ignored`, by a process that has read no ignore file yet; it answers from here on."""
        if self._ignore is not None:
            self._ignore.close()
        return self.ignored(paths)

    def _ask(self, paths: Sequence[bytes]) -> list[bool]:
        if self._ignore is None:
            self._ignore = Ignore(self._repository)
            self._ignore.__enter__()
        return self._ignore.ignored([self._prefix + path for path in paths])

    def tracked(self, path: bytes) -> bool:
        """Whether the user's index holds this path (or, for a folder, something in it) although a pattern
        ignores it.
        """
        return path in self.basis.tracked or path in self._tracked_folders


def _beyond_link(root: bytes, path: bytes) -> bool:
    parts = path.split(b"/")
    return any(os.path.islink(root + b"/".join(parts[:depth])) for depth in range(1, len(parts)))


def _basis(repository: Repository, prefix: bytes, cached: Basis) -> Basis:
    config = _config_state(repository)
    # Where the user's excludes file lies is asked only when some configuration file has changed: a process is
    # 3 ms.
    excludes_file = cached.excludes_file if config == cached.config else _excludes_file(repository)
    index = signature(repository.git_dir / "index")
    tracked = cached.tracked if index == cached.index and cached.config else _tracked(repository, prefix)
    if cached.tracked - tracked:
        tracked = agreed(tracked, lambda: _tracked(repository, prefix))
    above = [os.fsencode(repository.top)]
    for part in prefix.split(b"/")[:-1] if prefix else []:
        above.append(above[-1] + b"/" + part)
    watched = [folder + b"/.gitignore" for folder in above] if prefix else []
    watched.append(os.fsencode(repository.common_dir / "info" / "exclude"))
    watched.append(excludes_file)
    return Basis(sources=signatures(watched), excludes_file=excludes_file, config=config, index=index, tracked=tracked)


def _tracked(repository: Repository, prefix: bytes) -> frozenset[bytes]:
    return frozenset(path[len(prefix) + 1 :] if prefix else path for path in tracked_ignored(repository, prefix))


def _config_state(repository: Repository) -> list[tuple[bytes, tuple[int, ...]]]:
    environment = os.environb
    home = environment.get(b"HOME", b"")
    xdg = environment.get(b"XDG_CONFIG_HOME") or home + b"/.config"
    said = [name + b"=" + value for name, value in environment.items() if name.startswith(b"GIT_CONFIG")]
    digest = hashlib.sha256(b"\0".join([*sorted(said), home, xdg])).digest()
    files = [
        os.fsencode(repository.common_dir / "config"),
        os.fsencode(repository.git_dir / "config.worktree"),
        environment.get(b"GIT_CONFIG_SYSTEM") or b"/etc/gitconfig",
    ]
    chosen = environment.get(b"GIT_CONFIG_GLOBAL")
    files += [chosen] if chosen else [home + b"/.gitconfig", xdg + b"/git/config"]
    return [(b"environment", tuple(digest)), *signatures(files)]


def _excludes_file(repository: Repository) -> bytes:
    said = user_git(repository, "config", "-z", "--type=path", "--get", "core.excludesFile", ok=(0, 1))
    path = said.rstrip(b"\0")
    if path:
        return os.path.join(os.fsencode(repository.top), path)
    environment = os.environb
    xdg = environment.get(b"XDG_CONFIG_HOME") or environment.get(b"HOME", b"") + b"/.config"
    return xdg + b"/git/ignore"
