"""The workspace catches up: from its base to the tip, once no attempt in a view of its own needs it as it is.

Owns what becomes of paths that the user changed meanwhile: joined with the phase's change where the two do not touch,
else kept on a ref and asked about, while the workspace gets the phase's. Doing it twice is doing it once.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from gitckpt.engine.carried import carry_hidden
from gitckpt.engine.dating import move_dates, put_links_back
from gitckpt.engine.go import Move, go, rescue
from gitckpt.engine.healing import secure
from gitckpt.engine.hold import Hold, open_pack, with_base
from gitckpt.engine.kept import left_out
from gitckpt.engine.land import Landing, land
from gitckpt.engine.mirror import write_mirror
from gitckpt.engine.place import LandingUnderWay
from gitckpt.engine.touches import bring_touches, links_of
from gitckpt.model.events import Edited, Event
from gitckpt.model.merging import MOST_NAMED, EditsClashed
from gitckpt.model.text import safe
from gitckpt.plumbing.amend import amend
from gitckpt.plumbing.content import Change, Content, Item, compare
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.three_way import Merged, Rule, merge
from gitckpt.progress.events import Note, Warned
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.workspace.beforehand import Made
from gitckpt.workspace.collect import collect
from gitckpt.workspace.replaced import find_replaced


def catch_up(hold: Hold, still_used: Collection[str], made: Sequence[Made] = ()) -> list[str]:
    """Bring the workspace to the tip, if it lags. `still_used`: views that are under way, or wait to be merged; `made`:
    where files lie as attempts left them. Returns the views that nobody needs any more: their folders may be removed.
    """
    base = hold.base
    if base is not None:
        changes = compare(hold.store.reader, base.content, hold.at_tip.content)
        edited = _edited(hold, changes)
        before = _join(hold, base, edited) if edited else base.content
        _go(hold, base, before, made)
    gone = [view for view in hold.record.views if view.view not in still_used]
    carry_hidden(hold, gone, are_last=not still_used)
    folders = [hold.place.views / view.view for view in gone]
    bring_touches(hold, folders)
    if base is not None:
        put_links_back(hold, hold.at_tip, None, links_of(folders))
    move_dates(hold, hold.at_tip.number - 1)
    if base is not None or gone:
        record = with_base(hold, hold.name, hold.at_tip) if base is not None else hold.record
        hold.write_record(replace(record, views=tuple(view for view in record.views if view not in gone)))
    if base is not None:
        write_mirror(hold, hold.at_tip.manifest)
    return [view.view for view in gone]


def would_clash(hold: Hold) -> bool:
    """Whether the user changed paths on the way otherwise than the phases did."""
    base = hold.base
    if base is None:
        return False
    edited = _edited(hold, compare(hold.store.reader, base.content, hold.at_tip.content))
    if not edited:
        return False
    with open_pack(hold) as pack:
        items = collect(hold.given.root, pack, edited, left_out(hold))
        mine = amend(hold.store.reader, pack, base.content, _changes(edited, items))
        return bool(_merged(hold, pack, base, mine).clashes)


def _edited(hold: Hold, changes: Sequence[Change]) -> list[bytes]:
    """The paths on the way whose state is neither the base's nor the tip's: the user changed or removed them."""
    top = os.fsencode(hold.given.root) + b"/"
    removed = [
        change.path
        for change in changes
        if change.old is not None
        and change.new is not None
        and "dir" not in (change.old.kind, change.new.kind)
        and not os.path.lexists(top + change.path)
    ]
    found = find_replaced(hold.given.root, changes, (), left_out(hold))
    return sorted({*removed, *found.edited})


def _go(hold: Hold, base: Checkpoint, before: Content, made: Sequence[Made]) -> None:
    """`before`: what the workspace holds, as far as it is to change. That it has arrived is the caller's to note."""
    to = hold.at_tip
    secure(hold, before, to.content)
    hold.write_record(replace(hold.record, landing=LandingUnderWay(workflow=hold.name, to=to.oid, before=base.oid)))
    go(hold, Move(before=before, kept_as=base.oid, made=made), to)
    hold.base = None


