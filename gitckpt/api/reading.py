"""Finding a workspace and reading its checkpoints: takes no lock, writes nothing, loads neither YAML nor the engine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gitckpt.engine.place import Place
from gitckpt.errors import GitckptError, Holder
from gitckpt.execute.lock import holder
from gitckpt.model.codec import decode_manifest
from gitckpt.model.manifest import Json
from gitckpt.model.names import WorkflowName
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository, discover
from gitckpt.spec.find import find
from gitckpt.store.store import NoCheckpoints, Store


@dataclass(eq=False)
class Nameless(GitckptError):
    """The workflow file does not say its name where it can be seen."""

    file: str

    @property
    def message(self) -> str:
        return f"{self.file} has no line `workflow: NAME` with a name that can be used"

    @property
    def hint(self) -> str:
        return "see all that is wrong with it: gitckpt lint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where a command works: `-C` and `--file`."""

    directory: Path = field(default_factory=Path)
    file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A workspace found: its repository, its root, and its workflow file."""

    repository: Repository
    root: Path
    prefix: bytes
    file: Path

    @property
    def place(self) -> Place:
        """gitckpt's folder for it."""
        return Place(self.repository, self.root)


def find_workspace(where: Where) -> Workspace:
    """Find repository, workflow file and workspace. Raises NotARepository, NoWorkflowFile, …"""
    start = (where.directory / where.file).parent if where.file else where.directory
    repository = discover(start)
    file = where.directory / where.file if where.file else find(Path(os.path.realpath(start)), repository.top)
    file = Path(os.path.realpath(file))
    root = file.parent
    prefix = os.fsencode(root.relative_to(repository.top)) if root != repository.top else b""
    return Workspace(repository=repository, root=root, prefix=prefix, file=file)


def workflow_name(workspace: Workspace) -> WorkflowName:
    """The name in the workflow file; reading commands need no more of it, so that they work while it is broken."""
    try:
        text = workspace.file.read_text(encoding="utf-8", errors="replace")[: 1 << 16]
    except OSError:
        text = ""
    found = re.search(r"""^workflow:[ \t]+(["']?)([A-Za-z0-9][A-Za-z0-9._-]*)\1[ \t]*(?:#.*)?$""", text, re.MULTILINE)
    if found is None:
        raise Nameless(str(workspace.file))
    return WorkflowName(found[2])


@contextmanager
def open_store(where: Where) -> Iterator[tuple[Workspace, Store]]:
    """Read access to a workflow's checkpoints."""
    workspace = find_workspace(where)
    with Reader(workspace.repository) as reader:
        yield workspace, Store(workspace.repository, reader, workflow_name(workspace), workspace.prefix)


def active(workspace: Workspace) -> Holder | None:
    """Who works in the workspace now."""
    return holder(workspace.place.lock)


def read_data(where: Where) -> dict[str, Json]:
    """The workflow's data; inside a phase with what it wrote itself so far. Raises NoCheckpoints."""
    with open_store(where) as (workspace, store):
        mirror = workspace.place.live / "state.json"
        if os.environ.get("GITCKPT_PHASE") and active(workspace) is not None and mirror.exists():
            return dict(decode_manifest(mirror.read_bytes(), str(mirror)).data)
        tip = store.tip_oid()
        if tip is None:
            raise NoCheckpoints(store.workflow)
        return dict(store.manifest(tip).data)
