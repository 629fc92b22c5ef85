"""What every command that writes begins with: the workflow file, the user, both locks."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from gitckpt.api.definition import definition_of
from gitckpt.api.reading import Fileless, Where, Workspace, find_workspace
from gitckpt.engine.hold import Given, Hold, held
from gitckpt.engine.ports import Reporter
from gitckpt.errors import GitckptError
from gitckpt.model.manifest import Source
from gitckpt.model.names import PhaseName
from gitckpt.model.text import safe
from gitckpt.model.workflow import Workflow
from gitckpt.plumbing.environment import phase_environment
from gitckpt.plumbing.user import identity, source
from gitckpt.spec.load import Loaded
from gitckpt.store.definition import NO_FILE, definition_path, encode_definition


@dataclass(eq=False)
class NoSuchPhase(GitckptError):
    """A phase that the workflow file does not have."""

    name: str
    near: tuple[str, ...]

    @property
    def message(self) -> str:
        return f"no phase is called {self.name!r}" + (f"; near it: {', '.join(self.near)}" if self.near else "")

    @property
    def hint(self) -> str:
        return "see the phases: gitckpt status"


@dataclass(eq=False)
class ComesFromAFile(GitckptError):
    """A workflow that has a file, and the file was not named and is not found."""

    workflow: str
    path: str

    @property
    def message(self) -> str:
        return f"workflow {self.workflow} comes from {self.path}, and there is no gitckpt.yaml here"

    @property
    def hint(self) -> str:
        return f"name the file: gitckpt --file {self.path} …"


@dataclass(eq=False)
class NotUtf8(GitckptError):
    """A folder or file whose name no checkpoint can hold as text."""

    what: str
    path: str

    @property
    def message(self) -> str:
        return f"the name of the {self.what} {safe(self.path)} is not UTF-8, and checkpoints name it"

    @property
    def hint(self) -> str:
        return f"rename the {self.what} (mv), then run the command again; nothing was changed"


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now().astimezone()

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def jitter(self) -> float:
        return random.random()


def given_of(workspace: Workspace, loaded: Loaded) -> Given:
    """What a writing command starts from. Raises NotUtf8."""
    path = NO_FILE if workspace.script else os.fsdecode(os.path.relpath(loaded.path, workspace.root))
    for what, name in (("workspace's folder", os.fsdecode(workspace.prefix)), ("workflow file", path)):
        if not _is_text(name):
            raise NotUtf8(what, name)
    person = identity(workspace.repository)
    at = source(workspace.repository)
    return Given(
        repository=workspace.repository,
        root=workspace.root,
        prefix=workspace.prefix,
        workflow=loaded.workflow,
        definition=encode_definition(loaded.workflow, path, loaded.source),
        identity=(person.name, person.email) if person and person.name else None,
        source=Source(head=at.head, branch=at.branch, author=(person.email or None) if person else None),
        environment=phase_environment(os.environ),
    )


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def write(where: Where, reporter: Reporter, fileless: Fileless = "known") -> Iterator[Hold]:
    """Both locks, for a command that writes.

    Raises Busy, ComesFromAFile, NotUtf8, and what finding and loading raise.
    """
    workspace = find_workspace(where, fileless)
    loaded = definition_of(workspace)
    with held(given_of(workspace, loaded), workspace.place, SystemClock(), reporter) as hold:
        if workspace.script is not None and hold.tip is not None:
            path = definition_path(hold.store.definition(hold.tip.oid))
            if path != NO_FILE:
                raise ComesFromAFile(workspace.script, path)
        yield hold


def phase_name(workflow: Workflow, name: str) -> PhaseName:
    """A phase of the workflow by name. Raises NoSuchPhase with the near ones."""
    names = [str(phase.name) for phase in workflow.phases]
    if name not in names:
        raise NoSuchPhase(name, near_names(name, names))
    return PhaseName(name)


def near_names(name: str, names: Sequence[str]) -> tuple[str, ...]:
    """The names that look like it."""
    return tuple(get_close_matches(name, names, n=3, cutoff=0.5))
