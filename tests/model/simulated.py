"""The loop of a run without its effects: decide, an outcome from a script, judge, advance. Owns the pretended moment.

What a run does with files is tested elsewhere; here only the order of things is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from gitckpt.model.advance import advance
from gitckpt.model.decide import decide
from gitckpt.model.manifest import Manifest, state_of
from gitckpt.model.moment import Await, Begin, Limits, Moment, Return, Step, Stop, Tried
from gitckpt.model.names import PhaseName
from gitckpt.model.outcome import Attempt, CutOff, Failed, Outcome, Refused, Succeeded, Unwanted, judge
from gitckpt.model.workflow import Workflow, digest, phase
from tests.model.made import AT

End = Literal["ok", "fails", "not wanted", "blocked"]
Script = Callable[[PhaseName, int], End]
"""How try number n (from 1 on, in this call) of a phase ends."""

MANY = 500


@dataclass(slots=True)
class Simulated:
    """One call of `run`: what it began, in order, and where it ended."""

    workflow: Workflow
    manifest: Manifest
    script: Script
    limits: Limits = field(default_factory=Limits)
    began: list[PhaseName] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    before: list[Manifest] = field(default_factory=list)

    def run(self) -> Stop:
        """Until the loop stops; a loop that does not is a failure."""
        moment = Moment(limits=self.limits)
        for _ in range(MANY):
            step = decide(self.workflow, self.manifest, (), moment)
            self.steps.append(step)
            match step:
                case Stop():
                    return step
                case Return():
                    raise AssertionError("none of these workflows goes back")
                case Await(until_ms=until):
                    assert until is not None
                    assert until > moment.now_ms, "waiting for what has come already"
                    moment = replace(moment, now_ms=until)
                case Begin(phase=name):
                    self.began.append(name)
                    self.before.append(self.manifest)
                    moment = self._end_of(name, moment)
        raise AssertionError(f"{MANY} steps and no end: {self.steps[-3:]}")

    def _end_of(self, name: PhaseName, moment: Moment) -> Moment:
        tried = moment.tried.get(name, Tried(count=0, ready_ms=None))
        end = self.script(name, tried.count + 1)
        events = judge(self.manifest, self._outcome(name, end))
        if events:
            self.manifest = advance(self.manifest, events)
        if end in ("ok", "not wanted"):
            return replace(moment, landed=moment.landed + 1)
        again = end == "fails" and tried.count < phase(self.workflow, name).retry.max
        now = Tried(count=tried.count + 1, ready_ms=moment.now_ms + 1000 if again else None)
        return replace(moment, tried={**moment.tried, name: now})

    def _outcome(self, name: PhaseName, end: End) -> Outcome:
        attempt = Attempt(phase=name, number=state_of(self.manifest, name).attempts + 1, started=AT)
        match end:
            case "ok":
                same = digest(phase(self.workflow, name), self.workflow)
                return Succeeded(attempt=attempt, at=AT, duration_ms=1, definition=same)
            case "fails":
                return Failed(attempt=attempt, at=AT, duration_ms=1, exit_code=1, detail="exit 1")
            case "not wanted":
                return Unwanted(attempt=attempt, at=AT, reason="no")
            case "blocked":
                return Refused(attempt=attempt, at=AT, reason="no")

    def cut_off(self, name: PhaseName) -> None:
        """The run died in an attempt of the phase: what the next call finds."""
        attempt = Attempt(phase=name, number=state_of(self.manifest, name).attempts + 1, started=AT)
        self.manifest = advance(self.manifest, judge(self.manifest, CutOff(attempt=attempt, at=AT, reason="died")))
