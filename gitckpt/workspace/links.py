"""Names of one and the same file: which captured files are hard links of each other, now and at earlier checkpoints.

Owns that knowledge, of this workspace alone, and making several equal files one again. A tree does not say it: where it
is not known, as in a clone, each name is a file of its own. Must not know why files are put back.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from gitckpt.model.names import LIVE_FOLDER
from gitckpt.plumbing.content import Change, Item, Lookup
from gitckpt.workspace.afterwards import update_cache
from gitckpt.workspace.become import naming
from gitckpt.workspace.capture import numbers_of
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.statcache import Group, Seen, StatCache

_KEPT = 1_000
_TMP = LIVE_FOLDER.encode() + b"/tmp"
NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES})


class Links:
    """The groups of names at the base, and in a file at `path` those that were there at earlier checkpoints."""

    def __init__(self, path: Path, base: Sequence[Group]) -> None:
        self._path = path
        self.base = tuple(base)

    def arrive(self, number: int, groups: Sequence[Group]) -> None:
        """From here on these are the base's; until the checkpoint `number` those known so far were there."""
        if tuple(groups) == self.base:
            return
        known = [*self._read(), (number, self.base)][-_KEPT:]
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            temporary = self._path.with_name(self._path.name + ".part")
            temporary.write_bytes(msgspec.msgpack.encode(known))
            temporary.replace(self._path)
        self.base = tuple(groups)

    def at(self, number: int) -> tuple[Group, ...]:
        """The groups when `number` was the newest checkpoint."""
        return next((groups for then, groups in self._read() if then >= number), self.base)

    def _read(self) -> list[tuple[int, tuple[Group, ...]]]:
        try:
            return msgspec.msgpack.decode(self._path.read_bytes(), type=list[tuple[int, tuple[Group, ...]]])
        except (OSError, msgspec.MsgspecError):
            return []


def equal_names(group: Group, items: Iterable[tuple[bytes, Item | None]]) -> list[list[bytes]]:
    """The names of a group that are the same file by their items, as lists of at least two."""
    wanted = frozenset(group)
    found: dict[Item, list[bytes]] = {}
    for path, item in items:
        if path in wanted and item is not None and item.kind == "file":
            found.setdefault(item, []).append(path)
    return [names for names in found.values() if len(names) > 1]


def relink(root: Path, groups: Sequence[Group], lookup: Lookup, cache: StatCache) -> None:
    """Make the names of each group that have equal items in `lookup` one file again; durable on return, and `cache`
    knows it. A file that is not as the cache saw it is left alone. Raises CannotRestore, Unreadable.
    """
    changes: dict[bytes, Change] = {}
    seen = Seen(cache)
    with Disk(root) as disk:
        for group in groups:
            items = {path: lookup.item(path) for path in group}
            for names in equal_names(group, items.items()):
                known = [path for path in names if path in changes or _is_known(disk, path, items[path], seen)]
                made = _join(disk, known)
                changes.update((path, Change(path=path, old=items[path], new=items[path])) for path in made)
        if changes:
            with naming(b""):
                disk.sync()
    if changes:
        update_cache(root, [changes[path] for path in sorted(changes)], cache)
    cache.links = _true_groups(root, [*groups, *cache.links])


def _is_known(disk: Disk, path: bytes, item: Item | None, seen: Seen) -> bool:
    found, entry = disk.look(path), seen.entry(path)
    if found is None or entry is None or item is None:
        return False
    return numbers_of(found) == entry.stat and entry.oid == item.oid


def _join(disk: Disk, names: Sequence[bytes]) -> list[bytes]:
    """Make all of them the first one; those whose inode is another one now, or has another number of names."""
    if len(names) < 2:
        return []
    first, done = names[0], list[bytes]()
    with naming(_TMP):
        disk.ensure(_TMP)
        tmp = os.dup(disk.folder(_TMP))
    try:
        for path in names[1:]:
            here, there = disk.look(first), disk.look(path)
            if here is None or there is None or os.path.samestat(here, there):
                continue
            with naming(path):
                if _link(disk, first, path, tmp):
                    done.append(path)
    finally:
        os.close(tmp)
    return [first, *done] if done else []


def _link(disk: Disk, first: bytes, path: bytes, tmp: int) -> bool:
    # A later restore sweeps what a kill leaves by this name.
    unfinished = b"new-link"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(unfinished, dir_fd=tmp)
    parent, name = disk.place(first)
    try:
        os.link(name, unfinished, src_dir_fd=parent, dst_dir_fd=tmp, follow_symlinks=False)
        parent, name = disk.place(path)
        os.rename(unfinished, name, src_dir_fd=tmp, dst_dir_fd=parent)
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unfinished, dir_fd=tmp)
        return False
    return True


def _true_groups(root: Path, groups: Iterable[Group]) -> tuple[Group, ...]:
    """Which of the names are one file on the disk."""
    top = os.fsencode(root) + b"/"
    found: dict[tuple[int, int], set[bytes]] = {}
    for path in {path for group in groups for path in group}:
        with contextlib.suppress(OSError):
            state = os.lstat(top + path)
            found.setdefault((state.st_dev, state.st_ino), set()).add(path)
    return tuple(sorted(tuple(sorted(names)) for names in found.values() if len(names) > 1))
