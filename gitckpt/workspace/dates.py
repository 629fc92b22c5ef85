"""When the files of a workspace were written: programs that compare dates must not take what was put back for new.

Owns what is known of that: the mtimes that files had at the base, from the stat cache of then, and a file beside it
with those that were displaced since, by path and content. A hint as the cache is: where it is lost, the history's dates
do. Must not know how a date is set, nor what a checkpoint holds.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gitckpt.plumbing.content import MODE_BITS, Item
from gitckpt.workspace import kinds
from gitckpt.workspace.statcache import Displaced, Record

MOST_BYTES = 16 << 20
"""The file of displaced dates keeps its newer half when it is larger."""

Numbers = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """A file or link with the bytes that it had at the base, and another mtime. `numbers` are those of its last scan,
    `date_ns` is the mtime of the base."""

    path: bytes
    item: Item
    numbers: Numbers
    date_ns: int


class Dates:
    """What is known of one workspace, for one workflow. `path`: the file; `base`: what the stat cache saw there, with
    ids of `width` bytes."""

    def __init__(self, path: Path, base: Mapping[bytes, Record], width: int) -> None:
        self._path = path
        self._base = base
        self._width = width
        self._opened: dict[bytes, dict[bytes, tuple[bytes, int]]] = {}
        self._displaced: dict[tuple[bytes, bytes], list[tuple[int, int]]] | None = None

    def arrive(self, base: Mapping[bytes, Record]) -> None:
        """The workspace is at another base now, and the stat cache saw it so."""
        self._base = base
        self._opened.clear()

    def note(self, number: int, displaced: Iterable[Displaced]) -> None:
        """Remember what was displaced after the checkpoint `number` was the newest one."""
        news = list(dict.fromkeys(displaced))
        if not news:
            return
        if self._displaced is not None:
            for path, oid, date in news:
                self._displaced.setdefault((path, oid), []).append((number, date))
        with contextlib.suppress(OSError):  # a date that is not known costs nothing but time
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            _halve(self._path)
            opened = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            with os.fdopen(opened, "ab") as log:
                # A line that a power cut tore ends here.
                log.write(b"\n" + b"".join(_line(number, each) for each in news))

    def at_base(self, path: bytes, oid: bytes) -> int | None:
        """The mtime that the file had at the base; None where it did not hold these bytes there."""
        folder, _, name = path.rpartition(b"/")
        known = self._entries(folder).get(name)
        return known[1] if known is not None and known[0] == oid else None

    def at(self, path: bytes, oid: bytes, number: int) -> int | None:
        """The mtime that the file had when `number` was the newest checkpoint; else the one that it had with these
        bytes nearest to then."""
        displaced = self._load().get((path, oid), ())
        # What was displaced first after that checkpoint is what was there.
        later = next((date for then, date in displaced if then >= number), None)
        if later is not None:
            return later
        here = self.at_base(path, oid)
        return here if here is not None or not displaced else displaced[-1][1]

    def touched(self, now: Mapping[bytes, Record]) -> Iterator[Touched]:
        """What differs from the base in nothing but its mtime, by the scan `now`."""
        for folder, record in now.items():
            was = self._base.get(folder)
            if was is None or was is record or was.stats == record.stats:
                continue
            known = self._entries(folder)
            for name, entry in record.entries(self._width).items():
                then = known.get(name)
                if entry.kind in kinds.HELD and then is not None and then[0] == entry.oid and then[1] != entry.stat[3]:
                    kind, mode = ("file", entry.stat[0] & MODE_BITS) if entry.kind == kinds.FILE else ("link", 0)
                    item = Item(kind=kind, mode=mode, oid=entry.oid)  # type: ignore[arg-type]
                    path = folder + b"/" + name if folder else name
                    yield Touched(path=path, item=item, numbers=entry.stat, date_ns=then[1])

    def _entries(self, folder: bytes) -> dict[bytes, tuple[bytes, int]]:
        """The ids and mtimes of a folder's files at the base."""
        known = self._opened.get(folder)
        if known is None:
            record = self._base.get(folder)
            entries = record.entries(self._width).items() if record is not None else ()
            known = {name: (entry.oid, entry.stat[3]) for name, entry in entries if entry.oid.strip(b"\0")}
            self._opened[folder] = known
        return known

    def _load(self) -> dict[tuple[bytes, bytes], list[tuple[int, int]]]:
        if self._displaced is None:
            self._displaced = {}
            for number, (path, oid, date) in _lines(self._path):
                self._displaced.setdefault((path, oid), []).append((number, date))
        return self._displaced


# --- the file: a line for each, oldest first ------------------------------------------------------------------------


def _line(number: int, displaced: Displaced) -> bytes:
    path, oid, date = displaced
    return b"%d %d %b %b\n" % (number, date, oid.hex().encode(), path.replace(b"%", b"%25").replace(b"\n", b"%0A"))


def _lines(path: Path) -> Iterator[tuple[int, Displaced]]:
    """What is whole of it."""
    try:
        data = path.read_bytes()
    except OSError:
        return
    for line in data.split(b"\n"):
        try:
            number, date, oid, name = line.split(b" ", 3)
            yield (
                int(number),
                (name.replace(b"%0A", b"\n").replace(b"%25", b"%"), bytes.fromhex(oid.decode()), int(date)),
            )
        except ValueError:
            continue


def _halve(path: Path) -> None:
    """Where the file is too large its older half goes."""
    try:
        if path.stat().st_size <= MOST_BYTES:
            return
    except OSError:
        return
    data = path.read_bytes()
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(data[data.index(b"\n", len(data) // 2) :])
    os.replace(temporary, path)
