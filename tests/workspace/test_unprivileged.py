"""The same promises for a user who may not read and write everything; the superuser lends itself another id."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user can reach; pytest's own lie below one that only we can enter."""
    folder = Path(tempfile.mkdtemp(prefix="gitckpt-test-"))
    folder.chmod(0o777)
    yield folder
    subprocess.run(["chmod", "-R", "u+rwX", folder], check=False)
    shutil.rmtree(folder)


@pytest.mark.parametrize("scenario", ["unreadable", "locked", "noted", "torture"])
def test_an_unprivileged_user_gets_the_same(scenario: str, open_folder: Path) -> None:
    if scenario == "torture" and not (CHECKOUT.parent / "shared" / "tools" / "torture.py").exists():
        pytest.skip("the torture tool is not beside this checkout")
    # No bytecode: the other user may not write it, and ours must not appear because of a test.
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "HOME": str(open_folder), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("XDG_CONFIG_HOME", None)
    ended = subprocess.run(
        [sys.executable, Path(__file__).with_name("unprivileged.py"), scenario, open_folder / "w"],
        capture_output=True,
        text=True,
        cwd=open_folder,
        env=environment,
        check=False,
    )
    assert ended.stdout.endswith("fine\n"), ended.stderr
