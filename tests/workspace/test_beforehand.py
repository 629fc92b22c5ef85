"""Files that are made already come into the workspace as they are, with their times; all others from the repository."""

from __future__ import annotations

import os
from pathlib import Path

from gitckpt.plumbing.content import Content
from gitckpt.workspace.become import apply, plan
from gitckpt.workspace.beforehand import Made
from tests.workspace.desk import Desk

LONG_AGO = 10**18


def two(desk: Desk) -> tuple[Content, Content]:
    """Two contents; the workspace is at the first one again."""
    desk.write("kept")
    first = desk.take().content
    desk.write("sub/made", "made\n", mode=0o750)
    desk.write("other", "other\n")
    second = desk.take().content
    desk.go(first)
    return first, second


def made_in(desk: Desk, folder: Path, first: Content, second: Content, text: str) -> Made:
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/made").write_text(text)
    os.utime(folder / "sub/made", ns=(LONG_AGO, LONG_AGO))
    changes = plan(desk.reader, first, second)
    return Made(folder, {change.path: change.new for change in changes if change.new is not None})


def test_a_file_that_is_made_keeps_its_time_and_gets_the_mode_of_the_checkpoint(desk: Desk, tmp_path: Path) -> None:
    first, second = two(desk)
    made = made_in(desk, tmp_path / "made", first, second, "made\n")
    apply(desk.root, desk.reader, plan(desk.reader, first, second), desk.load(), [made])
    found = (desk.root / "sub/made").stat()
    assert (found.st_mtime_ns, found.st_mode & 0o777) == (LONG_AGO, 0o750)
    assert (desk.root / "other").read_text() == "other\n"
    assert desk.fresh() == second


def test_a_file_that_is_to_be_another_one_is_not_taken_from_there(desk: Desk, tmp_path: Path) -> None:
    first, second = two(desk)
    made = made_in(desk, tmp_path / "made", first, second, "made\n")
    desk.write("sub/made", "newer\n", mode=0o750)
    desk.write("other", "other\n")
    third = desk.take().content
    desk.go(first)
    apply(desk.root, desk.reader, plan(desk.reader, first, third), desk.load(), [made])
    assert (desk.root / "sub/made").read_text() == "newer\n"


def test_a_folder_that_is_gone_is_no_trouble(desk: Desk, tmp_path: Path) -> None:
    first, second = two(desk)
    items = {change.path: change.new for change in plan(desk.reader, first, second) if change.new is not None}
    apply(desk.root, desk.reader, plan(desk.reader, first, second), desk.load(), [Made(tmp_path / "gone", items)])
    assert desk.fresh() == second
