"""The attempts of `views.py` by name, with what each must leave to be brought to the workspace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.workspace import views


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`before` adds to the workspace, `change` is what the attempt does.

    `hidden` is what must be listed, if it says.
    """

    change: Callable[[Path], object]
    before: Callable[[Path], object] | None = None
    hidden: tuple[bytes, ...] | None = None
    prefix: str = ""
    group: Literal["own", "torture"] = "own"


SCENARIOS = {
    "nothing": Scenario(change=views.nothing, hidden=()),
    "touched but equal": Scenario(change=views.touched, hidden=()),
    "edits": Scenario(change=views.edits, hidden=()),
    "modes": Scenario(change=views.modes, hidden=()),
    "a folder made again": Scenario(change=views.folder_again),
    "one kind for another": Scenario(change=views.swaps),
    "another kind and back": Scenario(change=views.file_and_back, hidden=()),
    "odd names": Scenario(change=views.odd_names, hidden=()),
    "a socket": Scenario(change=views.sockets, hidden=()),
    "a nested commit": Scenario(change=views.nested_commit, hidden=()),
    "a nested repository removed": Scenario(change=views.nested_removed, hidden=()),
    "ignored files": Scenario(
        change=views.ignored_files,
        hidden=(
            b"run.log", b"new.log", b"build/one", b"build/three", b"d/e/old.log", b"n/build", b"node_modules",
            b"scratch", b"d/o.tmp", b"d/n.tmp",
        ),
    ),
    "ignored files removed": Scenario(
        change=views.ignored_removed,
        hidden=(b"build/one", b"build/sub/two", b"ig/deep/b.o", b"d/e/old.log", b"d/n.tmp", b"run.log"),
    ),
    "ignored folders made again": Scenario(
        change=views.ignored_anew,
        hidden=(
            b"build/fresh",
            b"build/one",
            b"build/sub/two",
            b"d/e/old.log",
            b"d/n.tmp",
            b"data/cache",
            b"node_modules",
        ),
    ),
    "ignored links and pipes": Scenario(change=views.ignored_links),
    "captured though ignored": Scenario(change=views.brought_in),
    "captured though ignored, removed": Scenario(change=views.brought_away, hidden=()),
    "captured though ignored, removed in part": Scenario(change=views.brought_partly_away, hidden=(b"build/five",)),
    "captured though ignored, made again": Scenario(change=views.brought_anew),
    "secrets": Scenario(change=views.secrets),
    "more is ignored": Scenario(change=views.rules_more),
    "less is ignored": Scenario(change=views.rules_less),
    "ignore files below": Scenario(change=views.rules_below),
    "ignore files touched": Scenario(change=views.rules_touched),
    "ignore files gone with their folders": Scenario(change=views.rules_go_with_folder),
    "below a prefix": Scenario(change=views.below_a_prefix, prefix="some/where"),
    "torture made": Scenario(change=views.tortured, group="torture"),
    "torture mutated": Scenario(before=views.tortured, change=views.mutated, group="torture"),
}  # fmt: skip
"""By name."""
