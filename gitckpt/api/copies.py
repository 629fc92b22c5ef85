"""Workflows whose file is not in the work tree: a clone or a worktree of a branch without it, or somebody removed it.
Their newest checkpoint holds the definition.

Owns which folder is the workspace of such a workflow. Reads the branches only; makes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gitckpt.api.scripts import REMOTES, tips, upwards
from gitckpt.engine.place import Place
from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.names import Oid, WorkflowName
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository
from gitckpt.store import refs


@dataclass(eq=False)
class FileRemoved(GitckptError):
    """This workspace made checkpoints of a workflow, and its file is gone."""

    file: str
    root: str
    workflow: str

    @property
    def message(self) -> str:
        return f"no {self.file} in {self.root}, and the newest checkpoint of workflow {self.workflow} holds one"

    @property
    def hint(self) -> str:
        return f"bring it back: gitckpt restore latest -- {self.file}\nor write a new one: gitckpt init"


@dataclass(eq=False)
class FileElsewhere(GitckptError):
    """The checkpoints of a workflow are here, made elsewhere, and its file is not."""

    file: str
    root: str
    workflow: str
    where: str

    exit_code = ExitCode.CONFLICT

    @property
    def message(self) -> str:
        return (
            f"no {self.file} in {self.root}; workflow {self.workflow} has its history {self.where}, and this is a "
            "copy of it; nothing was changed"
        )

    @property
    def hint(self) -> str:
        return (
            "take the newest checkpoint, the file with it (yours are rescued first): gitckpt rollback latest\n"
            "or begin a workflow of another name: gitckpt init"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A workflow without its file: its workspace, the file's path in it, and the checkpoint that holds the definition.
    `where` says to people which history that is."""

    workflow: WorkflowName
    root: Path
    file: str
    checkpoint: Oid
    where: str


def copy_of(repository: Repository, start: Path, file: str) -> Copy | None:
    """The workflow whose `file` is missing in the nearest folder from `start` upwards; branches that only a remote
    has count where no local one does. Of several the one with the newest checkpoint is it."""
    with Reader(repository) as reader:
        for under in (refs.BRANCHES, REMOTES):
            found = [each for each in _copies(repository, reader, under) if each.file == file]
            for folder in upwards(start, repository.top):
                here = [each for each in found if each.root == folder]
                if here:
                    return max(here, key=lambda each: _made_at(reader, each))
    return None


def file_not_here(repository: Repository, found: Copy) -> FileRemoved | FileElsewhere:
    """What to tell somebody who wants to run it."""
    if found.workflow in Place(repository, found.root).read().bases:
        return FileRemoved(found.file, str(found.root), found.workflow)
    return FileElsewhere(found.file, str(found.root), found.workflow, found.where)


def _copies(repository: Repository, reader: Reader, under: str) -> Iterator[Copy]:
    for tip in tips(repository, reader, under):
        remote = tip.ref.removeprefix(REMOTES).partition("/gitckpt/")[0]
        yield Copy(
            workflow=tip.workflow,
            root=tip.root,
            file=tip.file,
            checkpoint=tip.oid,
            where=f"on {remote}" if under == REMOTES else f"on the branch gitckpt/{tip.workflow}",
        )


def _made_at(reader: Reader, copy: Copy) -> int:
    commit = reader.commit(copy.checkpoint)
    return commit.committer.seconds if commit else 0
