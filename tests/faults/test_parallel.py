"""Many phases side by side, killed again and again: nothing is lost, nothing is credited to another, nothing is left.

The onlooker is `beside.py`: plain git and `/proc`. The fast tier strikes a few phases in each way; a sweep strikes 64
phases at 16 at once, in fifty rounds with `--full`.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.engine.beside import changed, history, left_over
from tests.repo import Repo

WRITE = """\
    run: |
      name="${ITEM:-$GITCKPT_PHASE}"
      echo "$ROUND $name $GITCKPT_IDEMPOTENCY_KEY" >> "$OUTSIDE"
      mkdir -p "own/$name" shared/even shared/odd
      for n in 0 2 4 6 8; do
        echo "$name $n" > "own/$name/$n"
        echo "$name $n" > "shared/even/$name-$n"
      done
      sleep "0.0$((RANDOM % 7))"
      for n in 1 3 5 7 9; do
        echo "$name $n" > "own/$name/$n"
        echo "$name $n" > "shared/odd/$name-$n"
      done
"""
REPORTED = re.compile(
    r"^\S+ (?:each (?:done )?item )?(p\d+)(?: \(\d+ of \d+\))? (?:done|finished|\d+/\d+) ", re.MULTILINE
)
NAME = re.compile(r"p\d+")


def names(count: int) -> list[str]:
    return [f"p{n:02}" for n in range(count)]


def files_of(name: str) -> set[str]:
    """The twenty files of a phase or item: half of them its own, half in folders that all share."""
    own = {f"own/{name}/{n}" for n in range(10)}
    return own | {f"shared/{'odd' if n % 2 else 'even'}/{name}-{n}" for n in range(10)}


def as_phases(count: int) -> str:
    """Phases of which nobody needs another."""
    return "".join(f"  {name}:\n    needs: []\n{WRITE}" for name in names(count))


def as_items(count: int) -> str:
    """One phase, whose items do the same."""
    return f"  each:\n    foreach: [{', '.join(names(count))}]\n    max_parallel: {count}\n{WRITE}"


Shape = Callable[[int], str]


# --- blows ----------------------------------------------------------------------------------------------------------


def children() -> dict[int, list[int]]:
    """All processes by parent."""
    found: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has just ended
                continue
            found[parent].append(int(entry.name))
    return found


def kill(pids: Sequence[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def the_runner(runner: int) -> None:
    kill([runner])


def the_whole_tree(runner: int) -> None:
    tree, every = [runner], children()
    for pid in tree:
        tree += every[pid]
    kill(tree)


def a_watchdog(runner: int) -> None:
    every = children()
    kill([pid for server in fork_servers(runner) for pid in every[server]][:1])


def what_forks_watchdogs(runner: int) -> None:
    kill(fork_servers(runner))


def fork_servers(runner: int) -> list[int]:
    return [pid for pid in children()[runner] if b"watchdog" in command_of(pid)]


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


Blow = Callable[[int], None]
BLOWS: tuple[Blow, ...] = (the_runner, the_whole_tree, a_watchdog, what_forks_watchdogs)


class Struck:
    """Runs that are killed, until one completes, and what they had said by then."""

    def __init__(self, repo: Repo, jobs: int) -> None:
        self.repo = repo
        self.outside = repo.path.parent / "outside"
        self.outside.touch()
        self.jobs = jobs
        self.round = 0
        self.reported: dict[str, int] = {}
        """The phases that were said to have ended well, and in which run."""

    def begun(self) -> list[tuple[int, str, str]]:
        """All that ever began: in which run, the phase, its key."""
        rows = [line.split() for line in self.outside.read_text().splitlines()]
        return [(int(number), phase, key) for number, phase, key in rows]

    def strike(self, blow: Blow | None, after: int) -> int:
        """One run, struck once so many attempts more have begun; its exit code."""
        self.round += 1
        goal = len(self.begun()) + after
        said = self.repo.path.parent / f"said-{self.round}"
        with said.open("wb") as out:
            run = subprocess.Popen(
                [sys.executable, "-m", "gitckpt", "run", "--jobs", str(self.jobs)],
                cwd=self.repo.path,
                env={**os.environ, "OUTSIDE": str(self.outside), "ROUND": str(self.round)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=out,
                start_new_session=True,
            )
            while run.poll() is None:
                if blow is not None and len(self.begun()) >= goal:
                    blow(run.pid)
                    blow = None
                time.sleep(0.002)
        text = said.read_text()
        assert "Traceback" not in text, text
        assert run.returncode in (0, 1, -signal.SIGKILL), f"{run.returncode}: {text}"
        for name in REPORTED.findall(text):
            self.reported.setdefault(name, self.round)
        return run.returncode

    def has_done(self, count: int) -> None:
        """Every phase once, each credited with exactly its own files, and nobody twice once it was said to be done."""
        root, wanted = self.repo.path, names(count)
        made = [point for point in history(root) if len(point.parents) > 1]
        found = {"".join(NAME.findall(point.words)): point for point in made}
        assert sorted(found) == wanted, "lost"
        assert len(made) == count, "twice"
        assert all(len(merge.parents) == 2 for merge in found.values())
        own = changed(root, (merge.parents[1] for merge in found.values()))
        wrong = {name: own[merge.parents[1]] ^ files_of(name) for name, merge in found.items()}
        assert {name: paths for name, paths in wrong.items() if paths} == {}, "credited to another"
        for name in wanted:
            for path in files_of(name):
                assert (root / path).read_text() == f"{name} {path[-1]}\n", path
        self._once()
        until = time.monotonic() + 5
        while left := left_over(root):
            assert time.monotonic() < until, left
            time.sleep(0.02)
        assert (root / "mine").read_text() == "the user's\n"

    def _once(self) -> None:
        keys: dict[str, set[str]] = defaultdict(set)
        for number, phase, key in self.begun():
            assert number <= self.reported[phase], f"{phase} was done in {self.reported[phase]}, and ran in {number}"
            keys[phase].add(key)
        assert {phase: len(found) for phase, found in keys.items() if len(found) != 1} == {}, "another key"


def a_round(repo: Repo, shape: Shape, count: int, blows: Sequence[Blow], seed: str, top: str = "") -> None:
    """Strike, run again, until all is done."""
    draw = random.Random(seed)
    repo.write("gitckpt.yaml", f"version: 1\nworkflow: w\n{top}phases:\n{shape(count)}")
    repo.write("mine", "the user's\n")
    repo.commit()
    struck = Struck(repo, jobs=max(4, count // 4))
    for blow in blows:
        if struck.strike(blow, draw.randrange(1, max(2, count // len(blows)))) == 0:
            break
    assert struck.strike(None, 0) == 0
    struck.has_done(count)


@pytest.mark.parametrize(
    ("shape", "blow"),
    [
        (as_items, the_runner),
        pytest.param(as_phases, the_whole_tree, marks=pytest.mark.sweep),
        pytest.param(as_phases, a_watchdog, marks=pytest.mark.sweep),
        pytest.param(as_phases, what_forks_watchdogs, marks=pytest.mark.sweep),
    ],
)
def test_what_ran_side_by_side_is_all_there_and_each_its_own_after_a_kill(repo: Repo, shape: Shape, blow: Blow) -> None:
    a_round(repo, shape, count=8, blows=(blow,), seed=blow.__name__)


@pytest.mark.sweep
@pytest.mark.parametrize("shape", [as_phases, as_items])
@pytest.mark.parametrize("isolation", ["overlay", pytest.param("copy", marks=pytest.mark.full)])
def test_sixty_four_at_once_survive_kills_of_every_kind(repo: Repo, shape: Shape, isolation: str) -> None:
    top = f"isolation: {isolation}\n"
    a_round(repo, shape, count=64, blows=(*BLOWS, *BLOWS), seed=isolation, top=top)


@pytest.mark.full
@pytest.mark.parametrize("shape", [as_phases, as_items])
@pytest.mark.parametrize("number", range(50))
def test_fifty_rounds_of_random_kills_lose_nothing(repo: Repo, number: int, shape: Shape) -> None:
    draw = random.Random(number)
    blows = [draw.choice(BLOWS) for _ in range(draw.randrange(2, 6))]
    a_round(repo, shape, count=64, blows=blows, seed=str(number))
