"""The graph of a history: its rows, and beside the merges what each of them brought in.

Owns which commits are drawn, in which order, and what each builds on. Must not know how they are drawn. Every commit
comes before those that it builds on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gitckpt.engine.history import History, Row, files_of
from gitckpt.model.merging import Merged
from gitckpt.model.names import Oid
from gitckpt.plumbing.content import Change
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A commit that a merge brought in: what an attempt did by itself (`joins` is empty), or what one began from where
    no checkpoint is that: the newest one with the phases that it `joins`. `files`: what it changed itself."""

    checkpoint: Checkpoint
    joins: tuple[str, ...]
    files: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One commit of the graph, and what it builds on: of a rollback that is where it went back to."""

    oid: Oid
    parents: tuple[Oid, ...]
    shows: Row | Beside


def lineage(store: Store, history: History) -> tuple[Node, ...]:
    """The rows, newest first, each merge followed by what it brought in. Raises NotACheckpoint, Damaged."""
    branch = frozenset(store.ids())
    rows = [_node(row, branch) for row in history.rows]
    beside = _beside(store, rows, branch)
    children = Counter(parent for node in (*rows, *beside.values()) for parent in node.parents)
    return tuple(node for row in rows for node in _emitted(row, beside, children))


def _node(row: Row, branch: frozenset[Oid]) -> Node:
    if row.oldest is not None:
        return Node(oid=row.checkpoint.oid, parents=row.oldest.parents[:1], shows=row)
    parents = row.checkpoint.parents
    if row.came_from in branch and row.came_from is not None:
        parents = tuple(dict.fromkeys((row.came_from, *parents[1:])))
    return Node(oid=row.checkpoint.oid, parents=parents, shows=row)


def _beside(store: Store, rows: list[Node], branch: frozenset[Oid]) -> dict[Oid, Node]:
    """All commits off the branch that the rows build on."""
    found: dict[Oid, Node] = {}
    wanted = [parent for node in rows for parent in node.parents]
    while wanted:
        oid = wanted.pop()
        if oid in branch or oid in found or store.reader.commit(oid) is None:
            continue
        checkpoint = store.read(oid)
        joins = tuple(str(event.phase) for event in checkpoint.events if isinstance(event, Merged))
        # What one began from changes nothing itself: it only joins.
        files = () if joins else files_of(store, checkpoint, checkpoint)
        shows = Beside(checkpoint=checkpoint, joins=joins, files=files)
        found[oid] = Node(oid=oid, parents=checkpoint.parents, shows=shows)
        wanted += checkpoint.parents
    return found


def _emitted(row: Node, beside: Mapping[Oid, Node], children: Counter[Oid]) -> Iterator[Node]:
    """The row, then what only it and those before it build on."""
    ready = [row]
    while ready:
        node = ready.pop()
        yield node
        for parent in node.parents:
            children[parent] -= 1
            if parent in beside and not children[parent]:
                ready.append(beside[parent])
