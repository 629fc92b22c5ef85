"""A failed attempt too big to store: its files are moved into gitckpt's folder, and named.

Owns the measure, the move, and the way back when somebody asks for them. The rest of the attempt is kept as any other.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from gitckpt.engine.capturing import capture_rules
from gitckpt.engine.graft import with_items
from gitckpt.engine.hold import Hold
from gitckpt.engine.inflight import InFlight
from gitckpt.engine.place import Place
from gitckpt.execute.heartbeat import begin_ns
from gitckpt.model.amount import plural
from gitckpt.model.names import PhaseName, WorkflowName
from gitckpt.plumbing.content import Content, Item
from gitckpt.plumbing.extra import MODE_BITS
from gitckpt.plumbing.file_system import sync_tree
from gitckpt.plumbing.pack import Pack
from gitckpt.progress.events import Warned
from gitckpt.progress.text import size
from gitckpt.store.selectors import Selected
from gitckpt.workspace.recent import changed_files


def move_oversize(hold: Hold, phase: PhaseName, number: int) -> Path | None:
    """Where an attempt's changed files exceed `attempts.keep_up_to`, move them out of the workspace; where they are."""
    limit = hold.workflow.attempts.keep_up_to
    since = begin_ns(hold.place.live)
    if since is None or _free_of_doubt(hold, limit):
        return None
    given = hold.given
    changed = changed_files(
        root=given.root,
        repository=given.repository,
        prefix=given.prefix,
        rules=capture_rules(given.workflow, given.environment),
        since_ns=since,
    )
    return _moved(hold, given.root, changed, phase, number)


def move_oversize_view(hold: Hold, flight: InFlight) -> Path | None:
    """The same for what an attempt changed in a view of its own: there it is all that its upper directory holds."""
    view = flight.view
    if view is None or view.kind != "overlay":
        return None
    upper, found = view.folder / "upper", dict[bytes, int]()
    for at, _, names in os.walk(upper):
        for name in names:
            path = Path(at, name)
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode):
                found[os.fsencode(path.relative_to(upper))] = status.st_size
    return _moved(hold, upper, found, flight.phase.name, flight.under_way.number)


def _moved(hold: Hold, root: Path, changed: Mapping[bytes, int], phase: PhaseName, number: int) -> Path | None:
    total = sum(changed.values())
    if total <= hold.workflow.attempts.keep_up_to:
        return None
    folder = _folder(hold.place, hold.name, phase, number)
    _move(root, list(changed), folder)
    hold.reporter(
        Warned(
            f"{phase}@{number} left {plural(len(changed), 'file')} ({size(total)}), more than attempts.keep_up_to;\n"
            f"  they were moved, not stored: {folder}\n"
            f"  to go on from them: gitckpt restore {phase}@{number}"
        )
    )
    return folder


def with_moved(hold: Hold, pack: Pack, selected: Selected) -> Content:
    """What a selector names, with the files of an attempt that were moved away put in again, their bytes in `pack`.

    Raises OSError where one cannot be read, PackFailed, ChangedWhileRead.
    """
    content = selected.checkpoint.content
    moved = moved_files(hold.place, hold.name, selected)
    if not moved:
        return content
    items = {path: _stored(pack, file) for path, file in moved.items()}
    return with_items(hold.store.reader, pack, content, items)


def moved_files(place: Place, workflow: WorkflowName, selected: Selected) -> dict[bytes, Path]:
    """Where the files of an attempt are that were moved away, by their paths in the workspace."""
    phase, _, number = selected.label.rpartition("@")
    return moved_away(place, workflow, PhaseName(phase), int(number)) if selected.beside and phase else {}


def moved_away(place: Place, workflow: WorkflowName, phase: PhaseName, number: int) -> dict[bytes, Path]:
    """As `moved_files`, of the attempt of that number."""
    folder = _folder(place, workflow, phase, number)
    return {
        os.fsencode(path.relative_to(folder)): path
        for at, _, names in os.walk(folder)
        for path in (Path(at, name) for name in names)
    }


def _folder(place: Place, workflow: WorkflowName, phase: PhaseName, number: int) -> Path:
    return place.home / "attempts" / workflow / f"{phase}-{number}"


def _stored(pack: Pack, path: Path) -> Item:
    with open(path, "rb") as file:
        found = os.fstat(file.fileno())
        oid = pack.blob_stream(file.read, found.st_size)
    return Item(kind="file", mode=stat.S_IMODE(found.st_mode) & MODE_BITS, oid=oid)


def _free_of_doubt(hold: Hold, limit: int) -> bool:
    """A file system that holds less than the limit cannot hold an attempt above it: the walk can be spared."""
    status = os.statvfs(hold.given.root)
    return (status.f_blocks - status.f_bfree) * status.f_frsize <= limit


def _move(root: Path, paths: list[bytes], folder: Path) -> None:
    """Durably: to another disk all is copied before the first one goes."""
    copied = []
    for name in map(os.fsdecode, paths):
        source, target = os.path.join(root, name), os.path.join(folder, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            os.rename(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            shutil.copy2(source, target)
            copied.append(source)
    sync_tree(folder)
    for source in copied:
        os.unlink(source)
