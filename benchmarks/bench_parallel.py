"""What a phase in a view of its own costs, and what running several at once gains.

    python benchmarks/bench_parallel.py [--files 10000 100000] [--per-folder 100] [--rounds 5] [--folder DIR]

Cost: phases in sequence, each isolated by overlay and changing 10 files, in trees of so many files. Each phase notes
when it begins and when it ends, so what lies between two of them is measured: its checkpoint, the workspace brought to
it, the view of the next phase, the begin in the journal, the mount. Starting a process is no part of that: it is
measured with `isolation: none`, and taken off. Against it, in turn in the same tree, `git add -A && git commit` after
the same change: as durable as gitckpt, and as git does it by default. The last line of all says how the cost grows with
the tree.

Speed-up: phases that only sleep, from the begin of the first to the last checkpoint, and as a whole command.

Medians. `--folder` chooses the file system; the bytecode must be cached, as in a real installation.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CHANGED = 10
DURABLE = ("-c", "core.fsync=all", "-c", "core.fsyncMethod=fsync")
QUIET = ("-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "user.name=bench", "-c", "user.email=bench@localhost")
HEAD = "version: 1\nworkflow: {name}\nphases:\n"
PHASE = "  p{number}: {{isolation: {isolation}, needs: [{needs}], run: bash {folder}/phase}}\n"
SLEEPER = "  p{number}: {{run: sleep {seconds}, needs: []}}\n"
SCRIPT = """\
began=$EPOCHREALTIME
while read -r path; do echo "$began" >> "$path"; done < {folder}/paths
echo "$began $EPOCHREALTIME" >> {folder}/stamps
"""


@dataclass(frozen=True, slots=True)
class Call:
    """One `gitckpt run`: its seconds as a whole, and its events, each with when it was told (seconds since 1970)."""

    seconds: float
    events: tuple[tuple[float, str], ...]

    def times(self, name: str) -> list[float]:
        """When each event of that name was told."""
        return [at for at, event in self.events if event == name]


def run(root: Path, *options: str) -> Call:
    """A process of its own, as a person would call it."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "gitckpt", "run", "--again", "--json", *options]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        events = tuple((time.time(), line) for line in process.stdout)
    if process.returncode != 0:
        raise SystemExit(f"the run ended with {process.returncode}: {events}")
    return Call(time.perf_counter() - begun, tuple((at, json.loads(line)["event"]) for at, line in events))


# --- what a phase costs -------------------------------------------------------------------------------------


