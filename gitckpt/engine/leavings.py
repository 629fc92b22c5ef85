"""What an attempt left behind: its files, their size, and which of them the user's HEAD tracks.

Owns that account. In place gitckpt cannot tell what somebody saved while a phase ran from what the phase wrote, so what
HEAD tracks is named. Must not know how it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gitckpt.engine.oversize import moved_away
from gitckpt.engine.place import Place
from gitckpt.model.names import Oid, PhaseName
from gitckpt.plumbing.content import compare
from gitckpt.plumbing.reader import Reader
from gitckpt.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Leavings:
    """`paths`: all that differ from the checkpoint before, folders and removals too; `files` and `size` (bytes) of
    what was written; `tracked`: the paths among them that HEAD tracks."""

    paths: tuple[bytes, ...] = ()
    files: int = 0
    size: int = 0
    tracked: tuple[bytes, ...] = ()


def leavings(store: Store, place: Place, phase: PhaseName, number: int, head: str | None) -> Leavings:
    """What is kept of an attempt; nothing where none of it is. `head`: the user's commit, None on an unborn branch."""
    oid = store.attempt(phase, number)
    if oid is None:
        return Leavings()
    kept = store.read(oid)
    changes = compare(store.reader, store.read(kept.parents[0]).content, kept.content)
    written = [change.new for change in changes if change.new and change.new.kind != "dir"]
    moved = moved_away(place, store.workflow, phase, number)
    paths = tuple(dict.fromkeys((*(change.path for change in changes if change.path not in moved), *sorted(moved))))
    return Leavings(
        paths=paths,
        files=len(written) + len(moved),
        size=sum(store.reader.size(item.oid) for item in written if item.oid)
        + sum(path.lstat().st_size for path in moved.values()),
        tracked=_tracked(store.reader, store.prefix, head, paths) if head else (),
    )


def _tracked(reader: Reader, prefix: bytes, head: str, paths: Sequence[bytes]) -> tuple[bytes, ...]:
    commit = reader.commit(Oid(head))
    if commit is None:
        return ()
    top = prefix + b"/" if prefix else b""
    return tuple(path for path in paths if _is_file(reader, commit.tree, (top + path).split(b"/")))


def _is_file(reader: Reader, tree: bytes, parts: Sequence[bytes]) -> bool:
    for at, name in enumerate(parts):
        entry = reader.tree(tree).get(name)
        if entry is None or (entry.mode == 0o40000) != (at < len(parts) - 1):
            return False
        tree = entry.oid
    return True
