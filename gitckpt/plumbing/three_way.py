"""Two contents that were made from a third, joined path by path: what only one side changed is taken from it.

Owns what counts as a clash, and what each rule makes of it. Must not know where rules come from, nor what the sides
stand for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar, assert_never

from gitckpt.plumbing.amend import amend
from gitckpt.plumbing.content import Change, Content, Item, compare
from gitckpt.plumbing.fresh import Fresh
from gitckpt.plumbing.graft import folders_above
from gitckpt.plumbing.merge import Touching, merge_text
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository

LARGEST_TEXT = 8 << 20
"""Bytes; what is larger is not joined as a text."""

Rule = Literal["fail", "ours", "theirs", "union", "text"]
"""What becomes of a path that both sides changed differently.

`fail`: a clash. `ours`, `theirs`: as that side has it; of a file against a folder, with all below. `union`: of a text
the lines of both where their changes touch. `text`: joined where they do not touch, else a clash. These two join
permission bits apart from the text, and what they cannot join is a clash.
"""

ClashKind = Literal["content", "mode", "deleted", "kind"]
"""How the sides differ: in bytes or a link's target; in permission bits only (and where these alone could not be
joined); one side has removed the path; one has a file, link, FIFO or folder where the other has another of them.
"""


_Value = TypeVar("_Value", int, bytes)


@dataclass(frozen=True, slots=True)
class Clash:
    """A path that both sides changed differently, and that nothing decided. Of a file against a folder it is the
    file's path, for all below it, too.
    """

    path: bytes
    kind: ClashKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The joined content, None where there are clashes. `settled`: the paths that both sides changed differently and
    that a rule decided. All sorted by path.
    """

    content: Content | None
    clashes: tuple[Clash, ...] = ()
    settled: tuple[bytes, ...] = ()


def merge(
    repository: Repository,
    reader: Reader,
    pack: Pack,
    *,
    base: Content,
    ours: Content,
    theirs: Content,
    rule_of: Callable[[bytes], Rule],
) -> Merged:
    """`ours` with what `theirs` changed since `base`; it costs what the two changed.

    The same change on both sides is no clash. A folder that one side removed stays where the other has made or changed
    something below it. Sockets and devices are named as in `ours`. All three contents may be in `pack`. Where there
    are clashes, blobs may stay in `pack` that nothing names. Raises ObjectUnreadable, PackFailed, NoScratch.
    """
    if ours in (base, theirs):
        return Merged(content=theirs)
    if theirs == base:
        return Merged(content=ours)
    objects = Fresh(reader, pack)
    sides = _Sides(
        mine={change.path: change for change in compare(objects, base, ours)},
        other={change.path: change for change in compare(objects, base, theirs)},
    )
    joining = _Joining(_Texts(repository, objects, pack), sides, rule_of)
    joining.decide()
    clashes = tuple(sorted(joining.clashes, key=lambda clash: clash.path))
    if clashes:
        return Merged(content=None, clashes=clashes, settled=tuple(sorted(joining.settled)))
    content = amend(reader, pack, ours, joining.changes())
    return Merged(content=content, settled=tuple(sorted(joining.settled)))


@dataclass(frozen=True, slots=True)
class _Sides:
    """What each side changed, by path."""

    mine: dict[bytes, Change]
    other: dict[bytes, Change]

    def ours(self, path: bytes) -> Item | None:
        """What `ours` has at a path that either side changed."""
        change = self.mine.get(path)
        return change.new if change is not None else self.other[path].old

    def theirs(self, path: bytes) -> Item | None:
        """What `theirs` has at a path that either side changed."""
        change = self.other.get(path)
        return change.new if change is not None else self.mine[path].old


