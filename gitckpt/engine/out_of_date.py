"""Which completed phases are out of date, with all that can be known of it: what they need, files that somebody
changed, and lists whose source is another now.

Owns gathering these facts, for `run`, `plan` and `why`; what follows from them `model.dated` says. Takes no lock and
changes nothing. What the workflow itself changed is no reason: only a phase that is done again makes others old.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

from gitckpt.engine.listed import Listed, open_items
from gitckpt.engine.made_from import WORK, Past, changed_files
from gitckpt.engine.place import Place
from gitckpt.engine.ports import AtTip
from gitckpt.errors import GitckptError, ObjectUnreadable
from gitckpt.model.amount import plural
from gitckpt.model.dated import SHOWN, OutOfDate, out_of_date
from gitckpt.model.listing import encode_bytes, encode_item
from gitckpt.model.manifest import DONE, Status, state_of
from gitckpt.model.names import PhaseName
from gitckpt.model.repeat import Foreach
from gitckpt.model.shard import DONE as DONE_ITEM
from gitckpt.model.text import safe
from gitckpt.model.workflow import Phase
from gitckpt.plumbing.content import compare
from gitckpt.workspace.sources import read_items

_SMALL = 1024 * 1024
"""Bytes of a source that is read each time; a larger one only where its id is another."""

_ASKED = 20
"""Of so many paths it is found out who changed them; finding one takes some reads."""

_KEYS = 100_000
"""Items in a list that is looked through for files which somebody changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListChange:
    """A frozen list whose source gives another one now: how many items came and went, and how many have another row
    under their key; some of them by their keys."""

    phase: PhaseName
    came: int
    went: int
    other: int
    names: tuple[str, ...]

    @property
    def words(self) -> str:
        """`its list: 1 item came, 2 items went (parts/d.csv, …)`."""
        told = [f"{plural(self.came, 'item')} came"] if self.came else []
        told += [f"{plural(self.went, 'item')} went"] if self.went else []
        told += [f"{plural(self.other, 'item')} changed"] if self.other else []
        more = ", …" if self.came + self.went + self.other > len(self.names) else ""
        return f"its list ({', '.join(told)}: {', '.join(map(safe, self.names))}{more})"


def what_is_out_of_date(look: AtTip, place: Place, root: Path) -> tuple[OutOfDate, ...]:
    """The completed phases that are older than what they were made from, in the order of the workflow."""
    manifest, tip = look.at_tip.manifest, look.at_tip
    past = Past(look.store, tip)
    changed = changed_files(past, look.workflow, manifest, tip.content)
    for phase in look.workflow.phases:
        if state_of(manifest, phase.name).status is Status.COMPLETED and phase.foreach is not None:
            files = (*changed.get(phase.name, ()), *_own_files(look, place, past, phase))
            change = list_change(look, place, root, phase, past)
            told = (*dict.fromkeys(files), *([change.words] if change else []))
            if told:
                changed[phase.name] = told
    return out_of_date(manifest, changed)


def unfinished_lists(look: AtTip, place: Place, root: Path) -> tuple[ListChange, ...]:
    """The lists that the next `run` goes on with although their source gives others now."""
    tip = look.at_tip
    open_ones = [phase for phase in look.workflow.phases if state_of(tip.manifest, phase.name).status not in DONE]
    if not any(_in_force(look, phase) for phase in open_ones):
        return ()
    past = Past(look.store, tip)
    changes = (list_change(look, place, root, phase, past) for phase in open_ones)
    return tuple(change for change in changes if change is not None)


