"""What goes wrong in the scripts that people write by hand, as the same jobs done here.

Measured there: the batch loop says "All items processed!" after 50 of 123 items, the load step loads the same 50 rows
for ever, the rollback to `PRE_DOWNLOAD` restores a state `PRE` that does not exist, the validation cannot fail.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.engine.strikes import Strikes
from tests.repo import Repo

ITEMS = [f"item-{n:03}" for n in range(1, 124)]
BATCHES = [ITEMS[start : start + 10] for start in range(0, len(ITEMS), 10)]
EDGES = [f"{point} {batch}" for batch in range(1, len(BATCHES) + 1) for point in ("before", "in", "after")]
SOME_EDGES = ["before 1", "in 2", "after 6", "before 7", "after 13"]

BATCHED = """\
version: 1
workflow: seed
phases:
  process:
    foreach: {lines: items.txt}
    batch: 10
    run: ./process.sh "$@"
  finish:
    run: test "$(wc -l < done.txt)" -eq 123 && echo All items processed > complete.txt
"""

# It appends: done twice to the same files it would be there twice.
PROCESS = """\
#!/usr/bin/env bash
set -eu
. "$STRIKE_SH"
strike "before $GITCKPT_BATCH_ID"
number=0
for item in "$@"; do
  echo "$GITCKPT_BATCH_ID $GITCKPT_IDEMPOTENCY_KEY $item" >> "$STRIKE_LOG"
  echo "$item" >> done.txt
  number=$((number + 1))
  if [ "$number" = $((($# + 1) / 2)) ]; then strike "in $GITCKPT_BATCH_ID"; fi
done
strike "after $GITCKPT_BATCH_ID"
"""


@pytest.fixture
def strikes(repo: Repo, tmp_path: Path) -> Strikes:
    """The repository, ready to be struck in."""
    return Strikes(repo, tmp_path)


def state(repo: Repo, workflow: str = "seed") -> Any:
    """The newest manifest, by plain git."""
    return json.loads(repo.git("show", f"gitckpt/{workflow}:.gitckpt/state.json"))


def batched(repo: Repo) -> None:
    """123 items, ten a batch."""
    repo.write("gitckpt.yaml", BATCHED)
    repo.write("items.txt", "".join(f"{item}\n" for item in ITEMS))
    repo.write("process.sh", PROCESS, 0o755)


def not_yet_complete(repo: Repo, done: int) -> None:
    """So many items are done, and nothing says that all are."""
    found = state(repo)
    assert found["phases"]["process"]["items"]["done"] == done
    assert found["phases"]["finish"]["status"] == "pending"
    assert not (repo.path / "complete.txt").exists()


def each_once_here_and_with_one_key_outside(strikes: Strikes) -> None:
    """The end of the job with 123 items, whatever fell on it."""
    repo = strikes.repo
    assert (repo.path / "complete.txt").read_text() == "All items processed\n"
    assert (repo.path / "done.txt").read_text().splitlines() == ITEMS
    assert repo.git("show", "gitckpt/seed:done.txt").splitlines() == ITEMS
    assert {phase["status"] for phase in state(repo)["phases"].values()} == {"completed"}
    keys: dict[str, set[str]] = defaultdict(set)
    arrived: dict[str, set[str]] = defaultdict(set)
    for line in strikes.log.read_text().splitlines():
        batch, key, item = line.split()
        keys[batch].add(key)
        arrived[batch].add(item)
    assert {batch: len(found) for batch, found in keys.items()} == {str(n): 1 for n in range(1, len(BATCHES) + 1)}
    assert len(set.union(*keys.values())) == len(BATCHES), "no two batches share a key"
    assert arrived == {str(n): set(items) for n, items in enumerate(BATCHES, 1)}


def killed_at(strikes: Strikes, edges: list[str]) -> None:
    batched(strikes.repo)
    for number, edge in enumerate(edges):
        strikes.killed(edge, "run", group=number % 2 == 0)
        not_yet_complete(strikes.repo, done=10 * (int(edge.split()[1]) - 1))
    strikes.run("run")
    each_once_here_and_with_one_key_outside(strikes)
    again = Counter(line.split()[2] for line in strikes.log.read_text().splitlines())
    assert max(again.values()) > 1, "a batch that was cut off went out again, or no blow fell"


@pytest.mark.sweep
def test_123_items_killed_at_edges_of_batches_are_done_once_here_and_under_one_key_outside(strikes: Strikes) -> None:
    killed_at(strikes, SOME_EDGES)


@pytest.mark.full
def test_123_items_killed_before_in_and_after_each_of_the_13_batches(strikes: Strikes) -> None:
    assert len(EDGES) == 39
    killed_at(strikes, EDGES)


@pytest.mark.full
def test_123_items_killed_whenever_a_checkpoint_has_just_been_published(strikes: Strikes) -> None:
    batched(strikes.repo)
    strikes.killed("before 1", "run", group=True)
    branch = strikes.repo.path / ".git/refs/heads/gitckpt/seed"
    kills = 0
    while strikes.killed_when(branch, "run"):
        kills += 1
        done = state(strikes.repo)["phases"]["process"]["items"]["done"]
        assert (strikes.repo.path / "complete.txt").exists() <= (done == len(ITEMS))
    assert kills >= len(BATCHES)
    each_once_here_and_with_one_key_outside(strikes)


LOADED = """\
version: 1
workflow: seed
phases:
  transform:
    run: seq -f 'row-%g' 1 150 > combined.csv
    counters: {total_records: wc -l < combined.csv}
  load:
    foreach: {lines: combined.csv}
    batch: {size: 25, input: stdin}
    budget: {items: 50}
    run: python3 load.py
    counters: {loaded_records: python3 count.py}
"""

# No key, no "or ignore": a row that is loaded twice is there twice.
LOAD = """\
import os, signal, sqlite3, sys
database = sqlite3.connect("rows.db")
database.execute("create table if not exists rows (name text)")
database.executemany("insert into rows values (?)", [(line.strip(),) for line in sys.stdin])
database.commit()
if os.environ.get("STRIKE_AT") == os.environ["GITCKPT_BATCH_ID"]:
    os.kill(int(open(os.environ["STRIKE_RUNNER"]).read()), signal.SIGKILL)
    signal.pause()
"""


COUNT = """\
import sqlite3
print(*sqlite3.connect("rows.db").execute("select count(*) from rows").fetchone())
"""


def loaded(repo: Repo) -> tuple[int, int]:
    """Rows, and different rows."""
    with closing(sqlite3.connect(repo.path / "rows.db")) as database:
        found: tuple[int, int] = database.execute("select count(*), count(distinct name) from rows").fetchone()
    return found


@pytest.mark.sweep
def test_150_records_loaded_under_a_budget_end_at_150_different_ones_after_three_calls(strikes: Strikes) -> None:
    repo = strikes.repo
    repo.write("gitckpt.yaml", LOADED)
    repo.write("load.py", LOAD)
    repo.write("count.py", COUNT)
    first = strikes.run("run", ok=75)
    assert "the budget of 50 items is used up" in first.stderr
    assert "Run again to continue" in first.stderr
    assert loaded(repo) == (50, 50)
    strikes.killed("4", "run", group=True)  # loaded and committed in the database, but in no checkpoint
    assert loaded(repo) == (100, 100)
    strikes.run("run", ok=75)
    assert loaded(repo) == (125, 125), "the 75 of the checkpoint, and a budget of 50"
    strikes.run("run")
    assert loaded(repo) == (150, 150)
    assert state(repo)["data"] == {"total_records": 150, "loaded_records": 150}
    assert "Complete already" in strikes.run("run").stderr
    assert loaded(repo) == (150, 150)


def test_a_phase_called_pre_download_is_gone_back_to_with_its_files_and_its_state(repo: Repo) -> None:
    repo.write(
        "gitckpt.yaml",
        """\
version: 1
workflow: seed
phases:
  PRE_DOWNLOAD: {run: mkdir workspace && echo before > workspace/data}
  PRE_PROCESS: {run: echo after > workspace/data && echo more > workspace/more}
""",
    )
    repo.run("run")
    assert (
        "Now at 0004 = 0002-PRE_DOWNLOAD. `gitckpt run` will do PRE_PROCESS."
        in repo.run("rollback", "PRE_DOWNLOAD").stdout
    )
    assert (repo.path / "workspace/data").read_text() == "before\n"
    assert not (repo.path / "workspace/more").exists()
    statuses = {name: phase["status"] for name, phase in state(repo)["phases"].items()}
    assert statuses == {"PRE_DOWNLOAD": "completed", "PRE_PROCESS": "pending"}
    assert state(repo)["current_state"] == "PRE_PROCESS"
    assert "no checkpoint is called 'PRE'" in repo.run("rollback", "PRE", ok=2).stderr


def test_a_validation_that_says_fail_fails_and_puts_the_workspace_back(repo: Repo) -> None:
    repo.write("kept.txt", "as it was\n")
    repo.write(
        "gitckpt.yaml",
        """\
version: 1
workflow: seed
phases:
  PROCESS: {run: mkdir results && echo 0 > results/count}
  VALIDATE:
    run: echo spoilt > kept.txt; echo Validating results...
    validate:
      run: grep -q "^[1-9]" results/count && echo PASS || echo FAIL
      stdout: {contains: PASS}
  FINALIZE: {run: mv results final}
""",
    )
    said = repo.run("run", ok=1).stderr
    assert "VALIDATE failed" in said
    assert "does not contain 'PASS'" in said
    assert (repo.path / "kept.txt").read_text() == "as it was\n"
    assert (repo.path / "results/count").read_text() == "0\n"
    assert not (repo.path / "final").exists()
    repo.run("run", ok=1)
    repo.write("results/count", "7\n")
    repo.run("run")
    assert (repo.path / "final/count").read_text() == "7\n"
