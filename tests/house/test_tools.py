"""The tools that keep the house: each is one test, so that the check, the hooks and a person run the same thing.

They run from the same environment as the tests, and keep what they remember outside the checkout.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import CACHES, PROJECT

CODE = [name for name in ("gitckpt", "tests", "benchmarks", "examples") if (PROJECT / name).is_dir()]


def tool(*arguments: str) -> str:
    """Run a tool over the project; what it says. Fails with that unless the tool is content."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=280
    )
    if done.returncode:
        pytest.fail(f"{' '.join(arguments)}\n{done.stdout}{done.stderr}", pytrace=False)
    return done.stdout


def test_ruff_finds_no_fault() -> None:
    tool("-m", "ruff", "check", "--cache-dir", str(CACHES / "ruff"), *CODE)


def test_the_code_is_formatted() -> None:
    tool("-m", "ruff", "format", "--check", "--diff", "--cache-dir", str(CACHES / "ruff"), *CODE)


def test_the_types_hold_in_the_package_and_in_the_tests() -> None:
    tool("-m", "mypy", "--strict", "--cache-dir", str(CACHES / "mypy"), "gitckpt", "tests")


def test_imports_go_down_only() -> None:
    # It has no `__main__`: with `-m` it would check nothing, and be content.
    start = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    assert " 0 broken" in tool("-c", start, "--cache-dir", str(CACHES / "imports"))
