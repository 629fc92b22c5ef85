"""What a command that writes holds while it works: both locks, the store, the place, and what it was told.

Owns taking and giving back. `tip` and `record` change as checkpoints land; nothing else in the engine keeps state.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from gitckpt.engine.capturing import capture_rules
from gitckpt.engine.happened import Stand, happened
from gitckpt.engine.place import Place, Record, require_no_link
from gitckpt.engine.ports import Clock, Reporter
from gitckpt.errors import GitckptError, refusal
from gitckpt.execute.lock import Lock
from gitckpt.model.codec import require_writable
from gitckpt.model.manifest import Source
from gitckpt.model.names import Oid, WorkflowName
from gitckpt.model.text import safe
from gitckpt.model.workflow import Workflow
from gitckpt.plumbing.content import defaults_of
from gitckpt.plumbing.extra import Defaults, defaults_under
from gitckpt.plumbing.file_system import sync_tree
from gitckpt.plumbing.pack import Pack, sweep
from gitckpt.plumbing.reader import Reader, Signature
from gitckpt.plumbing.refs import remove_own_locks, remove_packed_lock
from gitckpt.plumbing.repository import Repository, require_git
from gitckpt.progress.events import Warned
from gitckpt.store import refs
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.publish import PROGRAM
from gitckpt.store.store import Store
from gitckpt.workspace import kinds
from gitckpt.workspace.carrying import Brought
from gitckpt.workspace.dates import Dates
from gitckpt.workspace.links import Links
from gitckpt.workspace.scan import ViewScan
from gitckpt.workspace.snapshot import Measure, Snapshot, measure, snapshot
from gitckpt.workspace.statcache import StatCache


@dataclass(eq=False)
class ReservedFolder(GitckptError):
    """The user has files of their own where the live folder must be."""

    path: str

    @property
    def message(self) -> str:
        return f"{self.path} holds files that are not gitckpt's, and that name is reserved for it"

    @property
    def hint(self) -> str:
        return "move them elsewhere (git mv, or mv), then run the command again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a command starts from: where the workspace is, and today's definition of the workflow."""

    repository: Repository
    root: Path
    prefix: bytes
    workflow: Workflow
    definition: bytes
    identity: tuple[str, str] | None
    source: Source
    environment: dict[str, str]


