"""`status`: where a workflow stands. People ask often, so it loads as little as it can."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import click

from gitckpt.api.reading import Where, Workspace, active, open_branch
from gitckpt.cli.reading_words import (
    at_iso,
    elapsed,
    shown_folder,
    status_word,
    table,
    uncaptured_lines,
)
from gitckpt.cli.terminal import print_json, where
from gitckpt.engine.inspect import Pace, Running, Standing, open_gates, standing
from gitckpt.model.amount import plural
from gitckpt.model.conflicts import MINE, conflicts
from gitckpt.model.dated import lines_of, out_of_date
from gitckpt.model.manifest import DONE, Conflict, Items, Manifest, PhaseState, Status, left_words, state_of
from gitckpt.model.names import PhaseName
from gitckpt.model.text import headline, safe
from gitckpt.progress.text import duration
from gitckpt.store.branch import Branch

if TYPE_CHECKING:
    from gitckpt.model.gone import OutsGone


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Until nothing runs: redrawn on a terminal, else a line a change.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def status(ctx: click.Context, *, follow: bool, as_json: bool) -> int:
    """Show where the workflow stands: each phase, what runs now, and the next command."""
    if follow:
        if as_json:
            raise click.UsageError("--follow and --json exclude each other")
        ended: int = import_module("gitckpt.cli.following").follow_status(partial(_look, where(ctx)))
        return ended
    with open_branch(where(ctx)) as (workspace, branch):
        now = standing(branch, workspace.place, active(workspace))
        if as_json:
            as_value = import_module("gitckpt.cli.reading_state_json").status_json
            print_json(as_value(workspace, branch, now))
        else:
            click.echo("\n".join(_status_lines(workspace, branch, now)))
    return 0


def _look(place: Where) -> tuple[list[str], list[tuple[str, ...]], bool]:
    """All lines, the row of each phase, and whether a command works now."""
    with open_branch(place) as (workspace, branch):
        now = standing(branch, workspace.place, active(workspace))
        rows = [_phase_row(name, state, now) for name, state in now.phases.items()]
        return _status_lines(workspace, branch, now), rows, now.running is not None


def _status_lines(workspace: Workspace, branch: Branch, now: Standing) -> list[str]:
    if now.tip is None:
        there = "on its branch" if now.unfinished else "yet"
        lines = [f"{branch.workflow}   no checkpoints {there} in {shown_folder(workspace.root)}"]
    else:
        manifest = now.tip.manifest
        lines = [f"{branch.workflow}   {_stands(manifest)}{_progress(manifest)}, at {now.tip.number:04d}"]
    if now.running is not None:
        lines.append(_running_line(now.running))
    lines += table([_phase_row(name, state, now) for name, state in now.phases.items()], "  ")
    for name, state in now.phases.items():
        if state.uncaptured:
            lines += uncaptured_lines(name, state.uncaptured)
    lines += [
        f"{name} was cut off again and again; to get past it: gitckpt run --detach, or `foreach`, or "
        "`gitckpt checkpoint -m …` inside it"
        for name in now.stuck
    ]
    lines += [f"note: {safe(text)}" for text in now.unfinished]
    if now.tip is not None:
        for gone in outs_gone(workspace, branch, now):
            lines += [safe(gone.words), *(f"  {way}" for way in gone.ways)]
        lines += lines_of(now.out_of_date)
        lines += _pending_lines(now.tip.manifest)
    if now.next_command is not None:
        lines.append(f"next: {now.next_command}")
    return lines


def outs_gone(workspace: Workspace, branch: Branch, now: Standing) -> tuple[OutsGone, ...]:
    """Outs that somebody removed: looked for where a phase has any, for that takes longer than all the rest."""
    if now.tip is None or now.running is not None or now.unfinished or not phases_done(now.tip.manifest):
        return ()
    if b'"outs": [\n' not in branch.definition(now.tip.oid):
        return ()
    found: tuple[OutsGone, ...] = import_module("gitckpt.engine.inspect_outs").outs_gone_at(
        branch, now.tip, workspace.root
    )
    return found


def _pending_lines(manifest: Manifest) -> list[str]:
    """What waits for somebody, or is still to be undone."""
    lines = [
        f"{name} waits: {safe(state_of(manifest, name).detail or '')}{_until(manifest, name)}"
        for name in open_gates(manifest)
    ]
    lines += [_conflict_line(name, conflict) for name, conflict in conflicts(manifest).items()]
    match manifest.goal.kind:
        case "reach":
            lines.append(f"a rollback to {manifest.goal.after:04d} is under way: compensations come first")
        case "compensate":
            lines.append("what was done outside is being compensated")
        case "finish":
            pass
    for name, state in manifest.phases.items():
        if state.items is not None and state.items.failed and state.status is Status.COMPLETED:
            failed = plural(state.items.failed, "item")
            lines.append(f"{name}: {failed} failed, so many may: gitckpt items {name} --failed")
    if manifest.outside:
        told = {left.phase for left in manifest.left_behind}
        alone = [safe(name) for name in manifest.outside if name not in told]
        what = ", ".join([*alone, *([left_words(manifest.left_behind)] if manifest.left_behind else [])])
        lines.append(f"left behind outside this folder, not undone: {what}")
    return lines


def _conflict_line(name: str, conflict: Conflict) -> str:
    paths = ", ".join(map(safe, conflict.paths[:3]))
    more = f" and {conflict.count - 3:,} more" if conflict.count > 3 else ""
    against = " and ".join(map(safe, conflict.against)) or ("a phase" if name == MINE else "what came before")
    who = "you" if name == MINE else name
    return f"conflict: {who} and {against} changed {paths}{more} differently: gitckpt resolve {name}"


def _until(manifest: Manifest, name: PhaseName) -> str:
    expires = state_of(manifest, name).expires
    return f" (until {at_iso(expires)})" if expires else ""


def _stands(manifest: Manifest) -> str:
    if not manifest.run:
        return "no run is on"
    if not manifest.order:
        return "made by scripts"
    match manifest.current_state:
        case "COMPLETE" if manifest.clash is not None:
            return "complete, but for your decision"
        case "COMPLETE":
            return "complete, but out of date" if out_of_date(manifest) else "complete"
        case "INIT":
            return "nothing has run yet"
        case phase:
            return f"in {safe(phase)}"


def _progress(manifest: Manifest) -> str:
    """`, 2/5 phases done`; empty where no run is on, and where scripts make the checkpoints."""
    if not manifest.run or not manifest.order:
        return ""
    return f", {phases_done(manifest)}/{plural(len(manifest.order), 'phase')} done"


def phases_done(manifest: Manifest) -> int:
    return sum(state_of(manifest, name).status in DONE for name in manifest.order)


def _running_line(running: Running) -> str:
    who, first = running.who, running.first
    by = f"process {who.pid} on {safe(who.host)} since {at_iso(who.since)}" if who.pid else "another process"
    if first is None:
        return f"busy: {by} ({safe(who.command)})" if who.command else f"busy: {by}"
    if len(running.flights) > 1:
        names = ", ".join(dict.fromkeys(flight.phase for flight in running.flights))
        return f"running: {names} ({plural(len(running.flights), 'attempt')} at once); {by}"
    items = f", {safe(first.items)}" if first.items else ""
    attempt = f", attempt {first.attempt}" if first.attempt else ""
    since = f", for {elapsed(first.since)}" if first.since and elapsed(first.since) else ""
    return f"running: {first.phase}{items}{attempt}{since}; {by}"


def _phase_row(name: PhaseName, state: PhaseState, now: Standing) -> tuple[str, ...]:
    share, waiting = _share(state.items), _to_be_merged(now.to_be_merged.get(name, 0), state)
    flights = now.running.of(name) if now.running is not None else ()
    if state.status is Status.RUNNING and flights:
        first = flights[0]
        attempt = f"attempt {first.attempt}" if first.attempt and len(flights) == 1 else ""
        at_once = f"{len(flights):,} at once" if len(flights) > 1 else ""
        told = ", ".join(word for word in (share, attempt, at_once, waiting) if word)
        return (name, "running", told, "", at_iso(first.since), _pace_words(first.pace))
    tries = plural(state.attempts, "attempt") if state.attempts > (state.status is not Status.FAILED) else ""
    told = ", ".join(word for word in (share, "" if share else tries, waiting) if word)
    took = "" if state.duration_ms is None else duration(state.duration_ms)
    ended = at_iso(state.completed) if state.status in DONE else ""
    return (name, status_word(state.status), told, took, ended, headline(state.detail or ""))


def _to_be_merged(count: int, state: PhaseState) -> str:
    """That what has succeeded is not part of the history yet."""
    if not count:
        return ""
    return "to be merged" if state.items is None else f"{count:,} to be merged"


def _share(items: Items | None) -> str:
    """`61,000/100,000 items, 3 failed, 1 skipped`."""
    if items is None:
        return ""
    if items.stale:
        return "items to be listed anew"
    words = [f"{items.done:,}/{plural(items.total, 'item')}"]
    words += [f"{items.failed:,} failed"] if items.failed else []
    words += [f"{items.skipped:,} skipped"] if items.skipped else []
    return ", ".join(words)


def _pace_words(pace: Pace | None) -> str:
    if pace is None:
        return ""
    hourly = pace.items_per_hour
    rate = f"{hourly // 3600:,}/s" if hourly >= 3600 else f"{hourly / 60:,.1f}/min"
    return f"{rate}, about {duration(pace.left_ms)} left"
