"""What `doctor` says: findings, and what was looked at. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from gitckpt.engine.place import Place
from gitckpt.errors import Holder
from gitckpt.model.workflow import Workflow
from gitckpt.store.store import Store

Level: TypeAlias = Literal["note", "problem", "decision"]
"""Good to know; not as it should be; not for gitckpt to decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing: what, where, and the next step. `mends`: `doctor --repair` does something about it."""

    level: Level
    what: str
    where: str
    next: str
    mends: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A workspace to be looked at. `workflow` is today's definition, or the newest checkpoint's where reading today's
    would run something; None where there is neither. `invalid`: why the workflow file is not valid; empty
    where it is. `who` works there now."""

    store: Store
    place: Place
    root: Path
    workflow: Workflow | None
    invalid: str
    who: Holder | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All findings, the worst first. `git` is the version; `file_system` None where it cannot be told."""

    findings: tuple[Finding, ...]
    git: str
    file_system: str | None
    checkpoints: int
    objects: int
