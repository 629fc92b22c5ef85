"""`settle`: make base = tip = workspace, whatever happened before. No other code handles a crash.

Owns, in this order: ending what a dead run left running, finishing an interrupted landing, finding out whether this
workspace may go on, setting a dead attempt's leavings aside, and recording the user's own edits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gitckpt.engine.aside import keep_known, name_of
from gitckpt.engine.beyond import beyond, is_forgotten
from gitckpt.engine.capturing import left_words, secret_values, shown_uncaptured, uncaptured_words
from gitckpt.engine.dating import border_ns, keep_dates
from gitckpt.engine.dropping import dropped_by_edits
from gitckpt.engine.edits import EditPolicy, edit_of, land_edit, mark_of, users_changes
from gitckpt.engine.graft import with_changes
from gitckpt.engine.hold import Hold, make_durable, open_pack, seal, sweep_locks, sweep_packs, take_snapshot
from gitckpt.engine.land import Beside, Landing, arrive, finish_landing, land
from gitckpt.engine.leavings import leavings
from gitckpt.engine.mirror import mend_mirror, write_mirror
from gitckpt.engine.oversize import move_oversize
from gitckpt.engine.place import AttemptUnderWay
from gitckpt.engine.recover import Finished, end_views, is_due, recover
from gitckpt.errors import ExitCode, GitckptError
from gitckpt.execute.heartbeat import leave_stamp
from gitckpt.execute.leftovers import end_leftovers
from gitckpt.execute.output import capped
from gitckpt.model.advance import IllegalEvent, advance
from gitckpt.model.amount import plural
from gitckpt.model.codec import loads
from gitckpt.model.events import CUT_OFF, Concluded, Edited, Event, ForeignChange, Redefined
from gitckpt.model.graph import phase_named
from gitckpt.model.names import Oid, WorkflowName
from gitckpt.model.outcome import Attempt, CutOff, judge
from gitckpt.model.text import safe
from gitckpt.model.workflow import digest, order, secrets
from gitckpt.plumbing.content import Content, compare
from gitckpt.plumbing.pack import Pack
from gitckpt.progress.events import Note, Warned
from gitckpt.store import refs
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.layout import NotACheckpoint

SHOWN = 20
"""How many of a dead attempt's paths are named; `gitckpt diff` names all."""


@dataclass(eq=False)
class NeedsDecision(GitckptError):
    """This workspace is not where the branch is, and gitckpt will not guess."""

    workflow: str
    why: str
    ways: tuple[str, ...]
    kept: str | None = None

    exit_code = ExitCode.CONFLICT
    untouched = "nothing was changed"

    @property
    def message(self) -> str:
        return f"workflow {self.workflow}: {self.why}" + (f"; it is kept as {self.kept}" if self.kept else "")

    @property
    def hint(self) -> str:
        return "\n".join(self.ways)


def settle(
    hold: Hold, policy: EditPolicy = "tell-apart", closing: Sequence[Event] = (), finished: Finished = "merge"
) -> None:
    """After it, base = tip = workspace. `closing` events are recorded with the user's edits, in one checkpoint.

    Does nothing where there is no history yet. Raises NeedsDecision, LeftoversRemain.
    """
    clear_up(hold)
    require_line(hold)
    if hold.record.landing is not None:
        finish_landing(hold, hold.record.landing)
    other = _other_under_way(hold)
    if other is not None:
        raise NeedsDecision(
            hold.name,
            f"a run of {other} died in this workspace",
            (f"let {other} go on first: gitckpt run, with its file",),
        )
    if hold.tip is None:
        _refuse_clone(hold)
        return
    require_base(hold)
    settled = hold.at_tip
    if is_due(hold):
        recover(hold, finished)
    attempt = hold.record.attempt
    if attempt is not None and mark_of(hold, attempt, policy) == "all" and policy != "keep":
        hold.write_record(replace(hold.record, attempt=None))  # nothing of it ever ran, so it left nothing
        write_mirror(hold, hold.at_tip.manifest)
    elif attempt is not None and attempt.number == 0:
        _set_conclusion_aside(hold, attempt, policy)
    elif attempt is not None:
        _set_aside(hold, attempt, policy)
    record_edits(hold, closing, since=_before_edits(hold, settled))
    mend_mirror(hold)


