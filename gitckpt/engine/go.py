"""The workspace moves: from one content to a checkpoint's, with everything in the way rescued first.

Owns what is spared and what is rescued. Doing it twice is doing it once, so a kill in between is mended by doing it
again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from gitckpt.engine.capturing import capture_rules
from gitckpt.engine.dating import NEW, Dating, dates_for
from gitckpt.engine.graft import with_items
from gitckpt.engine.hold import Hold, open_pack
from gitckpt.engine.kept import Undoing, bring_back, keep, left_out, undoing
from gitckpt.engine.place import LandingUnderWay
from gitckpt.execute.heartbeat import boot_since
from gitckpt.model.events import Edited, Event
from gitckpt.model.names import Oid
from gitckpt.model.text import safe
from gitckpt.plumbing.content import Change, Content, Lookup, compare
from gitckpt.plumbing.ignore import Ignore
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Signature
from gitckpt.plumbing.refs import RefUpdate, transact
from gitckpt.progress.events import Note, Warned
from gitckpt.store import refs
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.definition import decode_workflow
from gitckpt.store.publish import PROGRAM, Draft, write_commit
from gitckpt.workspace.become import apply
from gitckpt.workspace.beforehand import Made
from gitckpt.workspace.capture import is_left_out
from gitckpt.workspace.collect import collect
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.obstructions import torn
from gitckpt.workspace.rules import CaptureRules, Matcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Where the workspace comes from: `before` is what it holds of captured files, which the commit `kept_as` has.
    `undoes`: the checkpoint that is undone, whose arrival replaced what now comes back. `made`: files of the new
    checkpoint that are there already; `dating`: what dates the others get. `interrupted`: the landing that was on this
    way when it was cut off."""

    before: Content
    kept_as: Oid
    undoes: Checkpoint | None = None
    made: Sequence[Made] = ()
    interrupted: LandingUnderWay | None = None
    dating: Dating = NEW


def go(hold: Hold, move: Move, to: Checkpoint) -> None:
    """Make the workspace, which holds what `move` says and whatever the user did since, equal to a published
    checkpoint. What is not captured and would be replaced is kept first."""
    root, reader = hold.given.root, hold.store.reader
    back = undoing(hold, move.undoes, to.content)
    given = back.given if back is not None else frozenset()
    changes = [change for change in compare(reader, move.before, to.content) if change.path not in given]
    if move.undoes is not None and back is not None:
        changes = sorted((*changes, *_uncaptured_since(hold, move, move.undoes, back, to)), key=lambda each: each.path)
    if not changes and (back is None or not back.due):
        return
    edited = keep(hold, changes, to, move.kept_as, back)
    if edited:
        _rescue_edited(hold, changes, edited, to, move.interrupted)
    dates = dates_for(hold, changes, move.dating, back.record.times if back is not None else {})
    rules = [change for change in changes if change.path.rpartition(b"/")[2] == b".gitignore"]
    if rules:
        apply(root, reader, _with_folders(changes, rules), hold.cache, dates=dates)
    then = _rules_at(hold, to)
    if rules or then != _rules_now(hold):
        changes = _spare(hold, changes, Matcher(then), _came_with(hold, move.undoes, back))
    applied = apply(root, reader, changes, hold.cache, move.made, dates)
    for path in applied.kept[:5]:
        hold.reporter(Note(f"left in place, it holds files that are not captured: {safe(path)}"))
    if back is not None:
        bring_back(hold, back)


def _uncaptured_since(hold: Hold, move: Move, undone: Checkpoint, back: Undoing, to: Checkpoint) -> list[Change]:
    """What the command that is undone made, and is captured no longer: it goes with that command all the same."""
    reader = hold.store.reader
    there = {each.path for each in back.record.kept}
    here, then = Lookup(reader, move.before), Lookup(reader, to.content)
    made = compare(reader, hold.store.read(back.record.before).content, undone.content)
    return [
        Change(path=each.path, old=each.new, new=None)
        for each in made
        if each.old is None and each.path not in there and not here.item(each.path) and not then.item(each.path)
    ]


def _came_with(hold: Hold, undone: Checkpoint | None, back: Undoing | None) -> Callable[[bytes], bool]:
    """Tells of a path whether it goes with the command that is undone: nothing was there before it, or what comes back
    needs the place."""
    came = Lookup(hold.store.reader, undone.content) if undone is not None and back is not None else None
    there = {each.path for each in back.record.kept} if back is not None else frozenset()
    due = tuple(each.path for each in back.due) if back is not None else ()

    def tell(path: bytes) -> bool:
        if any(path == each or path.startswith(each + b"/") for each in due):
            return True
        return came is not None and path not in there and came.item(path) is not None

    return tell


