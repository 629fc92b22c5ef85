"""`status --json`: where a workflow stands, as one value. Keys are only ever added.

Owns its shape. Loaded when it is asked for: text is what people ask for all the time.
"""

from __future__ import annotations

from gitckpt.api.reading import Workspace
from gitckpt.cli.reading_gone import gone_json
from gitckpt.cli.reading_state import outs_gone, phases_done
from gitckpt.cli.reading_words import iso, shown_folder
from gitckpt.engine.inspect import Flight, Running, Standing, open_gates
from gitckpt.model.conflicts import conflicts
from gitckpt.model.manifest import Conflict, Items, Json, Left, Manifest, PhaseState, state_of
from gitckpt.model.names import PhaseName
from gitckpt.model.text import safe
from gitckpt.store.branch import Branch


def status_json(workspace: Workspace, branch: Branch, now: Standing) -> dict[str, Json]:
    manifest = now.tip.manifest if now.tip else None
    return {
        "workflow": branch.workflow,
        "workspace": shown_folder(workspace.root),
        "branch": branch.branch,
        "checkpoint": now.tip.number if now.tip else None,
        "commit": now.tip.oid if now.tip else None,
        "run": manifest.run if manifest else None,
        "current_state": manifest.current_state if manifest else None,
        "phases_done": phases_done(manifest) if manifest else 0,
        "phases_total": len(manifest.order) if manifest else 0,
        "started_at": manifest.started_at if manifest else None,
        "updated_at": iso(branch.made_at(now.tip.oid)) if now.tip else None,
        "params": dict(manifest.params) if manifest else {},
        "outside": list(manifest.outside) if manifest else [],
        "out_of_date": [each.phase for each in now.out_of_date],
        "left_behind": [_left_json(left) for left in manifest.left_behind] if manifest else [],
        "outs_gone": [gone_json(each) for each in outs_gone(workspace, branch, now)],
        "gates": [_gate_json(manifest, name) for name in open_gates(manifest)] if manifest else [],
        "goal": _goal_json(manifest) if manifest else None,
        "phases": [_phase_json(name, state, now) for name, state in now.phases.items()],
        "conflicts": [_conflict_json(*each) for each in conflicts(manifest).items()] if manifest else [],
        "running": _running_json(now.running),
        "unfinished": [safe(text) for text in now.unfinished],
        "stuck": bool(now.stuck),
        "next_command": now.next_command,
    }


def _phase_json(name: PhaseName, state: PhaseState, now: Standing) -> dict[str, Json]:
    mark = state.uncaptured
    older = next((each.why for each in now.out_of_date if each.phase == name), None)
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
        "out_of_date": older,
        "items": _items_json(state.items),
        "to_be_merged": now.to_be_merged.get(name, 0),
        "conflict": _conflict_json(name, state.conflict) if state.conflict else None,
        "uncaptured": {"paths": list(mark.paths), "count": mark.count, "size": mark.size} if mark else None,
    }


def _running_json(running: Running | None) -> dict[str, Json] | None:
    if running is None:
        return None
    who, first = running.who, running.first
    told = _flight_json(first) if first is not None else dict.fromkeys(_OF_A_FLIGHT)
    return {
        "pid": who.pid or None,
        "host": safe(who.host),
        "since": who.since,
        "command": safe(who.command),
        **told,
        "attempts": [_flight_json(flight) for flight in running.flights],
    }


_OF_A_FLIGHT = ("phase", "attempt", "phase_since", "items", "items_per_hour", "left_ms", "view")


def _flight_json(flight: Flight) -> dict[str, Json]:
    """An attempt under way: the first one is told beside the list of all, too."""
    return {
        "phase": flight.phase,
        "attempt": flight.attempt,
        "phase_since": flight.since or None,
        "items": safe(flight.items) or None,
        "items_per_hour": flight.pace.items_per_hour if flight.pace else None,
        "left_ms": flight.pace.left_ms if flight.pace else None,
        "view": flight.view,
    }


def _conflict_json(name: str, conflict: Conflict) -> dict[str, Json]:
    return {
        "name": name,
        "paths": [safe(path) for path in conflict.paths],
        "count": conflict.count,
        "against": [safe(each) for each in conflict.against],
        "attempt": conflict.attempt or None,
        "commit": conflict.own,
        "rescue": conflict.rescue or None,
    }


def _left_json(left: Left) -> Json:
    return {"phase": left.phase, "first": left.first, "last": left.last, "count": left.count}


def _items_json(items: Items | None) -> dict[str, Json] | None:
    if items is None:
        return None
    return {
        "total": items.total,
        "done": items.done,
        "failed": items.failed,
        "skipped": items.skipped,
        "batch": items.batch,
        "stale": items.stale,
    }


def _gate_json(manifest: Manifest, name: PhaseName) -> Json:
    state = state_of(manifest, name)
    return {"phase": name, "prompt": safe(state.detail or ""), "expires": state.expires}


def _goal_json(manifest: Manifest) -> Json:
    goal = manifest.goal
    return {"kind": goal.kind, "checkpoint": goal.after if goal.kind == "reach" else None}
