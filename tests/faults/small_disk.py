"""A child in a mount namespace of its own: a disk that gets full, or read-only. Usage: small_disk.py NAME FOLDER.

Ends with a printed `fine`. The sizes leave room for git and gitckpt, and none for a second copy of what phase b makes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

WORKFLOW = """\
version: 1
workflow: demo
phases:
  a: {run: echo a > a}
  b: {run: 'head -c 5000000 /dev/urandom > big; echo b > b'}
"""


def call(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """One command in the repository."""
    return subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )


def gitckpt(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """The real command line."""
    return call(folder, sys.executable, "-m", "gitckpt", *command)


def git(folder: Path, *command: str) -> str:
    """Plain git, which must find no fault."""
    done = call(folder, "git", *command)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def mount(folder: Path, options: str) -> None:
    """Mount the small disk, or mount it anew with other options."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)


def repository(folder: Path) -> None:
    """The user's, with one commit and a workflow that was never run."""
    git(folder, "init", "-q", "-b", "main")
    (folder / "gitckpt.yaml").write_text(WORKFLOW)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "mine")


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """It failed, said why in an error's first line, and was no bug."""
    assert done.returncode in (1, 2), (done.returncode, done.stderr)
    reasons = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(reasons) == 1, done.stderr
    assert any(word in reasons[0] for word in words), done.stderr
    assert "Traceback" not in done.stderr


def full(folder: Path) -> None:
    """The checkpoint of phase b finds no room: said, nothing lost; with room again the same run goes on."""
    mount(folder, "size=8m")
    repository(folder)
    head, index = git(folder, "rev-parse", "HEAD"), (folder / ".git/index").read_bytes()
    told = gitckpt(folder, "run")
    refused(told, "No space left on device")
    for words in ("recorded before that: 0002 a done", "b@1 ran, and that is not recorded"):
        assert words in told.stderr, told.stderr
    assert "nothing was" not in told.stderr, told.stderr
    git(folder, "fsck", "--strict", "--no-dangling")
    done = git(folder, "log", "--format=%s", "gitckpt/demo").splitlines()
    assert done == ["0002 a done", "0001 start started"], done
    (folder / "mine").write_bytes(b"")
    tip = git(folder, "rev-parse", "gitckpt/demo")
    told = gitckpt(folder, "run")
    refused(told, "No space left on device")
    assert "b@1 had run before, and that is not recorded" in told.stderr, told.stderr
    assert "recorded before" not in told.stderr, told.stderr
    assert git(folder, "rev-parse", "gitckpt/demo") == tip
    assert (folder / "big").stat().st_size == 5_000_000, "what the phase made is still there"
    mount(folder, "remount,size=64m")
    again = gitckpt(folder, "run")
    assert again.returncode == 0, again.stderr
    git(folder, "fsck", "--strict", "--no-dangling")
    assert (folder / "mine").exists(), "the user's own file is kept"
    assert edits(folder) == ["mine"]
    names = git(folder, "ls-tree", "--name-only", "gitckpt/demo").split()
    assert names == [".gitckpt", "a", "b", "big", "gitckpt.yaml", "mine"], names
    assert (git(folder, "rev-parse", "HEAD"), (folder / ".git/index").read_bytes()) == (head, index)
    assert gitckpt(folder, "verify").returncode == 0


def edits(folder: Path) -> list[str]:
    """What the checkpoints of the user's edits changed."""
    ids = git(folder, "log", "--first-parent", "--format=%H", "--grep=edit by", "gitckpt/demo").split()
    commands = (("diff", "--name-only", f"{oid}^", oid, "--", ":!.gitckpt") for oid in ids)
    return [name for command in commands for name in git(folder, *command).split()]


def inodes(folder: Path) -> None:
    """Room for no more files in the workspace, whose git directory is on another disk: no process of b can be started.
    What the user does then is the user's."""
    mount(folder, "size=64m,nr_inodes=200")
    apart = folder.parent / "apart"
    git(folder.parent, "init", "-q", "-b", "main", f"--separate-git-dir={apart}", str(folder))
    (folder / "gitckpt.yaml").write_text(WORKFLOW)
    (folder / ".gitignore").write_text("filler/\n")
    (folder / "notes").write_text("notes\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "mine")
    assert gitckpt(folder, "run", "--until", "a").returncode == 75
    for name in ("stamp", "begin"):
        (folder / ".gitckpt" / name).unlink()
    fill(folder / "filler")
    told = gitckpt(folder, "run")
    refused(told, "No space left on device")
    assert "b@1 was to begin, and nothing of it ran" in told.stderr, told.stderr
    with (folder / "notes").open("a") as file:
        file.write("mine\n")
    refused(gitckpt(folder, "run"), "No space left on device")
    with (folder / "notes").open("a") as file:
        file.write("mine, too\n")
    shutil.rmtree(folder / "filler")
    again = gitckpt(folder, "run")
    assert again.returncode == 0, again.stderr
    assert (folder / "notes").read_text() == "notes\nmine\nmine, too\n"
    assert set(edits(folder)) == {"notes"}
    assert "cut off" not in again.stderr, again.stderr


def fill(folder: Path) -> None:
    """As many files as there is room for."""
    folder.mkdir()
    with suppress(OSError):
        for number in range(1000):
            (folder / str(number)).touch()


def copies(folder: Path) -> None:
    """Copies for some phases at once, and not for all: the others wait, and nothing fails."""
    mount(folder, "size=24m")
    repository(folder)
    (folder / "data").write_bytes(os.urandom(5_000_000))
    phases = "".join(f"  p{n}: {{needs: [], run: 'sleep 0.3; echo {n} > p{n}'}}\n" for n in range(4))
    (folder / "gitckpt.yaml").write_text(f"version: 1\nworkflow: demo\nisolation: copy\nphases:\n{phases}")
    done = gitckpt(folder, "run", "--jobs", "4")
    assert done.returncode == 0, done.stderr
    assert "a copy of the workspace needs 5,0" in done.stderr, done.stderr
    assert re.search(r"no more than [12] at once", done.stderr), done.stderr
    assert [(folder / f"p{n}").read_text() for n in range(4)] == ["0\n", "1\n", "2\n", "3\n"]
    git(folder, "fsck", "--strict", "--no-dangling")


def read_only(folder: Path) -> None:
    """Nothing can be written: commands that write say so, those that read work."""
    mount(folder, "size=64m")
    repository(folder)
    ran = gitckpt(folder, "run")
    assert ran.returncode == 0, ran.stderr
    before = git(folder, "for-each-ref")
    mount(folder, "remount,ro")
    for command in (("run", "--from", "a"), ("rollback", "a"), ("checkpoint", "-m", "x"), ("reset",)):
        refused(gitckpt(folder, *command), "Read-only file system")
    for command in (("status",), ("log",), ("show", "a"), ("diff", "a"), ("output", "a"), ("verify",)):
        done = gitckpt(folder, *command)
        assert done.returncode == 0, (command, done.stderr)
    assert git(folder, "for-each-ref") == before


if __name__ == "__main__":
    {"full": full, "inodes": inodes, "read_only": read_only, "copies": copies}[sys.argv[1]](Path(sys.argv[2]))
    print("fine")
