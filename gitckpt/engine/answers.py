"""Answers to gates: which gate is meant, whether it can be answered so, and by whom; a time-out goes first.

Owns what an approver is asked and told. Must not know whether the answer came from a terminal, a command or the inbox.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Template

from gitckpt.engine.begin import record
from gitckpt.engine.hold import Hold
from gitckpt.errors import GitckptError
from gitckpt.model.dated import marks_of
from gitckpt.model.decide import decide
from gitckpt.model.events import GateAnswered
from gitckpt.model.gate import Gate, answers
from gitckpt.model.graph import phase_named, unmet_needs
from gitckpt.model.manifest import Manifest, PhaseState, Status, state_of
from gitckpt.model.moment import Begin, Expiring, Limits, Moment
from gitckpt.model.names import PhaseName
from gitckpt.model.outcome import Attempt, Expired, judge
from gitckpt.model.workflow import Phase, Workflow, digest
from gitckpt.store.checkpoint import Checkpoint


@dataclass(eq=False)
class NoGateWaits(GitckptError):
    """There is nothing to answer; `gates` are those that may open later."""

    gates: tuple[str, ...]

    @property
    def message(self) -> str:
        return "no gate waits for an answer"

    @property
    def hint(self) -> str:
        return (
            f"gitckpt run goes on until {self.gates[0]} does" if self.gates else "see where it stands: gitckpt status"
        )


@dataclass(eq=False)
class SeveralGatesWait(GitckptError):
    """An answer without a name is for the only open gate."""

    gates: tuple[str, ...]

    @property
    def message(self) -> str:
        return f"several gates wait for an answer: {', '.join(self.gates)}"

    @property
    def hint(self) -> str:
        return f"name the one that you mean, as in: gitckpt approve {self.gates[0]}"


@dataclass(eq=False)
class NotAGate(GitckptError):
    """A phase that asks nobody."""

    phase: str

    @property
    def message(self) -> str:
        return f"{self.phase} is not a gate, so it waits for no answer"

    @property
    def hint(self) -> str:
        return f"to go on without it: gitckpt skip {self.phase} -m WHY"


@dataclass(eq=False)
class GateNotOpen(GitckptError):
    """A gate is asked for before its turn; `needs` are not done."""

    phase: str
    needs: tuple[str, ...]

    @property
    def message(self) -> str:
        why = f": it needs {', '.join(self.needs)} first" if self.needs else ", nobody has been asked"
        return f"{self.phase} is not open yet{why}"

    @property
    def hint(self) -> str:
        return "gitckpt run goes on until it is"


@dataclass(eq=False)
class AnsweredAlready(GitckptError):
    """A gate is answered once; `how`: what became of it."""

    phase: str
    how: str
    rejected: bool

    @property
    def message(self) -> str:
        return f"{self.phase} is answered already: {self.how}"

    @property
    def hint(self) -> str:
        if self.rejected:
            return f"to be asked again: gitckpt retry {self.phase}, then gitckpt run"
        return f"to be asked again: gitckpt run --from {self.phase}"


@dataclass(eq=False)
class AnsweredTooLate(AnsweredAlready):
    """The gate's time-out had passed when the answer came, and took effect first."""

    @property
    def message(self) -> str:
        return f"too late: the time-out of {self.phase} has passed, and answered it ({self.how})"


@dataclass(eq=False)
class BadAnswers(GitckptError):
    """Answers that cannot be taken, all of them at once."""

    phase: str
    problems: tuple[str, ...]

    untouched = "nothing was recorded"

    @property
    def message(self) -> str:
        return "\n".join(f"{self.phase}: {problem}" for problem in self.problems)

    @property
    def hint(self) -> str:
        return f"give each one as in: gitckpt approve {self.phase} --field NAME=VALUE"


@dataclass(eq=False)
class ApprovedByAuthor(GitckptError):
    """Whoever began the run may not approve."""

    phase: str
    email: str

    @property
    def message(self) -> str:
        return f"{self.phase} has `not_author`, and this run was begun by {self.email}, as whom you are known here"

    @property
    def hint(self) -> str:
        return "somebody else has to approve it; what counts is git's user.email"


@dataclass(eq=False)
class AuthorUnknown(GitckptError):
    """Without both addresses nobody can tell the approver from whoever began the run."""

    phase: str
    who: str

    @property
    def message(self) -> str:
        return f"{self.phase} has `not_author`, and git's user.email was not set for {self.who}"

    @property
    def hint(self) -> str:
        return f"set it (git config user.email); or go on without an approval: gitckpt skip {self.phase} -m WHY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What somebody answers. `email` is git's `user.email`, None where there is none."""

    approved: bool
    author: str
    email: str | None
    fields: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGate:
    """A gate that waits: what it asks, with params and earlier answers filled in."""

    phase: Phase
    gate: Gate
    prompt: str
    expires: str | None


def answer(hold: Hold, name: PhaseName | None, reply: Reply) -> Checkpoint:
    """Record an answer as a checkpoint; without a name to the only open gate. A time-out that has passed is recorded
    first, and then raises AnsweredTooLate. Raises what `open_gate` and `answered` raise, with nothing recorded."""
    found = open_gate(hold.workflow, hold.at_tip.manifest, name)
    chosen = found.phase.name
    if _has_expired(hold, chosen):
        made = _expire(hold, found)
        rejected = state_of(made.manifest, chosen).status is Status.FAILED
        raise AnsweredTooLate(chosen, f"{'rejected' if rejected else 'approved'}, {made.number:04d}", rejected)
    return record(hold, answered(hold.workflow, hold.at_tip.manifest, found, reply, hold.now()))


