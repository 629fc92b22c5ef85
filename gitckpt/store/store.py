"""One workflow's history in a repository: its branch, its tip, and everything kept beside it.

Owns reading: tip, history, attempts, rescues. Must not know how the workspace is walked or a phase is run. Writing is
`publish`, in its own module.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.manifest import Manifest
from gitckpt.model.names import Oid, PhaseName, WorkflowName
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.refs import list_refs, resolve, rev_list
from gitckpt.plumbing.repository import Repository, checked_out_branches
from gitckpt.store import attempts, refs
from gitckpt.store.checkpoint import (
    Checkpoint,
    Folder,
    NotACheckpoint,
    folder,
    output_of,
    own_file,
    read_checkpoint,
    read_manifest,
)


@dataclass(eq=False)
class BranchCheckedOut(GitckptError):
    """A worktree's HEAD is on a checkpoint branch: a commit there would be the user's, not ours."""

    branch: str

    exit_code = ExitCode.CONFLICT

    @property
    def message(self) -> str:
        return f"a worktree has {self.branch.removeprefix('refs/heads/')} checked out, a branch that gitckpt writes"

    @property
    def hint(self) -> str:
        return "leave it first: git switch YOUR-BRANCH (to keep work begun there: git switch -c NEW-BRANCH)"


@dataclass(eq=False)
class OtherPlace(GitckptError):
    """The same workflow name is in use for another folder of the repository."""

    workflow: str
    theirs: str
    ours: str

    exit_code = ExitCode.CONFLICT

    @property
    def message(self) -> str:
        return f"workflow {self.workflow} belongs to the folder {self.theirs or 'at the top'} of this repository"

    @property
    def hint(self) -> str:
        last = self.ours.rsplit("/", 1)[-1] or "top"
        name = "".join(c if c.isalnum() or c in "._-" else "-" for c in last)
        return f"give this one a name of its own, for example `workflow: {self.workflow}-{name}`"


@dataclass(eq=False)
class NoCheckpoints(GitckptError):
    """There is no history yet."""

    workflow: str

    @property
    def message(self) -> str:
        return f"workflow {self.workflow} has no checkpoints yet"

    @property
    def hint(self) -> str:
        return "start it: gitckpt run"


@dataclass(frozen=True, slots=True)
class Kept:
    """A commit beside the branch: an attempt, or rescued work."""

    number: int
    oid: Oid


class Store:
    """The checkpoints of one workflow. `prefix`: the workspace's folder in the repository, `b""` at its top."""

    def __init__(self, repository: Repository, reader: Reader, workflow: WorkflowName, prefix: bytes) -> None:
        self.repository = repository
        self.reader = reader
        self.workflow = workflow
        self.prefix = prefix
        self.branch = refs.branch(workflow)

    def tip_oid(self) -> Oid | None:
        """The newest checkpoint's commit."""
        return resolve(self.repository, self.branch)

    def tip(self) -> Checkpoint | None:
        """The newest checkpoint. Raises NotACheckpoint, Damaged, OtherPlace."""
        oid = self.tip_oid()
        return None if oid is None else self.checkpoint_at_tip(oid)

    def checkpoint_at_tip(self, oid: Oid) -> Checkpoint:
        """A tip as a checkpoint of this very workspace folder. Raises as `tip`."""
        try:
            return self.read(oid)
        except NotACheckpoint:
            self._refuse_other_place(oid)
            raise

    def read(self, oid: Oid) -> Checkpoint:
        """A checkpoint, attempt or rescue by its commit."""
        return read_checkpoint(self.reader, oid, self.prefix)

    def manifest(self, oid: Oid) -> Manifest:
        """Only the manifest."""
        return read_manifest(self.reader, oid, self.prefix)

    def definition(self, oid: Oid) -> bytes:
        """`definition.json` of a checkpoint."""
        return own_file(self.reader, self._folder(oid), oid, b"definition.json")

    def output(self, oid: Oid, phase: PhaseName) -> bytes | None:
        """A phase's captured output as of a checkpoint or attempt."""
        return output_of(self.reader, oid, self.prefix, phase)

    def _folder(self, oid: Oid) -> Folder:
        commit = self.reader.commit(oid)
        if commit is None:
            raise NotACheckpoint(oid, "there is no such commit")
        return folder(self.reader, commit, self.prefix)

    def ids(self, tip: Oid | None = None) -> list[Oid]:
        """The commits along first parents, newest first."""
        start = tip or self.tip_oid()
        return rev_list(self.repository, start) if start else []

    def numbered(self, number: int) -> Oid | None:
        """The checkpoint of that number on the branch."""
        tip = self.tip_oid()
        back = self.manifest(tip).sequence - number if tip else -1
        ids = self.ids(tip)
        return ids[back] if 0 <= back < len(ids) else None

    def history(self, tip: Oid | None = None) -> Iterator[Checkpoint]:
        """The checkpoints, newest first."""
        return (self.read(oid) for oid in self.ids(tip))

    def attempt(self, phase: PhaseName, number: int) -> Oid | None:
        """One kept attempt of a phase."""
        newest = attempts.referred(self.repository, self.workflow, phase)
        return newest.get(number) or self._chained(phase, newest).get(number)

    def attempts(self, phase: PhaseName) -> dict[int, Oid]:
        """A phase's kept attempts by number."""
        newest = attempts.referred(self.repository, self.workflow, phase)
        return {**self._chained(phase, newest), **newest}

    def all_attempts(self) -> dict[tuple[PhaseName, int], Oid]:
        """Every kept attempt of every phase."""
        start = f"{refs.OTHERS}{self.workflow}/attempts/"
        phases = {name.removeprefix(start).rpartition("/")[0] for name in list_refs(self.repository, start)}
        named = (PhaseName(phase) for phase in sorted(phases))
        return {(phase, number): oid for phase in named for number, oid in self.attempts(phase).items()}

    def attempt_commits(self) -> list[Oid]:
        """The commits of all kept attempts, also of those that cannot be read."""
        newest = list(list_refs(self.repository, f"{refs.OTHERS}{self.workflow}/attempts/").values())
        return [*newest, *attempts.behind(self.reader, newest)]

    def _chained(self, phase: PhaseName, newest: dict[int, Oid]) -> dict[int, Oid]:
        """The attempts without a ref; there are none as long as no number is above the limit."""
        if max(newest, default=0) <= attempts.REFS:
            return {}
        oids = attempts.behind(self.reader, newest.values())
        numbered = ((attempts.number_of(self.reader, oid, self.prefix, phase), oid) for oid in oids)
        return {number: oid for number, oid in numbered if number is not None}

    def rescues(self) -> dict[int, Oid]:
        """Rescued work by number."""
        return _numbered(self.repository, refs.rescues(self.workflow))

    def diverged(self) -> dict[int, Oid]:
        """Histories put aside, by number."""
        return _numbered(self.repository, refs.diverged(self.workflow))

    def tags(self) -> dict[str, Oid]:
        """This workflow's tags by their last component."""
        start = f"{refs.TAGS}{self.workflow}/"
        return {name.removeprefix(start): oid for name, oid in list_refs(self.repository, start).items()}

    def elsewhere(self) -> dict[str, Oid]:
        """The branch as remotes have it: remote name to commit."""
        end = f"/gitckpt/{self.workflow}"
        found = list_refs(self.repository, "refs/remotes/")
        return {
            name.removeprefix("refs/remotes/").removesuffix(end): oid
            for name, oid in found.items()
            if name.endswith(end)
        }

    def require_writable(self) -> None:
        """Raises BranchCheckedOut when a worktree's HEAD is on any checkpoint branch."""
        for name in sorted(checked_out_branches(self.repository)):
            if name.startswith(refs.BRANCHES):
                raise BranchCheckedOut(name)

    def _refuse_other_place(self, oid: Oid) -> None:
        commit = self.reader.commit(oid)
        place = find_place(self.reader, commit.tree) if commit else None
        if place is not None and place != self.prefix:
            raise OtherPlace(self.workflow, place.decode(errors="replace"), self.prefix.decode(errors="replace"))


def find_place(reader: Reader, tree: bytes) -> bytes | None:
    """The folder of a checkpoint's workspace: only one path leads to a `.gitckpt`, and nothing lies beside it."""
    parts: list[bytes] = []
    while True:
        entries = reader.tree(tree)
        if b".gitckpt" in entries:
            return b"/".join(parts)
        if len(entries) != 1:
            return None
        ((name, entry),) = entries.items()
        if entry.mode != 0o40000:
            return None
        parts.append(name)
        tree = entry.oid


def _numbered(repository: Repository, start: str) -> dict[int, Oid]:
    found = list_refs(repository, start)
    return {int(name.removeprefix(start)): oid for name, oid in found.items() if name.removeprefix(start).isdigit()}
