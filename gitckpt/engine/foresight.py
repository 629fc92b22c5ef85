"""What a rollback would take back and what it would compensate first, without doing any of it. Takes no lock.

Owns that account. Must not know how it is shown. What `run` would do is `forecast`'s, which is pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gitckpt.engine.arrival import foreseen
from gitckpt.engine.compensations import Command, commands_of, names_of
from gitckpt.engine.debt import debt_since
from gitckpt.engine.inspect import Standing
from gitckpt.engine.ports import AtTip
from gitckpt.model.manifest import DONE, state_of
from gitckpt.model.names import PhaseName
from gitckpt.model.workflow import Workflow, order
from gitckpt.plumbing.refs import list_refs
from gitckpt.store import refs
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.selectors import select
from gitckpt.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The newest checkpoint as somebody sees it who holds nothing."""

    workflow: Workflow
    store: Store
    at_tip: Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """A rollback to `target`. `taken_back`: newest first. `commands`: each phase that would be compensated, with its
    command, in order. `pivot`: the phase that forbids it of the phases `outside`, which stay as they are; `without`:
    completed phases that say of no way to undo them, where others do."""

    target: Checkpoint
    label: str
    taken_back: tuple[Checkpoint, ...]
    commands: tuple[Command, ...]
    pivot: PhaseName | None
    outside: tuple[PhaseName, ...]
    without: tuple[PhaseName, ...]
    left_to_do: tuple[PhaseName, ...]


def foresee_rollback(look: AtTip, selector: str) -> WayBack:
    """What `rollback SELECTOR` would do. Raises NoSuchCheckpoint, NoCheckpoints."""
    chosen = select(look.store, selector)
    target = chosen.checkpoint
    debt = debt_since(look, target.number)
    manifest = target.manifest
    return WayBack(
        target=target,
        label=chosen.label,
        taken_back=_since(look, target),
        commands=commands_of(debt),
        pivot=debt.pivot,
        outside=names_of(debt.kept),
        without=debt.without if debt.owed or debt.kept else (),
        left_to_do=tuple(name for name in manifest.order if state_of(manifest, name).status not in DONE),
    )


def with_what_waits(store: Store, workflow: Workflow, now: Standing) -> Standing:
    """The same look, with what has succeeded and is not merged yet counted as done: `run` will not do it again."""
    if now.tip is None or not now.to_be_merged:
        return now
    manifest, ranks = now.tip.manifest, {name: rank for rank, name in enumerate(order(workflow))}
    waiting = [store.read(oid) for oid in list_refs(store.repository, refs.finished(store.workflow)).values()]
    ours = [own for own in waiting if own.manifest.run == manifest.run]
    ours.sort(key=lambda own: ranks.get(PhaseName(own.title.phase or ""), len(ranks)))
    return replace(now, tip=replace(now.tip, manifest=foreseen(manifest, (own.events for own in ours))))


def _since(look: AtTip, target: Checkpoint) -> tuple[Checkpoint, ...]:
    found: list[Checkpoint] = []
    for checkpoint in look.store.history(look.at_tip.oid):
        if checkpoint.oid == target.oid:
            return tuple(found)
        found.append(checkpoint)
    return ()
