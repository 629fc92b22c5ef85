"""The definition of a workspace's workflow: from a workflow file, from a Python file, or of one that scripts make.

Owns which of them is read how. For commands that write, or that are asked what would run: a Python file is run for it.
"""

from __future__ import annotations

import os
from pathlib import Path

from gitckpt.api.reading import Workspace, name_in
from gitckpt.execute.describe import describe
from gitckpt.model.workflow import VERSION, Workflow
from gitckpt.plumbing.environment import phase_environment
from gitckpt.spec import load as files
from gitckpt.spec.load import Loaded
from gitckpt.spec.problem import Findings, Mark
from gitckpt.spec.yaml_strict import Entries


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
    if workspace.script is None:
        return load(workspace.file)
    return Loaded(
        workflow=Workflow(version=VERSION, workflow=workspace.script, phases=()),
        path=workspace.file,
        source=b"",
        root=Entries((), Mark(1, 1)),
        warnings=(),
    )
