"""Which views of the workspace an attempt can get here, and what is different in them.

Owns that account. What is tried for it is taken away again. Must not make a view, nor know how it is told.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gitckpt.engine.finding import Isolation, Patient
from gitckpt.engine.place import Place
from gitckpt.execute.namespace import probe
from gitckpt.model.names import PhaseName
from gitckpt.model.schedule import Plan
from gitckpt.workspace.cloning import Cloner
from gitckpt.workspace.disk import Disk

IN_AN_OVERLAY = (
    "renaming a folder that was there before fails (EXDEV; `mv` copies instead)",
    "a hard link is a file of its own once it is written to",
)
UNPRIVILEGED = (
    "setuid programs get no rights",
    "chown to others fails, and files of others cannot be changed (EOVERFLOW)",
)
IN_A_COPY = (
    "what is not captured (.venv, node_modules) is a link: writing through it changes the workspace's own",
    "a repository whose configuration has core.worktree (a submodule) cannot have one",
    "the workspace has another path",
)


def isolation_of(patient: Patient) -> Isolation:
    """What works here. Raises nothing: what cannot be tried does not work."""
    why = _why_no_overlay(patient.place.views, patient.root)
    phases = patient.workflow.phases if patient.workflow is not None else ()
    chosen: dict[str, list[PhaseName]] = {}
    for phase in phases:
        if phase.gate is None:
            chosen.setdefault(phase.isolation, []).append(phase.name)
    return Isolation(
        why_no_overlay=why,
        reflink=_reflink(patient.place.views, patient.root),
        chosen={kind: tuple(names) for kind, names in chosen.items()},
        in_overlay=(*IN_AN_OVERLAY, *(() if os.geteuid() == 0 else UNPRIVILEGED)),
        in_copy=IN_A_COPY,
    )


def was_in_overlay(place: Place, plan: Plan, name: PhaseName) -> bool:
    """Whether the attempts of a phase get overlays here, by what was planned for the run."""
    if not plan.isolated(name) or plan.phases[name].isolation == "copy":
        return False
    return _why_no_overlay(place.views, place.root) is None


def _why_no_overlay(views: Path, root: Path) -> str | None:
    try:
        with _there(views):
            return probe(views, root)
    except OSError as error:
        return f"{views} cannot be made: {error.strerror}"


@contextmanager
def _there(folder: Path) -> Iterator[None]:
    """The folder, and those above it, for as long as it takes: looking changes nothing."""
    made = [each for each in (folder, *folder.parents) if not each.is_dir()]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        yield
    finally:
        for each in made:
            try:
                each.rmdir()
            except OSError:
                break  # somebody else put something there meanwhile


def _reflink(views: Path, root: Path) -> bool | None:
    """Whether a copy of a file shares its blocks with the workspace's; None where there is no file to try it with."""
    try:
        path = _some_file(root)
        if path is None:
            return None
        with _there(views), Disk(root) as disk:
            trial = views / f"reflink-{os.urandom(8).hex()}"
            target = os.open(trial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                return Cloner(disk).shares_blocks(path, target)
            finally:
                os.close(target)
                os.unlink(trial)
    except OSError:
        return False


def _some_file(root: Path) -> bytes | None:
    with os.scandir(os.fsencode(root)) as entries:
        files: Sequence[bytes] = sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    return next((name for name in files if os.access(os.fsencode(root) + b"/" + name, os.R_OK)), None)
