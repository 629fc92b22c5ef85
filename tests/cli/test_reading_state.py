"""`status`, `plan`, `why` and `verify` on real repositories, through the real command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gitckpt.engine.place import LandingUnderWay, Place
from gitckpt.model.names import Oid, WorkflowName
from tests.repo import Repo

THREE = """\
version: 1
workflow: demo
phases:
  extract:
    run: mkdir -p out; echo hi > out/a
  load:
    run: echo boom >&2; test -e go
  publish:
    run: echo done > published
"""


def answer(repo: Repo, *arguments: str) -> Any:
    return json.loads(repo.run(*arguments, "--json").stdout)


def failed(repo: Repo) -> None:
    """`extract` done, `load` failed, `publish` pending."""
    repo.write("gitckpt.yaml", THREE)
    repo.run("run", ok=1)


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder with its mtime and bytes, the git directory included."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, b"" if path.is_dir() else path.read_bytes())
        for path in folder.rglob("*")
        if not path.is_symlink()
    }


def test_status_before_the_first_run_says_so_and_names_the_next_command(repo: Repo) -> None:
    repo.write("gitckpt.yaml", THREE)
    said = repo.run("status").stdout
    assert "demo" in said
    assert "no checkpoints yet" in said
    assert said.endswith("next: gitckpt run\n")
    told = answer(repo, "status")
    assert (told["schema"], told["checkpoint"], told["phases"], told["next_command"]) == (1, None, [], "gitckpt run")


def test_status_works_in_a_folder_whose_name_no_question_to_git_can_hold(repo: Repo) -> None:
    repo.write("two\nlines/gitckpt.yaml", THREE)
    there = repo.path / "two\nlines"
    repo.run("run", ok=1, cwd=there)
    assert repo.run("status", cwd=there).stdout.startswith("demo   in load, 1/3 phases done, at 0003\n")


def test_status_names_each_phase_with_its_status_attempts_and_detail(repo: Repo) -> None:
    failed(repo)
    rows = [line.split() for line in repo.run("status").stdout.splitlines()]
    assert rows[0] == ["demo", "in", "load,", "1/3", "phases", "done,", "at", "0003"]
    assert rows[1][:2] == ["extract", "done"]
    assert rows[2][:4] == ["load", "FAILED", "1", "attempt"]
    assert rows[2][-2:] == ["exit", "1"]
    assert rows[3] == ["publish", "pending"]
    assert rows[4] == ["next:", "gitckpt", "run"]


def test_status_as_json_has_what_a_script_needs(repo: Repo) -> None:
    failed(repo)
    told = answer(repo, "status")
    assert told["current_state"] == "load"
    assert told["running"] is None
    assert told["stuck"] is False
    assert told["unfinished"] == []
    assert [phase["status"] for phase in told["phases"]] == ["completed", "failed", "pending"]
    assert told["phases"][1]["exit_code"] == 1


def test_status_of_a_complete_workflow_points_to_a_new_run(repo: Repo) -> None:
    repo.write("gitckpt.yaml", THREE)
    repo.write("go")
    repo.run("run")
    told = answer(repo, "status")
    assert (told["current_state"], told["next_command"]) == ("COMPLETE", "gitckpt run --again")


def test_status_works_while_the_workflow_file_is_broken(repo: Repo) -> None:
    failed(repo)
    repo.write("gitckpt.yaml", "workflow: demo\nphases: [")
    assert answer(repo, "status")["checkpoint"] == 3


def test_status_names_what_no_checkpoint_holds_and_the_line_to_add(repo: Repo) -> None:
    repo.write(".gitignore", "cache/\n")
    repo.write(
        "gitckpt.yaml", "version: 1\nworkflow: demo\nphases:\n  one:\n    run: mkdir cache; echo x > cache/big\n"
    )
    repo.run("run")
    said = repo.run("status").stdout
    assert "uncaptured: one changed 1 ignored file" in said
    assert 'workspace: {include: ["cache/"]}' in said
    assert answer(repo, "status")["phases"][0]["uncaptured"]["paths"] == ["cache/big"]


@pytest.fixture
def running(repo: Repo) -> Iterator[subprocess.Popen[bytes]]:
    """A run inside its phase `slow`, and a time limit on every wait for it."""
    repo.write("gitckpt.yaml", "version: 1\nworkflow: demo\nphases:\n  slow:\n    run: touch half; sleep 60\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "gitckpt", "run"], cwd=repo.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + 30
        while not (repo.path / "half").exists():
            assert time.monotonic() < end, "the phase did not start"
            time.sleep(0.02)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def test_status_says_what_runs_and_in_which_process(repo: Repo, running: subprocess.Popen[bytes]) -> None:
    told = answer(repo, "status")
    assert told["running"]["pid"] == running.pid
    assert (told["running"]["phase"], told["running"]["attempt"]) == ("slow", 1)
    assert told["phases"][0]["status"] == "running"
    assert told["next_command"] is None
    assert f"process {running.pid}" in repo.run("status").stdout
    assert "slow runs now" in repo.run("why", "slow").stdout


def test_status_reports_a_dead_run_and_leaves_what_it_left(repo: Repo, running: subprocess.Popen[bytes]) -> None:
    os.kill(running.pid, signal.SIGKILL)
    running.wait(30)
    end = time.monotonic() + 30
    while answer(repo, "status")["running"] is not None:
        assert time.monotonic() < end
        time.sleep(0.05)
    told = answer(repo, "status")
    assert told["checkpoint"] == 1
    assert "slow@1 was cut off" in told["unfinished"][0]
    assert (repo.path / "half").exists(), "a reading command put files back"
    repo.run("status")
    assert answer(repo, "status") == told


def test_a_copy_of_the_workspace_is_told_that_it_is_not_at_the_newest_checkpoint(repo: Repo, tmp_path: Path) -> None:
    failed(repo)
    copy = tmp_path / "copy"
    shutil.copytree(repo.path, copy)
    (copy / "out" / "a").write_text("other\n")
    told = json.loads(repo.run("status", "--json", cwd=copy).stdout)
    assert "gitckpt adopt" in told["unfinished"][0]


def test_status_reports_an_interrupted_rollback_and_does_not_finish_it(repo: Repo) -> None:
    failed(repo)
    repo.run("rollback", "extract")
    place = Place(repo.repository, repo.path.resolve())
    tip, before = (Oid(repo.git("rev-parse", f"refs/heads/gitckpt/demo{back}")) for back in ("", "~1"))
    journal = LandingUnderWay(workflow=WorkflowName("demo"), to=tip, before=before)
    place.write(replace(place.read(), landing=journal))
    told = answer(repo, "status")
    assert told["unfinished"] == ["an interrupted rollback will be finished by the next command that writes"]
    assert place.read().landing == journal
    assert "interrupted rollback" in repo.run("log").stderr
    repo.run("run", ok=1)
    assert answer(repo, "status")["unfinished"] == []


def test_status_and_log_work_while_the_record_of_the_workspace_is_damaged(repo: Repo) -> None:
    failed(repo)
    (Place(repo.repository, repo.path.resolve()).folder / "workspace.json").write_text("{")
    assert "workspace.json is damaged" in answer(repo, "status")["unfinished"][0]
    assert repo.run("log").stdout.count("\n") == 3


READING = [
    ("status",),
    ("plan",),
    ("why", "load"),
    ("verify",),
    ("log",),
    ("log", "--graph"),
    ("show", "2"),
    ("show", "load@1"),
    ("output", "load"),
    ("diff",),
    ("diff", "2"),
    ("diff", "extract"),
    ("diff", "load@1"),
    ("diff", "start", "latest"),
]


def test_no_reading_command_leaves_a_trace(repo: Repo) -> None:
    failed(repo)
    repo.write("out/a", "an edit of mine\n")
    before = everything(repo.path)
    for arguments in READING:
        repo.run(*arguments)
        assert everything(repo.path) == before, f"{arguments} left a trace"
    assert list(Path(os.environ["TMPDIR"]).iterdir()) == []


def test_no_reading_command_runs_a_program_that_the_repository_names(repo: Repo, tmp_path: Path) -> None:
    failed(repo)
    ran = tmp_path / "ran"
    planted = tmp_path / "planted"
    planted.write_text(f"#!/bin/sh\necho $0 >> {ran}\ncat\n")
    planted.chmod(0o755)
    for key in (
        "core.fsmonitor", "core.pager", "diff.external", "diff.evil.textconv", "diff.evil.command",
        "filter.evil.clean", "filter.evil.smudge", "core.sshCommand", "gpg.program",
    ):  # fmt: skip
        repo.git("config", key, str(planted))
    repo.write(".gitattributes", "* diff=evil filter=evil\n")
    repo.write("out/a", "an edit of mine\n")
    for arguments in (("diff",), ("diff", "load@1"), ("log",), ("show", "2"), ("status",)):
        repo.run(*arguments, env={"GIT_EXTERNAL_DIFF": str(planted), "GIT_PAGER": str(planted)})
    assert not ran.exists(), ran.read_text()


def test_reading_is_not_led_astray_by_what_git_exports_to_hooks(repo: Repo, tmp_path: Path) -> None:
    failed(repo)
    other = Repo(tmp_path / "other")
    exported = {"GIT_DIR": str(other.path / ".git"), "GIT_INDEX_FILE": str(other.path / ".git" / "index")}
    assert json.loads(repo.run("status", "--json", env=exported).stdout)["checkpoint"] == 3
    assert "+hi" in repo.run("diff", "extract", env=exported).stdout


# --- plan and why -------------------------------------------------------------------------------------------------


def fates(repo: Repo, *arguments: str) -> dict[str, str]:
    return {phase["name"]: phase["fate"] for phase in answer(repo, "plan", *arguments)["phases"]}


def test_plan_without_history_says_that_every_phase_will_run(repo: Repo) -> None:
    repo.write("gitckpt.yaml", THREE)
    told = answer(repo, "plan")
    assert told["begins_run"] is True
    assert [(each["name"], each["fate"], each["reason"]) for each in told["phases"]] == [
        ("extract", "will run", "it needs nothing else"),
        ("load", "will run", "after extract"),
        ("publish", "will run", "after load"),
    ]


def test_plan_says_what_is_done_and_why_the_rest_runs(repo: Repo) -> None:
    failed(repo)
    assert fates(repo) == {"extract": "done", "load": "will run", "publish": "will run"}
    assert "its attempt 1 failed: exit 1" in repo.run("plan").stdout
    assert repo.run("run", "--dry-run").stdout == repo.run("plan").stdout


def test_plan_with_limits_is_what_run_with_them_would_do(repo: Repo) -> None:
    failed(repo)
    assert fates(repo, "--until", "load") == {"extract": "done", "load": "will run", "publish": "not asked for"}
    assert fates(repo, "--only", "extract") == {
        "extract": "will run",
        "load": "not asked for",
        "publish": "not asked for",
    }
    assert fates(repo, "--only", "publish")["publish"] == "waits"
    assert fates(repo, "--from", "extract") == dict.fromkeys(("extract", "load", "publish"), "will run")


def test_plan_names_a_definition_that_changed_and_reruns_nothing_for_it(repo: Repo) -> None:
    failed(repo)
    repo.write("gitckpt.yaml", THREE.replace("echo hi", "echo ho"))
    told = answer(repo, "plan")
    assert told["changed"] == ["extract"]
    assert told["phases"][0]["fate"] == "done"
    assert "gitckpt run --from extract" in repo.run("plan").stdout


def test_plan_foresees_phases_that_the_file_gained_and_lost(repo: Repo) -> None:
    failed(repo)
    repo.write("gitckpt.yaml", THREE.replace("  extract:", "  fetch:"))
    told = answer(repo, "plan")
    assert [phase["name"] for phase in told["phases"]] == ["fetch", "load", "publish"]
    assert told["dropped"] == ["extract"]


def test_plan_names_a_param_that_a_new_run_needs(repo: Repo) -> None:
    repo.write("gitckpt.yaml", THREE.replace("phases:", "params: {SINCE: {required: true}}\nphases:"))
    assert "SINCE" in answer(repo, "plan")["notes"][0]


def test_plan_of_a_complete_run_has_nothing_to_do(repo: Repo) -> None:
    repo.write("gitckpt.yaml", THREE)
    repo.write("go")
    repo.run("run")
    assert answer(repo, "plan")["complete"] is True
    assert set(fates(repo).values()) == {"done"}


def test_why_tells_the_first_reason_in_the_chain(repo: Repo) -> None:
    failed(repo)
    assert repo.run("why", "publish").stdout == ("publish: it waits for load\n  load: its attempt 1 failed: exit 1\n")
    assert answer(repo, "why", "publish")["because"] == [{"phase": "load", "reason": "its attempt 1 failed: exit 1"}]


def test_why_of_a_wrong_name_gives_the_near_ones(repo: Repo) -> None:
    repo.write("gitckpt.yaml", THREE)
    assert "near it: publish" in repo.run("why", "publsh", ok=2).stderr


# --- verify -------------------------------------------------------------------------------------------------------


def test_verify_of_a_sound_history_ends_with_0(repo: Repo) -> None:
    failed(repo)
    assert repo.run("verify").stdout.startswith("Sound: 3 checkpoints, ")
    assert answer(repo, "verify")["findings"] == []


def test_verify_of_a_damaged_history_ends_with_1_and_says_what_to_do(repo: Repo) -> None:
    failed(repo)
    head = repo.git("rev-parse", "refs/heads/gitckpt/demo")
    tree = repo.git("rev-parse", f"{head}^{{tree}}")
    forged = repo.git("commit-tree", tree, "-p", head, "-m", "not one of ours")
    repo.git("update-ref", "refs/heads/gitckpt/demo", forged)
    repo.break_on_purpose("a commit that repeats its parent's state")
    done = repo.run("verify", ok=1)
    assert "NOT sound" in done.stdout
    assert "gitckpt rollback 3" in done.stdout
    assert json.loads(repo.run("verify", "--json", ok=1).stdout)["sound_up_to"] == 3
