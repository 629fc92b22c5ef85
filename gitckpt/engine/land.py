"""`land`: the only place where a checkpoint is published and the workspace moves.

Owns the order of effects: write the commit, journal where the workspace must go, publish, go there, move the base.
A kill between any two of them is mended by `finish_landing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gitckpt.engine.dating import NEW, Dating, border_ns, keep_dates, put_dates_back, put_links_back
from gitckpt.engine.exact_times import joined_mtimes, scanned_mtimes, set_mtimes, taken_over
from gitckpt.engine.go import Move, go
from gitckpt.engine.healing import secure
from gitckpt.engine.hold import Hold, let_go, make_durable, open_pack, take_snapshot, with_base
from gitckpt.engine.housekeeping import note_pack
from gitckpt.engine.kept import forget_records
from gitckpt.engine.mirror import write_mirror
from gitckpt.engine.place import LandingUnderWay, Record
from gitckpt.engine.removals import with_removals
from gitckpt.model.advance import advance
from gitckpt.model.events import CUT_OFF, Concluded, Event
from gitckpt.model.manifest import Manifest
from gitckpt.model.names import Oid, PhaseName
from gitckpt.plumbing.content import Content
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Signature
from gitckpt.plumbing.refs import RefUpdate, resolve, transact
from gitckpt.store import refs
from gitckpt.store.attempts import surplus
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.mtimes import mtimes_at
from gitckpt.store.publish import Draft, publish, write_commit


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A commit kept beside the branch in the same transaction: an attempt's leavings, or rescued work. `start`: what
    the attempt began from, where that is not the tip; `dates`: the ids and mtimes (ns) of what it wrote since."""

    ref: str
    content: Content
    events: tuple[Event, ...]
    outputs: Mapping[PhaseName, bytes] = field(default_factory=dict)
    start: Checkpoint | None = None
    dates: Mapping[bytes, tuple[bytes, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """A checkpoint to be. `content`: its files. `found`: what the workspace holds now; when that differs, a commit
    holds it (`beside`, or the checkpoint `before`), and the workspace is made equal to `content`. `ends_view`: the view
    of the attempt that ends with it. `undoes`: a checkpoint whose arrival replaced what now comes back. `dating`: what
    dates files get. `redates`: what an attempt did is put back, also the dates of files that it only touched; those
    changed after `since_ns` (a ctime) are the user's. `is_half`: what an attempt left is still in the workspace, and a
    landing that puts it back follows."""

    events: tuple[Event, ...]
    content: Content
    found: Content
    outputs: Mapping[PhaseName, bytes] = field(default_factory=dict)
    second_parent: Oid | None = None
    beside: Beside | None = None
    more_refs: tuple[RefUpdate, ...] = ()
    definition: bytes | None = None
    ends_attempt: bool = False
    ends_view: str | None = None
    undoes: Checkpoint | None = None
    dating: Dating = NEW
    redates: bool = False
    since_ns: int | None = None
    is_half: bool = False


def land(hold: Hold, pack: Pack, landing: Landing) -> Checkpoint:
    """Publish one checkpoint and make the workspace equal to it. Raises RefMoved when somebody else moved the branch,
    with nothing changed; Lost when the workspace cannot be made equal to it."""
    tip = hold.tip
    moves = landing.found != landing.content or landing.undoes is not None
    if moves:
        secure(hold, landing.found, landing.content, pack)
    landing = replace(landing, events=with_removals(hold, pack, landing.events, landing.content))
    draft = replace(_draft(hold, tip, landing), mtimes=_mtimes(hold, pack, landing))
    oid = write_commit(hold.store, pack, draft)
    updates = [*landing.more_refs]
    kept = None
    if landing.beside is not None:
        chained = surplus(hold.given.repository, landing.beside.ref)
        kept = _write_beside(hold, pack, draft, landing, chained)
        # A kill inside git's own transaction can have left this very ref behind.
        was = resolve(hold.given.repository, landing.beside.ref)
        updates += [RefUpdate(landing.beside.ref, kept, was), *chained]
    before = kept or (tip.oid if tip else oid)
    dating = Dating(then=tip.oid) if landing.redates and tip else landing.dating
    journal = LandingUnderWay(
        workflow=hold.name,
        to=oid,
        before=before,
        kept_ref=landing.beside.ref if landing.beside else None,
        ends_attempt=landing.ends_attempt,
        ends_view=landing.ends_view,
        stays=not moves,
        lags=hold.base is not None,
        undoes=landing.undoes.oid if landing.undoes is not None else None,
        redates=landing.redates,
        then=dating.then,
        younger=dating.younger,
    )
    hold.unsynced = hold.unsynced or tip is None or landing.found != tip.content
    make_durable(hold)
    hold.write_record(replace(hold.record, landing=journal))
    checkpoint = publish(hold.store, pack, tip=tip, draft=draft, oid=oid, beside=updates)
    hold.tip = checkpoint
    for stored in (pack, *hold.sealed):
        note_pack(hold, stored.name)
    let_go(hold)
    if moves:
        go(hold, Move(before=landing.found, kept_as=before, undoes=landing.undoes, dating=dating), checkpoint)
    if landing.redates and hold.base is None:
        put_dates_back(hold, landing.since_ns)
    if (moves or landing.redates) and hold.base is None:
        put_links_back(hold, checkpoint, dating.then)
    if moves and not landing.redates and hold.base is None:
        set_mtimes(hold, checkpoint)
    hold.record = _without_attempt(hold.record, checkpoint, journal)
    if landing.is_half:
        hold.write_record(with_base(hold, hold.name, checkpoint))
        write_mirror(hold, checkpoint.manifest)
    else:
        arrive(hold, checkpoint)
    if moves:
        forget_records(hold, checkpoint, landing.undoes)
    return checkpoint


def _mtimes(hold: Hold, pack: Pack, landing: Landing) -> bytes | None:
    """The times of the checkpoint's files: as the workspace has them, where it is at these files."""
    if landing.content == landing.found and hold.base is None and not landing.is_half and landing.ends_view is None:
        return scanned_mtimes(hold, pack)
    return taken_over(hold, pack, landing.events, landing.content, landing.dating.then)


def arrive(hold: Hold, checkpoint: Checkpoint) -> None:
    """The workspace equals the checkpoint: move the base, keep the stat cache, renew the mirror."""
    make_durable(hold)
    hold.write_record(with_base(hold, hold.name, checkpoint))
    keep_dates(hold, checkpoint.number - 1)
    write_mirror(hold, checkpoint.manifest)


def finish_landing(hold: Hold, landing: LandingUnderWay) -> None:
    """Finish what a kill interrupted. Published: the workspace goes the rest of the way, what the user changed on
    that way since is rescued first. Not published: it never happened."""
    if resolve(hold.given.repository, refs.branch(landing.workflow)) != landing.to:
        hold.write_record(replace(hold.record, landing=None))
        return
    if landing.kept_ref and resolve(hold.given.repository, landing.kept_ref) is None:
        transact(hold.given.repository, [RefUpdate(landing.kept_ref, landing.before, None)], "gitckpt: kept")
    to = hold.store.read(landing.to)
    undone = None
    if not landing.stays:
        undone = hold.store.read(landing.undoes) if landing.undoes is not None else None
        move = _move(hold, landing, undone)
        secure(hold, move.before, to.content)
        go(hold, move, to)
    if landing.redates and not landing.lags:
        with open_pack(hold) as pack:
            take_snapshot(hold, pack)
        put_dates_back(hold, border_ns(hold))
    if (landing.redates or not landing.stays) and not landing.lags:
        put_links_back(hold, to, landing.then)
    if not landing.redates and not landing.stays and not landing.lags:
        set_mtimes(hold, to)
    if landing.lags and hold.base is None:
        hold.base = hold.store.read(hold.record.bases[landing.workflow])
    record = with_base(hold, landing.workflow, to)
    hold.write_record(_without_attempt(record, to, landing))
    if undone is not None:
        forget_records(hold, to, undone)


def _move(hold: Hold, landing: LandingUnderWay, undone: Checkpoint | None) -> Move:
    return Move(
        before=hold.store.read(landing.before).content,
        kept_as=landing.before,
        undoes=undone,
        interrupted=landing,
        dating=Dating(then=landing.then, younger=landing.younger),
    )


def _without_attempt(record: Record, landed: Checkpoint, landing: LandingUnderWay) -> Record:
    """The record when what was under way has landed: with the end of `always`, the run is concluded too."""
    if landing.ends_view is not None:
        record = replace(record, views=tuple(each for each in record.views if each.view != landing.ends_view))
    if not landing.ends_attempt:
        return record
    name = landed.manifest.workflow
    concluded = any(isinstance(event, Concluded) and event.status != CUT_OFF for event in landed.events)
    left = tuple(each for each in record.unconcluded if not (concluded and each == name))
    return replace(record, attempt=None, unconcluded=left)


def _draft(hold: Hold, tip: Checkpoint | None, landing: Landing) -> Draft:
    manifest = advance(tip.manifest if tip else None, landing.events)
    parents = (tip.oid,) if tip else ()
    if landing.second_parent and landing.second_parent not in parents:
        parents = (*parents, landing.second_parent)
    return Draft(
        parents=parents,
        content=landing.content,
        manifest=manifest,
        events=landing.events,
        definition=landing.definition or hold.given.definition,
        outputs=landing.outputs,
        author=hold.signature(),
        committer=hold.signature(),
    )


def _write_beside(hold: Hold, pack: Pack, draft: Draft, landing: Landing, chained: Sequence[RefUpdate]) -> Oid:
    """`chained` are the refs that go with this one's coming: what they name stays reachable from it."""
    beside = landing.beside
    assert beside is not None  # it is for one that has something beside it
    parent = beside.start or hold.tip
    if beside.start is not None:
        mtimes = joined_mtimes(hold, pack, mtimes_at(hold.store, beside.start.oid), beside.dates)
    else:
        mtimes = scanned_mtimes(hold, pack) if beside.content == landing.found else None
    manifest: Manifest = parent.manifest if parent else draft.manifest
    signature: Signature = draft.author
    kept = Draft(
        parents=(*((parent.oid,) if parent else ()), *(update.old for update in chained if update.old)),
        content=beside.content,
        manifest=manifest,
        events=beside.events,
        definition=draft.definition,
        outputs=beside.outputs,
        mtimes=mtimes,
        author=signature,
        committer=draft.committer,
    )
    return write_commit(hold.store, pack, kept)
