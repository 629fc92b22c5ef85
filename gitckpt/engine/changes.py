"""What changed, as lists of paths: by a checkpoint, by a whole phase, between two checkpoints, or by you since.

Owns which two sides a name means. Takes no lock and writes nothing but into a scratch git directory. Must not know
how a difference is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from gitckpt.engine.dropping import dropped_by_edits
from gitckpt.engine.history import merged_in
from gitckpt.engine.place import Place
from gitckpt.errors import GitckptError
from gitckpt.model.events import (
    AttemptCutOff,
    AttemptFailed,
    Event,
    Named,
    PhaseCompensated,
    PhaseCompleted,
    Reopened,
    Reset,
    RunStarted,
    WentBack,
)
from gitckpt.model.items import ItemsCompensated, ItemsCompleted, ItemsFailed, ItemsReopened
from gitckpt.model.names import Oid, PhaseName
from gitckpt.plumbing.content import Change, Content, Defaults, compare, defaults_of
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.repository import Repository
from gitckpt.store.checkpoint import Checkpoint, came_from
from gitckpt.store.selectors import NoSuchCheckpoint, Selected, label, select
from gitckpt.store.store import Store
from gitckpt.workspace.rules import CaptureRules
from gitckpt.workspace.snapshot import snapshot
from gitckpt.workspace.statcache import StatCache


@dataclass(eq=False)
class NotCompletedYet(GitckptError):
    """A phase that has no checkpoint of its own so far; `attempts` are the numbers of those that are kept."""

    phase: str
    attempts: tuple[int, ...]

    @property
    def message(self) -> str:
        return f"{self.phase} has not completed, so it changed nothing yet"

    @property
    def hint(self) -> str:
        if not self.attempts:
            return "see where it stands: gitckpt status"
        return f"see what its last attempt left: gitckpt diff {self.phase}@{self.attempts[-1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Paths that differ, sorted; `old` and `new` say in words what is compared. `before` and `after` are the modes
    that go without saying on either side."""

    changes: tuple[Change, ...]
    old: str
    new: str
    before: Defaults
    after: Defaults


def made_by(store: Store, selector: str) -> Difference:
    """What a checkpoint changed, what a phase changed over all its checkpoints in its newest run, or what an attempt
    or a rescue left. Raises NoSuchCheckpoint, NoCheckpoints, NotCompletedYet."""
    pieces = _pieces(store, selector)
    if pieces is not None:
        return _of_pieces(store, selector, pieces)
    chosen = select(store, selector)
    return of_one(store, chosen)


def of_one(store: Store, chosen: Selected) -> Difference:
    """What one checkpoint, attempt or rescue changed, seen from its first parent."""
    checkpoint, parent = chosen.checkpoint, _began_from(store, chosen)
    changes = changed_by(store, chosen, checkpoint.content)
    before = label(parent) if parent else "nothing"
    if parent is not None and chosen.beside and parent.oid not in store.ids():
        before = f"what {chosen.label} began from"  # it has a number that a checkpoint has, too
    return _difference(store, changes, (parent, before), (checkpoint, chosen.label))


def changed_by(store: Store, chosen: Selected, content: Content) -> list[Change]:
    """What leads to `content`, all that one checkpoint, attempt or rescue left, from its first parent."""
    parent = _began_from(store, chosen)
    return compare(store.reader, parent.content if parent else None, content)


def _began_from(store: Store, chosen: Selected) -> Checkpoint | None:
    return store.read(chosen.checkpoint.parents[0]) if chosen.checkpoint.parents else None


def between(store: Store, first: str, second: str) -> Difference:
    """What differs from one checkpoint to another. Raises NoSuchCheckpoint, NoCheckpoints."""
    one, other = select(store, first), select(store, second)
    changes = compare(store.reader, one.checkpoint.content, other.checkpoint.content)
    return _difference(store, changes, (one.checkpoint, one.label), (other.checkpoint, other.label))


