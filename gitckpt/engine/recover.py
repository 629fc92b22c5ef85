"""After a run that died with attempts in views of their own: what had succeeded is merged, what was under way is set
aside, and the workspace catches up. `settle` calls it; nothing else handles a crash.

A run that goes on lets what had succeeded wait for its turn, as the run before it did; all other commands merge it at
once. Owns which of these an attempt is. Must not run anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Literal, TypeAlias

from gitckpt.engine.arrival import Arrival
from gitckpt.engine.capturing import secret_values, shown_uncaptured, uncaptured_words
from gitckpt.engine.catch_up import catch_up
from gitckpt.engine.hold import Hold, moving_refs, open_pack, say_once
from gitckpt.engine.land import Beside, Landing, land
from gitckpt.engine.merge import land_arrivals
from gitckpt.engine.oversize import move_oversize_view
from gitckpt.engine.place import AttemptUnderWay, Desk, ViewUnderWay
from gitckpt.engine.touches import note_dates
from gitckpt.engine.views import forget_view, remove_views, scan_dead
from gitckpt.errors import GitckptError
from gitckpt.execute.heartbeat import never_started
from gitckpt.execute.leftovers import end_leftovers
from gitckpt.execute.output import capped
from gitckpt.model.graph import phase_named
from gitckpt.model.manifest import DONE, state_of
from gitckpt.model.names import Oid, PhaseName
from gitckpt.model.outcome import Attempt, CutOff, judge
from gitckpt.model.schedule import Plan
from gitckpt.model.workflow import secrets
from gitckpt.plumbing.amend import amend
from gitckpt.plumbing.refs import RefUpdate, list_refs, transact
from gitckpt.progress.events import Note, Warned
from gitckpt.store import refs
from gitckpt.store.checkpoint import Checkpoint

Finished: TypeAlias = Literal["merge", "wait"]
"""What becomes of what had succeeded and was not merged: merged at once, or it waits for its turn in this run."""


def is_due(hold: Hold) -> bool:
    """Whether there may be something to recover; also what another worktree's run left."""
    if hold.record.views or hold.base is not None or hold.place.views.is_dir():
        return True
    return bool(list_refs(hold.given.repository, refs.finished(hold.name)))


def end_views(hold: Hold) -> None:
    """End what attempts in views left running."""
    for view in hold.record.views:
        folder = hold.place.views / view.view
        if folder.is_dir():
            end_leftovers(folder, say=lambda text: hold.reporter(Note(text)))


def recover(hold: Hold, finished: Finished) -> None:
    """After it nothing is under way, the workspace is not behind, and nothing is merged in between: what is `finished`
    has been, or waits in views that `waiting` knows."""
    found, rescued = _finished(hold)
    wait = [each for each in found if each.view] if finished == "wait" and _goes_on_as_it_was(hold) else []
    _merge(hold, [each for each in found if each not in wait])
    merged = _merged_since(hold, hold.record.views)
    kept = frozenset(hold.store.attempt_commits()) if any(view.own for view in hold.record.views) else frozenset()
    still_used = {each.view for each in wait}
    cut_off = set[PhaseName]()
    for view in hold.record.views:
        if view.view in still_used:
            continue
        if view.own is None and never_started(hold.place.views / view.view, view.under_way.boot):
            forget_view(hold, view.view)  # nothing of it ever ran
        elif view.own is None or view.own not in merged | kept | rescued:
            _set_aside(hold, view, beside=view.under_way.phase in cut_off)
            cut_off.add(view.under_way.phase)
        elif view.own not in merged:
            forget_view(hold, view.view)  # it could not be merged: what no checkpoint holds of it is not wanted, either
    catch_up(hold, still_used)
    if hold.place.views.is_dir():
        # A kill between making a folder and noting it leaves one that nobody names.
        remove_views(hold, [path.name for path in hold.place.views.iterdir() if path.name not in still_used])


def waiting(hold: Hold) -> list[Arrival]:
    """What had succeeded in a run that died, and waits for its turn in the one that goes on."""
    return _finished(hold)[0] if any(view.own for view in hold.record.views) else []


