"""What counts as the project: a clone may hold anything beside it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.house.tree import tracked


def names(top: Path, suffix: str = "") -> list[str]:
    return [str(path.relative_to(top)) for path in tracked(suffix, top)]


def test_what_a_person_keeps_in_a_clone_is_no_part_of_the_project(tmp_path: Path) -> None:
    for name in ("a.py", "sub/b.py", "mine/lib/c.py", "mine/pyvenv.cfg", "notes.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x\n")
    (tmp_path / "link.py").symlink_to("a.py")
    assert names(tmp_path, ".py") == ["a.py", "sub/b.py"], "no clone, and an environment by its own mark"
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "add", "a.py", "sub", "link.py"], check=True)
    assert names(tmp_path) == ["a.py", "sub/b.py"]
    (tmp_path / "a.py").unlink()
    assert names(tmp_path) == ["sub/b.py"]
