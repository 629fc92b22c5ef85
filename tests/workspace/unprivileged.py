"""Run as a child that may not do all: each scenario ends with a printed `fine`. Usage: unprivileged.py NAME FOLDER.

The superuser becomes nobody after the imports, because nobody may not be able to read the interpreter's own files.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from gitckpt.errors import Unreadable
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.openings import Openings
from tests.workspace.desk import Desk

NOBODY = 65534
GROUPS = (
    "plain", "empty_dirs", "readonly", "mtimes", "nested_git", "ignored", "attributes", "names", "gitlookalikes",
    "symlinks", "sparse", "swaps",
)  # fmt: skip
_PLACE = Path(__file__).parents[3] / "shared" / "tools" / "torture.py"
_SPEC = importlib.util.spec_from_file_location("torture", _PLACE)
assert _SPEC is not None
assert _SPEC.loader is not None
TOOL = importlib.util.module_from_spec(_SPEC)
if _PLACE.exists():
    _SPEC.loader.exec_module(TOOL)


def unreadable(folder: Path) -> None:
    """A file and a folder without rights are errors that name them, and nothing is recorded."""
    desk = Desk(folder)
    desk.write("a/b")
    for name in ("a/b", "a"):
        (desk.root / name).chmod(0)
        with pytest.raises(Unreadable, match=f"^cannot read {name}: Permission denied$"):
            desk.take()
        (desk.root / name).chmod(0o755)
    (desk.root / "a/b").chmod(0)
    desk.write(".gitignore", "b\n")
    assert desk.paths(desk.take().content) == {b".gitignore", b"a"}
    packs = list((desk.repository.git_dir / "objects" / "pack").glob("*.part"))
    assert packs == []


def locked(folder: Path) -> None:
    """Read-only folders are opened for the restore and closed again, also when it was killed between."""
    desk = Desk(folder)
    desk.write("ro/deep/file", "1\n", mode=0o444)
    desk.write("ro/other", "1\n")
    (desk.root / "ro/deep").chmod(0o555)
    (desk.root / "ro").chmod(0o500)
    first = desk.take().content
    (desk.root / "ro").chmod(0o700)
    (desk.root / "ro/deep").chmod(0o755)
    (desk.root / "ro/deep/file").unlink()
    desk.write("ro/deep/file", "2\n", mode=0o400)
    desk.write("ro/deep/new/x", "2\n")
    (desk.root / "ro/deep/new").chmod(0o555)
    (desk.root / "ro/deep").chmod(0o555)
    (desk.root / "ro").chmod(0o500)
    second = desk.take().content
    for content in (first, second, first, second):
        desk.go(content)
        assert desk.fresh() == content
        assert (desk.root / "ro").stat().st_mode & 0o777 == 0o500


def noted(folder: Path) -> None:
    """The own mode of an opened folder outlives a kill: it is on disk before the folder is opened."""
    for name in ("ro", "tmp"):
        (folder / name).mkdir(parents=True)
    (folder / "ro").chmod(0o550)
    with Disk(folder) as disk:
        tmp = os.dup(disk.folder(b"tmp"))
        Openings(disk, tmp).need(b"ro", 0o300)
        assert (folder / "ro").stat().st_mode & 0o777 == 0o750
        later = Openings(disk, tmp)
        assert later.originals() == {b"ro": 0o550}
        (folder / "ro").chmod(0o450)
        later.need(b"ro", 0o300)
        assert later.originals() == Openings(disk, tmp).originals() == {b"ro": 0o550}
        later.done()
        assert Openings(disk, tmp).originals() == {}
        os.close(tmp)


def torture(folder: Path) -> None:
    """The hard workspace, without what only the superuser can read, there and back."""
    desk = Desk(folder)
    maker = TOOL.Maker(str(desk.root))
    for group in GROUPS:
        TOOL.GROUPS[group](maker)
    maker.finish()
    (desk.root / "nodir").chmod(0o755)
    first = desk.take().content
    desk.write("hard/a", "1\n")
    TOOL.mutate(str(desk.root))
    second = desk.take().content
    assert first != second
    for content in (first, second, second, first):
        desk.go(content)
        assert desk.fresh() == content


def become_nobody() -> None:
    """Give the superuser's rights up."""
    "".encode("utf-16-le")  # found on first use, from a folder that nobody may not enter
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


if __name__ == "__main__":
    become_nobody()
    os.umask(0o022)
    {"unreadable": unreadable, "locked": locked, "noted": noted, "torture": torture}[sys.argv[1]](Path(sys.argv[2]))
    print("fine")
