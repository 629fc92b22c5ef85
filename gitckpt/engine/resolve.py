"""A conflict is decided: whose change of the paths counts, or the lines of both.

Owns what is waiting for a decision, and what a decision records. Must not decide anything itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from gitckpt.engine.arrival import renumbered
from gitckpt.engine.catch_up import lies_within
from gitckpt.engine.dating import Dating
from gitckpt.engine.hold import Hold, open_pack
from gitckpt.engine.land import Landing, land
from gitckpt.engine.merge import rule_of
from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.conflicts import MINE, conflicts
from gitckpt.model.events import Edited, Event
from gitckpt.model.items import ItemsCompleted
from gitckpt.model.manifest import Conflict, state_of
from gitckpt.model.merging import MOST_NAMED, Merged, Resolved
from gitckpt.model.names import PhaseName
from gitckpt.model.text import safe
from gitckpt.model.together import Rule
from gitckpt.plumbing.content import Content
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.three_way import Merged as Joined
from gitckpt.plumbing.three_way import Rule as AnyRule
from gitckpt.plumbing.three_way import merge
from gitckpt.store.checkpoint import Checkpoint


@dataclass(eq=False)
class NothingToResolve(GitckptError):
    """No conflict waits; or none of that phase. `waiting`: the names of those that do."""

    about: str
    waiting: tuple[str, ...] = ()

    exit_code = ExitCode.USAGE

    @property
    def message(self) -> str:
        return f"no conflict{f' of {self.about}' if self.about else ''} waits for a decision"

    @property
    def hint(self) -> str:
        if self.waiting:
            return "\n".join(f"what waits: gitckpt resolve {name}" for name in self.waiting)
        return "see where it stands: gitckpt status"


@dataclass(eq=False)
class SeveralConflicts(GitckptError):
    """A decision without a name is for the only conflict."""

    names: tuple[str, ...]

    exit_code = ExitCode.USAGE

    @property
    def message(self) -> str:
        return f"several conflicts wait for a decision: {', '.join(self.names)}"

    @property
    def hint(self) -> str:
        return f"name one: gitckpt resolve {self.names[0]} --ours, or --theirs"


@dataclass(eq=False)
class ConflictRemains(GitckptError):
    """Some paths are not decided by what was said."""

    paths: tuple[str, ...]

    exit_code = ExitCode.CONFLICT
    untouched = "nothing was changed"

    @property
    def message(self) -> str:
        more = f" and {len(self.paths) - 3:,} more" if len(self.paths) > 3 else ""
        return f"still in conflict: {', '.join(self.paths[:3])}{more}"

    @property
    def hint(self) -> str:
        return "lines can be joined in texts only: choose a side for these (--ours or --theirs), or decide all at once"


@dataclass(eq=False)
class NotInConflict(GitckptError):
    """A path was named that nobody has to decide about."""

    path: str
    paths: tuple[str, ...]

    exit_code = ExitCode.USAGE
    untouched = "nothing was changed"

    @property
    def message(self) -> str:
        return f"{self.path} is not in conflict"

    @property
    def hint(self) -> str:
        return f"what is: {', '.join(self.paths[:3])}" + (" …" if len(self.paths) > 3 else "")


def resolve(hold: Hold, name: str | None, how: Rule, paths: Collection[bytes] = ()) -> Checkpoint:
    """Decide a conflict for all its paths, or only for these and those below them, where the rest needs no decision.

    Raises NothingToResolve, SeveralConflicts, NotInConflict, ConflictRemains.
    """
    waiting = conflicts(hold.at_tip.manifest)
    if not waiting or (name is not None and name not in waiting):
        raise NothingToResolve(name or "", tuple(waiting))
    if name is None and len(waiting) > 1:
        raise SeveralConflicts(tuple(waiting))
    chosen = name or next(iter(waiting))
    with open_pack(hold) as pack:
        if chosen == MINE:
            return _own_edits(hold, pack, waiting[chosen], how, paths)
        return _of_phase(hold, pack, PhaseName(chosen), waiting[chosen], how, paths)


def _of_phase(
    hold: Hold, pack: Pack, name: PhaseName, conflict: Conflict, how: Rule, paths: Collection[bytes]
) -> Checkpoint:
    assert conflict.own is not None  # a phase's conflict is about a commit
    own = hold.store.read(conflict.own)
    start = hold.store.read(own.parents[0])
    if paths:
        clashes = _merged(hold, pack, start.content, own.content, rule_of(hold)).clashes
        _require_clashing(paths, [clash.path for clash in clashes])
    content, settled = _joined(hold, pack, start.content, own.content, _rule(how, paths, rule_of(hold)))
    at, number = hold.now(), state_of(hold.at_tip.manifest, name).attempts + 1
    events: tuple[Event, ...] = (
        Resolved(at=at, author=hold.person(), how=how, phase=name),
        *(_mended(event) for event in renumbered(own.events, number)),
        Merged(at=at, phase=name, own=own.oid, start=start.oid, settled=settled),
    )
    # What it decides is new beside what was made from the other side; among each other its files keep their order.
    dating = Dating(then=own.oid, younger=True)
    found = hold.at_tip.content
    return land(hold, pack, Landing(events=events, content=content, found=found, second_parent=own.oid, dating=dating))


def _mended(event: Event) -> Event:
    """Items that could not be merged were counted as failed."""
    return replace(event, mended=event.count) if isinstance(event, ItemsCompleted) else event


def _own_edits(hold: Hold, pack: Pack, conflict: Conflict, how: Rule, paths: Collection[bytes]) -> Checkpoint:
    oid = hold.store.rescues().get(conflict.rescue)
    if oid is None:
        raise NothingToResolve(f"rescue@{conflict.rescue}, which is gone")
    mine = hold.store.read(oid)
    base = hold.store.read(mine.parents[0])
    # What could be joined was joined when the conflict was found.
    clashing = {clash.path for clash in _merged(hold, pack, base.content, mine.content, _as_text).clashes}
    _require_clashing(paths, sorted(clashing))
    decided = _rule(how, paths, _as_text)
    content, settled = _joined(
        hold, pack, base.content, mine.content, lambda path: decided(path) if path in clashing else "text"
    )
    at, author = hold.now(), hold.person()
    changed: tuple[Event, ...] = ()
    if content != hold.at_tip.content:
        changed = (Edited(at=at, author=author, mixed=settled),)
    events: tuple[Event, ...] = (*changed, Resolved(at=at, author=author, how=how))
    dating = Dating(then=mine.oid, younger=True)
    return land(hold, pack, Landing(events=events, content=content, found=hold.at_tip.content, dating=dating))


def _require_clashing(paths: Collection[bytes], clashing: Sequence[bytes]) -> None:
    for path in paths:
        if path and not any(lies_within(path, each) for each in clashing):
            raise NotInConflict(safe(path), tuple(safe(each) for each in clashing))


def _as_text(_path: bytes) -> AnyRule:
    return "text"


def _rule(how: Rule, paths: Collection[bytes], usual: Callable[[bytes], AnyRule]) -> Callable[[bytes], AnyRule]:
    def rule(path: bytes) -> AnyRule:
        chosen = not paths or any(path == each or path.startswith(each + b"/") for each in paths)
        return how if chosen else usual(path)

    return rule


def _joined(
    hold: Hold, pack: Pack, base: Content, theirs: Content, rule: Callable[[bytes], AnyRule]
) -> tuple[Content, tuple[str, ...]]:
    merged = _merged(hold, pack, base, theirs, rule)
    if merged.content is None:
        raise ConflictRemains(tuple(safe(clash.path) for clash in merged.clashes))
    return merged.content, tuple(safe(path) for path in merged.settled[:MOST_NAMED])


def _merged(hold: Hold, pack: Pack, base: Content, theirs: Content, rule: Callable[[bytes], AnyRule]) -> Joined:
    return merge(
        hold.given.repository,
        hold.store.reader,
        pack,
        base=base,
        ours=hold.at_tip.content,
        theirs=theirs,
        rule_of=rule,
    )
