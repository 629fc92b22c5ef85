"""Attempts that see an overlay of the workspace: what they do in it, how it ends, and what refuses it.

As the superuser, all of it runs once more as an ordinary user, who needs a user namespace for it.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest

from gitckpt.errors import Busy
from gitckpt.execute import leftovers
from gitckpt.execute.process import Step
from tests.execute.bench import eventually, result_of, runs, watchdog_of
from tests.execute.stage import IS_SUPERUSER, Stage, contents, is_mounted
from tests.ordinary import passes_for_an_ordinary_user

EVERYTHING = "mkdir -p new/deep; echo n > new/deep/file; rm gone; mv moved to; rm -r old; mkdir old; echo 2 > f"


def test_what_an_attempt_does_is_in_its_upper_and_not_in_the_workspace(stage: Stage) -> None:
    before = stage.files()
    assert stage.run(EVERYTHING).step is None
    assert stage.files() == before
    changed = contents(stage.upper)
    assert changed == {"new/deep/file": "n\n", "gone": "no file", "moved": "no file", "to": "1\n", "f": "2\n"}
    assert (stage.upper / "gone").stat().st_rdev == 0
    assert os.getxattr(stage.upper / "old", "user.overlay.opaque") == b"y"
    assert not is_mounted(stage.path)


def test_the_runner_sees_the_view_from_the_result_to_the_release(stage: Stage) -> None:
    running = stage.start("echo new > new")
    before = running.root
    assert before is None
    assert result_of(running).step is None
    root = running.root
    assert root is not None
    assert (root / "new").read_text() == "new\n"
    assert {entry.name for entry in os.scandir(root)} == {".git", ".gitckpt", "old", "gone", "moved", "f", "new"}
    os.close(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW))
    running.release()
    running.release()
    assert running.root is None
    running.close()
    assert not root.exists()
    assert not (stage.state / "pids").exists()


def test_a_view_without_steps_is_a_success_that_can_be_read(stage: Stage) -> None:
    stage.layer(1, stage.views)
    running = stage.start()
    result = result_of(running)
    assert (result.step, result.code, result.step_durations) == (None, None, ())
    assert running.root is not None
    assert (running.root / "of1").read_text() == "1\n"


def test_after_the_release_the_same_folders_can_be_mounted_again(stage: Stage) -> None:
    for turn in range(3):
        running = stage.start(f"echo {turn} >> turns")
        assert result_of(running).step is None
        running.close()
    assert (stage.upper / "turns").read_text() == "0\n1\n2\n"


def test_no_two_attempts_at_once_in_one_state_folder(stage: Stage) -> None:
    running = stage.start("true")
    result_of(running)
    with pytest.raises(Busy):
        stage.start("true")
    running.release()
    running.close()
    assert stage.run("true").step is None


def test_a_commit_in_the_view_reaches_the_repository(stage: Stage) -> None:
    result = stage.run("echo c > c && git add c && git commit -q -m inside")
    assert result.step is None, stage.said()
    assert stage.git("log", "-1", "--format=%s") == "inside"
    assert stage.git("ls-files") == "c"
    assert not (stage.workspace / "c").exists()


def test_the_git_file_of_a_linked_worktree_is_bound_too(stage: Stage) -> None:
    tree = stage.workspace / "tree"
    stage.git("worktree", "add", "-q", str(tree), "-b", "side")
    view = replace(stage.view, target=tree, lowers=(tree,), binds=((tree / ".git", tree / ".git"),))
    result = stage.run("echo c > c && git add c && git commit -q -m inside", view=view, cwd=tree)
    assert result.step is None, stage.said()
    assert stage.git("log", "-1", "--format=%s", "side") == "inside"
    assert contents(stage.upper) == {"c": "c\n"}


def test_what_exists_nowhere_is_not_bound_and_what_misses_one_end_is_a_failure(stage: Stage) -> None:
    git = (stage.workspace / ".git",) * 2
    nowhere = stage.workspace / "nowhere"
    assert stage.run("true", view=replace(stage.view, binds=(git, (nowhere, nowhere)))).step is None
    stage.begun.pop().close()
    for pair in ((nowhere, stage.live), (stage.live, nowhere)):
        result = stage.run("true", view=replace(stage.view, binds=(git, pair)))
        assert (result.step, result.code) == ("run", 126)
        assert stage.said().endswith(f"gitckpt: cannot make the view: {nowhere}: No such file or directory\n")


def test_a_directory_from_before_cannot_be_renamed(stage: Stage) -> None:
    code = "import os\ntry: os.rename('old', 'new')\nexcept OSError as problem: os._exit(problem.errno)"
    assert stage.run(Step("run", ("python3", "-c", code))).code == errno.EXDEV


def test_user_and_group_are_kept_and_only_the_superuser_has_capabilities(stage: Stage) -> None:
    stage.run("id -u; id -g; grep CapEff /proc/self/status | cut -f2")
    user, group, capabilities = stage.said().split()
    assert (int(user), int(group)) == (os.geteuid(), os.getegid())
    assert (int(capabilities, 16) != 0) == IS_SUPERUSER


def test_a_step_that_unmounts_the_view_is_an_honest_failure(stage: Stage) -> None:
    busy = stage.run("umount . && exit 7; exit 0")
    assert busy.step is None, "the watchdog's own folder keeps it"
    stage.begun.pop().close()
    result = stage.run('umount -l -- "$PWD"')
    if IS_SUPERUSER:
        assert (result.step, result.code) == ("view", 126)
        assert stage.said().endswith("gitckpt: the view was unmounted\n")
    else:
        assert result.step == "run"


@pytest.mark.parametrize("place", ["inside", "outside"])
def test_sixty_layers_lie_over_the_workspace_the_topmost_first(stage: Stage, place: str) -> None:
    for number in range(60):
        stage.layer(number, stage.views if place == "inside" else stage.path / "layers")
    result = stage.run("cat top of0 of59 f; rm of3; rm -r old; mkdir old; ls old; echo more >> of7")
    assert result.step is None, stage.said()
    assert stage.said() == "59\n0\n59\n1\n"
    assert contents(stage.upper) == {"of3": "no file", "of7": "7\nmore\n"}
    assert (stage.layers[3] / "of3").read_text() == "3\n"


def test_what_a_layer_removed_is_not_there(stage: Stage) -> None:
    stage.run(EVERYTHING)
    stage.begun.pop().close()
    stage.layers.append(stage.upper.rename(stage.views / "finished"))
    stage.upper.mkdir()
    running = stage.start("test ! -e gone && test ! -e old/x && cat new/deep/file f to")
    assert result_of(running).step is None
    assert stage.said() == "n\n2\n1\n"


@pytest.mark.parametrize("name", ["a:b", "a,b", "a\\b", "a\nb", "a b\t#", "a\udcff", "-o", "'\"$(x)"])
def test_a_path_may_hold_any_byte(make_stage: Callable[[str], Stage], name: str) -> None:
    stage = make_stage(name)
    stage.layer(1, stage.views)
    running = stage.start("cat of1 > new")
    assert result_of(running).step is None, stage.output.read_bytes()
    assert running.root is not None
    assert (running.root / "new").read_text() == "1\n"
    assert contents(stage.upper) == {"new": "1\n"}


def test_what_outlives_a_success_is_ended_and_named(stage: Stage) -> None:
    running = stage.start("setsid sleep 60 & echo $! > daemon.pid")
    result = result_of(running)
    assert (result.step, result.survivors) == (None, ())
    assert [one.command for one in result.ended] == ["sleep 60"]
    assert not runs(result.ended[0].pid)
    assert running.root is not None


def test_no_stamp_is_made_for_a_view(stage: Stage) -> None:
    stage.run("exit 3")
    assert stage.stamp() is None


def test_a_failed_attempt_is_looked_at_like_any_other(stage: Stage) -> None:
    running = stage.start("echo half > half; sleep 60 & exit 3")
    result = result_of(running)
    assert (result.step, result.code, result.ended) == ("run", 3, ())
    assert running.root is not None
    assert (running.root / "half").exists()


def test_a_view_that_cannot_be_made_starts_nothing_and_says_why(stage: Stage) -> None:
    view = replace(stage.view, work=stage.workspace)
    result = stage.run("touch started", view=view)
    assert (result.step, result.code) == ("run", 126)
    assert stage.said() == "gitckpt: cannot make the view: overlay: Invalid argument\n"
    assert not (stage.workspace / "started").exists()
    running = stage.start(view=view)
    assert (result_of(running).step, result_of(running).code, running.root) == ("view", 126, None)


def started(stage: Stage, command: str) -> tuple[subprocess.Popen[bytes], int, list[int]]:
    """A runner that can be killed, its watchdog, and the processes of its attempt, which wrote their pids."""
    runner = stage.runner(command)
    pids = stage.upper / "pid"
    assert eventually(lambda: pids.exists() and pids.read_text().endswith("\n"))
    members = [int(pid) for pid in pids.read_text().split()]
    assert all(runs(pid) for pid in members)
    return runner, watchdog_of(stage.state).pid, members


def test_a_killed_runner_leaves_no_process_and_no_mount(stage: Stage) -> None:
    runner, watchdog, members = started(stage, "setsid sleep 60 & echo $$ $! > pid; sleep 60")
    assert not is_mounted(stage.path)
    runner.kill()
    runner.wait()
    assert eventually(lambda: not any(runs(pid) for pid in (watchdog, *members)))
    assert not is_mounted(stage.path)
    leftovers.end_leftovers(stage.state)
    assert stage.run("true").step is None, "the upper directory is free again"


def test_leftovers_of_a_view_are_ended_without_a_stamp(stage: Stage) -> None:
    runner, watchdog, members = started(stage, "setsid env -i sleep 60 & echo $$ $! > pid; sleep 60")
    os.kill(watchdog, signal.SIGSTOP)
    runner.kill()
    runner.wait()
    leftovers.end_leftovers(stage.state, wait_s=0.1)
    assert not any(runs(pid) for pid in (watchdog, *members))
    assert stage.stamp() is None
    assert eventually(lambda: not (stage.state / "pids").exists())


def test_a_runner_that_dies_while_it_looks_leaves_nothing(stage: Stage) -> None:
    running = stage.start("echo new > new")
    result_of(running)
    watchdog = watchdog_of(stage.state).pid
    running.close()
    assert not runs(watchdog)
    assert not (stage.state / "pids").exists()


if IS_SUPERUSER:

    @pytest.mark.sweep
    def test_all_of_it_holds_for_an_ordinary_user() -> None:
        passes_for_an_ordinary_user("tests/execute/test_namespace.py", "tests/execute/test_probe.py")
