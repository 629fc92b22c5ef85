"""What an attempt begins from: the newest checkpoint, with what its phase needs and is not merged yet.

Owns the commit that says so, where no checkpoint does. Must not know views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gitckpt.engine.arrival import Arrival, write_own
from gitckpt.engine.hold import Hold, open_pack
from gitckpt.engine.merge import rule_of
from gitckpt.model.advance import advance
from gitckpt.model.events import Event
from gitckpt.model.merging import Merged
from gitckpt.plumbing.three_way import merge
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.publish import Draft, checkpoint_of, write_commit


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What an attempt begins from. `of`: the attempts that are part of it and wait to be merged."""

    checkpoint: Checkpoint
    of: tuple[Arrival, ...] = ()

    @property
    def is_ahead(self) -> bool:
        """Whether it has more than the newest checkpoint."""
        return bool(self.of)


def start_of(hold: Hold, needed: Sequence[Arrival]) -> Start:
    """The newest checkpoint with the `needed` arrivals merged into it. Where they cannot be merged it is without those:
    the merge itself will say so, and what was begun meanwhile is merged after it."""
    if not needed:
        return Start(checkpoint=hold.at_tip)
    with open_pack(hold) as pack:
        content, used = hold.at_tip.content, list[Arrival]()
        for arrival in needed:
            if arrival.is_plain:
                used.append(arrival)
                continue
            write_own(hold, pack, arrival)
            merged = merge(
                hold.given.repository,
                hold.store.reader,
                pack,
                base=arrival.start.content,
                ours=content,
                theirs=arrival.content,
                rule_of=rule_of(hold),
            )
            if merged.content is not None:
                content = merged.content
                used.append(arrival)
        events: list[Event] = []
        for arrival in used:
            events += arrival.events
            if arrival.own is not None:
                events.append(Merged(at=hold.now(), phase=arrival.phase, own=arrival.own, start=arrival.start.oid))
        draft = Draft(
            parents=(hold.at_tip.oid, *(arrival.own for arrival in used if arrival.own)),
            content=content,
            manifest=advance(hold.at_tip.manifest, events),
            events=tuple(events),
            definition=hold.given.definition,
            is_beside=True,
            author=hold.signature(),
            committer=hold.signature(),
        )
        oid = write_commit(hold.store, pack, draft)
        pack.finish()
        hold.starts.append(pack)
        return Start(checkpoint=checkpoint_of(draft, oid), of=tuple(used))
