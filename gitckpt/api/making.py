"""Making a workflow file: a repository where there is none, and files that run as they are. Never overwrites."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gitckpt.errors import GitckptError, NotARepository
from gitckpt.plumbing.creation import init_repository
from gitckpt.plumbing.repository import discover, require_git
from gitckpt.spec.find import FILE_NAME
from gitckpt.spec.templates import NoSuchTemplate, from_folder, from_scripts, template

__all__ = ["AlreadyThere", "Initialised", "NoSuchTemplate", "initialise"]


@dataclass(eq=False)
class AlreadyThere(GitckptError):
    """A file of that name is there; it is never overwritten."""

    path: str

    @property
    def message(self) -> str:
        return f"{self.path} is there already, and is never overwritten"

    @property
    def hint(self) -> str:
        return "look at it with gitckpt lint and gitckpt plan, or work in an empty folder"


@dataclass(eq=False)
class NoSuchScript(GitckptError):
    """A script that is not there."""

    path: str

    @property
    def message(self) -> str:
        return f"there is no script {self.path}"

    @property
    def hint(self) -> str:
        return "name scripts by their path from the current folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """What was made: the files, and whether a repository was."""

    folder: Path
    files: tuple[str, ...]
    repository_made: bool


def initialise(directory: Path, scripts: tuple[str, ...], name: str | None) -> Initialised:
    """Write a workflow file into `directory`: from scripts, a template, or the folder's scripts as comments.

    Raises AlreadyThere, NoSuchScript, NoSuchTemplate, and what git refuses.
    """
    require_git()
    folder = Path(os.path.realpath(directory))
    if scripts:
        missing = [script for script in scripts if not (folder / script).is_file()]
        if missing:
            raise NoSuchScript(missing[0])
        files = {FILE_NAME: (from_scripts(scripts, folder), 0o644)}
    elif name is not None:
        files = dict(template(name))
    else:
        files = {FILE_NAME: (from_folder(folder), 0o644)}
    for path in files:
        if os.path.lexists(folder / path):
            raise AlreadyThere(path)
    folder.mkdir(parents=True, exist_ok=True)
    made = _ensure_repository(folder)
    for path, (text, mode) in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "x", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
    return Initialised(folder=folder, files=tuple(files), repository_made=made)


def _ensure_repository(folder: Path) -> bool:
    try:
        discover(folder)
    except NotARepository as problem:
        if type(problem) is not NotARepository:
            raise
        init_repository(folder)
        return True
    return False
