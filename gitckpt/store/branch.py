"""A workflow's branch: its newest checkpoint, and where things stood at any of them.

Owns what can be told from manifests alone, so it loads neither events nor the files of a workspace. Must not know the
rest of history: that is the store's.
"""

from __future__ import annotations

from dataclasses import dataclass

from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.manifest import Manifest
from gitckpt.model.names import Oid, WorkflowName
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.refs import list_refs, resolve, rev_list
from gitckpt.plumbing.repository import Repository
from gitckpt.store import refs
from gitckpt.store.layout import NotACheckpoint, commit_of, read_manifest, read_own


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
    """There is no history yet, or only on `remotes`."""

    workflow: str
    remotes: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        if self.remotes:
            return f"workflow {self.workflow} has no checkpoints here; its history is on {', '.join(self.remotes)}"
        return f"workflow {self.workflow} has no checkpoints yet"

    @property
    def hint(self) -> str:
        if self.remotes:
            return (
                "take the newest checkpoint (your files are rescued first): gitckpt rollback latest\n"
                f"or take these files as the newest edit: gitckpt adopt {self.remotes[0]}"
            )
        return "start it: gitckpt run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point of a history, as far as its manifest tells. A checkpoint is one with its files and events."""

    oid: Oid
    manifest: Manifest

    @property
    def number(self) -> int:
        """1 + the first parent's."""
        return self.manifest.sequence


class Branch:
    """The branch of one workflow. `prefix`: the workspace's folder in the repository, `b""` at its top."""

    def __init__(self, repository: Repository, reader: Reader, workflow: WorkflowName, prefix: bytes) -> None:
        self.repository = repository
        self.reader = reader
        self.workflow = workflow
        self.prefix = prefix
        self.branch = refs.branch(workflow)

    def tip_oid(self) -> Oid | None:
        """The newest checkpoint's commit."""
        return resolve(self.repository, self.branch)

    def newest(self) -> Point | None:
        """The newest checkpoint as a point. Raises NotACheckpoint, Damaged, OtherPlace."""
        oid = self.tip_oid()
        if oid is None:
            return None
        try:
            manifest = self.manifest(oid)
        except NotACheckpoint:
            self.refuse_other_place(oid)
            raise
        return Point(oid=oid, manifest=manifest)

    def manifest(self, oid: Oid) -> Manifest:
        """Only the manifest. Raises NotACheckpoint, Damaged."""
        return read_manifest(self.reader, oid, self.prefix)

    def definition(self, oid: Oid) -> bytes:
        """`definition.json` of a checkpoint."""
        return read_own(self.reader, oid, self.prefix, "definition.json")

    def made_at(self, oid: Oid) -> int:
        """When a checkpoint was made, in seconds since 1970. Raises NotACheckpoint."""
        return commit_of(self.reader, oid).author.seconds

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

    def no_checkpoints(self) -> NoCheckpoints:
        """The error for a branch that is not here; it names the remotes that have it."""
        return NoCheckpoints(self.workflow, tuple(sorted(self.elsewhere())))

    def elsewhere(self) -> dict[str, Oid]:
        """The branch as remotes have it: remote name to commit."""
        end = f"/gitckpt/{self.workflow}"
        found = list_refs(self.repository, "refs/remotes/")
        return {
            name.removeprefix("refs/remotes/").removesuffix(end): oid
            for name, oid in found.items()
            if name.endswith(end)
        }

    def refuse_other_place(self, oid: Oid) -> None:
        """Raises OtherPlace when the commit is a checkpoint of another folder."""
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
