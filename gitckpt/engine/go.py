"""The workspace moves: from one content to a checkpoint's, with everything in the way rescued first.

Owns what is spared and what is rescued. Doing it twice is doing it once, so a kill in between is mended by doing it
again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from gitckpt.engine.capturing import capture_rules
from gitckpt.engine.graft import with_items
from gitckpt.engine.hold import Hold, open_pack
from gitckpt.engine.place import LandingUnderWay
from gitckpt.execute.heartbeat import boot_since
from gitckpt.model.events import Edited, Event
from gitckpt.model.text import safe
from gitckpt.plumbing.content import Change, Content, compare
from gitckpt.plumbing.ignore import Ignore
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Signature
from gitckpt.plumbing.refs import RefUpdate, transact
from gitckpt.progress.events import Note, Warned
from gitckpt.store import refs
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.publish import PROGRAM, Draft, write_commit
from gitckpt.workspace.become import apply
from gitckpt.workspace.beforehand import Made
from gitckpt.workspace.collect import collect
from gitckpt.workspace.obstructions import obstructions, torn
from gitckpt.workspace.rules import Matcher


def go(
    hold: Hold,
    before: Content,
    to: Checkpoint,
    made: Sequence[Made] = (),
    interrupted: LandingUnderWay | None = None,
) -> None:
    """Make the workspace, which holds `before` and whatever the user did since, equal to a published checkpoint, of
    which some files are `made` already. `interrupted`: the landing that was on this way when it was cut off."""
    root, reader = hold.given.root, hold.store.reader
    changes = compare(reader, before, to.content)
    if not changes:
        return
    _rescue_obstructions(hold, changes, before, to, interrupted)
    rules = [change for change in changes if change.path.rpartition(b"/")[2] == b".gitignore"]
    if rules:
        apply(root, reader, _with_folders(changes, rules), hold.cache)
        changes = _spare(hold, changes)
    applied = apply(root, reader, changes, hold.cache, made)
    for path in applied.kept[:5]:
        hold.reporter(Note(f"left in place, it holds files that are not captured: {safe(path)}"))


def _with_folders(changes: list[Change], rules: list[Change]) -> list[Change]:
    """The changed ignore files with the folders above them."""
    paths = {change.path for change in rules}
    above = {path[:at] for path in paths for at in range(len(path)) if path[at : at + 1] == b"/"}
    return [c for c in changes if c.path in paths or (c.path in above and c.new and c.new.kind == "dir")]


def _spare(hold: Hold, changes: list[Change]) -> list[Change]:
    """Without the deletion of files that the checkpoint's own .gitignore hides: what one rule hides is not ours."""
    given = hold.given
    matcher = Matcher(capture_rules(given.workflow, given.environment))
    prefix = given.prefix + b"/" if given.prefix else b""
    gone = [c.path for c in changes if c.new is None and c.old and c.old.kind != "dir"]
    there = [path for path in gone if os.path.lexists(os.fsencode(given.root) + b"/" + path)]
    with Ignore(given.repository) as ignore:
        hidden = ignore.ignored([prefix + path for path in there])
    spared = {path for path, yes in zip(there, hidden, strict=True) if yes and not matcher.brought_in(path)}
    if spared:
        some = ", ".join(safe(path) for path in sorted(spared)[:5])
        hold.reporter(Note(f"left in place, git ignores them at that checkpoint: {some}"))
    return [change for change in changes if change.path not in spared]


def _rescue_obstructions(
    hold: Hold, changes: list[Change], before: Content, over: Checkpoint, interrupted: LandingUnderWay | None
) -> None:
    """Keep whatever lies in the way of `changes` and is in no checkpoint, as a commit on a ref whose name is said."""
    blocked = obstructions(hold.given.root, changes, before)
    if not blocked:
        return
    lost = []
    if interrupted is not None:
        lost = torn(hold.given.root, hold.store.reader, changes, blocked, boot_since(interrupted.boot))
    if lost:
        _keep_torn(hold, lost, over)
    mine = [path for path in blocked if path not in lost]
    if mine:
        with open_pack(hold) as pack:
            rescue(hold, pack, _with(hold, pack, mine, over), over)


def _with(hold: Hold, pack: Pack, paths: Sequence[bytes], over: Checkpoint) -> Content:
    return with_items(hold.store.reader, pack, over.content, collect(hold.given.root, pack, paths))


def _keep_torn(hold: Hold, paths: Sequence[bytes], over: Checkpoint) -> None:
    """What a power cut made of files that we wrote is nobody's edit. It is kept all the same: this is only very
    likely."""
    with open_pack(hold) as pack:
        ours = replace(hold.signature(), name=PROGRAM[0], email=PROGRAM[1])
        kept = _keep(hold, pack, _with(hold, pack, paths, over), over, ours)
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
