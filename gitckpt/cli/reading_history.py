"""`log` and `show`: the checkpoints, and one of them. Runs and changes nothing."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Sequence

import click

from gitckpt.api.opening import open_store
from gitckpt.api.reading import active
from gitckpt.cli.graph import draw
from gitckpt.cli.reading_events import event_words
from gitckpt.cli.reading_words import (
    at_iso,
    at_seconds,
    counts,
    iso,
    items_json,
    items_words,
    mark,
    path_json,
    table,
)
from gitckpt.cli.terminal import print_json, where
from gitckpt.engine.changes import of_one
from gitckpt.engine.history import (
    History,
    Row,
    completed_items,
    folded_history,
    folded_run_history,
    merged_in,
    run_history,
    whole_history,
)
from gitckpt.engine.inspect import standing
from gitckpt.engine.lineage import Beside, Node, lineage
from gitckpt.model.amount import plural
from gitckpt.model.manifest import Json, state_of
from gitckpt.model.merging import Merged
from gitckpt.model.names import Oid
from gitckpt.model.text import safe
from gitckpt.plumbing.content import Change
from gitckpt.plumbing.diff import unsaid
from gitckpt.store.selectors import Selected, label, select
from gitckpt.store.store import Store

WHOLE = frozenset({"phase", "merge"})
"""The kinds of a checkpoint that completes a phase."""

SHOWN_ROWS = 30
SHOWN_FILES = 50
WIDEST = 160
"""Characters of why an attempt failed; `gitckpt output` has all that it printed."""


# --- log ----------------------------------------------------------------------------------------------------------


@click.command()
@click.option("-n", "limit", type=click.IntRange(min=0), default=None, help=f"At most so many ({SHOWN_ROWS}).")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--run", "this_run", is_flag=True, help="Only those of the current run.")
@click.option("--graph", is_flag=True, help="Draw what builds on what: merges, rollbacks.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def log(ctx: click.Context, *, limit: int | None, everything: bool, this_run: bool, graph: bool, as_json: bool) -> int:
    """List the checkpoints, newest first. `·` marks an attempt that did not complete.

    Neighbours that did items of one phase are one line, with how many are done after them; --all shows each. In the
    graph, what a phase or item did by itself stands beside the checkpoint that merged it, by its commit; `o` was taken
    back by a rollback.
    """
    if limit is not None and everything:
        raise click.UsageError("-n and --all exclude each other")
    most = SHOWN_ROWS if limit is None else limit
    with open_store(where(ctx)) as (workspace, store):
        if store.tip() is None:
            raise store.no_checkpoints()
        if everything or as_json:
            found = (run_history if this_run else whole_history)(store, None if everything else most)
        else:
            found = (folded_run_history if this_run else folded_history)(store, most)
        tags = {oid: name for name, oid in store.tags().items()}
        notes = standing(store, workspace.place, active(workspace)).unfinished
        if as_json:
            print_json(_log_json(store, found, tags))
            return 0
        nodes = lineage(store, found) if graph else ()
    _log_lines(found, nodes)
    for note in notes:
        click.echo(f"note: {safe(note)}", err=True)
    return 0


def _log_lines(found: History, nodes: Sequence[Node]) -> None:
    newest = next((row for row in found.rows if row.attempt is None), None)
    shown = [node.shows for node in nodes] or list(found.rows)
    lines = table([_log_row(each) if isinstance(each, Row) else _beside_row(each) for each in shown])
    drawn = draw([(node.oid, node.parents, _mark(node, found)) for node in nodes])
    width, art_width = max(map(len, lines), default=0), max((len(each.line) for each in drawn), default=0)
    hint = "" if newest is None else f"go back to it: gitckpt rollback {newest.checkpoint.number}"
    space = art_width + width + len(hint) + 6
    # A terminal would break it within a word.
    is_beside = not sys.stdout.isatty() or space <= shutil.get_terminal_size().columns
    for at, (each, line) in enumerate(zip(shown, lines, strict=True)):
        art = f"{drawn[at].line.ljust(art_width)}  " if drawn else ""
        click.echo(f"{art}{line.ljust(width)}    {hint if is_beside and each is newest else ''}".rstrip())
        if drawn and at + 1 < len(shown):
            for more in drawn[at].after:
                click.echo(more)
    if hint and not is_beside:
        click.echo(f"newest: {hint}")
    if found.more:
        click.echo(f"… {found.more:,} more: gitckpt log --all")


def _mark(node: Node, found: History) -> str:
    """`*` is what the newest checkpoint builds on, `o` what was taken back."""
    return "o" if node.oid in found.taken_back else "*"


def _beside_row(beside: Beside) -> tuple[str, ...]:
    """A commit that has no number of its own, by its id."""
    checkpoint = beside.checkpoint
    when = at_seconds(checkpoint.seconds)
    if beside.joins:
        return (checkpoint.oid[:8], "begin", f"with {safe(', '.join(beside.joins))}", when, "")
    done = completed_items(checkpoint)
    what = items_words(done, state_of(checkpoint.manifest, done.phase).items) if done else "by itself"
    return (checkpoint.oid[:8], safe(checkpoint.title.phase or ""), _cut(safe(what), 40), when, counts(beside.files))


def _log_row(row: Row) -> tuple[str, ...]:
    title, number = row.title, f"{row.checkpoint.number:04d}"
    when = at_seconds(row.checkpoint.seconds)
    if title.kind == "failed":
        name = row.attempt or str(title.phase or "")
        return ("  ·", name, title.status, when, _cut(safe(_failure(row)), WIDEST))
    name = row.attempt or str(title.phase or title.kind)
    if row.oldest is not None:
        number = f"{row.oldest.number:04d}..{number}"
    return (number, safe(name), _cut(safe(_status(row)), 40), when, _gained(row))


def _status(row: Row) -> str:
    """What stands in the column of its status: items by name and number, other things by their own words."""
    done = completed_items(row.checkpoint)
    if done is None or row.title.phase != done.phase:
        return " ".join(word for word in (row.title.status, _told(row)) if word)
    items = state_of(row.checkpoint.manifest, done.phase).items
    if row.title.kind in WHOLE or row.oldest is not None:
        share = f"{items.done:,}/{plural(items.total, 'item')}" if items else ""
        return f"{row.title.status} {share}" if row.title.kind in WHOLE else share
    return items_words(done, items)


def _told(row: Row) -> str:
    """What stands beside the status: nothing where the columns say it already."""
    return "" if row.attempt or (row.title.kind in WHOLE and row.title.status == "done") else row.title.detail


def _gained(row: Row) -> str:
    """Items, where one checkpoint did many, and files."""
    done = completed_items(row.checkpoint) if row.oldest is None else None
    parts = [f"+{done.count:,} items"] if done is not None and done.count > 1 else []
    merged = merged_in(row.checkpoint) if row.oldest is None else None
    if merged is not None and merged.settled:
        parts.append(f"{plural(len(merged.settled), 'path')} settled by a rule")
    return ", ".join(part for part in (*parts, counts(row.files)) if part)


def _failure(row: Row) -> str:
    detail = re.sub(r"^\S+@\d+ ?", "", row.title.detail)
    return ": ".join(part for part in (detail, row.cause) if part)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _log_json(store: Store, found: History, tags: dict[Oid, str]) -> dict[str, Json]:
    return {
        "workflow": store.workflow,
        "checkpoints": [_row_json(row, tags, found.taken_back) for row in found.rows],
        "more": found.more,
    }


def _row_json(row: Row, tags: dict[Oid, str], taken_back: frozenset[Oid]) -> dict[str, Json]:
    checkpoint, title = row.checkpoint, row.title
    marks = [mark(change) for change in row.files]
    done = completed_items(checkpoint)
    return {
        "number": checkpoint.number,
        "commit": checkpoint.oid,
        "tag": tags.get(checkpoint.oid),
        "kind": title.kind,
        "phase": title.phase,
        "status": title.status,
        "detail": safe(title.detail),
        "attempt": row.attempt,
        "cause": row.cause or None,
        "items": items_json(done) if done else None,
        "author": checkpoint.author,
        "at": iso(checkpoint.seconds),
        "run": checkpoint.manifest.run,
        "parents": list(checkpoint.parents),
        "files": {"added": marks.count("A"), "modified": marks.count("M"), "removed": marks.count("D")},
        "taken_back": checkpoint.oid in taken_back,
        "merged": _merged_json(merged_in(checkpoint)),
    }


def _merged_json(merged: Merged | None) -> dict[str, Json] | None:
    if merged is None:
        return None
    return {"own": merged.own, "start": merged.start, "settled": [safe(path) for path in merged.settled]}


# --- show ---------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("checkpoint")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def show(ctx: click.Context, *, checkpoint: str, as_json: bool) -> int:
    """Show one CHECKPOINT, attempt (load@2) or rescue (rescue@1): what happened, the files, how to go back."""
    with open_store(where(ctx)) as (_, store):
        chosen = select(store, checkpoint)
        difference = of_one(store, chosen)
        notes = {each.path: each.what for each in unsaid(difference.changes, difference.before, difference.after)}
        tag = next((name for name, oid in store.tags().items() if oid == chosen.checkpoint.oid), None)
        if as_json:
            print_json(_show_json(store, chosen, difference.changes, tag))
            return 0
        lines = [*_show_head(store, chosen, tag), *_show_files(difference.changes, notes), *_ways(chosen)]
    click.echo("\n".join(lines))
    return 0


def _show_head(store: Store, chosen: Selected, tag: str | None) -> list[str]:
    checkpoint = chosen.checkpoint
    title = checkpoint.title
    rows: list[tuple[str, str]] = [("commit", checkpoint.oid)]
    if tag and not chosen.beside:
        rows.append(("tag", f"gitckpt/{store.workflow}/{safe(tag)}"))
    rows += [
        ("kind", title.kind),
        ("by", f"{safe(checkpoint.author)}, {at_seconds(checkpoint.seconds)}"),
        ("run", safe(checkpoint.manifest.run) or "none"),
    ]
    merged = merged_in(checkpoint)
    if merged is not None:
        whole = "" if completed_items(checkpoint) else f"gitckpt diff {merged.phase} · "
        rows += [("own", f"{merged.own} ({whole}git show {merged.own[:12]})")]
        rows += [("start", f"{merged.start} ({_named(store, merged.start)})")]
    for event in checkpoint.events:
        rows.append(("what", f"{event_words(event)} ({at_iso(event.at)})"))
    return [safe(chosen.label), *table(rows, "  ")]


def _named(store: Store, oid: Oid) -> str:
    """What an attempt began from: a checkpoint by its number, or one with phases that were not merged then."""
    started = store.read(oid)
    if oid in store.ids():
        return f"it began from {label(started)}"
    joined = ", ".join(str(event.phase) for event in started.events if isinstance(event, Merged))
    return f"it began from {started.number - 1:04d} with {safe(joined)}"


def _show_files(changes: Iterable[Change], notes: dict[bytes, str]) -> list[str]:
    told = [change for change in changes if change.path in notes or not _plain_folder(change)]
    files = [change for change in told if not _plain_folder(change)]
    lines = [f"  files   {counts(files) if len(files) > 1 else plural(len(files), 'file')}"]
    for change in told[:SHOWN_FILES]:
        what = f"  ({notes[change.path]})" if change.path in notes else ""
        lines.append(f"    {mark(change)} {safe(change.path)}{what}")
    if len(told) > SHOWN_FILES:
        lines.append(f"    … {plural(len(told) - SHOWN_FILES, 'more path')}: gitckpt diff --name-only")
    return lines


def _plain_folder(change: Change) -> bool:
    return all(item is None or item.kind == "dir" for item in (change.old, change.new))


def _ways(chosen: Selected) -> list[str]:
    if chosen.beside:
        return [f"  see it   gitckpt diff {chosen.label}", f"  files    gitckpt restore {chosen.label}"]
    number = chosen.checkpoint.number
    return [f"  see it   gitckpt diff {number}", f"  go back  gitckpt rollback {number}"]


def _show_json(store: Store, chosen: Selected, changes: Iterable[Change], tag: str | None) -> dict[str, Json]:
    checkpoint = chosen.checkpoint
    title = checkpoint.title
    return {
        "label": safe(chosen.label),
        "beside": chosen.beside,
        "number": checkpoint.number,
        "commit": checkpoint.oid,
        "tag": f"gitckpt/{store.workflow}/{tag}" if tag and not chosen.beside else None,
        "kind": title.kind,
        "phase": title.phase,
        "status": title.status,
        "author": checkpoint.author,
        "at": iso(checkpoint.seconds),
        "run": checkpoint.manifest.run,
        "parents": list(checkpoint.parents),
        "merged": _merged_json(merged_in(checkpoint)),
        "events": [
            {"type": type(event).__name__, "at": event.at, "words": event_words(event)} for event in checkpoint.events
        ],
        "files": [{"path": path_json(change.path), "change": mark(change)} for change in changes],
    }
