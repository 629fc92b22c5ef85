"""A repository as the workspace, with views in its git directory; and who runs the tests."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

from gitckpt.execute.process import Job, Overlay
from tests.execute.bench import Bench

IS_SUPERUSER = os.geteuid() == 0


@dataclass(slots=True)
class Stage(Bench):
    """A repository as the workspace, views in its git directory, and what they are made of."""

    name: str = "work space"
    layers: list[Path] = field(default_factory=list)

    @property
    def workspace(self) -> Path:
        return self.path / self.name

    @property
    def views(self) -> Path:
        return self.workspace / ".git" / "gitckpt" / "views"

    @property
    def state(self) -> Path:
        return self.views / "a"

    @property
    def upper(self) -> Path:
        return self.views / "a" / "upper"

    @property
    def job(self) -> Job:
        who = {name: value for name, value in os.environ.items() if name.startswith("GIT_")}
        env = {"PATH": os.environ["PATH"], **who}
        bench = super(Stage, self).job
        return replace(bench, env=env, live_dir=None, view=self.view, output=self.state / "output")

    @property
    def output(self) -> Path:
        return self.state / "output"

    @property
    def view(self) -> Overlay:
        git = self.workspace / ".git"
        return Overlay(
            target=self.workspace,
            lowers=(*reversed(self.layers), self.workspace),
            upper=self.upper,
            work=self.views / "a" / "work",
            binds=((git, git), (self.live, self.live)),
        )

    def build(self) -> None:
        self.live.mkdir(parents=True)
        for name in ("old/x", "gone", "moved", "f"):
            (self.workspace / name).parent.mkdir(exist_ok=True)
            (self.workspace / name).write_text("1\n")
        self.git("init", "-q")
        self.git("commit", "-q", "--allow-empty", "-m", "first")
        for name in ("upper", "work"):
            (self.views / "a" / name).mkdir(parents=True)

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self.workspace, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def layer(self, number: int, place: Path) -> None:
        made = place / f"layer{number}"
        made.mkdir(parents=True)
        (made / f"of{number}").write_text(f"{number}\n")
        (made / "top").write_text(f"{number}\n")
        self.layers.append(made)

    def files(self) -> dict[str, str]:
        """What the workspace itself holds, without its git directory."""
        return contents(self.workspace)


def contents(root: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for folder, folders, names in os.walk(root):
        if folder == str(root) and ".git" in folders:
            folders.remove(".git")
        for name in names:
            path = Path(folder) / name
            found[str(path.relative_to(root))] = path.read_text() if path.is_file() else "no file"
    return found


def is_mounted(path: Path) -> bool:
    """Whether anything is mounted in it where the tests run."""
    return any(os.fsencode(path.name) in line for line in Path("/proc/self/mountinfo").read_bytes().splitlines())
