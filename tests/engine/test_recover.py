"""A run dies with attempts in views of their own, and then something else than `run` in the same place comes first."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from gitckpt.model.names import PhaseName
from tests.engine.bed import Bed
from tests.engine.beside import asked, left_over
from tests.engine.strikes import Strikes
from tests.repo import Repo

pytestmark = pytest.mark.sweep

WAITED = 'test -z "${STRIKE_AT-}" || until git rev-parse -q --verify refs/gitckpt/w/finished/{} >/dev/null; do :; done'
"""Until the other has succeeded, and what it did is kept."""


@pytest.fixture
def bed(repo: Repo) -> Bed:
    repo.write("kept", "as it was\n")
    repo.commit()
    return Bed(repo)


@pytest.fixture
def strikes(repo: Repo, tmp_path: Path) -> Strikes:
    folder = tmp_path / "strikes"
    folder.mkdir()
    return Strikes(repo, folder)


def dies(bed: Bed, strikes: Strikes, other: str, waited: str, writes: str = "slow") -> None:
    """A run in which the phase `slow` dies when the `other` one has finished, and waits to be merged after it."""
    wait = WAITED.replace("{}", waited)
    slow = f'  slow:\n    run: |\n      . "$STRIKE_SH"; {wait}; strike slow; echo slow > {writes}\n'
    bed.define(f"version: 1\nworkflow: w\nphases:\n{slow}{other}")
    strikes.killed("slow", "run", group=False)


def refs(bed: Bed) -> list[str]:
    return asked(bed.root, "for-each-ref", "--format=%(refname)", "refs/gitckpt/w").decode().split()


def test_what_had_finished_is_merged_and_the_rest_begins_again(bed: Bed, strikes: Strikes) -> None:
    dies(bed, strikes, "  quick: {needs: [], run: 'echo quick >> quick'}\n", "quick")
    assert "refs/gitckpt/w/finished/quick" in refs(bed)
    assert re.search(r"^ *quick +done", strikes.run("plan").stdout, re.MULTILINE)
    assert "it is done" in strikes.run("why", "quick").stdout
    strikes.run("run")
    assert (bed.lines("slow"), bed.lines("quick")) == (["slow"], ["quick"])
    assert refs(bed) == ["refs/gitckpt/w/attempts/slow/1"]
    assert left_over(bed.root) == []


@pytest.mark.parametrize("how", ["--jobs=4", "--jobs=1"])
def test_a_death_does_not_change_which_of_two_that_clash_is_asked_about(bed: Bed, strikes: Strikes, how: str) -> None:
    dies(bed, strikes, "  quick: {needs: [], run: 'echo quick > both; echo quick > quick'}\n", "quick", writes="both")
    done = strikes.run("run", how, ok=5)
    assert "quick FAILED" in done.stderr
    assert (bed.lines("both"), (bed.root / "quick").exists()) == (["slow"], False)
    conflict = bed.manifest.phases[PhaseName("quick")].conflict
    assert conflict is not None
    assert (conflict.paths, conflict.against) == (("both",), ("slow",))
    strikes.run("resolve", "quick", "--theirs")
    strikes.run("run")
    assert (bed.lines("both"), bed.lines("quick")) == (["quick"], ["quick"])
    assert left_over(bed.root) == []


def test_views_that_somebody_removed_are_of_attempts_that_left_nothing(bed: Bed, strikes: Strikes) -> None:
    dies(bed, strikes, "  quick: {needs: [], run: 'echo quick >> quick'}\n", "quick")
    (views,) = (bed.root / ".git/gitckpt/workspaces").glob("*/views")
    shutil.rmtree(views, ignore_errors=True)  # a watchdog that is dying removes its own files there
    shutil.rmtree(views, ignore_errors=True)
    assert not views.exists()
    strikes.run("run")
    assert (bed.lines("slow"), bed.lines("quick")) == (["slow"], ["quick"])
    assert refs(bed) == ["refs/gitckpt/w/attempts/slow/1"]
    assert left_over(bed.root) == []


def test_items_that_had_finished_are_merged_in_their_order(bed: Bed, strikes: Strikes, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    bed.define(f"""
version: 1
workflow: w
phases:
  each:
    foreach: [a, b, c]
    max_parallel: 3
    run: |
      echo $ITEM >> {ran}
      if [ $ITEM = a ]; then
        . "$STRIKE_SH"
        {WAITED.replace("{}", "each.1")}
        {WAITED.replace("{}", "each.2")}
        strike a
      fi
      echo $ITEM > $ITEM
