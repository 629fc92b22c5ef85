"""What an attempt begins from: the newest checkpoint, with what its phase needs and is not merged yet.

Owns the commit that says so, where no checkpoint does. Must not know views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gitckpt.engine.arrival import Arrival, write_own
from gitckpt.engine.hold import Hold, open_pack
from gitckpt.engine.merge import rule_of
from gitckpt.model.advance import IllegalEvent, advance
from gitckpt.model.events import Event
from gitckpt.model.merging import Merged
from gitckpt.model.names import PhaseName
from gitckpt.plumbing.three_way import merge
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.publish import Draft, checkpoint_of, write_commit


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What an attempt begins from. `of`: the attempts that are part of it and wait to be merged. `without`: what its
    phase needs and what cannot be part of it."""

    checkpoint: Checkpoint
    of: tuple[Arrival, ...] = ()
    without: tuple[PhaseName, ...] = ()

    @property
    def is_ahead(self) -> bool:
        """Whether it has more than the newest checkpoint."""
        return bool(self.of)


def start_of(hold: Hold, needed: Sequence[Arrival]) -> Start:
    """The newest checkpoint with the `needed` arrivals merged into it. Where one cannot be merged nothing is to begin
    on what is left: when its turn comes, its own merge says so."""
    if not needed:
        return Start(checkpoint=hold.at_tip)
    with open_pack(hold) as pack:
        content, events = hold.at_tip.content, list[Event]()
        for arrival in needed:
            events += arrival.events
            if arrival.is_plain:
                continue
            own = write_own(hold, pack, arrival)
            events.append(Merged(at=hold.now(), phase=arrival.phase, own=own, start=arrival.start.oid))
            merged = merge(
                hold.given.repository,
                hold.store.reader,
                pack,
                base=arrival.start.content,
                ours=content,
                theirs=arrival.content,
                rule_of=rule_of(hold),
            )
            if merged.content is None:
                return Start(checkpoint=hold.at_tip, without=(arrival.phase,))
            content = merged.content
        try:
            manifest = advance(hold.at_tip.manifest, events)
        except IllegalEvent:
            return Start(checkpoint=hold.at_tip, without=tuple(arrival.phase for arrival in needed))
        draft = Draft(
            parents=(hold.at_tip.oid, *(arrival.own for arrival in needed if arrival.own)),
            content=content,
            manifest=manifest,
            events=tuple(events),
            definition=hold.given.definition,
            is_beside=True,
            author=hold.signature(),
            committer=hold.signature(),
        )
        oid = write_commit(hold.store, pack, draft)
        pack.finish()
        hold.starts.append(pack)
        return Start(checkpoint=checkpoint_of(draft, oid), of=tuple(needed))
