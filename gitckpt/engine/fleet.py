"""All attempts under way, and those that have ended and wait for their turn to be merged.

Owns what is in flight, in which order what has ended comes into the history, and what lies over the workspace until it
is applied. Must not judge how an attempt ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gitckpt.engine.agenda import Agenda
from gitckpt.engine.arrival import Arrival, foreseen
from gitckpt.engine.catch_up import catch_up, would_clash
from gitckpt.engine.dating import keep_dates
from gitckpt.engine.groups import Groups
from gitckpt.engine.hold import Hold
from gitckpt.engine.inflight import InFlight
from gitckpt.engine.layer import Layer
from gitckpt.engine.ports import Executor
from gitckpt.engine.settle import record_edits
from gitckpt.engine.undoing import Debts
from gitckpt.engine.views import Layers, remove_views
from gitckpt.model.manifest import Manifest
from gitckpt.model.moment import Asking, Begin, Closing, Compensating, Expiring, Some
from gitckpt.model.names import PhaseName
from gitckpt.model.schedule import Flying, Plan, may_land


class Fleet:
    """See the module. `aloft`: what is under way; `ready`: begun, and not yet started; `waiting`: ended well and not
    merged, in the order of merging; `unsettled`: phases among those that cannot be merged into the tip as it is;
    `is_overlooked`: the user may have edited what no attempt changed while some were in views."""

    def __init__(self, hold: Hold, agenda: Agenda, executor: Executor, plan: Plan) -> None:
        self.hold = hold
        self.agenda = agenda
        self.executor = executor
        self.plan = plan
        self.ready: list[InFlight] = []
        self.aloft: list[InFlight] = []
        self.waiting: list[Arrival] = []
        self.layers = Layers()
        self.is_overlooked = False
        self.groups = Groups(hold.place)
        self.debts = Debts(hold)
        self.unsettled: set[PhaseName] = set()
        self._uppers: dict[str, Layer] = {}
        self._unneeded: list[str] = []
        self._busy_since: dict[PhaseName, int] = {}

    def take_off(self, flights: Sequence[InFlight]) -> None:
        """These are under way."""
        self.aloft += flights
        for flight in flights:
            self._busy_since.setdefault(flight.phase.name, self.hold.clock.monotonic_ms())

    def come_down(self, flight: InFlight) -> None:
        """It has ended. Of items the time since another group of their phase ended is counted, where that still ran
        beside them: so all of them together count what the phase took."""
        self.aloft.remove(flight)
        name, now = flight.phase.name, self.hold.clock.monotonic_ms()
        since = self._busy_since.pop(name)
        if flight.view is not None and flight.indices:
            flight.busy_ms = now - since
        if any(other.phase.name == name for other in self.aloft):
            self._busy_since[name] = now

    def flying(self) -> tuple[Flying, ...]:
        """What is in flight, as decisions see it."""
        return tuple(flight.flying for flight in (*self.aloft, *self.ready))

    def run_no_more_at_once(self) -> None:
        """As many as are in flight now is the most that this call runs at once from here on."""
        self.plan = replace(self.plan, jobs=len(self.flying()))

    def foreseen(self) -> Manifest:
        """The manifest as it will be when all that waits is merged."""
        return foreseen(self.hold.at_tip.manifest, (arrival.events for arrival in self.waiting))

    def wait_for_turn(self, arrival: Arrival, layer: Layer | None) -> None:
        """It has ended well: it is merged when nothing that comes before it is live. Until it is applied, its layer
        lies over the workspace for attempts that begin later."""
        self.waiting.append(arrival)
        self.waiting.sort(key=self._place)
        if layer is not None:
            self._uppers[arrival.view] = layer

    def take_up(self, arrivals: Sequence[Arrival]) -> None:
        """These ended well in a run that died, and wait here, as they did there."""
        for arrival in arrivals:
            self.agenda.waits(arrival.phase, arrival.indices)
            self.wait_for_turn(arrival, None)
        self.is_overlooked = self.is_overlooked or bool(arrivals)

    def in_turn(self, live: Sequence[Flying]) -> list[Arrival]:
        """Those whose turn it is, in order."""
        found = []
        for arrival in self.waiting:
            if not may_land(self.plan, arrival.flying, live):
                break
            found.append(arrival)
        return found

    def _place(self, arrival: Arrival) -> tuple[int, bool, int]:
        return (self.plan.rank(arrival.phase), arrival.first is None, arrival.first or 0)

    def has_landed(self, arrival: Arrival, *, is_merged: bool) -> None:
        """It is part of the history now, or has failed to become it."""
        self.waiting.remove(arrival)
        self.unsettled.discard(arrival.phase)
        layer = self._uppers.pop(arrival.view, None)
        if layer is not None and is_merged:
            self.layers.landed.append(layer)

    def needed(self, step: Begin) -> list[Arrival]:
        """What a phase needs, and is not merged yet; of what closes a phase its own items, too."""
        if isinstance(step.work, Compensating):
            return []  # the workflow may not have its phase any more
        needs = {*self.plan.ancestors(step.phase), *([step.phase] if isinstance(step.work, Closing) else [])}
        return [arrival for arrival in self.waiting if arrival.phase in needs]

    def layers_of(self, arrivals: Sequence[Arrival]) -> list[Layer]:
        """The layers of attempts that wait."""
        return [self._uppers[each.view] for each in arrivals if each.view in self._uppers]

    def bring_workspace(self) -> None:
        """Bring the workspace to the tip, where it lags and no mounted view needs it as it is."""
        mounted = any(flight.view is not None and flight.view.kind == "overlay" for flight in self.aloft)
        # What clashes with the user's edits is asked about once, about all of it, when nothing runs any more.
        if self.hold.base is not None and not mounted and not (self.aloft and would_clash(self.hold)):
            still_used = {arrival.view for arrival in self.waiting} | {flight.name for flight in self.aloft}
            self._unneeded += catch_up(self.hold, still_used, [layer.made() for layer in self.layers.landed])
            self.layers.landed.clear()

    def clear_away(self) -> None:
        """Remove the folders of views that nobody needs any more: when attempts run, it costs nobody's time."""
        remove_views(self.hold, self._unneeded)
        self._unneeded.clear()

    def must_settle_first(self, step: Begin) -> bool:
        """Whether what is to begin in the workspace itself does not find all merged, nothing lagging, and the user's
        edits recorded."""
        if isinstance(step.work, Asking | Expiring):
            return False
        if isinstance(step.work, Compensating):
            return bool(self.waiting) or self.hold.base is not None or self.is_overlooked
        if self.plan.isolated(step.phase):
            return False
        return bool(self.before(step)) or self.hold.base is not None or self.is_overlooked

    def before(self, step: Begin) -> list[Arrival]:
        """What waits and comes before it in the workflow's order. What comes after goes on waiting: else the history's
        order would hang on what was done first."""
        if isinstance(step.work, Compensating):
            return list(self.waiting)
        first = step.work.group.first if isinstance(step.work, Some) else None
        place = (self.plan.rank(step.phase), first is None, first or 0)
        return [arrival for arrival in self.waiting if self._place(arrival) < place]

    def look_for_edits(self) -> None:
        """Record what the user did while attempts were in views: it was looked for only at paths that they changed."""
        if self.is_overlooked:
            record_edits(self.hold)
            keep_dates(self.hold, self.hold.at_tip.number)
            self.is_overlooked = False
