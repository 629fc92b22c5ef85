"""What the loader says of a text: its errors, or its warnings. Knows no case."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitckpt.errors import ExitCode
from gitckpt.spec.lint import lint
from gitckpt.spec.load import load
from gitckpt.spec.problem import DefinitionInvalid

HEAD = "version: 1\nworkflow: w\n"


def _file(text: str | bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    file = folder / "gitckpt.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def problems(text: str | bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The errors of a file that is refused, one a line."""
    file = _file(text, folder, monkeypatch)
    with pytest.raises(DefinitionInvalid) as caught:
        load(file)
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value.message.splitlines()


def warnings(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The warnings that a file is loaded with."""
    return [str(problem) for problem in load(_file(text, folder, monkeypatch)).warnings]


def linted(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that lint says of a file."""
    return [str(problem) for problem in lint(load(_file(text, folder, monkeypatch)))]
