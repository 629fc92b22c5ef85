"""What is wrong with a workflow's history and with the objects it lies in. Reads; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gitckpt.engine.finding import Finding, Patient
from gitckpt.engine.healing import damaged_packs, fetch_from_clone, ward_of_patient, would_heal
from gitckpt.engine.housekeeping import TAGGED_RUNS
from gitckpt.errors import GitckptError
from gitckpt.model.codec import Damaged, NewerSchema, require_writable
from gitckpt.model.names import Oid
from gitckpt.plumbing.loose import unreadable_loose
from gitckpt.plumbing.refs import resolve
from gitckpt.plumbing.repository import checked_out_branches
from gitckpt.store import refs
from gitckpt.store.branch import OtherPlace
from gitckpt.store.soundness import Unsound, is_elsewhere, newest_of, unsound_tip
from gitckpt.store.store import BranchCheckedOut, Store
from gitckpt.store.verify import Report, verify

MOST_SHOWN = 20
"""Of many findings of one kind so many are told, and the number of the rest."""


def known_checkpoints(patient: Patient) -> tuple[Oid, ...]:
    """What the workspace's own record remembers of the branch."""
    try:
        base = patient.place.read().bases.get(patient.store.workflow)
    except Damaged:
        return ()
    return (base,) if base else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """What `verify` said, None without a history, and which of the objects that cannot be read the workspace holds."""

    report: Report | None = None
    healable: frozenset[bytes] = frozenset()

    def heals_all_of(self, tip: Oid) -> bool:
        """Whether the newest checkpoint lacks nothing but what can be healed."""
        lacking = self.report.lacking if self.report else {}
        of_tip = [oid for oid, commit in lacking.items() if commit == tip]
        return bool(of_tip) and self.healable.issuperset(of_tip)


def look_at_objects(patient: Patient) -> Objects:
    """Read every object of the history. Nothing is stored."""
    if patient.store.tip_oid() is None:
        return Objects()
    report = verify(patient.store)
    lacking = report.lacking
    return Objects(report=report, healable=would_heal(ward_of_patient(patient), lacking) if lacking else frozenset())


def about_branch(patient: Patient) -> Iterator[Finding]:
    """Whether the branch can be written at all."""
    store = patient.store
    for name in sorted(checked_out_branches(store.repository)):
        if name.startswith(refs.BRANCHES):
            taken = BranchCheckedOut(name)
            yield Finding(level="decision", what=taken.message, where=name, next=taken.hint)
    blocker = refs.BRANCHES.removesuffix("/")
    if resolve(store.repository, blocker) is not None:
        yield Finding(
            level="decision",
            what="a branch of yours has the name that the checkpoint branches need as a folder",
            where=blocker,
            next="git branch -m gitckpt gitckpt-old",
        )
    broken = broken_branch(store)
    if broken:
        best = newest_of(store, known_checkpoints(patient))
        yield Finding(
            level="problem",
            what="the branch's file does not hold a commit's id (a power cut can leave it empty)",
            where=broken,
            next="gitckpt doctor --repair sets the branch to the newest checkpoint that is known"
            if best
            else f"bring the branch from a clone: git fetch CLONE gitckpt/{store.workflow}:gitckpt/{store.workflow}",
            mends=best is not None,
        )


def broken_branch(store: Store) -> str | None:
    """The path of the branch's file where that is there and names no commit; None otherwise."""
    path = store.repository.common_dir / store.branch
    return str(path) if path.is_file() and store.tip_oid() is None else None


def about_tip(patient: Patient, objects: Objects) -> tuple[list[Finding], Unsound | None]:
    """Whether the newest checkpoint can be gone on from."""
    store = patient.store
    tip = store.tip_oid()
    if tip is None or objects.heals_all_of(tip):
        return [], None
    unsound = unsound_tip(store, known_checkpoints(patient))
    if unsound is None:
        try:
            require_writable(store.manifest(tip))
        except NewerSchema as newer:
            return [Finding(level="decision", what=newer.message, where=store.branch, next=newer.hint)], None
        return [], None
    if is_elsewhere(store, tip):
        other = OtherPlace(store.workflow, "", store.prefix.decode(errors="replace"))
        what = f"workflow {store.workflow} belongs to another folder of this repository"
        return [Finding(level="decision", what=what, where=store.branch, next=other.hint)], None
    steps = f"gitckpt doctor --repair keeps it on {refs.diverged(store.workflow)}… and sets the branch back to "
    found = Finding(
        level="problem",
        what=f"the newest checkpoint is damaged: {unsound.why}",
        where=f"{tip[:12]}, the tip of {store.branch}",
        next=steps + _number(store, unsound.sound) if unsound.sound else _from_clone(store),
        mends=unsound.sound is not None,
    )
    return [found], unsound


def _number(store: Store, oid: Oid) -> str:
    return f"{store.manifest(oid).sequence:04d}"


