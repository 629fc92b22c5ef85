"""`retry`, `skip`, `pause`, `reset`, `checkpoint`, `state`: the user's hand in a workflow, each a checkpoint."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from typing import Literal

import click

from gitckpt.api.changing import change, data_now
from gitckpt.api.writing import near_names, phase_name, write
from gitckpt.cli.notes import quiet_reporter
from gitckpt.cli.terminal import print_json, where
from gitckpt.engine import begin
from gitckpt.engine.aside import forget_history
from gitckpt.engine.requests import Request
from gitckpt.engine.settle import NeedsDecision, settle
from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.amount import plural
from gitckpt.model.manifest import Json
from gitckpt.model.names import PhaseName
from gitckpt.model.text import safe
from gitckpt.store import refs


@dataclass(eq=False)
class NoSuchKey(GitckptError):
    """A key that the workflow's data does not have."""

    key: str
    near: tuple[str, ...]

    exit_code = ExitCode.FAILED

    @property
    def message(self) -> str:
        near = f"; near it: {safe(', '.join(self.near))}" if self.near else ""
        return f"the workflow's data has no key {safe(self.key)!r}{near}"

    @property
    def hint(self) -> str:
        return "see all data: gitckpt state get"


@click.command()
@click.argument("phase", required=False)
@click.pass_context
def retry(ctx: click.Context, *, phase: str | None) -> int:
    """Make the failed phases (or PHASE) pending, so that `run` tries them with fresh retries.

    Of a phase with items only the failed ones are to be done again, also where so many may fail (`tolerate`).
    """
    with write(where(ctx), quiet_reporter()) as hold:
        chosen = phase_name(hold.workflow, phase) if phase else None
        settle(hold)
        if hold.tip is None:
            raise hold.store.no_checkpoints()
        tried = begin.retry(hold, chosen)
        number = hold.at_tip.number
    names = [f"{each.phase} ({plural(each.items, 'failed item')})" if each.items else each.phase for each in tried]
    click.echo(f"{', '.join(names)} will be tried ({number:04d}): gitckpt run" if names else "No phase has failed.")
    return 0


@click.command()
@click.argument("phase")
@click.option("--item", "keys", metavar="KEY", multiple=True, help="Only the item of that key; can be repeated.")
@click.option("-m", "--message", default="", help="Why; recorded with your name.")
@click.pass_context
def skip(ctx: click.Context, *, phase: str, keys: tuple[str, ...], message: str) -> int:
    """Mark PHASE, or items of it, as not to be done; what needs it goes on.

    An active run is told; what runs now cannot be skipped. Items are skipped between runs.
    """
    if keys:
        return _skip_items(ctx, phase, keys, message)
    request = Request(verb="skip", target=PhaseName(phase), text=message)
    made = change(where(ctx), request, quiet_reporter())
    click.echo(f"{phase} is skipped ({made.number:04d}). Take this back: gitckpt undo")
    return 0


def _skip_items(ctx: click.Context, phase: str, keys: tuple[str, ...], message: str) -> int:
    with write(where(ctx), quiet_reporter()) as hold:
        chosen = phase_name(hold.workflow, phase)
        settle(hold)
        made = begin.skip_items(hold, chosen, [os.fsencode(key) for key in keys], message)
    items = "1 item is" if len(set(keys)) == 1 else f"{len(set(keys)):,} items are"
    click.echo(f"{phase}: {items} skipped ({made.number:04d}). Take this back: gitckpt undo")
    return 0


@click.command()
@click.option("-m", "--message", default="", help="Why; recorded with your name.")
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON on stdout.")
@click.pass_context
def pause(ctx: click.Context, *, message: str, as_json: bool) -> int:
    """Stop the active run at its next boundary, with 75: the phase, item or batch under way comes to its end first."""
    made = change(where(ctx), Request(verb="pause", text=message), quiet_reporter())
    if as_json:
        print_json({"checkpoint": made.number})
    else:
        click.echo(f"The run stops at its next boundary ({made.number:04d}). To go on then: gitckpt run")
    return 0


