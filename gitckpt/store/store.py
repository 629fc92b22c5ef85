"""One workflow's history in a repository: its branch, its tip, and everything kept beside it.

Owns reading: tip, history, attempts, rescues. Must not know how the workspace is walked or a phase is run. Writing is
`publish`, in its own module.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.events import Event
from gitckpt.model.events_codec import decode_events
from gitckpt.model.names import Oid, PhaseName
from gitckpt.plumbing.refs import list_refs
from gitckpt.plumbing.repository import Repository, checked_out_branches
from gitckpt.store import attempts, refs
from gitckpt.store.branch import Branch
from gitckpt.store.checkpoint import Checkpoint, read_checkpoint
from gitckpt.store.layout import NotACheckpoint, output_of, read_own


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


@dataclass(frozen=True, slots=True)
class Kept:
    """A commit beside the branch: an attempt, or rescued work."""

    number: int
    oid: Oid


class Store(Branch):
    """The checkpoints of one workflow, with their files and events, and what is kept beside the branch."""

    def tip(self) -> Checkpoint | None:
        """The newest checkpoint. Raises NotACheckpoint, Damaged, OtherPlace."""
        oid = self.tip_oid()
        return None if oid is None else self.checkpoint_at_tip(oid)

    def checkpoint_at_tip(self, oid: Oid) -> Checkpoint:
        """A tip as a checkpoint of this very workspace folder. Raises as `tip`."""
        try:
            return self.read(oid)
        except NotACheckpoint:
            self.refuse_other_place(oid)
            raise

    def read(self, oid: Oid) -> Checkpoint:
        """A checkpoint, attempt or rescue by its commit."""
        return read_checkpoint(self.reader, oid, self.prefix)

    def events(self, oid: Oid, words: Sequence[bytes] = (b"",)) -> tuple[Event, ...]:
        """What a checkpoint says has happened, where its state cannot be read, too; nothing where none of the words
        stands in it: of ten thousand checkpoints most say nothing of what is looked for. Raises as `read`."""
        data = read_own(self.reader, oid, self.prefix, "events.json")
        if not any(word in data for word in words):
            return ()
        return decode_events(data, f"events.json of {oid[:12]}")

    def output(self, oid: Oid, phase: PhaseName) -> bytes | None:
        """A phase's captured output as of a checkpoint or attempt."""
        return output_of(self.reader, oid, self.prefix, phase)

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

    def require_writable(self) -> None:
        """Raises BranchCheckedOut when a worktree's HEAD is on any checkpoint branch."""
        for name in sorted(checked_out_branches(self.repository)):
            if name.startswith(refs.BRANCHES):
                raise BranchCheckedOut(name)


def _numbered(repository: Repository, start: str) -> dict[int, Oid]:
    found = list_refs(repository, start)
    return {int(name.removeprefix(start)): oid for name, oid in found.items() if name.removeprefix(start).isdigit()}
