"""Workflows in Python: the same checkpoints, the same resume and the same commands as those of a workflow file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from gitckpt.flow.context import require_storable
from gitckpt.spec.templates import template
from tests.repo import Repo

HEAD = 'import os, signal, sys\nfrom pathlib import Path\nimport gitckpt\nflow = gitckpt.Flow("made")\n'


def written(repo: Repo, phases: str, head: str = HEAD) -> None:
    repo.write("flow.py", head + dedent(phases))


def flow(repo: Repo, *arguments: str, ok: int | None = 0, env: dict[str, str] | None = None) -> str:
    """What a command says, stdout before stderr."""
    done = repo.run("--file", "flow.py", *arguments, ok=ok, env=env)
    return done.stdout + done.stderr


def manifest(repo: Repo) -> Any:
    return json.loads(repo.git("show", "gitckpt/made:.gitckpt/state.json"))


def titles(repo: Repo) -> list[str]:
    said = repo.git("log", "--first-parent", "--reverse", "--format=%s", "gitckpt/made").splitlines()
    return [line.partition(" ")[2] for line in said]


def test_a_function_has_its_params_data_and_items_and_leaves_no_compiled_files(repo: Repo) -> None:
    repo.write("shop/prices.py", "def of(name):\n    return len(name)\n")
    repo.write("secrets.py", "raise SystemExit('taken for the one that gitckpt needs')\n")
    written(
        repo,
        """
        from shop import prices

        @flow.phase
        def extract(ctx: gitckpt.Context) -> None:
            ctx.data["seen"] = {"by": [ctx.params["WHO"], None, True, 3]}
            ctx.data.append("names", "a")
            assert ctx.data.incr("total", 2) == 2 and ctx.data.incr("total") == 3
            assert ctx.data["total"] == 3 and set(ctx.data) == {"seen", "names", "total"} and len(ctx.data) == 3
            assert ctx.workspace == Path.cwd() and not ctx.resumed and ctx.items == []

        @flow.phase(name="load-all", needs=extract, foreach=["one", "t w\\no"], env={"N": 5})
        def load(ctx: gitckpt.Context) -> None:
            assert ctx.item_bytes == ctx.item.encode() and ctx.items == [ctx.item] and os.environ["N"] == "5"
            Path(f"{ctx.index}.txt").write_text(f"{ctx.item} {prices.of(ctx.item)} {ctx.attempt}")

        @flow.phase(foreach=["x", "y\\nz", "w"], batch=2)
        def send(ctx: gitckpt.Context) -> None:
            ctx.data.append("sent", ctx.items)

        flow.command("tail", run='echo "$GITCKPT_PHASE" > tail.txt')
        """,
        head=HEAD.replace('"made"', '"made", params={"WHO": gitckpt.Param(default="Ann")}'),
    )
    flow(repo, "run", "--set", "WHO=Bob")
    state = manifest(repo)
    assert state["data"] == {
        "seen": {"by": ["Bob", None, True, 3]},
        "names": ["a"],
        "total": 3,
        "sent": [["x", "y\nz"], ["w"]],
    }
    assert state["phases"]["load-all"]["items"]["done"] == 2
    assert [(repo.path / name).read_text() for name in ("0.txt", "1.txt", "tail.txt")] == [
        "one 3 1",
        "t w\no 5 1",
        "tail\n",
    ]
    assert list(repo.path.rglob("__pycache__")) == []


def test_a_killed_function_goes_on_from_the_checkpoint_it_made(repo: Repo) -> None:
    written(
        repo,
        """
        @flow.phase
        def long(ctx):
            if not ctx.resumed:
                Path("half.txt").write_text("half")
                ctx.data["half"] = 1
                assert ctx.checkpoint("half way") > 1
                Path("half.txt").write_text("more")
                ctx.data["half"] = 2
                os.kill(int(os.environ["RUNNER"] or 0) or os.getpid(), signal.SIGKILL)
            Path("whole.txt").write_text(Path("half.txt").read_text() + str(ctx.data["half"]))
        """,
    )
    said = flow(repo, "run", ok=1, env={"RUNNER": ""})
    assert "killed by signal 9" in said
    assert (repo.path / "half.txt").read_text() == "half"
    flow(repo, "run")
    assert (repo.path / "whole.txt").read_text() == "half1"
    assert titles(repo)[1:] == ["long named half way", "long failed long@1 killed by signal 9", "long done"]


def test_an_exception_is_shown_as_the_users_own_and_an_exit_code_is_honoured(repo: Repo) -> None:
    written(
        repo,
        """
        def inner():
            raise KeyError("no such thing")

        @flow.phase(on_failure="continue")
        def broken(ctx):
            try:
                inner()
            except KeyError as error:
                raise ValueError("told") from error

        @flow.phase(needs=[], on_failure="continue")
        def wrong(ctx):
            ctx.data["half"] = 0.5

        @flow.phase(needs=[])
        def ends(ctx):
            sys.exit(7)
        """,
    )
    flow(repo, "run", ok=1)
    said = flow(repo, "output", "broken")
    frames = [line.rpartition(", in ")[2] for line in said.splitlines() if line.startswith("  File ")]
    assert frames == ["broken", "inner", "broken"]
    assert said.rstrip().endswith("ValueError: told")
    assert "flow/" not in said
    assert flow(repo, "output", "wrong").rstrip().endswith("no fractions; store str(0.5)")
    assert manifest(repo)["phases"]["broken"]["exit_code"] == 1
    assert manifest(repo)["phases"]["ends"]["exit_code"] == 7


def test_a_validation_that_says_no_fails_the_attempt_and_a_compensation_is_called_on_the_way_back(repo: Repo) -> None:
    written(
        repo,
        """
        outside = Path("..", "outside.txt")

        def undo(ctx):
            outside.write_text(outside.read_text() + f"-{ctx.item}")

        @flow.phase(foreach=["a", "b"], compensate=undo, validate=lambda ctx: outside.exists())
        def book(ctx):
            outside.write_text((outside.read_text() if outside.exists() else "") + f"+{ctx.item}")

        @flow.phase(validate=lambda ctx: Path("good").exists())
        def pay(ctx):
            Path("paid").touch()
        """,
    )
    said = flow(repo, "run", ok=1)
    assert "validate: flow.py:pay.validate said False" in said
    assert not (repo.path / "paid").exists()
    flow(repo, "rollback", "start", "--compensate")
    assert (repo.path.parent / "outside.txt").read_text() == "+a+b-b-a"


def test_reading_commands_never_run_the_file(repo: Repo) -> None:
    written(repo, "@flow.phase\ndef one(ctx):\n    Path('one').touch()\n")
    flow(repo, "run")
    trace = repo.path.parent / "was-run"
    written(repo, f"Path({str(trace)!r}).touch()\n@flow.phase\ndef one(ctx): ...\n")
    for command in ("status", "log", "diff", "diff one", "show one", "why one", "output one", "verify", "state get"):
        flow(repo, *command.split())
    assert not trace.exists()
    flow(repo, "plan")
    assert trace.exists()
    repo.write("flow.py", 'flow = gitckpt.Flow("made"  # being mended\n')
    assert "one" in flow(repo, "log")


def test_a_changed_function_is_told_and_not_run_again(repo: Repo) -> None:
    text = "@flow.phase\ndef one(ctx):\n    Path('one').write_text('1')\n"
    written(repo, text)
    flow(repo, "run")
    written(repo, "# moved down\n\n" + text.replace("@flow.phase", "@flow.phase(timeout='1m')"))
    assert "changed since" not in flow(repo, "run")
    written(repo, text.replace("'1'", "'2'"))
    assert "changed since it was done: one" in flow(repo, "run")
    assert (repo.path / "one").read_text() == "1"


@pytest.mark.sweep
def test_a_script_runs_its_own_workflow_and_is_its_command_line(repo: Repo) -> None:
    written(
        repo,
        """
        @flow.phase
        def one(ctx):
            sys.exit(not Path("good").exists())

        if __name__ == "__main__":
            if "library" in sys.argv:
                print(flow.run().verdict.value)
            else:
                flow.main()
        """,
    )

    def script(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "flow.py", *arguments]
        return subprocess.run(command, cwd=repo.path, capture_output=True, text=True, check=False)

    first = script("library")
    assert first.stdout == "failed\n"
    assert "one FAILED exit 1" in first.stderr
    assert script().returncode == 1
    repo.write("good")
    assert script("run", "-q").returncode == 0
    assert script("log", "-n", "1").stdout.startswith("0005  one  done")


def test_a_phase_of_a_workflow_file_calls_a_function_of_a_module_or_a_file(repo: Repo) -> None:
    # Modules of the user's that are called as ours are theirs alone.
    repo.write("json.py", "raise SystemExit(9)\n")
    repo.write(
        "work/steps/load.py",
        "import helper\ndef all(ctx):\n    helper.note(ctx.item)\n\ndef bare():\n    open('bare', 'w')\n",
    )
    repo.write("work/steps/helper.py", "def note(text):\n    open('notes', 'a').write(text)\n")
    repo.write("checks.py", "def present(ctx):\n    return __import__('os').path.exists('bare')\n")
    repo.write(
        "gitckpt.yaml",
        """\
