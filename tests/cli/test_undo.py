"""`undo` gives back every file as it was before the command, captured or not.

Owns what is looked at: every entry of the workspace, and where gitckpt keeps what no checkpoint holds. The random
sequences are in tests/properties.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.repo import Repo

FILE = """\
version: 1
workflow: w
secrets: [TOKEN]
workspace: {{exclude: {exclude}}}
phases:
  a: {{run: 'mkdir -p out; echo 1 > model; echo 1 > out/x; ln -s one link; echo 1 > plain; echo 1 > note'}}
  b: {{run: echo 2 > plain}}
"""
Entries = dict[str, tuple[int, bytes]]


def entries(root: Path) -> Entries:
    """Every entry but git's and gitckpt's own: its type and mode, its bytes or target."""
    found: Entries = {}
    for folder, folders, names in os.walk(root):
        if Path(folder) == root:
            folders[:] = [name for name in folders if name not in (".git", ".gitckpt")]
        for path in (Path(folder, name) for name in (*folders, *names)):
            mode = path.lstat().st_mode
            data = path.read_bytes() if stat.S_ISREG(mode) else b""
            found[str(path.relative_to(root))] = (mode, os.fsencode(path.readlink()) if path.is_symlink() else data)
    return found


def kept(repo: Repo) -> list[Path]:
    """The files that gitckpt keeps outside of git."""
    return [path for path in (repo.path / ".git/gitckpt").glob("workspaces/*/replaced/*/*") if path.name != "record"]


@pytest.fixture
def left(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """All that `a` made is captured at 0002. Since then the user has taken it out of checkpoints in every way there is,
    and put something of another sort in its place."""
    monkeypatch.setenv("TOKEN", "very-secret-word")
    repo.write("gitckpt.yaml", FILE.format(exclude="[]"))
    repo.run("run")
    repo.write("gitckpt.yaml", FILE.format(exclude="[model, 'out/', big]"))
    repo.write(".gitignore", "link\nplain\n")
    repo.write("model", "2, newer, excluded\n", mode=0o640)
    os.utime(repo.path / "model", (1e9, 1e9))
    (repo.path / "out/x").unlink()
    (repo.path / "out").rmdir()
    (repo.path / "out").symlink_to("elsewhere")
    (repo.path / "link").unlink()
    repo.write("link/deep/ignored", "ignored, where a link was\n", mode=0o755)
    (repo.path / "link/deep/fine").symlink_to("ignored")
    os.mkfifo(repo.path / "link/pipe", 0o600)
    (repo.path / "plain").unlink()
    repo.write("note", "it holds very-secret-word now\n", mode=0o604)
    repo.run("status")
    return repo


def test_undo_gives_back_every_file_captured_or_not_and_so_does_each_further_undo(left: Repo) -> None:
    before = entries(left.path)
    said = left.run("rollback", "2").stderr
    after = entries(left.path)
    assert "no checkpoint holds" in said
    assert [(path, after[path][1]) for path in ("model", "out/x", "link", "note")] == [
        ("model", b"1\n"),
        ("out/x", b"1\n"),
        ("link", b"one"),
        ("note", b"1\n"),
    ]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in kept(left))
    assert {path.stat().st_mode & 0o777 for path in (left.path / ".git/gitckpt/workspaces").glob("*/replaced/*")} == {
        0o700
    }
    left.run("undo")
    assert entries(left.path) == before
    assert (left.path / "model").stat().st_mtime == 1e9
    assert kept(left) == [], "what is given back is not kept twice"
    left.run("undo")
    assert entries(left.path) == after
    left.run("undo")
    assert entries(left.path) == before
    assert "very-secret-word" not in left.git("cat-file", "--batch-all-objects", "--batch", "--unordered")


def test_what_only_the_rules_of_then_leave_out_is_not_deleted_with_what_came_since(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollback brings the workflow file of then, without `exclude` or `secrets`: the next command captures more."""
    monkeypatch.setenv("TOKEN", "very-secret-word")
    repo.write("gitckpt.yaml", FILE.format(exclude="[]").replace("secrets: [TOKEN]\n", ""))
    repo.run("run")
    repo.write("gitckpt.yaml", FILE.format(exclude="[big]"))
    repo.write("big", "never captured\n")
    repo.write("note", "it holds very-secret-word now\n")
    repo.run("run", "--from", "b")
    before = entries(repo.path)
    repo.run("rollback", "start")
    repo.run("undo")
    assert entries(repo.path) == before
    repo.run("rollback", "start")
    repo.write("big", "changed since\n")
    repo.write("plain", "mine\n")
    repo.run("undo")
    assert entries(repo.path) == before | {"big": (before["big"][0], b"changed since\n")}
    assert "mine" in repo.git("log", "--all", "-p", "--format=")


def changed(repo: Repo, selector: str) -> set[str]:
    return {change["path"] for change in json.loads(repo.run("diff", "--json", selector).stdout)["changes"]}


