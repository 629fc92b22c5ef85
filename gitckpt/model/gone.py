"""Outs of a completed phase that somebody removed: what is known of it, and the ways on.

Owns these values and their words. Must not know how they are found.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.names import PhaseName
from gitckpt.model.text import safe
from gitckpt.model.title import headed

_SPELT = 10
"""Paths that a command spells; with more of them all that the phase left is brought back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsGone:
    """The captured files that a phase had made as its outs, and that are gone; `folders`: the same, as the topmost
    folders that went as a whole."""

    phase: PhaseName
    paths: tuple[bytes, ...]
    folders: tuple[bytes, ...]

    @property
    def words(self) -> str:
        """`outs of split are gone: data/x.csv`."""
        return f"outs of {self.phase} are gone: {headed([safe(path) for path in self.paths[:3]], len(self.paths))}"

    @property
    def ways(self) -> tuple[str, str, str]:
        """The three commands: bring them back, make them anew, or go on without them."""
        shown = self.folders[:_SPELT]
        spelt = " ".join(shlex.quote(path.decode(errors="surrogateescape")) for path in shown)
        more = "" if len(shown) == len(self.folders) else " …"
        return (
            f"gitckpt restore {self.phase} -- {safe(spelt)}{more}",
            f"gitckpt run --from {self.phase}",
            "gitckpt run --accept-edits",
        )


@dataclass(eq=False)
class NeedsOuts(GitckptError):
    """A phase is about to run on outs that the user removed."""

    gone: Sequence[OutsGone]
    next_phase: str

    exit_code = ExitCode.CONFLICT

    @property
    def message(self) -> str:
        return f"{'; '.join(each.words for each in self.gone)}; {self.next_phase} would run without them"

    @property
    def hint(self) -> str:
        first = self.gone[0].ways
        back = "\n".join(f"bring them back: {each.ways[0]}" for each in self.gone)
        return f"{back}\nmake them anew: {first[1]}\nthey are not needed: {first[2]}"
