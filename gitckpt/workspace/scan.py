"""What an attempt changed in a view of its own, whichever way the view was made. A value; reads nothing."""

from __future__ import annotations

from dataclasses import dataclass

from gitckpt.plumbing.content import Change
from gitckpt.workspace.snapshot import LeftOut, Uncaptured


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewScan:
    """`changes` lead from the content that the attempt started from to what it left, sorted by path.

    `unstable`, `left_out`, `not_kept` and `uncaptured` are as in a Snapshot, of what the attempt made or changed.
    `hidden` are the topmost paths that are not captured and that it made, changed or removed, for the workspace.
    """

    changes: tuple[Change, ...]
    unstable: tuple[bytes, ...]
    left_out: tuple[LeftOut, ...]
    not_kept: tuple[bytes, ...]
    uncaptured: Uncaptured
    hidden: tuple[bytes, ...]
