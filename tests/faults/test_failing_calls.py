"""Any call of gitckpt and its git fails, once or from there on: what is said is true, and the next run goes on.

What a command does meanwhile and what may not be afterwards is in `struck.py`. A fixed sample is struck in the fast
tier; `--full` strikes as many points as an hour holds, evenly spread over all that are known, and says how many.
"""

from __future__ import annotations

import errno
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.scene import Blow, Scene
from tests.faults.struck import STORIES, Told, tell

CODES = (errno.EIO, errno.ENOSPC, errno.EACCES, errno.EMFILE, errno.EROFS, errno.EDQUOT, errno.ENOMEM)
IN_FULL_S = 3_600 / len(STORIES)
IN_CI = {"overlay": 5, "copy": 5}
"""So many points of a story in CI, where it is not ten; in the fastest tier two."""
FIRST = ("run", "rollback")
LATER = [name for name in STORIES if name not in FIRST]


def points(calls: int) -> Iterator[Blow]:
    """Every failure of every call, in an order of which any beginning is evenly spread, the same each time."""
    kinds = [(str(code), for_good) for code in CODES for for_good in (False, True)]
    known = calls * len(kinds)
    step = next(n for n in range(round(known * 0.618034), known) if math.gcd(n, known) == 1)
    for place in range(step // 2, step // 2 + known * step, step):
        call, kind = divmod(place % known, len(kinds))
        yield Blow(at=call + 1, act=kinds[kind][0], for_good=kinds[kind][1])


def sample(calls: int) -> Iterator[Blow]:
    """Always the same stretches of a command, although the number of its calls differs by a few from time to time."""
    return (replace(blow, at=1 + (blow.at - 1) * calls // 1_000) for blow in points(1_000))


def strike(told: Told, blows: Iterable[Blow], enough: Callable[[int], bool]) -> tuple[list[str], int]:
    """Strike points until there are enough; the violations, and how many were struck."""
    wrong, struck = [], 0
    for blow in blows:
        if enough(struck):
            break
        struck += 1
        violation = told.violation(blow)
        wrong += [violation] if violation else []
    return wrong, struck


@pytest.mark.parametrize("name", [*FIRST, *(pytest.param(name, marks=pytest.mark.sweep) for name in LATER)])
def test_a_call_that_fails_is_told_and_the_next_run_goes_on(tmp_path: Path, shim: Path, name: str) -> None:
    told = tell(Scene(tmp_path, shim), name)
    number = IN_CI.get(name, 10) if os.environ.get("CI") else 2
    wrong, _ = strike(told, sample(told.calls), lambda struck: struck == number)
    assert wrong == [], "\n\n".join(wrong)


def test_a_limit_that_is_reached_before_anything_is_held_is_no_bug_of_ours(tmp_path: Path, shim: Path) -> None:
    told = tell(Scene(tmp_path, shim), "run")
    blows = [Blow(at=at, act=str(errno.EMFILE), for_good=True) for at in (1, 25, 46, 70)]
    assert [wrong for blow in blows if (wrong := told.violation(blow))] == []


@pytest.mark.sweep
def test_what_git_ignores_stays_that_where_git_fails_to_read_an_ignore_file(tmp_path: Path, shim: Path) -> None:
    scene = Scene(tmp_path, shim)
    told = tell(scene, "rollback")
    scene.variables |= {"FI_READS": "/place/.gitignore", "FI_PATH": "/place/.gitignore", "FI_OPENS": "1"}
    scene.put_back()
    calls = scene.log_of_calls(*told.story.command)
    assert [call.partition(" ")[0] for call in calls].count("read") >= 2
    codes = {"read": errno.EIO, "__open64_2": errno.EACCES}
    blows = [
        Blow(at=at, act=str(codes[name]))
        for at, name in enumerate((call.partition(" ")[0] for call in calls), 1)
        if name in codes
    ]
    assert [wrong for blow in blows if (wrong := told.violation(blow))] == []


@pytest.mark.sweep
@pytest.mark.parametrize("name", ["overlay", "copy"])
def test_what_a_view_must_bring_is_not_taken_for_nothing_where_its_list_cannot_be_read(
    tmp_path: Path, shim: Path, name: str
) -> None:
    scene = Scene(tmp_path, shim)
    told = tell(scene, name)
    scene.variables |= {"FI_READS": "/hidden", "FI_PATH": "/hidden"}
    scene.put_back()
    calls = scene.log_of_calls(*told.story.command)
    last = max(at for at, call in enumerate(calls, 1) if call.startswith("open") and call.endswith("/hidden"))
    assert told.violation(Blow(at=last, act=str(errno.EIO))) is None


@pytest.mark.full
@pytest.mark.timeout(IN_FULL_S + 300)
@pytest.mark.parametrize("name", STORIES)
def test_any_call_may_fail_and_the_next_run_goes_on(
    tmp_path: Path, shim: Path, name: str, record_property: Callable[[str, object], None]
) -> None:
    told = tell(Scene(tmp_path, shim), name)
    until = time.monotonic() + IN_FULL_S
    wrong, struck = strike(told, points(told.calls), lambda _: time.monotonic() > until)
    record_property("told", f"calls that fail, {name}: {struck:,} of {told.calls * len(CODES) * 2:,} points")
    assert wrong == [], f"{len(wrong)} of {struck} points\n\n" + "\n\n".join(wrong)
