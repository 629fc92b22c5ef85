"""What an edit of the user's takes away: said, recorded with the edit, and, where phases had made it as their outs,
known until it is there again.

Owns these words, and which outs of completed phases are gone because an edit, and no phase, removed them. Runs nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gitckpt.engine.hold import Hold
from gitckpt.engine.made_from import Past
from gitckpt.engine.ports import AtTip
from gitckpt.model.events import Adopted, Edited, Event
from gitckpt.model.gone import NeedsOuts, OutsGone
from gitckpt.model.manifest import Manifest, Status, state_of
from gitckpt.model.names import PhaseName
from gitckpt.model.text import safe
from gitckpt.model.title import headed
from gitckpt.model.workflow import Phase, Workflow, dependents
from gitckpt.plumbing.content import Change, Content, Lookup, Objects, compare
from gitckpt.plumbing.fresh import Fresh
from gitckpt.plumbing.pack import Pack
from gitckpt.progress.events import Note
from gitckpt.workspace.rules import matches

_NAMED = 20
"""Paths that an event names."""

_LOOKED_AT = 20_000
"""Outs of one phase that are looked for in the workspace before anything is recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What an edit removed and changed, of files that were there before."""

    removed: tuple[bytes, ...]
    changed: tuple[bytes, ...]


def with_removals(hold: Hold, pack: Pack, events: tuple[Event, ...], content: Content) -> tuple[Event, ...]:
    """The events of a landing; one that says what the user edited says what went with it, and so do we."""
    tip = hold.tip
    if tip is None or not any(isinstance(event, Edited | Adopted) for event in events):
        return events
    taken = _taken(hold.given.root, Fresh(hold.store.reader, pack), tip.content, content)
    past = Past(hold.store, tip)
    gone = _outs_among(past, hold.workflow, tip.manifest, taken.removed)
    number = f"{tip.number + 1:04d}"
    if taken.removed:
        hold.reporter(Note(f"your edit {number} removed {_few(taken.removed)}"))
    for name, paths in _outs_among(past, hold.workflow, tip.manifest, taken.changed).items():
        hold.reporter(Note(f"your edit {number} changed outs of {name}, and the run goes on with them: {_few(paths)}"))
    told = tuple(path.decode(errors="backslashreplace") for path in taken.removed[:_NAMED])
    return tuple(
        replace(event, removed=told, removals=len(taken.removed), outs_of=tuple(gone))
        if isinstance(event, Edited)
        else event
        for event in events
    )


def _few(paths: Sequence[bytes]) -> str:
    return headed([safe(path) for path in paths[:3]], len(paths))


def _taken(root: Path, reader: Objects, before: Content, after: Content) -> Taken:
    """A file that is there and is captured no more is not removed."""
    changes = [each for each in compare(reader, before, after) if each.old is not None and each.old.kind != "dir"]
    top = os.fsencode(root) + b"/"
    removed = (each.path for each in changes if each.new is None and not os.path.lexists(top + each.path))
    return Taken(removed=tuple(removed), changed=tuple(each.path for each in changes if each.new is not None))


def _outs_among(
    past: Past, workflow: Workflow, manifest: Manifest, paths: Sequence[bytes]
) -> dict[PhaseName, tuple[bytes, ...]]:
    """Which of the paths are outs of completed phases, and were there when those were completed."""
    found: dict[PhaseName, tuple[bytes, ...]] = {}
    for phase in _with_outs(workflow, manifest) if paths else ():
        is_out, there = matches(phase.outs), _there(past, state_of(manifest, phase.name).landed)
        own = tuple(path for path in paths if is_out(path) and there(path))
        if own:
            found[phase.name] = own
    return found


def _with_outs(workflow: Workflow, manifest: Manifest) -> Iterable[Phase]:
    return (
        phase for phase in workflow.phases if phase.outs and state_of(manifest, phase.name).status is Status.COMPLETED
    )


def _there(past: Past, number: int) -> Callable[[bytes], bool]:
    """Whether a path was there in the checkpoint of that number; False where that cannot be told."""
    oid = past.oid(number)
    commit = past.store.reader.commit(oid) if oid else None
    return lambda path: commit is not None and past.file_in(commit, path) is not None


def require_outs(hold: Hold, phase: PhaseName) -> None:
    """What a phase that is about to begin needs is there, as far as an edit that was just recorded goes. Raises
    NeedsOuts."""
    if not any(state.gone for state in hold.at_tip.manifest.phases.values()):
        return
    gone = [each for each in outs_gone(hold, hold.given.root) if phase in dependents(hold.workflow, each.phase)]
    if gone:
        raise NeedsOuts(gone, phase)


def outs_gone(look: AtTip, root: Path) -> tuple[OutsGone, ...]:
    """The completed phases whose outs are missing because an edit removed them: recorded, or still to be."""
    manifest, tip = look.at_tip.manifest, look.at_tip
    past = Past(look.store, tip)
    now = Lookup(look.store.reader, tip.content)
    top = os.fsencode(root) + b"/"
    found: list[OutsGone] = []
    for phase in _with_outs(look.workflow, manifest):
        state, is_out = state_of(manifest, phase.name), matches(phase.outs)
        there = _there(past, state.landed)
        removed = {change.path for number in state.gone for change in _removed_in(past, number)}
        gone = {path for path in removed if now.item(path) is None}
        # What lies below a pattern's fixed folder is all that it can match.
        below = (path for out in phase.outs for path in _below(now, out))
        gone |= {path for path in below if not os.path.lexists(top + path)}
        missing = tuple(
            sorted(path for path in gone if is_out(path) and there(path) and not os.path.lexists(top + path))
        )
        if missing:
            found.append(OutsGone(phase=phase.name, paths=missing, folders=_topmost(top, missing)))
    return tuple(found)


def _removed_in(past: Past, number: int) -> list[Change]:
    oid, before = past.oid(number), past.oid(number - 1)
    if oid is None or before is None:
        return []
    changes = compare(past.store.reader, past.store.read(before).content, past.store.read(oid).content)
    return [change for change in changes if change.new is None]


def _below(now: Lookup, out: str) -> Iterable[bytes]:
    """The captured files that a pattern may match."""
    parts = out.strip("/").split("/")
    plain = next((at for at, part in enumerate(parts) if any(sign in part for sign in "*?[\\")), len(parts))
    if "/" not in out.rstrip("/"):
        plain = 0  # at any depth
    at = "/".join(parts[:plain]).encode("utf-8", "surrogateescape")
    item = now.item(at) if at else None
    if at and (item is None or item.kind != "dir"):
        return [at] if item is not None else []
    files = (path for path, each in now.below(at) if each.kind != "dir")
    return (path for path, _ in zip(files, range(_LOOKED_AT), strict=False))


def _topmost(top: bytes, missing: Sequence[bytes]) -> tuple[bytes, ...]:
    """The paths, or the highest folders above them that are gone as a whole."""
    found: dict[bytes, None] = {}
    for path in missing:
        parts = path.split(b"/")
        above = (b"/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        found[next((each for each in above if not os.path.lexists(top + each)), path)] = None
    return tuple(found)
