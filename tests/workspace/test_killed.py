"""A restore that is killed anywhere and run again ends exactly the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gitckpt.plumbing.content import Content
from gitckpt.workspace.obstructions import obstructions
from tests.workspace.desk import Desk
from tests.workspace.test_become import two_states

CHECKOUT = Path(__file__).parents[2]
Environment = Callable[[Path, int], tuple[int, dict[str, str]]]
"""For a counter file and a call: the call the child kills itself at, and variables of its environment."""


def text(content: Content) -> str:
    return ",".join(part.hex() if part else "-" for part in (content.files, content.extra, content.escaped))


def by_itself(counter: Path, call: int) -> tuple[int, dict[str, str]]:
    return call, {}


def killed_at(desk: Desk, killer: Environment, before: Content, after: Content, call: int) -> bool:
    """Whether a child that applies the change was killed at its `call`th changing call."""
    counter = desk.root.parent / "counter"
    counter.unlink(missing_ok=True)
    own_call, variables = killer(counter, call)
    script = Path(__file__).with_name("killed.py")
    ended = subprocess.run(
        [sys.executable, script, desk.root, text(before), text(after), str(own_call)],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"} | variables,
        start_new_session=True,
        check=False,
        capture_output=True,
    )
    assert ended.returncode in (0, -9), ended.stderr
    return ended.returncode == -9


def sweep(desk: Desk, killer: Environment, step: int, start: int) -> int:
    """Kill at call `start`, then every `step`th, until the child lives; that call's number."""
    first, second = two_states(desk)
    call = start
    while True:
        changes = desk.changes(first)
        hit = killed_at(desk, killer, second, first, call)
        if hit:
            assert obstructions(desk.root, changes, second) == [], f"call {call}: all is old, new or absent"
        desk.go(first)
        assert desk.fresh() == first, f"call {call}"
        assert not (desk.root / ".gitckpt").exists(), f"call {call}"
        if not hit:
            return call
        desk.go(second)
        assert desk.fresh() == second
        call += step


def test_a_restore_killed_at_some_calls_and_run_again_is_exact(desk: Desk) -> None:
    assert sweep(desk, by_itself, step=7, start=3) > 40


@pytest.mark.full
def test_a_restore_killed_at_every_call_and_run_again_is_exact(desk: Desk) -> None:
    assert sweep(desk, by_itself, step=1, start=1) > 40


@pytest.mark.full
def test_a_restore_killed_at_every_call_of_the_c_library_and_run_again_is_exact(desk: Desk, shim: Path) -> None:
    def by_shim(counter: Path, call: int) -> tuple[int, dict[str, str]]:
        return 0, {
            "LD_PRELOAD": str(shim),
            "FI_FILE": str(counter),
            "FI_AT": str(call),
            "FI_ACT": "kill",
            "FI_PATH": str(desk.root),
        }

    assert sweep(desk, by_shim, step=1, start=1) > 40
