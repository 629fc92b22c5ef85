"""Whether a completion is out of date: one pure answer for phases and items alike, from what they were made from.

What a thing was made from is told by names and what each stood for: a need by the mark of its completion, a file by its
id, a row by its digest. Whoever learns of more inputs adds names. Owns this comparison, and which phases are older than
what they need. Must not know where the facts come from; loads nothing but manifests, for `status` asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gitckpt.model.manifest import DONE, Manifest, PhaseState, Status, state_of
from gitckpt.model.names import PhaseName
from gitckpt.model.text import safe

MadeFrom: TypeAlias = Mapping[str, str | None]
"""What something was made from: each thing by its name, as what it was; None: it was not there."""

SHOWN = 3
"""How many names of one kind a sentence has."""


def differing(then: MadeFrom | None, now: MadeFrom) -> tuple[str, ...]:
    """What is another now than it was then. What is not known (None) is never out of date."""
    if then is None:
        return ()
    return tuple(name for name in dict.fromkeys((*then, *now)) if then.get(name) != now.get(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfDate:
    """A completed phase that is older than what it was made from: than the phases `needs`, which were done again since;
    than phases that are out of date themselves (`through`); or than `files` (named, or told with their change)."""

    phase: PhaseName
    needs: tuple[PhaseName, ...] = ()
    through: tuple[PhaseName, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """One clause for people."""
        told = []
        if self.needs:
            told.append(f"{_listed(self.needs)} {_was(len(self.needs))} done again since")
        if self.files:
            told.append(f"since then changed: {_listed([safe(path) for path in self.files])}")
        if self.through:
            are = "is" if len(self.through) == 1 else "are"
            told.append(f"{_listed(self.through)} {are} out of date")
        return "; ".join(told)


def marks_of(manifest: Manifest, needs: Iterable[PhaseName]) -> dict[PhaseName, str]:
    """What whatever begins now is made from: the completions of what it needs; empty for what is not completed."""
    return {need: state_of(manifest, need).mark or "" for need in needs}


def done_again(manifest: Manifest, state: PhaseState) -> tuple[PhaseName, ...]:
    """What a phase was made from and is done anew since: of what is only to be done again nothing is known yet."""
    needs = [need for need in state.made_from if state_of(manifest, need).status in DONE]
    then: MadeFrom = {need: state.made_from[need] for need in needs}
    now: MadeFrom = {str(need): mark for need, mark in marks_of(manifest, needs).items()}
    return tuple(PhaseName(name) for name in differing(then, now))


def out_of_date(
    manifest: Manifest, changed: Mapping[PhaseName, tuple[str, ...]] | None = None
) -> tuple[OutOfDate, ...]:
    """The completed phases that are older than what they were made from, in order. `changed`: files that some of them
    were made from and that are others now, as far as they were looked at."""
    found: dict[PhaseName, OutOfDate] = {}
    for name in manifest.order:
        state = state_of(manifest, name)
        if state.status is not Status.COMPLETED:
            continue
        needs = done_again(manifest, state)
        through = tuple(need for need in state.made_from if need in found and need not in needs)
        files = (changed or {}).get(name, ())
        if needs or through or files:
            found[name] = OutOfDate(phase=name, needs=needs, through=through, files=files)
    return tuple(found.values())


def command_for(found: Sequence[OutOfDate], phase: PhaseName | None = None) -> str:
    """What makes a phase (None: the first one) anew, from where it became old, and all that needs it."""
    known = {each.phase: each for each in found}
    each = found[0] if phase is None else known[phase]
    while each.through and not (each.needs or each.files):
        each = known[each.through[0]]
    return f"gitckpt run --from {each.phase}"


def lines_of(found: Sequence[OutOfDate], only: PhaseName | None = None) -> list[str]:
    """A line for each phase that is out of date (or for one of them), and then the command."""
    shown = [each for each in found if only in (None, each.phase)]
    if not shown:
        return []
    lines = [f"out of date: {each.phase} ({each.why})" for each in shown]
    return [*lines, f"  to make it anew: {command_for(found, only)}"]


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:SHOWN]) + (f" and {len(shown) - SHOWN:,} more" if len(shown) > SHOWN else "")


def _was(count: int) -> str:
    return "was" if count == 1 else "were"
