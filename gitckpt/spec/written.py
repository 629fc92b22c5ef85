"""A phase as the checks see it: the tree for places, the values that were good, and what it says itself.

Owns the pairing of the two. Must not judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gitckpt.spec.problem import Mark
from gitckpt.spec.read import Plain, Record, place
from gitckpt.spec.yaml_strict import Entries, Node, Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One phase: its name and key, its mapping with the defaults and without, its good values."""

    name: str
    key: Scalar
    node: Entries
    own: Entries
    values: Record

    def has(self, key: str) -> bool:
        """Whether the key is there with a value, be it a bad one."""
        return has(self.node, key)

    def mark(self, *path: str | int) -> Mark:
        """Where the value at that path stands."""
        return place(self.node, *path)


def written_phases(root: Entries, merged: Entries, records: Plain) -> Iterator[Written]:
    """Every phase whose mapping could be read, in file order."""
    tree, own = merged.get("phases"), root.get("phases")
    if not isinstance(tree, Entries) or not isinstance(own, Entries) or not isinstance(records, list):
        return
    known = {str(record["name"]): record for record in records if isinstance(record, dict)}
    for (key, node), (_, mine) in zip(tree.pairs, own.pairs, strict=True):
        if isinstance(node, Entries) and isinstance(mine, Entries) and key.text in known:
            yield Written(name=key.text, key=key, node=node, own=mine, values=known[key.text])


def has(node: Node | None, key: str) -> bool:
    """Whether a mapping has the key with a value other than null."""
    value = node.get(key) if isinstance(node, Entries) else None
    return value is not None and not is_null(value)


def is_null(node: Node) -> bool:
    """Whether nothing stands there, or `null`."""
    return isinstance(node, Scalar) and node.value is None


def was_refused(node: Node | None, values: Plain) -> bool:
    """Whether a key of a mapping was refused or unknown, so that what is missing in it has been told."""
    return isinstance(node, Entries) and isinstance(values, dict) and len(values) < len(node.pairs)
