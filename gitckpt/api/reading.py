"""Finding a workspace and reading its checkpoints: takes no lock, writes nothing, loads neither YAML nor the engine."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Literal, TypeAlias

from gitckpt.engine.beyond import BranchGone, beyond
from gitckpt.engine.place import Place
from gitckpt.errors import GitckptError, Holder, NotARepository
from gitckpt.execute.lock import holder
from gitckpt.model.codec import decode_manifest
from gitckpt.model.manifest import Json
from gitckpt.model.names import Oid, WorkflowName, name_problem
from gitckpt.model.source import declared_name
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository, discover
from gitckpt.spec.find import FILE_NAME, NoWorkflowFile, find
from gitckpt.store.branch import Branch, NoCheckpoints


@dataclass(eq=False)
class Nameless(GitckptError):
    """The workflow file does not say its name where it can be seen."""

    file: str

    @property
    def message(self) -> str:
        if self.file.endswith(".py"):
            return f'{self.file} has no line `gitckpt.Flow("NAME"` with a name that can be used'
        return f"{self.file} has no line `workflow: NAME` with a name that can be used"

    @property
    def hint(self) -> str:
        return "see all that is wrong with it: gitckpt lint"


@dataclass(eq=False)
class NotUtf8(GitckptError):
    """This Python reads file names and items by another codec than UTF-8: a library cannot change that any more."""

    codec: str

    @property
    def message(self) -> str:
        return f"this Python takes text of the system for {self.codec}, as the locale says; nothing was changed"

    @property
    def hint(self) -> str:
        return "start it in UTF-8 mode: python -X utf8 (or PYTHONUTF8=1)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where a command works: `-C` and `--file`."""

    directory: Path = field(default_factory=Path)
    file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A workspace found: its repository, its root, and its workflow file. `script` is the workflow's name where there
    is no file, because scripts make its checkpoints; `stored` one whose file is missing, and the checkpoint that holds
    its definition. `file` is then where one would be."""

    repository: Repository
    root: Path
    prefix: bytes
    file: Path
    script: WorkflowName | None = None
    stored: tuple[WorkflowName, Oid] | None = None

    @property
    def place(self) -> Place:
        """gitckpt's folder for it."""
        return Place(self.repository, self.root)


Fileless: TypeAlias = Literal["no", "known", "new"]
"""What to do where there is no workflow file: raise, take the workspace of which there are checkpoints (of scripts, or
with the file in them), or else begin one in the current folder."""


def find_workspace(where: Where, fileless: Fileless = "no") -> Workspace:
    """Find repository, workflow file and workspace. Raises NotARepository, NoWorkflowFile, NotUtf8, …

    A process of a phase finds its own workspace also from outside of any repository, whatever its file is called, and
    from the copy of it that it may run in.
    """
    if sys.getfilesystemencoding() != "utf-8":
        raise NotUtf8(sys.getfilesystemencoding())
    where = _out_of_copy(where)
    if where.file is not None:
        path = where.directory / where.file
        repository, file = discover(path.parent), Path(os.path.realpath(path))
        found = _missing(repository, file.parent, file.name, fileless) if not file.exists() else None
        return found or _workspace(repository, file.parent, file)
    own = _own_root()
    try:
        repository, start = discover(where.directory), Path(os.path.realpath(where.directory))
    except NotARepository:
        if own is None:
            raise
        repository, start = discover(own), own
    try:
        file = find(start, repository.top)
    except NoWorkflowFile:
        found = _without_file(repository, start, own, fileless)
        if found is None:
            raise
        return found
    return _workspace(repository, file.parent, Path(os.path.realpath(file)))


def _workspace(repository: Repository, root: Path, file: Path, script: WorkflowName | None = None) -> Workspace:
    prefix = os.fsencode(root.relative_to(repository.top)) if root != repository.top else b""
    return Workspace(repository=repository, root=root, prefix=prefix, file=file, script=script)


def _out_of_copy(where: Where) -> Where:
    """The same place in the workspace, where it is in the copy that stands for it in this process's attempt."""
    workspace, copy = os.environ.get("GITCKPT_WORKSPACE"), os.environ.get("GITCKPT_VIEW")
    if not workspace or not copy or not os.path.isdir(workspace):
        return where
    top, root = Path(os.path.realpath(copy)), Path(os.path.realpath(workspace))
    file = where.file and where.directory / where.file
    here = Path(os.path.realpath(file.parent if file else where.directory))
    between = [folder for folder in (here, *here.parents) if top in folder.parents]
    if (here != top and not between) or any(os.path.lexists(folder / ".git") for folder in between):
        # Elsewhere, or in a repository that the phase has made for itself.
        return where
    there = root / here.relative_to(top)
    if file is not None:
        return Where(directory=root, file=there / file.name)
    while not there.is_dir():  # a folder that only the copy has
        there = there.parent
    return Where(directory=there)


