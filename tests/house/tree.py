"""The files that are the project: what git tracks, so that whatever a person keeps in a clone makes no test fail.

Where the tree is no clone (an archive, an unpacked sdist) it is every file that no tool has left behind. Must not know
what the files are looked at for.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.conftest import PROJECT

_LEFT_BEHIND = frozenset({"__pycache__", "node_modules", "build", "dist", "site-packages"})


def tracked(suffix: str = "", top: Path = PROJECT) -> list[Path]:
    """Every file of the project whose name ends so, sorted. A file that was deleted is none, and a link neither."""
    names = _of_git(top) if (top / ".git").exists() else _of_the_folder(top)
    paths = [top / name for name in names if name.endswith(suffix)]
    return sorted(path for path in paths if path.is_file() and not path.is_symlink())


def _of_git(top: Path) -> list[str]:
    # A hook exports where its repository is; and the tree may be another user's, as in a container.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(top), "-c", "safe.directory=*", "--no-optional-locks", "ls-files", "-z", "--cached"]
    said = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    return [os.fsdecode(name) for name in said.split(b"\0") if name]


def _of_the_folder(top: Path) -> list[str]:
    found = []
    for folder, folders, names in os.walk(top):
        here = Path(folder)
        folders[:] = [name for name in folders if not _is_a_tools(here / name, top)]
        found += [str((here / name).relative_to(top)) for name in names if name != ".git"]
    return found


def _is_a_tools(folder: Path, top: Path) -> bool:
    dotted = folder.name.startswith(".") and folder.parent == top and folder.name not in (".ci", ".github")
    return dotted or folder.name in _LEFT_BEHIND or folder.suffix == ".egg-info" or (folder / "pyvenv.cfg").exists()
