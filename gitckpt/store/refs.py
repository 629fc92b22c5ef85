"""The names of gitckpt's refs, in one place. Pure text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gitckpt.model.names import PhaseName, WorkflowName

if TYPE_CHECKING:  # who only reads a branch does not load what events are
    from gitckpt.model.title import Title

BRANCHES = "refs/heads/gitckpt/"
TAGS = "refs/tags/gitckpt/"
OTHERS = "refs/gitckpt/"


def branch(workflow: WorkflowName) -> str:
    """The branch that holds the workflow's checkpoints."""
    return f"{BRANCHES}{workflow}"


def tag(workflow: WorkflowName, number: int, label: str) -> str:
    """A tag for people: `gitckpt/<workflow>/<0012>-<label>`."""
    return f"{TAGS}{workflow}/{number:04d}-{label}"


def tags(workflow: WorkflowName) -> str:
    """The folder of the workflow's tags."""
    return f"{TAGS}{workflow}/"


def tag_of(workflow: WorkflowName, number: int, named: Title) -> str | None:
    """The tag of a checkpoint, None for one that gets none: completions, answers of gates, and named checkpoints
    have one."""
    match named.kind:
        case "phase" | "merge" if named.status == "done" and named.phase:
            return tag(workflow, number, named.phase)
        case "gate" if named.status != "waiting" and named.phase:
            return tag(workflow, number, named.phase)
        case "named":
            return tag(workflow, number, named.phase or tag_label(named.detail))
        case _:
            return None


def tag_label(text: str) -> str:
    """Free text as the end of a tag's name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:60] or "named"


def others(workflow: WorkflowName) -> str:
    """The folder of all that is kept beside the branch."""
    return f"{OTHERS}{workflow}/"


def attempts(workflow: WorkflowName, phase: PhaseName) -> str:
    """The folder of a phase's attempts."""
    return f"{OTHERS}{workflow}/attempts/{phase}/"


def attempt(workflow: WorkflowName, phase: PhaseName, number: int) -> str:
    """One attempt's files and output."""
    return f"{attempts(workflow, phase)}{number}"


def finished(workflow: WorkflowName) -> str:
    """The folder of attempts that have succeeded and wait for their turn to be merged."""
    return f"{OTHERS}{workflow}/finished/"


def rescues(workflow: WorkflowName) -> str:
    """The folder of rescued work."""
    return f"{OTHERS}{workflow}/rescue/"


def diverged(workflow: WorkflowName) -> str:
    """The folder of histories that were put aside."""
    return f"{OTHERS}{workflow}/diverged/"


FORGOTTEN = "-forgotten"
"""How a ref ends that says of the history `diverged/<n>` that somebody has decided to start over without it."""


def left_attempts(workflow: WorkflowName, number: int) -> str:
    """The folder of the attempts that were made on the history `diverged/<number>`, and of none since."""
    return f"{diverged(workflow)}{number}-attempts/"
