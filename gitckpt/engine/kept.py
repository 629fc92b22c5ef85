"""Bytes that no checkpoint holds and that a command replaces: kept in gitckpt's folder before it does, never in git.

Owns where each record lies, which of them is still of use to `undo`, and what is said. A push sends objects, so what is
excluded, ignored or a secret must never become one. Must not move captured files.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gitckpt.engine.capturing import capture_rules
from gitckpt.engine.hold import Hold
from gitckpt.engine.place import Place
from gitckpt.model.commands import is_of_command
from gitckpt.model.names import Oid
from gitckpt.model.text import safe
from gitckpt.plumbing.content import Change, Content, Lookup
from gitckpt.progress.events import Note, Warned
from gitckpt.progress.text import size
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.store import Store
from gitckpt.workspace.capture import is_left_out
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.replaced import (
    Found,
    Kept,
    Replaced,
    find_replaced,
    give_back,
    move_away,
    numbered,
    read_record,
    still_away,
    write_record,
)
from gitckpt.workspace.rules import Matcher

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Undoing:
    """The record of the command that is undone, and what of it is not in the workspace again yet."""

    folder: Path
    record: Replaced
    due: tuple[Kept, ...] = ()

    @property
    def given(self) -> frozenset[bytes]:
        """The paths that are as they were before that command, and stay so."""
        due = {each.path for each in self.due}
        return frozenset(each.path for each in self.record.kept if each.path not in due)


def replaced_by(hold: Hold, checkpoint: Checkpoint) -> Replaced | None:
    """What the arrival of a checkpoint replaced in this workspace; None where nothing moved, or none is known here."""
    folder = _folder_of(hold.place, checkpoint)
    return read_record(folder) if folder is not None else None


def undoing(hold: Hold, undone: Checkpoint | None, to: Content) -> Undoing | None:
    """What is to come back when `undone` is, as far as it goes together with `to`."""
    folder = _folder_of(hold.place, undone) if undone is not None else None
    record = read_record(folder) if folder is not None else None
    if folder is None or record is None:
        return None
    lookup = Lookup(hold.store.reader, to)
    fitting = tuple(each for each in record.kept if _fits(lookup, each))
    record = replace(record, kept=fitting)
    return Undoing(folder, record, still_away(hold.given.root, folder, fitting))


def _fits(lookup: Lookup, entry: Kept) -> bool:
    """Whether the content has nothing else at the path, nor on the way to it."""
    there = lookup.item(entry.path)
    if there is not None:
        return entry.kind == "dir" == there.kind
    parts = entry.path.split(b"/")
    above = (lookup.item(b"/".join(parts[:depth])) for depth in range(1, len(parts)))
    return all(item is None or item.kind == "dir" for item in above)


def keep(hold: Hold, changes: Sequence[Change], to: Checkpoint, before: Oid, back: Undoing | None) -> tuple[bytes, ...]:
    """Move what is not captured, and would be replaced by `changes` or by what comes back, into gitckpt's folder; it is
    durable there before this returns. Returns the paths that the user changed meanwhile: those are to be rescued."""
    root, folder = hold.given.root, _folder(hold.place, to.number, to.oid)
    found = find_replaced(root, changes, back.due if back else (), left_out(hold))
    record = read_record(folder)
    news = record is None
    if record is None:
        record = Replaced(
            workflow=hold.name,
            checkpoint=to.oid,
            number=to.number,
            at=_at(to),
            before=before,
            kept=numbered(found.uncaptured, 1),
            times=found.times,
        )
        write_record(folder, record)
    else:
        later = _later(folder, record, found)
        if later:
            record = replace(record, later=(*record.later, *numbered(later, len(record.files) + 1)))
            write_record(folder, record)
    move_away(root, folder, (*record.kept, *record.later))
    if record.later or (news and record.files):
        _say_kept(hold, folder, record)
    return found.edited


def _later(folder: Path, record: Replaced, found: Found) -> list[Kept]:
    """What was not there yet when the move began: a try that was killed had kept the rest already, or was about to."""
    kept = {each.path: each for each in (*record.kept, *record.later)}
    later = []
    for entry in found.uncaptured:
        was = kept.get(entry.path)
        moved = was is not None and bool(was.file) and (folder / was.file).exists()
        if not entry.oid and entry.kind != "dir" and (was is None or moved):
            later.append(entry)
    return later


def bring_back(hold: Hold, back: Undoing) -> None:
    """Give the workspace what the command that is undone had replaced."""
    lost = give_back(hold.given.root, hold.store.reader, back.folder, back.due)
    for each in back.record.kept:
        hold.cache.leave_undecided(each.path)
    if lost:
        some = ", ".join(safe(path) for path in lost[:SHOWN])
        hold.reporter(Warned(f"what was there before cannot be had any more: {some} ({back.folder})"))


def _say_kept(hold: Hold, folder: Path, record: Replaced) -> None:
    some = ", ".join(safe(each.path) for each in record.files[:SHOWN]) + (" …" if len(record.files) > SHOWN else "")
    amount = size(sum(each.size for each in record.files))
    hold.reporter(
        Note(f"Kept outside of git what no checkpoint holds and was replaced ({amount}): {some}\n  in {folder}")
    )


# --- what may become an object --------------------------------------------------------------------------------------


def left_out(hold: Hold) -> Callable[[Disk, bytes, int], bool]:
    """What tells of a path on the disk, with its mode, whether it is left out: by the last scan and by the rules. What
    neither knows somebody has just made."""
    matcher = Matcher(capture_rules(hold.given.workflow, hold.given.environment))

    def tell(disk: Disk, path: bytes, mode: int) -> bool:
        known = path in hold.dropped or hold.cache.knows_left_out(path)
        return known or is_left_out(disk, path, mode, matcher)

    return tell


# --- the folders ----------------------------------------------------------------------------------------------------


def _at(checkpoint: Checkpoint) -> str:
    return next((event.at for event in checkpoint.events), "")


def _folder(place: Place, number: int, oid: Oid) -> Path:
    return place.replaced / f"{number:04d}-{oid[:16]}"


def _folder_of(place: Place, checkpoint: Checkpoint) -> Path | None:
    """Where the record of a checkpoint lies; one that `gc` made again has another id, and is told by the rest."""
    folder = _folder(place, checkpoint.number, checkpoint.oid)
    if folder.is_dir():
        return folder
    for other in sorted(place.replaced.glob(f"{checkpoint.number:04d}-*")):
        record = read_record(other)
        if record is not None and (record.workflow, record.at) == (checkpoint.manifest.workflow, _at(checkpoint)):
            return other
    return None


def records(place: Place) -> Iterator[tuple[Path, Replaced]]:
    """All that is kept for this workspace, oldest first."""
    for folder in sorted(place.replaced.iterdir()) if place.replaced.is_dir() else ():
        record = read_record(folder)
        if record is not None:
            yield folder, record


def forget_records(hold: Hold, newest: Checkpoint, undone: Checkpoint | None) -> None:
    """Drop the records that keep nothing and that `undo` cannot come back to, for it undoes the newest command; and
    that of what is `undone`, all of which was given back."""
    folder = _folder_of(hold.place, undone) if undone is not None else None
    is_command = is_of_command(newest.events)
    for each, record in records(hold.place):
        is_newest = record.checkpoint == newest.oid
        is_past = record.workflow == hold.name and is_command != is_newest
        if (each == folder and not _files_there(each, record)) or (is_past and not keeps_something(each, record)):
            shutil.rmtree(each, ignore_errors=True)


def _files_there(folder: Path, record: Replaced) -> list[Kept]:
    return [each for each in record.files if os.path.lexists(folder / each.file)]


def keeps_something(folder: Path, record: Replaced) -> bool:
    """Whether something is in the record, or in its folder, that is nowhere else."""
    links = any(each.kind == "link" and not each.oid for each in (*record.kept, *record.later))
    return links or bool(_files_there(folder, record))


def forgettable_records(store: Store, place: Place) -> list[tuple[Path, Replaced]]:
    """Those of the workflow's records that keep something, of commands that `undo` does not come to any more."""
    newest = next((each for each in store.history() if is_of_command(each.events)), None)
    last = _folder_of(place, newest) if newest is not None else None
    return [
        (folder, record)
        for folder, record in records(place)
        if record.workflow == store.workflow and folder != last and keeps_something(folder, record)
    ]


def forget_kept(found: Sequence[tuple[Path, Replaced]]) -> None:
    """Delete them for good: somebody asked for it."""
    for folder, _ in found:
        shutil.rmtree(folder, ignore_errors=True)


def amount_kept(found: Sequence[tuple[Path, Replaced]]) -> tuple[int, int]:
    """How many entries the records keep, and how many bytes."""
    entries = [
        each for _, record in found for each in (*record.kept, *record.later) if each.file or each.kind == "link"
    ]
    return len(entries), sum(each.size for each in entries)
