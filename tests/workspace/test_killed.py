"""A restore that is killed anywhere and run again ends exactly the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gitckpt.plumbing.content import Content
from gitckpt.workspace.obstructions import obstructions
from tests.workspace.desk import Desk
from tests.workspace.test_become import two_states

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that kills a process group at its nth changing call."""
    source = CHECKOUT.parent / "shared" / "tools" / "shim.c"
    compiler = shutil.which("gcc")
    if not source.exists() or compiler is None:
        pytest.skip("the fault shim or a C compiler is not here")
    made = tmp_path_factory.mktemp("shim") / "shim.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", made, source, "-ldl"], check=True, capture_output=True)
    return made


def text(content: Content) -> str:
    return ",".join(part.hex() if part else "-" for part in (content.files, content.extra, content.escaped))


def killed_at(desk: Desk, shim: Path, before: Content, after: Content, call: int) -> bool:
    """Whether a child that applies the change was killed at its `call`th changing call."""
    counter = desk.root.parent / "counter"
    counter.unlink(missing_ok=True)
    ended = subprocess.run(
        [sys.executable, Path(__file__).with_name("killed.py"), desk.root, text(before), text(after)],
        env=os.environ
        | {
            "LD_PRELOAD": str(shim),
            "FI_FILE": str(counter),
            "FI_AT": str(call),
            "FI_ACT": "kill",
            "FI_PATH": str(desk.root),
            "PYTHONPATH": str(CHECKOUT),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        start_new_session=True,
        check=False,
        capture_output=True,
    )
    assert ended.returncode in (0, -9), ended.stderr
    return ended.returncode == -9


def sweep(desk: Desk, shim: Path, step: int, start: int) -> int:
    first, second = two_states(desk)
    calls = start
    while True:
        desk.known = second
        changes = desk.changes(first)
        hit = killed_at(desk, shim, second, first, calls)
        if hit:
            assert obstructions(desk.root, changes, second) == [], f"call {calls}: all is old, new or absent"
        desk.go(first)
        assert desk.fresh() == first, f"call {calls}"
        assert not (desk.root / ".gitckpt").exists(), f"call {calls}"
        if not hit:
            return calls
        desk.go(second)
        assert desk.fresh() == second
        calls += step


def test_a_restore_killed_at_some_calls_and_run_again_is_exact(desk: Desk, shim: Path) -> None:
    assert sweep(desk, shim, step=9, start=3) > 30


@pytest.mark.full
def test_a_restore_killed_at_every_call_and_run_again_is_exact(desk: Desk, shim: Path) -> None:
    assert sweep(desk, shim, step=1, start=1) > 30
