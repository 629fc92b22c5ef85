"""What the papers show is true: commands stand in the check as they are written, and a transcript is what happens."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from gitckpt.cli.main import COMMANDS
from gitckpt.errors import ExitCode
from gitckpt.model.manifest import Manifest, PhaseState
from tests.conftest import PROJECT
from tests.house.cli_reference import reference
from tests.house.tree import tracked

README = (PROJECT / "README.md").read_text()
PAPERS = [path for path in tracked(".md") if path.parent in (PROJECT, PROJECT / "docs")]

# What differs from one run to the next, or from one machine to another: when, how long, which ids, others' words.
VOLATILE = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d"), "TIME"),
    (re.compile(r"\b\d\d:\d\d\b"), "HH:MM"),
    (re.compile(r"\b\d+(?:\.\d)? s\b"), "N s"),
    (re.compile(r"\b[0-9a-f]{7,40}\b"), "ID"),
    (re.compile(r"\bcp: .+"), "cp: REASON"),
    (re.compile(r" {2,}"), "  "),
)


def block_after(mark: str, text: str = README) -> list[str]:
    """The lines of the fenced block below a mark."""
    found = re.search(rf"^<!-- {re.escape(mark)} -->\n```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"nothing is marked {mark!r}"
    return found[1].splitlines()


def steady(text: str) -> str:
    """A text without what differs from one run to the next."""
    for pattern, word in VOLATILE:
        text = pattern.sub(word, text)
    return text


def play(lines: list[str], folder: Path, workflow: str) -> list[str]:
    """The transcript's commands (`$ …`) run one after another in a fresh repository, each followed by all it says."""
    (folder / "bin").mkdir()
    (folder / "bin/gitckpt").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m gitckpt "$@"\n')
    (folder / "bin/gitckpt").chmod(0o755)
    subprocess.run(["git", "init", "-q", folder / "work"], check=True)
    for key, value in (("user.name", "Ann"), ("user.email", "ann@example.org")):
        subprocess.run(["git", "-C", folder / "work", "config", key, value], check=True)
    (folder / "work/gitckpt.yaml").write_text(workflow)
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    seen = []
    for line in lines:
        if line.startswith("$ "):
            done = subprocess.run(
                ["bash", "-c", line[2:]],
                cwd=folder / "work",
                env={**os.environ, "PATH": path},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            seen += [line, *done.stdout.splitlines()]
    return seen


def test_the_transcript_is_what_happens(tmp_path: Path) -> None:
    found = re.search(r"^```yaml\n(# gitckpt\.yaml\n.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert found is not None
    lines = block_after("transcript")
    told = play(lines, tmp_path, found[1])
    assert steady("\n".join(told)) == steady("\n".join(lines))
    assert len(lines) > 20


def test_the_check_runs_the_two_commands_of_the_readme_as_they_are_written() -> None:
    commands = [line for name in ("example", "tests") for line in block_after(f"command: {name}")]
    assert len(commands) == 2, "each is one line that can be pasted"
    done = subprocess.run([PROJECT / ".ci/run", "--show"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == commands


@pytest.mark.parametrize("name", ["example", "tests"])
def test_a_command_of_the_readme_is_sound_shell(name: str) -> None:
    subprocess.run(["bash", "-n", "-c", "\n".join(block_after(f"command: {name}"))], check=True)


def test_the_readme_names_every_command_and_no_other() -> None:
    table = README.partition("## Commands")[2].partition("A checkpoint `C`")[0]
    named = {word.split()[0] for row in table.splitlines() for word in re.findall(r"`([^`]+)`", row.split(" | ")[0])}
    assert named == set(COMMANDS)


def test_the_readme_names_every_exit_code() -> None:
    table = README.partition("| exit code | means |")[2].partition("\n\n")[0]
    codes = {int(code) for row in table.splitlines() for code in re.findall(r"\d+", row.split(" | ")[0])}
    assert codes == {int(code) for code in ExitCode}


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_a_link_to_a_file_leads_somewhere(paper: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", paper.read_text())
    assert [link for link in links if not (paper.parent / link).exists()] == []


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_the_papers_call_no_command_that_is_not_there(paper: Path) -> None:
    shown = re.findall(r"`[^`\n]+`|^\$ .*$", paper.read_text(), re.MULTILINE)
    called = {name for line in shown for name in re.findall(r"\bgitckpt ([a-z]+(?:-[a-z]+)*)\b", line)}
    assert called <= set(COMMANDS)


def test_the_command_line_reference_is_what_the_commands_say() -> None:
    assert (PROJECT / "docs/cli.md").read_text() == reference(), "python -m tests.house.cli_reference > docs/cli.md"


def test_storage_tells_every_key_of_the_manifest() -> None:
    told = (PROJECT / "docs/storage.md").read_text()
    keys = [each.name for each in (*fields(Manifest), *fields(PhaseState)) if each.name not in ("unknown",)]
    untold = [key for key in keys if not re.search(rf"`(?:phases\.<name>\.|\.)?{key}`", told)]
    assert untold == []
