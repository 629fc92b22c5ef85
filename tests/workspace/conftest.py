"""Fixtures of the workspace's tests."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.workspace.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "w")
    yield made
    made.reader.close()


@pytest.fixture(scope="session")
def torture() -> ModuleType:
    """The module that makes and compares the torture workspace; it lies beside the checkout."""
    place = Path(__file__).parents[3] / "shared" / "tools" / "torture.py"
    if not place.exists():
        pytest.skip("the torture tool is not beside this checkout")
    spec = importlib.util.spec_from_file_location("torture", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
