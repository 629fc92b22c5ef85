"""Files of which an attempt in a view changed nothing but the date: the workspace's get it, as if it had run there.

Owns the note of them beside the view, and which dates count. Must not know how a view tells them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from gitckpt.engine.hold import Hold
from gitckpt.plumbing.content import Lookup
from gitckpt.workspace.dates import Touched
from gitckpt.workspace.redate import redate
from gitckpt.workspace.scan import Touch, ViewScan

_TOUCHED = "touched"

_IN_A_VIEW = -1
"""What is known of files in views was at no checkpoint: it counts where nothing else is known of these bytes."""


def note_dates(hold: Hold, folder: Path, scan: ViewScan) -> None:
    """Remember the dates of what the attempt wrote in the view of this folder, for the way to the workspace."""
    hold.dates.note(_IN_A_VIEW, [(path, oid, date) for path, (oid, date) in scan.dates.items()])
    if scan.touches:
        (folder / _TOUCHED).write_bytes(msgspec.msgpack.encode(scan.touches))


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
    lookup, due = Lookup(hold.store.reader, hold.at_tip.content), list[Touched]()
    for path, touch in latest.items():
        item, seen = lookup.item(path), hold.cache.seen(path)
        if item is None or seen is None or not item.oid == seen.oid == touch.oid:
            continue
        if seen.stat[3] == touch.before_ns or seen.stat[3] < touch.after_ns:
            due.append(Touched(path=path, item=item, numbers=seen.stat, date_ns=touch.after_ns))
    redate(hold.given.root, due, hold.cache)


def _noted(folder: Path) -> tuple[Touch, ...]:
    try:
        return msgspec.msgpack.decode((folder / _TOUCHED).read_bytes(), type=tuple[Touch, ...])
    except (FileNotFoundError, msgspec.MsgspecError):
        return ()
