"""A repository at one place that is struck again and again, and an eye on it that shares no code with gitckpt.

Owns putting the place back as it was, the blow, and the look at what is there afterwards: by plain git, by reading
directories, by reading /proc. Must not know which command is struck.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from gitckpt.model.codec import decode_manifest, stable
from tests.ready import gitckpt
from tests.repo import OURS, Picture, differences, picture

WORKFLOW = """\
version: 1
workflow: demo
env: {LD_PRELOAD: ""}
phases:
  one: {run: 'rm sub/link; mkdir -p out/empty; echo 1 > out/one; echo changed > kept; chmod 600 kept'}
  two: {run: 'rm -r sub; cat out/one kept > two; chmod 755 two; ln -s two again'}
"""
"""The phases go without the shim: what is struck is gitckpt and its git, each time at the same calls."""

BRANCH = "refs/heads/gitckpt/demo"
Files = Mapping[str, tuple[int, bytes]]
_OUR_ENTRY = re.compile(rb"40000 \.gitckpt\0.{20}", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """What the shim does at the call with number `at` (0: never), or at the call after the one that `when` describes:
    `act` is `kill` or an errno's number."""

    at: int = 0
    when: str = ""
    act: str = "kill"
    for_good: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Where a command got: all that two runs must have in common."""

    files: Files
    manifest: str


class Scene:
    """The place. `keep` what it is now; `put_back` before every blow."""

    def __init__(self, folder: Path, shim: Path, beside: Path | None = None) -> None:
        """`beside`: where the blow is counted, when not in the folder itself."""
        self.path = folder / "place"
        self._kept = folder / "kept"
        self._counter = (beside or folder) / "counter"
        self._log = (beside or folder) / "calls"
        self._shim = shim
        self.variables: dict[str, str] = {}
        self.path.mkdir(exist_ok=True)
        self.git("init", "-q", "-b", "main")
        for name, data in {".gitignore": "cache/\n", "kept": "as it was\n", "sub/a": "a\n", "cache/big": "c\n"}.items():
            (self.path / name).parent.mkdir(exist_ok=True)
            (self.path / name).write_text(data)
        (self.path / "sub/link").symlink_to("a")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "mine")
        (self.path / "staged").write_text("staged\n")
        self.git("add", "staged")
        (self.path / "gitckpt.yaml").write_text(WORKFLOW)
        self.mine: Picture = picture(self.path / ".git")

    def keep(self) -> None:
        """From here every blow starts."""
        subprocess.run(["cp", "-a", self.path, self._kept], check=True)

    def put_back(self) -> None:
        """As it was kept, at the same path."""
        shutil.rmtree(self.path)
        subprocess.run(["cp", "-a", self._kept, self.path], check=True)

    def gitckpt(self, *arguments: str, blow: Blow | None = None) -> subprocess.CompletedProcess[str]:
        """One command in a session of its own, which the shim kills as a whole; with `blow` it is counted, too."""
        self._counter.unlink(missing_ok=True)
        return self.counted(*arguments, blow=blow)

    def counted(self, *arguments: str, blow: Blow | None) -> subprocess.CompletedProcess[str]:
        """As `gitckpt`; the count goes on from where the last command left it."""
        preload = self._shim if blow else None
        return gitckpt(*arguments, cwd=self.path, env=self.environment(blow), preload=preload)

    def environment(self, blow: Blow | None) -> dict[str, str]:
        """What a command sees: the test's own variables, and those that tell the shim about the blow."""
        if blow is None:
            return os.environ | self.variables
        shim = {
            "LD_PRELOAD": str(self._shim),
            "FI_FILE": str(self._counter),
            "FI_AT": str(blow.at),
            "FI_WHEN": blow.when,
            "FI_ACT": blow.act,
        }
        return os.environ | self.variables | shim | ({"FI_STICKY": "1"} if blow.for_good else {})

    def calls(self) -> int:
        """How many changing calls the last counted command made."""
        return int.from_bytes(self._counter.read_bytes()[:8], sys.byteorder)

    def log_of_calls(self, *arguments: str) -> list[str]:
        """Give a command in peace: its changing calls in order, each with its path."""
        self._log.unlink(missing_ok=True)
        self.variables["FI_LOG"] = str(self._log)
        done = self.gitckpt(*arguments, blow=Blow(at=0))
        del self.variables["FI_LOG"]
        assert done.returncode == 0, done.stderr
        return [line.partition(" ")[2] for line in self._log.read_text().splitlines()]

    def git(self, *arguments: str, ok: Collection[int] = (0,), stdin: str = "") -> str:
        """Plain git, as an onlooker uses it."""
        command = ["git", "--no-optional-locks", *arguments]
        done = subprocess.run(command, cwd=self.path, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode in ok, (arguments, done.stdout, done.stderr)
        return done.stdout

    def subjects(self) -> list[str]:
        """The checkpoints, oldest first; empty where there is no branch."""
        return self.git("log", "--first-parent", "--reverse", "--format=%s", BRANCH, "--", ok=(0, 128)).splitlines()

    def trees(self, ref: str = BRANCH) -> list[str]:
        """What each checkpoint holds of the user's files, oldest first: the bytes of its tree without our own entry."""
        commits = self.git("rev-list", "--first-parent", "--reverse", ref, "--", ok=(0, 128)).split()
        asked = "".join(f"{commit}^{{tree}}\n" for commit in commits)
        said = subprocess.run(
            ["git", "cat-file", "--batch"], cwd=self.path, input=asked.encode(), capture_output=True, check=True
        ).stdout
        found = []
        while said:
            head, _, said = said.partition(b"\n")
            size = int(head.split()[2])
            found.append(_OUR_ENTRY.sub(b"", said[:size]).decode("latin-1"))
            said = said[size + 1 :]
        return found

    def end(self) -> End:
        """Where it got."""
        manifest = stable(decode_manifest(self.git("show", f"{BRANCH}:.gitckpt/state.json").encode()))
        return End(files=self.files(), manifest=json.dumps(manifest, sort_keys=True))

    def files(self) -> Files:
        """Every entry of the workspace, git's and gitckpt's folders aside: mode and bytes."""
        found: dict[str, tuple[int, bytes]] = {}
        for folder, folders, names in os.walk(self.path):
            if Path(folder) == self.path:
                folders[:] = [name for name in folders if name not in (".git", ".gitckpt")]
            for path in (Path(folder, name) for name in (*folders, *names)):
                mode = path.lstat().st_mode
                data = (
                    b""
                    if stat.S_ISDIR(mode)
                    else os.fsencode(os.readlink(path))
                    if path.is_symlink()
                    else path.read_bytes()
                )
                found[str(path.relative_to(self.path))] = (mode, data)
        return found

    def sound(self, said: str = "") -> None:
        """After any blow: git finds no fault, what was said to be safe is there, the user's side is untouched."""
        self.git("fsck", "--strict", "--no-dangling")
        numbers = [int(number) for number in re.findall(r"^\S+ \w+ done .* (\d{4})$", said, re.MULTILINE)]
        assert len(self.subjects()) >= max(numbers, default=0), f"said to be safe, and lost: {said}"
        changed = differences(self.mine, self._picture())
        assert not changed, f"the user's side changed: {changed}"
        assert self.files().get("cache/big", (0, b""))[1] == b"c\n", "a file that is in no checkpoint is gone"

    def _picture(self) -> Picture:
        found = picture(self.path / ".git")
        # git's own locks beside our refs are swept with the next command; `tidy` looks for them then.
        return {name: entry for name, entry in found.items() if not name.endswith(".lock") or name in self.mine}

    def tidy(self) -> None:
        """After the next command nothing is left lying about, and no process is left."""
        git_dir = self.path / ".git"
        left = [path for path in git_dir.rglob("*.lock") if not path.is_relative_to(git_dir / "gitckpt")]
        left += [path for path in git_dir.rglob("*") if path.suffix in (".part", ".keep", ".new")]
        left += list((git_dir / "objects").rglob("tmp_*"))
        left += [path for path in (self.path / ".gitckpt").iterdir() if re.search(r"\.(new|\d+)$", path.name)]
        assert left == [], f"left lying about: {[str(path.relative_to(self.path)) for path in left]}"
        refs = self.git("for-each-ref", "--format=%(refname)").split()
        assert [name for name in refs if name.startswith("refs/gitckpt/inflight")] == []
        assert [name for name in refs if not name.startswith(OURS)] == ["refs/heads/main"]
        until = time.monotonic() + 5
        while running := self._processes():
            assert time.monotonic() < until, f"left running: {running}"
            time.sleep(0.02)

    def _processes(self) -> list[str]:
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if (entry / "cwd").readlink().is_relative_to(self.path) and "Z" not in _state(entry):
                    found.append((entry / "cmdline").read_text())
            except OSError:  # it has just ended, or is not ours to look at
                continue
        return found


def _state(process: Path) -> str:
    return (process / "stat").read_text().rpartition(")")[2].split()[0]


def spread(total: int, points: int, part: int, parts: int) -> list[int]:
    """Every `parts`th of `points` numbers between 1 and `total`, evenly spread, each somewhere in its own stretch."""
    width = total / points
    # A hash, not a random generator: the tests' order and the number of processes must not move the points.
    return [int((n + (n * 0.618034) % 1) * width) + 1 for n in range(part, points, parts)]
