"""Every example does what its README says, in a fresh repository and by the real command line.

The migration is run by tests/engine/test_saga.py, with what befalls it.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gitckpt.spec.templates import template
from tests.repo import Repo

Example = Callable[[str], Repo]


@pytest.fixture
def example(repo: Repo) -> Example:
    """The test's repository, with the files that `init --template NAME` writes."""

    def write(name: str) -> Repo:
        for path, (text, mode) in template(name).items():
            repo.write(path, text, mode)
        return repo

    return write


def state(repo: Repo, workflow: str) -> Any:
    """The newest manifest, by plain git."""
    return json.loads(repo.git("show", f"gitckpt/{workflow}:.gitckpt/state.json"))


def subjects(repo: Repo, workflow: str, since: str = "") -> list[str]:
    """What each checkpoint says, oldest first, without their numbers."""
    span = [f"{since}..gitckpt/{workflow}"] if since else [f"gitckpt/{workflow}"]
    said = repo.git("log", "--first-parent", "--reverse", "--format=%s", *span).splitlines()
    return [line.partition(" ")[2] for line in said]


def read(repo: Repo, name: str) -> str:
    """A file of the workspace."""
    return (repo.path / name).read_text()


def test_state_machine_goes_from_init_to_complete_in_one_call(example: Example) -> None:
    repo = example("state-machine")
    repo.run("run")
    states = ["INIT", "DOWNLOAD", "EXTRACT", "PROCESS", "VALIDATE", "FINALIZE", "COMPLETE"]
    assert subjects(repo, "state-machine") == ["start started", *(f"{name} done" for name in states)]
    counts = {path.stem: path.read_text() for path in (repo.path / "final").glob("*.count")}
    texts = {path.stem: path.read_text() for path in (repo.path / "mirror").glob("*.txt")}
    assert counts == {name: f"{len(text.split())}\n" for name, text in texts.items()}
    assert not (repo.path / "workspace").exists()


@pytest.mark.sweep
def test_progress_counts_items_and_does_only_the_one_that_came_later(example: Example) -> None:
    repo = example("progress")
    repo.run("run")
    parts = [f"chapter-{n}:{n * 10}" for n in range(1, 13)]
    assert read(repo, "words-by-part.txt").splitlines() == parts
    phases = state(repo, "progress")["phases"]
    assert {name: phases[name]["items"]["done"] for name in ("DOWNLOAD", "PROCESS")} == {"DOWNLOAD": 12, "PROCESS": 12}
    assert state(repo, "progress")["data"] == {"words": 780}
    assert sum(line.startswith("DOWNLOAD") for line in subjects(repo, "progress")) == 13, "the list, and each item"
    assert sum(line.startswith("PROCESS") for line in subjects(repo, "progress")) == 5, "five items a checkpoint"
    tip = repo.git("rev-parse", "gitckpt/progress")
    repo.write("contents.txt", read(repo, "contents.txt") + "chapter-13\n")
    repo.run("run", "--from", "DOWNLOAD")
    assert read(repo, "words-by-part.txt").splitlines() == [*parts, "chapter-13:130"]
    assert [line for line in subjects(repo, "progress", tip) if line.startswith(("DOWNLOAD", "PROCESS"))] == [
        "DOWNLOAD reopened run --from DOWNLOAD",
        "DOWNLOAD listed 13 items",
        "DOWNLOAD done",
        "PROCESS listed 13 items",
        "PROCESS done item parts/chapter-13.txt (13 of 13)",
        "PROCESS done",
    ], "one item each"


