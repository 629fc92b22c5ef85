"""Which commands run what: as docs/security.md says, for a workflow whose file is a program."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from gitckpt.cli.main import COMMANDS
from tests.conftest import PROJECT
from tests.repo import Repo

FLOW = """
import os
from pathlib import Path

import gitckpt

Path(os.environ["HOME"], "was-run").touch()
flow = gitckpt.Flow("w")
flow.command("a", run="echo a > a; test -e go")
"""
READS = ("status", "log", "show 1", "diff", "diff a@1", "output a", "why a", "verify", "wait", "schema", "state get")
RUNS_IT_AND_SAYS_SO = ("plan", "plan --json", "plan rollback 1", "lint")


def test_the_page_speaks_of_every_command() -> None:
    page = (PROJECT / "docs" / "security.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`([a-z-]+)`", row)]
    assert sorted(set(COMMANDS) - set(named)) == []
    assert sorted({name for name in named if named.count(name) > 1}) == []


@pytest.mark.sweep
def test_a_file_that_is_a_program_is_run_only_by_who_says_so(repo: Repo) -> None:
    file = ("--file", "flow.py")
    repo.write("flow.py", FLOW)
    repo.run(*file, "run", ok=1)
    mark = Path(os.environ["HOME"], "was-run")
    for command in READS:
        mark.unlink(missing_ok=True)
        repo.run(*file, *command.split(), ok=None)
        assert not mark.exists(), command
    for command in RUNS_IT_AND_SAYS_SO:
        mark.unlink(missing_ok=True)
        done = repo.run(*file, *command.split())
        assert mark.exists(), command
        assert "note: flow.py is run to read the workflow that it declares" in done.stderr
    assert repo.run("-q", *file, "plan").stderr == ""
