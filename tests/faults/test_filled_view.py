"""A phase beside others fills the disk that its view lies on: it fails, and what it wrote is nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.test_full_disk import ALONE, CHECKOUT


@pytest.mark.sweep
@pytest.mark.parametrize("isolation", ["auto", "copy"])
def test_a_phase_that_fills_the_disk_under_its_view_fails_and_goes_on_with_more_room(
    isolation: str, tmp_path: Path
) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        [*ALONE, sys.executable, Path(__file__).with_name("filled_view.py"), isolation, place],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("fine\n"), done.stderr
