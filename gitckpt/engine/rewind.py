"""Going back and taking over: rollback, undo, restore, adopt. Each is one new checkpoint, so each can be undone.

Owns what is named, kept and set by them. History only grows; whatever would be overwritten is in a commit first.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from gitckpt.engine.aside import leave, take_known
from gitckpt.engine.begin import record
from gitckpt.engine.beyond import beyond
from gitckpt.engine.changes import changed_by
from gitckpt.engine.compensations import Undecided, commands_of, compensated_since
from gitckpt.engine.dating import Dating, has_younger
from gitckpt.engine.debt import Debt, debt_since
from gitckpt.engine.graft import reapply, with_changes
from gitckpt.engine.hold import Hold, moving_refs, open_pack, seal, take_snapshot
from gitckpt.engine.kept import replaced_by
from gitckpt.engine.land import Beside, Landing, finish_landing, land
from gitckpt.engine.left import left_by_moving
from gitckpt.engine.oversize import with_moved
from gitckpt.engine.recover import recover
from gitckpt.engine.settle import NeedsDecision, clear_up, require_base, settle
from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.commands import is_of_command
from gitckpt.model.events import (
    Adopted,
    Edited,
    Event,
    GoalSet,
    RolledBack,
    Undone,
)
from gitckpt.model.manifest import Goal, Manifest, rewound
from gitckpt.model.text import safe
from gitckpt.plumbing.content import Change, Content, Lookup, compare
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.refs import RefUpdate, transact
from gitckpt.progress.events import Note
from gitckpt.store import refs
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.selectors import Selected, name_beside, select

Outside: TypeAlias = Literal["ask", "compensate", "leave"]
"""What becomes of what was done outside: refuse and list it, compensate it first, or leave it as it is."""


@dataclass(eq=False)
class EditsClash(GitckptError):
    """An edit cannot be applied on top of the checkpoint asked for."""

    paths: tuple[bytes, ...]

    exit_code = ExitCode.CONFLICT
    untouched = "nothing was changed"

    @property
    def message(self) -> str:
        return f"your edits clash with that checkpoint in {', '.join(safe(p) for p in self.paths)}"

    @property
    def hint(self) -> str:
        return "go back without them (they stay in history): leave out --keep-edits"


@dataclass(eq=False)
class NoSuchPath(GitckptError):
    """A checkpoint holds no such path, or it is the same there."""

    path: str
    where: str

    @property
    def message(self) -> str:
        return f"{safe(self.path)} is the same at {self.where} as here, or in neither"

    @property
    def hint(self) -> str:
        return f"see what differs: gitckpt diff {self.where} latest"


@dataclass(eq=False)
class NothingToUndo(GitckptError):
    """No command of the user's is left in this history."""

    @property
    def message(self) -> str:
        return "there is no rollback, reset or other command of yours to take back"

    @property
    def hint(self) -> str:
        return "go back to any checkpoint: gitckpt rollback CHECKPOINT (gitckpt log names them)"


