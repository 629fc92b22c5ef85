"""`plan` and `why`: what `run` would do, with reasons. Reads the workflow file, runs nothing."""

from __future__ import annotations

import click

from gitckpt.api.definition import load
from gitckpt.api.reading import Where, active, find_workspace, open_store
from gitckpt.api.writing import NoSuchPhase, near_names, phase_name
from gitckpt.cli.reading_words import table
from gitckpt.cli.terminal import print_json, where
from gitckpt.engine.forecast import Forecast, because, foresee, starting_point
from gitckpt.engine.inspect import Standing, standing
from gitckpt.model.decide import explain
from gitckpt.model.manifest import Json, Manifest, state_of
from gitckpt.model.moment import Limits
from gitckpt.model.names import PhaseName
from gitckpt.model.text import safe
from gitckpt.model.workflow import Workflow
from gitckpt.spec.load import resolve_params
from gitckpt.spec.problem import ParamsInvalid
from gitckpt.store.definition import decode_workflow
from gitckpt.store.store import NoCheckpoints


@click.command()
@click.option("--until", metavar="P", help="As `run --until`.")
@click.option("--from", "start_from", metavar="P", help="As `run --from`.")
@click.option("--only", metavar="P", help="As `run --only`.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def plan(ctx: click.Context, *, until: str | None, start_from: str | None, only: str | None, as_json: bool) -> int:
    """Show what `run` would do with each phase, and why. Nothing is run and nothing is changed."""
    if (until and only) or (start_from and only):
        raise click.UsageError("--only excludes --until and --from")
    workflow, now = _look(where(ctx))
    limits = Limits(
        only=phase_name(workflow, only) if only else None, until=phase_name(workflow, until) if until else None
    )
    manifest = now.tip.manifest if now.tip else None
    found = foresee(workflow, manifest, limits, phase_name(workflow, start_from) if start_from else None)
    notes = [*now.unfinished, *_missing_params(workflow, found)]
    if as_json:
        print_json(_plan_json(workflow, found, now, notes))
    else:
        click.echo("\n".join(_plan_lines(workflow, found, now, notes)))
    return 0


@click.command()
@click.argument("phase")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def why(ctx: click.Context, *, phase: str, as_json: bool) -> int:
    """Say why PHASE will run at the next `run`, or will not."""
    workflow, now = _look_without_running(where(ctx))
    manifest = starting_point(workflow, now.tip.manifest if now.tip else None)
    name = _known_phase(workflow, manifest, phase)
    reason, chain = explain(workflow, manifest, name), because(workflow, manifest, name)
    status = "running" if now.running and now.running.phase == name else state_of(manifest, name).status.value
    if as_json:
        listed: list[Json] = [{"phase": each, "reason": safe(text)} for each, text in chain]
        print_json({"phase": name, "status": status, "reason": safe(reason), "because": listed})
        return 0
    click.echo(f"{name} runs now" if status == "running" else f"{name}: {safe(reason)}")
    for each, text in chain:
        click.echo(f"  {each}: {safe(text)}")
    return 0


def _look_without_running(place: Where) -> tuple[Workflow, Standing]:
    """As `_look`; of a Python file, which would be run, the definition of the newest checkpoint instead."""
    if find_workspace(place).file.suffix != ".py":
        return _look(place)
    with open_store(place) as (workspace, store):
        now = standing(store, workspace.place, active(workspace))
        if now.tip is None:
            raise NoCheckpoints(store.workflow)
        return decode_workflow(store.definition(now.tip.oid)), now


def _look(place: Where) -> tuple[Workflow, Standing]:
    workflow = load(find_workspace(place).file).workflow
    with open_store(place) as (workspace, store):
        return workflow, standing(store, workspace.place, active(workspace))


def _known_phase(workflow: Workflow, manifest: Manifest, name: str) -> PhaseName:
    """A phase of the file, or one that the history knows."""
    names = dict.fromkeys([*(str(phase.name) for phase in workflow.phases), *manifest.phases])
    if name not in names:
        raise NoSuchPhase(name, near_names(name, list(names)))
    return PhaseName(name)


def _missing_params(workflow: Workflow, found: Forecast) -> list[str]:
    if not found.begins_run:
        return []
    try:
        resolve_params(workflow, {})
    except ParamsInvalid as problem:
        return [f"{line}: gitckpt run --set NAME=VALUE" for line in problem.message.splitlines()]
    return []


def _plan_lines(workflow: Workflow, found: Forecast, now: Standing, notes: list[str]) -> list[str]:
    if found.complete:
        head = "complete: `gitckpt run` has nothing to do. A new run: gitckpt run --again"
    elif now.running is not None:
        head = "a command works here now; what it leaves would go on like this"
    else:
        head = "`gitckpt run` begins a new run" if found.begins_run else "`gitckpt run` goes on with the run"
    lines = [f"{workflow.workflow}   {head}"]
    lines += table([(each.phase, each.fate, safe(each.reason)) for each in found.phases], "  ")
    if found.changed:
        first = found.changed[0]
        lines.append(
            f"changed since it was done, which reruns nothing: {', '.join(found.changed)}; "
            f"to run it anew: gitckpt run --from {first}"
        )
    if found.dropped:
        lines.append(f"no longer in the workflow file: {', '.join(map(safe, found.dropped))}")
    return [*lines, *(f"note: {safe(note)}" for note in notes)]


def _plan_json(workflow: Workflow, found: Forecast, now: Standing, notes: list[str]) -> dict[str, Json]:
    return {
        "workflow": workflow.workflow,
        "checkpoint": now.tip.number if now.tip else None,
        "begins_run": found.begins_run,
        "complete": found.complete,
        "phases": [{"name": each.phase, "fate": each.fate, "reason": safe(each.reason)} for each in found.phases],
        "changed": list(found.changed),
        "dropped": list(found.dropped),
        "notes": [safe(note) for note in notes],
    }
