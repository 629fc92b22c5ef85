"""Whose a change is, from facts alone."""

from __future__ import annotations

import pytest

from gitckpt.model.whose import Changed, Folder, Later, whose

TOP = Folder(changed_ns=50, written_ns=50, above=None)
LATE_TOP = Folder(changed_ns=200, written_ns=200, above=None)
MOVED = Folder(changed_ns=150, written_ns=20, above=TOP)
WRITTEN = Folder(changed_ns=150, written_ns=150, above=TOP)


@pytest.mark.parametrize(
    ("folder", "changed_ns", "is_users"),
    [
        (TOP, 100, False),  # in the very moment of the stamp
        (TOP, 101, True),
        (LATE_TOP, 99, False),  # a new neighbour makes no file new
        (MOVED, 10, True),
        (WRITTEN, 10, False),
        (Folder(changed_ns=10, written_ns=10, above=MOVED), 10, True),
        (Folder(changed_ns=10, written_ns=10, above=WRITTEN), 10, False),
    ],
)
def test_what_is_there_is_the_users_when_it_or_a_folder_above_came_later(
    folder: Folder, changed_ns: int, is_users: bool
) -> None:
    found = whose([Changed(path=b"a", changed_ns=changed_ns, folder=folder)], Later(100))
    assert found == ({b"a"} if is_users else set())


@pytest.mark.parametrize(
    ("folder", "others_ns", "is_users"),
    [
        (TOP, 0, False),
        (LATE_TOP, 0, True),
        (LATE_TOP, 100, True),  # what the attempt made there says nothing about a later change
        (LATE_TOP, 200, False),  # a name that came later: it may be all that changed the folder
    ],
)
def test_what_is_gone_is_the_users_only_where_nothing_else_tells_why_its_folder_changed(
    folder: Folder, others_ns: int, is_users: bool
) -> None:
    gone = Changed(path=b"a", changed_ns=None, folder=folder, others_ns=others_ns)
    assert whose([gone], Later(100)) == ({b"a"} if is_users else set())


def test_what_is_gone_is_the_users_where_the_same_file_is_now_elsewhere_by_the_user() -> None:
    gone = Changed(path=b"a", changed_ns=None, folder=LATE_TOP, others_ns=200, moved_to=b"b")
    late = Changed(path=b"b", changed_ns=200, folder=LATE_TOP)
    early = Changed(path=b"b", changed_ns=90, folder=LATE_TOP)
    assert whose([gone, late], Later(100)) == {b"a", b"b"}
    assert whose([gone, early], Later(100)) == set()


def test_all_or_nothing_can_be_the_users_whatever_the_times_say() -> None:
    each = [Changed(path=b"a", changed_ns=1, folder=TOP), Changed(path=b"b", changed_ns=None, folder=TOP)]
    assert whose(each, "all") == {b"a", b"b"}
    assert whose(each, "nothing") == set()


@pytest.mark.parametrize(
    ("folder", "as_before", "is_users"),
    [
        (TOP, False, True),
        (Folder(changed_ns=90, written_ns=90, above=TOP), False, True),  # written to, and where it was
        (Folder(changed_ns=90, written_ns=20, above=Folder(changed_ns=95, written_ns=95, above=None)), False, False),
        (Folder(changed_ns=90, written_ns=20, above=Folder(changed_ns=95, written_ns=95, above=None)), True, True),
    ],
)
def test_what_is_older_than_the_attempt_is_the_users_unless_it_may_have_been_moved_here(
    folder: Folder, as_before: bool, is_users: bool
) -> None:
    each = Changed(path=b"a/b", changed_ns=59, folder=folder, as_before=as_before)
    assert whose([each], Later(100, 60)) == ({b"a/b"} if is_users else set())
    assert whose([each], Later(100)) == set()


def test_what_rules_of_the_attempt_have_captured_is_not_the_users() -> None:
    older = [Changed(path=path, changed_ns=10, folder=TOP) for path in (b"a/log", b"log")]
    rules = Changed(path=b"a/.gitignore", changed_ns=90, folder=TOP)
    assert whose([*older, rules], Later(100, 60)) == {b"log"}
    mine = Changed(path=b"a/.gitignore", changed_ns=110, folder=TOP)
    assert whose([*older, mine], Later(100, 60)) == {b"log", b"a/log", b"a/.gitignore"}
