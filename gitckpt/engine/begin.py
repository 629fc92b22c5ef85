"""The start of a run, and the user's commands between runs: reopen, skip, reset, name, change `data`.

Owns what each of them records. Must not run anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from gitckpt.engine.agenda import progress_at_tip
from gitckpt.engine.hold import Hold, open_pack, take_snapshot
from gitckpt.engine.land import Landing, land
from gitckpt.engine.left import as_event, left_by_items, left_by_names, left_by_opening, say_left
from gitckpt.engine.listed import STATES, NotListed, open_items
from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.events import Event, PhaseSkipped, Reopened, Reset, RunStarted
from gitckpt.model.items import ItemsReopened, ItemsSkipped, ranges_of
from gitckpt.model.left import with_left
from gitckpt.model.manifest import (
    DONE,
    Manifest,
    PhaseState,
    Status,
    fresh,
    is_complete,
    is_untouched,
    state_of,
)
from gitckpt.model.names import PhaseName, RunId
from gitckpt.model.shard import DONE as DONE_ITEM
from gitckpt.model.shard import FAILED, SKIPPED
from gitckpt.model.text import safe
from gitckpt.model.workflow import dependents, order
from gitckpt.plumbing.content import Content
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.layout import TREE


@dataclass(eq=False)
class ParamsDiffer(GitckptError):
    """A run has its params already; they are the same on every resume."""

    names: tuple[str, ...]

    @property
    def message(self) -> str:
        return f"this run began with other values of {', '.join(self.names)}; they stay the same on every resume"

    @property
    def hint(self) -> str:
        return "leave out --set to resume, or give this run up first: gitckpt reset"


@dataclass(eq=False)
class AlreadyDone(GitckptError):
    """The phase is done; skipping or retrying it means nothing."""

    phase: str
    status: str
    anew: str = ""

    exit_code = ExitCode.USAGE

    @property
    def message(self) -> str:
        return f"{self.phase} is {self.status} already"

    @property
    def hint(self) -> str:
        if self.anew:
            return f"to do it anew: {self.anew}"
        return f"to run it anew, with what needs it: gitckpt run --from {self.phase}"


def ensure_run(hold: Hold, *, again: str, params: Mapping[str, str], given: Iterable[str]) -> bool:
    """Begin a run where there is none, or (`again` is "anew") where the last has completed. Returns whether it did.

    `params` are the resolved values, `given` the names that were set by hand. Raises ParamsDiffer.
    """
    tip = hold.tip
    if tip is not None and tip.manifest.run and not (again == "anew" and is_complete(tip.manifest)):
        require_same_params(tip.manifest, params, given)
        left = as_event(hold, left_by_names(hold))
        if left:
            record(hold, *left)
        return False
    begin_run(hold, params)
    return True


def require_same_params(manifest: Manifest, params: Mapping[str, str], given: Iterable[str]) -> None:
    """The params `given` by hand are those that the run began with, too. Raises ParamsDiffer."""
    differing = tuple(name for name in given if manifest.params.get(name) != params[name])
    if differing:
        raise ParamsDiffer(differing)


def begin_run(hold: Hold, params: Mapping[str, str]) -> Checkpoint:
    """The first checkpoint of a run: the workspace as it stands."""
    now = hold.now()
    run = RunId(f"{hold.clock.now():%Y%m%d-%H%M%S}-{os.urandom(3).hex()}")
    names = order(hold.workflow)
    given = hold.given
    blank = Manifest(
        workflow=hold.name,
        workspace=os.fsdecode(given.prefix),
        objects=given.repository.object_format,
        order=names,
        phases={name: PhaseState() for name in names},
    )
    base = hold.tip.manifest if hold.tip else blank
    manifest = fresh(base, run=run, at=now, order=names)
    manifest = replace(manifest, params=dict(params))
    with open_pack(hold) as pack:
        found = take_snapshot(hold, pack)
        manifest = replace(manifest, source=replace(given.source, dirty=_is_dirty(hold, found.content)))
        event = RunStarted(at=now, manifest=manifest)
        return land(hold, pack, Landing(events=(event,), content=found.content, found=found.content))


def _is_dirty(hold: Hold, content: Content) -> bool | None:
    """Whether the files differ from those of the user's HEAD, byte for byte; None where there is no HEAD yet."""
    reader, head = hold.store.reader, hold.given.source.head
    commit = reader.commit(head) if head else None
    if commit is None:
        return None
    tree = commit.tree
    for part in hold.given.prefix.split(b"/") if hold.given.prefix else ():
        entry = reader.tree(tree).get(part)
        if entry is None or entry.mode != TREE:
            return True
        tree = entry.oid
    return tree != content.files


def record(hold: Hold, *events: Event) -> Checkpoint:
    """A checkpoint of events only: files are those of the tip."""
    content = hold.at_tip.content
    with open_pack(hold) as pack:
        return land(hold, pack, Landing(events=events, content=content, found=content))


Carrying: TypeAlias = Literal["what is as it was", "nothing"]
"""Which of the items that are done carry over to a list that is made anew."""


def reopen(
    hold: Hold, phases: Iterable[PhaseName], reason: str, carrying: Carrying = "what is as it was"
) -> tuple[PhaseName, ...]:
    """Make phases pending again, those that are not; returns which. Files stay."""
    manifest, anew = hold.at_tip.manifest, carrying == "nothing"
    states = {name: state_of(manifest, name) for name in phases}
    names = tuple(name for name, state in states.items() if not is_untouched(state) or (anew and state.items))
    if names:
        # Of items those stay done that carry over to the list made anew: what does not is told then.
        whole = (name for name in names if anew or state_of(manifest, name).items is None)
        event = Reopened(at=hold.now(), phases=names, author=hold.person(), reason=reason, all_items=anew)
        record(hold, event, *as_event(hold, left_by_opening(hold, whole)))
    return names


