"""Checkpoints that something remembers and the branch has not: it was moved back, deleted, or replaced by hand or by a
forced fetch.

Owns what is asked (the records of the workspaces, tags, what is kept beside the branch), and what the answer means.
Reads only; loads what judges a checkpoint only where there is one to judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, TypeAlias

from gitckpt.engine.place import Place, Record
from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.codec import Damaged, loads
from gitckpt.model.names import Oid
from gitckpt.model.text import safe
from gitckpt.plumbing.refs import list_refs, names_of_refs, resolve
from gitckpt.store import refs
from gitckpt.store.branch import Branch, Point

Kind: TypeAlias = Literal["behind", "gone", "lost", "other"]
"""The branch was moved back to a checkpoint before the newest known; it is gone; it is gone and so is what is known of
it; it holds another history than the one that this workspace is at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """What is known beyond the branch. `newest`: the best of it, with its number (0 where it cannot be read); `tip`:
    the number of the branch's, 0 without one. `who`: what remembers it. `heads`: the newest of each line known."""

    kind: Kind
    newest: Oid
    number: int
    tip: int
    who: str
    heads: tuple[Oid, ...]

    @property
    def what(self) -> str:
        """What has happened, in words."""
        match self.kind:
            case "behind":
                return f"the branch was moved back from {self.number:04d} to {self.tip:04d} (known to {self.who})"
            case "gone":
                return f"the branch is gone, and its newest known checkpoint is {self.number:04d} (known to {self.who})"
            case "lost":
                return f"the branch is gone, and so are the checkpoints that {self.who} was at ({self.newest[:12]})"
            case "other":
                return f"the branch holds another history than the one that this workspace is at ({self.number:04d})"

    def ways(self, workflow: str, kept: str | None) -> tuple[str, ...]:
        """The ways on. `kept`: what the newest known is called beside the branch, where it is kept there."""
        stays = f"what came since stays as {kept}" if kept else "what came since stays, on a ref of its own"
        match self.kind:
            case "behind":
                return (
                    f"set it forward to {self.number:04d} again, nothing is lost: gitckpt doctor --repair",
                    f"go on from {self.tip:04d} ({stays}): gitckpt rollback latest",
                    f"take these files as the newest edit on {self.tip:04d} (the same): gitckpt adopt",
                )
            case "gone":
                return (
                    f"set it to {self.number:04d} again: gitckpt doctor --repair",
                    "start over, what there was is put aside: gitckpt reset --forget",
                )
            case "lost":
                return (
                    f"bring it from a clone: git fetch CLONE gitckpt/{workflow}:gitckpt/{workflow}",
                    "start over: gitckpt reset --forget",
                )
            case "other":
                was = f"gitckpt rollback {kept}" if kept else f"git log {self.newest[:12]}"
                return (
                    "take the newest checkpoint of the branch (your files are rescued first): gitckpt rollback latest",
                    "take these files as the newest edit on it: gitckpt adopt",
                    f"go back to what this workspace is at: {was}",
                )


@dataclass(eq=False)
class BranchGone(GitckptError):
    """There is no branch to read, and something remembers one."""

    workflow: str
    beyond: Beyond

    exit_code = ExitCode.CONFLICT

    @property
    def message(self) -> str:
        return f"workflow {self.workflow}: {self.beyond.what}"

    @property
    def hint(self) -> str:
        return "\n".join(self.beyond.ways(self.workflow, None))


def beyond(branch: Branch, place: Place, tip: Point | None, record: Record | None = None) -> Beyond | None:
    """What is known beyond the branch, whose newest checkpoint is `tip`; None: nothing. `record`: this workspace's."""
    try:
        mine = _remembered(place.read() if record is None else record, branch, tip)
    except Damaged:
        mine = None
    others = [(oid, who) for oid, who in _others(branch, place) if oid != mine]
    if tip is None:
        return _beyond_none(branch, mine, others)
    found = _beyond_tip(branch, tip, mine, others)
    # Who reads holds no lock: a run may have moved the branch on between the two looks.
    return found if found is not None and branch.tip_oid() == tip.oid else None


def is_forgotten(branch: Branch) -> bool:
    """Whether somebody has decided to start over, and has not begun."""
    return bool(_forgotten(branch))


# --- what is remembered ---------------------------------------------------------------------------------------------


def _remembered(record: Record, branch: Branch, tip: Point | None) -> Oid | None:
    landing = record.landing
    if landing is not None and tip is not None and (landing.workflow, landing.to) == (branch.workflow, tip.oid):
        return tip.oid  # it is about to be there, and has yet to note it
    return record.ahead.get(branch.workflow) or record.bases.get(branch.workflow)


def _others(branch: Branch, place: Place) -> Iterator[tuple[Oid, str]]:
    """What the other workspaces of the repository remember."""
    for path in sorted(place.folder.parent.glob("*/workspace.json")):
        if path.parent == place.folder:
            continue
        try:
            told = loads(path.read_bytes(), "workspace.json")
        except (OSError, Damaged):
            continue
        if not isinstance(told, dict):
            continue
        for key in ("ahead", "bases"):
            known = told.get(key)
            oid = known.get(branch.workflow) if isinstance(known, dict) else None
            if isinstance(oid, str):
                yield Oid(oid), f"the workspace {safe(str(told.get('path')))}"
                break