""")
    strikes.killed("a", "run", group=False)
    done = strikes.run("run")
    assert done.stderr.count("had succeeded before the run died") == 2
    assert sorted(ran.read_text().split()) == ["a", "a", "b", "c"]
    titles = bed.repo.git("log", "--first-parent", "--reverse", "--format=%s", "gitckpt/w").splitlines()
    ends = [
        "listed 3 items",
        "cut off each@1",
        *(f"done item {key} ({n} of 3)" for n, key in enumerate("abc", 1)),
        "done",
    ]
    assert [title.partition("each ")[2] for title in titles if "each" in title] == ends
    assert left_over(bed.root) == []


def test_items_that_were_cut_off_together_count_as_one(bed: Bed, strikes: Strikes, tmp_path: Path) -> None:
    bed.define(f"""
version: 1
workflow: w
phases:
  each:
    foreach: [a, b, c]
    max_parallel: 3
    run: |
      touch {tmp_path}/$ITEM
      . "$STRIKE_SH"
      until [ -z "${{STRIKE_AT-}}" ] || ls {tmp_path}/a {tmp_path}/b {tmp_path}/c >/dev/null 2>&1; do sleep 0.01; done
      strike each
      echo $ITEM > $ITEM
""")
    for times in (1, 2):
        for item in "abc":
            (tmp_path / item).unlink(missing_ok=True)
        strikes.killed("each", "run", group=False)
        strikes.run("checkpoint", "-m", "settled")
        assert bed.manifest.phases[PhaseName("each")].cut_offs == times
        assert bed.manifest.phases[PhaseName("each")].attempts == 3 * times


def test_a_phase_that_was_renamed_since_runs_and_what_it_did_before_is_kept_once(bed: Bed, strikes: Strikes) -> None:
    quick = "  quick: {needs: [], run: 'echo quick >> quick'}\n"
    third = "  third:\n    needs: []\n    run: |\n      echo third > third; " + WAITED.replace("{}", "quick") + "\n"
    dies(bed, strikes, quick + third, "third")
    text = (bed.root / "gitckpt.yaml").read_text()
    (bed.root / "gitckpt.yaml").write_text(text.replace("  quick:", "  fleet:"))
    strikes.run("run")
    assert (bed.lines("quick"), bed.lines("third")) == (["quick"], ["third"])
    assert refs(bed) == ["refs/gitckpt/w/attempts/slow/1", "refs/gitckpt/w/rescue/1"]


def test_another_worktree_goes_on_from_what_items_had_finished(bed: Bed, strikes: Strikes, tmp_path: Path) -> None:
    ran, other = tmp_path / "ran", tmp_path / "other"
    each = f"  each: {{needs: [], foreach: [a, b], max_parallel: 2, run: 'echo $ITEM >> {ran}; echo $ITEM > $ITEM'}}\n"
    dies(bed, strikes, each, "each.0")
    bed.repo.commit("with the workflow")
    bed.repo.git("worktree", "add", "-q", "--detach", other)
    done = bed.repo.run("run", cwd=other, env=strikes.environment)
    assert "each had succeeded before the run died" in done.stderr
    assert "a" in ran.read_text().splitlines()
    assert ran.read_text().splitlines().count("a") == 1
    assert {"a", "b", "slow"} <= {path.name for path in other.iterdir()}
    assert not [ref for ref in refs(bed) if "/finished/" in ref]


def test_undo_takes_back_no_phase_for_what_it_did_to_data(bed: Bed, strikes: Strikes) -> None:
    bed.define("version: 1\nworkflow: w\nphases:\n  one: {run: 'gitckpt state incr n; echo 1 > one'}\n")
    strikes.run("run")
    done = strikes.run("undo", ok=2)
    assert "to take back" in done.stderr
    strikes.run("state", "set", "k", "1")
    strikes.run("undo")
    assert bed.manifest.data == {"n": 1}


def test_adopt_does_not_take_what_is_merged_and_not_in_the_workspace_yet_for_removed(
    bed: Bed, strikes: Strikes
) -> None:
    wait = 'test -z "${STRIKE_AT-}" || until git log --format=%s gitckpt/w | grep -q quick; do sleep 0.02; done'
    slow = f'  slow:\n    needs: []\n    run: |\n      . "$STRIKE_SH"; {wait}; strike slow; echo slow > slow\n'
    bed.define(f"version: 1\nworkflow: w\nphases:\n  quick: {{run: 'echo quick > quick; rm kept'}}\n{slow}")
    strikes.killed("slow", "run", group=False)
    assert not (bed.root / "quick").exists()
    bed.repo.write("mine", "mine\n")
    strikes.run("adopt")
    assert (bed.lines("quick"), bed.lines("mine"), (bed.root / "kept").exists()) == (["quick"], ["mine"], False)
    strikes.run("run")
    assert bed.lines("slow") == ["slow"]
    assert left_over(bed.root) == []
