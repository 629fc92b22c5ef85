"""What a phase's function is given: its items, params and data, and the ways to log and to make a checkpoint.

Owns the two classes. Learns everything from the environment that every process of a phase has, and asks the active run
as `gitckpt state` and `gitckpt checkpoint` do; the modules for that load when something is asked for the first time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gitckpt.flow.imports import ours

if TYPE_CHECKING:
    from gitckpt.model.manifest import Json

ASKED_S = 60.0
"""How long a function waits for the run to record something. It answers at once unless a checkpoint is large."""


@dataclass(eq=False)
class NotInAPhase(Exception):
    """A context was made outside of a phase's process."""

    missing: str

    def __str__(self) -> str:
        return f"only a phase's process has a context: the variable {self.missing} is not set"


class Data(Mapping[str, "Json"]):
    """The workflow's data: a mapping whose changes are recorded with the phase, or not at all when it fails.

    Holds what JSON holds, but for numbers with a fraction: text, whole numbers, true and false, None, lists, and
    mappings with text for keys. Every change waits until the run has recorded it, and is safe beside other writers.
    """

    def __init__(self, state: Path) -> None:
        self._state = state

    def __getitem__(self, key: str) -> Json:
        return self._now()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def __setitem__(self, key: str, value: Json) -> None:
        self._change("set", key, value)

    def set(self, key: str, value: Json) -> None:
        """The same as `data[key] = value`. Raises TypeError for what data cannot hold."""
        self._change("set", key, value)

    def append(self, key: str, value: Json) -> None:
        """Put a value at the end of the list `data[key]`, which need not be there yet."""
        self._change("append", key, value)

    def incr(self, key: str, by: int = 1) -> int:
        """Add to the number `data[key]`, 0 where there is none; what it is now."""
        if type(by) is not int:
            raise TypeError(f"data[{key!r}] grows by whole numbers, not by {by!r}")
        now = self._change("incr", key, by)
        assert isinstance(now, int)  # the run refuses to add to anything else
        return now

    def __repr__(self) -> str:
        return f"Data({self._now()!r})"

    def _now(self) -> Mapping[str, Json]:
        return _part(self._state, "data")

    def _change(self, verb: Literal["set", "append", "incr"], key: str, value: Json) -> Json:
        require_storable(value, f"data[{key!r}]")
        return _ask(self._state, verb, key=key, value=value)[1]


@dataclass(frozen=True)
class Context:
    """One call of a phase's function. Made by gitckpt; a function only reads it."""

    workflow: str
    run: str
    phase: str
    attempt: int
    """From 1 on; of this phase, over all runs."""
    idempotency_key: str
    """Stays the same when this phase, item or batch is tried again; for a service that must not do it twice."""
    resumed: bool
    """Whether an earlier attempt left a checkpoint that this one goes on from."""
    workspace: Path
    """The workspace's folder, or the copy of it that this attempt has. The current folder is the phase's
    `working_directory` in it."""
    state: Path

    @classmethod
    def of_this_process(cls) -> Context:
        """The context of the phase whose process this is. Raises NotInAPhase."""
        state = Path(_variable("GITCKPT_STATE"))
        return cls(
            workflow=_variable("GITCKPT_WORKFLOW"),
            run=_variable("GITCKPT_RUN"),
            phase=_variable("GITCKPT_PHASE"),
            attempt=int(_variable("GITCKPT_ATTEMPT")),
            idempotency_key=_variable("GITCKPT_IDEMPOTENCY_KEY"),
            resumed=bool(_variable("GITCKPT_RESUMED")),
            workspace=_seen(state.parent.parent),
            state=state,
        )

    @cached_property
    def data(self) -> Data:
        """The workflow's data."""
        return Data(self.state)

    @cached_property
    def params(self) -> Mapping[str, str]:
        """The params of this run, by name."""
        return {name: str(value) for name, value in _part(self.state, "params").items()}

    @property
    def item(self) -> str:
        """The item, its bytes that are not UTF-8 as surrogates. Raises LookupError as `item_bytes` does."""
        return os.fsdecode(self.item_bytes)

    @property
    def item_bytes(self) -> bytes:
        """The item, byte for byte. Raises LookupError where the phase has no `foreach`, or has `batch`."""
        found = os.environb.get(b"GITCKPT_ITEM")
        if found is None:
            other = "a batch: its items are in `items`" if self._batch else "no item: it has no `foreach`"
            raise LookupError(f"this call of {self.phase} is for {other}")
        return found

    @cached_property
    def items(self) -> list[str]:
        """The items of this batch; of a call for one item, that one; of any other phase, none."""
        if self._batch is None:
            return [self.item] if "GITCKPT_ITEM" in os.environ else []
        data = Path(self._batch).read_bytes()
        return [os.fsdecode(item) for item in data.split(b"\0")[:-1]]

    @property
    def index(self) -> int | None:
        """The place of the item, or of the batch's first one, in the list, from 0 on; None without `foreach`."""
        found = os.environ.get("GITCKPT_ITEM_INDEX")
        return None if found is None else int(found)

    @property
    def _batch(self) -> str | None:
        return os.environ.get("GITCKPT_BATCH_FILE")

    def log(self, text: object) -> None:
        """Print a line to the phase's output, at once. `print` does as well, but a pipe may hold it back."""
        print(text, flush=True)  # noqa: T201 - the output of a phase is what it prints

    def checkpoint(self, message: str) -> int:
        """Make a checkpoint of the files and data as they are now, and wait for it; its number.

        A later attempt of this phase starts from it, with `resumed` true.
        """
        if not message.strip():
            raise ValueError("a checkpoint has a message")
        number = _ask(self.state, "checkpoint", text=message)[0]
        assert number is not None  # that is how a checkpoint is answered
        return number


def require_storable(value: object, where: str) -> None:
    """Raises TypeError, with the place of it, for what data cannot hold."""
    match value:
        case None | bool() | int() | str():
            return
        case float():
            raise TypeError(f"{where} cannot hold {value!r}: data has no fractions; store str({value!r})")
        case list() | tuple():
            for position, each in enumerate(value):
                require_storable(each, f"{where}[{position}]")
        case dict():
            for key, each in value.items():
                if not isinstance(key, str):
                    raise TypeError(f"{where} cannot have the key {key!r}: keys are text")
                require_storable(each, f"{where}[{key!r}]")
        case _:
            kinds = "text, whole numbers, true and false, None, lists and mappings"
            raise TypeError(f"{where} cannot hold a {type(value).__name__}: data holds {kinds}")


def _seen(workspace: Path) -> Path:
    """What stands for the workspace in this attempt; the variables may be those of a run around this one."""
    copy = os.environ.get("GITCKPT_VIEW")
    return Path(copy) if copy and os.environ.get("GITCKPT_WORKSPACE") == str(workspace) else workspace


def _variable(name: str) -> str:
    found = os.environ.get(name)
    if found is None:
        raise NotInAPhase(name)
    return found


def _part(state: Path, name: Literal["data", "params"]) -> dict[str, Json]:
    """Of the live mirror, in which each change stands that the run has confirmed."""
    found: dict[str, dict[str, Json]] = json.loads(state.read_bytes())
    return found.get(name, {})


def _ask(state: Path, verb: Literal["set", "append", "incr", "checkpoint"], **said: Json) -> tuple[int | None, Json]:
    """Ask the active run. Raises RequestRefused, RunEnded."""
    ask = ours("gitckpt.api.inside").ask_from_inside
    answer = ask(state.parent.parent, verb, said, ASKED_S)
    return answer.number, answer.value
