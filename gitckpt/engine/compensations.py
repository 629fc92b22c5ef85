"""What going back leaves undone outside the workspace: what can be compensated, what cannot, and what was already.

Owns the question that a rollback past a completed `compensate` puts. Must not run a compensation: that is the loop's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gitckpt.engine.agenda import compensation, list_file
from gitckpt.engine.hold import Hold
from gitckpt.engine.ports import AtTip
from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.amount import plural
from gitckpt.model.compensate import has_effect, past_pivot, to_undo
from gitckpt.model.events import Event, PhaseCompensated
from gitckpt.model.items import ItemsCompensated, count_of, indices_of, ranges_of
from gitckpt.model.manifest import Status, state_of
from gitckpt.model.names import PhaseName
from gitckpt.model.shard import DONE
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.layout import items_folder
from gitckpt.store.lists import ItemList, carry_over
from gitckpt.store.shards import Progress, phase_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What was done outside since a checkpoint. `undo`: phases with a compensation, newest completion first; `pivot`:
    the completed phase that stops it, in which case all of them stay as they are."""

    undo: tuple[PhaseName, ...]
    pivot: PhaseName | None


@dataclass(eq=False)
class Undecided(GitckptError):
    """A rollback goes back past completed phases that have a compensation, and nobody said what is to become of it."""

    commands: tuple[tuple[str, str], ...]

    exit_code = ExitCode.USAGE

    @property
    def message(self) -> str:
        listed = "".join(f"\n  {phase}: {command}" for phase, command in self.commands)
        return f"going back past completed phases that can be compensated, newest first:{listed}"

    @property
    def hint(self) -> str:
        return (
            "run these, then go back: gitckpt rollback CHECKPOINT --compensate\n"
            "go back and leave what they did outside: gitckpt rollback CHECKPOINT --no-compensate"
        )


def effects_since(hold: AtTip, number: int) -> Effects:
    """What has been completed after checkpoint `number` and has a compensation, today or when it was completed."""
    manifest = hold.at_tip.manifest
    able = frozenset(
        name for name, state in manifest.phases.items() if has_effect(state, number) and compensation(hold, name)
    )
    pivot = past_pivot(hold.workflow, manifest, number)
    if pivot is not None:
        return Effects(undo=tuple(sorted(able, key=lambda name: -state_of(manifest, name).landed)), pivot=pivot)
    return Effects(undo=to_undo(hold.workflow, manifest, able, after=number), pivot=None)


def commands_of(hold: AtTip, effects: Effects) -> tuple[tuple[str, str], ...]:
    """Each phase with the command that compensates it, for each of its items where it has items."""
    told: list[tuple[str, str]] = []
    for name in effects.undo:
        phase, items = compensation(hold, name), state_of(hold.at_tip.manifest, name).items
        text = " ; ".join(phase.compensate) if phase else ""
        told.append((name, f"{text}  (for each of {plural(items.done, 'item')})" if items else text))
    return tuple(told)


def compensated_since(hold: Hold, target: Checkpoint, between: Sequence[Checkpoint], at: str) -> tuple[Event, ...]:
    """What the target has as completed and was compensated since: going there does not make it completed again."""
    gone = [event for checkpoint in between for event in checkpoint.events]
    whole = dict.fromkeys(event.phase for event in gone if isinstance(event, PhaseCompensated))
    events: list[Event] = [
        PhaseCompensated(at=at, phase=name, duration_ms=0)
        for name in whole
        if state_of(target.manifest, name).status is Status.COMPLETED
    ]
    parts: dict[PhaseName, dict[str, set[int]]] = {}
    for checkpoint in between:
        for event in checkpoint.events:
            items = state_of(checkpoint.manifest, event.phase).items if isinstance(event, ItemsCompensated) else None
            if isinstance(event, ItemsCompensated) and items is not None:
                undone = parts.setdefault(event.phase, {}).setdefault(items.list, set())
                undone.update(indices_of(event.items))
    return (*events, *(found for name, by_list in parts.items() if (found := _items(hold, target, name, by_list, at))))


def _items(
    hold: Hold, target: Checkpoint, name: PhaseName, by_list: Mapping[str, set[int]], at: str
) -> ItemsCompensated | None:
    """`by_list`: what was compensated, as indices into the lists of then. The target may have another: by key."""
    then = state_of(target.manifest, name).items
    if then is None:
        return None
    indices: set[int] = set()
    for frozen, undone in by_list.items():
        if frozen == then.list:
            indices |= undone
        else:
            old, new = (ItemList(list_file(hold, blob)) for blob in (frozen, then.list))
            indices.update(indices_of(carry_over(old, ranges_of(sorted(undone)), new)))
    reader = hold.store.reader
    folder = phase_folder(reader, items_folder(reader, target.oid, hold.store.prefix), name)
    progress = Progress(reader, folder)
    still = [index for index in sorted(indices) if progress.state(index) == DONE]
    if not still:
        return None
    left = (
        progress.number(index) for index in progress.among(frozenset({DONE}), 0, then.total) if index not in indices
    )
    ranges = ranges_of(still)
    return ItemsCompensated(
        at=at, phase=name, items=ranges, count=count_of(ranges), newest=max(left, default=0), duration_ms=0
    )
