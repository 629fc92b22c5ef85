"""The manifest: where a workflow stands, as one value. It is the truth of every checkpoint (`state.json`).

Owns the statuses, the manifest and the questions one can ask of it. Must not know how it is stored, and reads no clock.
A field marked `volatile` may differ between a run that was cut off and one that was not (law 2 of the product).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from gitckpt.model.names import Oid, PhaseName, RunId, WorkflowName
from gitckpt.model.text import safe

SCHEMA = 1
"""The version of the stored format that this program writes."""

if TYPE_CHECKING:
    Json: TypeAlias = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
else:
    Json = Any  # msgspec cannot read an alias that names itself

INIT = "INIT"
COMPLETE = "COMPLETE"


def _volatile(default: Any) -> Any:
    return field(default=default, metadata={"volatile": True})


def later(default: Any = None, *, volatile: bool = False) -> Any:
    """A field that came after the first histories: it is not stored where it has its default, as it is not there."""
    metadata = {"later": True, "volatile": volatile}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


class Status(StrEnum):
    """A phase's status. The branch never says `running`; only the live mirror does."""

    PENDING = "pending"
    WAITING = "waiting"
    RUNNING = "running"
    BLOCKED = "blocked"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    COMPENSATED = "compensated"


DONE = frozenset({Status.COMPLETED, Status.SKIPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncaptured:
    """What a phase changed that git ignores and no checkpoint holds. `size` in bytes; `paths` at most twenty."""

    paths: tuple[str, ...] = ()
    count: int = 0
    size: int = 0

    @property
    def include(self) -> str:
        """The line for the workflow file that captures them: the folders they are in, or the files at the top."""
        places = dict.fromkeys(f"{path.split('/', 1)[0]}/" if "/" in path else path for path in self.paths)
        quoted = ", ".join(f'"{safe(place)}"' for place in list(places)[:3])
        return f"workspace: {{include: [{quoted}]}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """How far a phase is with its items: counts only, whatever their number. Which ones is in the checkpoint's shards.

    `list` is the blob of the frozen list, `batch` the size frozen with it, `definition` what they were done with.
    `failed` counts items whose last try failed. A `stale` list is made anew before anything else. `numbers`: the blob
    that says which number each item has in this run, None where that is its position; `next`: the first number that no
    item has had, 0 for `total`; `batches`: how many batches had a number before those of this list.
    """

    list: str
    total: int
    definition: str
    done: int = 0
    failed: int = 0
    skipped: int = 0
    batch: int | None = None
    stale: bool = False
    numbers: str | None = later()
    next: int = later(0)
    batches: int = later(0)

    @property
    def next_number(self) -> int:
        """The number of the next item that none had before."""
        return self.next or self.total

    @property
    def next_batch(self) -> int:
        """How many batches have had a number, with those of this list."""
        return self.batches + (-(-self.total // self.batch) if self.batch else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Changes that cannot be joined without a decision: of the attempt whose commit is `own`, or (None) the user's own,
    kept as the `rescue` of that number. `paths`: at most twenty; `against`: what had changed them before."""

    paths: tuple[str, ...]
    count: int
    own: Oid | None = None
    attempt: int = 0
    rescue: int = 0
    against: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseState:
    """One phase. Durations are integer ms of a monotonic clock, times ISO 8601 with offset.

    `answers` are a gate's; `gotos` counts how often its failure went back; `landed` is the number of the checkpoint
    with its newest completion (of itself, or of items), by which compensations are ordered; `expires` ends a gate;
    `conflict`: the newest attempt succeeded, and could not be merged. `mark` tells one completion of the phase from
    every other; `made_from`: the marks of what it needs as they were when it began, empty for what was not completed
    (of a phase with items, when its list was made); `left`: the newest list of this run, where a way back left it, so
    that no other item gets the numbers that it gave; `gone`: numbers of the edits that removed some of its outs.
    """

    status: Status = Status.PENDING
    generation: int = 0
    exit_code: int | None = None
    definition: str | None = None
    partial: bool = False
    items: Items | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    gotos: int = 0
    attempts: int = _volatile(0)
    landed: int = _volatile(0)
    expires: str | None = _volatile(None)
    cut_offs: int = _volatile(0)
    started: str | None = _volatile(None)
    completed: str | None = _volatile(None)
    duration_ms: int | None = _volatile(None)
    previous_duration_ms: int | None = _volatile(None)
    detail: str | None = _volatile(None)
    uncaptured: Uncaptured | None = _volatile(None)
    conflict: Conflict | None = _volatile(None)
    left: Items | None = later()
    mark: str | None = later(volatile=True)
    made_from: Mapping[PhaseName, str] = later({}, volatile=True)
    gone: tuple[int, ...] = later((), volatile=True)
    unknown: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What the run works towards: to `finish`; to `reach` a checkpoint (a rollback that has work to do); or to
    `compensate` what a failure left done. `after`: the number of the checkpoint after which all is compensated;
    `keep_edits`: the user's edits since are applied on top of the one that is reached."""

    kind: Literal["finish", "reach", "compensate"] = "finish"
    checkpoint: Oid | None = None
    after: int = 0
    keep_edits: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a phase did outside the workspace, and what was left behind of it: the completions in the checkpoints with
    the numbers `first` to `last` that were not compensated, `count` of them (a phase without items has one, else each
    item is one). `items`: only these of the list of then, where others of that checkpoint still stand."""

    phase: PhaseName
    first: int
    last: int
    count: int
    items: tuple[tuple[int, int], ...] = ()

    @property
    def words(self) -> str:
        """For people: `book (0003)`, `load (12, 0004..0015)`."""
        at = f"{self.first:04d}" if self.first == self.last else f"{self.first:04d}..{self.last:04d}"
        return f"{safe(self.phase)} ({at})" if self.count == 1 else f"{safe(self.phase)} ({self.count:,}, {at})"


def left_words(left: Sequence[Left]) -> str:
    """The first ten for people, and how many more there are."""
    more = f" and {len(left) - 10:,} more" if len(left) > 10 else ""
    return ", ".join(each.words for each in left[:10]) + more


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The user's own HEAD when the run began, whether the files then differed from it (`dirty`), and who began the
    run, by git's `user.email`."""

    head: Oid | None = None
    branch: str | None = None
    dirty: bool | None = None
    author: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything a resume needs. `workspace` is the workspace's folder in the repository, empty at its top; `clash`:
    the user's edits and a phase's changes wait for a decision. `outside`: the phases with something left behind
    outside the workspace; `left_behind`: what that is, where it was made by a version that can tell."""

    schema: int = SCHEMA
    workflow: WorkflowName
    workspace: str = ""
    objects: str = "sha1"
    goal: Goal = field(default_factory=Goal)
    order: tuple[PhaseName, ...]
    params: Mapping[str, str] = field(default_factory=dict)
    phases: Mapping[PhaseName, PhaseState]
    data: Mapping[str, Json] = field(default_factory=dict)
    outside: tuple[PhaseName, ...] = ()
    current_state: str = INIT
    left_behind: tuple[Left, ...] = later((), volatile=True)
    clash: Conflict | None = _volatile(None)
    run: RunId = _volatile("")
    sequence: int = _volatile(0)
    started_at: str = _volatile("")
    updated_at: str = _volatile("")
    source: Source = field(default_factory=Source, metadata={"volatile": True})
    unknown: Mapping[str, Json] = field(default_factory=dict)


def volatile_keys(kind: type[Manifest] | type[PhaseState]) -> frozenset[str]:
    """Names of the fields that law 2 leaves out of a comparison."""
    return frozenset(f.name for f in fields(kind) if f.metadata.get("volatile"))


def state_of(manifest: Manifest, phase: PhaseName) -> PhaseState:
    """A phase the manifest has not heard of yet is pending."""
    return manifest.phases.get(phase, PhaseState())


def is_complete(manifest: Manifest) -> bool:
    """Every phase is completed or skipped."""
    return all(state_of(manifest, name).status in DONE for name in manifest.order)


def reopened(state: PhaseState, rise: int = 1) -> PhaseState:
    """The phase as it is before a run of it: pending, with what must never fall, and its items to be listed anew.

    `rise` is 0 where the same work is only tried again, so that its idempotency key stays.
    """
    return PhaseState(
        generation=state.generation + rise,
        attempts=state.attempts,
        gotos=state.gotos,
        items=None if state.items is None else replace(state.items, stale=True),
        previous_duration_ms=state.duration_ms or state.previous_duration_ms,
        left=state.left,
        unknown=state.unknown,
    )


def without_items(state: PhaseState) -> PhaseState:
    """The phase as it is before its list of items is made, none of which counts as done; their numbers are kept."""
    return replace(state, items=None, left=newest_list(state))


def newest_list(state: PhaseState) -> Items | None:
    """The list that gave the newest numbers, as one that nothing is done of."""
    newest = max((each for each in (state.left, state.items) if each), key=_given, default=None)
    return newest and replace(newest, done=0, failed=0, skipped=0, stale=True)


def _given(items: Items) -> tuple[int, int]:
    return (items.next_number, items.next_batch)


def is_untouched(state: PhaseState) -> bool:
    """Whether reopening the phase would change nothing that counts."""
    return state == replace(
        PhaseState(),
        generation=state.generation,
        attempts=state.attempts,
        gotos=state.gotos,
        items=state.items if state.items is None or state.items.stale else None,
        previous_duration_ms=state.previous_duration_ms,
        left=state.left,
        unknown=state.unknown,
    )


def with_current_state(manifest: Manifest) -> Manifest:
    """Set `current_state`: INIT before anything ran, COMPLETE at the end, else the first phase not done."""
    states = [state_of(manifest, name) for name in manifest.order]
    todo = [name for name, state in zip(manifest.order, states, strict=True) if state.status not in DONE]
    if not todo:
        current: str = COMPLETE
    elif all(state.status is Status.PENDING and not (state.items and state.items.done) for state in states):
        current = INIT
    else:
        current = todo[0]
    return replace(manifest, current_state=current)


def fresh(manifest: Manifest, *, run: RunId, at: str, order: tuple[PhaseName, ...]) -> Manifest:
    """The manifest of a new run after `manifest`: all pending, `data` empty, numbers that never fall and what was left
    behind outside kept."""

    def anew(state: PhaseState) -> PhaseState:
        return PhaseState(
            # Items may be done of one that is pending: a way back into the run before must not give their keys again.
            generation=state.generation + (not is_untouched(state)),
            attempts=state.attempts,
            previous_duration_ms=state.duration_ms or state.previous_duration_ms,
            unknown=state.unknown,
        )

    names = (*order, *(name for name in manifest.phases if name not in order))
    return with_current_state(
        replace(
            manifest,
            run=run,
            order=order,
            started_at=at,
            goal=Goal(),
            data={},
            phases={name: anew(state_of(manifest, name)) for name in names},
        )
    )


def rewound(current: Manifest, target: Manifest) -> Manifest:
    """The manifest that a rollback from `current` to `target` sets: the target's, with what may never fall kept.

    Attempt numbers are never used again, and the generation of a phase that was done since is raised.
    """

    def one(name: PhaseName) -> PhaseState:
        now, then = state_of(current, name), state_of(target, name)
        same = (now.status, now.completed, now.landed) == (then.status, then.completed, then.landed)
        if now.items and then.items and now.status not in DONE and then.status not in DONE:
            same = (now.items.list, now.items.done, now.landed) == (then.items.list, then.items.done, then.landed)
        undone = not is_untouched(now) and not same
        return replace(
            then,
            attempts=max(now.attempts, then.attempts),
            generation=max(now.generation, then.generation) + undone,
            previous_duration_ms=now.duration_ms or now.previous_duration_ms or then.previous_duration_ms,
            left=_left_behind(now, then) if current.run == target.run else then.left,
        )

    names = dict.fromkeys((*target.phases, *current.phases))
    return replace(
        target,
        # In the middle of an earlier way back that one is over: it is not gone again.
        goal=Goal(),
        phases={name: one(name) for name in names},
        sequence=current.sequence,
        source=current.source,
        unknown={**target.unknown, **current.unknown},
    )


def _left_behind(now: PhaseState, then: PhaseState) -> Items | None:
    """The newest list of a run, where going back from `now` leaves it behind."""
    newest, known = newest_list(now), newest_list(then)
    return then.left if newest is None or newest == known else newest
