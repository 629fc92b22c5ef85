"""The params of a run: given by hand, recorded with the run that goes on, or by default.

Owns what is refused, for `run` and for `plan` alike. Must not know what runs.
"""

from __future__ import annotations

from collections.abc import Mapping

from gitckpt.engine.capturing import require_no_secret
from gitckpt.model.manifest import Manifest
from gitckpt.model.workflow import Workflow
from gitckpt.spec.load import resolve_params


def params_of(
    workflow: Workflow, environment: Mapping[str, str], going_on: Manifest | None, given: Mapping[str, str]
) -> dict[str, str]:
    """The value of every param that has one; `going_on` is the run that is resumed, None where one begins.

    Raises ParamsInvalid, HoldsSecret.
    """
    params = resolve_params(workflow, given, going_on.params if going_on is not None else {})
    require_no_secret(workflow, environment, "a param", *params.values())
    return params
