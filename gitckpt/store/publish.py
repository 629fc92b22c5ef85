"""Making a checkpoint: its commit in a pack, then all refs in one compare-and-swap.

Owns the commit's layout when written, its message, and the one transaction. Must not know why a checkpoint is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gitckpt.errors import RefBlocked, RefMoved
from gitckpt.model.advance import advance
from gitckpt.model.codec import encode_manifest
from gitckpt.model.events import Event
from gitckpt.model.events_codec import encode_events
from gitckpt.model.manifest import Manifest
from gitckpt.model.names import Oid, PhaseName
from gitckpt.model.title import title
from gitckpt.plumbing.content import Content, nest
from gitckpt.plumbing.fresh import Fresh
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Signature, TreeEntry
from gitckpt.plumbing.refs import RefUpdate, transact
from gitckpt.store import refs
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.law_of_items import items_before
from gitckpt.store.layout import FILE, FOLDER, TREE, folder
from gitckpt.store.shards import items_after
from gitckpt.store.store import Store

PROGRAM = ("gitckpt", "gitckpt@localhost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A commit to be: `parents[0]` is the checkpoint before; `outputs` replace those of its phases;
    `mtimes` is the tree of its files' times, where they are kept. One that
    `is_beside` the branch has a number that says nothing, and its subject none."""

    parents: tuple[Oid, ...]
    content: Content
    manifest: Manifest
    events: tuple[Event, ...]
    definition: bytes
    outputs: Mapping[PhaseName, bytes] = field(default_factory=dict)
    mtimes: bytes | None = None
    is_beside: bool = False
    author: Signature
    committer: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A commit in a pack that may not be readable yet, with what the next one takes over from it: the folder of items
    and the captured outputs."""

    oid: Oid
    items: bytes | None
    outputs: Mapping[bytes, TreeEntry]


def write_commit(store: Store, pack: Pack, draft: Draft) -> Oid:
    """Put the draft's commit, and every tree above its content, into the pack."""
    return write_after(store, pack, draft, None).oid


def write_after(store: Store, pack: Pack, draft: Draft, before: Written | None) -> Written:
    """As `write_commit`, for a draft whose first parent is `before`, a commit of the same pack."""
    own: list[tuple[bytes, int, bytes]] = [
        (b"state.json", FILE, pack.blob(encode_manifest(draft.manifest))),
        (b"events.json", FILE, pack.blob(encode_events(draft.events))),
        (b"definition.json", FILE, pack.blob(draft.definition)),
    ]
    for name, tree in ((b"extra", draft.content.extra), (b"escaped", draft.content.escaped)):
        if tree is not None:
            own.append((name, TREE, tree))
    if draft.mtimes is not None:
        own.append((b"mtimes", TREE, draft.mtimes))
    base = items_before(store, draft.parents, draft.events) if before is None else before.items
    items = items_after(Fresh(store.reader, pack), pack, base, draft.events, draft.manifest.sequence)
    if items is not None:
        own.append((b"items", TREE, items))
    outputs = {**(_outputs_of(store, draft) if before is None else before.outputs), **_own_outputs(pack, draft)}
    if outputs:
        own.append((b"output", TREE, pack.tree([(name, e.mode, e.oid) for name, e in outputs.items()])))
    top = pack.written_tree(draft.content.files) or store.reader.tree(draft.content.files)
    files = [(name, entry.mode, entry.oid) for name, entry in top.items()]
    store.reader.know_tree(draft.content.files, top)  # no commit holds this tree, so git may drop it
    root = nest(pack, store.prefix, [*files, (FOLDER, TREE, pack.tree(own))])
    oid = pack.commit(
        tree=root,
        parents=draft.parents,
        author=draft.author,
        committer=draft.committer,
        message=_message(draft),
    )
    return Written(oid=oid, items=items, outputs=outputs)


def publish(
    store: Store, pack: Pack, *, tip: Checkpoint | None, draft: Draft, oid: Oid, beside: Sequence[RefUpdate] = ()
) -> Checkpoint:
    """Move the branch from `tip` to the written commit, with its tag and the refs `beside`, all or nothing.

    Raises RefMoved when the branch is not at `tip` any more, and leaves everything as it was.
    """
    return publish_all(store, pack, tip=tip, drafts=((draft, oid),), beside=beside)[-1]


