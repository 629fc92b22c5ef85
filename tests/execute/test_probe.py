"""The trial whether an overlay works: where it does it leaves nothing, elsewhere it says why."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

from gitckpt.execute import namespace
from gitckpt.execute.process import Step
from tests.execute.stage import IS_SUPERUSER, Stage, is_mounted
from tests.ordinary import CHECKOUT, SOMEBODY


def test_a_trial_says_nothing_where_it_works_and_leaves_nothing(stage: Stage) -> None:
    before = stage.files()
    assert namespace.probe(stage.views, stage.workspace) is None
    assert os.listdir(stage.views) == ["a"]
    assert stage.files() == before
    assert not is_mounted(stage.path)


def probing(stage: Stage) -> list[str]:
    return [sys.executable, "-c", PROBE, str(stage.views), str(stage.workspace)]


PROBE = """
import sys
from pathlib import Path
from gitckpt.execute import namespace
print(namespace.probe(Path(sys.argv[1]), Path(sys.argv[2])))
"""


def test_a_trial_names_the_file_system_that_cannot_hold_an_upper_directory(stage: Stage) -> None:
    # The files of an overlay cannot be an upper directory's, as in the image of a container.
    other, old = stage.workspace / "other", stage.workspace / "old"
    argv = (sys.executable, "-c", PROBE, str(other), str(old))
    stage.run(Step("run", ("mkdir", "other")), Step("run", argv, env={"PYTHONPATH": str(CHECKOUT)}))
    assert stage.said() == f"the file system of {other} cannot hold an upper directory: Invalid argument\n"


def test_a_trial_says_that_there_are_no_user_namespaces(stage: Stage) -> None:
    # In a user namespace that allows none below it, and without the right to mount that its first process has.
    none = 'echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-all --inh-caps=-all "$@"'
    said = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-ec", none, "sh", *probing(stage)],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said == "no user namespaces: No space left on device\n"


def test_a_trial_says_where_it_may_not_write(stage: Stage) -> None:
    nowhere = stage.path / "nowhere"
    nowhere.write_text("")
    assert namespace.probe(nowhere, stage.workspace) == f"{nowhere} cannot be written: Not a directory"


def test_a_workspace_of_another_group_is_refused_where_its_files_could_not_be_copied(stage: Stage) -> None:
    # Only one who is in a second group can have such a workspace; the superuser can mount over anybody's.
    others = [SOMEBODY] if IS_SUPERUSER else [group for group in os.getgroups() if group != os.getegid()]
    for group in others:
        os.chown(stage.workspace, -1, group)
        why = namespace.probe(stage.views, stage.workspace)
        if IS_SUPERUSER:
            assert why is None
        else:
            assert why is not None
            assert why.endswith(f"group {group}, not to the one who runs: {os.strerror(errno.EOVERFLOW)}")


if IS_SUPERUSER:

    def test_a_mount_inside_the_workspace_is_named(stage: Stage) -> None:
        inner = stage.workspace / "old"
        mounting = ["sh", "-ec", 'mount -t tmpfs none "$0"; exec "$@"', str(inner)]
        said = subprocess.run(
            ["unshare", "--mount", *mounting, *probing(stage)],
            env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert said == f"overlay: {inner} is a mount point inside the workspace\n"