def about_history(patient: Patient, unsound: Unsound | None, objects: Objects) -> list[Finding]:
    """What `verify` finds, without what is said of the tip already. In histories put aside it is no more than a note:
    they are kept as evidence."""
    store, report = patient.store, objects.report
    if report is None:
        return []
    aside = {oid[:12] for oid in _put_aside(store)}
    said = {oid[:12] for oid in unsound.passed} if unsound else set()
    found = []
    for each in report.findings:
        holder = each.where.rpartition(" ")[2]
        beyond = unsound and holder.isdigit() and int(holder) > _sound_number(store, unsound)
        if unsound and (holder in said or beyond or each.what == unsound.why):
            continue
        back = f"; go back before it: gitckpt rollback {report.sound_up_to}" if report.sound_up_to else ""
        if holder in aside:
            text = "it is in a history that was put aside (gitckpt log does not need it); " + _from_clone(store)
            found.append(Finding(level="note", what=each.what, where=each.where, next=text))
        elif each.lacks and bytes.fromhex(each.lacks[0]) in objects.healable:
            text = "gitckpt doctor --repair stores it anew: your files still hold it"
            found.append(Finding(level="problem", what=each.what, where=each.where, next=text, mends=True))
        else:
            found.append(Finding(level="problem", what=each.what, where=each.where, next=_from_clone(store) + back))
    return _few(found, "gitckpt verify lists all")


def _sound_number(store: Store, unsound: Unsound) -> int:
    return store.manifest(unsound.sound).sequence if unsound.sound else 0


def _put_aside(store: Store) -> set[Oid]:
    found: set[Oid] = set()
    for tip in store.diverged().values():
        found.add(tip)
        try:
            found |= set(store.ids(tip))
        except GitckptError:
            continue
    try:
        return found - set(store.ids())
    except GitckptError:
        return found


def _from_clone(store: Store) -> str:
    return f"bring what is missing from a clone: {fetch_from_clone(store.workflow)}"


def about_packs(patient: Patient) -> list[Finding]:
    """Packs in which objects are damaged that are stored elsewhere by now."""
    folder = patient.store.repository.common_dir / "objects" / "pack"
    return [
        Finding(
            level="problem",
            what="objects in a pack are damaged; where your files still held them, they are stored anew elsewhere",
            where=f"{name}.pack",
            next="gitckpt doctor --repair puts a whole pack in its place, and moves it to gitckpt's folder",
            mends=True,
        )
        for name in damaged_packs(patient.place)
        if (folder / f"{name}.pack").exists()
    ]


def about_objects(patient: Patient) -> list[Finding]:
    """Loose objects that cannot be read: git would take them for stored."""
    step = "gitckpt doctor --repair moves it to gitckpt's folder; then, if anything needs it: "
    found = [
        Finding(level="problem", what=f"object {oid} cannot be read: {why}", where=f"objects/{oid[:2]}", mends=True,
                next=step + _from_clone(patient.store))
        for oid, why in unreadable_loose(patient.store.repository)
    ]  # fmt: skip
    return _few(found, "gitckpt doctor --repair moves all of them")


def about_tags(patient: Patient) -> list[Finding]:
    """Tags that the checkpoints of the newest runs should have."""
    store = patient.store
    there = {f"{refs.tags(store.workflow)}{name}": oid for name, oid in store.tags().items()}
    wanted = wanted_tags(store)
    missing = [
        Finding(level="problem", what="a tag is missing", where=name, next="gitckpt doctor --repair", mends=True)
        for name in wanted
        if name not in there
    ]
    other = [
        Finding(
            level="note",
            what="a tag names another commit than the checkpoint of its number; nothing relies on it",
            where=name,
            next=f"to have it right: git tag -d {name.removeprefix('refs/tags/')}, then gitckpt doctor --repair",
        )
        for name, oid in wanted.items()
        if there.get(name, oid) != oid
    ]
    return [*_few(missing, "gitckpt doctor --repair makes all of them"), *_few(other, "git tag -l 'gitckpt/*'")]


def wanted_tags(store: Store) -> dict[str, Oid]:
    """The tags of the newest runs' checkpoints, by full ref names."""
    found: dict[str, Oid] = {}
    runs = 0
    try:
        for checkpoint in store.history():
            name = refs.tag_of(store.workflow, checkpoint.number, checkpoint.title)
            if name:
                found[name] = checkpoint.oid
            runs += checkpoint.title.kind == "start"
            if runs == TAGGED_RUNS:
                break
    except GitckptError:
        # What lies before a damaged one has its tags or has not; that it is damaged is said.
        return found
    return found


def _few(found: list[Finding], rest: str) -> list[Finding]:
    if len(found) <= MOST_SHOWN:
        return found
    first = found[0]
    more = Finding(
        level=first.level, what=f"{len(found) - MOST_SHOWN} more like these", where="", next=rest, mends=first.mends
    )
    return [*found[:MOST_SHOWN], more]