@click.command()
@click.option("-m", "--message", default="", help="Why; recorded with your name.")
@click.option("--forget", is_flag=True, help="Give the history up, too: it is put aside, the next run begins at 1.")
@click.pass_context
def reset(ctx: click.Context, *, message: str, forget: bool) -> int:
    """Give the run up: the next `run` begins a new one. Files and history stay.

    With --forget the branch and its tags go, the history stays on a ref of its own (diverged@N), and the next run is
    the first of a new history, with idempotency keys of its own: what the old one did outside it does once more.
    """
    if forget:
        return _forget(ctx, message)
    with write(where(ctx), quiet_reporter()) as hold:
        settle(hold)
        if hold.tip is None:
            raise hold.store.no_checkpoints()
        made = begin.reset(hold, message)
    click.echo(f"The run is given up ({made.number:04d}). `gitckpt run` begins anew. Take this back: gitckpt undo")
    return 0


def _forget(ctx: click.Context, message: str) -> int:
    with write(where(ctx), quiet_reporter()) as hold:
        with contextlib.suppress(NeedsDecision):  # this is the decision
            settle(hold)
        kept, owed = forget_history(hold, message)
        folder = refs.diverged(hold.name)
    if owed:
        click.echo(f"Outside this folder nothing is undone of {', '.join(owed)}.")
    if kept is None:
        click.echo("The history is given up; nothing of it was left. `gitckpt run` begins anew, at 0001.")
        return 0
    ref = f"{folder}{kept.rpartition('@')[2]}"
    click.echo(f"The history is put aside as {kept} (git log {ref}). `gitckpt run` begins anew, at 0001.")
    click.echo(f"  as before   git branch {folder.split('/')[1]}/{folder.split('/')[2]} {ref}")
    return 0


@click.command()
@click.option("-m", "--message", required=True, help="What this checkpoint is.")
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON on stdout.")
@click.pass_context
def checkpoint(ctx: click.Context, *, message: str, as_json: bool) -> int:
    """Make a named checkpoint. Inside a phase it waits until it is recorded, and a later attempt starts from it.

    From outside, while a phase runs, it waits for the end of that phase (or item, or batch): the files are its own.
    """
    answer = change(where(ctx), Request(verb="checkpoint", text=message), quiet_reporter())
    if as_json:
        print_json({"checkpoint": answer.number})
    else:
        click.echo(f"{answer.number:04d} {message}")
    return 0


@click.group()
def state() -> None:
    """Read and change the workflow's data. Values are JSON; what is no JSON is text."""


@state.command("get")
@click.argument("key", required=False)
@click.option("--json", "as_json", is_flag=True, help="Always print JSON, with its schema version.")
@click.pass_context
def get(ctx: click.Context, *, key: str | None, as_json: bool) -> int:
    """Print the value of KEY (text as it is, all else as JSON), or all data. Exit 1 when there is no such key."""
    data = data_now(where(ctx))
    if key is not None and key not in data:
        if as_json:
            print_json({"key": key, "value": None})
        raise NoSuchKey(key, near_names(key, list(data)))
    value: Json = data if key is None else data[key]
    if as_json:
        print_json({"data": value} if key is None else {"key": key, "value": value})
    else:
        click.echo(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True))
    return 0


@state.command("set")
@click.argument("key")
@click.argument("value")
@click.pass_context
def set_(ctx: click.Context, *, key: str, value: str) -> int:
    """Set KEY to VALUE."""
    return _change(ctx, "set", key, _value(value))


@state.command("append")
@click.argument("key")
@click.argument("value")
@click.pass_context
def append(ctx: click.Context, *, key: str, value: str) -> int:
    """Put VALUE at the end of the list KEY."""
    return _change(ctx, "append", key, _value(value))


@state.command("incr")
@click.argument("key")
@click.argument("by", type=int, default=1)
@click.pass_context
def incr(ctx: click.Context, *, key: str, by: int) -> int:
    """Add BY (1) to the number KEY, and print it."""
    return _change(ctx, "incr", key, by)


def _change(ctx: click.Context, verb: Literal["set", "append", "incr"], key: str, value: Json) -> int:
    answer = change(where(ctx), Request(verb=verb, key=key, value=value), quiet_reporter())
    if verb == "incr":
        click.echo(str(answer.value))
    return 0


def _value(text: str) -> Json:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise click.UsageError("a value must be UTF-8 text") from None
    try:
        value: Json = json.loads(text)
    except ValueError:
        return text
    except RecursionError:
        raise click.UsageError("a value must not be nested so deep") from None
    if isinstance(value, float):
        return text
    return value
