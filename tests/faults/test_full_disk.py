"""A disk of a few megabytes, mounted in a namespace of its own, gets full in a checkpoint, or cannot be written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.sweep

CHECKOUT = Path(__file__).parents[2]
ALONE = ("unshare", "--user", "--map-root-user", "--mount")


@pytest.mark.parametrize("scenario", ["full", "inodes", "read_only", "copies"])
def test_a_disk_that_refuses_is_said_and_nothing_is_lost(scenario: str, tmp_path: Path) -> None:
    if shutil.which("unshare") is None or subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a disk of its own needs a user namespace, and this machine permits none")
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        [*ALONE, sys.executable, Path(__file__).with_name("small_disk.py"), scenario, place],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("fine\n"), done.stderr
