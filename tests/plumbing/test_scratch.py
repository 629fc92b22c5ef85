"""Where no temporary file can be made, as on a full disk: what reads goes on, and the rest says so."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from gitckpt.cli import bug
from gitckpt.plumbing.diff import scratch
from gitckpt.plumbing.merge import merge_text
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository
from gitckpt.plumbing.scratch import NoScratch, scratch_file


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of temporary files is none."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))


@pytest.mark.usefixtures("nowhere")
def test_what_needs_a_temporary_file_says_that_there_can_be_none(repository: Repository) -> None:
    with pytest.raises(NoScratch, match="No such file or directory"):
        scratch_file()
    with pytest.raises(NoScratch):
        merge_text(repository, base=b"1\n", ours=b"2\n", theirs=b"1\n")
    with pytest.raises(NoScratch), scratch(repository, repository.top):
        pass


@pytest.mark.usefixtures("nowhere")
def test_a_bug_is_said_although_its_report_cannot_be_written() -> None:
    said = bug.report(ValueError("x"), ["run"])
    assert "could not be written: No such file or directory" in said


if hasattr(os, "memfd_create"):

    @pytest.mark.usefixtures("nowhere")
    def test_objects_are_read_all_the_same(repository: Repository) -> None:
        with Reader(repository) as reader:
            assert reader.read(repository.null.hex()) is None
