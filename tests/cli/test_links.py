"""Links where gitckpt keeps its own files, as a repository from elsewhere may have them: refused, never followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.repo import Repo

FILE = "version: 1\nworkflow: w\nphases:\n  a: {run: echo a > a}\n"
OWN = [".gitckpt", ".gitckpt/.gitignore", ".git/gitckpt", ".git/gitckpt/workspaces", ".git/gitckpt/locks"]


@pytest.mark.parametrize("dangling", [False, True], ids=["to a folder", "dangling"])
@pytest.mark.parametrize("link", OWN)
def test_a_link_where_gitckpt_writes_is_refused(repo: Repo, tmp_path: Path, link: str, dangling: bool) -> None:
    repo.write("gitckpt.yaml", FILE)
    outside = tmp_path / "outside"
    if not dangling:
        outside.mkdir()
    place = repo.path / link
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(outside, target_is_directory=True)
    repo.accept()
    for command in (["run"], ["checkpoint", "-m", "x"], ["doctor", "--repair"]):
        done = repo.run(*command, ok=2)
        assert f"{place} is a link" in done.stderr
        assert f"rm {place}" in done.stderr
    repo.run("status", ok=None)
    assert not outside.exists() if dangling else list(outside.iterdir()) == []
    place.unlink()
    repo.accept()
    repo.run("run")


def test_what_lies_where_the_live_state_is_made_is_not_written_through(repo: Repo, tmp_path: Path) -> None:
    repo.write("gitckpt.yaml", FILE)
    outside = tmp_path / "outside"
    outside.write_text("theirs\n")
    live = repo.path / ".gitckpt"
    live.mkdir()
    for name in ("state.json", "state.json.new", "heartbeat", "heartbeat.new", "begin.new", "stamp", "stamp.new"):
        (live / name).symlink_to(outside)
    (live / ".gitignore").write_text("*\n")
    repo.run("run")
    assert outside.read_text() == "theirs\n"
    assert not (live / "state.json").is_symlink()
