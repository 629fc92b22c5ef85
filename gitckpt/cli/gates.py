"""`approve` and `reject`, and the question that `run` asks at a gate on a terminal.

Owns what an approver is shown and asked. Must not know whether an answer can be taken: the engine says that.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from typing import Literal

import click

from gitckpt.api.changing import change
from gitckpt.api.gates import Question, question
from gitckpt.cli.notes import quiet_reporter
from gitckpt.cli.terminal import print_json, where
from gitckpt.engine.requests import Answer, Request
from gitckpt.errors import GitckptError
from gitckpt.model.gate import Field, Gate, answers
from gitckpt.model.names import PhaseName
from gitckpt.model.text import safe, safe_lines

SHOWN_LINES = 200


@click.command()
@click.argument("phase", required=False)
@click.option("--field", "fields", metavar="K=V", multiple=True, help="An answer that the gate asks for.")
@click.option("-m", "--message", default="", help="Why; recorded with your name.")
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON on stdout.")
@click.pass_context
def approve(ctx: click.Context, *, phase: str | None, fields: tuple[str, ...], message: str, as_json: bool) -> int:
    """Say yes at the gate PHASE; without a name, at the only one that waits.

    On a terminal what the gate shows is printed first, and required answers that were not given are asked for.
    """
    given = _fields(fields)
    if is_interactive() and not as_json and (asked := question(where(ctx), phase)) is not None:
        _show(ctx, asked)
        missing = {name: each for name, each in asked.fields.items() if each.required and name not in given}
        given |= _ask_fields(missing)
    request = Request(verb="approve", target=_name(phase), fields=given, text=message)
    made = change(where(ctx), request, quiet_reporter())
    _say(made, "approved", as_json=as_json)
    return 0


@click.command()
@click.argument("phase", required=False)
@click.option("-m", "--message", default="", help="Why; recorded with your name.")
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON on stdout.")
@click.pass_context
def reject(ctx: click.Context, *, phase: str | None, message: str, as_json: bool) -> int:
    """Say no at the gate PHASE; without a name, at the only one that waits. `gitckpt retry PHASE` asks again."""
    if is_interactive() and not as_json and (asked := question(where(ctx), phase)) is not None:
        _show(ctx, asked)
    made = change(where(ctx), Request(verb="reject", target=_name(phase), text=message), quiet_reporter())
    _say(made, "rejected", as_json=as_json)
    return 0


def is_interactive() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask_at(ctx: click.Context, phases: Iterable[PhaseName]) -> bool:
    """Ask at gates where a run waits; whether any was answered. What cannot be recorded is said, and left as it is."""
    answered = False
    for phase in phases:
        try:
            answered |= _ask_at(ctx, phase)
        except GitckptError as error:
            # Somebody else may have answered meanwhile: then the run goes on with that.
            click.echo("\n".join(f"  {safe(line)}" for line in (*error.message.splitlines(), error.hint)), err=True)
            answered |= question(where(ctx), None) is None
    return answered


def _ask_at(ctx: click.Context, phase: PhaseName) -> bool:
    asked = question(where(ctx), phase)
    if asked is None:
        return False
    _show(ctx, asked)
    choice = click.prompt(
        "approve, reject, or leave it for later", default="later", value_proc=_choice, err=True, show_default=True
    )
    if choice == "later":
        return False
    verb: Literal["approve", "reject"] = "approve" if choice == "approve" else "reject"
    given = _ask_fields(asked.fields) if verb == "approve" else {}
    named = next((text for name, text in given.items() if name.lower() == "reason"), None)
    reason = click.prompt("reason", default="", show_default=False, err=True) if named is None else named
    request = Request(verb=verb, target=phase, fields=given, text=reason)
    made = change(where(ctx), request, quiet_reporter())
    click.echo(f"{phase} is {'approved' if verb == 'approve' else 'rejected'} ({made.number:04d}).", err=True)
    return True


def _choice(text: str) -> str:
    word = text.strip().lower()
    for each in ("approve", "reject", "later"):
        if word and each.startswith(word):
            return each
    raise click.UsageError("one of approve, reject, later")


def _name(phase: str | None) -> PhaseName | None:
    return PhaseName(phase) if phase is not None else None


def _fields(given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--field takes NAME=VALUE, not {safe(text)!r}")
        if name in found:
            raise click.UsageError(f"--field gives {safe(name)!r} twice")
        found[name] = value
    return found


def _ask_fields(fields: Mapping[str, Field]) -> dict[str, str]:
    """Ask for each on the terminal until it can be taken; what is left empty and need not be given is left out."""
    found: dict[str, str] = {}
    for name, field in fields.items():
        known = ", ".join(part for part in (safe(field.desc), "/".join(map(safe, field.choices))) if part)
        text = f"{safe(name)} ({known})" if known else safe(name)
        fallback = field.default if field.default is not None else None if field.required else ""
        value = click.prompt(
            text, default=fallback, show_default=bool(fallback), value_proc=_checked(name, field), err=True
        )
        if value or field.required:
            found[name] = value
    return found


def _checked(name: str, field: Field) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text == "" and not field.required:
            return text
        _, problems = answers(Gate(prompt="", fields={name: field}), {name: text})
        if problems:
            raise click.UsageError(safe("; ".join(problems)))
        return text

    return check


def _show(ctx: click.Context, asked: Question) -> None:
    """What the gate shows, at most 200 lines of it, then its question."""
    lines = _shown(ctx, asked.show.split()) if asked.show else []
    for line in lines[:SHOWN_LINES]:
        click.echo(line, err=True)
    if len(lines) > SHOWN_LINES:
        click.echo(f"… {len(lines) - SHOWN_LINES:,} more lines: gitckpt {safe(asked.show or '')}", err=True)
    click.echo(f"{asked.phase} waits for an answer: {safe(asked.prompt)}", err=True)


def _shown(ctx: click.Context, words: list[str]) -> list[str]:
    """What `gitckpt WORDS` prints on a pipe, made safe."""
    top = ctx.parent
    command = top.command.get_command(ctx, words[0]) if top and isinstance(top.command, click.Group) else None
    if command is None:
        return []
    held = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="surrogateescape", write_through=True)
    try:
        with redirect_stdout(held), command.make_context(words[0], words[1:], parent=top) as inner:
            command.invoke(inner)
    except GitckptError as error:
        return [f"(gitckpt {safe(' '.join(words))}: {safe(error.message)})"]
    held.flush()
    printed = held.buffer
    assert isinstance(printed, io.BytesIO)  # made so above
    return safe_lines(printed.getvalue()).splitlines()


def _say(made: Answer, how: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"phase": made.phase, "answer": how, "checkpoint": made.number})
        return
    then = "gitckpt run" if how == "approved" else f"gitckpt retry {made.phase}"
    word = "Go on" if how == "approved" else "To be asked again"
    click.echo(f"{made.phase} is {how} ({made.number:04d}). {word}: {then} · take this back: gitckpt undo")
