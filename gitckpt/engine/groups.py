"""Concurrency groups: of the phases in one, only one runs at a time, in whatever run of the repository.

Owns the locks that this run holds, and who has the others. The kernel frees them when a run dies.
"""

from __future__ import annotations

from gitckpt.engine.inflight import InFlight
from gitckpt.engine.place import Place
from gitckpt.errors import Busy, Holder
from gitckpt.execute.lock import Lock, holder
from gitckpt.model.names import PhaseName
from gitckpt.model.workflow import Phase


def who_has(place: Place, group: str) -> str | None:
    """Who has the group now, in words; None where nobody has."""
    who = holder(place.group_lock(group))
    return None if who is None else _said(who)


def _said(who: Holder | None) -> str:
    return f"process {who.pid} ({who.command})" if who and who.pid else "another run"


class Groups:
    """See the module. `held`: groups that other runs had when they were last asked for, and who they are; `told`: the
    phases that wait for one, and for whom they were last said to wait."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._ours: dict[str, Lock] = {}
        self._users: dict[str, int] = {}
        self.held: dict[str, str] = {}
        self.told: dict[PhaseName, str] = {}

    def take(self, group: str | None) -> bool:
        """Hold the group for one more attempt; False where another run has it."""
        if group is None:
            return True
        if group not in self._ours:
            try:
                self._ours[group] = Lock.take(self._place.group_lock(group))
            except Busy as busy:
                self.held[group] = _said(busy.holder)
                return False
        self._users[group] = self._users.get(group, 0) + 1
        return True

    def descriptors(self, group: str | None) -> tuple[int, ...]:
        """The lock that this run has of the group, for those who hold it, too."""
        return (self._ours[group].fileno(),) if group in self._ours else ()

    def news(self, phase: Phase) -> str | None:
        """What a phase that did not get its group waits for; None where that was said already."""
        who = self.held[phase.concurrency or ""]
        if self.told.get(phase.name) == who:
            return None
        self.told[phase.name] = who
        return f"until {who} lets go of the concurrency group {phase.concurrency}"

    def let_go(self, flight: InFlight) -> None:
        """An attempt has ended."""
        self.give_back(flight.phase.concurrency)

    def give_back(self, group: str | None) -> None:
        """An attempt that was to hold it does not any more."""
        if group not in self._users:
            return
        self._users[group] -= 1
        if not self._users[group]:
            del self._users[group]
            self._ours.pop(group).release()

    def close(self) -> None:
        """Give back what is held."""
        while self._ours:
            self._ours.popitem()[1].release()
        self._users.clear()
