"""The power goes at any changing call of a whole story: nothing that was reported is lost, and the story ends the same.

The disk is real, and so is the cut: the file system is told to write nothing more (`powered.py`). Some calls are struck
here, others each time a file system is looked at with `python -m tests.faults.powered`, which strikes every one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import POWERLESS
from tests.faults.disk import Kind, missing
from tests.faults.powered import Flush, Powered
from tests.faults.scene import spread

POINTS = 3
KINDS: tuple[Kind, ...] = ("ext4", "xfs")
FLUSHES: tuple[Flush, ...] = ("cut", "cutlog")


@pytest.fixture(params=KINDS)
def powered(request: pytest.FixtureRequest, tmp_path: Path, shim: Path) -> Iterator[Powered]:
    """The story's repository, on a disk of its own."""
    kind: Kind = request.param
    why = missing(kind)
    if why:
        pytest.skip(f"{POWERLESS}: {why}")
    made = Powered(tmp_path, shim, kind)
    yield made
    made.disk.unmount()


@pytest.mark.full
@pytest.mark.parametrize("flush", FLUSHES)
def test_what_was_reported_outlives_a_power_cut_and_the_next_run_ends_the_same(powered: Powered, flush: Flush) -> None:
    calm = powered.undisturbed()
    part = FLUSHES.index(flush)
    for begin, end in itertools.pairwise((0, *calm.calls)):
        points = spread(end - begin, POINTS * len(FLUSHES), part, len(FLUSHES))
        told = [powered.strike(begin + at, flush, calm) for at in points]
    # The last step's cuts came after the reports of two others.
    assert any(one.numbers for one in told), "nothing was reported before a cut"


@pytest.mark.full
def test_a_cut_the_moment_a_checkpoint_is_reported_does_not_take_it_back(powered: Powered) -> None:
    calm = powered.undisturbed()
    for number in sorted(calm.reported):
        told = powered.strike_when_told(number, calm)
        assert number in told.numbers
