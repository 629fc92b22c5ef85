"""The source of the functions that a workflow file names, looked at and never run.

Owns where a function's module lies in the workspace. A function elsewhere, or made by a program, has no digest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gitckpt.model.source import code_digest, function_source
from gitckpt.model.workflow import Phase, Workflow


def with_code(workflow: Workflow, root: Path) -> Workflow:
    """The workflow with the digest of each function that is found below `root`."""
    if not any(phase.python for phase in workflow.phases):
        return workflow
    return replace(workflow, phases=tuple(replace(phase, code=_code(phase, root)) for phase in workflow.phases))


def _code(phase: Phase, root: Path) -> str | None:
    named = (phase.python, phase.validate.python if phase.validate else None)
    found = [text for target in named if target and (text := _source(target, phase, root)) is not None]
    return code_digest(*found) if found else None


def _source(target: str, phase: Phase, root: Path) -> str | None:
    home, _, name = target.rpartition(":")
    for file in _files(home, phase, root):
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        return function_source(text, name)
    return None


def _files(home: str, phase: Phase, root: Path) -> Iterator[Path]:
    """Where Python would find the module, in the order in which it looks."""
    if home.endswith(".py"):
        yield root / home
        return
    path = home.replace(".", "/")
    for folder in dict.fromkeys((root / phase.working_directory, root)):
        yield folder / path / "__init__.py"
        yield folder / f"{path}.py"