@pytest.mark.sweep
def test_batch_does_five_batches_a_call_and_each_is_taken_once(example: Example) -> None:
    repo = example("batch")
    process = read(repo, "process.sh")
    repo.write("process.sh", process.replace('in "$@"', 'in "${@:2}"'), 0o755)
    assert "validate" in repo.run("run", ok=1).stderr, "an item was left out"
    assert not (repo.path / "results.txt").exists()
    (repo.path / "service/calls.log").unlink()
    repo.write("process.sh", process, 0o755)
    done = []
    for code in (75, 75, 0):
        repo.run("run", ok=code)
        done.append(state(repo, "batch")["phases"]["process"]["items"]["done"])
        assert (repo.path / "all.txt").exists() == (code == 0)
    assert done == [50, 100, 123]
    assert [line.split()[0] for line in read(repo, "all.txt").splitlines()] == read(repo, "items.txt").splitlines()
    accepted = [path.read_text() for path in (repo.path / "service/accepted").iterdir()]
    assert sorted("".join(accepted).splitlines()) == read(repo, "items.txt").splitlines()
    assert len(accepted) == len(read(repo, "service/calls.log").splitlines()) == 13
    assert "service/" not in repo.git("ls-tree", "-r", "--name-only", "gitckpt/batch")


def test_rollback_brings_back_files_and_state_and_asks_about_what_is_outside(example: Example) -> None:
    repo = example("rollback")
    repo.run("run")
    site = repo.path / "site/top.txt"
    words = read(repo, "workspace/words")
    assert "PUBLISH: rm -f site/top.txt" in repo.run("rollback", "PRE_DOWNLOAD", ok=2).stderr
    assert site.exists()
    repo.run("rollback", "PRE_DOWNLOAD", "--compensate")
    assert not site.exists()
    assert read(repo, "workspace/notes.txt") == "written by hand\n"
    assert [path.name for path in (repo.path / "workspace").iterdir()] == ["notes.txt"]
    repo.run("run")
    assert (site.exists(), read(repo, "workspace/words")) == (True, words)
    left = repo.run("rollback", "before:PROCESS", "--no-compensate").stdout
    assert "Outside this folder nothing is undone of PUBLISH" in left
    assert (site.exists(), state(repo, "rollback")["outside"]) == (True, ["PUBLISH"])
    assert read(repo, "workspace/notes.txt") == "written by the mirror\n"
    repo.run("undo")
    assert read(repo, "workspace/words") == words


def orders(repo: Repo) -> tuple[int, int]:
    """Orders in the database, and their sum in cents."""
    with closing(sqlite3.connect(repo.path / "build/shop.db")) as database:
        found: tuple[int, int] = database.execute("select count(*), sum(cents) from orders").fetchone()
    return found


def test_etl_loads_every_order_once_in_portions_and_then_only_those_of_a_new_shop(example: Example) -> None:
    repo = example("etl")
    text = read(repo, "gitckpt.yaml")
    repo.write("gitckpt.yaml", text.replace("{items: 5000, time: 15m}", "{items: 40}"))
    assert [(repo.run("run", ok=code), orders(repo)[0])[1] for code in (75, 75, 0)] == [40, 80, 85]
    lines = sum(len(path.read_text().splitlines()) - 1 for path in (repo.path / "data").glob("*.csv"))
    assert read(repo, "build/check.txt").splitlines() == [
        f"PASS {lines} lines of the shops = 85 loaded + 18 rejected",
        "PASS 297485 cents in the database = 297485 in the orders",
    ]
    assert orders(repo) == (85, 297485)
    assert state(repo, "etl")["data"] == {"total_records": 85, "rejected_records": 18, "loaded_records": 85}
    assert "order twice" in read(repo, "build/rejected/west.csv")
    assert read(repo, "build/report.md").endswith("85 orders, 2974.85 in all\n")

    tip = repo.git("rev-parse", "gitckpt/etl")
    repo.write("gitckpt.yaml", text.replace("[north, south, west]", "[north, south, west, east]"))
    repo.write("data/east.csv", "order_id,day,item,quantity,price\nE001,2024-03-01,Tea,1,4.20\nE002,soon,Tea,1,4.20\n")
    repo.run("run", "--from", "extract")
    assert orders(repo) == (86, 297905)
    assert subjects(repo, "etl", tip)[2:10] == [
        "extract listed 4 items",
        "extract done",
        "transform listed 4 items",
        "transform done item build/raw/east.csv (1 of 4)",
        "transform done",
        "load listed 86 items",
        "load done items 0..0 of 86 (batch 1)",
        "load done",
    ], "one item each"


