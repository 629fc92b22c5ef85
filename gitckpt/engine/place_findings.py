"""What is wrong around a history: with the workspace, gitckpt's folder, and where both lie. Reads; changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gitckpt.engine.aside import name_of
from gitckpt.engine.beyond import beyond, is_forgotten
from gitckpt.engine.capturing import capture_rules
from gitckpt.engine.changes import Desk, edits
from gitckpt.engine.finding import Finding, Isolation, Patient
from gitckpt.engine.kept import amount_kept, keeps_something, records
from gitckpt.engine.place import Place, Record
from gitckpt.engine.settle import ways_on
from gitckpt.errors import GitckptError
from gitckpt.execute.lock import holder
from gitckpt.model.amount import plural
from gitckpt.model.codec import Damaged
from gitckpt.plumbing.diff import scratch
from gitckpt.plumbing.packfiles import leftovers
from gitckpt.plumbing.pushes import pushed_along
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.refs import locked_refs
from gitckpt.progress.text import size as told_size
from gitckpt.store import refs
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.store import Store
from gitckpt.workspace.mounts import network_kind

SETTLED_BY = "gitckpt run goes on from there; gitckpt doctor --repair only clears it up"


def about_machine(patient: Patient) -> Iterator[Finding]:
    """The file systems."""
    for folder in dict.fromkeys((patient.root, patient.store.repository.common_dir)):
        kind = network_kind(folder)
        if kind is not None:
            yield Finding(
                level="note",
                what=f"it lies on a network file system ({kind}): locks and change times may not hold there",
                where=str(folder),
                next="run one gitckpt at a time, from one machine; or move the work to a local disk",
            )


def about_file(patient: Patient) -> Iterator[Finding]:
    """Whether there is a workflow to run."""
    if patient.invalid:
        yield Finding(
            level="problem", what=patient.invalid.splitlines()[0], where="the workflow file", next="gitckpt lint"
        )


def about_pushes(patient: Patient) -> Iterator[Finding]:
    """Whether a plain push takes our refs along."""
    for what, setting in pushed_along(patient.store.repository):
        yield Finding(
            level="note",
            what=f"`git push` takes {what} of gitckpt along, with all the data in them",
            where=setting,
            next="wanted as a copy elsewhere: nothing to do; else push by name: git push REMOTE BRANCH",
        )


def about_views(isolation: Isolation) -> Iterator[Finding]:
    """Phases that want what cannot be had."""
    names = isolation.chosen.get("overlay", ())
    if names and isolation.why_no_overlay is not None:
        yield Finding(
            level="problem",
            what=f"no overlay can be had here: {isolation.why_no_overlay}",
            where=f"`isolation: overlay` of {', '.join(names)}",
            next="say `isolation: copy`, or `auto`, which takes what there is",
        )


def about_leavings(patient: Patient) -> Iterator[Finding]:
    """What an unclean end left; nobody works here now."""
    store, place = patient.store, patient.place
    branch_holder = holder(place.branch_lock(store.workflow))
    if branch_holder is None:
        for name in locked_refs(store.repository, *own_refs(store)):
            yield Finding(
                level="problem",
                what="a lock on one of gitckpt's refs that a killed command left",
                where=f"{name}.lock",
                next="gitckpt doctor --repair",
                mends=True,
            )
    for path in leftovers(store.repository, place.owner):
        yield Finding(
            level="problem",
            what="an unfinished file of a pack that a killed command left",
            where=os.path.basename(path),
            next="gitckpt doctor --repair, or any gitckpt command that writes",
            mends=True,
        )
    for view in _nobodys_views(place):
        yield Finding(
            level="problem",
            what="a view of the workspace that a killed run left",
            where=str(view),
            next="gitckpt doctor --repair, or any gitckpt command that writes",
            mends=True,
        )
    yield from _moved_without_attempt(store, place.home / "attempts" / store.workflow)
    for folder, record in records(place):
        if keeps_something(folder, record):
            count, size = amount_kept([(folder, record)])
            yield Finding(
                level="note",
                what=f"{plural(count, 'file')} ({told_size(size)}) that no checkpoint holds, replaced by"
                f" {record.number:04d} of {record.workflow}",
                where=str(folder),
                next="`gitckpt undo` of that command gives them back; older ones go with: gitckpt gc --forget",
            )


def _nobodys_views(place: Place) -> list[Path]:
    """Folders of views that the record does not know; those that it knows are told with what was under way."""
    try:
        known = {view.view for view in place.read().views}
    except Damaged:
        return []
    return sorted(path for path in place.views.glob("*") if path.name not in known)


def _moved_without_attempt(store: Store, folder: Path) -> Iterator[Finding]:
    """Files of attempts too big to store, whose attempt is gone with the run it belonged to."""
    numbered = {f"{phase}-{number}" for phase, number in store.all_attempts()} if folder.is_dir() else set()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name not in numbered:
            yield Finding(
                level="note",
                what="files of a failed attempt that is in no history any more",
                where=str(path),
                next="look at them; when they are of no use, remove that folder",
            )


def own_refs(store: Store) -> tuple[str, str, str]:
    """Where this workflow's refs are: the branch, and the folders of the others."""
    return store.branch, refs.tags(store.workflow), refs.others(store.workflow)


