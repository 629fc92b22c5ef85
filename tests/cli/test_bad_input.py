"""What bad input gets: one screen with the next step, its exit code, and workspace and branch as they were."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_run import workflow
from tests.ready import gitckpt
from tests.repo import Repo

FINE = "a: {run: echo a > a}"
BOMB = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [*{before}, *{before}, *{before}, *{before}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def refused(repo: Repo, code: int, *words: str, command: tuple[str, ...] = ("run",), **options: object) -> str:
    """The command's words; nothing of ours moved, and no traceback."""
    before = repo.git("for-each-ref"), files(repo.path)
    said = repo.run(*command, ok=code, **options)  # type: ignore[arg-type]
    assert (repo.git("for-each-ref"), files(repo.path)) == before
    assert "Traceback" not in said.stderr
    assert len(said.stderr.splitlines()) <= 24, said.stderr
    for word in words:
        assert word in said.stderr, said.stderr
    return said.stderr


def files(root: Path) -> dict[str, bytes]:
    """The workspace's files, without git's and ours."""
    found = (path for path in root.rglob("*") if not {".git", ".gitckpt"} & set(path.relative_to(root).parts))
    return {str(path): path.read_bytes() for path in found if path.is_file()}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version: 1\nworkflow: w\nphases:\n  a: {runn: x}\n", ['4:7: error: unknown key "runn", did you mean "run"?']),
        ("version: 1\nworkflow: w\nphases:\n  a: {run: x, needs: b}\n  b: {run: x, needs: a}\n", ["cycle"]),
        ("version: 1\nworkflow: w\nphases:\n  a: {run: x, needs: zz}\n", ["zz"]),
        ("version: 1\nworkflow: w\nworkflow: x\nphases:\n  a: {run: x}\n", ["3:1", "workflow"]),
        ("version: 1\nworkflow: w\nphases:\n  ../x: {run: x}\n", ["../x"]),
        ("version: 1\nworkflow: a b\nphases:\n  a: {run: x}\n", ["a b"]),
        (BOMB, ["alias"]),
        ("# " + "x" * 2_000_000 + "\nversion: 1\nworkflow: w\n", ["gitckpt.yaml"]),
    ],
    ids=["unknown-key", "cycle", "missing-needs", "duplicate-key", "phase-name", "workflow-name", "bomb", "2-MB"],
)  # fmt: skip
def test_a_workflow_file_that_cannot_be_used_is_named_by_line_with_exit_2(
    repo: Repo, text: str, words: list[str]
) -> None:
    repo.write("gitckpt.yaml", text)
    refused(repo, 2, *words)


def test_the_same_workflow_name_at_another_path_is_refused_with_a_name_proposed(repo: Repo) -> None:
    workflow(repo, FINE)
    repo.run("run")
    repo.write("sub/gitckpt.yaml", (repo.path / "gitckpt.yaml").read_bytes())
    refused(repo, 5, "belongs to the folder", "workflow: demo-sub", command=("-C", "sub", "run"))


def test_no_git_and_a_git_too_old(repo: Repo, tmp_path: Path) -> None:
    workflow(repo, FINE)
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(repo, 2, "git was not found", "install git 2.39 or newer", env={"PATH": str(empty)})
    old = tmp_path / "old"
    old.mkdir()
    real = subprocess.run(["sh", "-c", "command -v git"], capture_output=True, text=True, check=True).stdout.strip()
    (old / "git").write_text(
        f'#!/bin/sh\nfor a; do [ "$a" = version ] && {{ echo "git version 2.20.1"; exit; }}; done\nexec {real} "$@"\n'
    )
    (old / "git").chmod(0o755)
    refused(repo, 2, "2.20.1", "2.39", env={"PATH": f"{old}:{os.environ['PATH']}"})


def test_a_branch_called_gitckpt_is_named_with_the_way_out(repo: Repo) -> None:
    workflow(repo, FINE)
    repo.commit()
    repo.git("branch", "gitckpt")
    refused(repo, 5, "refs/heads/gitckpt", "git branch -m gitckpt")


def test_head_on_a_checkpoint_branch_is_named_with_the_way_out(repo: Repo) -> None:
    workflow(repo, FINE)
    repo.run("run")
    repo.git("symbolic-ref", "HEAD", "refs/heads/gitckpt/demo")
    refused(repo, 5, "gitckpt/demo checked out", "git switch")
    assert repo.run("log").stdout, "reading works"
    repo.git("symbolic-ref", "HEAD", "refs/heads/main")


def test_a_commit_of_the_user_s_on_the_checkpoint_branch_is_not_taken_for_a_checkpoint(repo: Repo) -> None:
    workflow(repo, FINE)
    repo.run("run")
    tree = repo.git("rev-parse", "gitckpt/demo^{tree}")
    mine = repo.git("commit-tree", "-p", "gitckpt/demo", "-m", "mine", tree)
    repo.git("update-ref", "refs/heads/gitckpt/demo", mine)
    repo.break_on_purpose("the user's commit is no checkpoint")
    refused(repo, 5, "is not a checkpoint of gitckpt")


def mktree(repo: Repo, rows: str) -> str:
    """A tree of the rows of `git ls-tree`."""
    command = ["git", "mktree"]
    made = subprocess.run(command, cwd=repo.path, input=rows + "\n", capture_output=True, text=True, check=True)
    return made.stdout.strip()


