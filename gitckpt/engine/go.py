"""The workspace moves: from one content to a checkpoint's, with everything in the way rescued first.

Owns what is spared and what is rescued. Doing it twice is doing it once, so a kill in between is mended by doing it
again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from gitckpt.engine.capturing import capture_rules
from gitckpt.engine.graft import with_items
from gitckpt.engine.hold import Hold, open_pack
from gitckpt.model.events import Edited, Event
from gitckpt.model.text import safe
from gitckpt.plumbing.content import Change, Content, compare
from gitckpt.plumbing.ignore import Ignore
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.refs import RefUpdate, transact
from gitckpt.progress.events import Note
from gitckpt.store import refs
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.publish import Draft, write_commit
from gitckpt.workspace.become import apply
from gitckpt.workspace.beforehand import Made
from gitckpt.workspace.collect import collect
from gitckpt.workspace.obstructions import obstructions
from gitckpt.workspace.rules import Matcher


def go(hold: Hold, before: Content, to: Checkpoint, made: Sequence[Made] = ()) -> None:
    """Make the workspace, which holds `before` and whatever the user did since, equal to a published checkpoint, of
    which some files are `made` already."""
    root, reader = hold.given.root, hold.store.reader
    changes = compare(reader, before, to.content)
    if not changes:
        return
    rescue_obstructions(hold, changes, before, to)
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


def rescue_obstructions(hold: Hold, changes: list[Change], before: Content, over: Checkpoint) -> str | None:
    """Keep whatever lies in the way of `changes` and is in no checkpoint, as a commit on a ref whose name is said."""
    blocked = obstructions(hold.given.root, changes, before)
    if not blocked:
        return None
    with open_pack(hold) as pack:
        items = collect(hold.given.root, pack, blocked)
        content = with_items(hold.store.reader, pack, over.content, items)
        return rescue(hold, pack, content, over)


def rescue(hold: Hold, pack: Pack, content: Content, over: Checkpoint) -> str:
    """Keep `content` as rescued work and say where. Returns the selector, `rescue@N`."""
    number = max(hold.store.rescues(), default=0) + 1
    ref = f"{refs.rescues(hold.name)}{number}"
    events: tuple[Event, ...] = (Edited(at=hold.now(), author=hold.person()),)
    draft = Draft(
        parents=(over.oid,),
        content=content,
        manifest=over.manifest,
        events=events,
        definition=hold.given.definition,
        author=hold.signature(),
        committer=hold.signature(),
    )
    oid = write_commit(hold.store, pack, draft)
    pack.finish()
    transact(hold.given.repository, [RefUpdate(ref, oid, None)], "gitckpt: rescue")
    pack.release()
    hold.reporter(Note(f"Kept what would be overwritten as rescue@{number} ({ref}): gitckpt diff rescue@{number}"))
    return f"rescue@{number}"
