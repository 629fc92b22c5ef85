"""Gates and what follows a failure: the shapes of `gate` and `on_failure`.

Owns their defaults, and whether an answer to a field can be taken. Must not know who answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gitckpt.model.forms import Amount, EnvName, FilePhaseName, Milliseconds, Regex, Value, says


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One answer that a gate asks for. Later phases see it as the variable `FORM_<NAME>`."""

    type: Literal["text", "number", "bool"] = field(default="text", metadata=says("What kind of answer"))
    required: bool = field(default=False, metadata=says("The gate cannot be passed without it"))
    pattern: Regex | None = field(
        default=None, metadata=says("A Python regular expression that the whole answer must match")
    )
    choices: tuple[Value, ...] = field(default=(), metadata=says("The only answers that are taken"))
    default: Value | None = field(default=None, metadata=says("The answer when none is given"))
    desc: str = field(default="", metadata=says("One line for people"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A phase at which the run ends and waits for a person. Its time-out is by the wall clock."""

    prompt: str = field(metadata=says("What is asked"))
    show: str | None = field(
        default=None, metadata=says('What the approver is shown: "diff PHASE", "diff A B", "show C" or "output PHASE"')
    )
    fields: dict[EnvName, Field] = field(default_factory=dict, metadata=says("Answers that go with the approval"))
    timeout_ms: Milliseconds | None = field(default=None, metadata=says("After this time it answers itself", "timeout"))
    on_timeout: Literal["reject", "approve", "keep"] = field(
        default="reject", metadata=says("What it answers then; keep: it goes on waiting")
    )
    not_author: bool = field(
        default=False, metadata=says("Whoever began the run cannot approve (a claim of git's user.email, no proof)")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OnFailure:
    """What follows the last failed try of a phase."""

    action: Literal["stop", "continue", "compensate"] = field(
        default="stop", metadata=says("Stop the run, go on with the rest, or undo what was done, newest first")
    )
    goto: FilePhaseName | None = field(
        default=None, metadata=says("Go back to this phase: it and all that needs it run anew")
    )
    max: Amount = field(default=1, metadata=says("How often `goto` goes back in one run"))


def answers(gate: Gate, given: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The answers as they are kept, defaults filled in, and what is wrong with those that cannot be taken."""
    problems = [f"the gate has no field {name}" for name in given if name not in gate.fields]
    taken: dict[str, str] = {}
    for name, wanted in gate.fields.items():
        text = given.get(name, wanted.default)
        if text is None or (text == "" and wanted.required):
            if wanted.required:
                problems.append(f"{name} is required" + (f": {wanted.desc}" if wanted.desc else ""))
            continue
        problem = _problem(wanted, text)
        if problem:
            problems.append(f"{name} {problem}")
        taken[name] = text
    return taken, tuple(problems)


def _problem(wanted: Field, text: str) -> str | None:
    if "\0" in text:
        return "holds a NUL character"
    if wanted.choices and text not in wanted.choices:
        return f"must be one of {', '.join(wanted.choices)}"
    if wanted.type == "bool" and text not in ("true", "false"):
        return "must be true or false"
    if wanted.type == "number" and not re.fullmatch(r"[+-]?\d+(\.\d+)?", text, re.ASCII):
        return "must be a number"
    if wanted.pattern is not None and not re.fullmatch(wanted.pattern, text):
        return f"must match {wanted.pattern}"
    return None
