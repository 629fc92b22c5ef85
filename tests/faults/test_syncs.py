"""Each call that makes something durable is needed: where it lies, some power cut does harm.

A lie is told by the shim: the call says that it did it, and did nothing. The table names for each place in the code
the calls that lie, the story, the disks and the cut; the same cut is survived where nobody lies. A call that no cut
needs is not in the code.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import CUTS, POWERLESS, PROJECT
from tests.faults.disk import Kind, missing
from tests.faults.powered import Cut, Powered
from tests.faults.stories import STORIES, Edit

CALLS = frozenset({"fsync", "fdatasync", "syncfs", "sync", "sync_file_system", "sync_tree", "sync_folder", "put_whole"})
WRAPPERS = frozenset(
    {
        "durable.sync_folder",
        "durable.put_whole",
        "file_system.sync_file_system",
        "file_system.sync_tree",
        "disk.sync",
    }
)
"""They do what they are told: whoever calls them has a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lie:
    """`place`: `module.function` of the call, or what git is told to sync; `drop`: the calls that lie, as the shim
    takes them; `apart`: the folder on a disk of its own."""

    place: str
    drop: str
    story: str
    cut: Cut
    kind: Kind = "ext4"
    apart: str = ""


IN_THE_WAY = Edit("one", "mine, in the way\n")

LIES = (
    Lie(
        place="place.write put_whole",
        drop="fsync */workspace.json.new",
        kind="xfs",
        story="short",
        cut=Cut(step=2, at="fsync#2 OURS"),
    ),
    Lie(
        place="place.write sync_folder",
        drop="fsync OURS",
        story="begun",
        apart=".git",
        cut=Cut(step=0, at="syncfs PLACE/one"),
    ),
    Lie(
        place="packfiles.publish fsync",
        drop="fsync */gitckpt-*[0-9a-f].part",
        story="short",
        cut=Cut(step=2, at="fsync#2 */refs/heads/gitckpt"),
    ),
    Lie(
        place="packfiles._write_durably fsync",
        drop="fsync */gitckpt-*.index.part",
        story="short",
        cut=Cut(step=2, at="fsync#2 */refs/heads/gitckpt"),
    ),
    Lie(
        place="packfiles._write_durably fsync",
        drop="fsync */gitckpt-*.keep.part",
        story="short",
        cut=Cut(step=2, at="fsync#2 */refs/heads/gitckpt"),
    ),
    Lie(
        place="packfiles.publish sync_folder",
        drop="fsync */objects/pack",
        story="short",
        apart=".git/objects",
        cut=Cut(step=2, at="fsync#2 */refs/heads/gitckpt"),
    ),
    Lie(
        place="git reference",
        drop="fsync */demo.lock",
        kind="xfs",
        story="short",
        cut=Cut(step=2, at="fsync#2 */refs/heads/gitckpt"),
    ),
    Lie(
        place="git pack",
        drop="fsync */tmp_pack_*",
        story="many",
        cut=Cut(step=0, at="unlink#63 */pack-*.pack", flush="cutlog"),
    ),
    Lie(
        place="git pack-metadata",
        drop="fsync */tmp_idx_*",
        story="many",
        cut=Cut(step=0, at="unlink#63 */pack-*.pack", flush="cutlog"),
    ),
    Lie(
        place="refs._sync sync_folder",
        drop="fsync */rescue",
        story="short",
        apart=".git",
        cut=Cut(step=2, at="renameat PLACE/one", again="syncfs#2 PLACE", between=IN_THE_WAY),
    ),
    Lie(
        place="become._give_names sync",
        drop="syncfs#2 PLACE",
        story="short",
        cut=Cut(step=2, at="renameat PLACE/sub/a", flush="cutlog"),
    ),
    Lie(
        place="become.apply sync",
        drop="syncfs#3 PLACE",
        story="short",
        apart=".git",
        cut=Cut(step=2, at="fsync#4 OURS"),
    ),
    Lie(
        place="hold.make_durable sync_tree",
        drop="syncfs#2 PLACE",
        story="short",
        cut=Cut(step=0, at="fsync#2 */refs/heads/gitckpt"),
    ),
    Lie(
        place="views.note_hidden sync_tree",
        drop="syncfs */views/*",
        story="carried",
        cut=Cut(step=0, at="fsync#2 */refs/heads/gitckpt"),
    ),
    Lie(
        place="linking.link_or_copy fsync",
        drop="fsync */.gitckpt-new-*",
        story="carried",
        apart=".git",
        cut=Cut(step=0, at="renameat PLACE/cache/one", flush="cutlog"),
    ),
    Lie(
        place="oversize._move sync_tree",
        drop="syncfs */attempts/*",
        story="big",
        cut=Cut(step=0, at="fsync#2 */refs/heads/gitckpt"),
    ),
    Lie(
        place="freeze.freeze put_whole",
        drop="fsync */lists/*",
        story="listed",
        cut=Cut(step=0, at="fsync#2 */refs/heads/gitckpt"),
    ),
    Lie(
        place="replaced.write_record put_whole",
        drop="fsync */record.new",
        story="kept",
        cut=Cut(step=5, at="renameat */replaced/*-model", flush="cutlog", to_the_end=True),
    ),
    Lie(
        place="replaced.write_record sync_folder",
        drop="fsync */replaced/*",
        story="link",
        apart=".git",
        cut=Cut(step=5, at="syncfs#3 PLACE", to_the_end=True),
    ),
    Lie(
        place="replaced.move_away sync_tree",
        drop="syncfs */replaced/*",
        story="kept",
        apart=".git",
        cut=Cut(step=5, at="syncfs#4 PLACE"),
    ),
    Lie(
        place="replaced._move fsync",
        drop="fsync */replaced/*.part",
        story="kept",
        apart=".git",
        cut=Cut(step=5, at="rename */replaced/*-model", flush="cutlog", to_the_end=True),
    ),
    Lie(
        place="replaced.finish sync",
        drop="syncfs#6 PLACE",
        story="kept",
        apart=".git",
        cut=Cut(step=6, at="fsync#2 OURS"),
    ),
    Lie(
        place="openings._write fsync",
        drop="fsync */new-modes",
        story="modes",
        cut=Cut(step=1, at="openat64 */tmp/new-0", flush="cutlog"),
    ),
    Lie(
        place="become._give_names sync",
        drop="sync *",
        story="mounted",
        apart="sub",
        cut=Cut(step=1, at="renameat#2 PLACE/sub/b", flush="cutlog"),
    ),
    Lie(
        place="agenda.list_file put_whole",
        drop="fsync */lists/*",
        story="listed",
        cut=Cut(step=2, at="fsync#1 OURS"),
    ),
    Lie(
        place="carrying.finish sync",
        drop="syncfs#4 PLACE",
        story="carried",
        apart=".git",
        cut=Cut(step=0, at="fsync#7 OURS"),
    ),
    Lie(
        place="links.relink sync",
        drop="syncfs#4 PLACE",
        story="parted",
        apart=".git",
        cut=Cut(step=0, at="fsync#8 OURS"),
    ),
    Lie(
        place="place.decide put_whole",
        drop="fsync */decided.new",
        story="died",
        cut=Cut(step=0, at="syncfs PLACE/big", again="rename */attempts/*", flush="cutlog"),
    ),
    Lie(
        place="redate.redate sync",
        drop="syncfs#3 PLACE",
        story="touched",
        apart=".git",
        cut=Cut(step=0, at="fsync#5 OURS"),
    ),
)
FEW = 3
"""So many lies, drawn anew each time, are told where all would take too long."""


