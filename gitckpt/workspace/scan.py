"""What an attempt changed in a view of its own, whichever way the view was made. A value; reads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gitckpt.plumbing.content import Change
from gitckpt.workspace.snapshot import LeftOut, Uncaptured


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """A file or link that has the bytes that it had, and another mtime (ns)."""

    path: bytes
    oid: bytes
    before_ns: int
    after_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewScan:
    """`changes` lead from the content that the attempt started from to what it left, sorted by path.

    `unstable`, `left_out`, `not_kept` and `uncaptured` are as in a Snapshot, of what the attempt made or changed.
    `hidden` are the topmost paths that are not captured and that it made, changed or removed, for the workspace.
    `dates` are the ids and mtimes (ns) of captured files and links that it wrote; `touches` those with the bytes that
    they had; `links` the names that are one file there.
    """

    changes: tuple[Change, ...]
    unstable: tuple[bytes, ...]
    left_out: tuple[LeftOut, ...]
    not_kept: tuple[bytes, ...]
    uncaptured: Uncaptured
    hidden: tuple[bytes, ...]
    dates: Mapping[bytes, tuple[bytes, int]] = field(default_factory=dict)
    touches: tuple[Touch, ...] = ()
    links: tuple[tuple[bytes, ...], ...] = ()

    @property
    def times(self) -> dict[bytes, tuple[bytes, int]]:
        """The ids and mtimes (ns) of all that it wrote or touched."""
        return {**self.dates, **{each.path: (each.oid, each.after_ns) for each in self.touches}}
