"""Where a workflow file is. Owns the search upwards; reads nothing, and loads no YAML."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gitckpt.errors import GitckptError

FILE_NAME = "gitckpt.yaml"


@dataclass(eq=False)
class NoWorkflowFile(GitckptError):
    """There is no workflow file from `start` upwards to the repository's top."""

    start: str

    @property
    def message(self) -> str:
        return f"no gitckpt.yaml in {self.start} or above it"

    @property
    def hint(self) -> str:
        return "write one with: gitckpt init"


def find(start: Path, top: Path | None) -> Path:
    """The nearest `gitckpt.yaml` from `start` upwards to `top`, or in `start` alone without one (no repository).

    Raises NoWorkflowFile. Above `top` a file is a stranger's: it is never looked for.
    """
    here = start.resolve()
    last = here if top is None else top.resolve()
    inside = here == last or last in here.parents
    for folder in (here, *here.parents):
        candidate = folder / FILE_NAME
        if candidate.is_file():
            return candidate
        if folder == last or not inside:
            break
    raise NoWorkflowFile(str(start))
