"""What `run` says of an attempt that failed: what it cost, and what of it may be the user's."""

from __future__ import annotations

import sys

from tests.cli.test_run import workflow
from tests.repo import Repo


def test_what_a_failed_attempt_changed_of_files_that_head_tracks_is_named_with_the_way_back(repo: Repo) -> None:
    repo.write("src/mine.py", "1\n")
    repo.commit()
    workflow(repo, "one: {run: 'echo 2 > src/mine.py; echo 3 > other; exit 1'}")
    said = repo.run("run", ok=1).stderr
    assert "What the attempt left: 2 files (4 bytes), kept as one@1" in said
    assert "Among them files that your HEAD tracks: src/mine.py" in said
    assert "other" not in said
    assert (repo.path / "src/mine.py").read_text() == "1\n"
    line = next(line for line in said.splitlines() if "yours?" in line)
    repo.run(*line.partition("gitckpt ")[2].split())
    assert (repo.path / "src/mine.py").read_text() == "2\n"


def test_an_attempt_that_left_more_than_a_gibibyte_leads_with_what_it_cost(repo: Repo) -> None:
    workflow(repo, "train: {run: 'truncate -s 1200M model.bin; echo 1 > steps; exit 3'}")
    said = repo.run("run", ok=1).stderr
    first, second = said[said.index("train ran") :].splitlines()[:2]
    assert first.endswith(" s and left 2 files (1.3 GB), kept as train@1.")
    assert second == "  To go on from those files: gitckpt restore train@1"


def test_the_files_of_an_attempt_that_made_a_checkpoint_are_as_at_it_and_not_said_to_stay(repo: Repo) -> None:
    run = f"echo 40 > epoch; {sys.executable} -m gitckpt checkpoint -m epoch; echo 41 > epoch; exit 5"
    workflow(repo, f"train: {{run: '{run}'}}")
    said = repo.run("run", ok=1).stderr
    assert "Your files are as at 0003. What the attempt left: 1 file (3 bytes)" in said
    assert (repo.path / "epoch").read_text() == "40\n"


def test_a_rollback_to_an_attempt_says_so_and_not_the_number_it_shares_with_a_checkpoint(repo: Repo) -> None:
    workflow(repo, "one: {run: 'echo 1 > one'}\ntwo: {run: 'echo 2 > two; exit 1'}")
    repo.run("run", ok=1)
    assert "Now at 0004 = two@1." in repo.run("rollback", "two@1").stdout
    assert (repo.path / "two").read_text() == "2\n"
    assert "rolled back to two@1" in repo.run("log").stdout
    assert "went back to two@1" in repo.run("show", "latest").stdout
