"""The graph of commits, drawn from names alone: as git draws it."""

from __future__ import annotations

from gitckpt.cli.graph import draw


def drawn(*commits: tuple[str, str]) -> list[str]:
    """`("B", "A b")`: the commit B builds on A and b. Each line with the commit's name behind its mark."""
    art = draw([(name, parents.split(), "*") for name, parents in commits])
    lines = []
    for (name, _), each in zip(commits, art, strict=True):
        lines += [f"{each.line} {name}", *each.after]
    return lines


def test_one_after_the_other_is_one_lane() -> None:
    assert drawn(("C", "B"), ("B", "A"), ("A", "")) == ["* C", "* B", "* A"]


def test_a_merge_opens_a_lane_that_ends_where_both_began() -> None:
    assert drawn(("M", "A a"), ("a", "A"), ("A", "")) == ["* M", "|\\", "| * a", "|/", "* A"]


def test_lanes_that_lead_to_the_same_commit_come_together_at_once() -> None:
    assert drawn(("B", "A b"), ("b", "R"), ("A", "R a"), ("a", "R"), ("R", "")) == [
        *("* B", "|\\", "| * b"),
        *("* | A", "|\\ \\", "| |/", "|/|", "| * a", "|/", "* R"),
    ]


def test_a_lane_crosses_those_between() -> None:
    near = drawn(("M", "L m"), ("L", "K l"), ("l", "J"), ("m", "K"), ("K", "J"), ("J", ""))
    assert near[5:] == ["| | * m", "| |/", "|/|", "* | K", "|/", "* J"]
    far = drawn(
        *(("E", "D e"), ("D", "C d"), ("C", "B c"), ("B", "R"), ("c", "X"), ("d", "Y")),
        *(("e", "R"), ("X", "R"), ("Y", "R"), ("R", "")),
    )
    assert far[far.index("| | | * e") :] == [
        *("| | | * e", "| |_|/", "|/| |", "| * | X", "|/ /", "| * Y", "|/", "* R"),
    ]


def test_what_nothing_builds_on_stands_in_a_lane_of_its_own() -> None:
    """Checkpoints that a rollback took back."""
    assert drawn(("5", "2"), ("4", "3"), ("3", "2"), ("2", "1"), ("1", "")) == [
        *("* 5", "| * 4", "| * 3", "|/", "* 2", "* 1"),
    ]


def test_a_commit_that_joins_several_opens_a_lane_for_each() -> None:
    assert drawn(("S", "R a b"), ("a", "R"), ("b", "R"), ("R", "")) == [
        *("* S", "|\\", "|\\ \\", "| * | a", "|/ /", "| * b", "|/", "* R"),
    ]


def test_a_history_that_is_cut_leaves_its_lanes_open() -> None:
    assert drawn(("M", "A a"), ("a", "older")) == ["* M", "|\\", "| * a"]


def test_a_root_beside_others_lets_them_move_up() -> None:
    assert drawn(("A", ""), ("b", "B"), ("B", "")) == ["* A", "* b", "* B"]
