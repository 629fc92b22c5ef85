"""Where a history can be cut: which leading runs go when the newest few are kept, and what hangs only on them.

Owns that choice, and changes nothing. A run begins with an epoch, which carries its whole manifest, so what follows it
needs nothing before it; but what a kept rollback went back to is kept with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gitckpt.model.events import RunStarted
from gitckpt.model.names import Oid
from gitckpt.plumbing.refs import list_refs
from gitckpt.store import refs
from gitckpt.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """`dropped` and `kept` are the branch's checkpoints, oldest first, `runs` how many runs go and `runs_kept` how many
    stay: more than asked for where a kept rollback went back to them. `attempts` and `rescues` (full ref names) are
    those that hang on a dropped checkpoint: such attempts go, such rescues stay."""

    dropped: tuple[Oid, ...]
    kept: tuple[Oid, ...]
    runs: int
    runs_kept: int
    attempts: Mapping[str, Oid]
    rescues: Mapping[str, Oid]


def find_cut(store: Store, keep_runs: int) -> Cut | None:
    """What goes when the newest `keep_runs` runs (at least one) are kept; None when nothing does.

    Raises NotACheckpoint, Damaged, ObjectUnreadable where the history cannot be read.
    """
    ids = store.ids()[::-1]
    starts = [index for index, oid in enumerate(ids) if _begins_run(store, oid)]
    if len(starts) <= keep_runs:
        return None
    first = _lowest_needed(store, ids, starts, starts[-keep_runs])
    if first <= starts[0]:
        return None
    gone = frozenset(ids[:first])
    hanging = {name: oid for name, oid in side_refs(store).items() if _anchor(store, oid) in gone}
    rescues = refs.rescues(store.workflow)
    return Cut(
        dropped=tuple(ids[:first]),
        kept=tuple(ids[first:]),
        runs=sum(start < first for start in starts),
        runs_kept=sum(start >= first for start in starts),
        attempts={name: oid for name, oid in hanging.items() if not name.startswith(rescues)},
        rescues={name: oid for name, oid in hanging.items() if name.startswith(rescues)},
    )


def side_refs(store: Store) -> dict[str, Oid]:
    """The attempts and rescues beside the branch by their full ref names; not the histories that were put aside."""
    found = list_refs(store.repository, refs.others(store.workflow))
    return {name: oid for name, oid in found.items() if not name.startswith(refs.diverged(store.workflow))}


def _begins_run(store: Store, oid: Oid) -> bool:
    events = store.events(oid, (RunStarted.__name__.encode(),))
    return bool(events) and isinstance(events[0], RunStarted)


def _lowest_needed(store: Store, ids: Sequence[Oid], starts: Sequence[int], first: int) -> int:
    """The first checkpoint to keep: `first`, or the start of an earlier run that something kept went back to."""
    place = {oid: index for index, oid in enumerate(ids)}
    goal = store.manifest(ids[-1]).goal.checkpoint
    lowest = _start_of(starts, place, _anchor_on(store, place, goal) if goal else None, first)
    at = len(ids) - 1
    while at >= lowest:
        for oid in _taken_up(store, ids[at]):
            lowest = _start_of(starts, place, _anchor_on(store, place, oid), lowest)
        at -= 1
    return lowest


def _start_of(starts: Sequence[int], place: Mapping[Oid, int], anchor: Oid | None, lowest: int) -> int:
    index = place.get(anchor, lowest) if anchor else lowest
    return lowest if index >= lowest else max((start for start in starts if start <= index), default=0)


def _taken_up(store: Store, oid: Oid) -> Iterator[Oid]:
    """What a checkpoint was made from beside the one before it."""
    commit = store.reader.commit(oid)
    yield from commit.parents[1:] if commit else ()


def _anchor_on(store: Store, place: Mapping[Oid, int], oid: Oid) -> Oid | None:
    """The checkpoint on the branch that a commit is, or hangs on."""
    return oid if oid in place else _anchor(store, oid)


def _anchor(store: Store, oid: Oid) -> Oid | None:
    """The checkpoint that an attempt or a rescue was made at."""
    commit = store.reader.commit(oid)
    return commit.parents[0] if commit and commit.parents else None
