"""Outs that somebody removed, for `status`: loaded for workflows that have `outs`, for it reads files.

Owns that look. Takes no lock and changes nothing.
"""

from __future__ import annotations

from pathlib import Path

from gitckpt.engine.foresight import Look
from gitckpt.engine.removals import outs_gone
from gitckpt.model.gone import OutsGone
from gitckpt.store.branch import Branch, Point
from gitckpt.store.definition import decode_workflow
from gitckpt.store.store import Store


def outs_gone_at(branch: Branch, tip: Point, root: Path) -> tuple[OutsGone, ...]:
    """The completed phases whose outs are missing, by the definition of the newest checkpoint."""
    store = Store(branch.repository, branch.reader, branch.workflow, branch.prefix)
    workflow = decode_workflow(store.definition(tip.oid))
    return outs_gone(Look(workflow=workflow, store=store, at_tip=store.read(tip.oid)), root)