@pytest.mark.sweep
@pytest.mark.parametrize("lie", random.Random(CUTS).sample(LIES, FEW), ids=lambda lie: lie.place)
def test_some_syncs_are_needed(tmp_path: Path, shim: Path, lie: Lie) -> None:
    is_needed(tmp_path, shim, lie)


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("lie", LIES, ids=lambda lie: f"{lie.place} {lie.drop}")
def test_every_sync_is_needed(tmp_path: Path, shim: Path, lie: Lie) -> None:
    is_needed(tmp_path, shim, lie)


def is_needed(tmp_path: Path, shim: Path, lie: Lie) -> None:
    """The cut does no harm, and it does where the call lies."""
    why = missing(lie.kind)
    if why:
        pytest.skip(f"{POWERLESS}: {why}")
    scene = Powered(tmp_path, shim, lie.kind, STORIES[lie.story], lie.apart)
    try:
        calm = scene.undisturbed()
        scene.strike(lie.cut, calm)
        with pytest.raises(AssertionError) as harm:
            scene.strike(lie.cut, calm, drop=(lie.drop,))
        print(harm.value)
    finally:
        scene.disks.unmount()


def test_every_sync_in_the_code_has_a_lie_that_does_harm() -> None:
    """Who adds a call finds the cut that needs it, or does without."""
    assert set(_places()) == {lie.place for lie in LIES if not lie.place.startswith("git ")}
    asked = (PROJECT / "gitckpt/plumbing/environment.py").read_text().partition("core.fsync=")[2].partition('"')[0]
    assert {f"git {each}" for each in asked.split(",")} == {lie.place for lie in LIES if lie.place.startswith("git ")}


def _places() -> Iterator[str]:
    for path in sorted((PROJECT / "gitckpt").rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(function, ast.FunctionDef):
                name = f"{path.stem}.{function.name}"
                called = {_name(node) for node in ast.walk(function) if isinstance(node, ast.Call)} & CALLS
                if name not in WRAPPERS:
                    yield from (f"{name} {call}" for call in called)


def _name(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""
