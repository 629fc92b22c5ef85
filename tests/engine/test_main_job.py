"""The main job on real data: 13,979 rows through extract, transform, load and report, killed again and again.

The end is compared with that of an undisturbed run in another repository: files byte for byte, statuses, and totals
asked of the database.
"""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitckpt.model.codec import decode_manifest, stable
from gitckpt.model.manifest import Json
from tests.repo import Repo

ROWS = 13_979
"""`wc -l` says 13,979 with the header: the last row ends without a newline, and is a row all the same."""
KILLS = 20
PHASES = ("extract", "transform", "load", "report")
SCRIPT = Path(__file__).with_name("etl.py")


def write_job(repo: Repo, shared: Path) -> None:
    """The same workflow at any path."""
    call = f"{sys.executable} {SCRIPT}"
    totals = "import sqlite3; print(*sqlite3.connect('gdp.sqlite').execute('select count(*) from gdp').fetchone())"
    repo.write(
        "gitckpt.yaml",
        f"""version: 1
workflow: gdp
phases:
  extract: {{run: {call} extract {shared / "data"}, outs: [raw/gdp.csv, raw/country-codes.csv]}}
  transform: {{run: {call} transform, outs: ["clean/*.csv"]}}
  load:
    run: {call} load
    validate:
      run: {json.dumps(f'{sys.executable} -c "{totals}"')}
      stdout: {{matches: '^{ROWS}$'}}
  report: {{run: {call} report}}
""",
    )
    repo.write("notes.txt", "mine\n")


def content(repo: Repo) -> dict[str, tuple[int, bytes]]:
    """All files of the workspace outside git's and gitckpt's folders."""
    paths = (path for path in repo.path.rglob("*") if path.is_file())
    return {
        str(path.relative_to(repo.path)): (path.stat().st_mode, path.read_bytes())
        for path in paths
        if path.relative_to(repo.path).parts[0] not in (".git", ".gitckpt")
    }


def manifest(repo: Repo) -> dict[str, Json]:
    """The newest manifest without what no two runs have in common."""
    return stable(decode_manifest(repo.git("show", "gitckpt/gdp:.gitckpt/state.json").encode()))


def without_generations(manifest: dict[str, Json]) -> dict[str, Json]:
    """A phase that was rolled back and done again has a new generation, for the outside world; all else is the same."""
    phases = manifest["phases"]
    assert isinstance(phases, dict)
    rest: dict[str, Json] = {}
    for name, state in phases.items():
        assert isinstance(state, dict)
        rest[name] = {key: value for key, value in state.items() if key != "generation"}
    return {**manifest, "phases": rest}


@pytest.fixture
def undisturbed(tmp_path: Path, shared: Path) -> Iterator[Repo]:
    """The same job, left alone."""
    other = Repo(tmp_path / "undisturbed")
    write_job(other, shared)
    other.run("run")
    yield other
    other.untouched()
    other.sound()


def killed_after(repo: Repo, seconds: float, whole_group: bool) -> bool:
    """Start a run and kill it after a while: the runner alone, or its whole process group. Whether it was hit."""
    runner = subprocess.Popen(
        [sys.executable, "-m", "gitckpt", "run"],
        cwd=repo.path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        runner.wait(seconds)
    except subprocess.TimeoutExpired:
        (os.killpg if whole_group else os.kill)(runner.pid, signal.SIGKILL)
        runner.wait()
    return runner.returncode == -signal.SIGKILL


@pytest.mark.sweep
def test_killed_at_twenty_random_moments_it_ends_as_if_it_had_been_left_alone(
    tmp_path: Path, undisturbed: Repo, shared: Path
) -> None:
    chance = random.Random(20)
    hits = 0
    jobs = 0
    while hits < KILLS:  # a job that got to its end is compared, and the rest of the blows fall on a new one
        jobs += 1
        repo = Repo(tmp_path / f"job{jobs}")
        write_job(repo, shared)
        began = time.monotonic()
        repo.run("plan")
        start_s = time.monotonic() - began
        while hits < KILLS and killed_after(repo, start_s * chance.uniform(0.5, 2.5), whole_group=hits % 2 == 0):
            hits += 1
        repo.run("run")
        assert content(repo) == content(undisturbed)
        assert manifest(repo) == manifest(undisturbed)
        repo.untouched()
        repo.sound()


def test_every_row_is_there_once_and_the_totals_are_those_of_the_source(undisturbed: Repo, shared: Path) -> None:
    with open(shared / "data/gdp.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    database = sqlite3.connect(undisturbed.path / "gdp.sqlite")
    counted, total = database.execute("select count(*), sum(value) from gdp").fetchone()
    by_year = dict(database.execute("select year, count(*) from gdp group by year"))
    joined = database.execute("select distinct region from gdp where code = 'AFG'").fetchall()
    database.close()
    assert counted == len(rows) == ROWS
    assert total == pytest.approx(sum(float(row["Value"]) for row in rows), rel=1e-12)
    assert by_year == {int(y): sum(row["Year"] == y for row in rows) for y in {row["Year"] for row in rows}}
    assert joined == [("Asia",)]


@pytest.mark.sweep
def test_rolled_back_to_each_tag_and_forward_again_everything_is_as_it_was(undisturbed: Repo) -> None:
    repo = undisturbed
    end, state = content(repo), without_generations(manifest(repo))
    tags = repo.git("tag", "--list", "gitckpt/gdp/*").split()
    assert [tag.partition("-")[2] for tag in tags] == list(PHASES)
    for tag in tags:
        repo.run("rollback", tag)
        listed = repo.git("ls-tree", "-r", "--name-only", tag).splitlines()
        names = sorted(name for name in listed if not name.startswith(".gitckpt/"))
        assert sorted(content(repo)) == names, tag
        hashes = repo.git("hash-object", "--no-filters", "--", *names).splitlines()
        assert hashes == [repo.git("rev-parse", f"{tag}:{name}") for name in names], tag
        repo.run("run")
        assert content(repo) == end, tag
        assert without_generations(manifest(repo)) == state, tag
