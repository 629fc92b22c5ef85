"""`workspace: {keep: [mtime]}`: checkpoints have the times of their files, for any workspace."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.repo import Repo

VIEWS = pytest.mark.parametrize(
    "view", ["none", pytest.param("overlay", marks=pytest.mark.sweep), pytest.param("copy", marks=pytest.mark.sweep)]
)
FILE = """\
version: 1
workflow: w
isolation: {view}
workspace: {{keep: [mtime]}}
phases:
  a:
    run: >-
      mkdir d; echo 1 > d/x; echo 1 > same; ln -s x d/l; touch -hd "2001-02-03T04:05:06.123456789Z" d/x same d/l
  b: {{run: 'echo 2 > d/x; touch -d "2002-02-03 04:05:06.5Z" d/x same'}}
  c: {{run: 'echo 3 > d/x; touch -d "2003-02-03 04:05:06Z" d/x; test -e go'}}
"""
A, B = 981173106123456789, 1012709106500000000


def times(root: Path) -> list[int]:
    return [os.lstat(root / name).st_mtime_ns for name in ("d/x", "same", "d/l")]


@VIEWS
def test_a_checkpoint_has_the_exact_times_of_its_files_wherever_it_is_taken(
    repo: Repo, tmp_path: Path, view: str
) -> None:
    repo.write("gitckpt.yaml", FILE.format(view=view))
    repo.write(b"odd\xff", "x\n")
    repo.run("run", ok=1)
    assert times(repo.path) == [B, B, A]
    repo.run("rollback", "a")
    assert times(repo.path) == [A, A, A]
    repo.run("undo")
    assert times(repo.path) == [B, B, A]
    repo.run("restore", "c@1")
    assert times(repo.path)[0] == 1044245106000000000
    repo.run("undo")
    assert times(repo.path) == [B, B, A]
    # A clone knows no date but what the history says.
    clone = tmp_path / "clone"
    repo.git("clone", "-q", "--mirror", str(repo.path), str(clone / ".git"))
    repo.git("-C", str(clone), "config", "core.bare", "false")
    shutil.copy(repo.path / "gitckpt.yaml", clone)
    repo.run("rollback", "latest", cwd=clone)
    assert times(clone) == [B, B, A]
    repo.run("rollback", "a", cwd=clone)
    assert times(clone) == [A, A, A]
    assert '"mtime": 981173106123456789' in repo.git(
        "log", "-1", "-p", "--format=", "gitckpt/w~2", "--", ".gitckpt/mtimes"
    )


def test_only_a_time_that_changed_makes_no_checkpoint_and_what_is_not_kept_is_refused(repo: Repo) -> None:
    repo.write("gitckpt.yaml", FILE.format(view="none").replace("; test -e go", ""))
    repo.run("run")
    tip = repo.git("rev-parse", "gitckpt/w")
    os.utime(repo.path / "same", ns=(1, 10**18))
    repo.run("run")
    assert repo.git("rev-parse", "gitckpt/w") == tip
    assert repo.run("diff").stdout == ""
    repo.write("gitckpt.yaml", FILE.format(view="none").replace("[mtime]", "[mtime, xattr]"))
    assert "gitckpt.yaml:4:27: error:" in repo.run("run", ok=2).stderr
