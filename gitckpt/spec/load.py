"""From a file to a `Workflow`: finds it, reads it, and raises everything that is wrong with it at once.

Owns the order of the steps (bytes, tree, defaults, shape, checks) and the values of params. Must not know git: the
caller says where the repository's top is.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from gitckpt.model.workflow import DEFAULTABLE, Phase, Workflow
from gitckpt.spec.checks import check, version_is_newer, warn
from gitckpt.spec.defaults import with_defaults
from gitckpt.spec.described import read_description
from gitckpt.spec.functions import with_code
from gitckpt.spec.problem import (
    DefinitionInvalid,
    Findings,
    Mark,
    ParamsInvalid,
    Problem,
    WorkflowFileUnreadable,
    near,
    quoted,
    visible,
)
from gitckpt.spec.read import Missing, read_record
from gitckpt.spec.shape import only_keys, record_shape
from gitckpt.spec.yaml_strict import MAX_BYTES, Entries, Node, parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A workflow, the file it came from, that file's bytes, what they say as a tree, and what in it has no effect."""

    workflow: Workflow
    path: Path
    source: bytes
    root: Entries
    warnings: tuple[Problem, ...]


def load(path: Path) -> Loaded:
    """The workflow of a file. Raises DefinitionInvalid with all problems, or WorkflowFileUnreadable."""
    findings = Findings(shown_path(path))
    source = read_source(path, findings)
    root = None if source is None else parse(source, findings)
    workflow = None if root is None else interpret(root, findings)
    if workflow is not None:
        workflow = with_code(workflow, path.parent)
    return _loaded(path, source, root, workflow, findings)


def load_described(path: Path, name: str | None, said: bytes) -> Loaded:
    """The workflow that a Python file declares, as it was described in a process of its own.

    `name` is what stands in the file as its name. Raises DefinitionInvalid with all problems, by the lines of the file.
    """
    findings = Findings(shown_path(path))
    source = read_source(path, findings)
    description = read_description(said, findings)
    if description is None:
        return _loaded(path, source, None, None, findings)
    workflow = interpret(description.root, findings)
    if workflow is not None and name != workflow.workflow:
        text = "its name must stand in the call, for commands that do not run the file"
        findings.error(description.root.mark, f"{text}: gitckpt.Flow({quoted(workflow.workflow)})")
    if workflow is not None:
        phases = tuple(replace(phase, code=description.code.get(phase.name)) for phase in workflow.phases)
        workflow = replace(workflow, phases=phases)
    return _loaded(path, source, description.root, workflow, findings)


def _loaded(
    path: Path, source: bytes | None, root: Node | None, workflow: Workflow | None, findings: Findings
) -> Loaded:
    errors = findings.of("error")
    if errors or workflow is None or source is None or not isinstance(root, Entries):
        raise DefinitionInvalid(errors)
    return Loaded(workflow=workflow, path=path, source=source, root=root, warnings=findings.of("warning"))


def interpret(root: Node, findings: Findings) -> Workflow | None:
    """The workflow that a tree says; None, with the problems noted, where it says none."""
    if not isinstance(root, Entries):
        findings.error(root.mark, 'a workflow file is a mapping that starts with "version: 1"')
        return None
    if version_is_newer(root, findings):
        return None
    defaults = root.get("defaults")
    if defaults is not None:
        read_record(only_keys(record_shape(Phase), DEFAULTABLE), defaults, findings, '"defaults"')
    warn(root, findings)
    merged = with_defaults(root)
    values = read_record(record_shape(Workflow), merged, findings, "the file")
    if isinstance(values, Missing):
        return None
    check(root, merged, values, findings)
    if findings.of("error"):
        return None
    return msgspec.convert(values, Workflow)


def resolve_params(
    workflow: Workflow, given: Mapping[str, str], recorded: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The value of every param that has one: as given, else as the run that goes on has `recorded` it, else its
    default. Raises ParamsInvalid."""
    problems = [
        f"the workflow has no param {quoted(name)}{near(name, workflow.params)}"
        for name in given
        if name not in workflow.params
    ]
    known = recorded or {}
    values: dict[str, str] = {}
    for name, param in workflow.params.items():
        if name in known and name not in given:
            values[name] = known[name]  # it was right when the run began; a pattern of today does not stop it
            continue
        value = given.get(name, param.default)
        if value is None:
            if param.required:
                problems.append(f"param {quoted(name)} is required and has no value")
            continue
        if param.pattern is not None and not re.fullmatch(param.pattern, value):
            problems.append(f"param {quoted(name)} cannot be {quoted(value)}: it must match {visible(param.pattern)}")
        values[name] = value
    if problems:
        raise ParamsInvalid(tuple(problems))
    return values


def read_source(path: Path, findings: Findings) -> bytes | None:
    """The bytes of a file; None, with the problem noted, where it is too long. Raises WorkflowFileUnreadable."""
    shown = findings.file
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise WorkflowFileUnreadable(shown, "it is not a file")
        if found.st_size > MAX_BYTES:
            size = f"the file has {found.st_size:,} bytes; a workflow file has at most {MAX_BYTES:,}"
            findings.error(Mark(1, 1), size)
            return None
        return path.read_bytes()
    except OSError as error:
        raise WorkflowFileUnreadable(shown, error.strerror or str(error)) from error


def shown_path(path: Path) -> str:
    """The path as an error shows it: from the current folder where it is below it."""
    try:
        absolute, here = os.path.abspath(path), os.getcwd()
    except OSError:  # the current folder was removed
        return str(path)
    for base in (here, os.environ.get("PWD", here)):
        if absolute.startswith(base.rstrip("/") + "/"):
            return os.path.relpath(absolute, base)
    return absolute
