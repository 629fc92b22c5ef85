"""`output`: what a phase, an attempt or an item printed. Runs and changes nothing."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import click

from gitckpt.api.opening import open_store
from gitckpt.api.reading import Where
from gitckpt.cli.reading_words import path_json
from gitckpt.cli.terminal import print_json, where
from gitckpt.engine.listed import printed_by
from gitckpt.errors import GitckptError
from gitckpt.execute.output import tail_lines
from gitckpt.model.events import AttemptFailed, PhaseCompleted
from gitckpt.model.manifest import Json, state_of
from gitckpt.model.names import Oid, PhaseName
from gitckpt.model.text import safe
from gitckpt.store.store import Store


@dataclass(eq=False)
class NoOutput(GitckptError):
    """A phase or attempt whose output is not kept."""

    name: str
    known: tuple[str, ...]

    @property
    def message(self) -> str:
        return f"no output of {safe(self.name)} is kept"

    @property
    def hint(self) -> str:
        if not self.known:
            return "see what has run: gitckpt status"
        return f"there is output of {', '.join(self.known)}"


@click.command()
@click.argument("phase", required=False)
@click.option(
    "-f", "--follow", is_flag=True, help="Print what it prints until the run ends; without PHASE whatever runs."
)
@click.option("--item", "key", metavar="KEY", help="What the item of that key printed when it was last tried.")
@click.option("--attempt", type=click.IntRange(min=1), help="That attempt instead of the last (as PHASE@N).")
@click.option("--raw", is_flag=True, help="The bytes as they were printed, on a terminal too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def output(
    ctx: click.Context,
    *,
    phase: str | None,
    follow: bool,
    key: str | None,
    attempt: int | None,
    raw: bool,
    as_json: bool,
) -> int:
    """Print what PHASE (or one attempt of it: load@2, or one item of it) printed, as it was captured.

    With -f, lines of phases and items that run side by side begin with whose they are.
    """
    if follow:
        if key is not None or attempt is not None or raw or as_json:
            raise click.UsageError("--follow stands alone: it shows what is printed now")
        followed = _follow(ctx, phase)
        if followed is not None:
            return followed
    if phase is None:
        raise click.UsageError("name a phase; or follow whatever runs: gitckpt output -f")
    if key is not None:
        return _of_item(ctx, PhaseName(phase), key, attempt, raw=raw, as_json=as_json)
    name, _, number = phase.rpartition("@")
    if name and number.isdigit():
        if attempt is not None and attempt != int(number):
            raise click.UsageError(f"{phase} and --attempt {attempt} name two attempts")
        attempt = int(number)
    else:
        name = phase
    with open_store(where(ctx)) as (_, store):
        data, found = _output(store, PhaseName(name), attempt)
    if as_json:
        print_json({"phase": name, "attempt": found, "size": len(data), "output": _text_json(data)})
    else:
        _print(data, raw=raw)
    return 0


def _follow(ctx: click.Context, phase: str | None) -> int | None:
    """Loaded only here: it needs the definition. None where that phase prints no more."""
    follow: Callable[[Where, PhaseName | None], int | None]
    follow = import_module("gitckpt.cli.following").follow_output
    return follow(where(ctx), PhaseName(phase) if phase is not None else None)


def _print(data: bytes, *, raw: bool) -> None:
    """The bytes as they are into a pipe; made safe for a terminal."""
    if raw or not sys.stdout.isatty():
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    for line in tail_lines(data, data.count(b"\n") + 1):
        click.echo(line)


def _of_item(ctx: click.Context, phase: PhaseName, key: str, attempt: int | None, *, raw: bool, as_json: bool) -> int:
    if attempt is not None or "@" in phase:
        raise click.UsageError("--item and an attempt exclude each other")
    with open_store(where(ctx)) as (workspace, store):
        if store.tip() is None:
            raise store.no_checkpoints()
        found = printed_by(store, workspace.place, phase, os.fsencode(key))
    if found is None:
        raise NoOutput(f"{phase}, item {key}", ())
    if as_json:
        told: dict[str, Json] = {"phase": phase, "item": path_json(os.fsencode(key)), "where": found.where}
        print_json({**told, "together": found.together, "size": len(found.data), "output": _text_json(found.data)})
        return 0
    if found.together > 1:
        click.echo(f"note: {found.where} did {found.together:,} items together; this is what they printed", err=True)
    _print(found.data, raw=raw)
    return 0


def _output(store: Store, phase: PhaseName, attempt: int | None) -> tuple[bytes, int]:
    """The output and the number of the attempt that printed it. Raises NoOutput, NoCheckpoints."""
    tip = store.tip()
    if tip is None:
        raise store.no_checkpoints()
    last = state_of(tip.manifest, phase).attempts
    wanted = last if attempt is None else attempt
    oid = tip.oid if attempt is None else _holder_of(store, phase, wanted)
    data = store.output(oid, phase) if oid else None
    if data is None:
        name = phase if attempt is None else f"{phase}@{attempt}"
        raise NoOutput(name, tuple(f"{phase}@{each}" for each in sorted(store.attempts(phase))))
    return data, wanted


def _holder_of(store: Store, phase: PhaseName, attempt: int) -> Oid | None:
    """The commit that has this attempt's output: its own, or the checkpoint that it completed as."""
    kept = store.attempt(phase, attempt)
    if kept is not None:
        return kept
    for checkpoint in store.history():
        for event in checkpoint.events:
            match event:
                case PhaseCompleted(phase=name, attempt=number) | AttemptFailed(phase=name, attempt=number):
                    if name == phase and number == attempt:
                        return checkpoint.oid
                case _:
                    continue
    return None


def _text_json(data: bytes) -> Json:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(data).decode("ascii")}
