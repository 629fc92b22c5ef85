"""Kill gitckpt at any changing call, or let that call fail; then the user edits, at once or some time later; then it is
run again: the edit is in the workspace and in a checkpoint of the user's own, and all else ends as in peace.

Only in the moments before the last process is dead an edit may be in doubt: then it is kept with the attempt, and named
with the call that brings it back. A few points are struck in CI; `--full` strikes every one, with three delays.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import pytest

from tests.faults.scene import BRANCH, WORKFLOW, Blow, Files, Scene, spread

pytestmark = pytest.mark.sweep

RUN = ("run",)
PARTS = 4
BATCH = 20
"""How many are killed before all of them wait together."""

Edited = Mapping[str, tuple[int, bytes] | None]
"""What the user makes of each path: its mode and bytes; None: it is gone."""

_TEXT = 0o100644


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A workflow, what lies there before, and what the user makes of it. `moved`: the attempt is too big to store."""

    workflow: str = WORKFLOW
    files: Mapping[str, str]
    edits: Edited
    before: tuple[tuple[str, ...], ...] = ()
    after: Callable[[Scene], None] = lambda _: None
    moved: bool = False


def other_waits(scene: Scene) -> None:
    """Another workflow does not run where this one died: it says so, and changes nothing."""
    asked = scene.gitckpt("--file", "other.yaml", "run")
    assert asked.returncode in (0, 5), asked.stderr


OTHER = "version: 1\nworkflow: other\nphases: {alone: {run: 'true'}}\n"
FILES = {"notes": "notes\n", "d/x": "x\n", "d/y": "y\n", "text": "text\n"}
EDITS: Edited = {
    "notes": (_TEXT, b"notes\nmine\n"),
    "mine/new": (_TEXT, b"new\n"),
    "d/x": None,
    "text": (_TEXT, b"by an editor\n"),
}
BIG = "  three: {run: 'head -c 100000 /dev/zero > huge; rm kept; cp huge out/huge'}\n"
STORIES = {
    "plain": Story(files=FILES, edits=EDITS),
    "oversized": Story(
        workflow=WORKFLOW.replace("env:", "attempts: {keep_up_to: 10KiB}\nenv:") + BIG,
        files=FILES,
        edits=EDITS,
        moved=True,
    ),
    "captured": Story(
        files={**FILES, "hidden.log": "in no checkpoint\n", ".gitignore": "cache/\n*.log\n"},
        edits={**EDITS, ".gitignore": (_TEXT, b"cache/\n")},
    ),
    "two": Story(
        files={**FILES, "other.yaml": OTHER},
        edits=EDITS,
        before=(("--file", "other.yaml", "run"),),
        after=other_waits,
    ),
}


def begin(scene: Scene, story: Story) -> tuple[Files, int]:
    """Make the place ready. What an undisturbed run ends with, and how many calls it makes."""
    (scene.path / "gitckpt.yaml").write_text(story.workflow)
    for name, text in story.files.items():
        (scene.path / name).parent.mkdir(exist_ok=True)
        (scene.path / name).write_text(text)
    for command in story.before:
        assert scene.gitckpt(*command).returncode == 0
    scene.keep()
    done = scene.gitckpt(*RUN, blow=Blow(at=0))
    assert done.returncode == 0, done.stderr
    return scene.files(), scene.calls()


def edit(scene: Scene, story: Story) -> None:
    """The user's hands: a line more, a new file in a new folder, a file less, one replaced as editors do it."""
    for name, made in story.edits.items():
        path = scene.path / name
        if made is None:
            path.unlink(missing_ok=True)
        elif name == "text":
            beside = path.with_name("text~")
            beside.write_bytes(made[1])
            beside.rename(path)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(made[1])


def strike(scene: Scene, blow: Blow) -> str | None:
    """A run that is struck; what it said, None where it was not hindered."""
    scene.put_back()
    struck = scene.gitckpt(*RUN, blow=blow)
    assert "Traceback" not in struck.stderr, struck.stderr
    return None if struck.returncode == 0 else struck.stderr


def goes_on(scene: Scene, story: Story, peace: Files, *, in_doubt: bool) -> None:
    """After the edit: run again, and look whose it is. `in_doubt`: it may be kept with the attempt, if it is named."""
    edit(scene, story)
    story.after(scene)
    again = scene.gitckpt(*RUN)
    assert again.returncode == 0, again.stderr
    set_aside = in_attempts(scene) & story.edits.keys()
    assert in_doubt or not set_aside, f"taken for the attempt's: {set_aside}\n{again.stderr}"
    for name in set_aside:
        assert name in again.stderr, f"{name} is not named: {again.stderr}"
        assert "gitckpt restore" in again.stderr, again.stderr
    wanted = {**peace, **{name: made for name, made in story.edits.items() if name not in set_aside}}
    if "mine/new" not in set_aside:
        wanted["mine"] = (0o40755, b"")
    found = scene.files()
    assert {name: made for name, made in wanted.items() if made is not None} == found
    assert taken_by_others(scene, story) == []
    assert scene.gitckpt("verify").returncode == 0
    scene.git("fsck", "--strict", "--no-dangling")


