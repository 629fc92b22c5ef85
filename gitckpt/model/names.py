"""Names and ids as types of their own, so that a tag is never passed for a phase. Pure text; knows no git."""

from __future__ import annotations

import re
from typing import NewType

Oid = NewType("Oid", str)
"""An object id as lower-case hex text (40 or 64 digits)."""

WorkflowName = NewType("WorkflowName", str)
PhaseName = NewType("PhaseName", str)
RunId = NewType("RunId", str)

LIVE_FOLDER = ".gitckpt"
"""The reserved folder at the workspace's top: the live mirror on disk, the manifest's home in a checkpoint."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
RESERVED_PHASES = frozenset({"start", "latest", "before", "rescue"})


def name_problem(text: str) -> str | None:
    """Say why `text` cannot name a workflow, a phase, or a param; None when it can. One regex for all of them."""
    if not text:
        return "a name cannot be empty"
    if len(text) > 100:
        return "a name has at most 100 characters"
    if not _NAME.fullmatch(text):
        return "a name starts with a letter or digit and holds only letters, digits, `.`, `_` and `-`"
    if ".." in text:
        return "a name cannot hold `..`"
    if text.lower().endswith(".lock") or text.endswith("."):
        return "a name cannot end with `.lock` or `.`"
    return None


def phase_name_problem(text: str) -> str | None:
    """As `name_problem`, and not all digits nor a word that selectors use (shown with `gitckpt show C`)."""
    problem = name_problem(text)
    if problem:
        return problem
    if text.isdigit():
        return "a phase's name cannot be all digits: numbers name checkpoints"
    if text.lower() in RESERVED_PHASES:
        return f"`{text}` is a word of its own in `gitckpt show`; choose another name"
    return None
