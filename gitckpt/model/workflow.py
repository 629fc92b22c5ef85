"""What a workflow is: the one declaration of every value that a workflow file may hold, and what follows.

Owns the shapes, their defaults and units, and pure questions about them (order, dependents, digest, retry).
The `Form` in a type and the `key`/`about` of a field drive the loader and the JSON Schema alike.
Must not know YAML, files, positions, git or time. The stored form uses the attribute names and integers only.
"""

from __future__ import annotations

import graphlib
import hashlib
import heapq
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from gitckpt.model.forms import (
    AtOnce,
    Bytes,
    Command,
    Count,
    DataKey,
    EnvName,
    FailingExit,
    FilePhaseName,
    FileWorkflowName,
    Function,
    GroupName,
    Milliseconds,
    Quantity,
    Regex,
    ResourceName,
    Thousandths,
    Value,
    WorkspacePath,
    WorkspacePattern,
)
from gitckpt.model.forms import says as _says
from gitckpt.model.gate import Gate, OnFailure
from gitckpt.model.names import PhaseName
from gitckpt.model.repeat import Batch, Budget, CheckpointEvery, Foreach, Tolerate
from gitckpt.model.together import Isolation, Merge

VERSION = 1
"""The `version` that this program reads."""

DEFAULTABLE = ("shell", "timeout", "retry", "env", "working_directory")
"""The keys of a phase that `defaults` may hold: `env` and `retry` merge key by key, the rest is replaced."""

GIBIBYTE = 1 << 30

