"""A child in a mount namespace of its own: a phase in a view fills the disk. Usage: filled_view.py ISOLATION FOLDER.

Ends with a printed `fine`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.faults.small_disk import git, gitckpt, mount

WORKFLOW = """\
version: 1
workflow: demo
isolation: {}
phases:
  good: {{needs: [], run: "echo g > good"}}
  fills: {{needs: [], run: "sleep 0.3; echo f > filled; head -c 14000000 /dev/urandom > big"}}
"""


def filled(isolation: str, folder: Path) -> None:
    """It fails and says why; what was there is as it was; with more room the same run goes on."""
    mount(folder, "size=12m")
    git(folder, "init", "-q", "-b", "main")
    (folder / "gitckpt.yaml").write_text(WORKFLOW.format(isolation))
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "mine")
    head, index = git(folder, "rev-parse", "HEAD"), (folder / ".git/index").read_bytes()
    first = gitckpt(folder, "run")
    assert first.returncode in (1, 2), (first.returncode, first.stderr)
    assert "No space left on device" in first.stderr or "fills failed: exit 1" in first.stderr, first.stderr
    assert "Traceback" not in first.stderr, first.stderr
    assert "a bug in" not in first.stderr, first.stderr
    assert not (folder / "big").exists()
    assert not (folder / "filled").exists()
    git(folder, "fsck", "--strict", "--no-dangling")
    mount(folder, "remount,size=96m")
    again = gitckpt(folder, "run")
    assert again.returncode == 0, again.stderr
    assert (folder / "big").stat().st_size == 14_000_000
    assert ((folder / "good").read_text(), (folder / "filled").read_text()) == ("g\n", "f\n")
    git(folder, "fsck", "--strict", "--no-dangling")
    assert (git(folder, "rev-parse", "HEAD"), (folder / ".git/index").read_bytes()) == (head, index)
    left = list((folder / ".git/gitckpt/workspaces").glob("*/views/*"))
    assert left == [], left
    assert gitckpt(folder, "verify").returncode == 0


if __name__ == "__main__":
    filled(sys.argv[1], Path(sys.argv[2]))
    print("fine")
