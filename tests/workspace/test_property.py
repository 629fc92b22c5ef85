"""Any small workspace, there and back."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.workspace.desk import Desk

NAMES = st.sampled_from(
    [
        b"a",
        b"b",
        b"a.b",
        b"a-b",
        b".git",
        b".GIT",
        b"git~1",
        b"entries",
        b"header",
        b"a.d",
        b"\xff",
        b"new\nline",
        b"x" * 255,
    ]
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(b"/".join)
MODES = st.sampled_from([0o644, 0o755, 0o600, 0o444, 0o1777, 0o400])
FOLDER_MODES = st.sampled_from([0o755, 0o700, 0o555, 0o1777])
THINGS = st.one_of(
    st.tuples(st.just("file"), st.binary(max_size=6) | st.just(bytes(9000)), MODES),
    st.tuples(st.just("link"), st.binary(min_size=1, max_size=6).filter(lambda data: b"\0" not in data), st.just(0)),
    st.tuples(st.just("dir"), st.just(b""), FOLDER_MODES),
    st.tuples(st.just("fifo"), st.just(b""), MODES),
)
WORKSPACES = st.dictionaries(PATHS, THINGS, max_size=8)


def build(root: bytes, things: dict[bytes, tuple[str, bytes, int]]) -> None:
    """Make the workspace hold what of `things` fits together; the repository's own `.git` stays."""
    for name in os.listdir(root):
        if name == b".git":
            continue
        path = root + b"/" + name
        if os.path.isdir(path) and not os.path.islink(path):
            for folder, _, _ in os.walk(path):
                os.chmod(folder, 0o700)
            shutil.rmtree(path)
        else:
            os.unlink(path)
    folders = []
    for path, (kind, data, mode) in sorted(things.items()):
        if path.split(b"/")[0] == b".git":
            continue
        full = root + b"/" + path
        try:
            os.makedirs(os.path.dirname(full), exist_ok=True)
            match kind:
                case "file":
                    with open(full, "xb") as file:
                        file.write(data)
                    os.chmod(full, mode)
                case "link":
                    os.symlink(data, full)
                case "fifo":
                    os.mkfifo(full)
                    os.chmod(full, mode)
                case "dir":
                    os.mkdir(full)
                    folders.append((full, mode))
        except (FileExistsError, FileNotFoundError, NotADirectoryError):
            continue
    for full, mode in reversed(folders):
        os.chmod(full, mode)


def manifest(root: bytes) -> dict[bytes, tuple[int, bytes]]:
    """Every path with its mode and bytes."""
    found: dict[bytes, tuple[int, bytes]] = {}
    todo = [b""]
    while todo:
        folder = todo.pop()
        for name in os.listdir(root + b"/" + folder):
            path = folder + name
            if path == b".git":
                continue
            full = root + b"/" + path
            mode = os.lstat(full).st_mode
            data = b""
            if os.path.islink(full):
                data = os.readlink(full)
            elif os.path.isfile(full):
                with open(full, "rb") as file:
                    data = file.read()
            elif os.path.isdir(full):
                todo.append(path + b"/")
            found[path] = (mode, data)
    return found


@given(first=WORKSPACES, second=WORKSPACES, third=WORKSPACES)
def test_any_workspace_comes_back(
    first: dict[bytes, tuple[str, bytes, int]],
    second: dict[bytes, tuple[str, bytes, int]],
    third: dict[bytes, tuple[str, bytes, int]],
) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        desk = Desk(folder / "w")
        root = os.fsencode(desk.root)
        states = []
        for things in (first, second, third):
            build(root, things)
            states.append((desk.take().content, manifest(root)))
            assert desk.fresh() == states[-1][0]
        for content, wanted in (states[0], states[2], states[1], states[0]):
            assert desk.go(content).kept == ()
            assert manifest(root) == wanted
            assert desk.take().content == content
            assert desk.fresh() == content
        for content, _ in states:
            desk.commit(content)
        assert desk.git("fsck", "--strict", "--no-dangling") == ""
        desk.reader.close()
    finally:
        for path, _, _ in os.walk(folder):
            os.chmod(path, 0o700)
        shutil.rmtree(folder)
