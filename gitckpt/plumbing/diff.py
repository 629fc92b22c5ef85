"""Changed paths as git's own unified diff, and in words what a git tree cannot say about them.

Owns a scratch git directory that borrows the repository's objects: nothing is written into the repository, and its
configuration, which could name programs to run, is never read. Must not know checkpoints or workflows.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gitckpt.plumbing.content import Change, Item
from gitckpt.plumbing.extra import Defaults
from gitckpt.plumbing.objects import DIRECTORY, EXECUTABLE, FILE, LINK, refusable
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.process import git
from gitckpt.plumbing.repository import Repository
from gitckpt.plumbing.scratch import scratch_folder

_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Unsaid:
    """A change of one path that no diff of git shows."""

    path: bytes
    what: str


@contextmanager
def scratch(repository: Repository, root: Path) -> Iterator[Repository]:
    """A git directory of its own that reads the repository's objects and takes new ones; removed at the end.

    `root` is the folder whose `.gitattributes` say which files are text. Raises NoScratch, and OSError where there is
    no room.
    """
    with scratch_folder("gitckpt-diff-") as folder:
        for part in ("objects/info", "objects/pack", "refs"):
            (folder / part).mkdir(parents=True)
        (folder / "HEAD").write_text("ref: refs/heads/none\n")
        version = 1 if repository.object_format == "sha256" else 0
        (folder / "config").write_text(
            f"[core]\n\trepositoryformatversion = {version}\n\tbare = false\n"
            + ("[extensions]\n\tobjectFormat = sha256\n" if version else "")
        )
        borrowed = os.fsencode(repository.common_dir / "objects")
        (folder / "objects" / "info" / "alternates").write_bytes(_line(borrowed))
        yield Repository(top=root, git_dir=folder, common_dir=folder, object_format=repository.object_format)


def _line(path: bytes) -> bytes:
    """A path as a line of `alternates`, quoted only where it must be."""
    if b"\n" not in path:
        return path + b"\n"
    quoted = path.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"' + quoted + b'"\n'


def render(place: Repository, changes: Sequence[Change], form: Literal["patch", "stat"], width: int = 80) -> bytes:
    """Git's text for the changes, without colours; paths are relative to the workspace's top.

    `place` comes from `scratch`. `width` is that of a `stat` in columns. Raises PackFailed, GitFailed.
    """
    shown = [change for change in changes if not is_refused(change.path)]
    with Pack(place, "diff") as pack:
        old = _tree(pack, {change.path: change.old for change in shown})
        new = _tree(pack, {change.path: change.new for change in shown})
        pack.finish()
    flags = ("-p",) if form == "patch" else (f"--stat={width}",)
    return git(
        place,
        "diff-tree",
        "-r",
        *flags,
        "-M",
        "--no-color",
        "--no-ext-diff",
        "--no-textconv",
        old.hex(),
        new.hex(),
        "--",
        timeout=_TIMEOUT_S,
    )


def is_refused(path: bytes) -> bool:
    """Whether git would not have this path in a tree."""
    return any(refusable(part) for part in path.split(b"/"))


def _tree(pack: Pack, items: dict[bytes, Item | None]) -> bytes:
    """A tree of the files and links among `items`; the raw id of its top. It holds nothing that did not change."""
    folders: dict[bytes, dict[bytes, tuple[int, bytes]]] = {b"": {}}
    for path, item in items.items():
        if item is None or item.kind not in ("file", "link"):
            continue
        folder, _, name = path.rpartition(b"/")
        while folder not in folders:
            folders[folder] = {}
            folder = folder.rpartition(b"/")[0]
        mode = LINK if item.kind == "link" else EXECUTABLE if item.mode & 0o100 else FILE
        folders[path.rpartition(b"/")[0]][name] = (mode, item.oid)
    # From the deepest up, without recursion: a tree may be deeper than Python's stack.
    for folder in sorted(folders, key=lambda each: each.count(b"/") + bool(each), reverse=True):
        oid = pack.tree([(name, mode, oid) for name, (mode, oid) in folders[folder].items()])
        if not folder:
            return oid
        above, _, name = folder.rpartition(b"/")
        folders[above][name] = (DIRECTORY, oid)
    raise AssertionError("the top is always there")


def unsaid(changes: Sequence[Change], before: Defaults, after: Defaults) -> list[Unsaid]:
    """What `render` does not show: modes, empty folders, FIFOs, and paths that git refuses. Sorted by path.

    `before` and `after` are the modes that go without saying on either side.
    """
    ordered = sorted(changes, key=lambda change: change.path)
    old = [change.path for change in ordered if change.old is not None]
    new = [change.path for change in ordered if change.new is not None]
    found = []
    for change in ordered:
        kinds = {item.kind for item in (change.old, change.new) if item is not None}
        if is_refused(change.path):
            empty = not _has_below(new if change.new else old, change.path)
            told = f"{_verb(change)} (git refuses this path)" if kinds != {"dir"} or empty else ""
        elif "dir" in kinds:
            told = _of_folder(change, after, was_empty=not _has_below(old, change.path), new=new)
        elif "fifo" in kinds:
            told = f"FIFO {_verb(change)}"
        else:
            told = _of_mode(change, before, after)
        if told:
            found.append(Unsaid(change.path, told))
    return found


def _has_below(paths: Sequence[bytes], folder: bytes) -> bool:
    at = bisect_left(paths, folder + b"/")
    return at < len(paths) and paths[at].startswith(folder + b"/")


def _verb(change: Change) -> str:
    return "made" if change.old is None else "removed" if change.new is None else "changed"


def _of_folder(change: Change, after: Defaults, *, was_empty: bool, new: Sequence[bytes]) -> str:
    one, other = change.old, change.new
    if one is not None and other is not None and one.kind == other.kind == "dir":
        return f"folder: mode {one.mode:04o} -> {other.mode:04o}"
    if other is not None and other.kind == "dir":
        mode = f" with mode {other.mode:04o}" if other.mode != after.dir else ""
        if not _has_below(new, change.path):
            return f"empty folder made{mode}"
        return f"folder made{mode}" if mode else ""
    return "empty folder removed" if was_empty else ""


def _of_mode(change: Change, before: Defaults, after: Defaults) -> str:
    one, other = change.old, change.new
    if other is None or other.kind == "link":
        return ""
    usual = other.mode == (after.exec if other.mode & 0o100 else after.file)
    if one is None or one.kind == "link":
        return "" if usual else f"made with mode {other.mode:04o}"
    plain = usual and one.mode == (before.exec if one.mode & 0o100 else before.file)
    only_executable = plain and bool(one.mode & 0o100) != bool(other.mode & 0o100)
    if one.mode == other.mode or only_executable:
        return ""
    return f"mode {one.mode:04o} -> {other.mode:04o}"
