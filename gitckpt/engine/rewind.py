"""Going back and taking over: rollback, undo, restore, adopt. Each is one new checkpoint, so each can be undone.

Owns what is named, kept and set by them. History only grows; whatever would be overwritten is in a commit first.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from gitckpt.engine.begin import record
from gitckpt.engine.compensations import Undecided, commands_of, compensated_since, effects_since
from gitckpt.engine.dating import Dating, has_younger
from gitckpt.engine.graft import reapply, with_changes
from gitckpt.engine.hold import Hold, moving_refs, open_pack, seal, take_snapshot
from gitckpt.engine.kept import replaced_by
from gitckpt.engine.land import Beside, Landing, finish_landing, land
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
from gitckpt.model.manifest import Goal, rewound
from gitckpt.model.names import PhaseName
from gitckpt.model.text import safe
from gitckpt.plumbing.content import Change, Content, compare
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

    `outside`: phases whose effects outside the workspace nothing undid.
    """

    before: Checkpoint
    target: Checkpoint
    now: Checkpoint
    taken_back: tuple[Checkpoint, ...]
    outside: tuple[PhaseName, ...] = ()
    rescued: str | None = None


def rollback(hold: Hold, selector: str, *, keep_edits: bool = False, outside: Outside = "ask") -> Moved | None:
    """Move files, definition and state to a checkpoint. None: compensations come first, and the goal is set; the loop
    does them and arrives. Raises Undecided, EditsClash, NoSuchCheckpoint, with nothing changed."""
    try:
        settle(hold)
    except NeedsDecision:
        return _take(hold, selector)
    target = select(hold.store, selector).checkpoint
    effects = effects_since(hold, target.number)
    if keep_edits:
        _with_edits_in_vain(hold, target)
    if effects.undo and effects.pivot is None and outside != "leave":
        if outside == "ask":
            raise Undecided(commands_of(hold, effects))
        goal = Goal(kind="reach", checkpoint=target.oid, after=target.number, keep_edits=keep_edits)
        if hold.at_tip.manifest.goal != goal:
            reason = f"to {target.number:04d}"
            record(hold, GoalSet(at=hold.now(), goal=goal, author=hold.person(), reason=reason))
        return None
    return _arrive(hold, target, keep_edits=keep_edits, outside=effects.undo)


def arrive_at(hold: Hold, goal: Goal) -> Moved:
    """The end of a rollback whose compensations are done."""
    assert goal.checkpoint is not None  # a goal to reach has one
    return _arrive(hold, hold.store.read(goal.checkpoint), keep_edits=goal.keep_edits, outside=())


def _arrive(hold: Hold, target: Checkpoint, *, keep_edits: bool, outside: tuple[PhaseName, ...]) -> Moved:
    tip = hold.at_tip
    between = _since(hold, target)
    with open_pack(hold) as pack:
        content = _with_edits(hold, pack, target, between) if keep_edits else target.content
        now = _land_move(hold, _rolled_back(hold, target, outside), target, content, between)
    return Moved(before=tip, target=target, now=now, taken_back=between, outside=outside)


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
    return Moved(before=before, target=target, now=now, taken_back=back)


def _with_edits_in_vain(hold: Hold, target: Checkpoint) -> None:
    """Raises EditsClash before anything is compensated."""
    with open_pack(hold) as pack:
        _with_edits(hold, pack, target, _since(hold, target))


def undo(hold: Hold) -> Moved:
    """Take back the newest command of the user's, and what came after it. Raises NothingToUndo."""
    settle(hold)
    tip = hold.at_tip
    for checkpoint in hold.store.history():
        if checkpoint.parents and is_of_command(checkpoint.events):
            target = hold.store.read(checkpoint.parents[0])
            break
    else:
        raise NothingToUndo
    between = _since(hold, target)
    event = Undone(
        at=hold.now(),
        of=checkpoint.number,
        target=target.oid,
        manifest=rewound(tip.manifest, target.manifest),
        author=hold.person(),
    )
    content = _as_before(hold, checkpoint, target)
    now = _land_move(hold, event, target, content, between, undoes=checkpoint)
    return Moved(before=tip, target=target, now=now, taken_back=between)


def _as_before(hold: Hold, undone: Checkpoint, target: Checkpoint) -> Content:
    """The captured files before a command. Where the workspace was not at the checkpoint before it, as in a clone, they
    were kept beside, or taken as they were."""
    if any(isinstance(event, Adopted) for event in undone.events):
        return undone.content
    record = replaced_by(hold, undone)
    kept = {*hold.store.rescues().values(), target.oid}
    return hold.store.read(record.before).content if record is not None and record.before in kept else target.content


def restore(hold: Hold, selected: Selected, paths: tuple[bytes, ...]) -> tuple[Checkpoint, list[Change]]:
    """Bring files of a checkpoint, attempt or rescue; state stays. Your own edits became a checkpoint first."""
    settle(hold)
    with open_pack(hold) as moved:
        there = with_moved(hold, moved, selected)
        if len(moved):
            seal(hold, moved)
        changes = compare(hold.store.reader, hold.at_tip.content, there)
        for path in paths:
            if not any(_covers(path, change.path) for change in changes):
                raise NoSuchPath(os.fsdecode(path), selected.label)
        wanted = [c for c in changes if not paths or any(_covers(path, c.path) for path in paths)]
        return (_land_restored(hold, selected, wanted) if wanted else hold.at_tip), wanted


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


def _take(hold: Hold, selector: str) -> Moved:
    """A rollback where this workspace never was, or is behind: its files are rescued as they are."""
    if hold.tip is None:
        _take_history(hold, None)
    tip = hold.at_tip
    target = select(hold.store, selector).checkpoint
    with open_pack(hold) as first:
        found = take_snapshot(hold, first)
        seal(hold, first)
        number = max(hold.store.rescues(), default=0) + 1
        edited: tuple[Event, ...] = (Edited(at=hold.now(), author=hold.person()),)
        beside = Beside(ref=f"{refs.rescues(hold.name)}{number}", content=found.content, events=edited)
        needed = found.content != target.content
        with open_pack(hold) as pack:
            landing = Landing(
                events=(_rolled_back(hold, target),),
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
    """Point the branch at a remote's history. One that went another way is kept on `diverged/<n>`."""
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


def _rolled_back(hold: Hold, target: Checkpoint, outside: tuple[PhaseName, ...] = ()) -> RolledBack:
    now = hold.at_tip.manifest
    manifest = rewound(now, target.manifest)
    left = tuple(dict.fromkeys((*target.manifest.outside, *now.outside, *outside)))
    return RolledBack(
        at=hold.now(),
        to=target.number,
        target=target.oid,
        manifest=replace(manifest, goal=Goal(), outside=left),
        author=hold.person(),
        beside=name_beside(hold.store, target.oid),
    )


def _land_move(
    hold: Hold,
    event: RolledBack | Undone,
    target: Checkpoint,
    content: Content,
    between: tuple[Checkpoint, ...],
    undoes: Checkpoint | None = None,
) -> Checkpoint:
    """Publish the move; content is stored already, or in a pack of its own. What was compensated stays so."""
    with open_pack(hold) as second:
        landing = Landing(
            events=(event, *compensated_since(hold, target, between, event.at)),
            content=content,
            found=hold.at_tip.content,
            second_parent=target.oid,
            definition=hold.store.definition(target.oid),
            ends_attempt=True,
            undoes=undoes,
            dating=Dating(then=target.oid, younger=has_younger(hold, target, between)),
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