def versions(repo: Repo) -> dict[str, str]:
    """What each host runs."""
    return {path.parent.name: path.read_text().strip() for path in (repo.path / "hosts").glob("*/version")}


@pytest.mark.sweep
def test_deployment_asks_tries_one_host_and_puts_the_version_before_back(example: Example) -> None:
    repo = example("deployment")
    assert "VERSION" in repo.run("run", ok=2).stderr
    assert "must match" in repo.run("run", "--set", "VERSION=1.2", ok=2).stderr
    repo.run("run", "--set", "VERSION=v1.2.0", ok=3)
    assert "reason is required" in repo.run("approve", ok=2).stderr
    repo.run("approve", "--field", "reason=the tests are green")
    assert versions(repo) == {}

    sick = repo.write("hosts/host-1/sick", "")
    repo.run("run", ok=1)
    assert versions(repo) == {"host-1": "v1.0.0"}, "the canary went back"
    sick.unlink()

    down = [repo.write(f"hosts/{host}/down", "") for host in ("host-3", "host-7")]
    repo.run("run", ok=1)
    old = [f"host-{n}" for n in range(1, 7) if n != 3]
    assert versions(repo) == dict.fromkeys(old, "v1.0.0"), "two batches are more than it tolerates"
    down[1].unlink()

    repo.run("run")
    assert versions(repo) == {f"host-{n}": "v1.2.0" for n in (1, 4, 5, 6, 7)} | {"host-2": "v1.0.0"}
    failed = [json.loads(line)["item"] for line in read(repo, "failed.jsonl").splitlines()]
    assert failed == ["host-2", "host-3"]
    assert read(repo, "deployed.txt") == "v1.2.0, because: the tests are green\n"


@pytest.mark.sweep
def test_parallel_gives_the_same_files_however_many_run_at_once(example: Example) -> None:
    repo = example("parallel")
    repo.run("run")
    notes = [*(f"page {name}: 4 words" for name in ("apples", "bread", "cheese", "dates")), "pictures: 3"]
    assert read(repo, "notes.txt").splitlines() == [*notes, "spelling: 1 unknown"]
    assert len(list((repo.path / "published").iterdir())) == 8
    assert repo.git(
        "diff", "--name-only", "gitckpt/parallel~2^2~", "gitckpt/parallel~2^2", "--", ":!.gitckpt"
    ).split() == [
        "notes.txt",
        "spelling.txt",
    ], "the spelling by itself"
    tree = repo.git("rev-parse", "gitckpt/parallel:site")
    for name in ("site", "published"):
        shutil.rmtree(repo.path / name)
    (repo.path / "notes.txt").unlink()
    repo.run("run", "--again", "--jobs", "1")
    assert (read(repo, "notes.txt").splitlines()[:-1], repo.git("rev-parse", "gitckpt/parallel:site")) == (notes, tree)


def test_wizard_takes_right_answers_only_and_keeps_them_until_the_account_is_made(example: Example) -> None:
    repo = example("wizard")
    repo.run("run", ok=3)
    assert "email must match" in repo.run("approve", "account", "--field", "email=ann", ok=2).stderr
    assert (
        "plan must be one of free, pro"
        in repo.run("approve", "--field", "email=ann@example.org", "--field", "plan=gold", ok=2).stderr
    )
    repo.run("approve", "--field", "email=ann@example.org", "--field", "plan=pro")
    repo.run("run", ok=3)
    assert read(repo, "summary.txt") == "email  ann@example.org\nplan   pro\nseats  1\n"
    assert not (repo.path / "account.txt").exists()
    repo.run("approve", "review", "--field", "ok=true")
    repo.run("run")
    assert read(repo, "account.txt") == "created ann@example.org on pro, 1 seats\n"
    assert read(repo, "accounts/ann@example.org").endswith(" ann@example.org pro 1\n")


def test_a_template_is_written_into_an_empty_folder_and_runs(tmp_path: Path, repo: Repo) -> None:
    repo.run("init", "--template", "migration")
    assert (repo.path / "db.py").exists()
    assert "5 phases" in repo.run("run").stderr
    assert read(repo, "validation.txt").count("PASS") == 2
