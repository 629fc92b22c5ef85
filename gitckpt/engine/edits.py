"""Whose the changes are that lie in the workspace after an attempt: the facts for that decision, and the user's part.

Owns what is looked at before anything is moved, and the checkpoint of the user's part. The decision is `model.whose`'s.
Must not know how an attempt's own part is kept.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from functools import partial
from typing import Literal, TypeAlias

from gitckpt.engine.capturing import capture_rules
from gitckpt.engine.dating import border_ns
from gitckpt.engine.graft import with_changes
from gitckpt.engine.hold import Hold, open_pack
from gitckpt.engine.land import Landing, land
from gitckpt.engine.place import AttemptUnderWay, Decided
from gitckpt.execute.heartbeat import begin_ns, never_started
from gitckpt.model.events import Edited
from gitckpt.model.merging import MOST_NAMED
from gitckpt.model.text import safe
from gitckpt.model.whose import Later, Mark, whose
from gitckpt.plumbing.content import Change
from gitckpt.progress.events import Warned
from gitckpt.workspace.rules import Matcher
from gitckpt.workspace.statcache import StatCache
from gitckpt.workspace.times import changed_of, ctime_now

EditPolicy: TypeAlias = Literal["tell-apart", "discard", "keep"]
"""What of a dead attempt's workspace is the user's: by time stamp, nothing, or everything."""


def mark_of(hold: Hold, under_way: AttemptUnderWay, policy: EditPolicy = "tell-apart") -> Mark:
    """What tells the user's changes from those of an attempt in the workspace itself, whose processes are gone."""
    match policy:
        case "keep":
            return "all"
        case "discard":
            return "nothing"
        case "tell-apart" if never_started(hold.place.desk.folder, under_way.boot):
            return "all"
        case "tell-apart":
            # Each command of `always` begins anew; and where a clock was set back meanwhile, the begin tells nothing.
            began, border = begin_ns(hold.place.live) or 0, border_ns(hold)
            return Later(border, began if under_way.number and began <= border else 0)


def users_paths(hold: Hold, files: Collection[bytes], others: Collection[bytes], mark: Mark) -> frozenset[bytes]:
    """Those of the changed paths that the user changed. `files`: where one is; `others`: folders, and what is gone."""
    decided = hold.place.desk.decided() if isinstance(mark, Later) else None
    if decided is None:
        return _whose(hold, (*files, *others), mark)
    # Some files were moved away since that was decided: what is missing now, and a folder's time, tell nothing.
    return decided.users | _whose(hold, files, Later(decided.ns))  # what is older is among the decided


def _whose(hold: Hold, paths: Iterable[bytes], mark: Mark) -> frozenset[bytes]:
    before = partial(StatCache.load, hold.place.cache, hold.given.repository.object_format)
    began = mark.began_ns if isinstance(mark, Later) else 0
    return whose(changed_of(hold.given.root, paths, before, began), mark)


def users_changes(hold: Hold, changes: Collection[Change], mark: Mark) -> list[Change]:
    """The user's part of the changes. To be asked before any of them is undone."""
    files = {change.path for change in changes if change.new is not None and change.new.kind != "dir"}
    mine = users_paths(hold, files, [change.path for change in changes if change.path not in files], mark)
    if isinstance(mark, Later):
        mine |= _excluded(hold, changes)
    return [change for change in changes if change.path in mine]


def _excluded(hold: Hold, changes: Iterable[Change]) -> frozenset[bytes]:
    """What `workspace.exclude` takes out of checkpoints and is still there: no attempt did that."""
    matcher = Matcher(capture_rules(hold.given.workflow, hold.given.environment))
    gone = (change for change in changes if change.new is None and change.old is not None)
    paths = {each.path: each.path + b"/" if each.old and each.old.kind == "dir" else each.path for each in gone}
    top = os.fsencode(hold.given.root) + b"/"
    return frozenset(path for path, asked in paths.items() if matcher.excluded(asked) and os.path.lexists(top + path))


def note_decided(hold: Hold, users: frozenset[bytes]) -> None:
    """Keep what was decided for whoever goes on when this command dies. Raises CannotRecord."""
    hold.place.desk.decide(Decided(users=users, ns=ctime_now(hold.given.root)))


def edit_of(hold: Hold, changes: Iterable[Change]) -> Edited:
    """The event of the user's edit; what is no longer captured, and is still there, is named with the checkpoint that
    has it."""
    top = os.fsencode(hold.given.root) + b"/"
    gone = [
        change.path
        for change in changes
        if change.new is None and change.old and change.old.kind != "dir" and os.path.lexists(top + change.path)
    ]
    paths = tuple(safe(path) for path in gone)
    if gone:
        number = hold.at_tip.number
        shown = ", ".join(paths[:MOST_NAMED]) + (" …" if len(paths) > MOST_NAMED else "")
        hold.reporter(
            Warned(f"no longer captured: {shown}\n  last held by {number:04d}: gitckpt restore {number} -- {paths[0]}")
        )
    return Edited(at=hold.now(), author=hold.person(), dropped=paths[:MOST_NAMED], dropped_count=len(paths))


def land_edit(hold: Hold, mine: Collection[Change]) -> None:
    """Record the user's part of the changes; the workspace stays as it is, with the attempt's part still in it."""
    with open_pack(hold) as pack:
        content = with_changes(hold.store.reader, pack, hold.at_tip.content, mine)
        # That today's definition is another one is an event of its own, and must still be found.
        definition = hold.store.definition(hold.at_tip.oid)
        events = (edit_of(hold, mine),)
        landing = Landing(events=events, content=content, found=content, definition=definition, is_half=True)
        land(hold, pack, landing)