def base_of(store: Store, place: Place) -> Checkpoint:
    """The checkpoint this workspace was last made equal to; the newest where none is known. Raises NoCheckpoints."""
    tip = store.tip()
    if tip is None:
        raise store.no_checkpoints()
    base = place.read().bases.get(store.workflow)
    known = base is not None and base != tip.oid and store.reader.commit(base) is not None
    return store.read(base) if known and base is not None else tip


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A workspace to be looked at. `scratch` takes the objects of what is not stored yet."""

    repository: Repository
    root: Path
    prefix: bytes
    scratch: Repository
    place: Place


def edits(store: Store, desk: Desk, base: Checkpoint, rules: CaptureRules) -> Difference:
    """What differs from the base to the workspace as it is now. Raises Unreadable, PackFailed, GitFailed."""
    defaults = defaults_of(store.reader, base.content)
    cache = StatCache.load(desk.place.cache, desk.repository.object_format)
    with Pack(desk.scratch, "edits") as pack:
        found = snapshot(
            root=desk.root,
            repository=desk.repository,
            prefix=desk.prefix,
            rules=rules,
            pack=pack,
            cache=cache,
            defaults=defaults,
            known=base.content,
            reader=store.reader,
            held=base.content,
        )
        pack.finish()
    dropped = dropped_by_edits(desk.repository, desk.prefix, store.reader, base.content, found.content, cache.held)
    changes = {change.path: change for change in compare(store.reader, base.content, found.content)}
    for change in dropped:
        was = changes.get(change.path, change)
        changes[change.path] = replace(was, new=None)
    return Difference(
        changes=tuple(changes[path] for path in sorted(changes)),
        old=label(base),
        new="your files",
        before=defaults,
        after=_defaults(store, found.content),
    )


def only(difference: Difference, paths: Sequence[bytes]) -> tuple[Change, ...]:
    """The changes at or below `paths` (b"" is everything); all of them where no path is given."""
    if not paths:
        return difference.changes
    return tuple(change for change in difference.changes if any(_covers(path, change.path) for path in paths))


def _covers(path: bytes, candidate: bytes) -> bool:
    return not path or candidate == path or candidate.startswith(path + b"/")


def _difference(
    store: Store, changes: Iterable[Change], old: tuple[Checkpoint | None, str], new: tuple[Checkpoint, str]
) -> Difference:
    return Difference(
        changes=tuple(changes),
        old=old[1],
        new=new[1],
        before=_defaults(store, old[0].content if old[0] else new[0].content),
        after=_defaults(store, new[0].content),
    )


def _defaults(store: Store, content: Content) -> Defaults:
    return defaults_of(store.reader, content)


# --- a phase over all its checkpoints -----------------------------------------------------------------------------


def _pieces(store: Store, selector: str) -> list[Checkpoint] | None:
    """The checkpoints of a phase's newest run, newest first; None where `selector` names no phase."""
    tip = store.tip_oid()
    if tip is None:
        raise store.no_checkpoints()
    if selector not in store.manifest(tip).phases:
        return None
    phase = PhaseName(selector)
    pieces = _stretch(store, phase, tip)
    if pieces:
        return pieces
    try:
        return _stretch(store, phase, select(store, selector).checkpoint.oid) or None
    except NoSuchCheckpoint:
        raise NotCompletedYet(phase, tuple(sorted(store.attempts(phase)))) from None


def _stretch(store: Store, phase: PhaseName, newest: Oid) -> list[Checkpoint]:
    """The checkpoints of a phase, back from `newest`; past a rollback it goes on from where that went back to."""
    pieces: list[Checkpoint] = []
    may_complete = True
    at: Oid | None = newest
    while at is not None and store.reader.commit(at) is not None:
        checkpoint = store.read(at)
        at = came_from(checkpoint)
        work = _work(checkpoint, phase)
        is_older = work == "undone" and any(_work(piece, phase) != "undone" for piece in pieces)
        if work == "ends" or is_older or (work == "completed" and not may_complete):
            break
        if work in ("part", "completed", "undone"):
            pieces.append(checkpoint)
        if work != "none":
            may_complete = work in ("again", "undone")
    return pieces


