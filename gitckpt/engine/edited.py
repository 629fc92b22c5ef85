"""Done items whose files the user changed since, so that `run` can say so. Nothing is run again because of it.

Owns the way from an edit to the items it touches. Reads a list only where something was edited.
"""

from __future__ import annotations

from dataclasses import dataclass

from gitckpt.engine.hold import Hold
from gitckpt.engine.listed import open_items
from gitckpt.model.events import Edited
from gitckpt.model.graph import phase_named
from gitckpt.model.listing import encode_bytes
from gitckpt.model.manifest import state_of
from gitckpt.model.names import PhaseName
from gitckpt.model.shard import DONE
from gitckpt.plumbing.content import Lookup, compare

_BETWEEN_RUNS = frozenset({"edit", "manual", "named", "gate", "foreign"})
"""Kinds of checkpoints that are no work of the workflow's: the edits among them are newer than all that it did."""

_MOST = 100


@dataclass(frozen=True, slots=True)
class EditedItem:
    """A done item that is a file which was changed or removed since."""

    phase: PhaseName
    key: bytes


def edited_items(hold: Hold) -> tuple[EditedItem, ...]:
    """The items whose files are among the edits since the workflow last did anything."""
    paths = _edited_paths(hold)
    if not paths:
        return ()
    wanted = {encode_bytes(name): path for path in paths for name in (path, b"./" + path)}
    found: list[EditedItem] = []
    for name in hold.at_tip.manifest.order:
        phase, items = phase_named(hold.workflow, name), state_of(hold.at_tip.manifest, name).items
        if phase is None or phase.foreach is None or items is None or items.stale or not items.done:
            continue
        with open_items(hold.store, hold.place, hold.at_tip, name) as listed:
            indices = [index for index, key in enumerate(listed.listing.keys()) if key in wanted]
            found += [EditedItem(name, known.item.key) for known in listed.known(indices) if known.state == DONE]
    return tuple(found)


def _edited_paths(hold: Hold) -> frozenset[bytes]:
    """Files that were there before the newest edits, and are others now, or none."""
    paths: set[bytes] = set()
    checkpoint = hold.at_tip
    for _ in range(_MOST):
        if checkpoint.title.kind not in _BETWEEN_RUNS or not checkpoint.parents:
            break
        before = hold.store.read(checkpoint.parents[0])
        if any(isinstance(event, Edited) for event in checkpoint.events):
            changes = compare(hold.store.reader, before.content, checkpoint.content)
            paths |= {change.path for change in changes if change.old is not None and change.old.kind != "dir"}
        checkpoint = before
    then, now = Lookup(hold.store.reader, checkpoint.content), Lookup(hold.store.reader, hold.at_tip.content)
    # What was removed and brought back again is as it was.
    return frozenset(path for path in paths if then.item(path) != now.item(path))
