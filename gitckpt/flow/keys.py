"""The keys of a workflow in Python, as a type checker and an editor see them: those of the workflow file.

Owns the names and types alone; what a value must be is judged by the reader of workflow files, for both. A key that
Python reserves has a `_` at its end: `if_`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict

if TYPE_CHECKING:
    from gitckpt.flow.context import Context
    from gitckpt.model.workflow import Param

Texts: TypeAlias = "str | Sequence[str]"
Value: TypeAlias = "str | int | float | bool"
Path: TypeAlias = "str | PathLike[str]"
Paths: TypeAlias = "Path | Sequence[Path]"
Function: TypeAlias = "Callable[[Context], object]"
Check: TypeAlias = "Callable[[Context], bool | None]"


class RetryKeys(TypedDict, total=False):
    """`retry`: when a failed attempt is tried again."""

    max: int
    delay: str
    backoff: float
    jitter: bool
    max_delay: str
    exit_codes: int | Sequence[int]
    when: Literal["timeout", "failure"] | Sequence[Literal["timeout", "failure"]]


class StdoutKeys(TypedDict, total=False):
    """`stdout` of a validation."""

    contains: Texts
    matches: Texts
    not_contains: Texts


class ValidationKeys(TypedDict, total=False):
    """`validate`: what must hold for a phase to be completed."""

    run: str
    python: str
    stdout: StdoutKeys
    file: Path
    min_size: int | str


ForeachKeys = TypedDict(
    "ForeachKeys",
    {
        "list": Sequence[Value],
        "glob": Texts,
        "lines": Path,
        "csv": Path,
        "json": Path,
        "run": str,
        "as": str,
        "sort": Literal["none", "name", "natural"],
        "limit": int,
        "key": str,
        "allow_empty": bool,
    },
    total=False,
)
"""`foreach`: where the items come from, and what becomes of them."""


class BatchKeys(TypedDict, total=False):
    """`batch`: several items for one call."""

    size: int
    input: Literal["args", "stdin", "file"]
    separator: Literal["newline", "nul"]


class CheckpointEveryKeys(TypedDict, total=False):
    """`checkpoint_every`: cheap items share a checkpoint."""

    items: int
    time: str


class BudgetKeys(TypedDict, total=False):
    """`budget`: what one `run` does of a phase at most."""

    items: int
    batches: int
    time: str


class TolerateKeys(TypedDict, total=False):
    """`tolerate`: how many items may fail."""

    count: int
    percent: float
    to: Path


class OnFailureKeys(TypedDict, total=False):
    """`on_failure`: what follows the last failed try."""

    action: Literal["stop", "continue", "compensate"]
    goto: str
    max: int


OnFailure: TypeAlias = "Literal['stop', 'continue', 'compensate'] | OnFailureKeys"


class FieldKeys(TypedDict, total=False):
    """One answer that a gate asks for."""

    type: Literal["text", "number", "bool"]
    required: bool
    pattern: str
    choices: Sequence[Value]
    default: Value
    desc: str


class GateKeys(TypedDict, total=False):
    """What a gate asks, and what stands beside it."""

    show: str
    fields: Mapping[str, FieldKeys]
    timeout: str
    on_timeout: Literal["reject", "approve", "keep"]
    not_author: bool
    desc: str
    needs: str | Function | Sequence[str | Function]
    if_: str
    requires: Texts
    on_failure: OnFailure
    pivot: bool


Isolation: TypeAlias = Literal["auto", "none", "overlay", "copy"]
Rule: TypeAlias = Literal["fail", "ours", "theirs", "union"]


class ConcurrencyKeys(TypedDict):
    """`concurrency`: the group of phases that never run at once."""

    group: str


class MergeRuleKeys(TypedDict):
    """One of the `rules` of `merge`."""

    rule: Rule


class MergeKeys(TypedDict, total=False):
    """`merge`: what becomes of a path that two phases changed differently."""

    on_conflict: Rule
    rules: Mapping[str, Rule | MergeRuleKeys]


class CommandKeys(TypedDict, total=False):
    """The keys of every phase that is done by a process."""

    desc: str
    needs: str | Function | Sequence[str | Function]
    if_: str
    requires: Texts
    foreach: Value | Sequence[Value] | ForeachKeys
    batch: int | BatchKeys
    budget: BudgetKeys
    max_parallel: int
    isolation: Isolation
    concurrency: str | ConcurrencyKeys
    resources: Mapping[str, int | str]
    env: Mapping[str, Value]
    secrets: Texts
    shell: str
    working_directory: Path
    timeout: str
    retry: RetryKeys
    validate: str | ValidationKeys | Check
    outs: Paths
    tolerate: int | TolerateKeys
    on_item_failure: Literal["stop", "continue"]
    on_failure: OnFailure
    keep_partial: bool
    compensate: Texts | Function
    pivot: bool
    counters: Mapping[str, str]
    checkpoint_every: int | CheckpointEveryKeys


class ParamKeys(TypedDict, total=False):
    """A value given at the start of a run."""

    default: Value
    required: bool
    pattern: str
    desc: str


class WorkspaceKeys(TypedDict, total=False):
    """`workspace`: which files a checkpoint holds."""

    include: Paths
    exclude: Paths
    uncaptured: Literal["warn", "error"]
    max_size: int | str
    keep: Sequence[Literal["mtime"]]


class AttemptsKeys(TypedDict, total=False):
    """`attempts`: how failed attempts are kept."""

    keep_up_to: int | str


class AlwaysKeys(TypedDict, total=False):
    """A command for the end of each run."""

    run: Texts
    shell: str
    timeout: str


class DefaultsKeys(TypedDict, total=False):
    """`defaults`: what every phase has that does not say otherwise."""

    shell: str
    timeout: str
    retry: RetryKeys
    env: Mapping[str, Value]
    working_directory: Path


class FlowKeys(TypedDict, total=False):
    """The keys at the top of a workflow."""

    description: str
    params: Mapping[str, Value | ParamKeys | Param]
    env: Mapping[str, Value]
    secrets: Texts
    workspace: WorkspaceKeys
    defaults: DefaultsKeys
    attempts: AttemptsKeys
    always: str | AlwaysKeys | Sequence[str | AlwaysKeys]
    on_failure: OnFailure
    max_parallel: int
    isolation: Isolation
    fail_fast: bool
    resources: Mapping[str, int | str]
    merge: Rule | MergeKeys
