"""What the fault tests share: the measured tools that lie beside some checkouts, made ready. Knows no scenario."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shim(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that strikes at the n-th changing call of a whole process tree."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("the fault shim must be compiled, and there is no gcc")
    made = tmp_path_factory.mktemp("shim") / "shim.so"
    source = shared / "tools" / "shim.c"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", made, source, "-ldl"], check=True, capture_output=True)
    return made