Ended = Literal["timeout", "failure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When and how a failed attempt is tried again. Without `exit_codes`, every failing exit code counts."""

    max: Count = field(default=0, metadata=_says("How many more tries after the first one"))
    delay_ms: Milliseconds = field(default=1_000, metadata=_says("The wait before the first retry", "delay"))
    backoff_thousandths: Thousandths = field(
        default=2_000, metadata=_says("What each further wait is multiplied by, from 1 on", "backoff")
    )
    jitter: bool = field(default=False, metadata=_says("Shorten each wait by chance, down to half of it"))
    max_delay_ms: Milliseconds = field(default=300_000, metadata=_says("No wait is longer than this", "max_delay"))
    exit_codes: tuple[FailingExit, ...] = field(
        default=(), metadata=_says("Exit codes that are tried again, whatever `when` says of failures")
    )
    when: tuple[Ended, ...] = field(
        default=("timeout", "failure"), metadata=_says("Which ends of an attempt are tried again")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StdoutRule:
    """What the standard output of a validation must and must not hold; every line given must be true."""

    contains: tuple[str, ...] = field(default=(), metadata=_says("Texts that must occur"))
    matches: tuple[Regex, ...] = field(
        default=(), metadata=_says("Python regular expressions that must be found, `^` and `$` at each line")
    )
    not_contains: tuple[str, ...] = field(default=(), metadata=_says("Texts that must not occur"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What must hold after a phase's commands for the phase to be completed."""

    run: Command | None = field(default=None, metadata=_says("A command that must exit 0"))
    python: Function | None = field(
        default=None, metadata=_says("A Python function, as package.module:function, that must not fail or say no")
    )
    stdout: StdoutRule | None = field(default=None, metadata=_says("What the standard output of `run` must hold"))
    file: WorkspacePath | None = field(default=None, metadata=_says("A file that must exist, from the workspace's top"))
    min_size: Bytes | None = field(default=None, metadata=_says("The least size of `file`"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One phase, defaults merged in and `needs` resolved: what stands here is what is run."""

    name: FilePhaseName
    run: tuple[Command, ...] = field(
        default=(), metadata=_says("A shell command, or several in order; the first failure ends the phase")
    )
    argv: tuple[str, ...] = field(default=(), metadata=_says("A program and its arguments, started without a shell"))
    needs: tuple[FilePhaseName, ...] = field(
        default=(),
        metadata=_says("The phases that come before this one; without it, the phase written above; [] for none"),
    )
    env: dict[EnvName, Value] = field(default_factory=dict, metadata=_says("Environment variables, literal text"))
    shell: str = field(default="bash", metadata=_says("What runs `run`: bash, sh, python, or a command line"))
    working_directory: WorkspacePath = field(
        default=".", metadata=_says("Where the commands run, from the workspace's top")
    )
    timeout_ms: Milliseconds | None = field(
        default=None, metadata=_says("After this time the attempt is ended", "timeout")
    )
    retry: Retry = field(default_factory=Retry, metadata=_says("When a failed attempt is tried again"))
    validate: Validation | None = field(
        default=None, metadata=_says("A command, or more, that must hold for the phase to be completed")
    )
    requires: tuple[Command, ...] = field(
        default=(), metadata=_says("Commands that must exit 0 before the phase starts, else it is blocked")
    )
    condition: Command | None = field(
        default=None, metadata=_says("A command; when it does not exit 0 the phase is skipped", "if")
    )
    outs: tuple[WorkspacePattern, ...] = field(
        default=(), metadata=_says("Files that must exist at the end; captured although git ignores them")
    )
    keep_partial: bool = field(
        default=False, metadata=_says("Keep what a failed attempt left, and build the next attempt on it")
    )
    on_failure: OnFailure = field(default_factory=OnFailure, metadata=_says("What follows the last failed try"))
    python: Function | None = field(
        default=None, metadata=_says("A Python function to call, as package.module:function or file.py:function")
    )
    code: str | None = None
    """The digest of the function's source, where it is found: filled in by the loader, never written in a file."""
    gate: Gate | None = field(default=None, metadata=_says("The run stops here until somebody approves"))
    foreach: Foreach | None = field(default=None, metadata=_says("Do the phase once for each item"))
    batch: Batch | None = field(default=None, metadata=_says("Hand several items to one process"))
    budget: Budget | None = field(default=None, metadata=_says("What one `run` does of it at most"))
    checkpoint_every: CheckpointEvery | None = field(
        default=None, metadata=_says("Let cheap items share a checkpoint; without it each has its own")
    )
    tolerate: Tolerate | None = field(
        default=None, metadata=_says("How many items may fail; it implies `on_item_failure: continue`")
    )
    on_item_failure: Literal["stop", "continue"] | None = field(
        default=None, metadata=_says("Whether the other items are still done when one has failed")
    )
    counters: dict[DataKey, Command] = field(
        default_factory=dict, metadata=_says("Commands whose output, a whole number, goes into `data` at the end")
    )
    compensate: tuple[Command, ...] = field(
        default=(), metadata=_says("Commands that undo what the phase did outside the workspace; for each item")
    )
    pivot: bool = field(default=False, metadata=_says("Once it is done, nothing before it is compensated"))
    secrets: tuple[EnvName, ...] = field(default=(), metadata=_says("Further variables to mask and keep out"))
    max_parallel: AtOnce | None = field(default=None, metadata=_says("How many items may run at once"))
    isolation: Isolation = field(
        default="auto", metadata=_says("What its processes see: the workspace itself (none), or a view of their own")
    )
    concurrency: GroupName | None = field(
        default=None, metadata=_says("A group: two phases of one never run at once, in any run of the repository")
    )
    resources: dict[ResourceName, Quantity] = field(
        default_factory=dict, metadata=_says("What each attempt takes of what `resources` at the top says there is")
    )
    desc: str = field(default="", metadata=_says("One line for people"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """A value given at the start of a run and the same on every resume; commands see it as a variable."""

    default: Value | None = field(default=None, metadata=_says("The value when none is given"))
    required: bool = field(default=False, metadata=_says("A run cannot begin without a value"))
    pattern: Regex | None = field(
        default=None, metadata=_says("A Python regular expression that the whole value must match")
    )
    desc: str = field(default="", metadata=_says("One line for people"))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceRules:
    """Which files of the workspace a checkpoint holds, beyond what git's own ignore rules say."""

    include: tuple[WorkspacePattern, ...] = field(default=(), metadata=_says("Captured although git ignores them"))
    exclude: tuple[WorkspacePattern, ...] = field(default=(), metadata=_says("Never captured and never touched"))
    uncaptured: Literal["warn", "error"] = field(
        default="warn", metadata=_says("What follows when a phase changes ignored files")
    )
    max_size: Bytes | None = field(default=None, metadata=_says("How large the first checkpoint may be without asking"))
    keep: tuple[Literal["mtime"], ...] = field(
        default=(), metadata=_says("What checkpoints keep beyond bytes and modes: modification times")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRules:
    """How failed attempts are kept."""

    keep_up_to: Bytes = field(default=GIBIBYTE, metadata=_says("A larger attempt is moved aside instead of stored"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Always:
    """A command for the end of each run. It sees how the run ended in $GITCKPT_STATUS."""

    run: tuple[Command, ...] = field(metadata=_says("Shell commands, in order"))
    shell: str = field(default="bash", metadata=_says("What runs them: bash, sh, python, or a command line"))
    timeout_ms: Milliseconds = field(default=600_000, metadata=_says("After this time it is ended", "timeout"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A whole validated workflow file: phases in file order, every phase complete in itself."""

    version: int = field(metadata=_says("The version of the file's format: 1"))
    workflow: FileWorkflowName = field(metadata=_says("The name; its branch is gitckpt/<name>"))
    description: str = field(default="", metadata=_says("Text for people"))
    params: dict[EnvName, Param] = field(
        default_factory=dict, metadata=_says("Values given with `run --set NAME=VALUE`")
    )
    env: dict[EnvName, Value] = field(
        default_factory=dict, metadata=_says("Environment variables of every phase, literal text")
    )
    secrets: tuple[EnvName, ...] = field(
        default=(), metadata=_says("Variables whose values are masked in logs and kept out of checkpoints")
    )
    workspace: WorkspaceRules = field(default_factory=WorkspaceRules, metadata=_says("Which files a checkpoint holds"))
    phases: tuple[Phase, ...] = field(metadata=_says("The phases by name, in order"))
    attempts: AttemptRules = field(default_factory=AttemptRules, metadata=_says("How failed attempts are kept"))
    always: tuple[Always, ...] = field(
        default=(), metadata=_says("What is run at the end of each run, however it ends")
    )
    on_failure: OnFailure | None = field(
        default=None, metadata=_says("What follows a failure, for phases that do not say it themselves")
    )
    max_parallel: AtOnce | None = field(default=None, metadata=_says("How many attempts may run at once"))
    isolation: Isolation = field(
        default="auto", metadata=_says("What phases see that do not say it themselves; auto: a view where it is needed")
    )
    fail_fast: bool = field(
        default=False, metadata=_says("After a failure, end what still runs at once instead of letting it finish")
    )
    resources: dict[ResourceName, Quantity] = field(
        default_factory=dict, metadata=_says("What there is for phases that run at once, and how much of it")
    )
    merge: Merge = field(
        default_factory=Merge, metadata=_says("What becomes of a path that two phases changed differently")
    )


def phase(workflow: Workflow, name: PhaseName) -> Phase:
    """The phase of that name. Raises KeyError where there is none."""
    for each in workflow.phases:
        if each.name == name:
            return each
    raise KeyError(name)


def order(workflow: Workflow) -> tuple[PhaseName, ...]:
    """Every phase after what it needs; among those that may come next, the one written first comes first.

    Raises graphlib.CycleError on a cycle, which the loader never lets through.
    """
    written = {each.name: position for position, each in enumerate(workflow.phases)}
    # A need that the file has no more holds its phase back when it is to run, and orders nothing.
    graph = graphlib.TopologicalSorter({each.name: written.keys() & set(each.needs) for each in workflow.phases})
    graph.prepare()
    ready = [written[name] for name in graph.get_ready()]
    heapq.heapify(ready)
    placed: list[PhaseName] = []
    while ready:
        first = workflow.phases[heapq.heappop(ready)].name
        placed.append(first)
        graph.done(first)
        for name in graph.get_ready():
            heapq.heappush(ready, written[name])
    return tuple(placed)


def dependents(workflow: Workflow, name: PhaseName) -> frozenset[PhaseName]:
    """The phases that need `name`, directly or through others; `name` itself is not among them."""
    needs = {each.name: frozenset(each.needs) for each in workflow.phases}
    found: set[PhaseName] = set()
    for each in order(workflow):
        if name in needs[each] or needs[each] & found:
            found.add(each)
    return frozenset(found)


def continues_after_items(phase: Phase) -> bool:
    """Whether the other items are still done when one has failed."""
    if phase.on_item_failure is not None:
        return phase.on_item_failure == "continue"
    return phase.tolerate is not None


def secrets(workflow: Workflow) -> tuple[str, ...]:
    """Every variable whose value is masked: the workflow's, then those of its phases."""
    return tuple(dict.fromkeys((*workflow.secrets, *(name for each in workflow.phases for name in each.secrets))))


def environment(workflow: Workflow, phase: Phase) -> dict[str, str]:
    """The variables that the file sets for a phase: the workflow's, then the phase's own over them."""
    return {**workflow.env, **phase.env}


def digest(phase: Phase, workflow: Workflow) -> str:
    """`sha256:` and 16 hex digits over what decides what a phase does.

    Its texts for people, time-out and retry are no part of it: changing those never calls a completed phase
    into question.
    """
    check = phase.validate
    decides = {
        "argv": phase.argv,
        "condition": phase.condition,
        "env": environment(workflow, phase),
        "outs": phase.outs,
        "requires": phase.requires,
        "run": phase.run,
        "shell": phase.shell,
        "validate": None if check is None else _validation_parts(check),
        "working_directory": phase.working_directory,
    }
    # Keys that came later count only where they are used: older digests stay what they were.
    later = {
        "python": phase.python,
        "code": phase.code,
        "gate": phase.gate and asdict(phase.gate),
        "foreach": phase.foreach and asdict(phase.foreach),
        "batch": phase.batch and phase.batch.input,
        "counters": phase.counters,
    }
    decides |= {key: value for key, value in later.items() if value}
    text = json.dumps(decides, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def item_digest(phase: Phase, workflow: Workflow) -> str:
    """As `digest`, over what decides what is done with one item: not where the items come from, nor what follows the
    last of them. An item that is added to a list must not make the others run anew."""
    source = phase.foreach and Foreach(variable=phase.foreach.variable)
    once = replace(phase, foreach=source, counters={}, condition=None, requires=())
    return digest(once, workflow)


def _validation_parts(check: Validation) -> list[object]:
    out = check.stdout
    told: Iterable[object] = () if out is None else (out.contains, out.matches, out.not_contains)
    return [check.run, list(told), check.file, check.min_size, *filter(None, [check.python])]


def is_retried(retry: Retry, *, ended: Ended, exit_code: int | None) -> bool:
    """Whether an attempt that ended so may be tried again, were any try left. A signal has exit code None."""
    if ended == "timeout":
        return "timeout" in retry.when
    if retry.exit_codes:
        return exit_code in retry.exit_codes
    return "failure" in retry.when


def retry_delay_ms(retry: Retry, *, retries_made: int, chance_permille: int) -> int:
    """Milliseconds to wait before the next retry. `chance_permille` is the dice for jitter, 0 to 1000.

    Integers only, and capped at every step, so a hundred retries cannot make a number of a hundred digits.
    """
    delay = min(retry.delay_ms, retry.max_delay_ms)
    for _ in range(retries_made):
        if delay >= retry.max_delay_ms:
            break
        longer = min(delay * retry.backoff_thousandths // 1000, retry.max_delay_ms)
        if longer == delay:
            break
        delay = longer
    return delay - delay * chance_permille // 2000 if retry.jitter else delay