@dataclass(eq=False)
class NothingToAdopt(GitckptError):
    """There is no history to adopt from."""

    where: str

    @property
    def message(self) -> str:
        return f"no checkpoints of this workflow are {self.where}"

    @property
    def hint(self) -> str:
        return "fetch them first: git fetch REMOTE 'refs/heads/gitckpt/*:refs/remotes/REMOTE/gitckpt/*'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What a rollback or undo did: from which checkpoint, to which, and what it took back (newest first).

    `debt`: what was completed since and is not undone outside the workspace.
    """

    before: Checkpoint
    target: Checkpoint
    now: Checkpoint
    taken_back: tuple[Checkpoint, ...]
    debt: Debt | None = None
    rescued: str | None = None


def rollback(hold: Hold, selector: str, *, keep_edits: bool = False, outside: Outside = "ask") -> Moved | None:
    """Move files, definition and state to a checkpoint. None: compensations come first, and the goal is set; the loop
    does them and arrives. Raises Undecided, EditsClash, NoSuchCheckpoint, with nothing changed."""
    try:
        settle(hold)
    except NeedsDecision:
        return _take(hold, selector, outside)
    target = select(hold.store, selector).checkpoint
    if keep_edits:
        _with_edits_in_vain(hold, target)
    way = _way_to(hold, target)
    if not way.debt.owed or outside == "leave":
        return _arrive(hold, way, keep_edits=keep_edits)
    goal = Goal(kind="reach", checkpoint=target.oid, after=target.number, keep_edits=keep_edits)
    if hold.at_tip.manifest.goal != goal:
        # That one who goes on with a rollback wants what is left of it compensated was said when it began.
        if outside == "ask":
            raise Undecided(commands_of(way.debt), way.debt.without)
        reason = f"to {target.number:04d}"
        record(hold, GoalSet(at=hold.now(), goal=goal, author=hold.person(), reason=reason))
    return None


def arrive_at(hold: Hold, goal: Goal) -> Moved:
    """The end of a rollback whose compensations are done."""
    assert goal.checkpoint is not None  # a goal to reach has one
    return _arrive(hold, _way_to(hold, hold.store.read(goal.checkpoint)), keep_edits=goal.keep_edits)


def _arrive(hold: Hold, way: _Way, *, keep_edits: bool) -> Moved:
    tip, target = hold.at_tip, way.target
    with open_pack(hold) as pack:
        content = _with_edits(hold, pack, target, way.between) if keep_edits else target.content
        now = _land_move(hold, _rolled_back(hold, way), way, content)
    return Moved(before=tip, target=target, now=now, taken_back=way.between, debt=way.debt)


def say_what_goes(hold: Hold) -> None:
    """A rollback that was cut off goes on: name the edits that it will undo, with the call that brings each back."""
    goal = hold.at_tip.manifest.goal
    if goal.kind != "reach" or goal.checkpoint is None:
        return
    target = hold.store.read(goal.checkpoint)
    hold.reporter(Note(f"going on with the rollback to {target.number:04d}"))
    if goal.keep_edits:
        return
    for edit in _edits_among(_since(hold, target)):
        before = hold.store.read(edit.parents[0]).content
        paths = [safe(change.path) for change in compare(hold.store.reader, before, edit.content)]
        shown = ", ".join(paths[:3]) + (" …" if len(paths) > 3 else "")
        back = f"gitckpt restore {edit.number}" + (f" -- {paths[0]}" if paths else "")
        hold.reporter(Note(f"it undoes your edit {edit.number:04d} ({shown}); to bring that back: {back}"))


def _edits_among(between: Sequence[Checkpoint]) -> list[Checkpoint]:
    return [checkpoint for checkpoint in between if checkpoint.title.kind == "edit" and checkpoint.parents]


def moved_to(hold: Hold, before: Checkpoint | None) -> Moved | None:
    """What a rollback by the loop did since `before`; None where it has not arrived."""
    now = hold.at_tip
    arrived = next((event for event in now.events if isinstance(event, RolledBack)), None)
    if arrived is None or before is None or before.oid == now.oid:
        return None
    target = hold.store.read(arrived.target)
    back = tuple(each for each in _since(hold, target) if each.oid != now.oid)
    return Moved(before=before, target=target, now=now, taken_back=back, debt=debt_since(hold, target.number))


def _with_edits_in_vain(hold: Hold, target: Checkpoint) -> None:
    """Raises EditsClash before anything is compensated."""
    with open_pack(hold) as pack:
        _with_edits(hold, pack, target, _since(hold, target))


def last_command(hold: Hold) -> Checkpoint:
    """The checkpoint of the newest command of the user's. Raises NothingToUndo."""
    settle(hold)
    for checkpoint in hold.store.history():
        if checkpoint.parents and is_of_command(checkpoint.events):
            return checkpoint
    raise NothingToUndo


