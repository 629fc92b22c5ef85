"""A workflow that books things in a journal outside its workspace, and takes them out again by the key of the booking.

Owns the commands and what can be read of the journal. Must not know any scenario.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.repo import Repo

BOOK = """\
set -eu
what=$GITCKPT_PHASE${GITCKPT_ITEM:+/$GITCKPT_ITEM}
test ! -e "OUT/fails-$what"
echo "$what $GITCKPT_IDEMPOTENCY_KEY" >> OUT/journal/entries
echo "book $what $GITCKPT_IDEMPOTENCY_KEY ${P-}" >> OUT/journal/log
"""
"""Books once under its key, or fails before it does anything."""

CANCEL = """\
set -eu
what=$GITCKPT_PHASE${GITCKPT_ITEM:+/$GITCKPT_ITEM}
test ! -e "OUT/stuck-$what"
grep -q "^$what $GITCKPT_IDEMPOTENCY_KEY\\$" OUT/journal/entries || { echo "nothing is booked so"; exit 9; }
grep -v "^$what $GITCKPT_IDEMPOTENCY_KEY\\$" OUT/journal/entries > OUT/journal/new || true
mv OUT/journal/new OUT/journal/entries
echo "cancel $what $GITCKPT_IDEMPOTENCY_KEY ${P-}" >> OUT/journal/log
"""
"""Takes out the entry of that very key, and fails where there is none."""


class Booking:
    """A repository whose phases book: `book` as a whole, `each` for the lines of items.txt."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo
        self.journal = repo.path.parent / "journal"
        self.journal.mkdir()
        (self.journal / "entries").touch()
        # In a copy of the workspace `..` is another folder.
        self.book, self.cancel = (text.replace("OUT", str(repo.path.parent)) for text in (BOOK, CANCEL))
        repo.write("book.sh", self.book)
        repo.write("cancel.sh", self.cancel)
        self.items("a", "b")

    def define(self, *more: str, book: str = "compensate: bash cancel.sh", each: str = "") -> None:
        """The workflow file. `more` are phases after the first two, `book` and `each` more lines of these."""
        self.repo.write(
            "gitckpt.yaml",
            "version: 1\nworkflow: w\nparams: {P: {default: one}}\nphases:\n"
            "  book:\n    run: bash book.sh\n" + (f"    {book}\n" if book else "") + "  each:\n"
            "    foreach: {lines: items.txt}\n    run: bash book.sh\n    compensate: bash cancel.sh\n"
            + (f"    {each}\n" if each else "")
            + "".join(f"  {phase}\n" for phase in more),
        )

    def items(self, *names: str) -> None:
        self.repo.write("items.txt", "".join(f"{name}\n" for name in names))

    def fails(self, *names: str) -> None:
        """These fail, `book` or `each/a`, and no others."""
        self._marked("fails", names)

    def stuck(self, *names: str) -> None:
        """The compensations of these fail, and no others."""
        self._marked("stuck", names)

    def _marked(self, kind: str, names: tuple[str, ...]) -> None:
        for path in (self.repo.path.parent / f"{kind}-book", *(self._folder(kind)).glob("*")):
            path.unlink(missing_ok=True)
        for name in names:
            self._folder(kind)
            (self.repo.path.parent / f"{kind}-{name}").touch()

    def _folder(self, kind: str) -> Path:
        folder = self.repo.path.parent / f"{kind}-each"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def booked(self) -> list[str]:
        """What the journal holds: names and keys."""
        return (self.journal / "entries").read_text().splitlines()

    @property
    def names(self) -> list[str]:
        """What the journal holds, without the keys."""
        return [line.split()[0] for line in self.booked]

    def log(self, verb: str) -> list[str]:
        """The names that were booked, or cancelled, in order."""
        return [line.split()[1] for line in self._log() if line.startswith(f"{verb} ")]

    def keys(self, verb: str) -> list[str]:
        """Their keys."""
        return [line.split()[2] for line in self._log() if line.startswith(f"{verb} ")]

    def params(self, verb: str) -> list[str]:
        """The param that each saw."""
        return [line.split()[3] for line in self._log() if line.startswith(f"{verb} ")]

    def _log(self) -> list[str]:
        path = self.journal / "log"
        return path.read_text().splitlines() if path.exists() else []

    def status(self) -> Any:
        return json.loads(self.repo.run("status", "--json").stdout)

    def left(self) -> Mapping[str, int]:
        """How much of each phase `status` lists as left behind; it names the same phases in `outside`."""
        now, found = self.status(), dict[str, int]()
        for each in now["left_behind"]:
            found[each["phase"]] = found.get(each["phase"], 0) + each["count"]
        assert set(now["outside"]) == set(found)
        return found

    def number(self) -> int:
        """Of the newest checkpoint."""
        found = self.status()["checkpoint"]
        assert isinstance(found, int)
        return found
