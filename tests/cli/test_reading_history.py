"""`log`, `show`, `output` and `diff` on real repositories, through the real command line."""

from __future__ import annotations

import json
import os
import pty
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ready import gitckpt
from tests.repo import Repo

TWO = """\
version: 1
workflow: demo
phases:
  extract:
    run: mkdir -p out; echo hi > out/a; echo hi > out/b
  load:
    run: echo connecting; echo 'connection refused' >&2; echo half > out/half; test -e go
"""
GRAPH = ["*", "| o", "|/", "*", "*"]
KEEPS = """\
version: 1
workflow: demo
phases:
  train:
    keep_partial: true
    run: echo one > first; test -e go; echo two > second
"""


def answer(repo: Repo, *arguments: str) -> Any:
    return json.loads(repo.run(*arguments, "--json").stdout)


def failed(repo: Repo) -> None:
    repo.write("gitckpt.yaml", TWO)
    repo.run("run", ok=1)


def on_a_terminal(repo: Repo, *arguments: str, **env: str) -> str:
    """What the command writes where stdout is a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gitckpt", *arguments],
        cwd=repo.path,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", **env},
    )
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:  # how Linux tells that the other end of a terminal is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    assert process.stderr is not None
    problem = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 0, problem
    return b"".join(parts).decode().replace("\r\n", "\n")


# --- log ----------------------------------------------------------------------------------------------------------


def test_log_lists_the_newest_first_and_marks_failed_attempts_with_their_cause(repo: Repo) -> None:
    failed(repo)
    lines = repo.run("log").stdout.splitlines()
    assert re.fullmatch(r"  ·   load@1 +failed +\d\d:\d\d  exit 1: connection refused", lines[0])
    assert re.fullmatch(r"0002  extract +done +\d\d:\d\d  \+2 files +go back to it: gitckpt rollback 2", lines[1])
    assert re.fullmatch(r"0001  start +started +\d\d:\d\d  A gitckpt.yaml", lines[2])
    assert len(lines) == 3


def test_log_names_the_file_of_an_edit(repo: Repo) -> None:
    failed(repo)
    repo.write("out/a", "mine\n")
    repo.write("go")
    repo.run("run")
    repo.write("go", "changed\n")
    repo.run("checkpoint", "-m", "before the holidays")
    row = next(line for line in repo.run("log").stdout.splitlines() if line.startswith("0005"))
    assert row.split()[:3] == ["0005", "load", "done"]
    assert "before the holidays" in repo.run("log").stdout


def test_log_shows_as_many_as_asked_for_and_how_many_are_left(repo: Repo) -> None:
    failed(repo)
    said = repo.run("log", "-n", "1").stdout.splitlines()
    assert len(said) == 2
    assert said[1] == "… 2 more: gitckpt log --all"
    assert len(repo.run("log", "--all").stdout.splitlines()) == 3
    assert answer(repo, "log", "-n", "1")["more"] == 2


def test_log_of_the_current_run_leaves_older_runs_out(repo: Repo) -> None:
    repo.write("gitckpt.yaml", TWO)
    repo.write("go")
    repo.run("run")
    repo.run("run", "--again")
    assert [row["number"] for row in answer(repo, "log", "--run")["checkpoints"]] == [6, 5, 4]
    assert len(answer(repo, "log")["checkpoints"]) == 6


def test_log_as_json_has_commit_tag_parents_and_counts(repo: Repo) -> None:
    failed(repo)
    told = answer(repo, "log")
    row = told["checkpoints"][1]
    assert told["schema"] == 1
    assert (row["number"], row["tag"], row["kind"], row["phase"]) == (2, "0002-extract", "phase", "extract")
    assert row["commit"] == repo.git("rev-parse", "refs/tags/gitckpt/demo/0002-extract")
    assert row["files"] == {"added": 2, "modified": 0, "removed": 0}
    assert told["checkpoints"][0]["attempt"] == "load@1"


def test_log_as_a_graph_shows_what_a_rollback_took_back_until_it_is_undone(repo: Repo) -> None:
    repo.write("gitckpt.yaml", TWO)
    repo.write("go")
    repo.run("run")
    repo.run("rollback", "extract")
    marks = [(row["number"], row["taken_back"]) for row in answer(repo, "log")["checkpoints"]]
    assert marks == [(4, False), (3, True), (2, False), (1, False)]
    assert [line[:4].rstrip() for line in repo.run("log", "--graph").stdout.splitlines()] == GRAPH
    repo.run("undo")
    marks = [(row["number"], row["taken_back"]) for row in answer(repo, "log")["checkpoints"]]
    assert marks == [(5, False), (4, True), (3, False), (2, False), (1, False)]


def test_log_without_history_says_how_to_start(repo: Repo) -> None:
    repo.write("gitckpt.yaml", TWO)
    assert "gitckpt run" in repo.run("log", ok=2).stderr


# --- show ---------------------------------------------------------------------------------------------------------


def test_show_tells_commit_tag_author_what_happened_and_the_files(repo: Repo) -> None:
    failed(repo)
    said = repo.run("show", "extract").stdout
    assert said.startswith("0002-extract\n")
    assert repo.git("rev-parse", "refs/heads/gitckpt/demo~1") in said
    assert "tag     gitckpt/demo/0002-extract" in said
    assert "Ann Example" in said
    assert re.search(r"extract completed in .* \(attempt 1\)", said)
    assert "    A out/a\n    A out/b\n" in said
    assert said.endswith("go back  gitckpt rollback 2\n")


def test_show_of_an_attempt_says_how_to_bring_its_files(repo: Repo) -> None:
    failed(repo)
    said = repo.run("show", "load@1").stdout
    assert "A out/half" in said
    assert "gitckpt restore load@1" in said
    assert "rollback" not in said
    assert answer(repo, "show", "load@1")["beside"] is True


def test_show_of_a_wrong_name_gives_the_near_ones(repo: Repo) -> None:
    failed(repo)
    assert "extract" in repo.run("show", "extrct", ok=2).stderr


def test_a_name_that_would_forge_a_line_is_shown_as_what_it_is(repo: Repo) -> None:
    repo.write("gitckpt.yaml", TWO)
    repo.write("a\nD  everything\x1b[2J", "x\n")
    repo.run("run", ok=1)
    for arguments in (("show", "1"), ("diff", "--name-only", "1")):
        said = repo.run(*arguments).stdout
        assert "\x1b" not in said
        assert "a\\nD  everything\\e[2J" in said


# --- output -------------------------------------------------------------------------------------------------------


def test_output_prints_what_the_phase_printed_byte_for_byte(repo: Repo) -> None:
    repo.write("gitckpt.yaml", "version: 1\nworkflow: demo\nphases:\n  p:\n    run: printf 'a\\377\\033[31mb'\n")
    repo.run("run")
    assert repo.run("output", "p").stdout == "a\udcff\x1b[31mb"
    assert answer(repo, "output", "p")["output"] == {"b64": "Yf8bWzMxbWI="}


@pytest.mark.parametrize("columns", [60, 200])
def test_the_hint_of_a_log_is_not_broken_by_a_narrow_terminal(repo: Repo, columns: int) -> None:
    repo.write("gitckpt.yaml", "version: 1\nworkflow: demo\nphases:\n  p: {run: echo p > p}\n")
    repo.run("run")
    lines = on_a_terminal(repo, "log", COLUMNS=str(columns)).splitlines()
    assert max(map(len, lines)) <= columns
    assert [line for line in lines if line.endswith("go back to it: gitckpt rollback 2")] == [
        lines[-1] if columns == 60 else lines[0]
    ]


def test_output_on_a_terminal_is_made_safe_unless_raw_is_asked_for(repo: Repo) -> None:
    repo.write("gitckpt.yaml", "version: 1\nworkflow: demo\nphases:\n  p:\n    run: printf 'x\\033]0;title\\007y\\n'\n")
    repo.run("run")
    assert on_a_terminal(repo, "output", "p") == "x\\e]0;title\\x07y\n"
    assert on_a_terminal(repo, "output", "p", "--raw") == "x\x1b]0;title\x07y\n"


def test_output_of_each_attempt_is_found_by_its_number(repo: Repo) -> None:
    repo.write("gitckpt.yaml", "version: 1\nworkflow: demo\nphases:\n  p:\n    run: cat say; test -e go\n")
    repo.write("say", "first\n")
    repo.run("run", ok=1)
    repo.write("say", "second\n")
    repo.write("go")
    repo.run("run")
    assert repo.run("output", "p").stdout == "second\n"
    assert repo.run("output", "p@1").stdout == "first\n"
    assert repo.run("output", "p", "--attempt", "2").stdout == "second\n"
    assert "p@1" in repo.run("output", "p@9", ok=2).stderr


# --- diff ---------------------------------------------------------------------------------------------------------


def test_diff_shows_your_edits_and_nothing_when_there_are_none(repo: Repo) -> None:
    failed(repo)
    assert repo.run("diff").stdout == ""
    repo.write("out/a", "mine\n")
    said = repo.run("diff").stdout
    assert "--- a/out/a\n+++ b/out/a\n@@ -1 +1 @@\n-hi\n+mine\n" in said
    assert ".gitckpt" not in said


def test_diff_is_a_patch_that_git_can_apply(repo: Repo, tmp_path: Path) -> None:
    failed(repo)
    repo.write("out/a", "mine\n")
    repo.write("out/b", "hi\n", mode=0o600)
    repo.write("new file", "n\n", mode=0o755)
    patch = tmp_path / "patch"
    patch.write_text(repo.run("diff").stdout)
    assert "# out/b: mode 0644 -> 0600" in patch.read_text()
    there = tmp_path / "there"
    repo.run("restore", "2", "--to", str(there))
    subprocess.run(["git", "apply", patch], cwd=there, check=True)
    assert (there / "out" / "a").read_text() == "mine\n"
    assert stat.S_IMODE((there / "new file").stat().st_mode) & 0o100


def test_diff_says_what_no_diff_of_git_can_say(repo: Repo) -> None:
    failed(repo)
    (repo.path / "empty").mkdir()
    os.mkfifo(repo.path / "pipe")
    repo.write("out/a", "hi\n", mode=0o640)
    (repo.path / "out").chmod(0o700)
    (repo.path / "inner" / ".git").mkdir(parents=True)
    (repo.path / "inner" / ".git" / "HEAD").write_text("ref: refs/heads/x\n")
    said = repo.run("diff").stdout.splitlines()
    assert said[0] == "# empty: empty folder made"
    assert "# inner/.git/HEAD: made (git refuses this path)" in said
    assert "# out: folder: mode 0755 -> 0700" in said
    assert "# out/a: mode 0644 -> 0640" in said
    assert "# pipe: FIFO made" in said


def test_diff_of_a_checkpoint_is_what_it_changed(repo: Repo) -> None:
    failed(repo)
    assert repo.run("diff", "2", "--name-only").stdout == "out/a\nout/b\n"
    assert repo.run("diff", "0002-extract").stdout == repo.run("diff", "extract").stdout
    assert repo.run("diff", "start", "--name-only").stdout == "gitckpt.yaml\n"


def test_diff_of_an_attempt_is_what_it_left(repo: Repo) -> None:
    failed(repo)
    assert repo.run("diff", "load@1", "--name-only").stdout == "out/half\n"
    assert "gitckpt diff load@1" in repo.run("diff", "load", ok=2).stderr


def test_diff_of_a_phase_is_over_all_its_checkpoints_and_without_your_edits_in_between(repo: Repo) -> None:
    repo.write("gitckpt.yaml", KEEPS)
    repo.run("run", ok=1)
    assert repo.run("diff", "train", "--name-only").stdout == "first\n"
    repo.write("go", "mine\n")
    repo.run("run")
    assert repo.run("diff", "train", "--name-only").stdout == "first\nsecond\n"
    assert repo.run("diff", "start", "latest", "--name-only").stdout == "first\ngo\nsecond\n"


def test_diff_of_a_phase_is_about_its_newest_run_only(repo: Repo) -> None:
    repo.write("gitckpt.yaml", 'version: 1\nworkflow: demo\nphases:\n  p:\n    run: touch "made-$(ls | wc -l)"\n')
    repo.run("run")
    first = repo.run("diff", "p", "--name-only").stdout
    repo.run("run", "--again")
    second = repo.run("diff", "p", "--name-only").stdout
    assert len(second.splitlines()) == 1
    assert first != second


def test_diff_of_two_goes_from_the_first_to_the_second(repo: Repo) -> None:
    failed(repo)
    assert "+hi" in repo.run("diff", "start", "extract").stdout
    assert "-hi" in repo.run("diff", "extract", "start").stdout
    assert re.search(r"out/a \| 1 \+", repo.run("diff", "start", "extract", "--stat").stdout)


def test_diff_of_some_paths_leaves_the_others_out(repo: Repo) -> None:
    failed(repo)
    assert repo.run("diff", "extract", "--name-only", "--", "out/b").stdout == "out/b\n"
    assert repo.run("diff", "extract", "--name-only", "--", "b", cwd=repo.path / "out").stdout == "out/b\n"
    assert repo.run("diff", "extract", "--name-only", "--", "elsewhere").stdout == ""
    assert "not in the workspace" in repo.run("diff", "--", "../x", ok=2).stderr


def test_diff_follows_a_renamed_file(repo: Repo) -> None:
    failed(repo)
    (repo.path / "gitckpt.yaml").write_text(TWO)
    repo.write("long.txt", "".join(f"line {n}\n" for n in range(50)))
    repo.run("checkpoint", "-m", "long")
    (repo.path / "long.txt").rename(repo.path / "other.txt")
    assert "rename from long.txt\nrename to other.txt\n" in repo.run("diff").stdout


def test_diff_works_while_the_workflow_file_is_broken(repo: Repo) -> None:
    failed(repo)
    repo.write("gitckpt.yaml", TWO.replace("phases:", "phasez:"))
    done = repo.run("diff")
    assert "+phasez:" in done.stdout
    assert "gitckpt lint" in done.stderr


def test_diff_as_json_names_odd_paths_exactly(repo: Repo) -> None:
    failed(repo)
    repo.write(b"odd\xff", "x\n")
    (change,) = answer(repo, "diff")["changes"]
    assert change["path"] == {"b64": "b2Rk/w=="}
    assert (change["change"], change["old"], change["new"]["mode"]) == ("A", None, "0644")


def test_diff_in_a_subfolder_names_paths_from_the_workspace(repo: Repo) -> None:
    repo.write("sub/gitckpt.yaml", TWO)
    repo.write("beside", "not part of it\n")
    sub = repo.path / "sub"
    repo.run("run", ok=1, cwd=sub)
    repo.write("sub/out/a", "mine\n")
    assert repo.run("diff", "--name-only", cwd=sub).stdout == "out/a\n"
    assert "--- a/out/a\n" in repo.run("diff", cwd=sub).stdout


@pytest.mark.parametrize("no_color", ["", "1"])
def test_diff_on_a_terminal_is_coloured_and_obeys_nothing_in_a_file(repo: Repo, no_color: str) -> None:
    failed(repo)
    repo.write("out/a", "x\x1b[2J\n-- y\n")
    said = on_a_terminal(repo, "diff", NO_COLOR=no_color)
    assert "\x1b[2J" not in said
    assert "+x\\e[2J" in said
    assert ("\x1b[32m+-- y\x1b[m" in said) == (not no_color)
    assert ("\x1b" in said) == (not no_color)


def test_diff_of_a_sha256_repository_works_too(tmp_path: Path) -> None:
    folder = tmp_path / "wide"
    subprocess.run(["git", "init", "-q", "--object-format=sha256", folder], check=True)
    (folder / "gitckpt.yaml").write_text(TWO)

    def run(*arguments: str) -> str:
        return gitckpt(*arguments, cwd=folder).stdout

    run("run")
    (folder / "out" / "a").write_text("mine\n")
    assert "-hi\n+mine\n" in run("diff")
    assert run("diff", "extract", "--name-only") == "out/a\nout/b\n"
