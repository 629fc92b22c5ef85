"""What an attempt changed in its view, as a content: what the view showed at first with exactly its changes.

Owns the joining. Must not know how views are made.
"""

from __future__ import annotations

from pathlib import Path

from gitckpt.engine.hold import Hold, say_once
from gitckpt.engine.inflight import InFlight
from gitckpt.engine.ports import View
from gitckpt.errors import Unreadable
from gitckpt.plumbing.amend import amend
from gitckpt.plumbing.content import Content
from gitckpt.plumbing.pack import Pack
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
