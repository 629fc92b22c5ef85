"""What happens where changes made side by side come together, as events.

Owns these events. Must not know how two trees are joined. Paths are text, bytes that are not UTF-8 escaped; at most
twenty are named, the count has all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from gitckpt.model.names import Oid, PhaseName

MOST_NAMED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What an attempt in a view of its own did, the commit `own` on the commit `start`, is part of the history from
    here on. `settled`: paths that something else had changed as well, and that a rule decided."""

    at: str
    phase: PhaseName
    own: Oid
    start: Oid
    settled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRefused:
    """An attempt succeeded, and changed paths that something else had changed otherwise. `against` says what: phases,
    or `you`. The attempt is kept; somebody decides."""

    at: str
    phase: PhaseName
    own: Oid
    paths: tuple[str, ...]
    count: int
    against: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EditsClashed:
    """The user changed paths that a phase changed otherwise meanwhile. The workspace has the phase's; the user's are
    kept as the rescue of that number."""

    at: str
    paths: tuple[str, ...]
    count: int
    rescue: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Somebody decided a conflict: that of the attempt of `phase`, or that of their own edits."""

    at: str
    author: str
    how: str
    phase: PhaseName | None = None


MergingEvent: TypeAlias = Merged | MergeRefused | EditsClashed | Resolved
