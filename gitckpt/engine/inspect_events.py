"""What only the events of the newest checkpoints tell of where a workflow stands.

Owns how fast items are done, and what a landing that was cut off was for. Loaded when `inspect` has such a question.
"""

from __future__ import annotations

from datetime import datetime

from gitckpt.engine.inspect import Pace
from gitckpt.model.items import ItemsCompleted, ItemsFailed, count_of
from gitckpt.model.manifest import state_of
from gitckpt.model.merging import Merged
from gitckpt.model.names import Oid, PhaseName
from gitckpt.store.branch import Branch, Point
from gitckpt.store.checkpoint import Checkpoint, read_checkpoint

_PACED_BY = 20
_GRAIN_MS = 5_000


def pace(branch: Branch, tip: Point, phase: PhaseName) -> Pace | None:
    """By the newest checkpoints with items of the phase. Their times have the grain of a second, and between two runs
    nothing was done: where the clock says far more than the processes took, those are believed. Of items side by side
    the clock alone tells, and what others merged meanwhile lies between."""
    items = state_of(tip.manifest, phase).items
    count, took_ms, longest_ms, side_by_side = 0, 0, 0, False
    begun = ended = ""
    at: Checkpoint | None = _read(branch, tip.oid)
    for _ in range(_PACED_BY):
        event = next((e for e in at.events if isinstance(e, ItemsCompleted | ItemsFailed)), None) if at else None
        merged = at is not None and any(isinstance(e, Merged) for e in at.events)
        if at is None or ((event is None or event.phase != phase) and not merged):
            break
        if event is not None and event.phase == phase:
            count += count_of(event.items)
            took_ms += event.duration_ms
            longest_ms = max(longest_ms, event.duration_ms)
            side_by_side = side_by_side or merged
            begun, ended = min(begun or event.started, event.started), ended or event.at
        at = _read(branch, at.parents[0]) if at.parents else None
    if items is None or not count:
        return None
    wall_ms = int((datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds() * 1000)
    believed_ms = wall_ms if wall_ms <= 2 * took_ms + _GRAIN_MS else 0
    spent = max(longest_ms if side_by_side and believed_ms else took_ms, believed_ms, 1)
    left = items.total - items.done - items.failed - items.skipped
    return Pace(items_per_hour=count * 3_600_000 // spent, left_ms=max(left, 0) * spent // count)


def is_rollback(branch: Branch, tip: Point) -> bool:
    """Whether the newest checkpoint goes back to an older one."""
    return _read(branch, tip.oid).title.kind == "rollback"


def _read(branch: Branch, oid: Oid) -> Checkpoint:
    return read_checkpoint(branch.reader, oid, branch.prefix)
