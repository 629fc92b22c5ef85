"""What a workflow file says about capturing, as rules for the walk. Owns that reading; used to write and to compare."""

from __future__ import annotations

import os
from collections.abc import Mapping

from gitckpt.model.workflow import Workflow, secrets
from gitckpt.workspace.rules import CaptureRules


def capture_rules(workflow: Workflow, environment: Mapping[str, str]) -> CaptureRules:
    """The workflow's patterns, with the values of the secrets that are set."""
    return CaptureRules(
        include=workflow.workspace.include,
        exclude=workflow.workspace.exclude,
        outs=tuple(out for phase in workflow.phases for out in phase.outs),
        secrets=secret_values(workflow, environment),
    )


def secret_values(workflow: Workflow, environment: Mapping[str, str]) -> tuple[bytes, ...]:
    """The values of the declared secrets that are set now."""
    values = (environment.get(name, "") for name in secrets(workflow))
    return tuple(os.fsencode(value) for value in values if value)
