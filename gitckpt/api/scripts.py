"""Workflows without a file: their checkpoints are made by scripts that call `gitckpt checkpoint` and `gitckpt state`.

Owns which folder is the workspace of such a workflow, and its name. Reads the branches only; makes nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gitckpt.model.names import Oid, WorkflowName, name_problem
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.refs import list_refs
from gitckpt.plumbing.repository import Repository
from gitckpt.store import refs
from gitckpt.store.branch import find_place
from gitckpt.store.definition import NO_FILE, definition_path
from gitckpt.store.store import Store

REMOTES = "refs/remotes/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """The newest checkpoint of a workflow on one ref. `root`: its workspace here; `file`: the path in it of the file
    it comes from, NO_FILE where scripts made it."""

    ref: str
    oid: Oid
    workflow: WorkflowName
    root: Path
    file: str


def known(repository: Repository, start: Path) -> tuple[Path, WorkflowName] | None:
    """The workspace that `start` is in and its workflow: the nearest folder upwards of which scripts made checkpoints.

    Branches that only a remote has count where no local one does. Of two for one folder the first by name is it.
    """
    with Reader(repository) as reader:
        for ours in (refs.BRANCHES, REMOTES):
            made = reversed([tip for tip in tips(repository, reader, ours) if tip.file == NO_FILE])
            found = {tip.root: tip.workflow for tip in made}
            for folder in upwards(start, repository.top):
                if folder in found:
                    return folder, found[folder]
    return None


def new_name(repository: Repository, root: Path) -> WorkflowName:
    """A name made from the folder's path in the repository, or at its top from the folder's own name."""
    inside = root.relative_to(repository.top).parts or (root.name,)
    text = re.sub(r"[^A-Za-z0-9_]+", "-", "-".join(inside)).strip("-_")[:100]
    return WorkflowName("workflow" if name_problem(text) else text)


def tips(repository: Repository, reader: Reader, under: str) -> Iterator[Tip]:
    """The newest checkpoint of every workflow that has a branch below `under`, by name."""
    for ref, oid in sorted(list_refs(repository, under).items()):
        where, marker, name = ref.partition("gitckpt/")
        if not marker or not where.startswith("refs/") or name_problem(name):
            continue
        commit = reader.commit(oid)
        place = find_place(reader, commit.tree) if commit else None
        if place is None:
            continue
        file = definition_path(Store(repository, reader, WorkflowName(name), place).definition(oid))
        root = repository.top / os.fsdecode(place)
        yield Tip(ref=ref, oid=oid, workflow=WorkflowName(name), root=root, file=file)


def upwards(start: Path, top: Path) -> Iterator[Path]:
    """`start` and the folders above it, up to the repository's top."""
    yield start
    if start != top and top in start.parents:
        yield from upwards(start.parent, top)
