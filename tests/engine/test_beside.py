"""What several attempts under way do at once to `data`, to a budget, to each other's starts: it fits, or it is said."""

from __future__ import annotations

import sys

import pytest

from gitckpt.model.manifest import Status, state_of
from gitckpt.model.moment import Verdict
from gitckpt.model.names import PhaseName
from tests.engine.bed import Bed
from tests.engine.beside import asked, changed, history, left_over
from tests.repo import Repo

pytestmark = pytest.mark.sweep

GITCKPT = f"{sys.executable} -m gitckpt"
FIRST = "  first: {run: 'for _ in $(seq 500); do test -e ../go && break; sleep 0.01; done; echo 1 > first'}\n"
"""Comes before the others in the workflow, and ends when one of them says so."""


@pytest.fixture
def bed(repo: Repo) -> Bed:
    repo.write("same", "as it was\n")
    repo.commit()
    return Bed(repo)


def phases(bed: Bed, text: str, **more: str) -> None:
    """A workflow of these phases, `gitckpt` being the one that is tested and `OUT` the folder above the repository."""
    lines = text.replace("gitckpt ", f"{GITCKPT} ").replace("../", f"{bed.root.parent}/")
    bed.define(f"version: 1\nworkflow: w\nphases:\n{lines}", **more)


def status(bed: Bed, name: str) -> Status:
    return state_of(bed.manifest, PhaseName(name)).status


def kept(bed: Bed, attempt: str) -> str:
    """The commit of what an attempt left."""
    return asked(bed.root, "rev-parse", f"refs/gitckpt/w/attempts/{attempt}").decode().strip()


def test_a_phase_sees_the_data_of_what_it_needs_also_before_that_is_merged(bed: Bed) -> None:
    sets = "  sets: {needs: [], run: 'gitckpt state set k 7'}\n"
    reads = "  reads: {needs: [sets], run: 'gitckpt state get k > k; gitckpt state incr k; touch ../go'}\n"
    phases(bed, FIRST + sets + reads)
    bed.completes()
    assert bed.lines("k") == ["7"]
    assert bed.manifest.data == {"k": 8}


@pytest.mark.sweep
def test_data_that_is_changed_in_ways_that_do_not_fit_is_refused_to_the_second(bed: Bed) -> None:
    wait, until = (f"for _ in $(seq 500); do test -e ../{name} && break; sleep 0.01; done" for name in ("one", "two"))
    adds = f"  adds: {{run: 'gitckpt state incr k; touch ../one; {until}'}}\n"
    lists = f"  lists: {{needs: [], run: '{wait}; ! gitckpt state append k x 2> ../said; touch ../two'}}\n"
    phases(bed, adds + lists)
    bed.completes()
    assert "adds has just changed it" in bed.lines("../said")[0]
    assert bed.manifest.data == {"k": 1}
    assert status(bed, "adds") is Status.COMPLETED


def test_data_that_fits_no_more_when_its_turn_comes_fails_the_phase_and_nothing_else(bed: Bed) -> None:
    counts = (
        "  counts: {run: 'for _ in $(seq 500); do test -e ../go && break; sleep 0.01; done', counters: {k: 'echo 5'}}\n"
    )
    lists = "  lists: {needs: [], run: 'gitckpt state append k x; echo 1 > made; touch ../go'}\n"
    phases(bed, counts + lists)
    bed.fails("is not a list")
    assert bed.manifest.data == {"k": 5}
    assert status(bed, "counts") is Status.COMPLETED
    assert changed(bed.root, [kept(bed, "lists/1")]) == {kept(bed, "lists/1"): {"made"}}
    assert not (bed.root / "made").exists()


def test_what_has_succeeded_and_waits_to_be_merged_cannot_be_skipped(bed: Bed) -> None:
    merged = "until git rev-parse -q --verify refs/gitckpt/w/finished/quick >/dev/null; do sleep 0.01; done"
    slow = f"  slow: {{run: '{merged}; ! gitckpt skip quick 2> ../said'}}\n"
    phases(bed, slow + "  quick: {needs: [], run: 'echo 1 > quick'}\n")
    bed.completes()
    assert "waits to be merged" in bed.lines("../said")[0]
    assert status(bed, "quick") is Status.COMPLETED


def test_nothing_begins_on_something_it_needs_that_cannot_be_merged(bed: Bed) -> None:
    sooner = "  sooner: {run: 'echo sooner > same'}\n"
    clashes = "  clashes: {needs: [], run: 'sleep 0.3; echo clashes > same; touch ../go'}\n"
    after = "  after: {needs: [clashes], run: 'touch ../after'}\n"
    phases(bed, sooner + FIRST + clashes + after)
    assert bed.run().verdict is Verdict.CONFLICT
    assert not (bed.root.parent / "after").exists()
    assert status(bed, "after") is Status.PENDING
    assert left_over(bed.root) == []


@pytest.mark.sweep
def test_what_a_failed_phase_leaves_for_its_next_try_stays_out_where_it_clashes(bed: Bed) -> None:
    sooner = "  sooner: {run: 'echo sooner > same'}\n"
    run = 'sleep 0.3; echo "$GITCKPT_ATTEMPT" > same; test "$GITCKPT_ATTEMPT" -gt 2'
    parts = f"  parts: {{needs: [], keep_partial: true, run: '{run}', retry: {{max: 2, delay: 1ms}}}}\n"
    phases(bed, sooner + parts)
    bed.completes()
    tries = [kept(bed, "parts/1"), kept(bed, "parts/2")]
    assert changed(bed.root, tries) == {name: {"same"} for name in tries}
    assert asked(bed.root, "show", f"{tries[0]}:same") == b"1\n"
    assert bed.lines("same") == ["3"]


@pytest.mark.parametrize("kind", ["overlay", "copy"])
def test_a_file_that_was_in_a_checkpoint_of_its_phase_and_is_removed_since_is_gone(bed: Bed, kind: str) -> None:
    run = "echo 1 > made; echo 1 > stays; gitckpt checkpoint -m half; rm made"
    phases(bed, f"  one: {{isolation: {kind}, run: '{run}'}}\n")
    bed.completes()
    assert not (bed.root / "made").exists()
    assert changed(bed.root, [history(bed.root)[-1].oid]).popitem()[1] == {"made"}


def test_items_side_by_side_keep_to_the_budget(bed: Bed) -> None:
    each = "  each: {foreach: [a, b, c, d, e, f, g], max_parallel: 3, budget: {items: 4}, run: 'sleep 0.05'}\n"
    phases(bed, each)
    assert bed.run().verdict is Verdict.STOPPED
    assert bed.counts()[0] == 4