Part: TypeAlias = Literal["ends", "completed", "undone", "again", "part", "none"]
"""What a checkpoint is to a phase, the most telling first: `ends` is the border of its newest run, seen from the newer
side; `undone`: it was compensated; `again`: some of its items are done once more after it was completed."""


def _work(checkpoint: Checkpoint, phase: PhaseName) -> Part:
    found = {_work_of(event, phase) for event in checkpoint.events}
    return next(part for part in get_args(Part) if part in found or part == "none")


def _work_of(event: Event, phase: PhaseName) -> Part:
    match event:
        case RunStarted() | Reset():
            return "ends"
        case Reopened(phases=phases) | WentBack(phases=phases) if phase in phases:
            return "ends"
        case PhaseCompleted(phase=name) if name == phase:
            return "completed"
        case PhaseCompensated(phase=name) | ItemsCompensated(phase=name) if name == phase:
            return "undone"
        case ItemsReopened(phase=name) if name == phase:
            return "again"
        case ItemsCompleted(phase=name) | Named(phase=name) if name == phase:
            return "part"
        case (
            AttemptFailed(phase=name, partial=True)
            | AttemptCutOff(phase=name, partial=True)
            | ItemsFailed(phase=name, partial=True)
        ) if name == phase:
            return "part"
        case _:
            return "none"


def _of_pieces(store: Store, selector: str, pieces: Sequence[Checkpoint]) -> Difference:
    """The net of what each piece changed: an edit of yours that lies between two of them is not among it, nor what
    other phases did meanwhile."""
    net: dict[bytes, Change] = {}
    steps = list(_steps(store, PhaseName(selector), pieces))
    for step in steps:
        merged: dict[bytes, Change] | None = None
        for change in compare(store.reader, step.before.content if step.before else None, step.after.content):
            known, new = net.get(change.path), change.new
            if known is not None and known.new != change.old:
                # Two items changed it side by side: what it is then, the merge says.
                merged = _changed_by(store, step.piece) if merged is None else merged
                new = merged[change.path].new if change.path in merged else known.new
            net[change.path] = Change(path=change.path, old=known.old if known else change.old, new=new)
    changes = [net[path] for path in sorted(net) if net[path].old != net[path].new]
    newest = pieces[0]
    return _difference(store, changes, (steps[0].before, f"before:{selector}"), (newest, label(newest)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What a phase did at once: from what to what, and the checkpoint that it became part of the history by."""

    before: Checkpoint | None
    after: Checkpoint
    piece: Checkpoint


def _steps(store: Store, phase: PhaseName, pieces: Sequence[Checkpoint]) -> Iterator[_Step]:
    """Oldest first. Of a merge it is the own commit and what that began from; all others are seen from their first
    parents, and those in a row at once: 100 batches are one comparison."""
    for oldest, newest in _joined(pieces, phase):
        merged = merged_in(newest, phase)
        if merged is not None:
            yield _Step(before=store.read(merged.start), after=store.read(merged.own), piece=newest)
        else:
            before = store.read(oldest.parents[0]) if oldest.parents else None
            yield _Step(before=before, after=newest, piece=newest)


def _changed_by(store: Store, checkpoint: Checkpoint) -> dict[bytes, Change]:
    before = store.read(checkpoint.parents[0]).content if checkpoint.parents else None
    return {change.path: change for change in compare(store.reader, before, checkpoint.content)}


def _joined(pieces: Sequence[Checkpoint], phase: PhaseName) -> list[tuple[Checkpoint, Checkpoint]]:
    """The oldest and newest of each row of pieces that follow on one another, oldest row first; a merge by itself."""
    rows: list[tuple[Checkpoint, Checkpoint]] = []
    joins = False
    for piece in reversed(pieces):
        is_merge = merged_in(piece, phase) is not None
        if joins and not is_merge and piece.parents[:1] == (rows[-1][1].oid,):
            rows[-1] = (rows[-1][0], piece)
        else:
            rows.append((piece, piece))
        joins = not is_merge
    return rows
