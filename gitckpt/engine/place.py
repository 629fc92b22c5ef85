"""gitckpt's folder for one workspace: the base, the journal, and where locks, cache, inbox and outputs lie.

Owns `workspace.json`, replaced atomically and fsynced: it says which checkpoint the workspace was last made equal to,
and what was under way. Must not decide anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import msgspec

from gitckpt.errors import ExitCode, GitckptError
from gitckpt.execute.processes import boot_id
from gitckpt.execute.stamp import STARTED
from gitckpt.model.codec import Damaged, dumps, loads
from gitckpt.model.manifest import Json
from gitckpt.model.names import LIVE_FOLDER, Oid, PhaseName, WorkflowName
from gitckpt.model.text import safe
from gitckpt.plumbing.durable import put_whole, sync_folder
from gitckpt.plumbing.repository import Repository

FLIGHT = "GITCKPT_FLIGHT"
"""The variable by which what a process asks for is known to come from one of several attempts of its phase."""


@dataclass(eq=False)
class CannotRecord(GitckptError):
    """gitckpt's own folder cannot be written."""

    path: str
    why: str

    exit_code = ExitCode.FAILED
    untouched = "nothing was changed"

    @property
    def message(self) -> str:
        return f"cannot write {self.path}: {self.why}"

    @property
    def hint(self) -> str:
        return "make room or fix the permissions, then run the command again"


@dataclass(eq=False)
class LeadsElsewhere(GitckptError):
    """A folder or file of gitckpt's own is a link, by which it would write somewhere else."""

    path: str

    exit_code = ExitCode.USAGE

    @property
    def message(self) -> str:
        return f"{safe(self.path)} is a link, and gitckpt writes there: it does not follow it; nothing was changed"

    @property
    def hint(self) -> str:
        return f"remove the link, then run the command again: rm {safe(shlex.quote(self.path))}"


