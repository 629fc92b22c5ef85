"""What a workflow asks for that cannot be had at once or at all: groups, resources, views, room. What leaves a view."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_run import start, state, wait_for, workflow
from tests.cli.test_several import begin, ended, home, write
from tests.execute.bench import eventually, runs
from tests.ordinary import CHECKOUT
from tests.repo import Repo

STAMPED = 'echo "begin $$" >> "$HOME/stamps"; sleep 0.2; echo "end $$" >> "$HOME/stamps"'
HELD = 'touch "$HOME/held"; until test -e "$HOME/go"; do sleep 0.01; done'


def pairs() -> int:
    """How many commands wrote their stamps. Fails where one began before the one before it had ended."""
    lines = [line.split() for line in home("stamps").read_text().splitlines()]
    for (begins, one), (ends, other) in zip(lines[::2], lines[1::2], strict=True):
        assert (begins, ends, one) == ("begin", "end", other), lines
    return len(lines) // 2


def private(repo: Repo, script: str) -> subprocess.CompletedProcess[str]:
    """A script with `gitckpt`, in a mount namespace of its own in which it may mount."""
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    command = f'gitckpt() {{ {shlex.quote(sys.executable)} -m gitckpt "$@"; }}\n{script}'
    return subprocess.run(
        ["unshare", *user, "--mount", "--propagation", "private", "sh", "-ec", command],
        cwd=repo.path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_phases_of_one_group_never_run_at_once_and_the_others_do(repo: Repo) -> None:
    alone = "".join(f"p{n}: {{needs: [], concurrency: db, run: '{STAMPED}'}}\n" for n in range(3))
    workflow(repo, alone + "free: {needs: [], run: 'cp \"$HOME/stamps\" seen || touch seen'}")
    repo.run("run")
    assert pairs() == 3
    assert len((repo.path / "seen").read_text().splitlines()) < 6, "what is in no group did not wait"


@pytest.fixture
def second(repo: Repo) -> Path:
    """A second worktree of the repository."""
    repo.commit()
    repo.git("worktree", "add", "-q", "../second")
    return repo.path.parent / "second"


@pytest.mark.sweep
def test_of_two_runs_one_has_the_group_and_the_other_says_once_who(repo: Repo, second: Path) -> None:
    workflow(repo, f"one: {{concurrency: db, run: '{HELD}'}}")
    write(second, "two", f"two: {{needs: [], concurrency: db, run: '{STAMPED}'}}\nfree: {{needs: [], run: touch free}}")
    first = begin(repo.path, "run")
    wait_for(home("held"))
    waiting = begin(second, "run")
    line = waiting.stdout.readline() if waiting.stdout else ""
    while "two waits" not in line:
        assert line, "it never said that it waits"
        line = waiting.stdout.readline() if waiting.stdout else ""
    assert f"until process {first.pid} (" in line
    assert line.endswith("lets go of the concurrency group db\n")
    why = repo.run("why", "two", cwd=second).stdout
    assert f"its concurrency group db is taken: process {first.pid} (" in why
    assert not home("stamps").exists()
    home("go").touch()
    ended(first)
    said, _ = waiting.communicate(timeout=30)
    assert (waiting.returncode, said.count("waits")) == (0, 0), said
    assert pairs() == 1
    assert "taken" not in repo.run("why", "two", cwd=second).stdout


@pytest.mark.sweep
def test_the_group_of_a_killed_run_is_free_when_the_last_process_of_its_phase_is_dead(repo: Repo, second: Path) -> None:
    run = 'echo $$ $PPID > "$HOME/new"; mv "$HOME/new" "$HOME/pids"; sleep 60'
    workflow(repo, f"one: {{needs: [], concurrency: db, run: '{run}'}}\nx: {{needs: [], run: 'true'}}")
    write(second, "two", f"two: {{concurrency: db, run: '{STAMPED}'}}")
    killed = start(repo, "run")
    wait_for(home("pids"))
    phase, watchdog = map(int, home("pids").read_text().split())
    os.kill(watchdog, signal.SIGSTOP)
    killed.kill()
    killed.wait()
    waiting = begin(second, "run")
    line = waiting.stdout.readline() if waiting.stdout else ""
    while "two waits" not in line:
        assert line, "it began beside a process of the killed run"
        line = waiting.stdout.readline() if waiting.stdout else ""
    assert runs(phase)
    assert not home("stamps").exists()
    os.kill(watchdog, signal.SIGCONT)
    ended(waiting)
    assert not runs(phase)
    assert pairs() == 1


@pytest.mark.sweep
@pytest.mark.parametrize("asks", ["gpu: 1", "memory: 900TiB", "cpu: 100000"])
def test_what_there_is_not_enough_of_is_used_one_after_the_other(repo: Repo, asks: str) -> None:
    phases = "".join(f"p{n}: {{needs: [], resources: {{{asks}}}, run: '{STAMPED}'}}\n" for n in range(3))
    workflow(repo, phases, top="resources: {gpu: 1}\n")
    repo.run("run")
    assert pairs() == 3


@pytest.mark.parametrize(
    ("top", "phase", "words"),
    [
        ("max_parallel: 0", "", '"max_parallel" must be 1 or more, not 0; 1 is one at a time'),
        ("max_parallel: many", "", '"max_parallel" must be a whole number, not "many"'),
        ("isolation: overlays", "", 'not "overlays", did you mean "overlay"?'),
        ("resources: {gpu: 1}", "resources: {gpuu: 1}", 'unknown resource "gpuu", did you mean "gpu"?'),
        ("", "resources: {gpu: 1}", "say at the top how much there is of it: resources: {gpu: 1}"),
        ("resources: {gpu: 1}", "resources: {gpu: 2}", '"gpu" asks for 2, more than there is: 1'),
        ("resources: {gpu: 0}", "", '"gpu" must be a whole number from 1 on'),
        ("", "foreach: [a], max_parallel: 0", '"max_parallel" must be 1 or more'),
        ("", "concurrency: {grup: db}", 'did you mean "group"?'),
        ("merge: newest", "", "merge"),
    ],
)
def test_what_cannot_be_meant_is_an_error_with_its_place_and_nothing_runs(
    repo: Repo, top: str, phase: str, words: str
) -> None:
    workflow(repo, f"a: {{run: touch ran{f', {phase}' if phase else ''}}}", top=f"{top}\n")
    said = repo.run("run", ok=2).stderr
    assert said.startswith("gitckpt.yaml:")
    assert words in said
    assert not (repo.path / "ran").exists()


@pytest.mark.parametrize("jobs", ["0", "-1", "x", "1.5"])
def test_jobs_is_a_whole_number_from_1_on(repo: Repo, jobs: str) -> None:
    workflow(repo, "a: {run: touch ran}")
    assert f"--jobs takes a whole number of 1 or more, not '{jobs}'" in repo.run("run", "--jobs", jobs, ok=2).stderr
    assert not (repo.path / "ran").exists()


NO_OVERLAY = {
    "a file system that cannot hold one": (
        "mkdir ../files; cp *.yaml ../files; mount -t ramfs ramfs .; cd $PWD; cp ../files/* .; git init -q",
        "cannot hold an upper directory",
    ),
    "a mount in the workspace": (
        "mkdir -p data; mount -t tmpfs tmpfs data",
        "/data is a mount point inside the workspace",
    ),
}


@pytest.mark.sweep
@pytest.mark.parametrize("why", NO_OVERLAY)
def test_an_overlay_that_cannot_be_had_is_refused_before_anything_runs_and_auto_takes_a_copy(
    repo: Repo, why: str
) -> None:
    before, reason = NO_OVERLAY[why]
    workflow(repo, "first: {run: touch ran}\nb: {needs: [first], isolation: overlay, run: touch b}")
    phases = "x: {needs: [], run: 'echo $GITCKPT_VIEW > x'}\ny: {needs: [], run: pwd}"
    write(repo.path, "auto", phases, file="auto.yaml")
    checks = (
        "gitckpt run && exit 9 || test $? = 2; test ! -e ran; gitckpt --file auto.yaml run; gitckpt doctor || :; cat x"
    )
    done = private(repo, f"{before}\n{checks}")
    assert done.returncode == 0, done.stderr
    assert "b has `isolation: overlay`, and that cannot be had here: " in done.stderr
    assert reason in done.stderr
    assert "say `isolation: copy`" in done.stderr
    assert "/views/x-" in done.stdout.splitlines()[-1], "it ran in a copy"
    assert "problem: no overlay can be had here" in done.stdout
    assert "`auto` is `copy`" in done.stdout


def test_without_user_namespaces_the_reason_is_said(repo: Repo) -> None:
    workflow(repo, "b: {isolation: overlay, run: touch ran}")
    gitckpt = shlex.join([sys.executable, "-m", "gitckpt", "run"])
    # Nobody may make one below this one, and what runs has no rights in it: as where a system forbids it.
    script = f"echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-all --inh-caps=-all {gitckpt}"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-ec", script],
        cwd=repo.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "no user namespaces" in done.stderr
    assert "say `isolation: copy`" in done.stderr
    assert not (repo.path / "ran").exists()


@pytest.mark.sweep
def test_a_copy_that_has_no_room_is_refused_and_leaves_nothing_of_it(repo: Repo) -> None:
    repo.write("big", os.urandom(3 << 20))
    phases = "".join(f"p{n}: {{needs: [], isolation: copy, run: sleep 0.3}}\n" for n in range(8))
    workflow(repo, phases)
    # Room for the checkpoint and no copy, and nothing is left after the refusal; then for two of eight at once.
    mount = "mount -t tmpfs -o size=6m tmpfs .git; git init -q"
    refused = 'gitckpt run --jobs 8 && exit 9; test -z "$(ls .git/gitckpt/workspaces/*/views)"'
    done = private(repo, f"{mount}\n{refused}\nmount -o remount,size=10m .git; gitckpt run --jobs 8")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("error: a copy of the workspace needs") == 1
    assert "warning: a copy of the workspace needs" in done.stderr
    assert "make room, lower `max_parallel`, or choose `isolation: overlay` or `none`" in done.stderr


@pytest.mark.parametrize("isolation", ["overlay", pytest.param("copy", marks=pytest.mark.sweep)])
def test_what_is_written_through_a_path_out_of_the_workspace_is_written_for_good(repo: Repo, isolation: str) -> None:
    outside = repo.path.parent / "outside"
    outside.mkdir()
    (repo.path / "link").symlink_to(outside)
    run = f"echo 1 > {outside}/by-path; echo 2 > link/by-link; exit 3"
    workflow(repo, f"a: {{isolation: {isolation}, run: '{run}'}}")
    repo.run("run", ok=1)
    assert {each.name: each.read_text() for each in outside.iterdir()} == {"by-path": "1\n", "by-link": "2\n"}
    assert repo.git("ls-tree", "--name-only", "refs/gitckpt/demo/attempts/a/1").split() == [
        ".gitckpt",
        "gitckpt.yaml",
        "link",
    ]


@pytest.mark.parametrize("isolation", ["overlay", pytest.param("copy", marks=pytest.mark.sweep)])
def test_a_daemon_ends_with_the_view_of_its_phase_and_that_is_said(repo: Repo, isolation: str) -> None:
    run = 'setsid sh -c "echo \\$\\$ > pid; sleep 61" & until test -s pid; do sleep 0.01; done'
    workflow(repo, f"a: {{isolation: {isolation}, run: '{run}'}}")
    said = repo.run("run").stderr
    pid = int((repo.path / "pid").read_text())
    assert eventually(lambda: not runs(pid))
    assert "a left a process running in its view; it was ended" in said


@pytest.mark.sweep
@pytest.mark.parametrize("isolation", ["overlay", pytest.param("copy", marks=pytest.mark.sweep)])
def test_a_sparse_file_stays_sparse(repo: Repo, isolation: str) -> None:
    with repo.write("sparse", b"").open("r+b") as file:
        file.truncate(64 << 20)
    workflow(
        repo, f"a: {{isolation: {isolation}, run: 'printf x | dd of=sparse bs=1 seek=1000 conv=notrunc status=none'}}"
    )
    repo.run("run")
    found = (repo.path / "sparse").stat()
    assert (found.st_size, found.st_blocks * 512 < 8 << 20) == (64 << 20, True)


@pytest.mark.sweep
def test_files_in_a_mounted_folder_are_part_of_a_copy_and_come_back_from_it(repo: Repo) -> None:
    workflow(repo, "a: {isolation: copy, run: 'cat data/in > data/out; echo beside > beside'}")
    done = private(
        repo,
        "mkdir -p data; mount -t tmpfs tmpfs data; echo inside > data/in; gitckpt run; gitckpt diff a; cat data/out",
    )
    assert done.returncode == 0, done.stderr
    assert "+++ b/data/out" in done.stdout
    assert done.stdout.endswith("\ninside\n")
    assert state(repo)["current_state"] == "COMPLETE"


def test_the_page_about_it_tells_what_happens(repo: Repo) -> None:
    page = (CHECKOUT / "docs/parallel.md").read_text()
    block = re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)[0]
    repo.write("gitckpt.yaml", block.replace("sleep 1", "sleep 0.1"))
    shown = re.findall(r"^```console\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert repo.run("plan").stdout == shown[0].partition("\n")[2]
    said = repo.run("run", "--jobs", "8", ok=5).stderr
    assert shown[1].partition("…\n")[2].removesuffix("5\n") in said
    assert repo.run("resolve", "tests", "--union").stdout in shown[2]
    repo.run("run")
    assert (repo.path / "log").read_text() == "style\ntests\n"
    rows = [line.split()[1:5:2] for line in repo.run("log", "--graph").stdout.splitlines() if " done " in line]
    assert rows == [
        line.split()[1:5:2] for line in "".join(shown).splitlines() if line.startswith("*") and " done " in line
    ]


MANY_OPEN = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (2048, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
for _ in range(1030):
    os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)
os.execv(sys.executable, [sys.executable, "-m", "gitckpt", "run"])
"""


@pytest.mark.sweep
def test_descriptors_may_have_numbers_above_a_thousand(repo: Repo) -> None:
    workflow(repo, "a: {run: echo 1 > a}\nb: {needs: [], run: sleep 0.1}")
    done = subprocess.run([sys.executable, "-c", MANY_OPEN], cwd=repo.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (repo.path / "a").read_text() == "1\n"
