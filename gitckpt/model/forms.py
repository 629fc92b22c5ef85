"""The leaves of a workflow file: how each is written, what it becomes, and the metadata of a declared field.

Owns the `Form` of a value and the type aliases that carry one. Must not know YAML, or what a workflow is.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated

from gitckpt.model.names import PhaseName, WorkflowName


class Form(Enum):
    """How a leaf is written in the file where it differs from how it is kept, and what it is checked for."""

    DURATION = "duration"  # `10m`, kept as integer milliseconds
    SIZE = "size"  # `4MiB`, kept as integer bytes
    FACTOR = "factor"  # `1.5`, kept as integer thousandths: the stored format has no floats
    COMMAND = "command"  # shell text that is not blank
    REGEX = "regex"  # a Python regular expression
    PATH = "path"  # a path inside the workspace
    PATTERN = "pattern"  # a gitignore-style pattern inside the workspace
    ENV_NAME = "env_name"  # a name that a process's environment can hold and gitckpt does not use
    VALUE = "value"  # any scalar, kept as the text that was written
    COUNT = "count"  # an integer from 0 on
    AMOUNT = "amount"  # an integer from 1 on
    AT_ONCE = "at_once"  # how many side by side, from 1 on
    QUANTITY = "quantity"  # an integer from 1 on, or a size such as `8GiB`, kept as an integer
    PERCENT = "percent"  # `2.5`, kept as integer thousandths of a percent
    DATA_KEY = "data_key"  # the name of a value in `data`
    FUNCTION = "function"  # `package.module:function`
    EXIT_CODE = "exit_code"  # an integer from 1 to 255
    WORKFLOW_NAME = "workflow_name"
    PHASE_NAME = "phase_name"
    RESOURCE = "resource"  # the name of a resource
    GROUP = "group"  # the name of a concurrency group


Milliseconds = Annotated[int, Form.DURATION]
Bytes = Annotated[int, Form.SIZE]
Thousandths = Annotated[int, Form.FACTOR]
Command = Annotated[str, Form.COMMAND]
Regex = Annotated[str, Form.REGEX]
WorkspacePath = Annotated[str, Form.PATH]
WorkspacePattern = Annotated[str, Form.PATTERN]
EnvName = Annotated[str, Form.ENV_NAME]
Value = Annotated[str, Form.VALUE]
Count = Annotated[int, Form.COUNT]
Amount = Annotated[int, Form.AMOUNT]
AtOnce = Annotated[int, Form.AT_ONCE]
Quantity = Annotated[int, Form.QUANTITY]
Percent = Annotated[int, Form.PERCENT]
DataKey = Annotated[str, Form.DATA_KEY]
Function = Annotated[str, Form.FUNCTION]
FailingExit = Annotated[int, Form.EXIT_CODE]
FileWorkflowName = Annotated[WorkflowName, Form.WORKFLOW_NAME]
FilePhaseName = Annotated[PhaseName, Form.PHASE_NAME]
ResourceName = Annotated[str, Form.RESOURCE]
GroupName = Annotated[str, Form.GROUP]


def says(about: str, key: str = "") -> Mapping[str, str]:
    """A field's metadata: a sentence for the schema; the file's key where it is not the attribute's name."""
    return {"about": about, "key": key}
