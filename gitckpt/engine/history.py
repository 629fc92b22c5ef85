"""How a workflow came to where it stands: the checkpoints as rows, newest first, read and never changed.

Owns what a row says, which neighbours are told as one, and what a rollback took back. Must not know how it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gitckpt.execute.output import cause, tail_lines
from gitckpt.model.events import (
    AttemptCutOff,
    AttemptFailed,
    CompensationFailed,
    PhaseCompleted,
    RunStarted,
)
from gitckpt.model.items import ItemsCompleted, ItemsFailed
from gitckpt.model.merging import Merged
from gitckpt.model.names import Oid, PhaseName, RunId
from gitckpt.model.title import Title
from gitckpt.plumbing.content import Change, compare
from gitckpt.store.checkpoint import Checkpoint, came_from
from gitckpt.store.store import Store

FEW = 3
"""So many neighbours with items of one phase are told as one."""

MOST_READ = 2_000
"""Checkpoints that are read to fill the lines asked for: about a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One checkpoint in history, or several in a row that did items of one phase: then `oldest` is the first of them.

    `files` are the files and links it changed; `attempt` is `load@2` for an attempt that did not complete; `came_from`
    is the checkpoint whose files it took up (a rollback's target, else the one before), None at the beginning.
    """

    checkpoint: Checkpoint
    title: Title
    files: tuple[Change, ...]
    attempt: str | None = None
    cause: str = ""
    came_from: Oid | None = None
    oldest: Checkpoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The newest rows, newest first, and how many older checkpoints were asked for but not shown. `taken_back` are
    those among them that a rollback or undo took back."""

    rows: tuple[Row, ...] = ()
    more: int = 0
    taken_back: frozenset[Oid] = field(default_factory=frozenset)


def whole_history(store: Store, limit: int | None) -> History:
    """The rows of every run, at most `limit`, one for each checkpoint. Raises NotACheckpoint, Damaged."""
    ids = store.ids()
    return _history(store, ids, len(ids), limit)


def run_history(store: Store, limit: int | None) -> History:
    """The rows since the current run began, at most `limit`. Raises NotACheckpoint, Damaged."""
    ids = store.ids()
    return _history(store, ids, _begin_of_run(store, ids), limit)


def folded_history(store: Store, limit: int) -> History:
    """As `whole_history`, with neighbours that did items of one phase told as one row."""
    ids = store.ids()
    return _folded(store, ids, len(ids), limit)


def folded_run_history(store: Store, limit: int) -> History:
    """As `run_history`, with neighbours that did items of one phase told as one row."""
    ids = store.ids()
    return _folded(store, ids, _begin_of_run(store, ids), limit)


def completed_items(checkpoint: Checkpoint) -> ItemsCompleted | None:
    """What it says of items that were done, if it does."""
    return next((event for event in checkpoint.events if isinstance(event, ItemsCompleted)), None)


def merged_in(checkpoint: Checkpoint, phase: PhaseName | None = None) -> Merged | None:
    """What it merged, of any phase or of that one, where it is a merge of an attempt in a view of its own."""
    found = (event for event in checkpoint.events if isinstance(event, Merged))
    return next((event for event in found if phase in (None, event.phase)), None)


def _begin_of_run(store: Store, ids: Sequence[Oid]) -> int:
    """How many of the newest checkpoints belong to the current run."""
    wanted = store.manifest(ids[0]).run if ids else RunId("")
    for index, oid in enumerate(ids):
        if any(isinstance(e, RunStarted) and wanted in (e.manifest.run, "") for e in store.read(oid).events):
            return index + 1
    return len(ids)


def _history(store: Store, ids: Sequence[Oid], total: int, limit: int | None) -> History:
    rows = tuple(_row(store, store.read(oid)) for oid in ids[:total][:limit])
    return History(rows=rows, more=total - len(rows), taken_back=_taken_back([row.checkpoint for row in rows], ids))


def _row(store: Store, checkpoint: Checkpoint) -> Row:
    attempt, told = None, ""
    for event in checkpoint.events:
        match event:
            case (
                AttemptFailed(phase=phase, attempt=number)
                | ItemsFailed(phase=phase, attempt=number)
                | CompensationFailed(phase=phase, attempt=number)
            ):
                attempt = f"{phase}@{number}"
                told = cause(tail_lines(store.output(checkpoint.oid, phase) or b""))
            case AttemptCutOff(phase=phase, attempt=number):
                attempt = f"{phase}@{number}"
            case _:
                continue
    return Row(
        checkpoint=checkpoint,
        title=checkpoint.title,
        files=files_of(store, checkpoint, checkpoint),
        attempt=attempt,
        cause=told,
        came_from=came_from(checkpoint),
    )


def files_of(store: Store, oldest: Checkpoint, newest: Checkpoint) -> tuple[Change, ...]:
    """The files and links that changed from before the one to after the other."""
    before = store.read(oldest.parents[0]).content if oldest.parents else None
    changes = () if before == newest.content else compare(store.reader, before, newest.content)
    return tuple(c for c in changes if any(item and item.kind != "dir" for item in (c.old, c.new)))


def _taken_back(checkpoints: Sequence[Checkpoint], ids: Sequence[Oid]) -> frozenset[Oid]:
    """Those that the newest one does not build on: walk from it to where each took its files from."""
    by_oid = {checkpoint.oid: checkpoint for checkpoint in checkpoints}
    branch = frozenset(ids)
    lineage: set[Oid] = set()
    at = checkpoints[0].oid if checkpoints else None
    while at is not None and at in by_oid:
        lineage.add(at)
        checkpoint = by_oid[at]
        source = came_from(checkpoint)
        # A rollback to an attempt or a rescue leaves the branch: what came before it is not taken back.
        at = source if source in branch else next(iter(checkpoint.parents), None)
    return frozenset(by_oid) - lineage


# --- neighbours told as one ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Run:
    """Neighbours in history, newest first, that did items of `phase`; of no phase: one checkpoint by itself."""

    phase: PhaseName | None
    members: list[Checkpoint]

    def takes(self, checkpoint: Checkpoint, phase: PhaseName | None) -> bool:
        """Whether an older checkpoint goes on with it. One that completed the phase can only be its newest."""
        completes = any(isinstance(event, PhaseCompleted) for event in checkpoint.events)
        return phase is not None and phase == self.phase and not completes


def _folded(store: Store, ids: Sequence[Oid], total: int, limit: int) -> History:
    runs: list[_Run] = []
    seen: list[Checkpoint] = []
    for oid in ids[: min(total, max(MOST_READ, limit))]:
        checkpoint = store.read(oid)
        phase = _phase_of_items(checkpoint)
        if runs and runs[-1].takes(checkpoint, phase):
            runs[-1].members.append(checkpoint)
        elif sum(map(_lines, runs)) >= limit:
            break
        else:
            # The newest of all stands by itself while its phase is under way: it is where one is.
            alone = not seen and phase is not None and checkpoint.title.kind not in ("phase", "merge")
            runs.append(_Run(None if alone else phase, [checkpoint]))
        seen.append(checkpoint)
    taken_back = _taken_back(seen, ids)
    rows = [row for run in runs for row in _rows(store, run, taken_back)][:limit]
    told = sum(_span(row) for row in rows)
    return History(rows=tuple(rows), more=total - told, taken_back=taken_back)


def _phase_of_items(checkpoint: Checkpoint) -> PhaseName | None:
    done = completed_items(checkpoint)
    return done.phase if done and checkpoint.title.kind in ("item", "batch", "phase", "merge") else None


def _lines(run: _Run) -> int:
    return len(run.members) if len(run.members) < FEW else 1


def _span(row: Row) -> int:
    return 1 if row.oldest is None else row.checkpoint.number - row.oldest.number + 1


def _rows(store: Store, run: _Run, taken_back: frozenset[Oid]) -> Iterator[Row]:
    """One row for all members; a row for each where they are few, or a rollback took only some of them back."""
    fates = {member.oid in taken_back for member in run.members}
    newest, oldest = run.members[0], run.members[-1]
    if len(run.members) < FEW or len(fates) > 1:
        yield from (_row(store, member) for member in run.members)
        return
    files = files_of(store, oldest, newest)
    yield Row(checkpoint=newest, title=newest.title, files=files, came_from=came_from(newest), oldest=oldest)
