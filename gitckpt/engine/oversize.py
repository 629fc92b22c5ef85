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
from gitckpt.engine.edits import note_decided, users_paths
from gitckpt.engine.graft import with_items
from gitckpt.engine.hold import Hold
from gitckpt.engine.place import Place
from gitckpt.execute.heartbeat import begin_ns
from gitckpt.model.amount import plural
from gitckpt.model.names import PhaseName, WorkflowName
from gitckpt.model.whose import Mark
from gitckpt.plumbing.content import Content, Item, Lookup, list_content
from gitckpt.plumbing.extra import MODE_BITS
from gitckpt.plumbing.file_system import sync_tree
from gitckpt.plumbing.pack import Pack
from gitckpt.progress.events import Warned
from gitckpt.progress.text import size
from gitckpt.store.selectors import Selected
from gitckpt.workspace.recent import captured_paths, changed_files


def move_oversize(hold: Hold, phase: PhaseName, number: int, mark: Mark) -> None:
    """Where an attempt's changed files exceed `attempts.keep_up_to`, move them out of the workspace: only those, never
    what the user changed. Which that is, is noted before: when some are moved, nobody can tell any more."""
    limit = hold.workflow.attempts.keep_up_to
    since = begin_ns(hold.place.live)
    if mark == "all" or since is None or _free_of_doubt(hold, limit):
        return
    given = hold.given
    rules, held = capture_rules(given.workflow, given.environment), Lookup(hold.store.reader, hold.at_tip.content)
    changed = changed_files(
        root=given.root, repository=given.repository, prefix=given.prefix, rules=rules, held=held, since_ns=since
    )
    if sum(changed.values()) <= limit:
        return
    files, folders = captured_paths(
        root=given.root, repository=given.repository, prefix=given.prefix, rules=rules, held=held
    )
    known = list_content(hold.store.reader, hold.at_tip.content)
    gone = [path for path in known if path not in files and path not in folders]
    mine = users_paths(hold, files, (*folders, *gone), mark)
    own = {path: size for path, size in changed.items() if path not in mine}
    if sum(own.values()) > limit:
        note_decided(hold, mine)
        _move_and_tell(hold, given.root, own, phase, number)


def move_oversize_view(hold: Hold, view: Path, phase: PhaseName, number: int) -> None:
    """The same for what an attempt changed in an overlay: there it is all that its upper directory holds, and nothing
    of it is the user's. `view`: the view's folder."""
    upper, found = view / "upper", dict[bytes, int]()
    for at, _, names in os.walk(upper):
        for name in names:
            path = Path(at, name)
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode):
                found[os.fsencode(path.relative_to(upper))] = status.st_size
    if sum(found.values()) > hold.workflow.attempts.keep_up_to:
        _move_and_tell(hold, upper, found, phase, number)


def _move_and_tell(hold: Hold, root: Path, own: Mapping[bytes, int], phase: PhaseName, number: int) -> None:
    """`own`: the attempt's files, with their sizes."""
    folder = _folder(hold.place, hold.name, phase, number)
    _move(root, list(own), folder)
    files = f"{plural(len(own), 'file')} ({size(sum(own.values()))})"
    hold.reporter(
        Warned(
            f"{phase}@{number} left {files}, more than attempts.keep_up_to;\n"
            f"  they were moved, not stored: {folder}\n"
            f"  to go on from them: gitckpt restore {phase}@{number}"
        )
    )


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
