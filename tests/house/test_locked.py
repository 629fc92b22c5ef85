"""The lock that the tests are installed from: all that the metadata asks for, by hashes, from nowhere in particular."""

from __future__ import annotations

import re

import pytest
from packaging.version import Version

from tests.house.locked import LOCK, TOP, pins, required

TEXT = LOCK.read_text(encoding="utf-8")


def test_each_dependency_is_locked_at_a_version_that_the_metadata_allows() -> None:
    locked = pins(TEXT)
    wrong = {
        need.name: locked.get(need.name)
        for need in required()
        if need.name not in locked
        or locked[need.name].marker is not None
        or Version(locked[need.name].version) < Version(need.lowest)
        or (need.below is not None and Version(locked[need.name].version) >= Version(need.below))
    }
    assert wrong == {}


def test_each_version_has_a_hash_and_the_lock_says_nothing_of_where_it_comes_from() -> None:
    assert all(pin.hashes for pin in pins(TEXT).values())
    assert re.findall(r"http|file:|index|find-links|@|/", TEXT) == []


@pytest.mark.parametrize(
    "line",
    [
        "click==8.1.7\n",
        f"click>=8 \\\n    --hash=sha256:{'0' * 64}\n",
        f"click @ file:click.whl \\\n    --hash=sha256:{'0' * 64}\n",
        "--extra-index-url somewhere\n",
        "# click\n",
    ],
)
def test_a_line_that_is_no_version_with_hashes_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="line 1 of the lock"):
        pins(line + TEXT)


def test_the_check_installs_what_is_locked_and_builds_without_asking_for_more() -> None:
    """A build of its own environment resolves what it needs anew, whatever is locked."""
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^<!-- command: tests -->\n```sh\n(.+)\n```$", readme, re.MULTILINE)
    assert 'pip" install -q -r requirements.lock && ' in command
    assert "install -q --no-deps --no-build-isolation ." in command
