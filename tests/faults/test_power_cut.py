"""The power goes at any changing call of a whole story: nothing that was reported is lost, nothing that the user wrote
is, what the cut did is not taken for the user's, and the story goes on to the same end.

The disks are real, and so is the cut: the file systems are told to write nothing more (`powered.py`). The calls are
drawn, with a seed that pytest's header names, the last ones of each step among them. The full tier also strikes every
call of one story.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import CUTS, POWERLESS
from tests.faults.disk import Kind, missing
from tests.faults.powered import Cut, Flush, Powered, Undisturbed, every, reported
from tests.faults.stories import STORIES

KINDS: tuple[Kind, ...] = ("ext4", "xfs")
FLUSHES: tuple[Flush, ...] = ("cut", "cutlog")
LAST = 6
"""So many calls at the end of a step count as its last ones; one more: it has ended."""


@contextmanager
def powered(tmp_path: Path, shim: Path, kind: Kind, story: str, apart: str = "") -> Iterator[Powered]:
    """The story's repository, on disks of its own."""
    why = missing(kind)
    if why:
        pytest.skip(f"{POWERLESS}: {why}")
    scene = Powered(tmp_path, shim, kind, STORIES[story], apart)
    try:
        yield scene
    finally:
        scene.disks.unmount()


def drawn(calm: Undisturbed, chance: random.Random) -> list[Cut]:
    """For each step a cut at any of its calls, and one at its last; after some of them the power goes once more."""
    found = []
    for step, each in enumerate(calm.steps):
        at = [chance.randint(1, each.calls + 1), each.calls + 1 - chance.randrange(LAST)] if each.calls else [1]
        found += [
            Cut(
                step=step,
                at=max(1, n),
                flush=chance.choice(FLUSHES),
                again=chance.choice([None, chance.randint(1, 90)]),
            )
            for n in at
        ]
    return found


def strike(scene: Powered, calm: Undisturbed, cuts: Sequence[Cut]) -> None:
    """Each of the cuts."""
    for cut in cuts:
        scene.strike(cut, calm)


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("kind", "story", "count", "apart"),
    [("ext4", "moves", 5, ""), ("xfs", "overlay", 4, ""), ("ext4", "copy", 2, ".git")],
)
def test_some_cuts(tmp_path: Path, shim: Path, kind: Kind, story: str, count: int, apart: str) -> None:
    chance = random.Random(f"{CUTS} {story}")
    with powered(tmp_path, shim, kind, story, apart) as scene:
        calm = scene.undisturbed()
        strike(scene, calm, chance.sample(drawn(calm, chance), count))


@pytest.mark.full
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("apart", ["", ".git"])
@pytest.mark.parametrize("story", ["moves", "overlay", "copy"])
@pytest.mark.parametrize("kind", KINDS)
def test_cuts_in_every_step(tmp_path: Path, shim: Path, kind: Kind, story: str, apart: str) -> None:
    chance = random.Random(f"{CUTS} {kind} {story} {apart}")
    with powered(tmp_path, shim, kind, story, apart) as scene:
        calm = scene.undisturbed()
        strike(scene, calm, [cut for _ in range(3) for cut in drawn(calm, chance)])


@pytest.mark.full
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("flush", FLUSHES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_at_every_call_of_a_story(tmp_path: Path, shim: Path, kind: Kind, flush: Flush) -> None:
    with powered(tmp_path, shim, kind, "short") as scene:
        calm = scene.undisturbed()
        assert list(map(str, every(scene, calm, (flush,)))) == []


@pytest.mark.full
@pytest.mark.parametrize("story", ["moves", "overlay"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_the_moment_a_checkpoint_is_reported(tmp_path: Path, shim: Path, kind: Kind, story: str) -> None:
    with powered(tmp_path, shim, kind, story) as scene:
        calm = scene.undisturbed()
        struck = 0
        for step, each in enumerate(calm.steps):
            for number in sorted(reported(each.said)):
                scene.strike_when_told(step, number, calm)
                struck += 1
        assert struck > 10
