"""What a workflow file says about capturing, as rules for the walk. Owns that reading; used to write and to compare."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.manifest import Uncaptured
from gitckpt.model.names import PhaseName
from gitckpt.model.workflow import Workflow, secrets
from gitckpt.workspace.rules import CaptureRules
from gitckpt.workspace.snapshot import Uncaptured as Changed


@dataclass(eq=False)
class HoldsSecret(GitckptError):
    """What was given for the workflow's state holds the value of a declared secret, and state is in checkpoints."""

    what: str

    exit_code = ExitCode.USAGE

    @property
    def message(self) -> str:
        return (
            f"{self.what} holds the value of a declared secret, and would be in every checkpoint; it was not recorded"
        )

    @property
    def hint(self) -> str:
        return "let the phase read the secret from its environment, and record a name for it"


def require_no_secret(workflow: Workflow, environment: Mapping[str, str], what: str, *given: str) -> None:
    """Raises HoldsSecret."""
    hidden = secret_values(workflow, environment)
    if any(value in os.fsencode(text) for value in hidden for text in given):
        raise HoldsSecret(what)


def capture_rules(workflow: Workflow, environment: Mapping[str, str]) -> CaptureRules:
    """The workflow's patterns, with the values of the secrets that are set."""
    return CaptureRules(
        include=workflow.workspace.include,
        exclude=workflow.workspace.exclude,
        outs=tuple(out for phase in workflow.phases for out in phase.outs),
        secrets=secret_values(workflow, environment),
        history=workflow.workflow,
    )


def secret_values(workflow: Workflow, environment: Mapping[str, str]) -> tuple[bytes, ...]:
    """The values of the declared secrets that are set now."""
    values = (environment.get(name, "") for name in secrets(workflow))
    return tuple(os.fsencode(value) for value in values if value)


def shown_uncaptured(changed: Changed) -> Uncaptured | None:
    """What an attempt changed that no checkpoint holds, as the manifest tells it; None for nothing."""
    if not changed.count:
        return None
    paths = tuple(os.fsencode(path).decode(errors="backslashreplace") for path in map(os.fsdecode, changed.paths))
    return Uncaptured(paths=paths, count=changed.count, size=changed.size)


def uncaptured_words(phase: PhaseName, uncaptured: Uncaptured) -> str:
    """What an attempt changed that no checkpoint holds, and how to have it captured."""
    names = ", ".join(uncaptured.paths[:3]) + (" …" if uncaptured.count > 3 else "")
    what = "1 ignored file" if uncaptured.count == 1 else f"{uncaptured.count:,} ignored files"
    return (
        f"{phase} changed {what} that no checkpoint holds: {names}\n"
        f"  to capture: {uncaptured.include}, or the phase's `outs:`"
    )


def left_words(phase: PhaseName, uncaptured: Uncaptured) -> str:
    """The same of an attempt that failed or was cut off in the workspace itself: these files are as it left them."""
    said = uncaptured_words(phase, uncaptured)
    return f"{said}\n  they stay as they are, and programs that go by dates (make, cp -u) take them for current"