def about_record(patient: Patient, tip: Checkpoint | None) -> Iterator[Finding]:
    """What was under way, and whether this workspace is where the branch is; nobody works here now."""
    store, place = patient.store, patient.place
    where = str(place.folder / "workspace.json")
    try:
        record = place.read()
    except Damaged as damaged:
        yield Finding(
            level="problem",
            what=damaged.message,
            where=where,
            next="gitckpt doctor --repair keeps the file aside; then gitckpt rollback latest or gitckpt adopt",
            mends=True,
        )
        return
    yield from _under_way(store, record, where)
    found = beyond(store, place, tip, record)
    if found is not None:
        mends = found.kind in ("behind", "gone")
        yield Finding(
            level="problem" if mends else "decision",
            what=found.what,
            where=store.branch,
            next="; ".join(found.ways(store.workflow, name_of(store, found.newest))),
            mends=mends,
        )
    elif tip is None and is_forgotten(store):
        yield Finding(
            level="note",
            what="the history was put aside (reset --forget)",
            where=f"{refs.diverged(store.workflow)}…",
            next="gitckpt run begins a new one",
        )
    elif tip is None:
        remotes = sorted(store.elsewhere())
        if remotes or store.tags():
            what = f"its history is {'on ' + ', '.join(remotes) if remotes else 'here as tags only'}"
            yield Finding(level="decision", what=what, where=store.branch, next="; ".join(ways_on(remotes)))
    elif record.landing is None and record.ahead.get(store.workflow) == tip.oid:
        yield Finding(
            level="problem",
            what=f"the files of this workspace are not yet as at {tip.number:04d}, which a killed run made",
            where=str(patient.root),
            next=SETTLED_BY,
            mends=True,
        )
    elif record.landing is None and record.bases.get(store.workflow) != tip.oid:
        yield from _away(patient, record, tip)


def _under_way(store: Store, record: Record, where: str) -> Iterator[Finding]:
    attempt, landing = record.attempt, record.landing
    yield from _in_views(store, record, where)
    if attempt is not None:
        mine = attempt.workflow == store.workflow
        yield Finding(
            level="problem",
            what=f"{attempt.phase}@{attempt.number} of {attempt.workflow} was cut off, and not cleared up after",
            where=where,
            next=SETTLED_BY if mine else f"let {attempt.workflow} go on first: gitckpt run, with its file",
            mends=mine,
        )
    if landing is not None:
        yield Finding(
            level="problem",
            what=f"a command of {landing.workflow} was killed while it moved to {landing.to[:12]}",
            where=where,
            next=SETTLED_BY,
            mends=True,
        )
    if record.refs_moving:
        yield Finding(
            level="problem",
            what="a command was killed while it moved refs",
            where=where,
            next="gitckpt doctor --repair, or any gitckpt command that writes",
            mends=True,
        )


def _in_views(store: Store, record: Record, where: str) -> Iterator[Finding]:
    """Attempts in views of their own: cut off, or ended well and not merged, or not in the workspace's files yet."""
    for view in record.views:
        under_way = view.under_way
        mine = under_way.workflow == store.workflow
        kept = "had succeeded when its run died; that is kept, and not in the files here yet"
        ended = kept if view.own is not None else "was cut off, and not cleared up after"
        yield Finding(
            level="problem",
            what=f"{under_way.phase}@{under_way.number} of {under_way.workflow} {ended}",
            where=where,
            next=SETTLED_BY if mine else f"let {under_way.workflow} go on first: gitckpt run, with its file",
            mends=mine,
        )


def _away(patient: Patient, record: Record, tip: Checkpoint) -> Iterator[Finding]:
    """The base is not the tip. Where the files are equal all the same, there is nothing to ask."""
    if record.attempt is None and not _differs(patient, tip):
        return
    base = record.bases.get(patient.store.workflow)
    known = base is not None and base in patient.store.ids()
    then = f"{patient.store.manifest(base).sequence:04d}" if known and base else ""
    what = f"this workspace is at {then}, the branch at {tip.number:04d}" if then else (
        f"this workspace was never at a checkpoint of the branch, and its files differ from {tip.number:04d}"
    )  # fmt: skip
    yield Finding(level="decision", what=what, where=str(patient.root), next="; ".join(ways_on()))


def _differs(patient: Patient, tip: Checkpoint) -> bool:
    store = patient.store
    if patient.workflow is None:
        return True
    with scratch(store.repository, patient.root) as aside, Reader(aside) as reader:
        beside = Store(store.repository, reader, store.workflow, store.prefix)
        desk = Desk(
            repository=store.repository, root=patient.root, prefix=store.prefix, scratch=aside, place=patient.place
        )
        try:
            return bool(edits(beside, desk, tip, capture_rules(patient.workflow, os.environ)).changes)
        except GitckptError:
            return True
