"""Opens a workflow's checkpoints for who reads them.

Who asks only where a workflow stands opens its branch (`reading`), which loads less.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gitckpt.api.reading import Where, Workspace, find_workspace, told_if_gone, workflow_name
from gitckpt.plumbing.reader import Reader
from gitckpt.store.store import Store


@contextmanager
def open_store(where: Where) -> Iterator[tuple[Workspace, Store]]:
    """Read access to a workflow's checkpoints. Raises BranchGone where something remembers a branch that is gone."""
    workspace = find_workspace(where, "known")
    with Reader(workspace.repository) as reader:
        store = Store(workspace.repository, reader, workflow_name(workspace), workspace.prefix)
        with told_if_gone(workspace, store):
            yield workspace, store
