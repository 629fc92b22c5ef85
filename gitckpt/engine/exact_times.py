"""`workspace: {keep: [mtime]}`: each checkpoint has the modification times of its files, and going there sets them.

Owns when they are taken from the workspace, when from an earlier checkpoint. Without that key dates are a matter of
`dating`, which knows what this workspace knows. Must not know how they are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from gitckpt.engine.hold import Hold
from gitckpt.model.events import Event, RolledBack, Undone
from gitckpt.model.names import Oid
from gitckpt.plumbing.content import Content, Lookup, compare
from gitckpt.plumbing.fresh import Fresh
from gitckpt.plumbing.pack import Pack
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.mtimes import Mtimes, mtimes_at, read_mtimes, with_times, write_mtimes
from gitckpt.workspace import kinds
from gitckpt.workspace.capture import numbers_of
from gitckpt.workspace.dates import Touched
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.redate import redate


def keeps_mtimes(hold: Hold) -> bool:
    """Whether the workflow file asks for it."""
    return "mtime" in hold.workflow.workspace.keep


def scanned_mtimes(hold: Hold, pack: Pack) -> bytes | None:
    """The times of the files as the last scan of the workspace saw them, stored."""
    if not keeps_mtimes(hold):
        return None
    width = hold.cache.width
    found: dict[bytes, dict[bytes, tuple[bytes, int]]] = {}
    for folder, record in hold.cache.folders.items():
        found[folder] = {
            name: (entry.oid, entry.stat[3])
            for name, entry in record.entries(width).items()
            if entry.kind in (kinds.FILE, kinds.LINK) and entry.oid.strip(b"\0")
        }
    return write_mtimes(pack, found)


def taken_over(hold: Hold, pack: Pack, events: Sequence[Event], content: Content, then: Oid | None) -> bytes | None:
    """The times of a checkpoint whose files come from earlier ones: from where it goes back to, else from the tip;
    those of files that a restore brings from the one it brings them of, `then`."""
    tip = hold.tip
    if tip is None:
        return None
    target = next((event.target for event in events if isinstance(event, RolledBack | Undone)), None)
    tree = mtimes_at(hold.store, target or tip.oid)
    if target is not None or then is None or then == tip.oid:
        return tree
    if not keeps_mtimes(hold):
        return tree
    changes = compare(Fresh(hold.store.reader, pack), tip.content, content)
    brought = _stamps(hold, then, (change.path for change in changes))
    if not brought:
        return tree
    return write_mtimes(pack, with_times(read_mtimes(hold.store.reader, tree), brought))


def _stamps(hold: Hold, oid: Oid, paths: Iterable[bytes]) -> dict[bytes, tuple[bytes, int]]:
    known = read_mtimes(hold.store.reader, mtimes_at(hold.store, oid))
    found = {}
    for path in paths:
        folder, _, name = path.rpartition(b"/")
        stamp = known.get(folder, {}).get(name)
        if stamp is not None:
            found[path] = stamp
    return found


def joined_mtimes(
    hold: Hold, pack: Pack, before: bytes | None, dates: Mapping[bytes, tuple[bytes, int]]
) -> bytes | None:
    """The times of a checkpoint that an attempt in a view is merged into: `before`, with those of what it wrote."""
    if not keeps_mtimes(hold) or not dates:
        return before
    return write_mtimes(pack, with_times(read_mtimes(Fresh(hold.store.reader, pack), before), dates))


def set_mtimes(hold: Hold, at: Checkpoint) -> None:
    """Give the files of the workspace, which is at that checkpoint, the times that they have there."""
    stored = read_mtimes(hold.store.reader, mtimes_at(hold.store, at.oid))
    if stored:
        redate(hold.given.root, list(_others(hold, at.content, stored)), hold.cache)


def _others(hold: Hold, content: Content, stored: Mtimes) -> Iterator[Touched]:
    """The files that have the bytes which a stored time is of, and another time."""
    lookup = Lookup(hold.store.reader, content)
    with Disk(hold.given.root) as disk:
        for folder, files in stored.items():
            for name, (oid, date_ns) in files.items():
                path = folder + b"/" + name if folder else name
                item = lookup.item(path)
                found = disk.look(path) if item is not None and item.oid == oid else None
                if item is not None and found is not None and found.st_mtime_ns != date_ns:
                    yield Touched(path=path, item=item, numbers=numbers_of(found), date_ns=date_ns)
