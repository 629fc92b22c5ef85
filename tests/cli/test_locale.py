"""Text is UTF-8 whatever the locale's codec is: in commands, file names, items, data and what is shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repo import Repo

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
FILE = """
version: 1
workflow: size
params: {P: {default: "ü€"}}
phases:
  each: {foreach: ["é", "€"], run: 'echo "$P $ITEM" | tee -a "o-€"; gitckpt state set k "€ä"'}
"""


@pytest.fixture(params=["ascii", "latin-1"])
def locale(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """A locale whose codec lacks most characters, and one that has some, at other bytes."""
    if request.param == "ascii":
        return ASCII
    made = tmp_path / "locales" / "de_DE.iso88591"
    made.mkdir(parents=True)
    # It warns of what it does not know, with an exit code of its own; what counts is that Python takes it up.
    subprocess.run(["localedef", "-i", "de_DE", "-f", "ISO-8859-1", made], capture_output=True, check=False)
    chosen = {"LOCPATH": str(made.parent), "LC_ALL": made.name, "PYTHONUTF8": "0"}
    asked = [sys.executable, "-c", "import sys; print(sys.getfilesystemencoding())"]
    assert subprocess.run(asked, env=chosen, capture_output=True, text=True, check=True).stdout == "iso8859-1\n"
    return chosen


@pytest.mark.sweep
def test_no_locale_hinders_a_run_or_changes_what_it_makes(repo: Repo, locale: dict[str, str]) -> None:
    repo.write("gitckpt.yaml", FILE)
    repo.run("run", env=locale)
    assert (repo.path / "o-€").read_text(encoding="utf-8") == "ü€ é\nü€ €\n"
    assert repo.run("state", "get", "k", env=locale).stdout == "€ä\n"
    repo.run("checkpoint", "-m", "größe", env=locale)
    assert "größe" in repo.run("log", env=locale).stdout
    assert "item é" in repo.run("show", "3", env=locale).stdout
    repo.run("rollback", "start", env=locale)
    repo.run("undo", env=locale)
    assert (repo.path / "o-€").exists()
    assert repo.git("ls-tree", "--name-only", "-z", "gitckpt/size").split("\0")[1:-1] == ["gitckpt.yaml", "o-€"]


def test_the_workflow_file_is_checked_in_any_locale(repo: Repo) -> None:
    repo.write("gitckpt.yaml", FILE.replace("size", "größe"))
    done = repo.run("lint", env=ASCII, ok=2)
    assert "größe" in done.stdout


FLOW = """
import gitckpt

flow = gitckpt.Flow("demo")
flow.command("a", run="echo € | tee o-€")

if __name__ == "__main__":
    import sys
    flow.main() if sys.argv[1:] else flow.run()
"""


def test_a_program_of_its_own_changes_its_codec_or_says_how(repo: Repo) -> None:
    repo.write("flow.py", FLOW)
    program = [sys.executable, "flow.py"]
    environment = {**os.environ, **ASCII}
    done = subprocess.run(program, cwd=repo.path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "NotUtf8: this Python takes text of the system for ascii" in done.stderr
    assert not (repo.path / "o-€").exists()
    subprocess.run([*program, "run"], cwd=repo.path, env=environment, capture_output=True, check=True)
    assert (repo.path / "o-€").read_text(encoding="utf-8") == "€\n"