def _join(hold: Hold, base: Checkpoint, edited: Sequence[bytes]) -> Content:
    """Record what the user changed on the way as far as it can be joined with the phases' changes, and keep the rest.
    Returns what the workspace holds."""
    with open_pack(hold) as pack:
        items = collect(hold.given.root, pack, edited, left_out(hold))
        mine = amend(hold.store.reader, pack, base.content, _changes(edited, items))
        joined = _merged(hold, pack, base, mine)
        clashing = [clash.path for clash in joined.clashes]
        rest = [path for path in edited if not any(lies_within(path, each) for each in clashing)]
        if clashing:
            kept = amend(hold.store.reader, pack, base.content, _changes(rest, items))
            joined = _merged(hold, pack, base, kept)
        content = joined.content or hold.at_tip.content
        events: list[Event] = []
        if content != hold.at_tip.content:
            mixed = tuple(safe(path) for path in rest[:MOST_NAMED])
            events.append(Edited(at=hold.now(), author=hold.person(), mixed=mixed))
            hold.reporter(Note(f"you and a phase changed {', '.join(mixed[:3])}; the files have both changes"))
        if clashing and not _is_asked(hold, mine):
            events.append(_clash(hold, pack, base, mine, clashing))
        if events:
            _land(hold, pack, tuple(events), content)
        else:
            pack.finish()
    return mine


def _is_asked(hold: Hold, mine: Content) -> bool:
    """Whether the same was recorded before a kill."""
    clash = hold.at_tip.manifest.clash
    oid = hold.store.rescues().get(clash.rescue) if clash is not None else None
    return oid is not None and hold.store.read(oid).content == mine


def lies_within(path: bytes, other: bytes) -> bool:
    """Whether one of the two is the other, or above it."""
    return path == other or path.startswith(other + b"/") or other.startswith(path + b"/")


def _changes(paths: Iterable[bytes], items: dict[bytes, Item]) -> list[Change]:
    """Each of the paths as the items have it, with all below it."""
    wanted = list(paths)
    below = [path for path in items if any(path.startswith(each + b"/") for each in wanted)]
    return [Change(path=path, old=None, new=items.get(path)) for path in sorted({*wanted, *below})]


def _merged(hold: Hold, pack: Pack, base: Checkpoint, mine: Content) -> Merged:
    return merge(
        hold.given.repository,
        hold.store.reader,
        pack,
        base=base.content,
        ours=hold.at_tip.content,
        theirs=mine,
        rule_of=_as_text,
    )


def _as_text(_path: bytes) -> Rule:
    return "text"


def _clash(hold: Hold, pack: Pack, base: Checkpoint, mine: Content, clashing: Sequence[bytes]) -> EditsClashed:
    """Keep what the user has, and say so."""
    kept = rescue(hold, pack, mine, base)
    paths = tuple(safe(path) for path in clashing)
    shown = ", ".join(paths[:3]) + (" …" if len(paths) > 3 else "")
    hold.reporter(
        Warned(
            f"you changed {shown} while a phase changed the same; yours is kept as {kept}\n"
            f"  see both: gitckpt diff {kept}\n  choose: gitckpt resolve yours --mine, or --ours"
        )
    )
    number = int(kept.rpartition("@")[2])
    return EditsClashed(at=hold.now(), paths=paths[:MOST_NAMED], count=len(paths), rescue=number)


def _land(hold: Hold, pack: Pack, events: tuple[Event, ...], content: Content) -> None:
    """The workspace does not move yet: it lags, and goes the whole way at once."""
    landing = Landing(events=events, content=content, found=content)
    if not pack.finished:
        land(hold, pack, landing)
        return
    with open_pack(hold) as second:
        land(hold, second, landing)