def _with_folders(changes: list[Change], rules: list[Change]) -> list[Change]:
    """The changed ignore files with the folders above them."""
    paths = {change.path for change in rules}
    above = {path[:at] for path in paths for at in range(len(path)) if path[at : at + 1] == b"/"}
    return [c for c in changes if c.path in paths or (c.path in above and c.new and c.new.kind == "dir")]


def _rules_now(hold: Hold) -> CaptureRules:
    return capture_rules(hold.given.workflow, hold.given.environment)


def _rules_at(hold: Hold, checkpoint: Checkpoint) -> CaptureRules:
    """What the workflow file of a checkpoint says about capturing; today's where this version cannot read that one."""
    definition = hold.store.definition(checkpoint.oid)
    if definition == hold.given.definition:
        return _rules_now(hold)
    try:
        return capture_rules(decode_workflow(definition), hold.given.environment)
    except msgspec.ValidationError:
        return _rules_now(hold)


def _spare(hold: Hold, changes: list[Change], matcher: Matcher, came_with: Callable[[bytes], bool]) -> list[Change]:
    """Without the deletion of what the checkpoint's own rules leave out, its .gitignore and its workflow file's
    (`matcher`): what one rule hides is not ours."""
    given = hold.given
    prefix = given.prefix + b"/" if given.prefix else b""
    gone = [c.path for c in changes if c.new is None and not came_with(c.path)]
    with Disk(given.root) as disk, Ignore(given.repository) as ignore:
        there = {path: found.st_mode for path in gone if (found := disk.look(path)) is not None}
        hidden = ignore.ignored([prefix + path for path in there])
        spared = {
            path
            for (path, mode), ignored in zip(there.items(), hidden, strict=True)
            if (ignored and not matcher.brought_in(path)) or is_left_out(disk, path, mode, matcher)
        }
    for path in spared:
        hold.cache.leave_undecided(path)
    if spared:
        some = ", ".join(safe(path) for path in sorted(spared) if path.rpartition(b"/")[0] not in spared)
        hold.reporter(Note(f"left in place, they are not captured at that checkpoint: {some}"))
    return [change for change in changes if change.path not in spared]


def _rescue_edited(
    hold: Hold,
    changes: Sequence[Change],
    edited: Sequence[bytes],
    over: Checkpoint,
    interrupted: LandingUnderWay | None,
) -> None:
    """Keep what the user changed on the way, as a commit on a ref whose name is said."""
    lost = []
    if interrupted is not None:
        lost = torn(hold.given.root, hold.store.reader, changes, edited, boot_since(interrupted.boot))
    if lost:
        _keep_torn(hold, lost, over)
    mine = [path for path in edited if path not in lost]
    if mine:
        with open_pack(hold) as pack:
            items = collect(hold.given.root, pack, mine, left_out(hold))
            if items:
                rescue(hold, pack, with_items(hold.store.reader, pack, over.content, items), over)


def _keep_torn(hold: Hold, paths: Sequence[bytes], over: Checkpoint) -> None:
    """What a power cut made of files that we wrote is nobody's edit. It is kept all the same: this is only very
    likely."""
    with open_pack(hold) as pack:
        ours = replace(hold.signature(), name=PROGRAM[0], email=PROGRAM[1])
        items = collect(hold.given.root, pack, paths, left_out(hold))
        kept = _keep(hold, pack, with_items(hold.store.reader, pack, over.content, items), over, ours)
    shown = ", ".join(safe(path) for path in paths[:5]) + (" …" if len(paths) > 5 else "")
    hold.reporter(
        Warned(
            f"{shown}: not whole since a command was cut off here, as by a power cut; put back as at"
            f" {over.number:04d}\n  what stood there is kept: gitckpt diff {kept}"
        )
    )


def rescue(hold: Hold, pack: Pack, content: Content, over: Checkpoint) -> str:
    """Keep `content` as rescued work and say where. Returns the selector, `rescue@N`."""
    kept = _keep(hold, pack, content, over, hold.signature())
    ref = f"{refs.rescues(hold.name)}{kept.rpartition('@')[2]}"
    hold.reporter(Note(f"Kept what would be overwritten as {kept} ({ref}): gitckpt diff {kept}"))
    return kept


def _keep(hold: Hold, pack: Pack, content: Content, over: Checkpoint, whose: Signature) -> str:
    number = max(hold.store.rescues(), default=0) + 1
    ref = f"{refs.rescues(hold.name)}{number}"
    events: tuple[Event, ...] = (Edited(at=hold.now(), author=whose.name),)
    draft = Draft(
        parents=(over.oid,),
        content=content,
        manifest=over.manifest,
        events=events,
        definition=hold.given.definition,
        author=whose,
        committer=hold.signature(),
    )
    oid = write_commit(hold.store, pack, draft)
    pack.finish()
    transact(hold.given.repository, [RefUpdate(ref, oid, None)], "gitckpt: rescue")
    pack.release()
    return f"rescue@{number}"