def _tags_above(branch: Branch, number: int) -> Iterator[tuple[Oid, str]]:
    """The tags with higher numbers, the highest first."""
    start = refs.tags(branch.workflow)
    names = [name.removeprefix(start) for name in names_of_refs(branch.repository, start)]
    numbered = sorted(((int(name[:4]), name) for name in names if name[:4].isdigit()), reverse=True)
    for above, name in numbered:
        if above > number:
            oid = resolve(branch.repository, start + name)
            if oid is not None:
                yield oid, f"the tag {name}"


def _beside(branch: Branch) -> Iterator[tuple[Oid, str]]:
    """What the attempts and rescues beside the branch were made from."""
    start = refs.others(branch.workflow)
    for name, oid in list_refs(branch.repository, start).items():
        kind = name.removeprefix(start).partition("/")[0]
        if kind in ("attempts", "finished", "rescue"):
            try:
                commit = branch.reader.commit(oid)
            except GitckptError:
                continue
            if commit is not None and commit.parents:
                yield commit.parents[0], f"the {'rescue' if kind == 'rescue' else 'attempt'} {name.removeprefix(start)}"


def _forgotten(branch: Branch) -> frozenset[Oid]:
    """The histories that somebody has decided to start over from."""
    found = list_refs(branch.repository, refs.diverged(branch.workflow))
    return frozenset(oid for name, oid in found.items() if name.endswith(refs.FORGOTTEN))


# --- what it means --------------------------------------------------------------------------------------------------


def _beyond_none(branch: Branch, mine: Oid | None, others: list[tuple[Oid, str]]) -> Beyond | None:
    known = [(mine, "this workspace"), *others] if mine else others
    if not known and (branch.elsewhere() or names_of_refs(branch.repository, refs.tags(branch.workflow))):
        return None  # a clone: what it has of the history it says itself
    if known:
        known = [*known, *_tags_above(branch, 0)]
    known = [*known, *_beside(branch)]
    if not known:
        return None
    forgotten = {oid for tip in _forgotten(branch) for oid in _line(branch, tip)}
    sound = [(number, oid, who) for oid, who in known if oid not in forgotten and (number := _sound(branch, oid))]
    if sound:
        number, newest, who = max(sound, key=lambda each: each[0])
        heads = _heads(branch, newest, [oid for _, oid, _ in sound])
        return Beyond(kind="gone", newest=newest, number=number, tip=0, who=who, heads=heads)
    if mine is not None and mine not in forgotten:
        return Beyond(kind="lost", newest=mine, number=0, tip=0, who="this workspace", heads=())
    return None


def _beyond_tip(branch: Branch, tip: Point, mine: Oid | None, others: list[tuple[Oid, str]]) -> Beyond | None:
    if mine is not None and mine != tip.oid:
        number = _number(branch, mine)
        if 0 < number <= tip.number and mine in branch.ids(tip.oid):
            mine = None  # the branch went on from there
    else:
        mine = None
    known = [(mine, "this workspace")] if mine else []
    known += [(oid, who) for oid, who in others if oid != tip.oid and _number(branch, oid) > tip.number]
    known += _tags_above(branch, tip.number)
    after = [(number, oid, who) for oid, who in known if (number := _sound(branch, oid)) and _follows(branch, oid, tip)]
    if after:
        own = [each for each in after if each[1] == mine]
        number, newest, who = own[0] if own else max(after, key=lambda each: each[0])
        heads = _heads(branch, newest, [oid for _, oid, _ in after])
        return Beyond(kind="behind", newest=newest, number=number, tip=tip.number, who=who, heads=heads)
    if mine is not None and (number := _sound(branch, mine)):
        return Beyond(kind="other", newest=mine, number=number, tip=tip.number, who="this workspace", heads=(mine,))
    return None


def _number(branch: Branch, oid: Oid) -> int:
    """The number of a checkpoint of this folder, 0 for anything else, and for what is not there."""
    try:
        return branch.manifest(oid).sequence if branch.reader.commit(oid) is not None else 0
    except GitckptError:
        return 0


def _sound(branch: Branch, oid: Oid) -> int:
    """Its number, 0 where it cannot be gone on from."""
    number = _number(branch, oid)
    if not number:
        return 0
    store = import_module("gitckpt.store.store").Store(branch.repository, branch.reader, branch.workflow, branch.prefix)
    return 0 if import_module("gitckpt.store.soundness").fault(store, oid) is not None else number


def _follows(branch: Branch, oid: Oid, tip: Point) -> bool:
    return oid != tip.oid and tip.oid in _line(branch, oid)


def _heads(branch: Branch, newest: Oid, oids: list[Oid]) -> tuple[Oid, ...]:
    """Those of the checkpoints on which no other of them builds; the newest first."""
    found = [newest]
    passed = set(_line(branch, newest))
    for oid in oids:
        if oid not in passed:
            found.append(oid)
            passed.update(_line(branch, oid))
    return tuple(found)


def _line(branch: Branch, tip: Oid) -> list[Oid]:
    try:
        return branch.ids(tip)
    except GitckptError:
        return []
