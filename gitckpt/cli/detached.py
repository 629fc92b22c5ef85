"""`run --detach` and `wait`: runs in the background, what is said of them, and how they ended."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from gitckpt.api.detached import EndedAtOnce, Waited, run_detached, wait_for_run
from gitckpt.cli.terminal import print_json, where
from gitckpt.errors import ExitCode
from gitckpt.model.duration import parse_duration
from gitckpt.model.text import safe

ENDS = {
    ExitCode.DONE: "complete",
    ExitCode.FAILED: "a phase failed or is blocked",
    ExitCode.USAGE: "it could not begin",
    ExitCode.WAITING: "it waits at a gate",
    ExitCode.BUSY: "another run was active",
    ExitCode.CONFLICT: "a conflict needs your decision",
    ExitCode.STOPPED: "stopped early on purpose; gitckpt run goes on",
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.TERMINATED: "terminated",
}


def detach(ctx: click.Context, *, as_json: bool) -> int:
    """Start the `run` of this call in a session of its own. Returns 0 once it has begun, else as it ended."""
    begun = run_detached(where(ctx), [*_top(ctx), "run", *_words(ctx)])
    if isinstance(begun, EndedAtOnce):
        stream = sys.stdout if as_json else sys.stderr
        stream.buffer.write(begun.said)
        stream.flush()
        return begun.exit_code
    if as_json:
        print_json({"pid": begun.pid, "log": safe(str(begun.log))})
        return 0
    click.echo(f"Running in the background: process {begun.pid}.", err=True)
    click.echo("  see it     gitckpt status -f · gitckpt output -f", err=True)
    click.echo("  its end    gitckpt wait", err=True)
    click.echo(f"  stop it    gitckpt pause (at the next boundary) · kill {begun.pid} (at once)", err=True)
    return 0


def _top(ctx: click.Context) -> Iterator[str]:
    """The flags before `run`."""
    yield f"-C{ctx.obj['directory']}"
    if ctx.obj["file"]:
        yield f"--file={ctx.obj['file']}"
    if ctx.obj["quiet"]:
        yield "--quiet"


def _words(ctx: click.Context) -> Iterator[str]:
    """The flags of this call as they were given, without the one that brought us here."""
    for parameter in ctx.command.params:
        value = ctx.params.get(parameter.name or "")
        if not isinstance(parameter, click.Option) or parameter.name == "detach" or not value:
            continue
        flag = parameter.opts[-1] if parameter.opts[-1].startswith("--") else parameter.opts[0]
        if parameter.is_flag:
            yield flag
        else:
            yield from (f"{flag}={each}" for each in (value if parameter.multiple else (value,)))


@click.command()
@click.option("--timeout", metavar="TIME", help="Wait at most so long (100s, 9m), then exit with 75.")
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON on stdout.")
@click.pass_context
def wait(ctx: click.Context, *, timeout: str | None, as_json: bool) -> int:
    """Wait for the end of the run that is active, and exit with its exit code; 75 while it still runs.

    Without an active run it tells how the last one ended.
    """
    waited = wait_for_run(where(ctx), _seconds(timeout))
    if as_json:
        print_json(
            {
                "exit_code": waited.exit_code,
                "running": waited.who is not None,
                "killed": waited.killed,
                "pid": waited.who.pid if waited.who else None,
            }
        )
    elif not ctx.obj["quiet"]:
        click.echo(_told(waited), err=True)
    return waited.exit_code


def _told(waited: Waited) -> str:
    if waited.who is not None:
        return f"Still running: process {waited.who.pid} since {safe(waited.who.since)}"
    if waited.killed:
        return "The last run did not come to its end: it was killed, or made elsewhere. Go on: gitckpt run"
    how = next((words for code, words in ENDS.items() if code == waited.exit_code), "see gitckpt status")
    return f"The run ended with {waited.exit_code}: {how}"


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_duration(text) / 1000
    except ValueError as error:
        raise click.UsageError(f"--timeout cannot be {text!r}: {error}") from error
