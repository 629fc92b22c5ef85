"""Whose a change is: the user's, or that of an attempt that is over. From facts alone, before anything is moved.

Owns that decision. Must not know where the facts come from, nor what is done about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never


@dataclass(frozen=True, slots=True)
class Later:
    """The attempt's last process was dead at `ns`, and none of them had run before `began_ns` (0: nobody knows), by the
    clock of the workspace's file system."""

    ns: int
    began_ns: int = 0


Mark: TypeAlias = Literal["all", "nothing"] | Later
"""What is the user's: all (no process of the attempt ever ran, or the user says so), nothing, or what changed later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder as it stands: when it was changed (ctime) and written to (mtime); `above` is None for the workspace."""

    changed_ns: int
    written_ns: int
    above: Folder | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """One path that is not as the checkpoint has it. `changed_ns`: its ctime, None where nothing is there; `folder`:
    the nearest one above it that is there. `as_before`: it is what it was when the checkpoint was made, which did not
    capture it.

    Of a path where nothing is: `others_ns`: when that folder's other entries changed last, of those that can be why the
    folder did; `moved_to`: where the same file is now.
    """

    path: bytes
    changed_ns: int | None
    folder: Folder
    as_before: bool = False
    others_ns: int = 0
    moved_to: bytes | None = None


def whose(changed: Iterable[Changed], mark: Mark) -> frozenset[bytes]:
    """The paths that the user changed. In doubt a path is the attempt's: that is kept and named, and an undisturbed
    run would not have it."""
    match mark:
        case "all":
            return frozenset(each.path for each in changed)
        case "nothing":
            return frozenset()
        case Later(ns=border, began_ns=began):
            found = tuple(changed)
            there = {each.path for each in found if each.changed_ns is not None and _is_later(each, border)}
            gone = {each.path for each in found if each.changed_ns is None and _was_removed_later(each, border, there)}
            mine = there | gone
            hidden = {_above(each.path) for each in found if each.path not in mine and _names_rules(each.path)}
            older = {each.path for each in found if _is_older(each, began) and not _is_below(each.path, hidden)}
            return frozenset(mine | older)
        case _:
            assert_never(mark)


def _is_later(each: Changed, border: int) -> bool:
    return (each.changed_ns or 0) > border or _was_moved_later(each.folder, border)


def _was_moved_later(folder: Folder, border: int) -> bool:
    """A move sets a folder's ctime and leaves its mtime; it counts for all below. The workspace itself is not asked."""
    while folder.above is not None:
        if folder.changed_ns > border >= folder.written_ns:
            return True
        folder = folder.above
    return False


def _is_older(each: Changed, began: int) -> bool:
    """It was there before the attempt, and was not captured: rules that the user changed have it captured now. A folder
    above that the attempt may have moved here says nothing of what is below it."""
    if each.changed_ns is None or each.changed_ns >= began:
        return False
    folder = each.folder
    while not each.as_before and folder.above is not None:
        if folder.changed_ns >= began and folder.above.written_ns >= began:
            return False
        folder = folder.above
    return True


def _names_rules(path: bytes) -> bool:
    return path.rpartition(b"/")[2] == b".gitignore"


def _above(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


def _is_below(path: bytes, folders: set[bytes]) -> bool:
    """Whether rules of the attempt's in one of the folders may be why the path is captured."""
    return b"" in folders or any(path.startswith(folder + b"/") for folder in folders)


def _was_removed_later(each: Changed, border: int, there: set[bytes]) -> bool:
    """What is gone leaves nothing but its folder's time, and any name that came into the folder changes that, too."""
    if each.moved_to is not None and each.moved_to in there:
        return True
    return each.folder.changed_ns > border >= each.others_ns
