"""Files of which an attempt in a view changed nothing but the date: the workspace's get it, as if it had run there.

Owns the note of them beside the view, and which dates count. Must not know how a view tells them.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from gitckpt.engine.hold import Hold
from gitckpt.model.text import safe
from gitckpt.plumbing.content import Lookup
from gitckpt.progress.events import Warned
from gitckpt.workspace.dates import Touched
from gitckpt.workspace.redate import redate
from gitckpt.workspace.scan import Touch, ViewScan
from gitckpt.workspace.statcache import Group, Seen

_TOUCHED = "touched"
_LINKED = "linked"

_IN_A_VIEW = -1
"""What is known of files in views was at no checkpoint: it counts where nothing else is known of these bytes."""


def note_dates(hold: Hold, folder: Path, scan: ViewScan) -> None:
    """Remember the dates of what the attempt wrote in the view of this folder, for the way to the workspace."""
    hold.dates.note(_IN_A_VIEW, [(path, oid, date) for path, (oid, date) in scan.dates.items()])
    if scan.touches:
        (folder / _TOUCHED).write_bytes(msgspec.msgpack.encode(scan.touches))
    if scan.links:
        (folder / _LINKED).write_bytes(msgspec.msgpack.encode(scan.links))


def bring_touches(hold: Hold, folders: Iterable[Path]) -> None:
    """Give files of the workspace, which is at the tip, the dates that finished attempts gave them in these folders.
    Where two did, or the user as well, the later one counts."""
    latest: dict[bytes, Touch] = {}
    for folder in folders:
        for touch in _noted(folder):
            other = latest.get(touch.path)
            if other is None or touch.after_ns > other.after_ns:
                latest[touch.path] = touch
    if not latest:
        return
    lookup, seen_all, due = Lookup(hold.store.reader, hold.at_tip.content), Seen(hold.cache), list[Touched]()
    for path, touch in latest.items():
        item, seen = lookup.item(path), seen_all.entry(path)
        if item is None or seen is None or not item.oid == seen.oid == touch.oid:
            continue
        if seen.stat[3] == touch.before_ns or seen.stat[3] < touch.after_ns:
            due.append(Touched(path=path, item=item, numbers=seen.stat, date_ns=touch.after_ns))
    redate(hold.given.root, due, hold.cache)


def links_of(folders: Iterable[Path]) -> tuple[Group, ...]:
    """The names that are one file in these views."""
    found: list[Group] = []
    for folder in folders:
        with suppress(OSError, msgspec.MsgspecError):
            found += msgspec.msgpack.decode((folder / _LINKED).read_bytes(), type=tuple[Group, ...])
    return tuple(found)


def say_parted(hold: Hold, scan: ViewScan) -> None:
    """Name, once, the names of one file of which an overlay has changed some: what is written to becomes a file of its
    own there."""
    changed = {change.path for change in scan.changes if change.new is not None}
    for group in hold.links.base:
        written = [path for path in group if path in changed]
        others = [path for path in group if path not in changed]
        text = (
            f"{safe(group[0])} and {safe(group[-1])} were one file; in an overlay what is written to is one of its own"
        )
        if written and others and text not in hold.told:
            hold.told.add(text)
            hold.reporter(Warned(f"{text} (`isolation: copy` and `none` keep them one)"))


def _noted(folder: Path) -> tuple[Touch, ...]:
    try:
        return msgspec.msgpack.decode((folder / _TOUCHED).read_bytes(), type=tuple[Touch, ...])
    except (FileNotFoundError, msgspec.MsgspecError):
        return ()
