"""What one place of a workflow file says for all phases: `defaults`, and some keys at the top, put into each.

Owns the merging, on the tree, so that every value keeps the place where it is written. Must not judge values.
"""

from __future__ import annotations

from gitckpt.model.workflow import DEFAULTABLE
from gitckpt.spec.written import is_null
from gitckpt.spec.yaml_strict import Entries, Node, Scalar

MERGED = ("env", "retry")
"""Defaults that are merged key by key; the others are taken whole."""

FROM_TOP = ("on_failure", "isolation")
"""Keys at the top that a phase has which does not say otherwise."""

NOT_FOR_GATES = ("timeout", "retry", "isolation")
"""What is about commands; a gate has a time-out of its own, nothing to try again, and sees no files."""


def with_defaults(root: Entries) -> Entries:
    """The tree with the defaults put into every phase, and without the key `defaults` itself."""
    phases = root.get("phases")
    shared = _shared(root)
    pairs = tuple((name, node) for name, node in root.pairs if name.text != "defaults")
    if shared and isinstance(phases, Entries):
        filled = tuple(
            (name, _filled(node, shared) if isinstance(node, Entries) else node) for name, node in phases.pairs
        )
        inside = Entries(filled, phases.mark)
        pairs = tuple((name, inside if name.text == "phases" else node) for name, node in pairs)
    return Entries(pairs, root.mark)


def _shared(root: Entries) -> tuple[tuple[Scalar, Node], ...]:
    defaults = root.get("defaults")
    shared: tuple[tuple[Scalar, Node], ...] = ()
    if isinstance(defaults, Entries):
        shared = tuple(pair for pair in defaults.pairs if pair[0].text in DEFAULTABLE)
    return (*shared, *((key, node) for key, node in root.pairs if key.text in FROM_TOP and not is_null(node)))


def _filled(phase: Entries, shared: tuple[tuple[Scalar, Node], ...]) -> Entries:
    pairs = list(phase.pairs)
    own = {name.text: position for position, (name, _) in enumerate(pairs)}
    for name, node in shared:
        if "gate" in own and name.text in NOT_FOR_GATES:
            continue
        if name.text not in own:
            pairs.append((name, node))
            continue
        key, mine = pairs[own[name.text]]
        if name.text in MERGED and isinstance(mine, Entries) and isinstance(node, Entries):
            missing = tuple(pair for pair in node.pairs if mine.get(pair[0].text) is None)
            pairs[own[name.text]] = (key, Entries(mine.pairs + missing, mine.mark))
    return Entries(tuple(pairs), phase.mark)
