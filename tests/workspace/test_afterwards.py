"""What the stat cache knows after a restore: enough to read little again, and never too much."""

from __future__ import annotations

from gitckpt.workspace.times import ctime_now
from tests.workspace.desk import Desk


def test_an_edit_in_the_tick_of_a_restore_is_seen(desk: Desk) -> None:
    desk.write("a", "1\n")
    first = desk.take().content
    for turn in range(20):
        path = desk.write("a", "2\n")
        desk.take()
        desk.go(first)
        path.write_text(f"{turn % 10}\n")  # of the same size
        assert (desk.take().content == first) is (turn % 10 == 1)


def test_a_restore_of_much_returns_after_the_tick_it_wrote_in(desk: Desk) -> None:
    path = desk.write("a", "1" * (2 << 20))
    first = desk.take().content
    desk.write("a", "2\n")
    desk.take()
    desk.go(first)
    assert ctime_now(desk.root) > path.stat().st_ctime_ns


def test_of_a_big_folder_only_the_entries_that_changed_are_renewed(desk: Desk) -> None:
    for number in range(50):
        desk.write(f"d/{number:02}", f"{number}\n")
    first = desk.take().content
    desk.write("d/07", "seven\n")
    desk.write("d/new", "new\n")
    second = desk.take().content
    desk.write("d/31", "one\n")
    third = desk.take().content
    before = desk.load().folders[b"d"].names
    desk.go(second)
    assert desk.load().folders[b"d"].names == before, "in their order"
    assert desk.take().content == second
    for content in (first, third, second, first):
        desk.go(content)
        assert desk.take().content == content
