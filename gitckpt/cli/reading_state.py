"""`status`: where a workflow stands. People ask often, so it loads as little as it can."""

from __future__ import annotations

import click

from gitckpt.api.reading import Workspace, active, open_store
from gitckpt.cli.reading_words import (
    at_iso,
    elapsed,
    iso,
    plural,
    shown_folder,
    status_word,
    table,
    uncaptured_lines,
)
from gitckpt.cli.terminal import print_json, where
from gitckpt.engine.inspect import Running, Standing, standing
from gitckpt.model.manifest import DONE, Json, Manifest, PhaseState, Status
from gitckpt.model.names import PhaseName
from gitckpt.model.text import safe
from gitckpt.progress.text import duration
from gitckpt.store.store import Store


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def status(ctx: click.Context, *, as_json: bool) -> int:
    """Show where the workflow stands: each phase, what runs now, and the next command."""
    with open_store(where(ctx)) as (workspace, store):
        now = standing(store, workspace.place, active(workspace))
        if as_json:
            print_json(_status_json(workspace, store, now))
        else:
            click.echo("\n".join(_status_lines(workspace, store, now)))
    return 0


def _status_lines(workspace: Workspace, store: Store, now: Standing) -> list[str]:
    if now.tip is None:
        lines = [f"{store.workflow}   no checkpoints yet in {shown_folder(workspace.root)}"]
    else:
        manifest = now.tip.manifest
        lines = [f"{store.workflow}   {_stands(manifest)}, at {now.tip.number:04d}"]
    if now.running is not None:
        lines.append(_running_line(now.running))
    lines += table([_phase_row(name, state, now.running) for name, state in now.phases.items()], "  ")
    for name, state in now.phases.items():
        if state.uncaptured:
            lines += uncaptured_lines(name, state.uncaptured)
    lines += [
        f"{name} was cut off again and again: call `gitckpt checkpoint -m …` inside it, or give it more time"
        for name in now.stuck
    ]
    lines += [f"note: {safe(text)}" for text in now.unfinished]
    if now.tip is not None and now.tip.manifest.outside:
        lines.append(f"outside this folder still done: {', '.join(now.tip.manifest.outside)}")
    if now.next_command is not None:
        lines.append(f"next: {now.next_command}")
    return lines


def _stands(manifest: Manifest) -> str:
    if not manifest.run:
        return "no run is on"
    match manifest.current_state:
        case "COMPLETE":
            return "complete"
        case "INIT":
            return "nothing has run yet"
        case phase:
            return f"in {safe(phase)}"


def _running_line(running: Running) -> str:
    who = running.who
    by = f"process {who.pid} on {safe(who.host)} since {at_iso(who.since)}" if who.pid else "another process"
    if running.phase is None:
        return f"busy: {by} ({safe(who.command)})" if who.command else f"busy: {by}"
    attempt = f", attempt {running.attempt}" if running.attempt else ""
    since = f", for {elapsed(running.since)}" if running.since and elapsed(running.since) else ""
    return f"running: {running.phase}{attempt}{since}; {by}"


def _phase_row(name: PhaseName, state: PhaseState, running: Running | None) -> tuple[str, ...]:
    if state.status is Status.RUNNING and running is not None:
        return (name, "running", f"attempt {running.attempt}" if running.attempt else "", "", at_iso(running.since), "")
    tries = plural(state.attempts, "attempt") if state.attempts > 1 or state.status is Status.FAILED else ""
    took = "" if state.duration_ms is None else duration(state.duration_ms)
    ended = at_iso(state.completed) if state.status in DONE else ""
    return (name, status_word(state.status), tries, took, ended, safe(state.detail or ""))


def _status_json(workspace: Workspace, store: Store, now: Standing) -> dict[str, Json]:
    manifest = now.tip.manifest if now.tip else None
    return {
        "workflow": store.workflow,
        "workspace": shown_folder(workspace.root),
        "branch": store.branch,
        "checkpoint": now.tip.number if now.tip else None,
        "commit": now.tip.oid if now.tip else None,
        "run": manifest.run if manifest else None,
        "current_state": manifest.current_state if manifest else None,
        "started_at": manifest.started_at if manifest else None,
        "updated_at": iso(now.tip.seconds) if now.tip else None,
        "params": dict(manifest.params) if manifest else {},
        "outside": list(manifest.outside) if manifest else [],
        "phases": [_phase_json(name, state) for name, state in now.phases.items()],
        "running": _running_json(now.running),
        "unfinished": [safe(text) for text in now.unfinished],
        "stuck": bool(now.stuck),
        "next_command": now.next_command,
    }


def _phase_json(name: PhaseName, state: PhaseState) -> dict[str, Json]:
    mark = state.uncaptured
    return {
        "name": name,
        "status": state.status.value,
        "attempts": state.attempts,
        "cut_offs": state.cut_offs,
        "generation": state.generation,
        "started": state.started,
        "completed": state.completed,
        "duration_ms": state.duration_ms,
        "exit_code": state.exit_code,
        "detail": state.detail,
        "partial": state.partial,
        "uncaptured": {"paths": list(mark.paths), "count": mark.count, "size": mark.size} if mark else None,
    }


def _running_json(running: Running | None) -> dict[str, Json] | None:
    if running is None:
        return None
    who = running.who
    return {
        "pid": who.pid or None,
        "host": safe(who.host),
        "since": who.since,
        "command": safe(who.command),
        "phase": running.phase,
        "attempt": running.attempt,
        "phase_since": running.since or None,
    }