class _Joining:
    """One merge: what it decides for each path that `theirs` changed."""

    def __init__(self, texts: _Texts, sides: _Sides, rule_of: Callable[[bytes], Rule]) -> None:
        self._texts = texts
        self._sides = sides
        self._rule_of = rule_of
        self.clashes: list[Clash] = []
        self.settled: list[bytes] = []
        # What becomes of a path, where that is not what `ours` has.
        self._new: dict[bytes, Item | None] = {}

    def decide(self) -> None:
        """Fill in `clashes`, `settled`, and what `changes` gives."""
        mine, other = self._sides.mine, self._sides.other
        fronts = self._fronts()
        below: dict[bytes, list[bytes]] = {front: [] for front in fronts}
        for path in sorted(mine.keys() | other.keys()):
            front = next((above for above in folders_above(path) if above in fronts), None)
            if front is not None:
                below[front].append(path)
            elif path in fronts or path not in other:
                continue
            elif path not in mine:
                self._new[path] = other[path].new
            elif mine[path].new != other[path].new:
                self._decide_path(path)
        for front, paths in below.items():
            self._decide_front(front, paths)

    def changes(self) -> list[Change]:
        """From `ours` to the joined content."""
        return [Change(path=path, old=None, new=new) for path, new in {**self._folders_kept(), **self._new}.items()]

    # --- clashes --------------------------------------------------------------------------------------------

    def _fronts(self) -> set[bytes]:
        """The paths where one side made a folder, or put something into one, and the other something else there."""
        mine, other = self._sides.mine, self._sides.other
        fronts: set[bytes] = set()
        for these, those in ((mine, other), (other, mine)):
            for path, change in these.items():
                if change.new is None:
                    continue
                at = (*folders_above(path), path) if change.new.kind == "dir" else folders_above(path)
                fronts.update(above for above in at if above in those and _no_folder(those[above].new))
        return fronts

    def _decide_front(self, front: bytes, below: list[bytes]) -> None:
        """A file against a folder: all that changed below it is decided with it."""
        match self._rule_of(front):
            case "ours":
                self.settled.append(front)
            case "theirs":
                self.settled.append(front)
                self._new.update((path, self._sides.theirs(path)) for path in (front, *below))
            case "fail" | "union" | "text":
                self.clashes.append(Clash(front, "kind"))
            case other:
                assert_never(other)

    def _decide_path(self, path: bytes) -> None:
        old, mine, other = self._sides.mine[path].old, self._sides.mine[path].new, self._sides.other[path].new
        joined: Item | ClashKind
        match self._rule_of(path):
            case "ours":
                self.settled.append(path)
                return
            case "theirs":
                self.settled.append(path)
                self._new[path] = other
                return
            case "fail":
                joined = _difference(mine, other)
            case "union":
                joined = self._texts.join(old, mine, other, "both")
            case "text":
                joined = self._texts.join(old, mine, other, "refused")
            case unknown:
                assert_never(unknown)
        if isinstance(joined, Item):
            self.settled.append(path)
            self._new[path] = joined
        else:
            self.clashes.append(Clash(path, joined))

    # --- folders --------------------------------------------------------------------------------------------

    def _folders_kept(self) -> dict[bytes, Item]:
        """The folders that one side removed and in which the other has something: as they are on that other side.

        Takes the removals of such folders out of what was decided.
        """
        mine = self._sides.mine
        stay = {above for path in mine if self._result(path) is not None for above in folders_above(path)}
        for path in stay:
            if path in self._new and self._new[path] is None:
                del self._new[path]
        kept: dict[bytes, Item] = {}
        for above in {above for path, new in self._new.items() if new is not None for above in folders_above(path)}:
            there = self._sides.theirs(above) if above in mine and mine[above].new is None else None
            if there is not None:
                kept[above] = there
        return kept

    def _result(self, path: bytes) -> Item | None:
        return self._new[path] if path in self._new else self._sides.ours(path)


class _Texts:
    """Joins two versions of one file."""

    def __init__(self, repository: Repository, objects: Fresh, pack: Pack) -> None:
        self._repository = repository
        self._objects = objects
        self._pack = pack

    def join(self, old: Item | None, mine: Item | None, other: Item | None, touching: Touching) -> Item | ClashKind:
        """The joined file, or how its sides clash. Bits and bytes are joined apart: each from the side that changed
        it.
        """
        if mine is None or other is None or (mine.kind, other.kind) != ("file", "file"):
            return _difference(mine, other)
        before = old if old is not None and old.kind == "file" else None
        mode = _one(before.mode if before else None, mine.mode, other.mode)
        oid = _one(before.oid if before else None, mine.oid, other.oid)
        if oid is None:
            oid = self._joined(before, mine, other, touching)
        if oid is None:
            return "content"
        return "mode" if mode is None else Item(kind="file", mode=mode, oid=oid)

    def _joined(self, before: Item | None, mine: Item, other: Item, touching: Touching) -> bytes | None:
        oids = [item.oid for item in (before, mine, other) if item is not None]
        if any(self._objects.size(oid) > LARGEST_TEXT for oid in oids):
            return None
        base = self._objects.blob(before.oid) if before is not None else b""
        ours, theirs = self._objects.blob(mine.oid), self._objects.blob(other.oid)
        data = merge_text(self._repository, base=base, ours=ours, theirs=theirs, touching=touching)
        return None if data is None else self._pack.blob(data)


def _one(before: _Value | None, mine: _Value, other: _Value) -> _Value | None:
    """Of three values that of the side that changed it; None where both did, differently."""
    if mine == other or other == before:
        return mine
    return other if mine == before else None


def _difference(mine: Item | None, other: Item | None) -> ClashKind:
    """How two sides differ that are not the same."""
    if mine is None or other is None:
        return "deleted"
    if mine.kind != other.kind:
        return "kind"
    return "mode" if mine.oid == other.oid else "content"


def _no_folder(item: Item | None) -> bool:
    return item is not None and item.kind != "dir"