def list_change(look: AtTip, place: Place, root: Path, phase: Phase, past: Past) -> ListChange | None:
    """How the source of a frozen list differs from it; None where it does not, where only a command could say it, and
    where the workflow itself changed it."""
    source = phase.foreach
    if source is None or source.run is not None or not _in_force(look, phase):
        return None
    with open_items(look.store, place, look.at_tip, phase.name) as listed:
        since = listed.progress.oldest() - 1
        path = source.lines or source.csv or source.json
        if path is not None and _by_itself(past, path.encode("utf-8", "surrogateescape"), since, root):
            return None
        came, went, other = _compared(root, source, listed)
    if source.glob:
        came, went = _not_by_itself(past, came, since), _not_by_itself(past, went, since)
    if not came and not went and not other:
        return None
    names = tuple(key.decode(errors="backslashreplace")[:100] for key in (*came, *went, *other)[:SHOWN])
    return ListChange(phase=phase.name, came=len(came), went=len(went), other=len(other), names=names)


def _in_force(look: AtTip, phase: Phase) -> bool:
    items = state_of(look.at_tip.manifest, phase.name).items
    return phase.foreach is not None and items is not None and not items.stale


def _by_itself(past: Past, path: bytes, since: int, root: Path) -> bool:
    """Whether the file with the items need not be read: it is as it was, and large, or the workflow changed it."""
    kind = past.changed_by(path, since) if past.oid(since) else None
    if kind is not None:
        return kind in WORK
    try:
        is_large = os.stat(os.path.join(os.fsencode(root), path)).st_size > _SMALL
    except OSError:
        return False
    return is_large and past.oid(since) is not None


def _compared(root: Path, source: Foreach, listed: Listed) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """The keys that came, those that went, and those that stand for another row now. A source that cannot be read gives
    no list: then all went."""
    # Without a key of its own an item is its row.
    rows = map(hash, listed.listing.lines(range(listed.items.total))) if source.key is not None else repeat(0)
    known = dict(zip(map(hash, listed.listing.keys()), rows, strict=False))
    came: list[bytes] = []
    other: list[bytes] = []
    seen: set[int] = set()
    try:
        for item in read_items(root, source, None, None):
            digest = hash(encode_bytes(item.key))
            seen.add(digest)
            if digest not in known:
                came.append(item.key)
            elif known[digest] and known[digest] != hash(encode_item(item)):
                other.append(item.key)
    except GitckptError:
        if seen:
            return [], [], []  # it cannot be read to its end: making the list anew will say so
    if known.keys() <= seen:
        return came, [], other
    gone = [index for index, key in enumerate(listed.listing.keys()) if hash(key) not in seen]
    return came, [item.key for item in listed.listing.items(gone)], other


def _not_by_itself(past: Past, paths: Sequence[bytes], since: int) -> list[bytes]:
    """Without the paths that the workflow itself made or removed. Where the first ones are all its, so are the rest."""
    if past.oid(since) is None:
        return list(paths)
    theirs = {path for path in paths[:_ASKED] if past.changed_by(path, since) in WORK}
    if len(theirs) == _ASKED:
        return []
    return [path for path in paths if path not in theirs]


def _own_files(look: AtTip, place: Place, past: Past, phase: Phase) -> Iterable[str]:
    """Files that are items of a completed phase and that somebody changed since the phase was done."""
    state = state_of(look.at_tip.manifest, phase.name)
    oid = past.oid(state.landed)
    if state.items is None or oid is None or not state.items.done or state.items.total > _KEYS:
        return ()
    then = look.store.read(oid).content
    try:
        changes = compare(look.store.reader, then, look.at_tip.content)
    except ObjectUnreadable:
        return ()
    paths = [change.path for change in changes if change.old is not None and change.old.kind != "dir"]
    if not paths:
        return ()
    wanted = {encode_bytes(name): path for path in paths for name in (path, b"./" + path)}
    with open_items(look.store, place, look.at_tip, phase.name) as listed:
        indices = [index for index, key in enumerate(listed.listing.keys()) if key in wanted]
        done = [known.item.key for known in listed.known(indices) if known.state == DONE_ITEM]
    edited = _not_by_itself(past, [key.removeprefix(b"./") for key in done], state.landed)
    return tuple(path.decode(errors="backslashreplace") for path in edited)
