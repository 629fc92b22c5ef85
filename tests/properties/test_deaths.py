"""A death at every change that a command makes: the next command finds either all of it or nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitckpt.engine.rewind import rollback
from gitckpt.model.events import AttemptCutOff, PhaseCompleted, RolledBack
from tests.properties.bench import Bench, look
from tests.properties.scripted import Scripted, dies_at

pytestmark = pytest.mark.sweep

FEWEST = 12
"""A command that made fewer changes than this was not the one that the test means."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "repo")
    yield made
    made.close()


STEPS = pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.full)])
"""Every how many changes a death comes."""


@STEPS
def test_a_rollback_that_dies_anywhere_is_finished_or_never_began(bench: Bench, step: int) -> None:
    def work(root: Path) -> None:
        (root / "made").write_text("by first\n")
        (root / "folder").mkdir()
        (root / "folder" / "deep").write_text("by first\n")

    bench.repo.write("gone", "before\n")
    bench.step(Scripted(work))
    (bench.root / "gone").unlink()
    bench.settled()
    before = bench.account()
    now, then = bench.ids[0], bench.ids[-1]
    finished = 0
    for death in range(1, 500, step):
        died = dies_at(death, lambda: _roll_back(bench, then))
        bench.settled()
        there = bench.account()
        landed = any(isinstance(event, RolledBack) for event in bench.news)
        assert there == (bench.contents[then] if landed else before)
        if not died:
            break
        if landed:
            finished += 1
            _roll_back(bench, now)
            assert bench.account() == before
    assert death > FEWEST
    assert finished > 0, "no death came between the publication and the end"


def _roll_back(bench: Bench, target: str) -> None:
    with bench.writing() as hold:
        rollback(hold, target)


@STEPS
def test_a_phase_that_dies_anywhere_happened_with_all_its_files_or_not_at_all(bench: Bench, step: int) -> None:
    def work(root: Path) -> None:
        (root / "one").write_text("1\n")
        (root / "two").write_text("2\n")
        (root / "gone").unlink()

    bench.repo.write("gone", "before\n")
    bench.step(Scripted(lambda root: None))
    before = bench.account()
    landed = set_aside = 0
    for death in range(1, 500, step):
        died = dies_at(death, lambda: bench.try_step(Scripted(work)))
        if bench.under_way():
            bench.stamp()
        bench.settled()
        there = bench.account()
        done = any(isinstance(event, PhaseCompleted) for event in bench.news)
        assert ("one" in there, "two" in there, "gone" in there) == (done, done, not done)
        set_aside += any(isinstance(event, AttemptCutOff) for event in bench.news)
        if not died:
            break
        if done:
            landed += 1
            _roll_back(bench, bench.tip.parents[0])
        assert bench.account() == before == look(bench.root)
    assert death > FEWEST
    assert set_aside > 1
    assert landed > 0
