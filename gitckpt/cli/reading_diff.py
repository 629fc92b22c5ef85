"""`diff`: your edits, what a checkpoint changed, or two compared. Leaves no trace in the repository.

Owns the colours and what makes git's text safe on a terminal. Must not know how differences are found.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import click

from gitckpt.api.reading import Workspace, active, find_workspace, told_if_gone, workflow_name
from gitckpt.cli.reading_words import mark, path_json
from gitckpt.cli.terminal import PATHS, WithPaths, inside, print_json, where
from gitckpt.engine.capturing import capture_rules
from gitckpt.engine.changes import Desk, Difference, base_of, between, edits, made_by, only
from gitckpt.engine.inspect import standing
from gitckpt.model.manifest import Json
from gitckpt.model.text import safe
from gitckpt.model.workflow import Workflow
from gitckpt.plumbing.content import Change, Item
from gitckpt.plumbing.diff import render, scratch, unsaid
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository
from gitckpt.spec.load import load
from gitckpt.spec.problem import DefinitionInvalid, WorkflowFileUnreadable
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.definition import decode_workflow
from gitckpt.store.store import Store


@click.command(cls=WithPaths, options_metavar="[OPTIONS] [A [B]] [-- PATH…]", add_help_option=True)
@click.argument("first", required=False, metavar="")
@click.argument("second", required=False, metavar="")
@click.option("--stat", "form", flag_value="stat", help="A summary: lines changed in each file.")
@click.option("--name-only", "form", flag_value="names", help="Only the names.")
@click.option("--json", "as_json", is_flag=True, help="The changed paths as one JSON object on stdout.")
@click.pass_context
def diff(ctx: click.Context, *, first: str | None, second: str | None, form: str | None, as_json: bool) -> int:
    """Show your edits since the last checkpoint; with A what A changed; with A and B what differs between them.

    A and B are checkpoints (a phase: over all its checkpoints), attempts (load@2) or rescues (rescue@1).
    """
    place = where(ctx)
    workspace = find_workspace(place, "known")
    paths = tuple(inside(workspace.root, path, place.directory) for path in ctx.meta[PATHS])
    with scratch(workspace.repository, workspace.root) as aside, Reader(aside) as reader:
        store = Store(workspace.repository, reader, workflow_name(workspace), workspace.prefix)
        with told_if_gone(workspace, store):
            found = _difference(workspace, aside, store, first, second)
        changes = only(found, paths)
        if as_json:
            print_json(_json(found, changes))
        elif form == "names":
            for change in changes:
                if not _is_folder(change):
                    click.echo(safe(change.path))
        else:
            _show(aside, found, changes, "stat" if form == "stat" else "patch")
    return 0


def _difference(
    workspace: Workspace, aside: Repository, store: Store, first: str | None, second: str | None
) -> Difference:
    store.tip()  # a branch of another folder is refused here, with its name
    if first is not None:
        return made_by(store, first) if second is None else between(store, first, second)
    base = base_of(store, workspace.place)
    now = standing(store, workspace.place, active(workspace))
    if now.running is not None:
        _say("a command works here now: what it changed so far is among this")
    for note in now.unfinished:
        _say(note)
    desk = Desk(
        repository=workspace.repository,
        root=workspace.root,
        prefix=workspace.prefix,
        scratch=aside,
        place=workspace.place,
    )
    return edits(store, desk, base, capture_rules(_workflow(workspace.file, store, base), os.environ))


def _workflow(file: Path, store: Store, base: Checkpoint) -> Workflow:
    """Today's definition; where the file is broken the base's, so that its own edit can be seen.

    The base's too where the file would have to be run, or where there is none.
    """
    if file.suffix == ".py" or not file.exists():
        return decode_workflow(store.definition(base.oid))
    try:
        return load(file).workflow
    except (DefinitionInvalid, WorkflowFileUnreadable):
        _say(f"the workflow file has problems (gitckpt lint); what is captured is told by that of {base.number:04d}")
        return decode_workflow(store.definition(base.oid))


def _is_folder(change: Change) -> bool:
    return all(item is None or item.kind == "dir" for item in (change.old, change.new))


def _json(found: Difference, changes: Iterable[Change]) -> dict[str, Json]:
    return {"from": safe(found.old), "to": safe(found.new), "changes": [_change_json(change) for change in changes]}


def _change_json(change: Change) -> dict[str, Json]:
    return {
        "path": path_json(change.path),
        "change": mark(change),
        "old": _item_json(change.old),
        "new": _item_json(change.new),
    }


def _item_json(item: Item | None) -> dict[str, Json] | None:
    if item is None:
        return None
    return {"kind": item.kind, "mode": f"{item.mode:04o}", "blob": item.oid.hex() or None}


# --- on the screen ------------------------------------------------------------------------------------------------


def _show(aside: Repository, found: Difference, changes: tuple[Change, ...], form: Literal["patch", "stat"]) -> None:
    terminal = sys.stdout.isatty()
    if not changes:
        if terminal:
            click.echo(f"Nothing differs: {safe(found.old)} and {safe(found.new)}.", err=True)
        return
    width = shutil.get_terminal_size().columns if terminal else 80
    data = render(aside, changes, form, width)
    # `git apply` skips lines before the first header, so the whole output is still a patch.
    for note in unsaid(changes, found.before, found.after):
        click.echo(f"# {safe(note.path)}: {note.what}")
    if not terminal:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    coloured = form == "patch" and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    lines = data.removesuffix(b"\n").decode("utf-8", "surrogateescape").split("\n")
    shown = (safe(line.rstrip("\r")) if "\t" not in line else "\t".join(map(safe, line.split("\t"))) for line in lines)
    for line in _coloured(shown) if coloured else shown:
        click.echo(line)


_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_COLOURS = {"+": "\x1b[32m", "-": "\x1b[31m"}


def _coloured(lines: Iterable[str]) -> Iterator[str]:
    """Git's colours. Counting each hunk's lines tells a removed `-- x` from a header."""
    old = new = 0
    for line in lines:
        hunk = _HUNK.match(line) if old <= 0 and new <= 0 else None
        if hunk:
            old, new = (int(hunk[group] or 1) for group in (1, 2))
            yield f"\x1b[36m{hunk[0]}\x1b[m{line[hunk.end() :]}"
        elif old > 0 or new > 0:
            sign = line[:1]
            old -= sign in ("-", " ")
            new -= sign in ("+", " ")
            yield f"{_COLOURS[sign]}{line}\x1b[m" if sign in _COLOURS else line
        else:
            yield f"\x1b[1m{line}\x1b[m" if line else line


def _say(text: str) -> None:
    click.echo(f"note: {safe(text)}", err=True)
