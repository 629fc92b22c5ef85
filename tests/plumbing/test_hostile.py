"""Awkward and hostile repositories: every function here, and not one program of the repository's runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gitckpt.errors import BareRepository, ForeignOwner, PackFailed
from gitckpt.plumbing.content import Content, compare, list_content
from gitckpt.plumbing.ignore import Ignore, tracked_ignored
from gitckpt.plumbing.objects import FILE, Signature
from gitckpt.plumbing.pack import Pack, sweep
from gitckpt.plumbing.process import git, user_git
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.refs import RefUpdate, list_refs, resolve, rev_list, transact
from gitckpt.plumbing.repository import Repository, checked_out_branches, discover
from gitckpt.plumbing.user import identity, source

Plain = Callable[..., bytes]

TORTURE = Path(__file__).parents[3] / "shared" / "tools" / "torture.py"
needs_torture = pytest.mark.skipif(not TORTURE.exists(), reason="torture.py is not beside this checkout")
BRANCH = "refs/heads/gitckpt/etl"


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The awkward repositories, made once."""
    root = tmp_path_factory.mktemp("homes")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["HOME"] = str(root)
    subprocess.run([sys.executable, str(TORTURE), "repos", str(root)], env=environment, check=True, capture_output=True)
    for mark in root.glob("PWNED*"):
        mark.unlink()
    return root


def everything(repository: Repository, anyone: Signature) -> None:
    """Call every function that calls git or writes into the repository."""
    checked_out_branches(repository)
    identity(repository)
    source(repository)
    with Ignore(repository) as ignore:
        ignore.ignored([b"f", b"x.e", b"d/x.e"])
    tracked_ignored(repository, b"")
    git(repository, "for-each-ref")
    user_git(repository, "for-each-ref")
    before = list_refs(repository, "refs/")
    with Pack(repository, "owner") as pack:
        blob = pack.blob(os.urandom(20))
        tree = pack.tree([(b"x.e", FILE, blob)])
        oid = pack.commit(tree=tree, parents=(), author=anyone, committer=anyone, message="one")
        pack.finish()
        transact(repository, [RefUpdate(BRANCH, oid, None), RefUpdate("refs/gitckpt/etl/a", oid, None)], "one")
        pack.release()
    assert resolve(repository, BRANCH) == oid
    assert rev_list(repository, oid) == [oid]
    with Reader(repository) as reader:
        assert list(list_content(reader, Content(files=tree))) == [b"x.e"]
        assert len(compare(reader, None, Content(files=tree))) == 1
        assert reader.read(f"{oid}:x.e") is not None
    transact(repository, [RefUpdate(BRANCH, None, oid), RefUpdate("refs/gitckpt/etl/a", None, oid)], "undo")
    sweep(repository, "owner")
    assert list_refs(repository, "refs/") == before


def state(repository: Repository) -> dict[str, bytes]:
    """HEAD, index, configuration and locks of the user, byte for byte."""
    found = {}
    for folder in {repository.git_dir, repository.common_dir}:
        for path in folder.iterdir():
            if path.is_file() and path.name != "packed-refs":
                found[str(path)] = path.read_bytes()
    return found


@pytest.mark.sweep
@needs_torture
def test_every_awkward_repository_is_used_and_left_as_it_was(homes: Path, plain: Plain, anyone: Signature) -> None:
    used = []
    for home in sorted(homes.iterdir()):
        if not home.is_dir() or home.name.startswith("."):
            continue
        try:
            repository = discover(home)
        except BareRepository:
            assert home.name == "bare.git"
            continue
        except ForeignOwner:
            assert home.name == "other-owner"
            continue
        before = state(repository)
        if home.name == "readonly-objects" and os.geteuid() != 0:
            with pytest.raises(PackFailed, match="Permission denied"):
                everything(repository, anyone)
        else:
            everything(repository, anyone)
        assert state(repository) == before, home.name
        used.append(home.name)
    assert len(used) >= 22
    assert {"hostile-config", "sha256", "worktree-linked", "unborn", "index-lock", "corrupt-index"} <= set(used)
    assert list(homes.glob("PWNED*")) == []


@needs_torture
def test_the_hostile_repository_does_run_programs_when_git_is_called_plainly(homes: Path, plain: Plain) -> None:
    """Else the test above would prove nothing."""
    try:
        plain(homes / "hostile-config", "status", ok=tuple(range(256)))
        assert list(homes.glob("PWNED*"))
    finally:
        for mark in homes.glob("PWNED*"):
            mark.unlink()