def _other_under_way(hold: Hold) -> WorkflowName | None:
    """Another workflow that died in this workspace, and has to come to its own end there."""
    names = [hold.record.attempt.workflow] if hold.record.attempt else []
    names += [view.under_way.workflow for view in hold.record.views]
    names += hold.record.ahead
    return next((name for name in names if name != hold.name), None)


def _set_conclusion_aside(hold: Hold, under_way: AttemptUnderWay, policy: EditPolicy) -> None:
    """The commands of `always` died: what they left is kept and put back, for the next call runs all of them."""
    with open_pack(hold) as pack:
        found = take_snapshot(hold, pack)
        left = differs(hold, pack, found.content)
        changes = compare(hold.store.reader, hold.at_tip.content, found.content) if left else []
        mine = users_changes(hold, changes, mark_of(hold, under_way, policy))
        if mine:
            land_edit(hold, mine)
        if found.content == hold.at_tip.content or not left:
            hold.write_record(replace(hold.record, attempt=None))
            return
        number = max(hold.store.rescues(), default=0) + 1
        events = (Concluded(at=hold.now(), status=CUT_OFF, exit_code=1),)
        with open_pack(hold) as second:
            landing = Landing(
                events=events,
                content=hold.at_tip.content,
                found=found.content,
                beside=Beside(ref=f"{refs.rescues(hold.name)}{number}", content=found.content, events=events),
                definition=_known_definition(hold),
                ends_attempt=True,
                redates=True,
                since_ns=border_ns(hold) if policy == "tell-apart" else None,
            )
            land(hold, second, landing)
    hold.reporter(Note(f"`always` was cut off; what it left is kept: gitckpt diff rescue@{number}"))


def clear_up(hold: Hold) -> None:
    """End what a dead run left running, and remove the unfinished files and the locks that it left."""
    record = hold.record
    if record.attempt is not None or record.landing is not None or record.refs_moving or record.views:
        end_leftovers(hold.place.folder, say=lambda text: hold.reporter(Note(text)))
        end_views(hold)
        sweep_locks(hold)
    if record.attempt is not None:
        leave_stamp(hold.place.live, record.attempt.boot)
    if record.refs_moving:
        hold.write_record(replace(record, refs_moving=False))
    sweep_packs(hold)
    hold.place.sweep()


def require_line(hold: Hold) -> None:
    """The branch has all that is known of it, or holds another history; else the user decides. What it has no more is
    kept on a ref before anything else."""
    found = beyond(hold.store, hold.place, hold.tip, hold.record)
    kept = keep_known(hold, found) if found is not None else None
    if found is not None and found.kind != "other":
        raise NeedsDecision(hold.name, found.what, found.ways(hold.name, kept), kept)


def _refuse_clone(hold: Hold) -> None:
    if is_forgotten(hold.store):
        return
    remotes = hold.store.elsewhere()
    if not remotes and not hold.store.tags():
        return
    where = f"its history is on {', '.join(sorted(remotes))}" if remotes else "only tags of its history are here"
    raise NeedsDecision(hold.name, f"{where}, and this is a copy of it", ways_on(sorted(remotes)))


def ways_on(remotes: Sequence[str] = ()) -> tuple[str, ...]:
    """The three ways on from a workspace that is not where the branch is."""
    adopt = f"gitckpt adopt {remotes[0]}" if remotes else "gitckpt adopt"
    return (
        "take the newest checkpoint (your files are rescued first): gitckpt rollback latest",
        f"take these files as the newest edit: {adopt}",
        "or give this one another name in `workflow:`",
    )


def require_base(hold: Hold) -> None:
    """The base is the tip, or the files are equal to it; else the user decides."""
    tip = hold.at_tip
    base = hold.record.bases.get(hold.name)
    if base == tip.oid:
        return
    if base is not None and hold.record.ahead.get(hold.name) == tip.oid:
        hold.base = hold.store.read(base)  # a run of this workspace went ahead of it, and died
        return
    _require_ours(hold, tip)
    with open_pack(hold) as pack:
        equal = take_snapshot(hold, pack).content == tip.content
    if equal:
        arrive(hold, tip)
        return
    if base is not None and base in hold.store.ids():
        then = hold.store.manifest(base).sequence
        why = f"the branch went on to {tip.number:04d} elsewhere since this workspace was at {then:04d}"
    else:
        found = beyond(hold.store, hold.place, tip, hold.record)
        if found is not None:
            ways = found.ways(hold.name, name_of(hold.store, found.newest))
            raise NeedsDecision(hold.name, f"{found.what}, and its files differ from {tip.number:04d}", ways)
        why = f"this workspace was never at a checkpoint of it, and its files differ from {tip.number:04d}"
    raise NeedsDecision(hold.name, why, ways_on())