def rewrite_state(repo: Repo, change: dict[str, object] | bytes) -> None:
    """Put another state.json into a commit on the branch, as a stranger's program would."""
    state = json.loads(repo.git("show", "gitckpt/demo:.gitckpt/state.json"))
    data = change if isinstance(change, bytes) else json.dumps({**state, **change}).encode()
    repo.write(".git/state.new", data)
    blob = repo.git("hash-object", "-w", ".git/state.new")
    os.unlink(repo.path / ".git/state.new")
    repo.accept()
    own = repo.git("ls-tree", "gitckpt/demo:.gitckpt").replace(
        repo.git("rev-parse", "gitckpt/demo:.gitckpt/state.json"), blob
    )
    folder = mktree(repo, own)
    top = repo.git("ls-tree", "gitckpt/demo").replace(repo.git("rev-parse", "gitckpt/demo:.gitckpt"), folder)
    tree = mktree(repo, top)
    commit = repo.git("commit-tree", "-p", "gitckpt/demo~", "-m", "x", tree)
    repo.git("update-ref", "refs/heads/gitckpt/demo", commit)
    repo.break_on_purpose("a forged manifest")


def test_a_manifest_of_a_newer_format_is_refused_by_version_and_still_read(repo: Repo) -> None:
    workflow(repo, FINE)
    repo.run("run")
    rewrite_state(repo, {"schema": 99, "later": {"kept": True}})
    refused(repo, 5, "format 99", "update gitckpt")
    assert "done" in repo.run("status").stdout


def test_a_damaged_manifest_is_named_with_the_next_step(repo: Repo) -> None:
    workflow(repo, FINE)
    repo.run("run")
    rewrite_state(repo, b'{"schema": 1, "workflow"')
    refused(repo, 5, "state.json", "is damaged", "gitckpt verify")


def test_a_rollback_to_nowhere_and_an_unknown_command(repo: Repo) -> None:
    workflow(repo, FINE)
    refused(repo, 2, "has no checkpoints yet", "gitckpt run", command=("rollback", "a"))
    repo.run("run")
    refused(repo, 2, "no checkpoint is called 'nope'", "gitckpt log", command=("rollback", "nope"))
    refused(repo, 2, "did you mean `rollback`?", command=("rolback",))


def test_outside_a_repository_and_without_a_workflow_file(repo: Repo, tmp_path: Path) -> None:
    refused(repo, 2, "no gitckpt.yaml", "gitckpt init")
    outside = tmp_path / "outside"
    outside.mkdir()
    said = repo.run("run", ok=2, cwd=outside).stderr
    assert "is not in the work tree of a git repository" in said
    assert "gitckpt init" in said


def test_a_file_of_the_user_s_in_the_reserved_folder_is_an_error_before_the_first_checkpoint(repo: Repo) -> None:
    workflow(repo, FINE)
    repo.write(".gitckpt/mine", "precious\n")
    refused(repo, 2, ".gitckpt holds files that are not gitckpt's")
    assert (repo.path / ".gitckpt/mine").read_text() == "precious\n"


def test_a_workspace_whose_name_is_not_utf8_is_refused_before_anything_is_written(repo: Repo) -> None:
    workflow(repo, FINE)
    there = os.fsencode(repo.path) + b"/caf\xe9"
    os.mkdir(there)
    os.rename(repo.path / "gitckpt.yaml", there + b"/gitckpt.yaml")
    refused(repo, 2, "is not UTF-8", "rename", cwd=Path(os.fsdecode(there)))
    assert not (repo.path / ".git/gitckpt").exists()


def test_init_never_overwrites(repo: Repo) -> None:
    workflow(repo, FINE)
    refused(repo, 2, "is never overwritten", command=("init",))
    refused(repo, 2, "is never overwritten", command=("init", "--template", "etl"))
    refused(repo, 2, command=("init", "--template", "nope"))


def test_the_folder_and_the_file_can_be_named_before_or_after_the_command(repo: Repo, tmp_path: Path) -> None:
    repo.write("other.yaml", "version: 1\nworkflow: other\nphases: {a: {run: echo hi > hi}}\n")
    place = ("-C", str(repo.path), "--file", str(repo.path / "other.yaml"))
    assert gitckpt("run", *place, cwd=tmp_path).returncode == 0
    before, after = (gitckpt(*words, cwd=tmp_path) for words in ((*place, "status"), ("status", *place)))
    assert before.stdout == after.stdout
    assert "other" in after.stdout


def test_a_workspace_that_git_ignores_is_told_before_its_first_checkpoint(repo: Repo) -> None:
    repo.write(".gitignore", "sub/\n")
    text = "version: 1\nworkflow: demo\nphases: {one: {run: echo 1 > one}}\n"
    repo.write("sub/gitckpt.yaml", text)
    said = repo.run("run", cwd=repo.path / "sub", ok=2).stderr
    assert f"git ignores all that is in {repo.path / 'sub'}" in said
    assert 'workspace: {include: ["*"]}' in said
    assert not repo.git("for-each-ref", "refs/heads/gitckpt", "refs/tags", "refs/gitckpt")
    repo.write("sub/gitckpt.yaml", text + 'workspace: {include: ["*"]}\n')
    repo.run("run", cwd=repo.path / "sub")
    assert repo.git("show", "gitckpt/demo:sub/one") == "1"


def test_output_that_cannot_be_written_is_told_and_is_no_bug(repo: Repo) -> None:
    repo.write("gitckpt.yaml", "version: 1\nworkflow: demo\nphases: {one: {run: 'true'}}\n")
    repo.run("run")
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "gitckpt", "log"]
        done = subprocess.run(command, cwd=repo.path, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write to stdout: No space left on device\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_a_closed_stream_hinders_nothing(repo: Repo, closed: str) -> None:
    repo.write("gitckpt.yaml", "version: 1\nworkflow: demo\nphases:\n  a: {run: echo a > a}\n")
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m gitckpt run {closed}', sys.executable], cwd=repo.path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (repo.path / "a").read_text() == "a\n"
