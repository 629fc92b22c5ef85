"""What no tool checks: sizes, the one broad except, words, start-up, and what the papers of the project promise."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitckpt import errors
from gitckpt.cli.main import COMMANDS
from tests.conftest import PROJECT
from tests.house.tree import tracked
from tests.ready import gitckpt
from tests.repo import Repo

FILE_LINES = 500
FUNCTION_LINES = 60
TOP_LEVEL = {
    *("gitckpt", "tests", "examples", "docs", "benchmarks", ".ci", ".github", ".gitignore", ".pre-commit-config.yaml"),
    *("pyproject.toml", "requirements.lock", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"),
}
HEAVY = ("git", "msgspec", "yaml", "rich", "subprocess", "pathspec", "dataclasses", "gitckpt.errors")
"""Modules that cost more than `--help` takes: it must be there within 1.5 times the time of `import click`."""
NOT_FOR_STATUS = (
    *("git", "yaml", "rich", "pathspec"),
    *("ctypes", "socket", "tempfile", "asyncio", "base64"),
    *("gitckpt.model.events", "gitckpt.model.items", "gitckpt.model.workflow", "gitckpt.model.decide"),
    *("gitckpt.plumbing.content", "gitckpt.plumbing.pack", "gitckpt.plumbing.file_system", "gitckpt.plumbing.scratch"),
    *("gitckpt.spec.problem", "gitckpt.spec.load", "gitckpt.store.checkpoint", "gitckpt.store.store"),
    *("gitckpt.engine.hold", "gitckpt.engine.inspect_events", "gitckpt.workspace.walk", "gitckpt.execute.process"),
)
"""What `status` has no use for while nothing runs and nothing was cut off."""

# One letter of each in brackets, so that this file does not name what it looks for.
MACHINE = re.compile(r"/(?:roo[t]|wor[k]|far[m])/|/(?:hom[e]|User[s])/(?!ann\b|you\b)[a-z]|bash_job[s]")
LATER = re.compile(r"\b(?:TOD[O]|FIXM[E]|XX[X]|for no[w]|NotImplementedErro[r])\b")
GRAB_BAGS = frozenset({"util", "utils", "helper", "helpers", "common", "manager", "managers", "misc", "base"})


TREE = tracked()
CODE = [path for path in TREE if path.suffix == ".py"]
PACKAGE = [path for path in CODE if path.is_relative_to(PROJECT / "gitckpt")]


def _texts() -> Iterator[tuple[str, str]]:
    """Every text file of the project with its name."""
    for path in TREE:
        yield str(path.relative_to(PROJECT)), path.read_text(encoding="utf-8", errors="replace")


def test_no_file_is_longer_than_a_person_reads_at_once() -> None:
    lengths = {str(path.relative_to(PROJECT)): len(path.read_text().splitlines()) for path in CODE}
    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{path.relative_to(PROJECT)}:{node.lineno} {node.name}: {node.end_lineno - node.lineno + 1} lines"
        for path in CODE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= FUNCTION_LINES
    ]
    assert long == []


def _names(node: ast.expr | None) -> list[str]:
    match node:
        case None:
            return ["Exception"]
        case ast.Tuple(elts=several):
            return [name for one in several for name in _names(one)]
        case _:
            return [ast.unparse(node).rpartition(".")[2]]


def test_there_is_one_broad_except_at_most() -> None:
    """One that cleans up and raises the same again hides nothing, and does not count."""
    broad = [
        f"{path.relative_to(PROJECT)}:{node.lineno}"
        for path in PACKAGE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and {"Exception", "BaseException"} & set(_names(node.type))
        and ast.unparse(node.body[-1]) != "raise"
    ]
    assert len(broad) <= 1, broad


def test_no_module_is_a_grab_bag() -> None:
    assert [str(path) for path in PACKAGE if GRAB_BAGS & {path.stem, *path.relative_to(PROJECT).parts}] == []


def test_every_module_opens_with_what_it_owns() -> None:
    silent = [path for path in CODE if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))]
    assert [str(path.relative_to(PROJECT)) for path in silent] == []


def test_no_file_names_a_path_of_a_machine_it_was_written_on() -> None:
    named = [f"{name}: {found[0]}" for name, text in _texts() if (found := MACHINE.search(text))]
    assert named == []


def test_no_file_leaves_work_for_later() -> None:
    left = [f"{name}: {found[0]}" for name, text in _texts() if (found := LATER.search(text))]
    assert left == []


def test_the_top_of_the_tree_holds_what_it_may_and_nothing_else() -> None:
    assert {path.relative_to(PROJECT).parts[0] for path in TREE} - TOP_LEVEL == set()


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("--no-such-option",)])
def test_help_and_version_load_nothing_heavy(arguments: tuple[str, ...]) -> None:
    probe = (
        "import sys\nfrom gitckpt.cli.main import guarded\n"
        f"guarded({list(arguments)!r})\n"
        f"print('LOADED', *sorted({set(HEAVY)!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED"


def test_status_loads_no_more_than_where_a_workflow_stands(repo: Repo) -> None:
    """It must be there within 3 times the time of `import click`; the events alone would take a third of that time.

    Measure (benchmarks/bench_startup.py) before a module leaves the list."""
    repo.write("gitckpt.yaml", "version: 1\nworkflow: demo\nphases:\n  a:\n    run: echo a > a\n")
    repo.run("run")
    probe = (
        "import sys\nfrom gitckpt.cli.main import guarded\n"
        "assert guarded(['status']) == 0\n"
        f"print('LOADED', *sorted({set(NOT_FOR_STATUS)!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=repo.path, capture_output=True, text=True, check=True)
    assert "complete" in done.stdout
    assert done.stdout.splitlines()[-1] == "LOADED"


def test_every_command_has_help_of_its_own(tmp_path: Path) -> None:
    for name in COMMANDS:
        done = gitckpt(name, "--help", cwd=tmp_path)
        assert done.returncode == 0, f"{name}: {done.stderr}"
        assert f"Usage: gitckpt {name}" in done.stdout


@pytest.mark.sweep
def test_every_command_can_be_the_first_to_be_imported(tmp_path: Path) -> None:
    """Other tests fork from a process that has imported all of them."""
    one_of_each_module = {place.partition(":")[0]: name for name, (place, _) in COMMANDS.items()}
    for name in one_of_each_module.values():
        command = [sys.executable, "-m", "gitckpt", name, "--help"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}: {done.stderr}"


def test_every_error_says_something_and_has_an_exit_code_of_the_table() -> None:
    facts = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.GitckptError)]
    facts.remove(errors.GitckptError)
    assert [one.__name__ for one in facts if one.message is errors.GitckptError.message] == []
    assert {one.exit_code for one in facts} <= set(errors.ExitCode)


def test_the_changelog_has_a_place_for_what_is_not_released() -> None:
    text = (PROJECT / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[Unreleased\]\n\n### (Added|Changed|Fixed|Removed)\n\n- ", text, re.MULTILINE)


def test_the_license_is_the_one_that_the_package_names() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "MIT"
    assert (PROJECT / "LICENSE").read_text().startswith("MIT License\n")


def test_import_of_the_package_loads_nothing_and_each_public_name_is_there() -> None:
    probe = (
        "import sys, gitckpt\n"
        "assert not [name for name in sys.modules if name.startswith('gitckpt.')], 'not at once'\n"
        "assert all(getattr(gitckpt, name) is not None for name in gitckpt.__all__)\n"
        "assert dir(gitckpt) == sorted(gitckpt.__all__)"
    )
    subprocess.run([sys.executable, "-c", probe], check=True)


SAID_BEFORE_ANYTHING = frozenset(
    {"spec/problem.py", "engine/place.py", "api/writing.py", "api/copies.py", "api/reading.py"}
)
"""Where an error is raised while a command has not begun anything: there it may say so by itself."""


def test_that_nothing_was_done_is_said_only_where_it_is_known() -> None:
    claims: dict[str, list[str]] = {}
    for path in PACKAGE:
        tree = ast.parse(path.read_text())
        known = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Assign) and _is_untouched(node)}
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        texts = [each for each in ast.walk(tree) if isinstance(each, ast.Constant) and id(each) not in known | prose]
        found = [str(each.value) for each in texts if re.search(r"\bnothing (was|is left behind)\b", str(each.value))]
        claims |= {str(path.relative_to(PROJECT / "gitckpt")): found} if found else {}
    assert claims.keys() <= SAID_BEFORE_ANYTHING, "an error's `untouched` is shown where the journal bears it out"


def _is_untouched(node: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "untouched" for target in node.targets)