def undo(hold: Hold, outside: Literal["ask", "leave"] = "ask") -> Moved:
    """Undo the newest command of the user's, and what came after it. Raises NothingToUndo; Undecided where that is
    something that can be compensated."""
    checkpoint = last_command(hold)
    tip, target = hold.at_tip, hold.store.read(checkpoint.parents[0])
    way = _way_to(hold, target)
    if way.debt.owed and outside == "ask":
        raise Undecided(commands_of(way.debt), way.debt.without, "gitckpt undo")
    event = Undone(
        at=hold.now(),
        of=checkpoint.number,
        target=target.oid,
        manifest=_gone_back(hold, way),
        author=hold.person(),
    )
    content = _as_before(hold, checkpoint, target)
    now = _land_move(hold, event, way, content, undoes=checkpoint)
    return Moved(before=tip, target=target, now=now, taken_back=way.between, debt=way.debt)


def _as_before(hold: Hold, undone: Checkpoint, target: Checkpoint) -> Content:
    """The captured files before a command. Where the workspace was not at the checkpoint before it, as in a clone, they
    were kept beside, or taken as they were."""
    if any(isinstance(event, Adopted) for event in undone.events):
        return undone.content
    record = replaced_by(hold, undone)
    kept = {*hold.store.rescues().values(), target.oid}
    return hold.store.read(record.before).content if record is not None and record.before in kept else target.content


Extent: TypeAlias = Literal["changed", "all"]
"""What is restored of an attempt or a rescue: what it changed, as `diff` of it shows, or its whole tree."""


def restore(
    hold: Hold, selected: Selected, paths: tuple[bytes, ...], extent: Extent = "changed"
) -> tuple[Checkpoint, list[Change]]:
    """Bring files of a checkpoint, attempt or rescue; state stays. Your own edits became a checkpoint first."""
    settle(hold)
    with open_pack(hold) as moved:
        there = with_moved(hold, moved, selected)
        if len(moved):
            seal(hold, moved)
        if paths or extent == "all" or not selected.is_part:
            changes = compare(hold.store.reader, hold.at_tip.content, there)
        else:
            changes = _what_it_changed(hold, selected, there)
        for path in paths:
            if not any(_covers(path, change.path) for change in changes):
                raise NoSuchPath(os.fsdecode(path), selected.label)
        wanted = [c for c in changes if not paths or any(_covers(path, c.path) for path in paths)]
        return (_land_restored(hold, selected, wanted) if wanted else hold.at_tip), wanted


def _what_it_changed(hold: Hold, selected: Selected, there: Content) -> list[Change]:
    """What leads from the tip to a tree that has, of an attempt or a rescue, just what it changed."""
    reader = hold.store.reader
    now, then = Lookup(reader, hold.at_tip.content), Lookup(reader, there)
    found: dict[bytes, Change] = {}
    for change in changed_by(hold.store, selected, there):
        path, item = change.path, now.item(change.path)
        if item != change.new:
            found[path] = Change(path=path, old=item, new=change.new)
        if change.new is None:
            continue
        if change.new.kind != "dir" and item is not None and item.kind == "dir":
            found |= {below: Change(path=below, old=each, new=None) for below, each in now.below(path)}
        for above in (path[:at] for at in range(len(path)) if path[at : at + 1] == b"/"):
            item = now.item(above)
            if item is None or item.kind != "dir":
                found.setdefault(above, Change(path=above, old=item, new=then.item(above)))
    return [found[path] for path in sorted(found)]


def _land_restored(hold: Hold, selected: Selected, wanted: list[Change]) -> Checkpoint:
    """Publish what was brought, as an edit."""
    with open_pack(hold) as pack:
        content = with_changes(hold.store.reader, pack, hold.at_tip.content, wanted)
        seal(hold, pack)
        event = Edited(at=hold.now(), author=hold.person(), restored=selected.label)
        with open_pack(hold) as second:
            landing = Landing(
                events=(event,), content=content, found=hold.at_tip.content, dating=_dating(hold, selected, content)
            )
            return land(hold, second, landing)


