"""Workflows without a file: their checkpoints are made by scripts that call `gitckpt checkpoint` and `gitckpt state`.

Owns which folder is the workspace of such a workflow, and its name. Reads the branches only; makes nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from gitckpt.model.names import WorkflowName, name_problem
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.refs import list_refs
from gitckpt.plumbing.repository import Repository
from gitckpt.store import refs
from gitckpt.store.definition import NO_FILE, definition_path
from gitckpt.store.store import Store, find_place

_REMOTES = "refs/remotes/"


def known(repository: Repository, start: Path) -> tuple[Path, WorkflowName] | None:
    """The workspace that `start` is in and its workflow: the nearest folder upwards of which scripts made checkpoints.

    Branches that only a remote has count where no local one does. Of two for one folder the first by name is it.
    """
    with Reader(repository) as reader:
        for ours in (refs.BRANCHES, _REMOTES):
            found = dict(_made_by_scripts(repository, reader, ours))
            for folder in _upwards(start, repository.top):
                if folder in found:
                    return folder, found[folder]
    return None


def new_name(repository: Repository, root: Path) -> WorkflowName:
    """A name made from the folder's path in the repository, or at its top from the folder's own name."""
    inside = root.relative_to(repository.top).parts or (root.name,)
    text = re.sub(r"[^A-Za-z0-9_]+", "-", "-".join(inside)).strip("-_")[:100]
    return WorkflowName("workflow" if name_problem(text) else text)


def _made_by_scripts(repository: Repository, reader: Reader, under: str) -> Iterator[tuple[Path, WorkflowName]]:
    for ref, oid in sorted(list_refs(repository, under).items(), reverse=True):
        where, marker, name = ref.partition("gitckpt/")
        if not marker or not where.startswith("refs/") or name_problem(name):
            continue
        commit = reader.commit(oid)
        place = find_place(reader, commit.tree) if commit else None
        if place is None:
            continue
        store = Store(repository, reader, WorkflowName(name), place)
        if definition_path(store.definition(oid)) == NO_FILE:
            yield repository.top / os.fsdecode(place), WorkflowName(name)


def _upwards(start: Path, top: Path) -> Iterator[Path]:
    yield start
    if start != top and top in start.parents:
        yield from _upwards(start.parent, top)
