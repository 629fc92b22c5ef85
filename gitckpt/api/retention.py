"""`gc`: what is dropped from a history, or would be."""

from __future__ import annotations

from dataclasses import dataclass

from gitckpt.api.opening import open_store
from gitckpt.api.reading import Where
from gitckpt.api.writing import write
from gitckpt.engine.kept import amount_kept, forget_kept, forgettable_records
from gitckpt.engine.ports import Reporter
from gitckpt.engine.retention import Dropping, drop_runs, forget, forgettable, outlook
from gitckpt.engine.settle import settle


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """The diverged histories that were let go of, and those that something else put aside, which stay. `files`, `size`
    (bytes): what no checkpoint holds, kept for an `undo` of commands that it does not come to any more."""

    gone: tuple[int, ...]
    kept: tuple[int, ...]
    files: int = 0
    size: int = 0


def would_drop(where: Where, keep_runs: int) -> Dropping | None:
    """What `drop` would do. Takes no lock. Raises NoCheckpoints."""
    with open_store(where) as (_, store):
        if store.tip_oid() is None:
            raise store.no_checkpoints()
        return outlook(store, keep_runs)


def drop(where: Where, keep_runs: int, reason: str, reporter: Reporter) -> Dropping | None:
    """Drop all but the newest `keep_runs` runs; None where there is nothing to drop.

    Raises Busy while a run is active, NeedsDecision in a copy, NoCheckpoints.
    """
    with write(where, reporter) as hold:
        settle(hold)
        if hold.tip is None:
            raise hold.store.no_checkpoints()
        return drop_runs(hold, keep_runs, reason)


def would_forget(where: Where) -> Forgotten:
    """What `let_go` would do. Takes no lock."""
    with open_store(where) as (workspace, store):
        gone = forgettable(store)
        files, size = amount_kept(forgettable_records(store, workspace.place)) if store.tip_oid() else (0, 0)
        return Forgotten(gone=gone, kept=tuple(sorted(set(store.diverged()) - set(gone))), files=files, size=size)


def let_go(where: Where, reporter: Reporter) -> Forgotten:
    """Let go of the histories that `drop` put aside. Raises Busy, NeedsDecision."""
    with write(where, reporter) as hold:
        settle(hold)
        gone, kept = forget(hold)
        found = forgettable_records(hold.store, hold.place) if hold.tip is not None else []
        files, size = amount_kept(found)
        forget_kept(found)
        return Forgotten(gone=gone, kept=kept, files=files, size=size)