@dataclass(slots=True, kw_only=True)
class Hold:
    """See the module.

    `base`: what the workspace was last made equal to, where that is not the tip: attempts in views of their own still
    need it as it is. `sealed`: packs that are stored and not yet needed by any ref; the next landing lets go of them.
    `dropped`: paths that an edit of the user's has just taken out of what is captured.
    `unsynced`: whether files were found written, be it with the bytes that they had, and may not be on the disk yet.
    `starts`: those that attempts under way began from. `refused`: commits that could not be merged. `paused`: who asked
    the run to stop at the next boundary. `dates`, `links`: when files were written, and which are one. `ignored_at`:
    the number of the checkpoint in the making when this command last saw that ignored files had changed. `carried`: who
    brought which ignored files; `unjoined`: how many attempts had some that could not be joined with these.
    """

    given: Given
    store: Store
    place: Place
    record: Record
    cache: StatCache
    dates: Dates
    links: Links
    clock: Clock
    reporter: Reporter
    tip: Checkpoint | None = None
    base: Checkpoint | None = None
    told: set[str] = field(default_factory=set)
    sealed: list[Pack] = field(default_factory=list)
    starts: list[Pack] = field(default_factory=list)
    refused: set[Oid] = field(default_factory=set)
    packs_noted: int = 0
    paused: str | None = None
    unsynced: bool = False
    dropped: set[bytes] = field(default_factory=set)
    ignored_at: int | None = None
    carried: dict[bytes, Brought] = field(default_factory=dict)
    unjoined: int = 0

    @property
    def workflow(self) -> Workflow:
        """Today's definition."""
        return self.given.workflow

    @property
    def name(self) -> WorkflowName:
        """The workflow's name."""
        return self.given.workflow.workflow

    @property
    def at_tip(self) -> Checkpoint:
        """The newest checkpoint. Raises NoCheckpoints where there is none yet."""
        if self.tip is None:
            raise self.store.no_checkpoints()
        return self.tip

    def now(self) -> str:
        """The time for events: ISO 8601 with offset."""
        return self.clock.now().isoformat(timespec="seconds")

    def person(self) -> str:
        """The user's name for `author` fields."""
        return self.given.identity[0] if self.given.identity else "somebody"

    def signature(self) -> Signature:
        """The user as committer and author of edits; gitckpt where no user.name is set."""
        name, email = self.given.identity or PROGRAM
        now = self.clock.now()
        offset = now.utcoffset()
        minutes = int(offset.total_seconds() // 60) if offset else 0
        return Signature(name=name, email=email, seconds=int(now.timestamp()), offset_minutes=minutes)

    def write_record(self, record: Record) -> None:
        """Make the record durable, then believe it."""
        self.place.write(record)
        self.record = record


@contextmanager
def _told_as_facts() -> Iterator[None]:
    """What the machine refuses is a fact for the user; any other OSError is a bug and passes."""
    try:
        yield
    except OSError as error:
        fact = refusal(error)
        if fact is None:
            raise
        raise fact from error


@contextmanager
def held(given: Given, place: Place, clock: Clock, reporter: Reporter) -> Iterator[Hold]:
    """Take both locks and open the store. Raises Busy, BranchCheckedOut, ReservedFolder, CannotRecord,
    and MachineRefused for what the system refuses while it is held."""
    require_git()
    place.make()
    with _told_as_facts(), ExitStack() as stack:
        for path in (place.lock, *place.others(), place.branch_lock(given.workflow.workflow)):
            stack.enter_context(Lock.take(path))
        reader = stack.enter_context(Reader(given.repository))
        store = Store(given.repository, reader, given.workflow.workflow, given.prefix)
        store.require_writable()
        record = place.read()
        cache = StatCache.load(place.cache, given.repository.object_format)
        hold = Hold(
            given=given,
            store=store,
            place=place,
            record=record,
            told=set(record.told),
            cache=cache,
            dates=Dates(place.dates(given.workflow.workflow), cache.folders, cache.width),
            links=Links(place.links(given.workflow.workflow), cache.links),
            clock=clock,
            reporter=reporter,
        )
        prepare_live(place)
        hold.tip = store.tip()
        if hold.tip is not None:
            require_writable(hold.tip.manifest)
        found = Stand(hold.tip, record)
        try:
            with _told_as_facts():
                yield hold
        except GitckptError as error:
            with suppress(OSError, GitckptError):
                error.happened = happened(store, place, found, Stand(store.tip(), hold.record))
            raise
        finally:
            let_go(hold)
            let_starts_go(hold)


def prepare_live(place: Place) -> None:
    """Make the live folder with its `.gitignore`. Raises ReservedFolder (it holds a user's files), LeadsElsewhere."""
    ignore = place.live / ".gitignore"
    require_no_link(place.live, ignore)
    try:
        names = set(os.listdir(place.live))
    except FileNotFoundError:
        names = set()
    except NotADirectoryError:
        raise ReservedFolder(str(place.live)) from None
    if names - {".gitignore", "state.json", "stamp", "heartbeat", "tmp", "begin"} and ".gitignore" not in names:
        raise ReservedFolder(str(place.live))
    place.live.mkdir(exist_ok=True)
    if ".gitignore" not in names or not ignore.read_bytes().strip(b"\0"):
        # A power cut can leave it without its bytes, and then it hides nothing from the user's git.
        ignore.write_text("*\n")


def take_snapshot(hold: Hold, pack: Pack) -> Snapshot:
    """The workspace as it is, its new objects in `pack`; what was left out is said once a command."""
    given = hold.given
    known = hold.tip.content if hold.tip else None
    is_first = not hold.cache.folders
    found = snapshot(
        root=given.root,
        repository=given.repository,
        prefix=given.prefix,
        rules=capture_rules(given.workflow, given.environment),
        pack=pack,
        cache=hold.cache,
        defaults=workspace_defaults(hold),
        known=known,
        reader=hold.store.reader,
        held=hold.base.content if hold.base else known,
    )
    hold.unsynced = hold.unsynced or found.read > 0 or found.uncaptured.count > 0
    say_once(hold, found)
    # Where no scan was before, nobody knows since when ignored files are as they are.
    if found.uncaptured.count or (is_first and any(kinds.HIDDEN in each.kinds for each in hold.cache.folders.values())):
        hold.ignored_at = hold.tip.number + 1 if hold.tip else 1
    return found


def make_durable(hold: Hold) -> None:
    """Before anybody is told that the workspace is at a checkpoint: a file that a power cut makes shorter must not be
    taken for the user's edit of what the checkpoint holds, and the stat cache would not even know it for changed."""
    if hold.unsynced:
        sync_tree(hold.given.root)
        hold.unsynced = False


def take_measure(hold: Hold) -> Measure:
    """How much a first checkpoint would hold."""
    given = hold.given
    return measure(
        root=given.root,
        repository=given.repository,
        prefix=given.prefix,
        rules=capture_rules(given.workflow, given.environment),
    )


def workspace_defaults(hold: Hold) -> Defaults:
    """The modes that go without saying: those of checkpoint 1, before it those of today's umask."""
    if hold.tip is not None:
        return defaults_of(hold.store.reader, hold.tip.content)
    umask = os.umask(0o077)
    os.umask(umask)
    return defaults_under(umask)


def say_once(hold: Hold, found: Snapshot | ViewScan) -> None:
    """Name what no checkpoint holds, each once a command."""
    news = [(left.path, f"left out of checkpoints ({left.why})") for left in found.left_out]
    news += [(path, "cannot be kept (a socket or device)") for path in found.not_kept]
    news += [(path, "was changing while it was read; it is kept as it was read last") for path in found.unstable]
    for path, why in news:
        text = f"{safe(path)}: {why}"
        if text not in hold.told:
            hold.told.add(text)
            hold.reporter(Warned(text))


def open_pack(hold: Hold) -> Pack:
    """A pack of this workspace's own."""
    return Pack(hold.given.repository, hold.place.owner)


def seal(hold: Hold, pack: Pack) -> None:
    """Store a pack so that its objects can be read, and keep it from git's gc until the next landing."""
    pack.finish()
    if pack not in hold.sealed:
        hold.sealed.append(pack)


def let_go(hold: Hold) -> None:
    """Refs hold what is needed of the sealed packs now."""
    while hold.sealed:
        hold.sealed.pop().release()


def let_starts_go(hold: Hold) -> None:
    """What was begun from them is part of the history, or of nothing."""
    while hold.starts:
        hold.starts.pop().release()


def sweep_packs(hold: Hold) -> None:
    """Remove what this workspace's packs left when a command was killed, also before it had journalled anything."""
    sweep(hold.given.repository, hold.place.owner)


def sweep_locks(hold: Hold) -> None:
    """Remove the locks on refs that an unclean end left: those of this workflow, and of another that died landing."""
    died = hold.record.landing.workflow if hold.record.landing else hold.name
    with ExitStack() as stack:
        if died != hold.name:
            stack.enter_context(Lock.take(hold.place.branch_lock(died)))
        for name in {hold.name, died}:
            remove_own_locks(hold.given.repository, refs.branch(name), refs.tags(name), refs.others(name))
    if hold.record.refs_moving or hold.record.landing is not None:
        # A landing can delete refs, too: of what waited to be merged, of attempts that make room.
        remove_packed_lock(hold.given.repository, os.stat(hold.place.folder / "workspace.json").st_mtime_ns)


@contextmanager
def moving_refs(hold: Hold) -> Iterator[None]:
    """Journal that refs are moved outside a landing: what a kill leaves of their locks would block them for ever."""
    hold.write_record(replace(hold.record, refs_moving=True))
    try:
        yield
    finally:
        hold.write_record(replace(hold.record, refs_moving=False))


def with_base(hold: Hold, workflow: WorkflowName, tip: Checkpoint) -> Record:
    """The record once `tip` of a workflow has landed: the workspace equals it, or lags behind it at its base. Nothing
    is under way but attempts."""
    record = replace(hold.record, last=workflow, landing=None, told=tuple(sorted(hold.told)))
    record = with_ignored(hold, record)
    if hold.base is not None:
        return replace(record, ahead={**record.ahead, workflow: tip.oid})
    ahead = {name: oid for name, oid in record.ahead.items() if name != workflow}
    return replace(record, bases={**record.bases, workflow: tip.oid}, ahead=ahead)


def with_ignored(hold: Hold, record: Record) -> Record:
    """The record with what this command saw of ignored files."""
    if hold.ignored_at is None:
        return record
    return replace(record, ignored={**record.ignored, hold.name: hold.ignored_at})
