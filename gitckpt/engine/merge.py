"""Attempts that ran in views of their own become part of the history: each a commit of its own, merged by a checkpoint.

Owns the merges, and what happens where one cannot be made. Several that come at once share one pack and one move of the
branch. The workspace does not move here: it lags behind until no view needs it (`catch_up`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from gitckpt.engine.arrival import Arrival, as_failure, renumbered, write_own
from gitckpt.engine.exact_times import joined_mtimes
from gitckpt.engine.hold import Hold, let_go, open_pack, with_base
from gitckpt.engine.housekeeping import note_pack
from gitckpt.engine.inflight import InFlight
from gitckpt.engine.mirror import write_mirror
from gitckpt.engine.place import LandingUnderWay
from gitckpt.engine.scanned import content_of
from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.advance import IllegalEvent, advance
from gitckpt.model.events import AttemptCutOff, Event
from gitckpt.model.items import ItemsCompleted
from gitckpt.model.manifest import state_of
from gitckpt.model.merging import MOST_NAMED, Merged, MergeRefused
from gitckpt.model.names import Oid, PhaseName
from gitckpt.model.text import safe
from gitckpt.model.together import Rule
from gitckpt.plumbing.content import Lookup, compare
from gitckpt.plumbing.fresh import Fresh
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.refs import RefUpdate, resolve
from gitckpt.plumbing.three_way import merge
from gitckpt.store import refs
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.mtimes import mtimes_at
from gitckpt.store.publish import Draft, checkpoint_of, publish_all, write_after
from gitckpt.workspace.rules import conflict_rules


@dataclass(eq=False)
class CannotMergeNow(GitckptError):
    """What an attempt has done so far, and what has landed since it began, changed the same paths differently."""

    phase: str
    paths: tuple[str, ...]

    exit_code = ExitCode.CONFLICT

    @property
    def message(self) -> str:
        return f"{self.phase} and what landed since it began changed {', '.join(self.paths[:3])} differently"

    @property
    def hint(self) -> str:
        return "no checkpoint was made; what it does is merged, or asked about, when it ends"


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """A merge checkpoint, or, where it was `refused`, one that says that the attempt failed: the paths that could not
    be joined, and none where what it did to `data` fits no more, or what it began from could not be merged."""

    arrival: Arrival
    checkpoint: Checkpoint
    refused: tuple[str, ...] | None


Chain = tuple[list[tuple[Draft, Oid]], list[Landed], list[RefUpdate]]


def land_arrivals(hold: Hold, pack: Pack, arrivals: Sequence[Arrival], keep: Sequence[Arrival] = ()) -> list[Landed]:
    """Merge the arrivals in this order; those to `keep` get their commits on refs of their own, in the same move of all
    refs. Raises RefMoved when somebody else moved the branch, with nothing changed."""
    return _publish(hold, pack, arrivals, keep, _chain(hold, pack, arrivals))


def _publish(
    hold: Hold, pack: Pack, arrivals: Sequence[Arrival], keep: Sequence[Arrival], chain: Chain
) -> list[Landed]:
    drafts, landed, updates = chain
    for arrival in keep:
        ref = arrival.ref(hold)
        updates.append(RefUpdate(ref, write_own(hold, pack, arrival), resolve(hold.given.repository, ref)))
    tip = hold.at_tip
    views = {each.view: each.own for each in (*arrivals, *keep)}
    noted = tuple(replace(each, own=views.get(each.view, each.own)) for each in hold.record.views)
    to = drafts[-1][1] if drafts else tip.oid
    journal = LandingUnderWay(workflow=hold.name, to=to, before=tip.oid, stays=True, lags=True)
    hold.write_record(replace(hold.record, landing=journal if drafts else None, views=noted))
    made = publish_all(hold.store, pack, tip=tip, drafts=drafts, beside=updates)
    note_pack(hold, pack.name)
    for each in keep:
        each.is_kept = True
    if made:
        hold.base = hold.base or tip
        hold.tip = made[-1]
        let_go(hold)
        hold.write_record(with_base(hold, hold.name, hold.tip))
        write_mirror(hold, hold.tip.manifest)
    return [replace(each, checkpoint=checkpoint) for each, checkpoint in zip(landed, made, strict=True)]


def _chain(hold: Hold, pack: Pack, arrivals: Sequence[Arrival]) -> Chain:
    """The checkpoints to be, one after the other, and the refs that go or come with them."""
    drafts: list[tuple[Draft, Oid]] = []
    landed: list[Landed] = []
    updates: list[RefUpdate] = []
    tip, before = hold.at_tip, None
    mtimes = mtimes_at(hold.store, tip.oid)
    for arrival in arrivals:
        own = tip.oid if arrival.is_plain else write_own(hold, pack, arrival)
        draft, refused = _draft(hold, pack, arrival, (hold.at_tip, *(each.checkpoint for each in landed)), own)
        if refused is not None:
            hold.refused.add(own)
        if not arrival.is_plain and (refused is not None or arrival.attempt is not None):
            updates.append(_kept_as_attempt(hold, arrival, draft, own))
        if arrival.is_kept:
            updates.append(RefUpdate(arrival.ref(hold), None, own))
        mtimes = joined_mtimes(hold, pack, mtimes, arrival.dates if refused is None else {})
        draft = replace(draft, mtimes=mtimes)
        before = write_after(hold.store, pack, draft, before)
        tip = checkpoint_of(draft, before.oid)
        drafts.append((draft, before.oid))
        landed.append(Landed(arrival=arrival, checkpoint=tip, refused=refused))
    return drafts, landed, updates


def _draft(
    hold: Hold, pack: Pack, arrival: Arrival, chain: Sequence[Checkpoint], own: Oid
) -> tuple[Draft, tuple[str, ...] | None]:
    """The checkpoint that merges the arrival into the last of `chain`: the tip, and what lands with it before this one.
    Or the one that says that it cannot be, and why."""
    tip = chain[-1]
    if hold.refused.intersection(arrival.needs):
        return _stranded(hold, arrival, tip), ()
    merged = merge(
        hold.given.repository,
        hold.store.reader,
        pack,
        base=arrival.start.content,
        ours=tip.content,
        theirs=arrival.content,
        rule_of=rule_of(hold),
    )
    number = state_of(tip.manifest, arrival.phase).attempts + 1
    events, content = renumbered(arrival.events, number), merged.content
    parents: tuple[Oid, ...] = (tip.oid,)
    refused: tuple[str, ...] | None = None
    if not arrival.is_plain and content is not None:
        settled = tuple(safe(path) for path in merged.settled[:MOST_NAMED])
        done = Merged(at=hold.now(), phase=arrival.phase, own=own, start=arrival.start.oid, settled=settled)
        events, parents = (*events, done), (tip.oid, own)
    misfit = None if content is None else _misfit(tip, events)
    if content is None:
        refused = tuple(safe(clash.path) for clash in merged.clashes)
        against = _who_changed(hold, pack, arrival, frozenset(clash.path for clash in merged.clashes), chain)
        events = _clashed(hold, arrival, number, own, refused, against)
    elif misfit is not None:
        events, parents, content, refused = as_failure(arrival, number, misfit), (tip.oid,), None, ()
    draft = Draft(
        parents=parents,
        content=content or tip.content,
        manifest=advance(tip.manifest, events),
        events=events,
        # That today's is another one is an event of its own, which is not to be missed for this.
        definition=arrival.definition or hold.given.definition,
        outputs=arrival.outputs,
        author=hold.signature(),
        committer=hold.signature(),
    )
    return draft, refused


def _stranded(hold: Hold, arrival: Arrival, tip: Checkpoint) -> Draft:
    """What it began from could not be merged: it is kept, and done again when somebody has decided about that."""
    number = state_of(tip.manifest, arrival.phase).attempts + 1
    event = AttemptCutOff(at=hold.now(), phase=arrival.phase, attempt=number, reason="interrupted")
    return Draft(
        parents=(tip.oid,),
        content=tip.content,
        manifest=advance(tip.manifest, (event,)),
        events=(event,),
        definition=arrival.definition or hold.given.definition,
        outputs=arrival.outputs,
        author=hold.signature(),
        committer=hold.signature(),
    )


def _misfit(tip: Checkpoint, events: tuple[Event, ...]) -> str | None:
    """Why the events cannot follow `tip`; None where they can."""
    try:
        advance(tip.manifest, events)
    except IllegalEvent as error:
        return f"it does not fit what ended before it: {error}"
    return None


def _clashed(
    hold: Hold, arrival: Arrival, number: int, own: Oid, paths: tuple[str, ...], against: tuple[str, ...]
) -> tuple[Event, ...]:
    """What it means that these paths could not be joined. Of an attempt that failed nobody has to decide anything."""
    why = f"it and {', '.join(against) or 'what came before'} changed {paths[0]} differently"
    why += f" (and {len(paths) - 1:,} more)" if len(paths) > 1 else ""
    failed = as_failure(arrival, number, why)
    if arrival.attempt is not None:
        return failed
    refused = MergeRefused(
        at=hold.now(), phase=arrival.phase, own=own, paths=paths[:MOST_NAMED], count=len(paths), against=against
    )
    return (*failed, refused)


def rule_of(hold: Hold) -> Callable[[bytes], Rule]:
    """What the workflow says about paths that two sides changed."""
    return conflict_rules(hold.workflow.merge)


def _kept_as_attempt(hold: Hold, arrival: Arrival, draft: Draft, own: Oid) -> RefUpdate:
    number = state_of(draft.manifest, arrival.phase).attempts
    ref = refs.attempt(hold.name, arrival.phase, number)
    return RefUpdate(ref, own, resolve(hold.given.repository, ref))


def _who_changed(
    hold: Hold, pack: Pack, arrival: Arrival, paths: frozenset[bytes], chain: Sequence[Checkpoint]
) -> tuple[str, ...]:
    """What changed the paths since the arrival's start: phases by name, other items of its own by theirs, edits as
    `you`; newest first. `chain`: the tip, and what is to land after it."""
    start = arrival.start
    # What lands at once is in a pack that is not finished yet.
    reader, found = Fresh(hold.store.reader, pack), dict[str, None]()
    known = Lookup(reader, start.content)
    for checkpoint, before in _backwards(hold, chain):
        if checkpoint.oid == start.oid or checkpoint.number < start.number:
            break
        changes = compare(reader, before.content, checkpoint.content)
        # What it began from may have what landed since: that of a phase that it needs.
        changed = (change.path for change in changes if change.new != known.item(change.path))
        if any(path in paths or _related(path, paths) for path in changed):
            found[_named(checkpoint, arrival.phase)] = None
    return tuple(found)


def _named(checkpoint: Checkpoint, clashing: PhaseName) -> str:
    title = checkpoint.title
    items = next((event.detail for event in checkpoint.events if isinstance(event, ItemsCompleted)), "")
    if items and title.phase == clashing:
        return f"{items} of {clashing}"
    return "you" if title.kind == "edit" else title.phase or title.kind


def _backwards(hold: Hold, chain: Sequence[Checkpoint]) -> Iterator[tuple[Checkpoint, Checkpoint]]:
    """Each checkpoint with the one before it, the newest first."""
    for before, checkpoint in reversed(tuple(pairwise(chain))):
        yield checkpoint, before
    for before, checkpoint in pairwise(hold.store.read(oid) for oid in hold.store.ids(hold.at_tip.oid)):
        yield before, checkpoint


def _related(path: bytes, paths: frozenset[bytes]) -> bool:
    return any(path.startswith(each + b"/") or each.startswith(path + b"/") for each in paths)


def land_so_far(hold: Hold, flight: InFlight, events: tuple[Event, ...]) -> Checkpoint:
    """What an attempt under way in a view has done so far, as a checkpoint; it goes on from there. Raises
    CannotMergeNow."""
    assert flight.view is not None  # what runs in the workspace itself lands without a merge
    with open_pack(hold) as pack:
        content, _ = content_of(hold, pack, flight)
        arrival = Arrival(
            under_way=flight.under_way,
            view="",
            first=flight.flying.first,
            start=flight.start,
            content=content,
            events=events,
        )
        chain = _chain(hold, pack, (arrival,))
        refused = chain[1][0].refused
        if refused is not None:
            raise CannotMergeNow(flight.phase.name, refused)
        made = _publish(hold, pack, (arrival,), (), chain)[0].checkpoint
    assert arrival.own is not None  # the chain wrote it
    flight.start = hold.store.read(arrival.own)
    views = hold.record.views
    noted = tuple(replace(each, since=arrival.own) if each.view == flight.name else each for each in views)
    hold.write_record(replace(hold.record, views=noted))
    return made
