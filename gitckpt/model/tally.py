"""What the events about items do to a phase's state: counts, status, the number of the newest completion.

Owns the part of `advance` that is about items. Must not know where their shards are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from gitckpt.model.items import (
    ItemsCompensated,
    ItemsCompleted,
    ItemsEvent,
    ItemsFailed,
    ItemsListed,
    ItemsReopened,
    ItemsSkipped,
    count_of,
)
from gitckpt.model.manifest import DONE, Items, PhaseState, Status


class Impossible(ValueError):
    """Counts that cannot be."""


def with_items(state: PhaseState, event: ItemsEvent, number: int) -> PhaseState:
    """The state after the event, whose checkpoint has that number. Raises Impossible."""
    if isinstance(event, ItemsListed):
        return _listed(state, event, number)
    items = state.items
    # What is to be listed anew carries over what is done: not what a rollback to it finds compensated since.
    if items is None or (items.stale and not isinstance(event, ItemsCompensated)):
        raise Impossible(f"{event.phase} has no list of items")
    match event:
        case ItemsCompleted():
            _require_open(state, event)
            items = replace(items, done=items.done + event.count, failed=items.failed - event.mended)
            state = replace(
                state,
                cut_offs=0,
                partial=False,
                started=state.started or event.started,
                landed=number,
                duration_ms=_longer(state, event),
                exit_code=None if items.failed == 0 else state.exit_code,
                detail=None if items.failed == 0 else state.detail,
                # What could not be merged counts as failed until it is decided, or done again.
                conflict=None if event.mended else state.conflict,
                uncaptured=event.uncaptured or state.uncaptured,
            )
        case ItemsFailed():
            items = replace(items, failed=items.failed + event.newly)
            state = _after_failure(state, event)
        case ItemsSkipped():
            items = replace(items, skipped=items.skipped + event.count, failed=items.failed - event.failed)
        case ItemsReopened():
            items = replace(
                items,
                done=items.done - event.done,
                failed=items.failed - event.failed,
                skipped=items.skipped - event.skipped,
            )
            # What only failed keeps its idempotency keys: it may have been done outside before it failed.
            anew = state.generation + (event.done > 0)
            state = replace(state, generation=anew, completed=None, definition=None, conflict=None, mark=None, gone=())
        case ItemsCompensated():
            items = replace(items, done=items.done - event.count)
            state = replace(state, generation=state.generation + 1, landed=event.newest, completed=None)
            # What its compensation failed with before is over.
            state = state if items.failed else replace(state, exit_code=None, detail=None)
        case _:
            assert_never(event)
    return replace(state, items=_sane(items), status=_status(state, items, event))


def without_complaint(state: PhaseState) -> PhaseState:
    """The state when something older was undone than what it stands on: what that compensation failed with is over."""
    bad = state.status in (Status.FAILED, Status.BLOCKED, Status.WAITING)
    return state if bad or (state.items is not None and state.items.failed) else replace(state, detail=None)


def _after_failure(state: PhaseState, event: ItemsFailed) -> PhaseState:
    _require_open(state, event)
    if event.attempt <= state.attempts:
        raise Impossible(f"attempt {event.attempt} was used before")
    return replace(
        state,
        attempts=event.attempt,
        cut_offs=0,
        started=state.started or event.started,
        duration_ms=_longer(state, event),
        exit_code=event.exit_code,
        detail=event.detail,
        partial=state.partial or event.partial,
        uncaptured=event.uncaptured or state.uncaptured,
    )


def _longer(state: PhaseState, event: ItemsCompleted | ItemsFailed) -> int:
    return (state.duration_ms or 0) + (event.duration_ms if event.busy_ms is None else event.busy_ms)


def _listed(state: PhaseState, event: ItemsListed, number: int) -> PhaseState:
    if state.status in DONE:
        raise Impossible(f"{event.phase} is {state.status} already")
    items = Items(
        list=event.list,
        total=event.total,
        definition=event.definition,
        done=count_of(event.done),
        batch=event.batch,
        numbers=event.numbers,
        next=event.next,
        batches=event.batches,
    )
    # What carries over can be compensated as what is done now can: its shards say that it was done here.
    landed = number if items.done else 0
    return replace(
        state,
        status=Status.PENDING,
        generation=state.generation + event.anew,
        items=_sane(items),
        landed=landed,
        cut_offs=0,
        detail=None,
        exit_code=None,
        left=None,
        made_from=dict(event.made_from),
    )


def _require_open(state: PhaseState, event: ItemsEvent) -> None:
    if state.status in DONE:
        raise Impossible(f"{event.phase} is {state.status} already")


def _status(state: PhaseState, items: Items, event: ItemsEvent) -> Status:
    """`failed` while the last try of any item failed. What is completed stays so when more of it is skipped."""
    if isinstance(event, ItemsSkipped) and state.status in DONE:
        return state.status
    if isinstance(event, ItemsCompensated):
        return Status.PENDING if items.done else Status.COMPENSATED
    return Status.FAILED if items.failed else Status.PENDING


def _sane(items: Items) -> Items:
    if min(items.done, items.failed, items.skipped) < 0 or items.done + items.failed + items.skipped > items.total:
        raise Impossible(
            f"of {items.total} items {items.done} are done, {items.failed} failed, {items.skipped} skipped"
        )
    return items
