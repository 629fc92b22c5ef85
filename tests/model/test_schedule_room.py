"""What may begin beside what is in flight, and for whom what is free is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitckpt.model.names import PhaseName
from gitckpt.model.schedule import Flying, Plan, Room
from gitckpt.model.workflow import Workflow, order
from tests.model.made import name, phase, workflow
from tests.model.scheduled import THREE, asking, having, in_group, items, workflows


def room(
    whole: Workflow,
    *in_flight: Flying | str,
    most: int = 4,
    totals: Mapping[str, int] | None = None,
    held: Mapping[str, str] | None = None,
) -> Room:
    flying = [each if isinstance(each, Flying) else Flying(name(each)) for each in in_flight]
    return Room.of(Plan.of(whole, most), flying, totals or {}, held or {})


def says(there: Room, text: str) -> str | None:
    return there.refuses(name(text))


def test_no_more_than_all_jobs_run() -> None:
    assert says(room(THREE, "a", most=2), "b") is None
    assert says(room(THREE, "a", "c", most=2), "b") == "2 of 2 attempts run"
    whole = workflow(items("a", most=9), phase("b"))
    flying = [Flying(name("a"), index) for index in range(3)]
    assert says(room(whole, *flying, most=3), "b") == "3 of 3 attempts run"


def test_a_phase_runs_once_and_its_items_as_often_as_it_says() -> None:
    assert says(room(THREE, "a"), "a") == "a runs"
    whole = workflow(items("a", most=2), items("b"))
    assert says(room(whole, Flying(name("a"), 0)), "a") is None
    assert says(room(whole, Flying(name("a"), 0), Flying(name("a"), 5)), "a") == "2 of 2 groups of items of a run"
    assert says(room(whole, Flying(name("a"))), "a") == "a runs"
    assert says(room(whole, Flying(name("b"), 3)), "b") == "b runs"


def test_what_runs_in_the_workspace_itself_runs_alone() -> None:
    whole = workflow(having(phase("here"), "none"), phase("b"), phase("c"))
    assert says(room(whole), "here") is None
    assert says(room(whole, "b"), "here") == "here runs in the workspace itself, alone, and b runs"
    assert says(room(whole, "here"), "b") == "here runs in the workspace itself, alone"


def test_one_that_waits_to_be_alone_holds_back_all_that_come_after_it() -> None:
    whole = workflow(phase("a"), having(phase("here"), "none"), phase("b"))
    there = room(whole, "a")
    assert says(there, "b") is None
    assert says(there.reserve(name("here")), "b") == "here comes first, and runs in the workspace itself, alone"


def test_phases_of_one_group_never_run_at_once_in_this_run() -> None:
    whole = workflow(in_group(phase("migrate")), in_group(phase("deploy")), phase("docs"), in_group(phase("x"), "net"))
    there = room(whole, "migrate")
    assert says(there, "deploy") == "deploy is in the concurrency group db, and migrate runs"
    assert says(there, "docs") is says(there, "x") is None


def test_items_of_a_phase_in_a_group_run_side_by_side() -> None:
    whole = workflow(in_group(items("a", most=2)), in_group(phase("b")))
    there = room(whole, Flying(name("a"), 0))
    assert says(there, "a") is None
    assert says(there.reserve(name("a")), "a") is None
    assert says(there, "b") is not None


def test_a_group_that_another_run_has_is_waited_for_and_nothing_is_kept_meanwhile() -> None:
    whole = replace(
        workflow(asking(in_group(phase("deploy")), gpu=1), asking(phase("train"), gpu=1), in_group(phase("migrate"))),
        resources={"gpu": 1},
    )
    there = room(whole, held={"db": "the run of nightly (pid 12)"})
    assert says(there, "deploy") == "deploy is in the concurrency group db, which the run of nightly (pid 12) has"
    assert there.reserve(name("deploy")) == there
    assert says(there, "train") is None
    assert says(there, "migrate") is not None
    alone = workflow(in_group(having(phase("here"), "none")), phase("b"), phase("c"))
    other = room(alone, "c", held={"db": "nightly"})
    assert says(other.reserve(name("here")), "b") is None


def test_a_group_is_kept_for_the_first_that_waits() -> None:
    whole = replace(
        workflow(asking(phase("train"), gpu=1), asking(in_group(phase("deploy")), gpu=1), in_group(phase("migrate"))),
        resources={"gpu": 1},
    )
    there = room(whole, "train")
    assert says(there, "migrate") is None
    kept = there.reserve(name("deploy"))
    assert says(kept, "migrate") == "migrate is in the concurrency group db, and deploy comes first"


def test_of_several_that_wait_for_the_same_the_first_is_named() -> None:
    phases = (asking(in_group(phase(each)), gpu=1) for each in ("one", "two", "three"))
    whole = replace(workflow(asking(phase("train"), gpu=1), *phases), resources={"gpu": 1})
    kept = room(whole, "train").reserve(name("one")).reserve(name("two"))
    assert says(kept, "three") == "three is in the concurrency group db, and one comes first"
    whole = replace(
        workflow(asking(phase("a"), gpu=2), *(asking(phase(each), gpu=3) for each in "bc"), asking(phase("d"), gpu=1)),
        resources={"gpu": 3},
    )
    assert says(room(whole, "a").reserve(name("b")).reserve(name("c")), "d") == "gpu is kept for b"


def test_resources_are_taken_by_each_attempt_and_free_when_it_ends() -> None:
    whole = replace(
        workflow(asking(items("train", most=9), gpu=1), asking(phase("judge"), gpu=2), phase("docs")),
        resources={"gpu": 2},
    )
    one, two = Flying(name("train"), 0), Flying(name("train"), 1)
    assert says(room(whole), "judge") is None
    assert says(room(whole, one), "train") is None
    assert says(room(whole, one), "judge") == "gpu is in use by train"
    assert says(room(whole, one, two), "train") == "gpu is in use by train"
    assert says(room(whole, "judge"), "train") == "gpu is in use by judge"
    assert says(room(whole, one, two), "docs") is None


def test_one_that_waits_for_a_resource_is_not_overtaken_by_those_that_ask_for_less() -> None:
    whole = replace(
        workflow(
            asking(phase("a"), gpu=3),
            asking(phase("large"), gpu=2, scratch=60),
            asking(phase("small"), gpu=1),
            asking(phase("tidy"), scratch=50),
            asking(phase("tiny"), scratch=40),
        ),
        resources={"gpu": 4, "scratch": 100},
    )
    there = room(whole, "a")
    assert says(there, "small") is None
    assert says(there, "large") == "gpu is in use by a"
    kept = there.reserve(name("large"))
    assert says(kept, "small") == "gpu is kept for large"
    assert says(kept, "tidy") == "scratch is kept for large"
    assert says(kept, "tiny") is None


def test_the_machines_own_resources_are_as_large_as_is_told_and_the_file_goes_before() -> None:
    whole = workflow(asking(phase("a"), memory=6), asking(phase("b"), memory=6), asking(phase("c"), memory=2))
    assert says(room(whole, "a", totals={"memory": 8}), "b") == "memory is in use by a"
    assert says(room(whole, "a", totals={"memory": 8}), "c") is None
    assert says(room(whole, "a"), "b") is None
    declared = replace(whole, resources={"memory": 12})
    assert says(room(declared, "a", totals={"memory": 8}), "b") is None
    assert says(room(declared, "a", "b", totals={"memory": 99}), "c") == "memory is in use by a, b"


def test_one_that_asks_for_more_than_the_machine_has_runs_while_nobody_else_asks_for_any() -> None:
    whole = workflow(asking(phase("huge"), cpu=64), asking(phase("b"), cpu=1), phase("c"), asking(phase("d"), cpu=99))
    machine = {"cpu": 2}
    assert says(room(whole, totals=machine), "huge") is None
    assert says(room(whole, "c", totals=machine), "huge") is None
    assert says(room(whole, "b", totals=machine), "huge") == "cpu is in use by b"
    assert says(room(whole, "huge", totals=machine), "b") == "cpu is in use by huge"
    assert says(room(whole, "huge", totals=machine), "c") is None
    assert says(room(whole, "b", totals=machine).reserve(name("huge")), "d") == "cpu is in use by b"
    assert says(room(whole, "c", totals=machine).reserve(name("huge")), "b") == "cpu is kept for huge"


def test_a_phase_that_the_plan_does_not_know_is_an_error_of_the_caller() -> None:
    with pytest.raises(KeyError):
        says(room(THREE), "nobody")
    with pytest.raises(KeyError):
        room(THREE, "nobody")


# A whole run of it


def begun(there: Room, ready: list[PhaseName]) -> PhaseName | None:
    """The first phase that may begin, asked in order with what waits reserved for."""
    for each in ready:
        if there.refuses(each) is None:
            return each
        there = there.reserve(each)
    return None


def check_beside(whole: Workflow, plan: Plan, flying: list[Flying], totals: Mapping[str, int]) -> None:
    made = [plan.phases[each.phase] for each in flying]
    assert len(flying) <= plan.jobs
    assert len(flying) == 1 or all(plan.isolated(each.name) for each in made)
    for group in ("db", "net"):
        assert len({each.name for each in made if each.concurrency == group}) <= 1
    for resource, total in {**totals, **whole.resources}.items():
        asked = [each.resources[resource] for each in made if resource in each.resources]
        assert sum(asked) <= total or len(asked) == 1


@given(workflows(), st.integers(1, 4), st.randoms(use_true_random=False))
def test_everything_runs_once_within_its_limits_whichever_ends_first(whole: Workflow, most: int, dice: Random) -> None:
    plan, totals = Plan.of(whole, most), {"memory": 2, "cpu": 4}
    left = {each.name: 3 if each.foreach else 1 for each in whole.phases}
    flying: list[Flying] = []
    done: set[PhaseName] = set()
    first_waits: dict[PhaseName, int] = {}
    while len(done) < len(left):
        running = {each.phase for each in flying}
        ready = [each for each in order(whole) if left[each] and done.issuperset(plan.phases[each].needs)]
        chosen = begun(Room.of(plan, flying, totals, {}), ready)
        if chosen is not None:
            first = 3 - left[chosen] if plan.phases[chosen].foreach else None
            left[chosen] -= 1
            flying.append(Flying(chosen, first))
            check_beside(whole, plan, flying, totals)
            first_waits = {each: count for each, count in first_waits.items() if plan.rank(each) < plan.rank(chosen)}
        else:
            assert flying, "nothing runs and nothing may begin"
            if ready and ready[0] not in running:
                first_waits[ready[0]] = first_waits.get(ready[0], 0) + 1
                # What was in flight when it had to wait ends one by one, and nothing that comes after it delays it.
                assert first_waits[ready[0]] <= plan.jobs
            ended = flying.pop(dice.randrange(len(flying)))
            if not left[ended.phase] and all(each.phase != ended.phase for each in flying):
                done.add(ended.phase)
