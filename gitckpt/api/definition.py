"""The definition of a workspace's workflow: from a workflow file, from a Python file, of one that scripts make, or from
the newest checkpoint where the file is missing.

Owns which of them is read how. For commands that write, or that are asked what would run: a Python file is run for it.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from gitckpt.api.reading import Workspace, name_in
from gitckpt.execute.describe import describe
from gitckpt.model.codec import Damaged
from gitckpt.model.names import Oid, WorkflowName
from gitckpt.model.workflow import VERSION, Workflow
from gitckpt.plumbing.environment import phase_environment
from gitckpt.plumbing.reader import Reader
from gitckpt.spec import load as files
from gitckpt.spec.load import Loaded
from gitckpt.spec.problem import Findings, Mark
from gitckpt.spec.yaml_strict import Entries
from gitckpt.store.definition import decode_workflow, definition_source
from gitckpt.store.store import Store


def load(path: Path) -> Loaded:
    """The workflow of a file; a Python file is run, in a process of its own, with 60 s to declare it.

    Raises DefinitionInvalid with all problems, WorkflowFileUnreadable, CannotDescribe.
    """
    if path.suffix != ".py":
        return files.load(path)
    path = Path(os.path.realpath(path))
    files.read_source(path, Findings(str(path)))  # one that cannot be read is told before it is run
    return files.load_described(path, name_in(path), describe(path, phase_environment(os.environ)))


def definition_of(workspace: Workspace) -> Loaded:
    """Today's definition for a command that writes. Raises what `load` raises."""
    if workspace.stored is not None:
        return _stored(workspace, *workspace.stored)
    if workspace.script is None:
        return load(workspace.file)
    return Loaded(
        workflow=Workflow(version=VERSION, workflow=workspace.script, phases=()),
        path=workspace.file,
        source=b"",
        root=Entries((), Mark(1, 1)),
        warnings=(),
    )


def _stored(workspace: Workspace, name: WorkflowName, checkpoint: Oid) -> Loaded:
    """The definition that a checkpoint holds. Raises Damaged."""
    with Reader(workspace.repository) as reader:
        data = Store(workspace.repository, reader, name, workspace.prefix).definition(checkpoint)
    try:
        workflow = decode_workflow(data)
    except msgspec.ValidationError as error:
        raise Damaged(f"definition.json of {checkpoint}", str(error)) from error
    return Loaded(
        workflow=workflow,
        path=workspace.file,
        source=definition_source(data),
        root=Entries((), Mark(1, 1)),
        warnings=(),
    )