def open_gate(workflow: Workflow, manifest: Manifest, name: PhaseName | None) -> OpenGate:
    """The gate that is meant. Raises NoGateWaits, SeveralGatesWait, NotAGate, GateNotOpen, AnsweredAlready."""
    gates = {phase.name: phase for phase in workflow.phases if phase.gate is not None}
    if name is None:
        waiting = [each for each in gates if _waits(workflow, manifest, each)]
        if not waiting:
            later = (each for each in gates if state_of(manifest, each).status is Status.PENDING)
            raise NoGateWaits(tuple(later))
        if len(waiting) > 1:
            raise SeveralGatesWait(tuple(waiting))
        name = waiting[0]
    phase = gates.get(name)
    if phase is None or phase.gate is None:
        raise NotAGate(name)
    state = state_of(manifest, name)
    if state.status in _ANSWERED:
        raise AnsweredAlready(name, _how(state), state.status is Status.FAILED)
    if not _waits(workflow, manifest, name):
        raise GateNotOpen(name, _unmet(workflow, manifest, name))
    return OpenGate(phase=phase, gate=phase.gate, prompt=state.detail or phase.gate.prompt, expires=state.expires)


def answered(workflow: Workflow, manifest: Manifest, found: OpenGate, reply: Reply, at: str) -> GateAnswered:
    """The event of an answer that can be taken. Raises BadAnswers, ApprovedByAuthor, AuthorUnknown."""
    name = found.phase.name
    taken: dict[str, str] = {}
    if reply.approved:
        _require_other(found, manifest.source.author, reply.email)
        taken, problems = answers(found.gate, reply.fields)
        if problems:
            raise BadAnswers(name, problems)
    return GateAnswered(
        at=at,
        phase=name,
        approved=reply.approved,
        author=reply.author,
        email=reply.email or "",
        reason=reply.reason,
        definition=digest(found.phase, workflow),
        answers=taken,
        mark=new_mark(),
        made_from=marks_of(manifest, found.phase.needs),
    )


def new_mark() -> str:
    """What tells one completion of a phase from every other."""
    return os.urandom(4).hex()


def filled(text: str, manifest: Manifest) -> str:
    """A prompt with the params and the answers so far, by their names and as `FORM_<NAME>`. Nothing is run: what has
    no value stays as it is written."""
    given = {name: value for each in manifest.order for name, value in state_of(manifest, each).answers.items()}
    forms = {f"FORM_{name.upper()}": value for name, value in given.items()}
    return Template(text).safe_substitute({**given, **forms, **manifest.params})


_ANSWERED = frozenset({Status.COMPLETED, Status.SKIPPED, Status.FAILED})


def _how(state: PhaseState) -> str:
    if state.status is Status.FAILED:
        return state.detail or "rejected"
    word = "approved" if state.status is Status.COMPLETED else "skipped"
    return f"{word}: {state.detail}" if state.detail else word


def _waits(workflow: Workflow, manifest: Manifest, name: PhaseName) -> bool:
    return state_of(manifest, name).status is Status.WAITING and not _unmet(workflow, manifest, name)


def _unmet(workflow: Workflow, manifest: Manifest, name: PhaseName) -> tuple[PhaseName, ...]:
    """Its needs that are not done; one that failed with `on_failure: continue` holds nothing back."""
    found = []
    for need in sorted(unmet_needs(workflow, manifest, name)):
        phase = phase_named(workflow, need)
        failed = state_of(manifest, need).status is Status.FAILED
        if not (failed and phase is not None and phase.on_failure.action == "continue"):
            found.append(need)
    return tuple(found)


def _require_other(found: OpenGate, author: str | None, email: str | None) -> None:
    """Where the gate says so, the approver is not whoever began the run. Addresses are compared without case."""
    if not found.gate.not_author:
        return
    if not author or not email:
        raise AuthorUnknown(found.phase.name, "you" if not email else "whoever began this run")
    if author.strip().casefold() == email.strip().casefold():
        raise ApprovedByAuthor(found.phase.name, email)


def _has_expired(hold: Hold, name: PhaseName) -> bool:
    """By the same rule as `run`, and by the clock on the wall."""
    moment = Moment(wall=hold.now(), limits=Limits(only=name))
    step = decide(hold.workflow, hold.at_tip.manifest, (), moment)
    return isinstance(step, Begin) and isinstance(step.work, Expiring)


def _expire(hold: Hold, found: OpenGate) -> Checkpoint:
    name, now = found.phase.name, hold.now()
    state = state_of(hold.at_tip.manifest, name)
    made_from = marks_of(hold.at_tip.manifest, found.phase.needs)
    attempt = Attempt(phase=name, number=state.attempts + 1, started=now, mark=new_mark(), made_from=made_from)
    return record(hold, *judge(hold.at_tip.manifest, expired(hold.workflow, found.phase, attempt, now)))


def expired(workflow: Workflow, phase: Phase, attempt: Attempt, at: str) -> Expired:
    """What a gate answers itself. It cannot approve where a field that must be given has no default."""
    gate = phase.gate or Gate(prompt="")
    taken, problems = answers(gate, {})
    return Expired(
        attempt=attempt,
        at=at,
        approved=gate.on_timeout == "approve" and not problems,
        definition=digest(phase, workflow),
        answers=taken,
    )
