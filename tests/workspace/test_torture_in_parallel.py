"""The hard workspace, changed by several phases at once in views of it: as if one had done it all, exactly."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.engine.bed import Bed
from tests.engine.beside import history, left_over, merges
from tests.repo import Repo
from tests.workspace.test_torture import differences, scanned

ALTER = """\
import os, sys

first = int(sys.argv[1])
with open(sys.argv[2], "rb") as names:
    paths = names.read().split(b"\\0")
for number, path in enumerate(paths[first::3]):
    match number % 5:
        case 0:
            os.unlink(path)
        case 1:
            os.chmod(path, 0o640)
        case 2:
            with open(path, "ab") as out:
                out.write(b"more %d\\n" % number)
        case 3:
            os.unlink(path)
            os.symlink(b"elsewhere", path)
        case 4:
            os.unlink(path)
            os.mkdir(path)
            with open(os.path.join(path, b"in"), "wb") as out:
                out.write(path)
"""
WORKFLOW = """\
version: 1
workflow: w
isolation: {isolation}
workspace: {{include: ["*"]}}
phases:
  mutate: {{needs: [], argv: [{python}, {tool}, mutate, .]}}
  zero: {{needs: [], argv: [{python}, {beside}/alter.py, 0, {beside}/victims]}}
  one: {{needs: [], argv: [{python}, {beside}/alter.py, 1, {beside}/victims]}}
  two: {{needs: [], argv: [{python}, {beside}/alter.py, 2, {beside}/victims]}}
"""
TOUCHED_BY_MUTATE = ("swap/", "plain/same-size", "hard/", ".gitignore")


def victims(found: dict[str, dict[str, object]]) -> list[str]:
    """Files anywhere that `mutate` leaves alone, outside of nested repositories, which would be damaged."""
    files = [path for path, entry in found.items() if entry["type"] == "file" and "hardlink" not in entry]
    free = [path for path in files if not path.startswith(TOUCHED_BY_MUTATE) and "/.git/" not in path]
    return random.Random(11).sample(sorted(free), 60)


@pytest.mark.parametrize("isolation", ["overlay", pytest.param("copy", marks=pytest.mark.sweep)])
def test_phases_at_once_leave_the_torture_workspace_as_one_after_the_other_would(
    tmp_path: Path, torture: ModuleType, isolation: str
) -> None:
    tool = torture.__file__
    assert tool is not None
    alone = tmp_path / "alone"
    subprocess.run([sys.executable, tool, "make", alone], check=True, capture_output=True)
    (tmp_path / "alter.py").write_text(ALTER)
    (tmp_path / "victims").write_bytes(b"\0".join(os.fsencode(path) for path in victims(scanned(torture, alone))))
    repo = Repo(tmp_path / "repo")
    subprocess.run(["cp", "-a", f"{alone}/.", repo.path], check=True)
    text = WORKFLOW.format(isolation=isolation, python=sys.executable, tool=tool, beside=tmp_path)
    repo.write("gitckpt.yaml", text)
    repo.accept()
    Bed(repo).completes(jobs=4)

    for command in (
        (tool, "mutate", "."),
        *((str(tmp_path / "alter.py"), str(n), str(tmp_path / "victims")) for n in range(3)),
    ):
        subprocess.run([sys.executable, *command], cwd=alone, check=True)
    (alone / "gitckpt.yaml").write_text(text)
    assert differences(torture, scanned(torture, alone), repo.path) == []
    assert sorted(merges(history(repo.path))) == ["mutate", "one", "two", "zero"]
    assert left_over(repo.path) == []
    repo.untouched()
    repo.sound()
