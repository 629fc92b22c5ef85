"""What may name a workflow or a phase: it becomes a part of refs, folders and selectors."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitckpt.model.names import RESERVED_PHASES, name_problem, phase_name_problem


@pytest.mark.parametrize("text", ["a", "A1", "0a", "load-2", "a.b_c-d", "x" * 100, "lock", "a.locked", "1"])
def test_ordinary_names_are_allowed(text: str) -> None:
    assert name_problem(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 101,
        "-a",
        ".a",
        "_a",
        "a b",
        "a/b",
        "../x",
        "a..b",
        "a.lock",
        "a.LOCK",
        "a.",
        "ä",
        "a\n",
        "a~1",
        "a@{b",
        "٣",
    ],
)
def test_names_that_git_or_a_file_system_could_misunderstand_are_refused(text: str) -> None:
    assert name_problem(text) is not None
    assert phase_name_problem(text) is not None


@pytest.mark.parametrize("text", ["1", "0012", *sorted(RESERVED_PHASES), "Start", "LATEST"])
def test_words_of_the_selectors_are_no_names_of_phases_but_of_workflows(text: str) -> None:
    assert phase_name_problem(text) is not None
    assert name_problem(text) is None


@given(st.text(st.sampled_from("aZ09._-/ ~^:?*[\\@{}\n"), min_size=1, max_size=8))
def test_git_takes_every_name_that_is_allowed(text: str) -> None:
    if name_problem(text) is None:
        done = subprocess.run(["git", "check-ref-format", f"refs/gitckpt/{text}/attempts/{text}/1"], check=False)
        assert done.returncode == 0
