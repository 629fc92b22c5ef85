"""gitckpt: run multi-phase workflows that never lose their place. Every step is a git commit of files and state.

The names below load when they are used, so that `import gitckpt` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gitckpt import errors
    from gitckpt.api.definition import load
    from gitckpt.api.library import open_store, run
    from gitckpt.flow.context import Context
    from gitckpt.flow.define import Flow
    from gitckpt.model import events
    from gitckpt.model.workflow import Param, Phase, Workflow
    from gitckpt.store.checkpoint import Checkpoint

__all__ = [
    "Checkpoint",
    "Context",
    "Flow",
    "Param",
    "Phase",
    "Workflow",
    "errors",
    "events",
    "load",
    "open_store",
    "run",
]

_HOMES = {
    "Checkpoint": "gitckpt.store.checkpoint",
    "Context": "gitckpt.flow.context",
    "Flow": "gitckpt.flow.define",
    "Param": "gitckpt.model.workflow",
    "Phase": "gitckpt.model.workflow",
    "Workflow": "gitckpt.model.workflow",
    "load": "gitckpt.api.definition",
    "open_store": "gitckpt.api.library",
    "run": "gitckpt.api.library",
}


def __getattr__(name: str) -> object:
    if name in ("errors", "events"):
        return import_module("gitckpt.errors" if name == "errors" else "gitckpt.model.events")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'gitckpt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
