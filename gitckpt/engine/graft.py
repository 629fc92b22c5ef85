"""Contents made from parts of others: a checkpoint with some changes on top, and changes applied again elsewhere.

Owns the joining; a path that cannot be joined is a fact returned, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gitckpt.plumbing.content import Change, Content, Item, defaults_of, list_content, not_kept
from gitckpt.plumbing.graft import build
from gitckpt.plumbing.merge import merge_text
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository


def with_changes(reader: Reader, pack: Pack, base: Content, changes: Iterable[Change]) -> Content:
    """`base` with every change's new side put in."""
    items = list_content(reader, base)
    for change in changes:
        if change.new is None:
            items.pop(change.path, None)
        else:
            items[change.path] = change.new
    return build(pack, items, defaults_of(reader, base), not_kept(reader, base))


def with_items(reader: Reader, pack: Pack, base: Content, more: dict[bytes, Item]) -> Content:
    """`base` with `more` put in."""
    items = {**list_content(reader, base), **more}
    return build(pack, items, defaults_of(reader, base), not_kept(reader, base))


def reapply(
    repository: Repository, reader: Reader, pack: Pack, base: Content, edits: Sequence[Sequence[Change]]
) -> Content | tuple[bytes, ...]:
    """Apply edits in order, three-way. Returns the joined content, or the paths that clash."""
    items = list_content(reader, base)
    clashes: list[bytes] = []
    for changes in edits:
        for change in changes:
            there = items.get(change.path)
            if there == change.new:
                continue
            joined = change.new if there == change.old else _merged(repository, reader, pack, there, change)
            if joined is None and there != change.old:
                clashes.append(change.path)
            elif joined is None:
                items.pop(change.path, None)
            else:
                items[change.path] = joined
    if clashes:
        return tuple(clashes)
    return build(pack, items, defaults_of(reader, base), not_kept(reader, base))


def _merged(repository: Repository, reader: Reader, pack: Pack, there: Item | None, change: Change) -> Item | None:
    """Both sides changed the path: joined where both are texts whose changes do not touch, None where not."""
    old, new = change.old, change.new
    if there is None or old is None or new is None or {there.kind, old.kind, new.kind} != {"file"}:
        return None
    mode = new.mode if there.mode == old.mode else there.mode
    if new.mode not in (old.mode, mode):
        return None
    data = merge_text(repository, base=reader.blob(old.oid), ours=reader.blob(there.oid), theirs=reader.blob(new.oid))
    return None if data is None else Item(kind="file", mode=mode, oid=pack.blob(data))
