"""The bench of every test here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitckpt.execute import namespace
from tests.execute.bench import Bench
from tests.execute.stage import Stage


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.live.mkdir(parents=True)
    yield made
    made.end()


@pytest.fixture
def make_stage(tmp_path: Path) -> Iterator[Callable[[str], Stage]]:
    made: list[Stage] = []

    def make(name: str) -> Stage:
        stage = Stage(tmp_path, name=name)
        stage.build()
        made.append(stage)
        return stage

    yield make
    for stage in made:
        stage.end()
        if stage.views.exists():
            namespace.remove(str(stage.views))  # else pytest stumbles over the work directory, which has no rights


@pytest.fixture
def stage(make_stage: Callable[[str], Stage]) -> Stage:
    return make_stage("work space")
