"""What the engine tells those who watch a run, as frozen values.

Owns nothing else. Must not know how any of it is shown. Texts may come from outside and are not yet safe for a
terminal; durations are integer ms, times of the future are on the monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBegan:
    """A run begins, or goes on from an earlier one: `resumed_at` names the checkpoint. `phases` by name, `done`:
    those that ended well before. `jobs`: how many attempts may run at once."""

    workflow: str
    number_of_phases: int
    resumed_at: str | None = None
    phases: tuple[str, ...] = ()
    jobs: int = 1
    done: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseBegan:
    """An attempt begins; of a phase whose items run side by side: the first of them. `eta_ms`: how long it will
    probably take, where that is known. `compensating`: what is done outside is undone."""

    phase: str
    attempt: int
    eta_ms: int | None = None
    compensating: bool = False


@dataclass(frozen=True, slots=True)
class ItemsBegan:
    """A group of items began, of a phase whose groups run side by side. `items`: its label for people, which tells
    the groups of one phase apart: `item source1 (1 of 3)`."""

    phase: str
    items: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLine:
    """The newest line that a phase printed, or that one group of its items did (`items`: its label)."""

    phase: str
    line: str
    items: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A phase, or a group of its items, ended well and is kept for good; its merge waits for its turn: `why`
    (`extract comes first`). That it landed is said later, by `PhaseEnded` or `ItemsEnded`."""

    phase: str
    items: str = ""
    duration_ms: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseEnded:
    """A phase came to an end, or one try of it. `status` as the manifest has it; `detail`: the reason, the items.

    `first_checkpoint`: where the newest is the last of several, the number of the first.
    """

    phase: str
    status: str
    detail: str = ""
    duration_ms: int | None = None
    checkpoint_number: int | None = None
    first_checkpoint: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsEnded:
    """A try of some items came to an end: `count` of them, `detail` says which, or why they failed. `done`, `failed`,
    `skipped` of `total` are the phase's after it. `items`: the label of the group that this ends, empty where the
    phase's groups do not run side by side."""

    phase: str
    status: str
    detail: str
    count: int
    done: int
    failed: int
    skipped: int
    total: int
    duration_ms: int
    checkpoint_number: int | None = None
    items: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth a line; it may have several."""

    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that the user should see also when all else is quiet."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Nothing runs until `until_ms` (monotonic; 0: no end is known), because of `why`."""

    phase: str
    until_ms: int
    why: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run stopped: `status` says how; `out_of_date`: completed phases that are older than what they were made
    from."""

    status: str
    out_of_date: tuple[str, ...] = ()


ProgressEvent: TypeAlias = (
    RunBegan
    | PhaseBegan
    | ItemsBegan
    | OutputLine
    | Finished
    | PhaseEnded
    | ItemsEnded
    | Note
    | Warned
    | Waiting
    | RunEnded
)