def _goes_on_as_it_was(hold: Hold) -> bool:
    """Whether what is merged later means the same as what is merged now."""
    tip = hold.at_tip
    return tip.manifest.goal.kind == "finish" and hold.store.definition(tip.oid) == hold.given.definition


def _finished(hold: Hold) -> tuple[list[Arrival], frozenset[Oid]]:
    """What waits for its turn, in order. What cannot be part of this run any more is kept as a rescue, and named."""
    start = refs.finished(hold.name)
    found = list_refs(hold.given.repository, start)
    views = {view.own: view for view in hold.record.views if view.own is not None}
    arrivals, rescued = list[Arrival](), set[Oid]()
    for ref, oid in sorted(found.items()):
        arrival = _arrival(hold, ref.removeprefix(start), oid, views.get(oid))
        if arrival is None:
            _rescue(hold, ref, oid)
            rescued.add(oid)
        else:
            arrivals.append(arrival)
    hold.refused |= _never_merged(hold, arrivals)
    plan = Plan.of(hold.workflow, jobs=1)
    arrivals.sort(key=lambda each: (plan.rank(each.phase), each.first is None, each.first or 0))
    return arrivals, frozenset(rescued)


def _merge(hold: Hold, arrivals: Sequence[Arrival]) -> None:
    for arrival in arrivals:
        with open_pack(hold) as pack:
            landed = land_arrivals(hold, pack, (arrival,))[0]
        if landed.refused is None:
            hold.reporter(Note(f"{arrival.phase} had succeeded before the run died: {landed.checkpoint.number:04d}"))


def _arrival(hold: Hold, label: str, oid: Oid, view: ViewUnderWay | None) -> Arrival | None:
    """`label`: the end of its ref; that of items has the index of the first one. There is no view where it ran in
    another worktree."""
    try:
        own = hold.store.read(oid)
        start = hold.store.read(own.parents[0])
    except GitckptError:
        return None
    name = next((getattr(event, "phase", None) for event in own.events if getattr(event, "phase", None)), None)
    phase = phase_named(hold.workflow, PhaseName(name)) if name else None
    manifest = hold.at_tip.manifest
    if phase is None or own.manifest.run != manifest.run or state_of(manifest, phase.name).status in DONE:
        return None
    under_way = AttemptUnderWay(workflow=hold.name, phase=phase.name, number=0, started=hold.now())
    output = hold.store.output(oid, phase.name)
    return Arrival(
        under_way=view.under_way if view else under_way,
        view=view.view if view else "",
        first=int(label.removeprefix(f"{phase.name}.")) if label != phase.name else None,
        start=start,
        content=own.content,
        events=own.events,
        outputs={phase.name: output} if output is not None else {},
        own=oid,
        is_kept=True,
        definition=hold.store.definition(hold.at_tip.oid),
    )


def _never_merged(hold: Hold, arrivals: Sequence[Arrival]) -> set[Oid]:
    """What arrivals began from, and that had failed to be merged before the run died. A start that is a checkpoint of
    the branch is made of nothing else."""
    ids = hold.store.ids()
    for arrival in arrivals:
        arrival.needs = () if arrival.start.oid in ids else arrival.start.parents[1:]
    needed = {oid for arrival in arrivals for oid in arrival.needs}
    if not needed:
        return set()
    first = min(arrival.start.number for arrival in arrivals) - 1
    merged = _second_parents(hold, first)
    return needed - merged - {arrival.own for arrival in arrivals if arrival.own is not None}


def _rescue(hold: Hold, ref: str, oid: Oid) -> None:
    number = max(hold.store.rescues(), default=0) + 1
    kept = f"{refs.rescues(hold.name)}{number}"
    with moving_refs(hold):
        transact(hold.given.repository, [RefUpdate(kept, oid, None), RefUpdate(ref, None, oid)], "gitckpt: rescue")
    hold.reporter(Note(f"what had succeeded in a run that is over is kept: gitckpt diff rescue@{number}"))


