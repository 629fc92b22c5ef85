"""What a command that fails has done until then, what lies where, and what becomes of it: a line each, for its error.

Owns these words. They come from the history and the journal before the command and after, never from what an error
supposes. Must not change anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gitckpt.engine.place import AttemptUnderWay, Place, Record
from gitckpt.execute.heartbeat import never_started
from gitckpt.model.text import safe
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.store import Store

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a command found things, or left them: the newest checkpoint, and the journal."""

    tip: Checkpoint | None
    record: Record


def happened(store: Store, place: Place, before: Stand, after: Stand) -> tuple[str, ...]:
    """Nothing at all was recorded, run or moved where there is no line."""
    lines = [*_finished(before, after), *_recorded(store, before, after), *_on_the_way(store, after)]
    landing = after.record.landing
    is_recorded = landing is not None and landing.ends_attempt and store.tip_oid() == landing.to
    if after.record.attempt is not None and not is_recorded:
        lines.append(_attempt(place, before, after.record.attempt))
    lines += [
        _in_view(place, view.under_way, view.view)
        for view in after.record.views
        if view.own is None and not never_started(place.views / view.view, view.under_way.boot)
    ]
    return tuple(lines)


def _finished(before: Stand, after: Stand) -> Iterator[str]:
    """What an earlier command had begun, and this one went on with."""
    landing = before.record.landing
    if landing is None or after.record.landing is not None or before.tip is None:
        return
    if before.tip.oid == landing.to and not landing.stays:
        yield f"finished first: your files are as at {before.tip.number:04d}, where a command that died had gone"


def _recorded(store: Store, before: Stand, after: Stand) -> Iterator[str]:
    old, new = before.tip, after.tip
    if new is None or (old is not None and old.oid == new.oid):
        return
    made = [checkpoint for checkpoint in _since(store, new, old) if checkpoint.number > (old.number if old else 0)]
    for checkpoint in made[:SHOWN][::-1]:
        named = checkpoint.title
        words = (f"{checkpoint.number:04d}", named.phase or named.kind, named.status, named.detail)
        yield f"recorded before that: {safe(' '.join(word for word in words if word))}"
    if len(made) > SHOWN:
        yield f"and {len(made) - SHOWN:,} more before these: gitckpt log"


def _since(store: Store, new: Checkpoint, old: Checkpoint | None) -> Iterator[Checkpoint]:
    for checkpoint in store.history(new.oid):
        if old is not None and checkpoint.number <= old.number:
            return
        yield checkpoint


def _on_the_way(store: Store, after: Stand) -> Iterator[str]:
    landing, tip = after.record.landing, after.tip
    if landing is not None and not landing.stays and store.tip_oid() == landing.to:
        number = f"{tip.number:04d}" if tip is not None and tip.oid == landing.to else landing.to[:12]
        yield f"your files are on the way to {number}, which is recorded: the next command goes on with that"


def _attempt(place: Place, before: Stand, under_way: AttemptUnderWay) -> str:
    name = "always" if under_way.number == 0 else f"{under_way.phase}@{under_way.number}"
    if never_started(place.desk.folder, under_way.boot):
        return f"{name} was to begin, and nothing of it ran"
    ran = "had run before" if before.record.attempt == under_way else "ran"
    kept = "keeps that apart" if under_way.number == 0 else f"keeps that as {name}"
    return f"{name} {ran}, and that is not recorded; what it left is among your files: the next command {kept}"


def _in_view(place: Place, under_way: AttemptUnderWay, view: str) -> str:
    name = f"{under_way.phase}@{under_way.number}"
    return f"{name} ran, and that is not recorded; what it left is in {place.views / view}: the next command keeps it"