def _require_ours(hold: Hold, tip: Checkpoint) -> None:
    """A tip that this workspace did not make may be a commit of the user's on our branch. Raises NotACheckpoint."""
    parent = hold.store.read(tip.parents[0]).manifest if tip.parents else None
    try:
        ours = advance(parent, tip.events) == tip.manifest
    except IllegalEvent:
        ours = False
    if not ours:
        raise NotACheckpoint(tip.oid, "its manifest does not follow from the checkpoint before it")


def _set_aside(hold: Hold, under_way: AttemptUnderWay, policy: EditPolicy) -> None:
    """Keep what an attempt that never ended left, put the workspace back, and leave the user's own changes."""
    phase = phase_named(hold.workflow, under_way.phase)
    partial = phase is not None and phase.keep_partial
    attempt = Attempt(phase=under_way.phase, number=under_way.number, started=under_way.started)
    cut_off = CutOff(attempt=attempt, at=hold.now(), reason="died", partial=partial)
    mark = mark_of(hold, under_way, policy)
    if not partial:
        move_oversize(hold, under_way.phase, under_way.number, mark)
    with open_pack(hold) as pack:
        found = take_snapshot(hold, pack)
        seal(hold, pack)
        uncaptured = shown_uncaptured(found.uncaptured)
        events = judge(hold.at_tip.manifest, replace(cut_off, uncaptured=uncaptured))
        mine = users_changes(hold, compare(hold.store.reader, hold.at_tip.content, found.content), mark)
        if mine:
            land_edit(hold, mine)
        with open_pack(hold) as second:
            ref = refs.attempt(hold.name, under_way.phase, under_way.number)
            outputs = {under_way.phase: _output_of_dead(hold)}
            land(
                hold,
                second,
                Landing(
                    events=events,
                    content=found.content if partial else hold.at_tip.content,
                    found=found.content,
                    outputs=outputs,
                    beside=Beside(ref=ref, content=found.content, events=events, outputs=outputs),
                    definition=_known_definition(hold),
                    ends_attempt=True,
                    redates=not partial and policy != "keep",
                    since_ns=border_ns(hold) if policy == "tell-apart" else None,
                ),
            )
    _say_set_aside(hold, under_way)
    if uncaptured is not None:
        words = uncaptured_words if partial else left_words
        hold.reporter(Warned(words(under_way.phase, uncaptured)))


def _known_definition(hold: Hold) -> bytes:
    """The tip's: that today's is another one is an event of its own, and `_redefined` must still find it."""
    return hold.store.definition(hold.at_tip.oid)


def _output_of_dead(hold: Hold) -> bytes:
    """The dead attempt's output; withheld when a declared secret is not set now, for then it cannot be masked."""
    unset = [name for name in secrets(hold.workflow) if not hold.given.environment.get(name)]
    if unset:
        return f"[output withheld: the secret {unset[0]} is not set now, so it cannot be masked]\n".encode()
    return capped(hold.place.desk.output, secrets=secret_values(hold.workflow, hold.given.environment))


def _say_set_aside(hold: Hold, under_way: AttemptUnderWay) -> None:
    name = f"{under_way.phase}@{under_way.number}"
    if hold.store.attempt(under_way.phase, under_way.number) is None:
        return
    left = leavings(hold.store, hold.place, under_way.phase, under_way.number, hold.given.source.head)
    # What HEAD tracks first: that is the likeliest to be the user's after all.
    paths = (*left.tracked, *(path for path in left.paths if path not in left.tracked))
    files = plural(len(paths), "file")
    text = f"{name} was cut off; what it left ({files}) is kept: gitckpt diff {name}"
    if paths:
        shown = ", ".join(safe(path) for path in paths[:SHOWN]) + (" …" if len(paths) > SHOWN else "")
        text += f"\n  {shown}\n  bring one back: gitckpt restore {name} -- {safe(paths[0])}"
    hold.reporter(Note(text))


