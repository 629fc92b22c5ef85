"""What the user takes out of checkpoints by an edit of a `.gitignore`: captured files stay so for no other reason than
that the checkpoint before had them, until an edit outside of any phase says otherwise.

Owns which they are. A rule that a phase wrote, or that stood there before, drops nothing: git's own rule for what it
tracks. Reads contents only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from gitckpt.plumbing.content import Change, Content, Item, Lookup, compare, list_content
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository
from gitckpt.workspace.view_rules import ViewRules

_GITIGNORE = b".gitignore"


def dropped_by_edits(
    repository: Repository, prefix: bytes, reader: Reader, since: Content, found: Content, only_held: Collection[bytes]
) -> list[Change]:
    """What leaves `found`, all of whose objects can be read, because of the edits `since`. `only_held`: the paths that
    are captured although git ignores them. Raises GitFailed, ObjectUnreadable."""
    if not only_held or not any(
        change.path.rpartition(b"/")[2] == _GITIGNORE for change in compare(reader, since, found)
    ):
        return []
    items = list_content(reader, found)
    held = sorted(path for path in only_held if path in items)
    before, now = Lookup(reader, since), Lookup(reader, found)

    def text_before(folder: bytes) -> bytes:
        return _text(reader, before, folder)

    def text_added(folder: bytes) -> bytes:
        known = set(text_before(folder).splitlines())
        return b"\n".join(line for line in _text(reader, now, folder).splitlines() if line not in known)

    asked = _with_folders(held, items)
    was_ignored = _ignored(repository, prefix, text_before, asked)
    now_said = _ignored(repository, prefix, text_added, asked)
    gone = {path for path in held if path not in was_ignored or path in now_said}
    staying = {path[:at] for path in items if path not in gone for at in range(len(path)) if path[at : at + 1] == b"/"}
    return [Change(path=path, old=items[path], new=None) for path in sorted(gone - staying)]


def _ignored(
    repository: Repository, prefix: bytes, text: Callable[[bytes], bytes], asked: dict[bytes, bool]
) -> set[bytes]:
    with ViewRules(repository, prefix, text) as rules:
        rules.folders.update(path for path, is_folder in asked.items() if is_folder)
        return rules.ignored_here(list(asked))


def _with_folders(paths: Collection[bytes], items: Mapping[bytes, Item]) -> dict[bytes, bool]:
    """The paths with the folders above them, those first, and whether each is a folder."""
    above = sorted({path[:at] for path in paths for at in range(len(path)) if path[at : at + 1] == b"/"})
    return dict.fromkeys(above, True) | {path: items[path].kind == "dir" for path in paths}


def _text(reader: Reader, lookup: Lookup, folder: bytes) -> bytes:
    item = lookup.item(folder + b"/" + _GITIGNORE if folder else _GITIGNORE)
    return reader.blob(item.oid) if item is not None and item.kind == "file" else b""