def test_a_rescue_or_an_attempt_brings_what_its_diff_shows_and_the_whole_tree_only_with_all(repo: Repo) -> None:
    """The rescue is of a workspace that was never at a checkpoint, as in a clone; both have moved on since."""
    file = "version: 1\nworkflow: w\nphases: {a: {run: 'echo 2 > made; rm gone; mkdir d; echo 2 > d/x; exit 1'}}\n"
    repo.write("gitckpt.yaml", file)
    repo.write("gone", "1\n")
    repo.write("log", "1\n")
    repo.run("run", ok=1)
    attempt, wanted = changed(repo, "a@1"), {"made", "gone", "d", "d/x"}
    assert attempt == wanted
    repo.write("log", "2\n")
    repo.write("d", "a file of mine, where the attempt had a folder\n")
    before = entries(repo.path)
    repo.run("restore", "a@1")
    after = entries(repo.path)
    assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} == wanted
    assert after["log"][1] == b"2\n"
    repo.run("undo")
    assert entries(repo.path) == before
    repo.run("restore", "--all", "a@1")
    assert entries(repo.path) == after | {"log": (after["log"][0], b"1\n")}
    repo.run("restore", "a@1", "--to", "../some")
    assert sorted(entries(repo.path.parent / "some")) == ["d", "d/x", "made"]
    repo.run("restore", "--all", "a@1", "--to", "../all")
    assert sorted(entries(repo.path.parent / "all")) == ["d", "d/x", "gitckpt.yaml", "log", "made"]

    shutil.rmtree(repo.path / ".git/gitckpt")  # as in a clone, where no base is known
    repo.write("made", "mine\n", mode=0o600)
    before = entries(repo.path)
    repo.run("rollback", "start")
    assert changed(repo, "rescue@1") == {"made"}
    repo.write("log", "3\n")
    here = entries(repo.path)
    repo.run("restore", "rescue@1")
    assert entries(repo.path) == here | {"made": before["made"]}


def test_undo_of_a_rollback_where_no_base_was_known_gives_back_the_files_as_they_were(repo: Repo) -> None:
    repo.write("gitckpt.yaml", "version: 1\nworkflow: w\nphases: {a: {run: 'echo 1 > x; echo 1 > hidden'}}\n")
    repo.run("run")
    shutil.rmtree(repo.path / ".git/gitckpt")
    repo.write("gitckpt.yaml", (repo.path / "gitckpt.yaml").read_text() + "workspace: {exclude: [hidden]}\n")
    repo.write("x", "mine\n")
    repo.write("hidden", "mine, excluded\n", mode=0o640)
    (repo.path / "y").symlink_to("x")
    before = entries(repo.path)
    repo.run("run", ok=5)
    repo.run("rollback", "latest")
    assert (repo.path / "hidden").read_text() == "1\n"
    assert not (repo.path / "y").is_symlink()
    repo.run("undo")
    assert entries(repo.path) == before
    assert "mine, excluded" not in repo.git("cat-file", "--batch-all-objects", "--batch", "--unordered")


def test_what_is_kept_is_listed_by_doctor_and_goes_with_gc_forget_but_that_of_the_newest_command(left: Repo) -> None:
    left.run("rollback", "2")
    said = left.run("doctor", ok=(0, 1, 5)).stdout
    assert "that no checkpoint holds, replaced by 0005 of w" in " ".join(said.split())
    assert "Deleted" not in left.run("gc", "--forget").stdout
    first = kept(left)
    assert first
    left.write("new", "x")
    left.run("restore", "1")
    assert "Would delete" in left.run("gc", "--forget", "--dry-run").stdout
    assert kept(left) == first
    assert "Deleted" in left.run("gc", "--forget").stdout
    assert kept(left) == []


def test_a_later_undo_takes_what_the_command_made_also_where_it_is_captured_no_longer(repo: Repo) -> None:
    repo.write("gitckpt.yaml", FILE.format(exclude="[]"))
    repo.run("run")
    (repo.path / "model").unlink()
    repo.run("restore", "2", "--", "model")
    repo.write("gitckpt.yaml", FILE.format(exclude="[model]"))
    repo.write("model", "excluded since, and changed\n")
    repo.write("other", "mine\n")
    repo.run("undo")
    assert not (repo.path / "model").exists()
    assert [path.read_text() for path in kept(repo)] == ["excluded since, and changed\n"]
    repo.run("undo")
    assert (repo.path / "model").read_text() == "excluded since, and changed\n"
    assert (repo.path / "other").read_text() == "mine\n"


def test_what_an_ignore_rule_has_just_taken_out_is_given_back_and_on_no_ref(repo: Repo) -> None:
    """The command that replaces it is the one that finds out that it is captured no longer."""
    repo.write("gitckpt.yaml", "version: 1\nworkflow: w\nphases:\n  a: {run: echo one > model}\n")
    repo.run("run")
    repo.write(".gitignore", "model\n")
    repo.write("model", "mine, ignored since\n", mode=0o755)
    before = entries(repo.path)
    assert "no longer captured: model" in repo.run("restore", "2", "--", "model").stderr
    assert (repo.path / "model").read_text() == "one\n"
    repo.run("undo")
    assert entries(repo.path) == before
    assert "mine, ignored since" not in repo.git("log", "--all", "-m", "-p", "--format=")