def publish_all(
    store: Store,
    pack: Pack,
    *,
    tip: Checkpoint | None,
    drafts: Sequence[tuple[Draft, Oid]],
    beside: Sequence[RefUpdate] = (),
) -> list[Checkpoint]:
    """As `publish`, for commits that follow one another; the branch goes to the last of them, all or nothing. Without
    any only the refs `beside` move."""
    made: list[Checkpoint] = []
    before = tip
    for draft, oid in drafts:
        if draft.manifest != advance(before.manifest if before else None, draft.events):
            raise AssertionError("a checkpoint's manifest must follow from its parent's and its events")
        before = checkpoint_of(draft, oid)
        made.append(before)
    updates = [*([RefUpdate(store.branch, made[-1].oid, tip.oid if tip else None)] if made else []), *beside]
    tags = [tag for draft, oid in drafts if (tag := _tag(store, draft, oid)) is not None]
    pack.finish()
    newest = drafts[-1][0] if drafts else None
    reason = f"gitckpt: {subject_of(newest.manifest, newest.events)}" if newest else "gitckpt: kept"
    while True:
        try:
            transact(store.repository, [*updates, *tags], reason)
            break
        except (RefMoved, RefBlocked) as refused:
            # A tag in the way (from a clone, or made by hand) is left alone: nothing relies on ours.
            others = [tag for tag in tags if tag.name != refused.name]
            if len(others) == len(tags):
                raise
            tags = others
    pack.release()
    return made


def checkpoint_of(draft: Draft, oid: Oid) -> Checkpoint:
    """The written draft as a checkpoint."""
    return Checkpoint(
        oid=oid,
        parents=draft.parents,
        content=draft.content,
        manifest=draft.manifest,
        events=draft.events,
        author=draft.author.name,
        seconds=draft.author.seconds,
        offset_minutes=draft.author.offset_minutes,
    )


def subject_of(manifest: Manifest, events: Sequence[Event]) -> str:
    """The first line of a checkpoint's message: `0012 load done`."""
    named = title(events)
    words = (f"{manifest.sequence:04d}", named.phase or named.kind, named.status, named.detail)
    return _one_line(" ".join(word for word in words if word))[:200]


def _message(draft: Draft) -> str:
    text = message_of(draft.manifest, draft.events)
    return text.partition(" ")[2] if draft.is_beside else text


def message_of(manifest: Manifest, events: Sequence[Event]) -> str:
    """Subject and trailers. The trailers are for people and `git log --grep`, never read back."""
    named = title(events)
    trailers = {
        "Workflow": manifest.workflow,
        "Run": manifest.run,
        "Sequence": str(manifest.sequence),
        "Phase": named.phase or "",
        "Kind": named.kind,
        "Status": named.status,
    }
    lines = [f"Gitckpt-{key}: {_one_line(value)}" for key, value in trailers.items() if value]
    return f"{subject_of(manifest, events)}\n\n" + "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _tag(store: Store, draft: Draft, oid: Oid) -> RefUpdate | None:
    """Completions and named checkpoints get a tag."""
    name = refs.tag_of(store.workflow, draft.manifest.sequence, title(draft.events))
    return RefUpdate(name, oid, None) if name else None


def _outputs_of(store: Store, draft: Draft) -> Mapping[bytes, TreeEntry]:
    """`output/` as the first parent has it."""
    if not draft.parents:
        return {}
    parent = store.reader.commit(draft.parents[0])
    entry = folder(store.reader, parent, store.prefix).own.get(b"output") if parent else None
    return store.reader.tree(entry.oid) if entry else {}


def _own_outputs(pack: Pack, draft: Draft) -> dict[bytes, TreeEntry]:
    """`<phase>/log` of each phase that the draft has an output of."""
    return {
        phase.encode(): TreeEntry(TREE, pack.tree([(b"log", FILE, pack.blob(data))]))
        for phase, data in draft.outputs.items()
    }