version: 1
workflow: made
phases:
  load: {python: "load:all", foreach: [a, b], working_directory: work/steps}
  bare: {python: "work/steps/load.py:bare", validate: {python: "checks:present"}}
  look: {run: "true", validate: {python: "checks.py:present"}}
""",
    )
    repo.run("run")
    assert (repo.path / "work/steps/notes").read_text() == "ab"
    load = repo.path / "work/steps/load.py"
    load.write_text(load.read_text().replace("'bare'", "'other'"))
    assert "changed since it was done: bare;" in repo.run("run").stderr


def test_a_process_of_a_phase_finds_its_workspace_whatever_its_file_is_called(repo: Repo) -> None:
    command = f"{sys.executable} -m gitckpt"
    text = f"cd / && {command} state set from root && {command} checkpoint -m outside"
    written(repo, f"flow.command('one', run={text!r})\n")
    flow(repo, "run")
    assert manifest(repo)["data"] == {"from": "root"}
    assert titles(repo) == ["start started", "one named outside", "one done"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.5, "data['k'] cannot hold 0.5: data has no fractions; store str(0.5)"),
        ({"a": [1, {2}]}, "data['k']['a'][1] cannot hold a set: data holds text, whole numbers, "),
        ({1: 2}, "data['k'] cannot have the key 1: keys are text"),
        (Path("x"), "data['k'] cannot hold a PosixPath: "),
    ],
)
def test_what_data_cannot_hold_is_told_with_its_place(value: object, said: str) -> None:
    with pytest.raises(TypeError) as caught:
        require_storable(value, "data['k']")
    assert str(caught.value).startswith(said)


@pytest.mark.sweep
def test_the_example_runs_is_approved_and_is_undone(repo: Repo) -> None:
    for path, (text, mode) in template("python").items():
        repo.write(path, text, mode)
    flow(repo, "run", ok=3)
    report = json.loads((repo.path / "report.json").read_text())
    assert report["all"]["orders"] == 120
    assert set(report) == {"north", "south", "west", "all"}
    flow(repo, "approve", "-m", "looks right")
    flow(repo, "run")
    published = repo.path.parent / "published.json"
    assert json.loads(published.read_text()) == report
    flow(repo, "rollback", "report", "--compensate")
    assert not published.exists()
