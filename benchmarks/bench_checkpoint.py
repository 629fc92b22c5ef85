"""One checkpoint against `git add -A && git commit`, side by side, both durable, in copies of the same workspace.

Measured is the library's whole call: discover nothing, load the stat cache, snapshot, commit, one ref transaction,
save the cache. Prints the median in ms of each and the ratio ours/git. `--folder` chooses the file system.
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
from collections.abc import Callable
from pathlib import Path

from gitckpt.model.names import Oid
from gitckpt.plumbing.content import Content, Defaults
from gitckpt.plumbing.objects import Signature
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.refs import RefUpdate, transact
from gitckpt.plumbing.repository import Repository, discover
from gitckpt.workspace.rules import CaptureRules
from gitckpt.workspace.snapshot import snapshot
from gitckpt.workspace.statcache import StatCache

REF = "refs/heads/gitckpt/bench"
DEFAULTS = Defaults(file=0o644, exec=0o755, dir=0o755)
WHO = Signature(name="bench", email="bench@example.org", seconds=1_700_000_000, offset_minutes=0)
DURABLE = ("-c", "core.fsync=all", "-c", "core.fsyncMethod=fsync", "-c", "gc.auto=0")
IDENTITY = ("-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "maintenance.auto=false")


class Ours:
    """Checkpoints of one workspace through the library, as a run takes them one after another."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.repository: Repository = discover(root)
        self.cache_path = self.repository.git_dir / "gitckpt" / "cache"
        self.known: Content | None = None
        self.tip: Oid | None = None

    def checkpoint(self) -> None:
        """One durable checkpoint."""
        cache = StatCache.load(self.cache_path, self.repository.object_format)
        with Pack(self.repository, "bench") as pack, Reader(self.repository) as reader:
            found = snapshot(
                root=self.root,
                repository=self.repository,
                prefix=b"",
                rules=CaptureRules(),
                pack=pack,
                cache=cache,
                defaults=DEFAULTS,
                known=self.known,
                reader=reader,
            )
            commit = pack.commit(
                tree=found.content.files,
                parents=[self.tip] if self.tip else [],
                author=WHO,
                committer=WHO,
                message="checkpoint",
            )
            pack.finish()
            transact(self.repository, [RefUpdate(name=REF, new=commit, old=self.tip)], "bench")
            pack.release()
        cache.save()
        self.known, self.tip = found.content, commit


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
    """First checkpoints in `rounds` fresh copies, then `rounds` with 10 changed files and with none in one."""
    seed = folder / "seed"
    make(seed, files, size)
    first: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for name in ("ours", "theirs"):
            shutil.rmtree(folder / name, ignore_errors=True)
            shutil.copytree(seed, folder / name)
            subprocess.run(["git", "init", "-q", folder / name], check=True)
        time.sleep(0.05)
        ours = Ours(folder / "ours")
        first[0].append(timed(ours.checkpoint))
        first[1].append(timed(lambda: add_and_commit(folder / "theirs")))
    report(f"first, {files} x {size} B", *first)
    for changed in (10, 0):
        times: tuple[list[float], list[float]] = ([], [])
        for turn in range(rounds * 3):
            for name in ("ours", "theirs"):
                edit(folder / name, changed, turn)
            times[0].append(timed(ours.checkpoint))
            times[1].append(timed(lambda: add_and_commit(folder / "theirs")))
        report(f"{changed} changed", *times)


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