def make(folder: Path, files: int, per_folder: int) -> list[Path]:
    """A workspace of `files` files of 2 to 4 KB, all committed. Returns those that are to change: they lie anywhere."""
    order = random.Random(files)
    words = [b"%08x " % order.getrandbits(32) for _ in range(4096)]
    paths = []
    for number in range(files):
        path = folder / "tree" / f"d{number // per_folder:04}" / f"f{number % per_folder:04}.txt"
        if number % per_folder == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(b"".join(order.choices(words, k=order.randint(2048, 4096) // 9)) + b"\n")
        paths.append(path)
    chosen = order.sample(paths, CHANGED)
    (folder / "paths").write_text("".join(f"{path.relative_to(folder / 'tree')}\n" for path in chosen))
    (folder / "phase").write_text(SCRIPT.format(folder=folder))
    subprocess.run(["git", "init", "-q", folder / "tree"], check=True)
    commit(folder / "tree", ())
    return chosen


def commit(root: Path, settings: Sequence[str]) -> float:
    """Milliseconds that git takes for all that has changed."""
    os.sync()
    begun = time.perf_counter()
    for arguments in (("add", "-A"), ("commit", "-q", "--allow-empty", "-m", "all")):
        subprocess.run(["git", *settings, *QUIET, "-C", root, *arguments], check=True)
    return (time.perf_counter() - begun) * 1000


def between(folder: Path, isolation: str, phases: int) -> tuple[list[float], list[float]]:
    """Milliseconds from the end of a phase until the next begins, and from a begin to the first instruction."""
    text = HEAD.format(name="bench")
    for number in range(phases):
        needs = f"p{number - 1}" if number else ""
        text += PHASE.format(number=number, isolation=isolation, needs=needs, folder=folder)
    (folder / "tree" / "gitckpt.yaml").write_text(text)
    (folder / "stamps").unlink(missing_ok=True)
    os.sync()
    told = run(folder / "tree").times("phase_began")
    stamps = [tuple(map(float, line.split())) for line in (folder / "stamps").read_text().splitlines()]
    landing = [(later - end) * 1000 for (_, end), later in zip(stamps, told[1:], strict=False)]
    starting = [(first - begin) * 1000 for (first, _), begin in zip(stamps, told, strict=True)]
    return landing, starting[1:]


def cost(folder: Path, files: int, asked: argparse.Namespace) -> float:
    """Print what a phase costs in a tree of `files` files; returns its median in ms."""
    phases = asked.phases
    chosen = make(folder, files, asked.per_folder)
    between(folder, "none", phases)  # the first checkpoint has everything
    took: dict[str, list[float]] = {"landing": [], "starting": [], "plain": [], "durable": [], "default": []}
    for _ in range(asked.rounds):
        landing, starting = between(folder, "overlay", phases)
        took["landing"] += landing
        took["starting"] += starting
        took["plain"] += between(folder, "none", phases)[1]
        for name, settings in (("durable", DURABLE), ("default", ())) * 2:
            for path in chosen:
                with path.open("a") as file:
                    file.write("by hand\n")
            took[name].append(commit(folder / "tree", settings))
    middle = {name: statistics.median(times) for name, times in took.items()}
    mount = middle["starting"] - middle["plain"]
    whole = middle["landing"] + mount
    print(
        f"{files:7,} files: {whole:6.1f} ms a phase (to its checkpoint and the next begin {middle['landing']:.1f}, "
        f"view {mount:.1f}; a process starts in {middle['plain']:.1f}), n={len(took['landing'])}"
    )
    for name in ("durable", "default"):
        print(f"    {whole / middle[name]:5.2f} x git add -A && git commit, {name} ({middle[name]:.1f} ms)")
    return whole


# --- what running several at once gains ---------------------------------------------------------------------


def speed_up(folder: Path, phases: int, seconds: float, rounds: int) -> None:
    """Print how long phases that only sleep take together, all at once."""
    text = HEAD.format(name="sleep") + "".join(SLEEPER.format(number=n, seconds=seconds) for n in range(phases))
    subprocess.run(["git", "init", "-q", folder], check=True)
    (folder / "gitckpt.yaml").write_text(text)
    calls = [run(folder, "--jobs", str(phases)) for _ in range(rounds + 1)][1:]  # the first fills the caches
    whole = statistics.median(call.seconds for call in calls)
    inner = statistics.median(call.times("phase_ended")[-1] - call.times("phase_began")[0] for call in calls)
    alone = phases * seconds
    print(
        f"{phases} x sleep {seconds}: {inner:.2f} s to the last checkpoint, {alone / inner:.1f} x as fast; "
        f"{whole:.2f} s as a whole command, {alone / whole:.1f} x, n={rounds}"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--files", type=int, nargs="*", default=[10_000, 100_000])
    options.add_argument("--per-folder", type=int, default=100, help="how many files lie in one folder")
    options.add_argument("--phases", type=int, default=8)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--folder", type=Path, help="where the workspaces are made")
    chosen = options.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    print(f"load {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores")
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        place = Path(os.path.realpath(name))
        for phases, seconds in ((8, 0.5), (3, 1.0)):
            (place / f"sleep{phases}").mkdir()
            speed_up(place / f"sleep{phases}", phases, seconds, chosen.rounds)
        costs = []
        for files in chosen.files:
            (place / str(files)).mkdir()
            costs.append(cost(place / str(files), files, chosen))
        if len(costs) > 1:
            print(f"from {chosen.files[0]:,} to {chosen.files[-1]:,} files it grows {costs[-1] / costs[0]:.2f} x")
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
