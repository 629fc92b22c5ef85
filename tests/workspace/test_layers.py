"""Layers made of changes, and the end of a view's folder.

What they are under a mounted overlay is seen in test_upper.py.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gitckpt.plumbing.content import Change, Lookup, list_content
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.layers import make_layer, remove_view
from gitckpt.workspace.marks import Silence, is_whiteout, said_of
from tests.workspace.desk import Desk
from tests.workspace.ended import ended_anywhere, whiteout
from tests.workspace.shown import manifest

# --- layers -------------------------------------------------------------------------------------------------


def test_a_layer_holds_the_new_sides_and_hides_the_old_ones(desk: Desk, tmp_path: Path) -> None:
    for name in ("gone", "deep/er/x", "folder/a", "folder/b/c", "changed", "inner/.git/HEAD"):
        desk.write(name)
    desk.write("was-file")
    (desk.root / "deep").chmod(0o750)
    before = list_content(desk.reader, desk.take().content)
    (desk.root / "gone").unlink()
    desk.write("deep/er/y", "y\n", mode=0o600)
    shutil.rmtree(desk.root / "folder")
    (desk.root / "was-file").unlink()
    (desk.root / "was-file").mkdir(0o711)
    desk.write("inner/.git/HEAD", "new\n")
    os.mkfifo(desk.root / "pipe", 0o640)
    (desk.root / "link").symlink_to("x")
    content = desk.take().content
    after = list_content(desk.reader, content)
    changes = [
        Change(path=path, old=before.get(path), new=after.get(path))
        for path in before.keys() | after.keys()
        if before.get(path) != after.get(path)
    ]
    layer = tmp_path / "layer"
    layer.mkdir()
    make_layer(layer, desk.reader, changes, after=content)
    shown = manifest(layer)
    assert b" ".join(sorted(shown)) == (b"deep deep/er deep/er/y inner inner/.git inner/.git/HEAD link pipe was-file")
    assert (layer / "deep").stat().st_mode & 0o7777 == 0o750
    assert (layer / "deep/er/y").stat().st_mode & 0o7777 == 0o600
    assert is_whiteout((layer / "gone").lstat())
    assert is_whiteout((layer / "folder").lstat())
    assert os.getxattr(layer / "was-file", "user.overlay.opaque") == b"y"
    assert os.listxattr(layer / "deep") == []


def test_nothing_is_put_below_what_a_layer_hides(desk: Desk, tmp_path: Path) -> None:
    desk.write("a/b/c")
    content = desk.take().content
    lookup = Lookup(desk.reader, content)
    changes = [Change(path=path, old=lookup.item(path), new=None) for path in (b"a/b/c", b"a/b")]
    layer = tmp_path / "layer"
    layer.mkdir()
    make_layer(layer, desk.reader, changes, after=content)
    assert [path.name for path in (layer / "a").iterdir()] == ["b"]
    assert is_whiteout((layer / "a/b").lstat())


# --- the end of a view --------------------------------------------------------------------------------------


def test_a_view_is_removed_whatever_is_in_it(tmp_path: Path) -> None:
    view, outside = tmp_path / "view", tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    for folder in (Path("work", "work", "x"), Path("upper", "a", "b"), Path(".gitckpt-removed-0", "y")):
        (view / folder).mkdir(parents=True)
    here = os.open(view, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    (view / "upper/link").symlink_to(outside)
    (view / "upper/a/file").symlink_to(outside / "kept")
    whiteout(view / "upper", "white")
    os.mkfifo(view / "upper/pipe")
    for name in (Path("work", "work"), "upper/a/b", "upper/a", "work"):
        (view / name).chmod(0 if "work" in str(name) else 0o555)
    remove_view(view)
    assert not view.exists()
    assert (outside / "kept").read_text() == "kept"
    remove_view(view)
    view.symlink_to(outside)
    remove_view(view)
    assert not os.path.lexists(view)
    assert (outside / "kept").exists()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_removal_that_was_ended_anywhere_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = tmp_path / "view"

    def make() -> None:
        for name in ("a/b/c/d", "a/b/e", "f/g"):
            (view / name).mkdir(parents=True)
            (view / name / "file").touch()

    for _ in ended_anywhere(monkeypatch, make, lambda: remove_view(view)):
        remove_view(view)
        assert not view.exists()


def test_what_is_mounted_in_a_view_is_not_touched(tmp_path: Path) -> None:
    rights = ["--user", "--map-root-user"] if os.geteuid() != 0 else []
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "kept").touch()
    (tmp_path / "view" / "upper" / "in").mkdir(parents=True)
    code = (
        "import sys; from pathlib import Path; from gitckpt.workspace.layers import remove_view\n"
        "try: remove_view(Path(sys.argv[1]))\n"
        "except OSError as error: print(error.errno)"
    )
    said = subprocess.run(
        ["unshare", "--mount", *rights, "sh", "-c",
         'mount --bind "$1/other" "$1/view/upper/in" && exec "$2" -c "$3" "$1/view"', "sh",
         tmp_path, sys.executable, code],
        check=True, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    ).stdout  # fmt: skip
    assert int(said) == errno.EBUSY
    assert (tmp_path / "other" / "kept").exists()


# --- what an upper directory says ---------------------------------------------------------------------------


def test_every_path_is_shown_gone_or_as_below(tmp_path: Path) -> None:
    upper = _made(tmp_path / "upper")
    (upper / "a/b").mkdir(parents=True)
    (upper / "a/file").touch()
    whiteout(upper / "a", "white")
    (upper / "new/deep").mkdir(parents=True)
    os.setxattr(upper / "new", "user.overlay.opaque", b"y")
    with Disk(upper) as disk:
        said = {path: said_of(disk, path) for path in (b"x", b"a/x", b"a/b/x/y")}
        assert set(said.values()) == {Silence.AS_BELOW}
        hidden = (b"a/white", b"a/white/x", b"a/file/x", b"new/x", b"new/deep/x/y")
        gone = {path: said_of(disk, path) for path in hidden}
        assert set(gone.values()) == {Silence.GONE}
        found = said_of(disk, b"a/b")
        assert not isinstance(found, Silence)
        assert stat.S_ISDIR(found.st_mode)