def _merged_since(hold: Hold, views: Sequence[ViewUnderWay]) -> frozenset[Oid]:
    """The commits that were merged since the first of these views began. The workspace may have caught up already."""
    if not any(view.own for view in views):
        return frozenset()
    return _second_parents(hold, min(_read(hold, view.start).manifest.sequence for view in views))


def _second_parents(hold: Hold, first: int) -> frozenset[Oid]:
    """What was merged by the checkpoints from number `first` on."""
    found: set[Oid] = set()
    for number, oid in zip(count(hold.at_tip.number, -1), hold.store.ids(), strict=False):
        if number < first:
            break
        commit = hold.store.reader.commit(oid)
        found.update(Oid(parent) for parent in commit.parents[1:]) if commit else None
    return frozenset(found)


def _set_aside(hold: Hold, view: ViewUnderWay, *, beside: bool) -> None:
    """Keep what an attempt that never ended left in its view, as any other attempt that was cut off."""
    name = view.under_way.phase
    state = state_of(hold.at_tip.manifest, name)
    if state.status in DONE or name not in hold.at_tip.manifest.phases:
        return
    phase = phase_named(hold.workflow, name)
    partial = phase is not None and phase.keep_partial
    number = max(view.under_way.number, state.attempts + 1)
    attempt = Attempt(phase=name, number=number, started=view.under_way.started)
    cut_off = CutOff(attempt=attempt, at=hold.now(), reason="died", partial=partial, beside=beside)
    if view.kind == "overlay" and not partial:
        move_oversize_view(hold, hold.place.views / view.view, name, number)
    below = _read(hold, view.start)
    start = below if view.since is None else _read(hold, view.since)
    outputs = {name: _output(hold, view)}
    with open_pack(hold) as pack:
        scan = scan_dead(hold, view, pack, below.content)
        say_once(hold, scan)
        note_dates(hold, hold.place.views / view.view, scan)
        uncaptured = shown_uncaptured(scan.uncaptured)
        events = judge(hold.at_tip.manifest, replace(cut_off, uncaptured=uncaptured))
        content = amend(hold.store.reader, pack, below.content, scan.changes)
        if partial:
            arrival = Arrival(
                under_way=replace(view.under_way, number=number),
                view=view.view,
                first=view.first,
                start=start,
                content=content,
                events=events,
                outputs=outputs,
                attempt=number,
                definition=hold.store.definition(hold.at_tip.oid),
            )
            if land_arrivals(hold, pack, (arrival,))[0].refused is not None:
                forget_view(hold, view.view)
        else:
            ref = refs.attempt(hold.name, name, number)
            tip = hold.at_tip.content
            landing = Landing(
                events=events,
                content=tip,
                found=tip,
                outputs=outputs,
                beside=Beside(ref=ref, content=content, events=events, outputs=outputs, start=start, dates=scan.times),
                definition=hold.store.definition(hold.at_tip.oid),
                ends_view=view.view,
            )
            land(hold, pack, landing)
    files = f"{len(scan.changes):,} path{'' if len(scan.changes) == 1 else 's'}"
    hold.reporter(Note(f"{name}@{number} was cut off; what it left ({files}) is kept: gitckpt diff {name}@{number}"))
    if uncaptured is not None:
        hold.reporter(Warned(uncaptured_words(name, uncaptured)))


def _read(hold: Hold, start: Oid) -> Checkpoint:
    """What the attempt began from, or did so far; where that is lost, what the workspace is at."""
    try:
        return hold.store.read(start)
    except GitckptError:
        return hold.base or hold.at_tip


def _output(hold: Hold, view: ViewUnderWay) -> bytes:
    """What it printed; withheld when a declared secret is not set now, for then it cannot be masked."""
    unset = [name for name in secrets(hold.workflow) if not hold.given.environment.get(name)]
    if unset:
        return f"[output withheld: the secret {unset[0]} is not set now, so it cannot be masked]\n".encode()
    desk = Desk(hold.place.views / view.view)
    try:
        return capped(desk.output, secrets=secret_values(hold.workflow, hold.given.environment))
    except FileNotFoundError:
        return b""  # somebody removed the view
