"""`rollback`, `undo`, `restore`, `adopt`: going back, taking over, and what is said about it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from gitckpt.api.going_back import RollbackRequest, roll_back
from gitckpt.api.opening import open_store
from gitckpt.api.running import EXIT_CODES
from gitckpt.api.writing import write
from gitckpt.cli.notes import ends_reporter, quiet_reporter
from gitckpt.cli.reading_words import EDIT, taken_back_words, uncaptured_lines
from gitckpt.cli.terminal import Signals, inside, print_json, where
from gitckpt.engine.changes import changed_by
from gitckpt.engine.compensations import Undecided, names_of, without_words
from gitckpt.engine.export import export
from gitckpt.engine.oversize import moved_files
from gitckpt.engine.rewind import Extent, Moved, Outside
from gitckpt.engine.rewind import adopt as adopt_files
from gitckpt.engine.rewind import restore as restore_files
from gitckpt.model.amount import plural
from gitckpt.model.conflicts import conflicts
from gitckpt.model.events import RolledBack
from gitckpt.model.manifest import DONE, Json, state_of
from gitckpt.model.moment import Stop
from gitckpt.model.text import safe
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.selectors import label, select

_COMPENSATE = click.option(
    "--compensate/--no-compensate",
    default=None,
    help="Run the `compensate` of every phase that is gone back past, newest first; or leave what they did outside.",
)


@click.command()
@click.argument("checkpoint", required=False)
@click.option("--keep-edits", is_flag=True, help="Apply your edits since then again, on top.")
@_COMPENSATE
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON on stdout.")
@click.pass_context
def rollback(
    ctx: click.Context, *, checkpoint: str | None, keep_edits: bool, compensate: bool | None, as_json: bool
) -> int:
    """Go back to CHECKPOINT: files, definition and state together, as a new checkpoint.

    CHECKPOINT is a phase (after it), before:PHASE, a number, a tag, a commit id, start, latest, latest~2.
    Without it the last ten are listed. Nothing is lost: `gitckpt undo` takes it back.
    """
    if checkpoint is None:
        return _list_last(ctx)
    request = RollbackRequest(selector=checkpoint, keep_edits=keep_edits, outside=_outside_of(compensate))
    moved = _asked(ctx, request)
    if isinstance(moved, Stop):
        return _stopped(moved, as_json=as_json)
    _say(moved, as_json=as_json, kept_edits=keep_edits)
    return 0


def _outside_of(compensate: bool | None) -> Outside:  # noqa: FBT001 - a flag of three states, as click gives it
    return "ask" if compensate is None else "compensate" if compensate else "leave"


def _asked(ctx: click.Context, request: RollbackRequest) -> Moved | Stop:
    """Roll back; on a terminal, what is undecided is asked."""
    try:
        return _rolled_back(ctx, request)
    except Undecided as undecided:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        click.echo(undecided.message, err=True)
        if not click.confirm("Run them, then go back?", err=True):
            raise
    return _rolled_back(ctx, replace(request, outside="compensate"))


def _rolled_back(ctx: click.Context, request: RollbackRequest) -> Moved | Stop:
    with Signals().heard() as signals:
        return roll_back(where(ctx), request, ends_reporter(), signals)


def _stopped(stop: Stop, *, as_json: bool) -> int:
    if as_json:
        print_json({"stopped": stop.verdict.value, "reason": stop.reason, "phases": [*map(str, stop.phases)]})
    else:
        click.echo(f"The rollback stopped: {safe(stop.reason)}", err=True)
        click.echo("  go on with it: gitckpt run, or the same rollback again (after fixing what failed)", err=True)
        click.echo("  end it, and leave what is not undone: gitckpt rollback CHECKPOINT --no-compensate", err=True)
    return int(EXIT_CODES[stop.verdict])


@click.command()
@_COMPENSATE
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON on stdout.")
@click.pass_context
def undo(ctx: click.Context, *, compensate: bool | None, as_json: bool) -> int:
    """Take back the last rollback, reset or other command of yours: files and state as before it.

    Where phases with a `compensate` were completed since, it says what is to become of what they did outside.
    """
    moved = _asked(ctx, RollbackRequest(outside=_outside_of(compensate)))
    if isinstance(moved, Stop):
        return _stopped(moved, as_json=as_json)
    _say(moved, as_json=as_json, kept_edits=False)
    return 0


@click.command()
@click.argument("checkpoint")
@click.argument("paths", nargs=-1, type=click.Path())
@click.option("--all", "extent", flag_value="all", help="Of an attempt or rescue the whole tree, not what it changed.")
@click.option("--to", "folder", metavar="DIR", help="Write them into a new folder instead; nothing else changes.")
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON on stdout.")
@click.pass_context
def restore(
    ctx: click.Context,
    *,
    checkpoint: str,
    paths: tuple[str, ...],
    extent: Extent | None,
    folder: str | None,
    as_json: bool,
) -> int:
    """Bring files of any checkpoint, attempt (load@2) or rescue (rescue@3); the workflow's state stays.

    Of an attempt or a rescue that is what `gitckpt diff` of it shows. PATHS are relative to the current folder. What it
    overwrites is kept first.
    """
    place = where(ctx)
    if folder is not None:
        with open_store(place) as (workspace, store):
            chosen = select(store, checkpoint)
            wanted = tuple(inside(workspace.root, path, place.directory) for path in paths)
            moved = moved_files(workspace.place, store.workflow, chosen)
            if chosen.is_part and not paths and extent is None:
                changes = changed_by(store, chosen, chosen.checkpoint.content)
                wanted = (*(change.path for change in changes if change.new is not None), *moved)
                if not wanted:
                    click.echo(f"{chosen.label} changed no file; all that is in it: --all")
                    return 0
            written = export(store, chosen, wanted, Path(folder), moved)
        click.echo(f"{plural(written, 'file')} of {chosen.label} {'is' if written == 1 else 'are'} in {folder}")
        return 0
    with write(place, quiet_reporter()) as hold:
        wanted = tuple(inside(hold.given.root, path, place.directory) for path in paths)
        chosen = select(hold.store, checkpoint)
        made, changes = restore_files(hold, chosen, wanted, extent or "changed")
    if as_json:
        listed: list[Json] = [safe(change.path) for change in changes]
        print_json({"checkpoint": made.number, "paths": listed, "from": chosen.label})
        return 0
    if not changes:
        what = f"as {chosen.label} left them" if chosen.is_part else f"as at {chosen.label}"
        click.echo(f"The files are {what} already.")
        return 0
    for change in changes[:20]:
        mark = "D" if change.new is None else "A" if change.old is None else "M"
        click.echo(f"  {mark} {safe(change.path)}")
    if len(changes) > 20:
        click.echo(f"  … {len(changes) - 20} more")
    click.echo(f"Brought from {chosen.label}, recorded as {made.number:04d}. Take this back: gitckpt undo")
    return 0


@click.command()
@click.argument("remote", required=False)
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON on stdout.")
@click.pass_context
def adopt(ctx: click.Context, *, remote: str | None, as_json: bool) -> int:
    """Take this workspace's files as the newest edit; with REMOTE, on top of the history there."""
    with write(where(ctx), quiet_reporter()) as hold:
        made = adopt_files(hold, remote)
    if as_json:
        print_json({"checkpoint": made.number})
        return 0
    click.echo(f"Adopted as {made.number:04d}. {_next(made)}")
    return 0


