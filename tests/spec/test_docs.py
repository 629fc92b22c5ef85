"""The reference for users: every block of it loads, and every key of the schema stands in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gitckpt.model.workflow import Workflow
from gitckpt.spec.load import load
from gitckpt.spec.shape import (
    ListShape,
    NamedShape,
    OneKeyShape,
    OptionalShape,
    RecordShape,
    Shape,
    TableShape,
    record_shape,
)

TEXT = (Path(__file__).parents[2] / "docs" / "workflow-file.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[1].removeprefix("workflow: "))
def test_every_block_of_the_reference_loads_without_a_warning(block: str, tmp_path: Path) -> None:
    file = tmp_path / "gitckpt.yaml"
    file.write_text(block)
    assert load(file).warnings == ()


def keys(shape: Shape) -> set[str]:
    match shape:
        case RecordShape():
            return {key.written for key in shape.keys}.union(*(keys(key.shape) for key in shape.keys))
        case NamedShape(record=record) | OneKeyShape(record=record):
            return keys(record)
        case OptionalShape(inner=inner) | ListShape(item=inner) | TableShape(value=inner):
            return keys(inner)
        case _:
            return set()


def test_every_key_is_used_in_some_block() -> None:
    together = "\n".join(BLOCKS)
    unused = {key for key in keys(record_shape(Workflow)) if not re.search(rf"\b{key}:", together)}
    assert unused == set()
