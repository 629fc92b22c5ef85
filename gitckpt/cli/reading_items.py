"""`items`: the items of a phase, by key, with what became of each. Runs and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import click

from gitckpt.api.opening import open_store
from gitckpt.api.writing import NoSuchPhase, near_names
from gitckpt.cli.reading_words import path_json, table
from gitckpt.cli.terminal import print_json, where
from gitckpt.engine.listed import STATES, Known, Listed, indices_in, open_items
from gitckpt.model.amount import plural
from gitckpt.model.manifest import Json
from gitckpt.model.names import PhaseName
from gitckpt.model.shard import COMPENSATED, DONE, FAILED, PENDING, SKIPPED
from gitckpt.model.text import safe

SHOWN = 50
SHOWN_JSON = 10_000
"""A million items as one JSON object would be 2 GB in memory; `more` says how many are left out."""

_FLAGS = {"failed": (FAILED,), "done": (DONE,), "todo": (PENDING, COMPENSATED), "skipped": (SKIPPED,)}


@click.command()
@click.argument("phase")
@click.option("--failed", "which", flag_value="failed", help="Only those whose last try failed.")
@click.option("--done", "which", flag_value="done", help="Only those that are done.")
@click.option("--todo", "which", flag_value="todo", help="Only those that are not done and have not failed.")
@click.option("--skipped", "which", flag_value="skipped", help="Only those that somebody skipped.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=None, help=f"At most so many ({SHOWN}; {SHOWN_JSON:,} with --json)."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def items(ctx: click.Context, *, phase: str, which: str | None, limit: int | None, as_json: bool) -> int:
    """List the items of PHASE: key, state, the checkpoint it was done in, exit code and detail of a failure."""
    states = _FLAGS[which] if which else tuple(STATES)
    with open_store(where(ctx)) as (workspace, store):
        tip = store.tip()
        if tip is None:
            raise store.no_checkpoints()
        names = tip.manifest.phases
        if phase not in names:
            raise NoSuchPhase(phase, near_names(phase, list(names)))
        with open_items(store, workspace.place, tip, PhaseName(phase)) as listed:
            most = limit if limit is not None else SHOWN_JSON if as_json else SHOWN
            indices, more = indices_in(listed, states, most)
            rows = tuple(listed.known(indices))
            if as_json:
                print_json(_items_json(listed, rows, more))
            else:
                click.echo("\n".join(_lines(listed, rows, more)))
    return 0


def _lines(listed: Listed, rows: Sequence[Known], more: int) -> list[str]:
    all_of_them = listed.items
    left = all_of_them.total - all_of_them.done - all_of_them.failed - all_of_them.skipped
    counts = ((all_of_them.done, "done"), (all_of_them.failed, "failed"), (all_of_them.skipped, "skipped"))
    told = [f"{count:,} {word}" for count, word in (*counts, (left, "to do")) if count]
    lines = [f"{listed.phase}   {plural(all_of_them.total, 'item')}: {', '.join(told) or 'none'}"]
    if all_of_them.stale:
        lines.append("  the list is made anew when the phase starts; what is done carries over by its key")
    lines += table([_row(listed, known) for known in rows], "  ")
    return [*lines, f"… {more:,} more: --limit N, or --json"] if more else lines


def _row(listed: Listed, known: Known) -> tuple[str, ...]:
    number = f"{known.number:04d}" if known.number else ""
    if known.failure is not None:
        number = f"{listed.phase}@{known.failure.attempt}"
    return (safe(known.item.key[:200]), STATES[known.state], number, safe(_why(known)))


def _why(known: Known) -> str:
    """The detail of a failure; it names the exit code, and before it the items, which stand in the row."""
    if known.failure is None:
        return ""
    return known.failure.detail.rpartition("): ")[2] or known.failure.detail


def _items_json(listed: Listed, rows: Sequence[Known], more: int) -> dict[str, Json]:
    counts = listed.items
    told: list[Json] = [_item_json(listed, known) for known in rows]
    return {
        "phase": listed.phase,
        "total": counts.total,
        "done": counts.done,
        "failed": counts.failed,
        "skipped": counts.skipped,
        "batch": counts.batch,
        "stale": counts.stale,
        "items": told,
        "more": more,
    }


def _item_json(listed: Listed, known: Known) -> dict[str, Json]:
    failure = known.failure
    return {
        "index": known.index,
        "batch": None if listed.items.batch is None else known.index // listed.items.batch + 1,
        "key": path_json(known.item.key),
        "state": STATES[known.state].replace(" ", "_"),
        "checkpoint": known.number or None,
        "attempt": failure.attempt if failure else None,
        "exit_code": failure.exit_code if failure else None,
        "detail": safe(failure.detail) if failure else None,
    }
