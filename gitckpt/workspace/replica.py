"""A copy of the workspace for one attempt: a folder of its own that holds exactly a content, and what became of it.

Owns the order in which it is made and read, and what is remembered of it so that only what the attempt changed is read
afterwards. Must not know phases, nor when a copy is made or removed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from gitckpt.model.names import LIVE_FOLDER
from gitckpt.plumbing.content import Content, Defaults, Lookup, list_content
from gitckpt.plumbing.gitfile import stand_for
from gitckpt.plumbing.objects import object_id
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository
from gitckpt.workspace.become import naming, require_inside
from gitckpt.workspace.cloning import Cloner
from gitckpt.workspace.disk import Disk
from gitckpt.workspace.filling import DateOf, Filling, cache_of, nobody_knows, require_room, rounded, unchanged_files
from gitckpt.workspace.replica_scan import (
    captured_items,
    differences,
    hidden_entries,
    with_more,
    without_stand_ins,
    written_through,
)
from gitckpt.workspace.rules import CaptureRules, Matcher
from gitckpt.workspace.scan import ViewScan
from gitckpt.workspace.snapshot import decided_by, snapshot
from gitckpt.workspace.standins import (
    Plan,
    StandIns,
    altered,
    inside,
    make_stand_ins,
    plan_stand_ins,
    strangers,
    uncaptured_entries,
)
from gitckpt.workspace.statcache import Record, StatCache
from gitckpt.workspace.touching import touched_since
from gitckpt.workspace.walk import Walk

NOBODY_KNOWS = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """A copy of a workspace. `folder` stands for the top of `repository` and holds `.git`.

    `stand_ins` are what is not captured, also beside the workspace. `cache` is what was last seen of the copy, `begun`
    what was seen at first. `cloned` counts the files taken from the workspace.
    """

    folder: Path
    prefix: bytes
    repository: Repository
    rules: CaptureRules
    defaults: Defaults
    stand_ins: StandIns
    cache: StatCache
    begun: Mapping[bytes, Record]
    cloned: int = 0

    @property
    def root(self) -> Path:
        """What the attempt takes for its workspace."""
        return self.folder / os.fsdecode(self.prefix)

    @property
    def links(self) -> frozenset[bytes]:
        """The links to uncaptured entries of the workspace, as seen from its root."""
        return inside(self.stand_ins, self.prefix).links


def make_replica(
    *,
    folder: Path,
    root: Path,
    content: Content,
    reader: Reader,
    cache: StatCache,
    repository: Repository,
    prefix: bytes,
    rules: CaptureRules,
    defaults: Defaults,
    date_of: DateOf = nobody_knows,
) -> Replica:
    """Fill `folder` (absolute, real, absent) with `content`, taking from the workspace at `root` the files that `cache`
    knows to be the same; `date_of` tells the mtimes of others. Writes beside it what `load_replica` reads. On an error
    the folder may hold a part.

    Raises ReplicaTooBig, CannotRestore, ObjectUnreadable, Unreadable, GitFailed, WorkTreeElsewhere.
    """
    matcher = Matcher(rules)
    key = decided_by(matcher, defaults)
    held = Lookup(reader, content)
    walk = Walk(root=root, repository=repository, prefix=prefix, matcher=matcher, cache=cache, key=key, held=held)
    items = list_content(reader, content)
    for path in items:
        require_inside(root, path)
    on_disk = unchanged_files(walk.folders, cache.width)
    with naming(b""):
        folder.mkdir(mode=stat.S_IMODE(repository.top.stat().st_mode) & 0o1777 | 0o700, parents=True)
    with Disk(folder) as disk, Disk(repository.top) as source:
        cloner = Cloner(source)
        filling = Filling(disk, reader, cloner, prefix, on_disk, date_of, cache.links)
        with naming(b""):
            plan = plan_stand_ins(repository, source, prefix, *uncaptured_entries(walk.folders, items, matcher))
            require_room(folder, filling.room(items) + _room(plan), len(items) + _count(plan))
        filling.fill(items)
        with naming(b".git"):
            stand_for(repository, folder)
        with naming(b""):
            stand_ins = make_stand_ins(repository, replace(repository, top=folder), disk, cloner, plan)
            _link_live(root, folder / os.fsdecode(prefix))
            filling.set_modes(items)
        made = cache_of(folder, cache.object_format, items, filling.states)
    made.basis, made.key, made.secret_key = walk.basis, key, matcher.secret_key
    replica = Replica(
        folder=folder,
        prefix=prefix,
        repository=repository,
        rules=rules,
        defaults=defaults,
        stand_ins=stand_ins,
        cache=made,
        begun=made.folders,
        cloned=cloner.done,
    )
    with naming(b""):
        _save(replica)
    return replica


def _room(plan: Plan) -> int:
    return sum(min(rounded(found.st_size), found.st_blocks * 512) for found in plan.copies.values())


def _count(plan: Plan) -> int:
    return len(plan.folders) + len(plan.copies) + len(plan.links)


def _link_live(root: Path, view_root: Path) -> None:
    """The mirror of the state where a phase may look for it; git must not see a link in place of the hidden folder."""
    live = view_root / LIVE_FOLDER
    live.mkdir()
    (live / ".gitignore").write_text("*\n")
    (live / "state.json").symlink_to(root / LIVE_FOLDER / "state.json")


def read_replica(
    replica: Replica, *, pack: Pack, start: Content, reader: Reader, begun_ns: int = NOBODY_KNOWS
) -> ViewScan:
    """Compare the copy with `start`; the attempt began at `begun_ns`, by the workspace's clock. New blobs go into
    `pack`, which stays open; call it as often as needed.

    What was written through a link is in the workspace already, and only counts as uncaptured. Raises Unreadable,
    PackFailed, GitFailed, ObjectUnreadable.
    """
    repository = replica.repository
    changed = altered(replica.folder, repository, replica.stand_ins)
    own = inside(replica.stand_ins, replica.prefix)
    below = replica.prefix + b"/" if replica.prefix else b""
    gone = {path.removeprefix(below) for path in changed if path.startswith(below)}
    found = snapshot(
        root=replica.root,
        repository=replace(repository, top=replica.folder),
        prefix=replica.prefix,
        rules=replica.rules,
        pack=pack,
        cache=replica.cache,
        defaults=replica.defaults,
        known=start,
        reader=reader,
        held=start,
        skipped=_by_folder((own.links | own.copies.keys()) - gone),
    )
    replica.cache.save()
    before = list_content(reader, start)
    after = captured_items(replica.cache)
    changes, moved = without_stand_ins(differences(before, after), _link_targets(replica), own)
    hidden = gone | moved | set(hidden_entries(replica.root, replica.cache, own))
    scan = ViewScan(
        changes=changes,
        unstable=found.unstable,
        left_out=found.left_out,
        not_kept=found.not_kept,
        uncaptured=with_more(found.uncaptured, _written_through(replica, own.links - gone, begun_ns)),
        hidden=tuple(sorted(path for path in hidden if path in moved or path not in after)),
        links=replica.cache.links,
    )
    return touched_since(scan, replica.begun, replica.cache)


def _written_through(replica: Replica, links: Iterable[bytes], since_ns: int) -> dict[bytes, int]:
    """What was changed by way of the links."""
    if since_ns == NOBODY_KNOWS:
        return {}
    root = replica.repository.top / os.fsdecode(replica.prefix)
    return written_through(root, links, Matcher(replica.rules), since_ns)


def changed_beside(replica: Replica) -> tuple[Path, ...]:
    """Where the workspace lies in a subfolder: the paths beside it, in the user's repository, that the attempt changed
    in its copy. They are no part of any checkpoint, and reach the repository only if somebody brings them there.
    """
    if not replica.prefix:
        return ()
    changed = set(altered(replica.folder, replica.repository, replica.stand_ins))
    parts = replica.prefix.split(b"/")
    levels = [b"/".join(parts[:depth]) for depth in range(len(parts))]
    known = replace(replica.stand_ins, folders=replica.stand_ins.folders | {*levels, replica.prefix})
    for level in levels:
        changed |= set(strangers(replica.folder, known, level))
    outside = (path for path in changed if not path.startswith(replica.prefix + b"/") and path != b".git")
    return tuple(sorted(replica.repository.top / os.fsdecode(path) for path in outside))


def _by_folder(paths: Iterable[bytes]) -> Mapping[bytes, frozenset[str]]:
    names: dict[bytes, set[str]] = {}
    for path in paths:
        folder, _, name = path.rpartition(b"/")
        names.setdefault(folder, set()).add(os.fsdecode(name))
    return {folder: frozenset(each) for folder, each in names.items()}


def _link_targets(replica: Replica) -> frozenset[bytes]:
    """The blobs that the links would be if they were captured."""
    repository = replica.repository
    top = os.fsencode(repository.top) + b"/"
    return frozenset(object_id(repository.object_format, "blob", top + path) for path in replica.stand_ins.links)


# --- remembered beside the folder -----------------------------------------------------------------------------------


class _Facts(msgspec.Struct, array_like=True):
    prefix: bytes
    defaults: Defaults
    stand_ins: StandIns
    cloned: int


def load_replica(folder: Path, repository: Repository, rules: CaptureRules) -> Replica | None:
    """The copy in `folder` as it was last read; None where the making did not end."""
    try:
        facts = msgspec.msgpack.decode(_facts_file(folder).read_bytes(), type=_Facts)
    except (OSError, msgspec.MsgspecError):
        return None
    cache = StatCache.load(folder.with_name(folder.name + ".cache"), repository.object_format)
    return Replica(
        folder=folder,
        prefix=facts.prefix,
        repository=repository,
        rules=rules,
        defaults=facts.defaults,
        stand_ins=facts.stand_ins,
        cache=cache,
        begun=cache.folders,
        cloned=facts.cloned,
    )


def _save(replica: Replica) -> None:
    replica.cache.save()
    facts = _Facts(replica.prefix, replica.defaults, replica.stand_ins, replica.cloned)
    path = _facts_file(replica.folder)
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(msgspec.msgpack.encode(facts))
    os.replace(temporary, path)


def _facts_file(folder: Path) -> Path:
    return folder.with_name(folder.name + ".facts")
