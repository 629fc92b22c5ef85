"""What `decide` is told about now, and the steps that it answers with.

Owns these values alone. Must not know how a decision is made, or where the moment comes from. All times are integer
ms of a monotonic clock, but for `wall`, which is ISO 8601 with offset.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, TypeAlias

from gitckpt.model.names import PhaseName
from gitckpt.model.schedule import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The flags of `run` that bound it. `only` and `until` name phases, `item` is an index into the list of `only`;
    `step` stops after one phase; `keep_going`: after a failure the phases that do not need the failed one go on;
    `fail_fast`: after one what still runs is ended, None: as the workflow says."""

    only: PhaseName | None = None
    until: PhaseName | None = None
    item: int | None = None
    step: bool = False
    keep_going: bool = False
    fail_fast: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What this call of `run` has tried of a phase, or of the items under way in it. `ready_ms`: when it is tried
    next, None: no more tries."""

    count: int
    ready_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Items that are tried together: those from `first` to `last` that are still to be done, `count` of them.

    `failed` of them failed before. `units`: of how many processes, each an item or a batch. `late`: an earlier call
    gave them up, and nothing but such items is left.
    """

    first: int
    last: int
    count: int
    units: int
    failed: int = 0
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What is next of a phase's items: a group, None where this call has tried all it may. `rest`: more follow.

    `given_up`: how many failed in this call and are not tried again by it. `flying`: how many are under way now, or
    wait to be merged; `aloft`, `batches_aloft`: what is under way, which no budget counts yet; `ready_ms`: when the
    next one may be tried again, where nothing else is left.
    """

    group: Group | None = None
    rest: bool = False
    given_up: int = 0
    flying: int = 0
    aloft: int = 0
    batches_aloft: int = 0
    ready_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What this call has done of a phase's budget; `began_ms` is when it first began one of its items."""

    began_ms: int
    items: int = 0
    batches: int = 0


@dataclass(frozen=True, slots=True)
class Owed:
    """A completion that is to be compensated: of which phase, in the checkpoint of which number."""

    phase: PhaseName
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Everything about now that a decision needs. `landed` counts phases ended by this call.

    `offers` are there for every phase with a list of items. `arrived`: this call reached a goal that was not to
    finish, and does no more. `owed`: the newest completion that the goal is to compensate, or, where it is to finish,
    the newest of this run; asked where it matters only, for the history is read for it. `plan`: what may
    run beside what, None for one after another; `totals`: how much there is of each resource; `held`: the concurrency
    groups that other runs have, and who they are. `unsettled`: phases that succeeded, but cannot be joined with what is
    there so far: whether they are done is known when their turn comes.
    """

    now_ms: int = 0
    wall: str = ""
    stop: Literal["interrupt", "terminate"] | None = None
    paused: str | None = None
    landed: int = 0
    tried: Mapping[PhaseName, Tried] = field(default_factory=dict)
    offers: Mapping[PhaseName, Offer] = field(default_factory=dict)
    spent: Mapping[PhaseName, Spent] = field(default_factory=dict)
    until_ms: int | None = None
    arrived: Stop | None = None
    owed: Callable[[], Owed | None] = field(default=lambda: None)
    plan: Plan | None = None
    totals: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)
    unsettled: frozenset[PhaseName] = frozenset()
    limits: Limits = field(default_factory=Limits)


class Verdict(Enum):
    """Why a run stops."""

    COMPLETE = "complete"
    FAILED = "failed"
    BLOCKED = "blocked"
    WAITING = "waiting"
    CONFLICT = "conflict"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class Whole:
    """All that a phase without items does."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Freeze the list of a phase's items."""


@dataclass(frozen=True, slots=True)
class Some:
    """Do a group of items; `closes`: when they succeed the phase is completed."""

    group: Group
    closes: bool


@dataclass(frozen=True, slots=True)
class Closing:
    """Complete a phase whose items are all done, or failed within what is tolerated."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Open a gate."""


@dataclass(frozen=True, slots=True)
class Expiring:
    """Answer a gate whose time-out has passed."""


@dataclass(frozen=True, slots=True)
class Compensating:
    """Undo what a phase did outside in the checkpoint of that number; of one with items, the last item or batch."""

    number: int


Work: TypeAlias = Whole | Listing | Some | Closing | Asking | Expiring | Compensating


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """Start an attempt of this phase, at this part of its work."""

    phase: PhaseName
    reason: str
    work: Work = Whole()


@dataclass(frozen=True, slots=True, kw_only=True)
class Await:
    """Wait for what runs, for a request, or until a monotonic ms."""

    until_ms: int | None
    reason: str
    phase: PhaseName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """Go back: from the failure of `phase` to the phase `to`, or to compensation; or a goal other than to finish
    has been worked off, and the run arrives there."""

    way: Literal["goto", "compensate", "arrive"]
    reason: str
    phase: PhaseName | None = None
    to: PhaseName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Nothing more is to be done by this call. `phases`: the ones the verdict is about."""

    verdict: Verdict
    reason: str
    phases: tuple[PhaseName, ...] = ()


Step: TypeAlias = Begin | Await | Return | Stop