def _own_root() -> Path | None:
    """The top of the workspace whose phase this process is of."""
    state = os.environ.get("GITCKPT_STATE")
    inside = state and os.environ.get("GITCKPT_WORKFLOW") and os.path.exists(state)
    return Path(os.path.realpath(state)).parent.parent if state and inside else None


def _without_file(repository: Repository, start: Path, own: Path | None, fileless: Fileless) -> Workspace | None:
    if own is not None and (start == own or own in start.parents):
        return _workspace(repository, own, own / FILE_NAME, WorkflowName(os.environ["GITCKPT_WORKFLOW"]))
    if fileless == "no":
        return _missing(repository, start, FILE_NAME, fileless)
    scripts = import_module("gitckpt.api.scripts")
    found: tuple[Path, WorkflowName] | None = scripts.known(repository, start)
    if found is None and fileless == "known":
        return _missing(repository, start, FILE_NAME, fileless)
    if found is None and fileless == "new":
        found = start, scripts.new_name(repository, start)
    return _workspace(repository, found[0], found[0] / FILE_NAME, found[1]) if found else None


def _missing(repository: Repository, start: Path, name: str, fileless: Fileless) -> Workspace | None:
    """The workspace whose workflow file is missing here and is in a checkpoint. Raises for who wants to run it."""
    copies = import_module("gitckpt.api.copies")
    found = copies.copy_of(repository, start, name)
    if found is None:
        return None
    if fileless != "known":
        raise copies.file_not_here(repository, found)
    workspace = _workspace(repository, found.root, found.root / name)
    return replace(workspace, stored=(found.workflow, found.checkpoint))


_NAME_LINE = re.compile(r"""^workflow:[ \t]+(["']?)([A-Za-z0-9][A-Za-z0-9._-]*)\1[ \t]*(?:#.*)?$""", re.MULTILINE)


def workflow_name(workspace: Workspace) -> WorkflowName:
    """The name of the workflow; reading commands need no more of its file, so that they work while it is broken."""
    name = workspace.script or (workspace.stored[0] if workspace.stored else name_in(workspace.file))
    if name is None:
        raise Nameless(str(workspace.file))
    return name


def name_in(file: Path) -> WorkflowName | None:
    """The name as it stands in a workflow file, or in the call of `gitckpt.Flow` in a Python file, which is not run."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")[: 1 << 16]
    except OSError:
        return None
    if file.suffix == ".py":
        name = declared_name(text)
        return WorkflowName(name) if name is not None and name_problem(name) is None else None
    found = _NAME_LINE.search(text)
    return WorkflowName(found[2]) if found else None


@contextmanager
def open_branch(where: Where) -> Iterator[tuple[Workspace, Branch]]:
    """Read access to where a workflow stands."""
    workspace = find_workspace(where, "known")
    with Reader(workspace.repository) as reader:
        branch = Branch(workspace.repository, reader, workflow_name(workspace), workspace.prefix)
        with told_if_gone(workspace, branch):
            yield workspace, branch


@contextmanager
def told_if_gone(workspace: Workspace, branch: Branch) -> Iterator[None]:
    """Where there are no checkpoints to read, and something remembers some, that is told. Raises BranchGone."""
    try:
        yield
    except NoCheckpoints:
        known = beyond(branch, workspace.place, None)
        if known is None:
            raise
        raise BranchGone(branch.workflow, known) from None


def active(workspace: Workspace) -> Holder | None:
    """Who works in the workspace now."""
    return holder(workspace.place.lock)


def read_data(where: Where) -> dict[str, Json]:
    """The workflow's data; inside a phase with what it wrote itself so far. Raises NoCheckpoints."""
    with open_branch(where) as (workspace, branch):
        mirror = workspace.place.live / "state.json"
        if os.environ.get("GITCKPT_PHASE") and active(workspace) is not None and mirror.exists():
            return dict(decode_manifest(mirror.read_bytes(), str(mirror)).data)
        tip = branch.tip_oid()
        if tip is None:
            raise branch.no_checkpoints()
        return dict(branch.manifest(tip).data)
