"""The dates that files get when the workspace moves: programs such as make decide by them what is due.

What is put back gets the mtime that it had then, as far as that is known, else the time of the checkpoint that brought
its bytes; never a later one. Where something that no checkpoint holds changed since, it is younger than all of that:
then what is put back gets the present time, in the order of then. Owns these choices. Must not move anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from gitckpt.engine.hold import Hold, with_ignored
from gitckpt.errors import GitckptError
from gitckpt.execute.heartbeat import border
from gitckpt.model.names import Oid
from gitckpt.model.whose import Later, whose
from gitckpt.plumbing.content import Change, Item, Lookup, compare
from gitckpt.store.checkpoint import Checkpoint, came_from
from gitckpt.workspace.links import relink
from gitckpt.workspace.redate import redate
from gitckpt.workspace.statcache import Group
from gitckpt.workspace.times import changed_of, ctime_now

_FARTHEST = 500
"""Checkpoints that are looked at for the one that brought a file; what is older than that gets the time of the last."""

_SECOND = 1_000_000_000
_STEP = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Dating:
    """`then`: the checkpoint, attempt or rescue whose files are put back; None: what is brought is new. `younger`: what
    stays changed since then, so these files are to be younger than it."""

    then: Oid | None = None
    younger: bool = False


NEW = Dating()


def dates_for(
    hold: Hold, changes: Sequence[Change], dating: Dating, times: Mapping[bytes, int] = MappingProxyType({})
) -> dict[bytes, int]:
    """The mtimes (ns) of what the changes bring; what is not named gets the present time. `times`: those of files that
    the command replaced which is undone now."""
    files = {each.path: each.new for each in changes if each.new is not None and each.new.oid}
    if not files:
        return {}
    now = ctime_now(hold.given.root)
    if dating.then is None:
        known = {path: hold.dates.at(path, item.oid, hold.at_tip.number) for path, item in files.items()}
        return {path: date for path, date in known.items() if date is not None}
    dates, then = dict[bytes, int](), hold.store.read(dating.then)
    is_base = hold.record.bases.get(hold.name) == then.oid
    for path, item in files.items():
        date = times.get(path)
        if date is None and is_base:
            date = hold.dates.at_base(path, item.oid)
        date = hold.dates.at(path, item.oid, then.number) if date is None else date
        if date is not None:
            dates[path] = date
    rest = {path: item for path, item in files.items() if path not in dates}
    dates.update((path, min(date, now)) for path, date in _brought(hold, then, rest).items())
    return _at_present(dates, files.keys() - dates.keys(), now) if dating.younger else dates


def _at_present(dates: dict[bytes, int], others: set[bytes], now: int) -> dict[bytes, int]:
    """The present time for all, in their order: equal ones stay equal, and nothing is of the future."""
    order = sorted(set(dates.values()))
    step = max(min(_STEP, _STEP * _STEP // max(len(order), 1)), 1)
    moved = {date: now - (len(order) - 1 - rank) * step for rank, date in enumerate(order)}
    return {**{path: moved[date] for path, date in dates.items()}, **dict.fromkeys(others, now)}


def _brought(hold: Hold, then: Checkpoint, files: dict[bytes, Item]) -> dict[bytes, int]:
    """The time of the checkpoint that brought each file as it was `then`; nothing for one that was not so then."""
    if not files:
        return {}
    reader, found = hold.store.reader, dict[bytes, int]()
    try:
        lookup = Lookup(reader, then.content)
        waiting = {path for path, item in files.items() if (was := lookup.item(path)) and was.oid == item.oid}
        at = then
        for _ in range(_FARTHEST):
            oid = came_from(at) if waiting else None
            if oid is None or reader.commit(oid) is None:
                break
            before = hold.store.read(oid)
            for change in compare(reader, before.content, at.content):
                if change.path in waiting and (change.old is None or change.old.oid != files[change.path].oid):
                    found[change.path] = at.seconds * _SECOND
                    waiting.discard(change.path)
            at = before
    except GitckptError:  # a damaged history: what could be read of it says enough
        waiting, at = files.keys() - found.keys(), then
    return {**dict.fromkeys(waiting, at.seconds * _SECOND), **found}


def put_dates_back(hold: Hold, since_ns: int | None) -> None:
    """Give files that an attempt only touched the mtimes of the base. What was changed after `since_ns` (a ctime) is
    the user's and stays. The workspace was scanned since."""
    touched = list(hold.dates.touched(hold.cache.folders))
    if touched and since_ns is not None:
        changed = changed_of(hold.given.root, [each.path for each in touched], lambda: hold.cache)
        later = whose(changed, Later(since_ns))
        touched = [each for each in touched if each.path not in later]
    redate(hold.given.root, touched, hold.cache)


def put_links_back(hold: Hold, to: Checkpoint, then: Oid | None, more: Sequence[Group] = ()) -> None:
    """Make names one file again that were so `then` (None: at the base), or are by what `more` says, where they are
    equal at `to`, which the workspace has arrived at."""
    groups = hold.links.at(hold.store.read(then).number) if then is not None else (*hold.links.base, *more)
    if groups:
        relink(hold.given.root, groups, Lookup(hold.store.reader, to.content), hold.cache)


def border_ns(hold: Hold) -> int:
    """When the last process of what ran here was gone."""
    attempt = hold.record.attempt
    return border(hold.place.live, begun_in=attempt.boot if attempt is not None else "").ns


def has_younger(hold: Hold, target: Checkpoint, since: Sequence[Checkpoint]) -> bool:
    """Whether something that no checkpoint holds changed after `target`; `since` are the checkpoints after it."""
    seen = hold.record.ignored.get(hold.name, 0) if hold.ignored_at is None else hold.ignored_at
    if seen > target.number:
        return True
    return any(getattr(event, "uncaptured", None) is not None for each in since for event in each.events)


def keep_dates(hold: Hold, number: int) -> None:
    """The workspace is at its base, as the stat cache saw it: from here on its dates are the base's. `number`: the
    checkpoint that was the newest while what the cache has seen go was there."""
    if hold.ignored_at not in (None, hold.record.ignored.get(hold.name)):
        hold.write_record(with_ignored(hold, hold.record))
    move_dates(hold, number)
    hold.cache.save()


def move_dates(hold: Hold, number: int) -> None:
    """As `keep_dates`, for this command."""
    hold.dates.note(number, hold.cache.displaced)
    hold.cache.displaced.clear()
    hold.dates.arrive(hold.cache.folders)
    hold.links.arrive(number, hold.cache.links)
