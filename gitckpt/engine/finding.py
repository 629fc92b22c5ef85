"""What `doctor` says: findings, and what was looked at. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from gitckpt.engine.place import Place
from gitckpt.errors import Holder
from gitckpt.model.names import PhaseName
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
class Isolation:
    """Which views of the workspace work here. `why_no_overlay`: None where overlays do; `reflink`: whether copies share
    their blocks with the workspace, None where that cannot be tried; `chosen`: the phases by what they say of
    `isolation`; `in_overlay` and `in_copy`: what is different there."""

    why_no_overlay: str | None
    reflink: bool | None
    chosen: Mapping[str, tuple[PhaseName, ...]]
    in_overlay: tuple[str, ...]
    in_copy: tuple[str, ...]

    @property
    def auto(self) -> Literal["overlay", "copy"]:
        """What `isolation: auto` picks for a phase that something can run beside."""
        return "overlay" if self.why_no_overlay is None else "copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All findings, the worst first. `git` is the version; `file_system` None where it cannot be told."""

    findings: tuple[Finding, ...]
    git: str
    file_system: str | None
    checkpoints: int
    objects: int
    isolation: Isolation
