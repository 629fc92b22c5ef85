"""Whose a change is: the user's, or that of an attempt that is over. From facts alone, before anything is moved.

Owns that decision. Must not know where the facts come from, nor what is done about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never


@dataclass(frozen=True, slots=True)
class Later:
    """The attempt's last process was dead at `ns`, by the clock of the workspace's file system."""

    ns: int


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
    the nearest one above it that is there.

    Of a path where nothing is: `others_ns`: when that folder's other entries changed last, of those that can be why the
    folder did; `moved_to`: where the same file is now.
    """

    path: bytes
    changed_ns: int | None
    folder: Folder
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
        case Later(ns=border):
            found = tuple(changed)
            there = {each.path for each in found if each.changed_ns is not None and _is_later(each, border)}
            gone = {each.path for each in found if each.changed_ns is None and _was_removed_later(each, border, there)}
            return frozenset(there | gone)
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


def _was_removed_later(each: Changed, border: int, there: set[bytes]) -> bool:
    """What is gone leaves nothing but its folder's time, and any name that came into the folder changes that, too."""
    if each.moved_to is not None and each.moved_to in there:
        return True
    return each.folder.changed_ns > border >= each.others_ns
