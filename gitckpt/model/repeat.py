"""What a phase that is done once for each item of a list may say: the source of its items, batches, limits.

Owns these shapes, their defaults and units. Must not know how a list is made or which item is next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gitckpt.model.forms import (
    Amount,
    Command,
    Count,
    EnvName,
    Milliseconds,
    Percent,
    Value,
    WorkspacePath,
    WorkspacePattern,
    says,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreach:
    """Where the items come from: exactly one of `values`, `glob`, `lines`, `csv`, `json`, `run`. The list is frozen
    when the phase starts; an item is known by its key, never by its position."""

    values: tuple[Value, ...] | None = field(default=None, metadata=says("The items themselves", "list"))
    glob: tuple[WorkspacePattern, ...] = field(
        default=(), metadata=says("Files and folders of the workspace that match a pattern")
    )
    lines: WorkspacePath | None = field(default=None, metadata=says("A file: each line that is not empty is an item"))
    csv: WorkspacePath | None = field(
        default=None, metadata=says("A CSV file with a header: each row is an item, as a JSON object in one line")
    )
    json: WorkspacePath | None = field(
        default=None, metadata=says("A file that holds a JSON list, or a JSON value in each line")
    )
    run: Command | None = field(default=None, metadata=says("A command: each line that it prints is an item"))
    variable: EnvName = field(default="ITEM", metadata=says("The variable that holds the item", "as"))
    sort: Literal["none", "name", "natural"] | None = field(
        default=None,
        metadata=says("The order: as it comes (none), by bytes (name), or by the numbers in it too (natural)"),
    )
    limit: Amount | None = field(default=None, metadata=says("Only the first so many items"))
    key: str | None = field(
        default=None, metadata=says("The column (csv) or member (json) that an item is known by; without it, all of it")
    )
    allow_empty: bool = field(default=False, metadata=says("A source without items is no error"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Items that one process takes together. They are done together, or none of them is."""

    size: Amount = field(metadata=says("How many items one process takes"))
    input: Literal["args", "stdin", "file"] = field(
        default="args",
        metadata=says('How it gets them: as arguments ("$@"), on standard input, or in $GITCKPT_BATCH_FILE'),
    )
    separator: Literal["newline", "nul"] = field(
        default="newline", metadata=says("What ends each item on standard input and in the file")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointEvery:
    """Cheap items that may run twice can share a checkpoint; whichever comes first makes it."""

    items: Amount | None = field(default=None, metadata=says("A checkpoint after so many items"))
    time_ms: Milliseconds | None = field(default=None, metadata=says("A checkpoint after so much time", "time"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one `run` does of a phase at most; then it stops at a boundary, with 75."""

    items: Amount | None = field(default=None, metadata=says("So many items"))
    batches: Amount | None = field(default=None, metadata=says("So many batches"))
    time_ms: Milliseconds | None = field(default=None, metadata=says("So much time", "time"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerate:
    """How many items may fail and the phase is done all the same."""

    count: Count | None = field(default=None, metadata=says("So many items"))
    percent: Percent | None = field(default=None, metadata=says("Such a part of all items"))
    to: WorkspacePath | None = field(
        default=None, metadata=says("A file that gets the failed items, one JSON object in each line")
    )


def tolerated(tolerate: Tolerate | None, total: int) -> int:
    """How many of `total` items may fail. Both limits hold where both are given."""
    if tolerate is None:
        return 0
    limits = [] if tolerate.count is None else [tolerate.count]
    if tolerate.percent is not None:
        limits.append(total * tolerate.percent // 100_000)
    return min(limits, default=total)