def _dating(hold: Hold, selected: Selected, content: Content) -> Dating:
    """What is brought of a checkpoint beside captured files that changed since, or ignored ones, is to be younger than
    these: what was made from newer sources is there still. An attempt's or a rescue's files are the newer side."""
    there = selected.checkpoint
    stays = not selected.beside and bool(compare(hold.store.reader, content, there.content))
    return Dating(then=there.oid, younger=stays or has_younger(hold, there, _since(hold, there)))


def adopt(hold: Hold, remote: str | None) -> Checkpoint:
    """Take this workspace's files as the newest edit; with a remote, on top of its history. Raises NothingToAdopt."""
    clear_up(hold)
    known = beyond(hold.store, hold.place, hold.tip, hold.record)
    if known is not None and known.kind != "gone":
        leave(hold, known)
    if hold.tip is None or remote is not None:
        _take_history(hold, remote)
    else:
        if hold.record.landing is not None and hold.record.landing.lags:
            finish_landing(hold, hold.record.landing)
        if hold.record.landing is None and hold.record.ahead.get(hold.name) == hold.at_tip.oid:
            # What phases did side by side is not in the workspace yet: it is not to be taken for removed.
            require_base(hold)
            recover(hold, "merge")
        hold.write_record(replace(hold.record, landing=None, attempt=None))
    tip = hold.at_tip
    with open_pack(hold) as pack:
        found = take_snapshot(hold, pack)
        event = Adopted(at=hold.now(), manifest=tip.manifest, author=hold.person(), remote=remote)
        # The next run finds that today's definition is another one, and says so in an event of its own.
        definition = hold.store.definition(tip.oid)
        return land(
            hold, pack, Landing(events=(event,), content=found.content, found=found.content, definition=definition)
        )


def _take(hold: Hold, selector: str, outside: Outside) -> Moved:
    """A rollback where this workspace never was, or is behind: its files are rescued as they are. Raises Undecided,
    also where what was done since is to be compensated: that is done from the newest checkpoint."""
    if hold.tip is None:
        _take_history(hold, None)
    tip = hold.at_tip
    target = select(hold.store, selector).checkpoint
    way = _Way(target=target, between=(), debt=debt_since(hold, target.number))
    if way.debt.owed and outside != "leave":
        at_newest = "gitckpt rollback latest, then gitckpt rollback CHECKPOINT"
        raise Undecided(commands_of(way.debt), way.debt.without, at_newest)
    known = beyond(hold.store, hold.place, tip, hold.record)
    if known is not None:
        leave(hold, known)
    with open_pack(hold) as first:
        found = take_snapshot(hold, first)
        seal(hold, first)
        number = max(hold.store.rescues(), default=0) + 1
        edited: tuple[Event, ...] = (Edited(at=hold.now(), author=hold.person()),)
        beside = Beside(ref=f"{refs.rescues(hold.name)}{number}", content=found.content, events=edited)
        needed = found.content != target.content
        with open_pack(hold) as pack:
            landing = Landing(
                events=(_rolled_back(hold, way),),
                content=target.content,
                found=found.content,
                second_parent=target.oid,
                beside=beside if needed else None,
                definition=hold.store.definition(target.oid),
                ends_attempt=True,
                dating=Dating(then=target.oid, younger=has_younger(hold, target, ())),
            )
            now = land(hold, pack, landing)
    return Moved(before=tip, target=target, now=now, taken_back=(), rescued=f"rescue@{number}" if needed else None)


