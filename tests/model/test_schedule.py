"""Who gets a view of its own, and in which order results come into the history."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitckpt.model.schedule import Flying, Plan, jobs, may_land
from gitckpt.model.workflow import Phase, Workflow, order
from tests.model.made import name, phase, workflow
from tests.model.scheduled import THREE, gate, having, in_group, items, workflows


def in_view(whole: Workflow, most: int = 4) -> set[str]:
    plan = Plan.of(whole, most)
    return {each.name for each in whole.phases if plan.isolated(each.name)}


# How many at once


def test_as_many_run_at_once_as_the_command_says_else_the_file_else_the_machine() -> None:
    plain = workflow(phase("a"), items("b", most=2))
    assert jobs(plain, None, cores=1) == 4
    assert jobs(plain, None, cores=16) == 16
    assert jobs(workflow(phase("a"), items("b", most=32)), None, cores=16) == 32
    limited = replace(plain, max_parallel=3)
    assert jobs(limited, None, cores=16) == 3
    assert jobs(limited, 9, cores=16) == 9
    assert jobs(limited, 1, cores=16) == 1


# Ranks and ancestors


def test_the_rank_is_the_position_in_the_order() -> None:
    whole = workflow(phase("join", "left", "right"), phase("left"), phase("right"), phase("last", "join"))
    plan = Plan.of(whole, 4)
    assert [plan.rank(each) for each in order(whole)] == [0, 1, 2, 3]
    with pytest.raises(KeyError):
        plan.rank(name("nobody"))


def test_ancestors_are_found_through_others_and_do_not_hold_the_phase_itself() -> None:
    plan = Plan.of(workflow(phase("a"), phase("b", "a"), phase("c"), phase("d", "b", "c"), phase("e")), 4)
    assert plan.ancestors(name("d")) == {"a", "b", "c"}
    assert plan.ancestors(name("b")) == {"a"}
    assert plan.ancestors(name("a")) == plan.ancestors(name("e")) == frozenset()


# Views


def test_phases_that_need_each_other_in_one_line_run_in_the_workspace_itself() -> None:
    assert in_view(workflow(phase("a"), phase("b", "a"), phase("c", "b"))) == set()
    assert in_view(workflow(phase("a"))) == set()


def test_phases_that_can_run_beside_each_other_get_views_and_those_before_and_after_them_none() -> None:
    diamond = workflow(phase("top"), phase("left", "top"), phase("right", "top"), phase("join", "left", "right"))
    assert in_view(diamond) == {"left", "right"}
    assert in_view(diamond, most=1) == set()
    beside_two = workflow(phase("a"), phase("b", "a"), phase("aside"))
    assert in_view(beside_two) == {"a", "b", "aside"}


def test_a_gate_has_no_view_and_is_no_company() -> None:
    assert in_view(workflow(phase("a"), gate("ok"), phase("b", "a"))) == set()


def test_items_side_by_side_get_views_also_without_another_phase() -> None:
    assert in_view(workflow(phase("a"), items("b", "a", most=2), phase("c", "b"))) == {"b"}
    assert in_view(workflow(items("b", most=1))) == in_view(workflow(items("b"))) == set()
    assert in_view(workflow(items("b", most=2)), most=1) == set()


def test_what_a_phase_says_of_its_isolation_counts_whatever_can_run_beside_it() -> None:
    line = workflow(having(phase("a"), "overlay"), having(phase("b", "a"), "copy"), phase("c", "b"))
    assert in_view(line) == in_view(line, most=1) == {"a", "b"}
    beside = workflow(having(phase("a"), "none"), phase("b"), phase("c"))
    assert in_view(beside) == {"b", "c"}
    assert in_view(workflow(items("a", most=8, isolation="none"))) == set()


def test_a_phase_that_runs_alone_is_no_company_for_another() -> None:
    assert in_view(workflow(having(phase("a"), "none"), phase("b"))) == set()
    assert in_view(workflow(having(phase("a"), "overlay"), phase("b"))) == {"a", "b"}


def test_phases_of_one_group_are_no_company_for_each_other() -> None:
    assert in_view(workflow(in_group(phase("a")), in_group(phase("b")))) == set()
    assert in_view(workflow(in_group(phase("a")), in_group(phase("b"), "other"))) == {"a", "b"}
    assert in_view(workflow(in_group(phase("a")), in_group(phase("b")), phase("c"))) == {"a", "b", "c"}
    assert in_view(workflow(in_group(items("a", most=2)), in_group(phase("b")))) == {"a"}


def test_items_run_at_once_as_their_phase_says_up_to_all_jobs_and_one_by_one_in_the_workspace_itself() -> None:
    whole = workflow(
        items("three", most=3),
        items("many", most=100),
        items("one"),
        items("alone", most=3, isolation="none"),
        phase("p"),
    )
    plan = Plan.of(whole, 8)
    assert [plan.items_at_once(each.name) for each in whole.phases] == [3, 8, 1, 1, 1]
    assert [Plan.of(whole, 1).items_at_once(each.name) for each in whole.phases] == [1, 1, 1, 1, 1]


def by_the_book(whole: Workflow, made: Phase, most: int) -> bool:
    """Whether a phase has a view, as the documentation says it, slowly."""
    if made.gate is not None or made.isolation != "auto":
        return made.gate is None and made.isolation != "none"
    plan = Plan.of(whole, most)
    company = [
        other
        for other in whole.phases
        if other.name != made.name
        and other.gate is None
        and other.isolation != "none"
        and other.name not in plan.ancestors(made.name)
        and made.name not in plan.ancestors(other.name)
        and (other.concurrency is None or other.concurrency != made.concurrency)
    ]
    return most > 1 and (bool(company) or (made.foreach is not None and (made.max_parallel or 1) > 1))


@given(workflows(), st.integers(1, 4))
def test_views_are_those_of_the_documentation_for_any_workflow(whole: Workflow, most: int) -> None:
    assert in_view(whole, most) == {each.name for each in whole.phases if by_the_book(whole, each, most)}


@pytest.mark.parametrize("shape", ["line", "wide", "layers"])
def test_a_plan_of_two_thousand_phases_is_made_in_a_moment(shape: str) -> None:
    def needs(index: int) -> range:
        row = index // 50 * 50
        above = {"line": (max(0, index - 1), index), "wide": (0, 0), "layers": (max(0, row - 50), row)}
        return range(*above[shape])

    whole = workflow(*(phase(f"p{index}", *(f"p{need}" for need in needs(index))) for index in range(2_000)))
    began = time.process_time()
    plan = Plan.of(whole, 8)
    assert time.process_time() - began < 1.0
    assert plan.isolated(name("p1999")) is (shape != "line")
    assert len(plan.ancestors(name("p1999"))) == {"line": 1_999, "wide": 0, "layers": 1_950}[shape]


# The order of landing


def test_results_land_in_the_workflows_order_whichever_is_finished_first() -> None:
    plan = Plan.of(THREE, 4)
    a, b, c = (Flying(name(each)) for each in "abc")
    assert may_land(plan, a, [a, b, c])
    assert may_land(plan, a, [])
    assert not may_land(plan, b, [a])
    assert not may_land(plan, c, [c, b])
    assert may_land(plan, c, [c])


def test_items_land_by_their_place_and_what_closes_them_after_them() -> None:
    plan = Plan.of(workflow(phase("a"), items("b", most=3), phase("c")), 4)
    b = name("b")
    assert may_land(plan, Flying(b, 0), [Flying(b, 0), Flying(b, 5), Flying(b), Flying(name("c"))])
    assert not may_land(plan, Flying(b, 5), [Flying(b, 0)])
    assert not may_land(plan, Flying(b), [Flying(b, 9)])
    assert not may_land(plan, Flying(b, 0), [Flying(name("a"))])
    assert not may_land(plan, Flying(name("c")), [Flying(b, 9)])


def test_the_order_in_the_history_is_the_same_for_every_order_of_ends() -> None:
    whole = workflow(phase("a"), items("b", most=3), phase("c"))
    plan = Plan.of(whole, 8)
    every = [Flying(name("a")), Flying(name("b"), 0), Flying(name("b"), 2), Flying(name("c"))]
    for ends in permutations(every):
        live, finished, landed = list(every), list[Flying](), list[Flying]()
        for ended in ends:
            finished.append(ended)
            while (lands := next((each for each in finished if may_land(plan, each, live)), None)) is not None:
                finished.remove(lands)
                live.remove(lands)
                landed.append(lands)
        assert landed == every