def in_attempts(scene: Scene) -> set[str]:
    """The paths that commits of attempts changed."""
    refs = scene.git("for-each-ref", "--format=%(refname)", "refs/gitckpt/demo/attempts").split()
    found: set[str] = set()
    for ref in refs:
        found.update(scene.git("diff", "--name-only", "--no-renames", f"{ref}^1", ref, "--", ":!.gitckpt").split())
    return found


def taken_by_others(scene: Scene, story: Story) -> list[str]:
    """Checkpoints with one of the edits that are neither the user's own nor the first."""
    rows = scene.git("log", "--first-parent", "--format=%H %(trailers:key=Gitckpt-Kind,valueonly)", BRANCH).split()
    wrong = []
    for commit, kind in zip(rows[::2], rows[1::2], strict=True):
        if kind in ("edit", "start", "foreign"):  # the last: another workflow has recorded it as the user's
            continue
        changed = scene.git("diff", "--name-only", "--no-renames", f"{commit}^1", commit, "--", ":!.gitckpt").split()
        wrong += [f"{kind} {commit}: {name}" for name in changed if name in story.edits]
    return wrong


@pytest.fixture
def scenes(tmp_path: Path, shim: Path) -> Callable[[int], list[Scene]]:
    """So many places, alike."""

    def made(count: int) -> list[Scene]:
        folders = [tmp_path / str(number) for number in range(count)]
        for folder in folders:
            folder.mkdir(exist_ok=True)
        return [Scene(folder, shim) for folder in folders]

    return made


def all_go_on(
    scenes: Sequence[Scene], ends: Sequence[Files], story: Story, points: Sequence[int], delay_s: float
) -> int:
    """Kill at each of the points, wait once for as many as there are places, then edit and run each. How many fell."""
    fell = 0
    for start in range(0, len(points), len(scenes)):
        batch = list(zip(scenes, ends, points[start:], strict=False))
        struck = [(scene, peace, at) for scene, peace, at in batch if strike(scene, Blow(at=at)) is not None]
        fell += len(struck)
        time.sleep(delay_s)
        for scene, peace, at in struck:
            try:
                goes_on(scene, story, peace, in_doubt=delay_s == 0)
            except AssertionError as wrong:
                raise AssertionError(f"call {at}, {delay_s:g} s: {wrong}") from wrong
    return fell


@pytest.mark.parametrize("name", STORIES)
def test_an_edit_after_a_kill_at_some_calls_is_the_users(scenes: Callable[[int], list[Scene]], name: str) -> None:
    story = STORIES[name]
    (scene,) = scenes(1)
    peace, calls = begin(scene, story)
    points = spread(calls, points=6, part=0, parts=1)
    fell = 0
    for at, delay in zip(points, cycle((0, 1)), strict=False):
        if strike(scene, Blow(at=at)) is not None:
            fell += 1
            time.sleep(delay)
            goes_on(scene, story, peace, in_doubt=delay == 0)
    assert fell >= len(points) - 1, "the blows did not fall"


@pytest.mark.full
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("delay_s", [0, 1, 10])
@pytest.mark.parametrize("part", range(PARTS))
def test_an_edit_after_a_kill_at_every_call_is_the_users(
    scenes: Callable[[int], list[Scene]], name: str, delay_s: int, part: int
) -> None:
    story = STORIES[name]
    places = scenes(1 if delay_s == 0 else BATCH)
    ends = [begin(scene, story) for scene in places]
    points = range(part + 1, ends[0][1], PARTS)
    assert all_go_on(places, [files for files, _ in ends], story, points, delay_s) > len(points) - 20


FAILING = [(code, for_good) for code in (errno.ENOSPC, errno.EIO, errno.EACCES) for for_good in (False, True)]


def fails_and_goes_on(scene: Scene, story: Story, peace: Files, blow: Blow) -> bool:
    """Let calls fail, edit 30 ms after the command's end, run again in peace. Whether it was felt."""
    if strike(scene, blow) is None:
        return False
    time.sleep(0.03)
    # Where every call fails for good, no stamp can be made either: the heartbeat is all that tells.
    goes_on(scene, story, peace, in_doubt=blow.for_good)
    return True


@pytest.mark.parametrize("name", ["plain", "oversized"])
def test_an_edit_after_some_calls_failed_is_the_users(scenes: Callable[[int], list[Scene]], name: str) -> None:
    story = STORIES[name]
    (scene,) = scenes(1)
    peace, calls = begin(scene, story)
    points = zip(spread(calls, len(FAILING), 0, 1), FAILING, strict=True)
    blows = [Blow(at=at, act=str(code), for_good=for_good) for at, (code, for_good) in points]
    assert sum([fails_and_goes_on(scene, story, peace, blow) for blow in blows]) > 0


@pytest.mark.full
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("code", "for_good"), FAILING)
@pytest.mark.parametrize("name", ["plain", "oversized"])
def test_an_edit_after_any_call_failed_is_the_users(
    scenes: Callable[[int], list[Scene]], name: str, code: int, for_good: bool
) -> None:
    story = STORIES[name]
    (scene,) = scenes(1)
    peace, calls = begin(scene, story)
    wrong = []
    for at in range(1, calls + 1):
        try:
            fails_and_goes_on(scene, story, peace, Blow(at=at, act=str(code), for_good=for_good))
        except AssertionError as violation:
            wrong.append(f"call {at}: {os.strerror(code)}: {violation}")
    assert wrong == [], f"{len(wrong)} of {calls} calls"
