"""What an attempt changed in its view, as a content: what the view showed at first with exactly its changes.

Owns the joining, and what is said of files that are not captured. Must not know how views are made.
"""

from __future__ import annotations

from pathlib import Path

from gitckpt.engine.hold import Hold
from gitckpt.engine.inflight import InFlight
from gitckpt.engine.ports import View
from gitckpt.errors import Unreadable
from gitckpt.model.text import safe
from gitckpt.plumbing.amend import amend
from gitckpt.plumbing.content import Content
from gitckpt.plumbing.pack import Pack
from gitckpt.progress.events import Warned
from gitckpt.workspace.scan import ViewScan


def content_of(hold: Hold, pack: Pack, flight: InFlight) -> tuple[Content, ViewScan]:
    """What the attempt's view holds now, its new objects in `pack`; what was left out is said once a command."""
    assert flight.view is not None  # what runs in the workspace itself is found by a snapshot
    # Not from the last checkpoint that it asked for: a file made before that and removed since leaves nothing behind.
    scan = _scan(flight.view, pack, flight.below, flight.view.root(flight.running))
    say_once(hold, scan)
    return amend(hold.store.reader, pack, flight.below, scan.changes), scan


def _scan(view: View, pack: Pack, below: Content, seen: Path) -> ViewScan:
    """Read it at `seen`. If its watchdog is killed meanwhile, that is gone, and what is written in the view is not."""
    try:
        scan = view.scan(pack, below, seen)
    except (OSError, Unreadable):
        if seen.is_dir():
            raise
    else:
        if seen.is_dir():
            return scan
    return view.scan(pack, below, None)


def say_once(hold: Hold, scan: ViewScan) -> None:
    """Name what no checkpoint holds."""
    news = [(left.path, f"left out of checkpoints ({left.why})") for left in scan.left_out]
    news += [(path, "cannot be kept (a socket or device)") for path in scan.not_kept]
    news += [(path, "was changing while it was read; it is kept as it was read last") for path in scan.unstable]
    for path, why in news:
        text = f"{safe(path)}: {why}"
        if text not in hold.told:
            hold.told.add(text)
            hold.reporter(Warned(text))
