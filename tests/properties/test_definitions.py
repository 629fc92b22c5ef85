"""A workflow file that changes at an awkward moment: its new phases are found at the next run all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitckpt.engine.requests import Request, RequestRefused, event_of
from gitckpt.engine.rewind import adopt, rollback
from gitckpt.model.events import Redefined
from gitckpt.model.manifest import Json
from gitckpt.model.moment import Verdict
from tests.properties.bench import FILE, Bench, definition
from tests.properties.scripted import Scripted, dies_at


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "repo")
    yield made
    made.close()


def nothing(root: Path) -> None:
    """An attempt that changes no file."""


def step(bench: Bench) -> str:
    """One phase of a run; which."""
    executor = Scripted(nothing)
    bench.step(executor)
    bench.account()
    bench.knows_todays_order()
    return executor.began[0][0]


def die_in_an_attempt(bench: Bench) -> None:
    """Kill a run at the first change that its phase makes."""

    for change in range(10, 200):
        dies_at(change, lambda: bench.try_step(Scripted(nothing)))
        if bench.under_way():
            bench.stamp()
            return
    raise AssertionError("no run died within an attempt")


def test_a_file_that_changes_while_a_run_lies_dead_is_taken_in_by_the_next(bench: Bench) -> None:
    assert step(bench) == "first"
    die_in_an_attempt(bench)
    bench.repo.write(FILE, definition("first", "fourth", "second", "third"))
    assert step(bench) == "fourth"
    redefined = [e for c in bench.checkpoints.values() for e in c.events if isinstance(e, Redefined)]
    assert [event.order for event in redefined] == [("first", "fourth", "second", "third")]


def test_a_file_that_changes_with_an_adoption_is_taken_in_by_the_next_run(bench: Bench) -> None:
    assert step(bench) == "first"
    bench.repo.write(FILE, definition("fourth"))
    with bench.writing() as hold:
        adopt(hold, None)
    assert step(bench) == "fourth"


def test_a_rollback_brings_the_file_and_its_phases_back(bench: Bench) -> None:
    assert step(bench) == "first"
    then = bench.tip.oid
    bench.repo.write(FILE, definition("fourth"))
    assert step(bench) == "fourth"
    with bench.writing() as hold:
        rollback(hold, then)
    assert step(bench) == "second"


def test_a_phase_that_leaves_the_file_and_comes_back_is_as_it_was(bench: Bench) -> None:
    assert step(bench) == "first"
    bench.repo.write(FILE, definition("second"))
    assert step(bench) == "second"
    bench.repo.write(FILE, definition("first", "second", "fourth"))
    executor = Scripted(nothing)
    assert bench.step(executor).verdict is Verdict.COMPLETE
    assert [name for name, _, _ in executor.began] == ["fourth"]


@pytest.mark.parametrize("value", [[float("inf")], {"a": float("nan")}, "\udcff", ["\ud800"], {"\ud800": 1}])
def test_a_value_that_could_not_be_stored_is_refused_before_anything_is_written(value: Json) -> None:
    with pytest.raises(RequestRefused, match="cannot be stored"):
        event_of(Request(verb="set", key="k", value=value), "now")
    with pytest.raises(RequestRefused, match="cannot be stored"):
        event_of(Request(verb="checkpoint", text="\udcff"), "now")
