"""The main job on real data: 13,978 rows through extract, transform, load and report, killed again and again.

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
from pathlib import Path

import pytest

from gitckpt.model.codec import decode_manifest, stable
from tests.repo import Repo

ROWS = 13_978
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


def manifest(repo: Repo) -> object:
    """The newest manifest without what no two runs have in common."""
    return stable(decode_manifest(repo.git("show", "gitckpt/gdp:.gitckpt/state.json").encode()))


@pytest.fixture
def undisturbed(tmp_path: Path, shared: Path) -> Repo:
    """The same job, left alone."""
    other = Repo(tmp_path / "undisturbed")
    write_job(other, shared)
    other.run("run")
    return other


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


def test_killed_at_twenty_random_moments_it_ends_as_if_it_had_been_left_alone(
    repo: Repo, undisturbed: Repo, shared: Path
) -> None:
    write_job(repo, shared)
    began = time.monotonic()
    repo.run("plan")
    start_s = time.monotonic() - began
    chance = random.Random(20)
    hits = 0
    reset_at = 0
    while hits < KILLS:
        hit = killed_after(repo, start_s * chance.uniform(0.5, 3.0), whole_group=hits % 2 == 0)
        hits += hit
        if not hit:  # it is complete: the rest of the blows fall on runs of the job's later phases
            reset_at += 1
            repo.run("run", "--from", "transform", "--step", ok=(0, 75))
    repo.run("run")
    assert content(repo) == content(undisturbed)
    assert manifest(repo) == manifest(undisturbed)
    repo.run("verify")


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


def test_rolled_back_to_each_tag_and_forward_again_everything_is_as_it_was(undisturbed: Repo) -> None:
    repo = undisturbed
    end, state = content(repo), manifest(repo)
    tags = repo.git("tag", "--list", "gitckpt/gdp/*").split()
    assert [tag.partition("-")[2] for tag in tags] == list(PHASES)
    for tag in tags:
        repo.run("rollback", tag)
        listed = repo.git("ls-tree", "-r", "--name-only", tag, "--", ":!.gitckpt").splitlines()
        names = [name for name in listed if not name.startswith(".gitckpt/")]
        held = content(repo)
        assert sorted(held) == sorted(names), tag
        for name in names:
            blob = repo.git("rev-parse", f"{tag}:{name}")
            assert repo.git("hash-object", "--no-filters", "--", name) == blob, f"{tag}: {name}"
        repo.run("run")
        assert content(repo) == end, tag
        assert manifest(repo) == state, tag