def _take_history(hold: Hold, remote: str | None) -> None:
    """Point the branch at a remote's history, or at what is known of it here. One that went another way is kept on
    `diverged/<n>`."""
    if remote is None and take_known(hold):
        return
    remotes = hold.store.elsewhere()
    theirs = remotes.get(remote) if remote else next(iter(remotes.values()), None)
    if theirs is None and remote is None:
        newest = max(hold.store.tags().items(), default=None)
        theirs = newest[1] if newest else None
    if theirs is None:
        raise NothingToAdopt(f"on {remote}" if remote else "here")
    tip = hold.tip
    if tip is not None and theirs in hold.store.ids():
        return
    updates = [RefUpdate(hold.store.branch, theirs, tip.oid if tip else None)]
    if tip is not None and tip.oid not in hold.store.ids(theirs):
        number = max(hold.store.diverged(), default=0) + 1
        updates.append(RefUpdate(f"{refs.diverged(hold.name)}{number}", tip.oid, None))
    newest_there = hold.store.checkpoint_at_tip(theirs)
    with moving_refs(hold):
        transact(hold.given.repository, updates, f"gitckpt: history of {remote or 'a copy'}")
    hold.tip = newest_there


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """The way back to `target`: the checkpoints between, newest first, and what was done outside since."""

    target: Checkpoint
    between: tuple[Checkpoint, ...]
    debt: Debt


def _way_to(hold: Hold, target: Checkpoint) -> _Way:
    return _Way(target=target, between=_since(hold, target), debt=debt_since(hold, target.number))


def _gone_back(hold: Hold, way: _Way) -> Manifest:
    """The manifest of the target, with what may never fall, and what is left behind outside."""
    left, outside = left_by_moving(hold, way.target, way.debt)
    return replace(rewound(hold.at_tip.manifest, way.target.manifest), outside=outside, left_behind=left)


def _rolled_back(hold: Hold, way: _Way) -> RolledBack:
    target = way.target
    return RolledBack(
        at=hold.now(),
        to=target.number,
        target=target.oid,
        manifest=_gone_back(hold, way),
        author=hold.person(),
        beside=name_beside(hold.store, target.oid),
    )


def _land_move(
    hold: Hold,
    event: RolledBack | Undone,
    way: _Way,
    content: Content,
    undoes: Checkpoint | None = None,
) -> Checkpoint:
    """Publish the move; content is stored already, or in a pack of its own. What was compensated stays so."""
    target = way.target
    with open_pack(hold) as second:
        landing = Landing(
            events=(event, *compensated_since(hold, target, way.debt, event.at)),
            content=content,
            found=hold.at_tip.content,
            second_parent=target.oid,
            definition=hold.store.definition(target.oid),
            ends_attempt=True,
            undoes=undoes,
            dating=Dating(then=target.oid, younger=has_younger(hold, target, way.between)),
        )
        return land(hold, second, landing)


def _with_edits(hold: Hold, pack: Pack, target: Checkpoint, between: tuple[Checkpoint, ...]) -> Content:
    """The net change of each edit after the target, oldest first, on top of it."""
    store = hold.store
    edits = [
        compare(store.reader, store.read(checkpoint.parents[0]).content, store.read(checkpoint.oid).content)
        for checkpoint in reversed(_edits_among(between))
    ]
    base = store.read(target.oid).content
    joined = reapply(hold.given.repository, store.reader, pack, base, edits)
    if not isinstance(joined, Content):
        raise EditsClash(joined)
    seal(hold, pack)
    return joined


def _since(hold: Hold, target: Checkpoint) -> tuple[Checkpoint, ...]:
    """The checkpoints after the target along first parents, newest first; all there is for one beside the branch."""
    found: list[Checkpoint] = []
    for checkpoint in hold.store.history():
        if checkpoint.oid == target.oid:
            return tuple(found)
        found.append(checkpoint)
    return ()


def _covers(path: bytes, candidate: bytes) -> bool:
    return not path or candidate == path or candidate.startswith(path.rstrip(b"/") + b"/")