def _before_edits(hold: Hold, settled: Checkpoint) -> Content:
    """The content before the user's edits, of which some may be recorded since `settled`."""
    before = hold.at_tip.content
    for checkpoint in hold.store.history():
        if checkpoint.oid == settled.oid:
            return before
        if checkpoint.parents and any(isinstance(event, Edited) for event in checkpoint.events):
            before = hold.store.read(checkpoint.parents[0]).content
    return hold.at_tip.content


def record_edits(hold: Hold, closing: Sequence[Event] = (), since: Content | None = None) -> None:
    """Record what changed since the base: another workflow's part as `foreign`, the rest as the user's edit. `since`:
    what the user's edits began from, where it is not the tip."""
    with open_pack(hold) as pack:
        found = take_snapshot(hold, pack)
        content = _without_dropped(hold, pack, found.content, since or hold.at_tip.content)
        moved = differs(hold, pack, content)
        if moved and _land_foreign(hold, content):
            record_edits(hold, closing, since)
            return
        edited = [edit_of(hold, compare(hold.store.reader, hold.at_tip.content, content))] if moved else []
        events = (*edited, *_redefined(hold), *closing)
        if events:
            with open_pack(hold) as second:
                land(hold, second, Landing(events=events, content=content, found=content))
        elif hold.record.last != hold.name:
            arrive(hold, hold.at_tip)
        elif hold.cache.displaced or found.read:
            # Files have other dates than at the base, or a power cut took what was known of them: from here on these
            # are the base's.
            make_durable(hold)
            keep_dates(hold, hold.at_tip.number)


def _without_dropped(hold: Hold, pack: Pack, found: Content, since: Content) -> Content:
    """The content without what an ignore rule of the user's takes out of it."""
    if not hold.cache.held:
        return found
    seal(hold, pack)
    given, reader = hold.given, hold.store.reader
    gone = dropped_by_edits(given.repository, given.prefix, reader, since, found, hold.cache.held)
    if not gone:
        return found
    for change in gone:
        hold.cache.leave_undecided(change.path)
        hold.dropped.add(change.path)
    with open_pack(hold) as second:
        content = with_changes(reader, second, found, gone)
        seal(hold, second)
    return content


def differs(hold: Hold, pack: Pack, found: Content) -> bool:
    """Whether the workspace differs from the tip in anything that can be kept (a socket cannot)."""
    if found == hold.at_tip.content:
        return False
    seal(hold, pack)
    return bool(compare(hold.store.reader, hold.at_tip.content, found))


def _land_foreign(hold: Hold, found: Content) -> bool:
    """Where another workflow used this workspace last: paths that are as it left them are its change, not yours."""
    last = hold.record.last
    theirs: Oid | None = hold.record.bases.get(last) if last and last != hold.name else None
    if last is None or theirs is None:
        return False
    reader = hold.store.reader
    differing = {change.path for change in compare(reader, hold.store.read(theirs).content, found)}
    foreign = [c for c in compare(reader, hold.at_tip.content, found) if c.path not in differing]
    if foreign:
        with open_pack(hold) as second:
            content = with_changes(reader, second, hold.at_tip.content, foreign)
            events: tuple[Event, ...] = (ForeignChange(at=hold.now(), workflow=last),)
            definition = _known_definition(hold)
            land(hold, second, Landing(events=events, content=content, found=content, definition=definition))
    hold.write_record(replace(hold.record, last=hold.name))
    return True


def _redefined(hold: Hold) -> list[Event]:
    """Whether the workflow file is another than the newest checkpoint's."""
    definition = hold.store.definition(hold.at_tip.oid)
    if definition == hold.given.definition:
        return []
    stored = loads(definition, "definition.json")
    now = loads(hold.given.definition, "definition.json")
    if isinstance(stored, dict) and isinstance(now, dict) and stored.get("workflow") == now.get("workflow"):
        return []
    manifest = hold.at_tip.manifest
    changed = tuple(
        phase.name
        for phase in hold.workflow.phases
        if phase.name in manifest.phases
        and (known := manifest.phases[phase.name].definition) is not None
        and known != digest(phase, hold.workflow)
    )
    return [Redefined(at=hold.now(), order=order(hold.workflow), changed=changed)]
