"""A real repository for a test to work in, and the promise that every such test ends with.

Owns `Repo` (files, the user's git, the real command line) and the picture of what belongs to the user. Must not know
any scenario.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from gitckpt.model.names import WorkflowName
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.refs import list_refs
from gitckpt.plumbing.repository import Repository, discover
from gitckpt.store import refs
from gitckpt.store.branch import find_place
from gitckpt.store.store import Store
from gitckpt.store.verify import verify
from tests import ready

OURS = (refs.BRANCHES, refs.TAGS, refs.OTHERS)
"""The only refs that gitckpt writes."""

_OUR_FOLDERS = ("gitckpt", "lfs", "objects")
"""In the git directory: its own folder, the Git LFS store, and git's objects, which only ever grow."""

ANN = (("user.name", "Ann Example"), ("user.email", "ann@example.org"))

Picture = Mapping[str, tuple[int, bytes]]
"""Everything in a git directory that belongs to the user: what it is called, its mode, its bytes."""


def picture(git_dir: Path) -> Picture:
    """The user's side of a git directory (a common one: linked worktrees lie below it), without starting git.

    Refs are told by value: `packed-refs` may be written anew as long as they stay what they are.
    """
    found: dict[str, tuple[int, bytes]] = {}
    for path in _files(git_dir):
        name = os.fsdecode(path.relative_to(git_dir))
        if name == "packed-refs":
            for ref, value in _packed(path.read_bytes()).items():
                found.setdefault(ref, (0, value))
        elif name.startswith("refs/"):
            found[name] = (0, path.read_bytes().strip())
        else:
            mode = path.lstat().st_mode
            data = os.fsencode(os.readlink(path)) if stat.S_ISLNK(mode) else path.read_bytes()
            found[name] = (mode, data)
    return {name: entry for name, entry in found.items() if not name.removeprefix("logs/").startswith(OURS)}


def _files(git_dir: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(git_dir):
        if Path(folder) == git_dir:
            folders[:] = [name for name in folders if name not in _OUR_FOLDERS]
        for path in (Path(folder, name) for name in names):
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                yield path


def _packed(data: bytes) -> dict[str, bytes]:
    rows = (row.split(b" ", 1) for row in data.splitlines() if row[:1] not in (b"#", b"^"))
    return {os.fsdecode(ref): value for value, ref in rows}


def differences(before: Picture, after: Picture) -> list[str]:
    """The names of what came, went or changed."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


@functools.cache
def _new_repository() -> Mapping[str, bytes | None]:
    """What `git init` makes for Ann, folders as None: git is asked once, and each test is given a copy."""
    with tempfile.TemporaryDirectory() as place:
        for command in (("init", "-q", "-b", "main"), *(("config", *pair) for pair in ANN)):
            subprocess.run(["git", "-C", place, *command], check=True)
        shutil.rmtree(Path(place, ".git/hooks"))  # the samples
        made = sorted(Path(place).rglob("*"))
        return {str(path.relative_to(place)): None if path.is_dir() else path.read_bytes() for path in made}


class Watched:
    """A repository whose user's side must stay as it is, and whose checkpoints must be sound."""

    def __init__(self, path: Path) -> None:
        self.repository: Repository = discover(path)
        self._mine = picture(self.repository.common_dir)
        self._broken = ""

    def accept(self) -> None:
        """What the test itself just changed in the git directory is as it should be from now on."""
        self._mine = picture(self.repository.common_dir)

    def break_on_purpose(self, why: str) -> None:
        """The test damages objects or history: fsck and the law are not asked at its end, the rest is."""
        self._broken = why

    def untouched(self) -> None:
        """Fails when anything of the user's is not as the test left it."""
        changed = differences(self._mine, picture(self.repository.common_dir))
        assert not changed, f"gitckpt changed what belongs to the user: {changed}"

    def sound(self) -> None:
        """Fails when git or `verify` finds fault with an object or with any checkpoint."""
        if self._broken or not any((self.repository.common_dir / "objects").glob("*/*")):
            return
        command = ["git", f"--git-dir={self.repository.common_dir}", "fsck", "--strict", "--no-dangling"]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 0, f"git fsck: {done.stdout!r} {done.stderr!r}"
        with Reader(self.repository) as reader:
            for name, tip in list_refs(self.repository, refs.BRANCHES).items():
                commit = reader.commit(tip)
                place = find_place(reader, commit.tree) if commit else None
                assert place is not None, f"{name} is no checkpoint"
                store = Store(self.repository, reader, WorkflowName(name.removeprefix(refs.BRANCHES)), place)
                report = verify(store)
                assert report.findings == (), f"{name}: {report.findings}"


class Repo(Watched):
    """The test's own repository, empty at first, on the unborn branch `main`; the user is Ann."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for name, data in _new_repository().items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            if data is None:
                (path / name).mkdir()
            else:
                (path / name).write_bytes(data)
        super().__init__(path)

    def write(self, name: str | bytes, data: str | bytes = "x\n", mode: int | None = None) -> Path:
        """A file of the user's, below the repository's top; one in `.git` counts as changed on purpose."""
        path = self.path / os.fsdecode(name)
        inside = path.is_relative_to(self.path / ".git")
        if inside:
            self.untouched()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        if mode is not None:
            path.chmod(mode)
        if inside:
            self.accept()
        return path

    def git(self, *arguments: str | bytes | Path) -> str:
        """Git as the user runs it here; its output, stripped. What it changes counts as changed on purpose."""
        self.untouched()
        done = subprocess.run(["git", *arguments], cwd=self.path, capture_output=True, check=False)
        self.accept()
        if done.returncode:
            raise AssertionError(f"git {arguments} ended with {done.returncode}: {os.fsdecode(done.stderr)}")
        return os.fsdecode(done.stdout).strip()

    def commit(self, message: str = "work") -> str:
        """The user commits everything; the commit's id."""
        self.git("add", "-A")
        self.git("-c", "maintenance.auto=false", "commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def run(
        self,
        *arguments: str,
        ok: int | Collection[int] | None = 0,
        env: Mapping[str, str] | None = None,
        input: str | None = None,  # noqa: A002 - as subprocess calls it
        timeout: float = 60,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """The real command line, `gitckpt ARGUMENTS`, in the repository. `ok`: the right exit codes, None: all.

        `env` is put over the test's environment; without `input` stdin is empty. Output is text whose odd bytes are
        surrogates.
        """
        done = ready.gitckpt(*arguments, cwd=cwd or self.path, env=env, stdin=input or "", timeout=timeout)
        right = (ok,) if isinstance(ok, int) else ok
        if right is not None and done.returncode not in right:
            raise AssertionError(
                f"gitckpt {' '.join(arguments)} ended with {done.returncode}, not {right}\n{done.stdout}{done.stderr}"
            )
        return done

    def log_json(self, *arguments: str) -> Any:
        """What `gitckpt log --json` says."""
        return json.loads(self.run("log", "--json", *arguments).stdout)