def reopen_from(hold: Hold, phase: PhaseName, carrying: Carrying = "what is as it was") -> tuple[PhaseName, ...]:
    """`run --from`: the phase and what needs it."""
    chosen = {phase, *dependents(hold.workflow, phase)}
    all_items = " --all-items" if carrying == "nothing" else ""
    names = (name for name in order(hold.workflow) if name in chosen)
    return reopen(hold, names, f"run --from {phase}{all_items}", carrying)


@dataclass(frozen=True, slots=True)
class Retried:
    """A phase that will be tried again; of one with failed items only those `items`, else all of it."""

    phase: PhaseName
    items: int | None = None


def retry(hold: Hold, phase: PhaseName | None) -> tuple[Retried, ...]:
    """Make failed, blocked and skipped phases (or the one named) pending; of one with failed items only those.

    Raises AlreadyDone for a completed one without failed items.
    """
    manifest = hold.at_tip.manifest
    named = [phase] if phase else [n for n in manifest.order if state_of(manifest, n).status in _RETRIED]
    some = [name for name in manifest.order if _failed_items(manifest, name) and phase in (None, name)]
    whole = tuple(n for n in named if n not in some and not is_untouched(state_of(manifest, n)))
    if phase is not None and not some and state_of(manifest, phase).status is Status.COMPLETED:
        raise AlreadyDone(phase, Status.COMPLETED)
    at, author = hold.now(), hold.person()
    events: list[Event] = (
        [Reopened(at=at, phases=whole, author=author, reason="retry", tried_again=True)] if whole else []
    )
    for name in some:
        listed = state_of(manifest, name).items
        assert listed is not None  # some of them failed
        failed = list(progress_at_tip(hold, name).among(frozenset({FAILED}), 0, listed.total))
        ranges, count = ranges_of(failed), len(failed)
        events.append(
            ItemsReopened(
                at=at, phase=name, items=ranges, done=0, failed=count, skipped=0, author=author, reason="retry"
            )
        )
    if events:
        record(hold, *events)
    tried = {name: _failed_items(manifest, name) or None for name in manifest.order if name in (*some, *whole)}
    return tuple(Retried(name, count) for name, count in tried.items())


_RETRIED = frozenset({Status.FAILED, Status.BLOCKED})


def _failed_items(manifest: Manifest, name: PhaseName) -> int:
    items = state_of(manifest, name).items
    return 0 if items is None or items.stale else items.failed


def reopen_item(hold: Hold, name: PhaseName, index: int, reason: str) -> bool:
    """Make one item to be done again, where it or its phase is done or skipped; returns whether it was. Its files
    stay."""
    state = progress_at_tip(hold, name).state(index)
    is_over = state_of(hold.at_tip.manifest, name).status in DONE
    if state not in (DONE_ITEM, SKIPPED) and not (state == FAILED and is_over):
        return False
    event = ItemsReopened(
        at=hold.now(),
        phase=name,
        items=((index, index),),
        done=int(state == DONE_ITEM),
        failed=int(state == FAILED),
        skipped=int(state == SKIPPED),
        author=hold.person(),
        reason=reason,
    )
    left = left_by_items(hold, name, ((index, index),)) if state == DONE_ITEM else ()
    record(hold, event, *as_event(hold, left))
    return True


def skip_items(hold: Hold, name: PhaseName, keys: Sequence[bytes], reason: str) -> Checkpoint:
    """Say that items need not be done. Raises AlreadyDone, NotListed, NoSuchItem."""
    with open_items(hold.store, hold.place, hold.at_tip, name) as listed:
        if listed.items.stale:
            raise NotListed(name)
        found = {listed.find(key): key for key in keys}
        for index, key in found.items():
            state = listed.progress.state(index)
            if state in (DONE_ITEM, SKIPPED):
                raise AlreadyDone(f"{name}: item {safe(key[:200])}", STATES[state], f"gitckpt run --item {safe(key)}")
        failed = sum(listed.progress.state(index) == FAILED for index in found)
    event = ItemsSkipped(
        at=hold.now(),
        phase=name,
        items=ranges_of(sorted(found)),
        count=len(found),
        failed=failed,
        author=hold.person(),
        reason=reason or "by hand",
    )
    return record(hold, event)


def skip(hold: Hold, phase: PhaseName, reason: str, author: str = "") -> Checkpoint:
    """Mark a phase skipped, by the user or the `author` named. Raises AlreadyDone."""
    status = state_of(hold.at_tip.manifest, phase).status
    if status in DONE:
        raise AlreadyDone(phase, status)
    event = PhaseSkipped(at=hold.now(), phase=phase, reason=reason or "by hand", author=author or hold.person())
    return record(hold, event)


def reset(hold: Hold, reason: str) -> Checkpoint:
    """Give the run up; files stay, history stays, the next `run` begins a new one."""
    now, given_up = hold.now(), hold.at_tip.manifest
    manifest = fresh(given_up, run=RunId(""), at=now, order=order(hold.workflow))
    # What a run that is complete did is its result.
    left = () if is_complete(given_up) else left_by_opening(hold, given_up.phases)
    say_left(hold, left)
    manifest = with_left(manifest, left)
    return record(hold, Reset(at=now, manifest=manifest, author=hold.person(), reason=reason))