def _list_last(ctx: click.Context) -> int:
    with open_store(where(ctx)) as (_, store):
        ids = store.ids()
        if not ids:
            select(store, "latest")
        for oid in ids[:10]:
            checkpoint = store.read(oid)
            named = checkpoint.title
            what = " ".join(word for word in (named.status, named.detail) if word)
            click.echo(f"{label(checkpoint):24} {safe(what)}")
    click.echo("Go back to one: gitckpt rollback NUMBER")
    return 0


def _say(moved: Moved, *, as_json: bool, kept_edits: bool) -> None:
    if as_json:
        back: list[Json] = [checkpoint.number for checkpoint in moved.taken_back]
        print_json(
            {
                "checkpoint": moved.now.number,
                "target": moved.target.number,
                "taken_back": back,
                "rescued": moved.rescued,
                "outside": [*map(str, moved.now.manifest.outside)],
                "next": moved.now.manifest.current_state,
            }
        )
        return
    taken = taken_back_words(moved.taken_back, _edit_words(moved, kept_edits=kept_edits))
    if taken:
        click.echo(f"Takes back: {taken}")
    edits = [checkpoint for checkpoint in moved.taken_back if checkpoint.title.kind == "edit"]
    if edits and kept_edits:
        click.echo(f"Your edits ({', '.join(f'{c.number:04d}' for c in edits)}) are applied on top.")
    for line in _outside(moved):
        click.echo(line)
    for line in _uncaptured(moved):
        click.echo(line)
    if moved.rescued:
        click.echo(f"Your files as they were are kept as {moved.rescued}: gitckpt diff {moved.rescued}")
    beside = next((event.beside for event in moved.now.events if isinstance(event, RolledBack)), None)
    target = beside or label(moved.target)
    click.echo(f"Now at {moved.now.number:04d} = {target}. {_next(moved.now)} Take this back: gitckpt undo")


def _outside(moved: Moved) -> list[str]:
    """What was done outside since, and is not undone; of what has no compensation where anything has one."""
    debt = moved.debt
    if debt is None:
        return []
    names = ", ".join(names_of((*debt.owed, *debt.kept)))
    lines = [f"Outside this folder nothing is undone of {names} (gitckpt status lists it)."] if names else []
    if debt.pivot is not None:
        lines.append(f"{', '.join(names_of(debt.kept))}: nothing is compensated past the pivot {debt.pivot}.")
    if debt.without and (names or debt.walked.gone):
        lines.append(f"{without_words(debt.without)}.")
    return lines


def _edit_words(moved: Moved, *, kept_edits: bool) -> str:
    """How an edit that is taken back is said; empty where none is. `undo` has no --keep-edits to offer."""
    if kept_edits:
        return ""
    rolled_back = any(isinstance(event, RolledBack) for event in moved.now.events)
    return f"{EDIT} (keep it: --keep-edits)" if rolled_back else EDIT


def _uncaptured(moved: Moved) -> list[str]:
    """The files that did not move with the rest, because no checkpoint holds them."""
    names = dict.fromkeys((*moved.before.manifest.order, *moved.now.manifest.order))
    states = (
        (name, manifest.phases.get(name)) for name in names for manifest in (moved.now.manifest, moved.before.manifest)
    )
    marks = {name: state.uncaptured for name, state in states if state is not None and state.uncaptured}
    return [line for name, mark in marks.items() for line in uncaptured_lines(name, mark)]


def _next(checkpoint: Checkpoint) -> str:
    manifest = checkpoint.manifest
    if conflicts(manifest):
        return "A conflict waits for your decision: gitckpt resolve"
    todo = [name for name in manifest.order if state_of(manifest, name).status not in DONE]
    return f"`gitckpt run` will do {', '.join(todo)}." if todo else "Nothing is left to run."
