"""A history written by hand, straight through the store: no workflow file, no phases, no workspace.

Owns how a test makes a checkpoint of any events and files in one line. Must not know any scenario.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gitckpt.model.advance import advance
from gitckpt.model.events import Event
from gitckpt.model.manifest import Manifest
from gitckpt.model.names import Oid, PhaseName, WorkflowName
from gitckpt.plumbing.content import Content
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Reader, Signature
from gitckpt.plumbing.refs import RefUpdate, transact
from gitckpt.plumbing.repository import Repository, discover
from gitckpt.store import refs
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.layout import FILE
from gitckpt.store.publish import Draft, publish, write_commit
from gitckpt.store.store import Store
from tests.repo import Repo

ANN = Signature(name="Ann", email="ann@example.org", seconds=1_700_000_000, offset_minutes=60)
DEFINITION = b'{"schema": 1}\n'
W = WorkflowName("w")


class Ledger:
    """A store of the repository, with a reader of its own: what another process would be."""

    def __init__(self, repo: Repo, prefix: bytes = b"", workflow: WorkflowName = W) -> None:
        self.repository: Repository = discover(repo.path)
        self.reader = Reader(self.repository)
        self.store = Store(self.repository, self.reader, workflow, prefix)

    def add(
        self, *events: Event, files: Mapping[bytes, bytes] | None = None, tip: Checkpoint | None = None
    ) -> Checkpoint:
        """One more checkpoint after the tip (or after `tip`, as a writer that is behind would)."""
        before = tip or self.store.tip()
        manifest = advance(before.manifest if before else None, events)
        with Pack(self.repository, "test") as pack:
            draft = self.draft(pack, before, manifest, events, files)
            oid = write_commit(self.store, pack, draft)
            return publish(self.store, pack, tip=before, draft=draft, oid=oid)

    def draft(
        self,
        pack: Pack,
        before: Checkpoint | None,
        manifest: Manifest,
        events: Sequence[Event],
        files: Mapping[bytes, bytes] | None = None,
        outputs: Mapping[PhaseName, bytes] | None = None,
    ) -> Draft:
        """A commit to be, after `before`; without `files` it holds those of `before`."""
        if files is not None or before is None:
            listed = [(name, FILE, pack.blob(data)) for name, data in (files or {}).items()]
            content = Content(files=pack.tree(listed))
        else:
            content = before.content
        return Draft(
            parents=(before.oid,) if before else (),
            content=content,
            manifest=manifest,
            events=tuple(events),
            definition=DEFINITION,
            outputs=outputs or {},
            author=ANN,
            committer=ANN,
        )

    def beside(self, ref: str, *events: Event, files: Mapping[bytes, bytes]) -> Oid:
        """A commit that only `ref` names: an attempt's leavings, rescued work, a history put aside."""
        tip = self.store.tip()
        assert tip is not None
        with Pack(self.repository, "test") as pack:
            oid = write_commit(self.store, pack, self.draft(pack, tip, tip.manifest, events, files))
            pack.finish()
            transact(self.repository, [RefUpdate(ref, oid, None)], "test")
        return oid

    def attempt(self, phase: str, number: int, event: Event, files: Mapping[bytes, bytes]) -> Oid:
        """What an attempt left."""
        return self.beside(refs.attempt(W, PhaseName(phase), number), event, files=files)

    def forge(self, change: Mapping[str, object], *events: Event) -> Oid:
        """A commit on the branch whose manifest says what its events do not: nobody's `publish` makes one."""
        before = self.store.tip()
        assert before is not None
        manifest = replace(advance(before.manifest, events), **change)  # type: ignore[arg-type]
        with Pack(self.repository, "test") as pack:
            oid = write_commit(self.store, pack, self.draft(pack, before, manifest, events))
            pack.finish()
            transact(self.repository, [RefUpdate(self.store.branch, oid, before.oid)], "forged")
        return oid
