"""What no checkpoint holds, on its way from views to the workspace; what clashes there is kept and named.

Such files cannot be merged: nobody knows what they were before. What is in the workspace counts, be it of the user or
of an attempt that the other one did not see; what would have replaced it goes into gitckpt's folder. Owns the notes of
what was brought by whom. Must not know how a view tells what it holds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gitckpt.engine.hold import Hold
from gitckpt.engine.place import ViewUnderWay
from gitckpt.engine.views import begun_ns, hidden_of, seen_by
from gitckpt.model.text import safe
from gitckpt.progress.events import Warned
from gitckpt.workspace.carrying import Brought, carry, keep_aside
from gitckpt.workspace.times import ctime_now

_NOTES = "carried"
_SHOWN = 5


@dataclass(slots=True)
class _Bringing:
    """One view's way: what it saw when it began is no clash, whatever its ctime says by now."""

    hold: Hold
    view: str
    label: str
    seen: frozenset[str]
    begun_ns: int
    at_ns: int

    def saw(self, path: bytes, found: os.stat_result) -> bool:
        """Whether the file is one that an attempt brought, and that this view showed or that lay there already."""
        note = brought_by(self.hold, path, found)
        return note is not None and (note.view in self.seen or note.at_ns < self.begun_ns)

    def has_placed(self, path: bytes, found: os.stat_result) -> None:
        """It brought this file."""
        self.hold.carried[path] = Brought(
            view=self.view,
            label=self.label,
            at_ns=self.at_ns,
            file=(found.st_ino, found.st_size, found.st_mtime_ns),
        )


def brought_by(hold: Hold, path: bytes, found: os.stat_result) -> Brought | None:
    """The note of who brought the file that is in the workspace; None where it was somebody else, or was changed."""
    note = hold.carried.get(path)
    same = note is not None and note.file == (found.st_ino, found.st_size, found.st_mtime_ns)
    return note if same else None


def carry_hidden(hold: Hold, views: Iterable[ViewUnderWay], *, are_last: bool) -> None:
    """Bring what no checkpoint holds of what attempts changed to the workspace, and keep and name what clashes with
    what came there meanwhile. `are_last`: no view that may have to know of earlier ones is under way."""
    hold.carried = hold.carried or _read(hold)
    before, told = dict(hold.carried), max(hold.unjoined, _SHOWN)
    order = {name: rank for rank, name in enumerate(hold.at_tip.manifest.order)}
    for view in sorted(views, key=lambda view: (order.get(view.under_way.phase, 0), view.first or 0)):
        _carry(hold, view)
    if hold.unjoined > told:
        what = f"{hold.unjoined - told:,} more attempts clash so, and what each left is kept"
        hold.reporter(Warned(f"{what}: {hold.place.replaced}/unjoined-*"))
    if hold.carried != before:
        # Of views that begin from here on, only those of which files are not in place yet are of use.
        news = {path: note for path, note in hold.carried.items() if before.get(path) != note}
        hold.carried = news if are_last else hold.carried
        _write(hold)


def _carry(hold: Hold, view: ViewUnderWay) -> None:
    folder = hold.place.views / view.view
    hidden = hidden_of(folder)
    if not hidden:
        return
    source = folder / "upper" if view.kind == "overlay" else folder / "copy" / os.fsdecode(hold.given.prefix)
    bringing = _Bringing(
        hold=hold,
        view=view.view,
        label=_label(view),
        seen=seen_by(folder),
        begun_ns=begun_ns(folder),
        at_ns=ctime_now(hold.given.root),
    )
    left = carry(source, hidden, hold.given.root, since_ns=bringing.begun_ns, bringing=bringing)
    if left:
        _keep(hold, view, source, left)


def _label(view: ViewUnderWay) -> str:
    under_way = view.under_way
    return f"{under_way.items} of {under_way.phase}" if under_way.items else under_way.phase


def _keep(hold: Hold, view: ViewUnderWay, source: Path, left: tuple[bytes, ...]) -> None:
    """Keep what cannot be joined, and say by whom each path is and what to do."""
    folder = hold.place.replaced / f"unjoined-{view.view}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Durable without more: the bytes are on the disk since they were noted as hidden; a copy is made with them.
    kept = keep_aside(source, left, folder)
    root = os.fsencode(hold.given.root)
    whose: dict[str, list[bytes]] = {}
    for path in left:
        note = None
        with suppress(OSError):
            note = brought_by(hold, path, os.lstat(root + b"/" + path))
        whose.setdefault(note.label if note else "you", []).append(path)
    hold.unjoined += 1
    for who, paths in whose.items() if hold.unjoined <= _SHOWN else ():
        hold.reporter(Warned(_words(_label(view), who, paths, [path for path in paths if path in kept], folder)))
    if not kept:
        with suppress(OSError):
            folder.rmdir()


def _words(label: str, who: str, paths: list[bytes], kept: list[bytes], folder: Path) -> str:
    shown = ", ".join(safe(path) for path in paths[:_SHOWN]) + (" …" if len(paths) > _SHOWN else "")
    counts = "yours stays" if who == "you" else "that of the first stays"
    text = f"{label} changed {shown}, which no checkpoint holds, and so did {who} meanwhile; {counts}"
    if kept:
        first = safe(kept[0])
        text += f"\n  what {label} left is kept: {folder}"
        text += f"\n  compare it, bring it: diff {folder}/{first} {first}; cp -p {folder}/{first} {first}"
    else:
        text += f"\n  {label} had removed it"
    if who != "you":
        text += "\n  what helps: one phase at a time (`concurrency`), one item (`max_parallel: 1`), or `outs`"
    return text


# --- the notes, a line for each, the newest last --------------------------------------------------------------------


def _read(hold: Hold) -> dict[bytes, Brought]:
    found: dict[bytes, Brought] = {}
    with suppress(OSError):
        for line in (hold.place.folder / _NOTES).read_bytes().split(b"\n"):
            with suppress(ValueError):
                at, inode, size, mtime, view, label, path = line.split(b"\t", 6)
                found[_in(path)] = Brought(
                    view=view.decode(),
                    label=_in(label).decode(),
                    at_ns=int(at),
                    file=(int(inode), int(size), int(mtime)),
                )
    return found


def _write(hold: Hold) -> None:
    lines = [
        b"%d\t%d\t%d\t%d\t%b\t%b\t%b\n"
        % (note.at_ns, *note.file, note.view.encode(), _out(note.label.encode()), _out(path))
        for path, note in hold.carried.items()
    ]
    temporary = hold.place.folder / f"{_NOTES}.new"
    temporary.write_bytes(b"".join(lines))
    temporary.replace(hold.place.folder / _NOTES)


def _out(text: bytes) -> bytes:
    return text.replace(b"%", b"%25").replace(b"\n", b"%0A").replace(b"\t", b"%09")


def _in(text: bytes) -> bytes:
    return text.replace(b"%0A", b"\n").replace(b"%09", b"\t").replace(b"%25", b"%")