def require_no_link(*paths: Path) -> None:
    """A repository from elsewhere may have a link where gitckpt writes. Raises LeadsElsewhere."""
    for path in paths:
        if path.is_symlink():
            raise LeadsElsewhere(str(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptUnderWay:
    """An attempt that has begun and has not landed. `items`: which it is at, for people; empty where it has none.
    `boot`: the machine's boot in which it began; empty where nobody knows."""

    workflow: WorkflowName
    phase: PhaseName
    number: int
    started: str
    items: str = ""
    boot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewUnderWay:
    """An attempt in a view of its own, from its begin until its changes are in the workspace.

    `view`: its folder's name; `start`: the commit that it began from; `first`: the index of the first of its items.
    `own`: the commit with what it did, once it has succeeded. `since`: the commit with what it had done at the last
    checkpoint that it asked for.
    """

    under_way: AttemptUnderWay
    view: str
    kind: Literal["overlay", "copy"]
    start: Oid
    first: int | None = None
    own: Oid | None = None
    since: Oid | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LandingUnderWay:
    """A checkpoint about to be published, after which the workspace goes from `before` to `to`. `kept_ref` is to
    name `before`; `ends_attempt`: the attempt under way ends with it; `stays`: the workspace need not go anywhere;
    `lags`: it stays at its base, and is brought there later; `ends_view`: the view of the attempt that ends with it;
    `boot`: in which boot of the machine that was; `undoes`: the checkpoint that is undone, whose arrival replaced what
    now comes back; `redates`: what an attempt did is put back, down to the dates of files; `then`, `younger`: see
    Dating."""

    workflow: WorkflowName
    to: Oid
    before: Oid
    kept_ref: str | None = None
    ends_attempt: bool = False
    ends_view: str | None = None
    stays: bool = False
    lags: bool = False
    boot: str = field(default_factory=boot_id)
    undoes: Oid | None = None
    redates: bool = False
    then: Oid | None = None
    younger: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """`workspace.json`. `bases`: for each workflow the checkpoint this workspace was last made equal to; `last`: the
    workflow that did so most recently; `told`: what was left out and has been said; `refs_moving`: refs are being moved
    outside a landing; `unconcluded`: the workflows whose run still owes the commands of `always`; `views`: the attempts
    in views of their own; `ahead`: the newest checkpoint of the workflow where the workspace, at its base, lags behind
    it because of such views; `ignored`: the number of the checkpoint in the making when ignored files were last seen to
    have changed."""

    schema: int = 1
    path: str = ""
    last: WorkflowName | None = None
    bases: Mapping[WorkflowName, Oid] = field(default_factory=dict)
    attempt: AttemptUnderWay | None = None
    landing: LandingUnderWay | None = None
    told: tuple[str, ...] = ()
    refs_moving: bool = False
    unconcluded: tuple[WorkflowName, ...] = ()
    views: tuple[ViewUnderWay, ...] = ()
    ahead: Mapping[WorkflowName, Oid] = field(default_factory=dict)
    ignored: Mapping[WorkflowName, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decided:
    """Which paths the user changed, as it was decided at `ns` (by the clock of the workspace's file system), before
    files of the attempt were moved away."""

    users: frozenset[bytes]
    ns: int


class Desk:
    """The files of one attempt beside its workspace: what it prints, what it is fed with, who its processes are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "output"
        self.validate_output = folder / "validate"
        self.feed = folder / "feed"
        self.started = folder / STARTED
        self._decided = folder / "decided"

    def counter(self, name: str) -> Path:
        """Where a counter's command prints its number."""
        return self.feed / f"counter-{name}"

    def validation(self, unit: int) -> Path:
        """Where the validation of one of several items or batches prints."""
        return self.feed / f"validate-{unit}"

    def clear(self) -> None:
        """Make ready for an attempt. A daemon that an earlier one left may still write into the old files."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.output.unlink(missing_ok=True)
        self.output.write_bytes(b"")
        self.validate_output.unlink(missing_ok=True)

    def begin(self) -> None:
        """As `clear`, for an attempt of which no process has run yet. To be called before it is journalled."""
        self.clear()
        self.started.unlink(missing_ok=True)
        self._decided.unlink(missing_ok=True)

    def decide(self, decided: Decided) -> None:
        """Note it durably. Raises CannotRecord."""
        temporary = self._decided.with_name("decided.new")
        try:
            temporary.write_bytes(b"\0".join((str(decided.ns).encode(), *sorted(decided.users))))
            put_whole(temporary, self._decided)
        except OSError as error:
            raise CannotRecord(str(self._decided), error.strerror or str(error)) from error

    def decided(self) -> Decided | None:
        """What was noted since the attempt began; None for nothing."""
        try:
            ns, *users = self._decided.read_bytes().split(b"\0")
        except FileNotFoundError:
            return None
        return Decided(frozenset(users), int(ns))

    def clear_feed(self) -> None:
        """An empty folder for what the attempt is fed with."""
        shutil.rmtree(self.feed, ignore_errors=True)
        self.feed.mkdir(exist_ok=True)


class Place:
    """The paths of one workspace, and its record."""

    def __init__(self, repository: Repository, root: Path) -> None:
        self.root = root
        self.live = root / LIVE_FOLDER
        name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
        self.owner = name
        self.home = repository.common_dir / "gitckpt"
        self.folder = self.home / "workspaces" / name
        self.inbox = self.folder / "inbox"
        self.cache = self.folder / "cache"
        self.desk = Desk(self.folder)
        self.lists = self.folder / "lists"
        self.views = self.folder / "views"
        self.replaced = self.folder / "replaced"
        self.lock = self.folder / "run.lock"
        self._record_path = self.folder / "workspace.json"

    def branch_lock(self, workflow: WorkflowName) -> Path:
        """The lock that a run of the workflow holds, whatever its workspace."""
        return self.home / "locks" / f"{workflow}.lock"

    def dates(self, workflow: WorkflowName) -> Path:
        """What is known of the dates that files had, between the checkpoints of the workflow."""
        return self.folder / "dates" / workflow

    def links(self, workflow: WorkflowName) -> Path:
        """Which names were one file, between the checkpoints of the workflow."""
        return self.folder / "links" / workflow

    def group_lock(self, group: str) -> Path:
        """The lock of a concurrency group, which any run of the repository may hold."""
        return self.home / "locks" / f"group-{hashlib.sha256(group.encode()).hexdigest()[:16]}"

    def make(self) -> None:
        """Make the folders, private to the user. Raises CannotRecord, LeadsElsewhere."""
        require_no_link(self.home, self.folder.parent, self.folder, self.inbox, self.home / "locks", self.lock)
        try:
            if not self.folder.is_dir():
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in (self.inbox, self.home / "locks"):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise CannotRecord(str(self.folder), error.strerror or str(error)) from error

    def read(self) -> Record:
        """The record; a fresh one where there is none. Raises Damaged."""
        try:
            data = self._record_path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return Record(path=os.fsdecode(os.fsencode(self.root)))
        try:
            return msgspec.convert(loads(data, str(self._record_path)), Record)
        except msgspec.ValidationError as error:
            raise Damaged(str(self._record_path), str(error)) from error

    def write(self, record: Record) -> None:
        """Replace the record durably. Raises CannotRecord."""
        plain: Json = msgspec.to_builtins(replace(record, path=self._shown()))
        temporary = self.folder / "workspace.json.new"
        try:
            temporary.write_bytes(dumps(plain))
            put_whole(temporary, self._record_path)
            sync_folder(self.folder)
        except OSError as error:
            raise CannotRecord(str(self._record_path), error.strerror or str(error)) from error

    def sweep(self) -> None:
        """Remove the unfinished files that a killed command left; only who holds the lock makes any."""
        for folder, pattern in ((self.folder, "cache.part"), (self.folder, "*.new"), (self.live, "*.new")):
            for path in folder.glob(pattern):
                with contextlib.suppress(OSError):
                    path.unlink()

    def others(self) -> list[Path]:
        """The lock files of other workspaces that lie above or below this one."""
        found = []
        for folder in sorted(self.folder.parent.glob("*/")):
            if folder.name == self.owner:
                continue
            try:
                record = loads((folder / "workspace.json").read_bytes(), "workspace.json")
            except (FileNotFoundError, NotADirectoryError, Damaged):
                continue
            path = Path(str(record.get("path"))) if isinstance(record, dict) else None
            if path and (path.is_relative_to(self.root) or self.root.is_relative_to(path)):
                found.append(folder / "run.lock")
        return found

    def _shown(self) -> str:
        return os.fsencode(self.root).decode(errors="backslashreplace")
