"""One checkpoint against `git add -A && git commit`, side by side, both durable, in copies of the same workspace.

Measured is what a user waits for: the library's `take_snapshot` and `land`, with the journal, the branch, the base, the
stat cache and the mirror, as a phase's end does it in a run; then the same as one call by itself, which takes the
locks, reads the workflow file and loads the cache first. Prints the median in ms of each and the ratio ours/git.
`--folder` chooses the file system.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gitckpt.api.reading import Where
from gitckpt.api.writing import write
from gitckpt.engine.begin import begin_run
from gitckpt.engine.hold import Hold, open_pack, take_snapshot
from gitckpt.engine.land import Landing, land
from gitckpt.engine.settle import settle
from gitckpt.model.events import Named
from gitckpt.progress.events import ProgressEvent

WORKFLOW = "version: 1\nworkflow: bench\nphases: {one: {run: 'true'}}\n"
DURABLE = ("-c", "core.fsync=all", "-c", "core.fsyncMethod=fsync", "-c", "gc.auto=0")
IDENTITY = ("-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "maintenance.auto=false")


class Silent:
    """A reporter that nobody reads."""

    def __call__(self, event: ProgressEvent) -> None:
        """Nothing."""

    def tick(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


@contextmanager
def working(root: Path) -> Iterator[Hold]:
    """As a command that writes holds the workspace."""
    with write(Where(directory=root), Silent()) as hold:
        yield hold


def begin(hold: Hold) -> None:
    """The first checkpoint."""
    begin_run(hold, {})


def checkpoint(hold: Hold) -> None:
    """One more, as `gitckpt checkpoint -m` inside a phase makes it."""
    with open_pack(hold) as pack:
        found = take_snapshot(hold, pack)
        event = Named(at=hold.now(), message="bench")
        land(hold, pack, Landing(events=(event,), content=found.content, found=found.content))


def alone(root: Path) -> None:
    """One more, as `gitckpt checkpoint -m` makes it where nothing runs."""
    with working(root) as hold:
        settle(hold, closing=(Named(at=hold.now(), message="bench"),))


def make(root: Path, files: int, size: int) -> None:
    """`files` files of `size` bytes of text in folders of 100."""
    order = random.Random(1)
    words = [b"%08x" % order.getrandbits(32) for _ in range(4096)]
    for number in range(files):
        folder = root / f"d{number // 100:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        text = b" ".join(order.choices(words, k=size // 9 + 1))[: size - 1] + b"\n"
        (folder / f"f{number % 100:03d}.txt").write_bytes(text)


def edit(root: Path, count: int, turn: int) -> None:
    """Change `count` files, the same in every copy of the workspace."""
    order = random.Random(turn)
    paths = sorted(root.glob("d*/*.txt"))
    for path in order.sample(paths, count):
        path.write_bytes(b"turn %d\n" % turn + path.read_bytes()[8:])
    # An edit in the same tick as the scan must be read again next time: let the clock move on.
    time.sleep(0.05)


def edit_both(ours: Path, theirs: Path, count: int, turn: int) -> None:
    """The same change on both sides."""
    for root in (ours, theirs):
        edit(root, count, turn)


def git(root: Path, *arguments: str) -> None:
    """One git command as a person would call it."""
    subprocess.run(["git", *DURABLE, *IDENTITY, "-C", str(root), *arguments], check=True, capture_output=True)


def add_and_commit(root: Path) -> None:
    """The way to beat."""
    git(root, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", "checkpoint")


def timed(work: Callable[[], None]) -> float:
    """Milliseconds that `work` takes; what earlier steps left unwritten is flushed before."""
    os.sync()
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def report(name: str, ours: list[float], theirs: list[float]) -> None:
    """One line: both medians and their ratio."""
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(f"{name:<28} gitckpt {mine:8.1f} ms   git {other:8.1f} ms   ratio {mine / other:5.2f}   n={len(ours)}")


def bench(folder: Path, files: int, size: int, rounds: int) -> None:
    """First checkpoints in `rounds` fresh copies, then `rounds` x 3 with 10 changed files and with none in one."""
    seed, ours, theirs = folder / "seed", folder / "ours", folder / "theirs"
    make(seed, files, size)
    (seed / "gitckpt.yaml").write_text(WORKFLOW)
    first: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for copy in (ours, theirs):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(seed, copy)
            subprocess.run(["git", "init", "-q", copy], check=True)
        time.sleep(0.05)
        with working(ours) as hold:
            first[0].append(timed(lambda: begin(hold)))
        first[1].append(timed(lambda: add_and_commit(theirs)))
    report(f"first, {files} x {size} B", *first)
    for changed in (10, 0):
        in_a_run: tuple[list[float], list[float]] = ([], [])
        with working(ours) as hold:
            for turn in range(rounds * 3):
                edit_both(ours, theirs, changed, turn)
                in_a_run[0].append(timed(lambda: checkpoint(hold)))
                in_a_run[1].append(timed(lambda: add_and_commit(theirs)))
        report(f"{changed} changed, in a run", *in_a_run)
        by_itself: tuple[list[float], list[float]] = ([], [])
        for turn in range(rounds * 3, rounds * 6):
            edit_both(ours, theirs, changed, turn)
            by_itself[0].append(timed(lambda: alone(ours)))
            by_itself[1].append(timed(lambda: add_and_commit(theirs)))
        report(f"{changed} changed, by itself", *by_itself)


def main() -> None:
    """Read the options and run."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--files", type=int, default=10_000)
    options.add_argument("--size", type=int, default=4096)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--folder", type=Path, help="where the workspaces are made")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        bench(Path(os.path.realpath(folder)), chosen.files, chosen.size, chosen.rounds)


if __name__ == "__main__":
    main()
