"""`plan` and `why`: what `run` would do, with reasons. Reads the workflow file, runs nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

import click

from gitckpt.api.definition import definition_of, load
from gitckpt.api.opening import open_store
from gitckpt.api.params import params_of
from gitckpt.api.reading import Where, Workspace, active, find_workspace
from gitckpt.api.running import RunRequest, limits_of, machine, plan_of
from gitckpt.api.writing import NoSuchPhase, near_names, phase_name
from gitckpt.cli.assignments import assignments, at_least_one
from gitckpt.cli.reading_gone import gone_json
from gitckpt.cli.reading_words import table, taken_back_words
from gitckpt.cli.terminal import print_json, say_that_it_is_run, where
from gitckpt.engine.begin import require_same_params
from gitckpt.engine.compensations import names_of, without_words
from gitckpt.engine.debt import debt_of_run, debt_since
from gitckpt.engine.forecast import (
    Flags,
    Forecast,
    Foreseen,
    about,
    because,
    foresee,
    reason_of,
    resumed,
    starting_point,
)
from gitckpt.engine.foresight import Look, WayBack, foresee_rollback, with_what_waits
from gitckpt.engine.groups import who_has
from gitckpt.engine.inspect import Standing, standing
from gitckpt.engine.out_of_date import ListChange, unfinished_lists, what_is_out_of_date
from gitckpt.engine.place import Place
from gitckpt.engine.removals import outs_gone
from gitckpt.model.dated import OutOfDate, lines_of
from gitckpt.model.gone import OutsGone
from gitckpt.model.graph import phase_named
from gitckpt.model.manifest import DONE, Json, Manifest, state_of
from gitckpt.model.names import PhaseName
from gitckpt.model.text import safe
from gitckpt.model.workflow import Workflow
from gitckpt.plumbing.environment import phase_environment
from gitckpt.spec.load import resolve_params
from gitckpt.spec.problem import ParamsInvalid
from gitckpt.store.definition import decode_workflow
from gitckpt.store.store import Store

SHOWN_WAVES = 10
Dated: TypeAlias = tuple[tuple[OutOfDate, ...], tuple[ListChange, ...]]
OF_A_RUN = ("until", "start_from", "only", "step", "again", "jobs", "keep_going", "given")


@click.command()
@click.argument("way", nargs=-1, metavar="[rollback CHECKPOINT]")
@click.option("--until", metavar="P", help="As `run --until`.")
@click.option("--from", "start_from", metavar="P", help="As `run --from`.")
@click.option("--only", metavar="P", help="As `run --only`.")
@click.option("--step", is_flag=True, help="As `run --step`.")
@click.option("--again", is_flag=True, help="As `run --again`.")
@click.option("-j", "--jobs", metavar="N", help="As `run --jobs`.")
@click.option("-k", "--keep-going", is_flag=True, help="As `run --keep-going`.")
@click.option("--set", "given", metavar="K=V", multiple=True, help="As `run --set`.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def plan(
    ctx: click.Context,
    *,
    way: tuple[str, ...],
    until: str | None,
    start_from: str | None,
    only: str | None,
    step: bool,
    again: bool,
    jobs: str | None,
    keep_going: bool,
    given: tuple[str, ...],
    as_json: bool,
) -> int:
    """Show what `run` would do with each phase, and why. Nothing is run and nothing is changed.

    `plan rollback CHECKPOINT` shows what going back there would take back, and which compensations come first.
    """
    if (until and only) or (start_from and only):
        raise click.UsageError("--only excludes --until and --from")
    if way:
        if len(way) != 2 or way[0] != "rollback" or any(ctx.params[name] for name in OF_A_RUN):
            raise click.UsageError("a plan is for `run`, or: gitckpt plan rollback CHECKPOINT")
        return _plan_back(ctx, way[1], as_json=as_json)
    params = assignments(given)
    file = find_workspace(where(ctx)).file
    say_that_it_is_run(ctx, file)
    workflow = load(file).workflow
    request = RunRequest(until=until, only=only, step=step, jobs=at_least_one(jobs), keep_going=keep_going)
    at_once = plan_of(workflow, request)
    begin = phase_name(workflow, start_from) if start_from else None
    with open_store(where(ctx)) as (workspace, store):
        now = with_what_waits(store, workflow, standing(store, workspace.place, active(workspace)))
        wall = datetime.now().astimezone().isoformat(timespec="seconds")
        undone = _undone(workflow, store, now)
        if params:
            _refuse_params(workflow, resumed(now.tip.manifest if now.tip else None, again=again), params)
        known = Known(dated=_dated(workflow, store, workspace, now), gone=_gone(workflow, store, workspace, now))
    flags = Flags(
        limits=limits_of(workflow, request),
        start_from=begin,
        wall=wall,
        undone=undone,
        again=again,
        plan=at_once,
        totals=machine(),
    )
    found = foresee(workflow, now.tip.manifest if now.tip else None, flags)
    missing = () if params else _missing_params(workflow, found)
    known = replace(known, notes=(*now.unfinished, *missing, *map(_list_line, known.dated[1])))
    if as_json:
        print_json({**_plan_json(workflow, found, now, known), "jobs": at_once.jobs})
    else:
        lines = [*_plan_lines(workflow, found, now, known), *_at_once_lines(found, at_once.jobs)]
        for each in known.gone:
            lines += [each.words, *(f"  {way}" for way in each.ways)]
        click.echo("\n".join([*lines, *(f"note: {safe(note)}" for note in known.notes)]))
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a plan says beside the fate of each phase: what is out of date, which outs somebody removed, and notes."""

    dated: Dated
    gone: tuple[OutsGone, ...]
    notes: tuple[str, ...] = ()

    def older(self, found: Forecast) -> tuple[OutOfDate, ...]:
        """What is out of date and stays so."""
        stays = {each.phase for each in found.phases if each.fate == "done" and not found.begins_run}
        return tuple(each for each in self.dated[0] if each.phase in stays)


def _dated(workflow: Workflow, store: Store, workspace: Workspace, now: Standing) -> Dated:
    """What is done and older than what it was made from, and the lists that are not what their sources say now."""
    if now.tip is None or not now.tip.manifest.run:
        return (), ()
    look = Look(workflow=workflow, store=store, at_tip=store.read(now.tip.oid))
    older = what_is_out_of_date(look, workspace.place, workspace.root)
    return older, unfinished_lists(look, workspace.place, workspace.root)


def _gone(workflow: Workflow, store: Store, workspace: Workspace, now: Standing) -> tuple[OutsGone, ...]:
    """Outs that somebody removed, whether that is recorded or not."""
    if now.tip is None or now.running is not None or now.unfinished:
        return ()
    return outs_gone(Look(workflow=workflow, store=store, at_tip=store.read(now.tip.oid)), workspace.root)


def _list_line(change: ListChange) -> str:
    since = f"{change.phase} goes on with the list that it began with; since then changed: {change.words}"
    return f"{since}; to make the list anew: gitckpt run --from {change.phase}"


def _refuse_params(workflow: Workflow, going_on: Manifest | None, given: Mapping[str, str]) -> None:
    """Raises what `run` raises of such params."""
    params = params_of(workflow, phase_environment(os.environ), going_on, given)
    if going_on is not None:
        require_same_params(going_on, params, given)


def _undone(workflow: Workflow, store: Store, now: Standing) -> tuple[PhaseName, ...]:
    """What a goal that is pending will compensate."""
    goal = now.tip.manifest.goal if now.tip is not None else None
    if now.tip is None or goal is None or goal.kind == "finish":
        return ()
    look = Look(workflow=workflow, store=store, at_tip=store.read(now.tip.oid))
    return names_of(debt_since(look, goal.after).owed if goal.kind == "reach" else debt_of_run(look))


@click.command()
@click.argument("phase")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def why(ctx: click.Context, *, phase: str, as_json: bool) -> int:
    """Say why PHASE will run at the next `run`, or will not."""
    workflow, now, place, (older, lists) = _look(where(ctx))
    manifest = starting_point(workflow, now.tip.manifest if now.tip else None)
    name = _known_phase(workflow, manifest, phase)
    reason, chain = reason_of(workflow, manifest, name), because(workflow, manifest, name)
    dated = next((each.why for each in older if each.phase == name), None)
    more = (*about(workflow, manifest, name), *_group_taken(workflow, manifest, name, place), *lines_of(older, name))
    more += tuple(_list_line(change) for change in lists if change.phase == name)
    status = "running" if now.running and now.running.of(name) else state_of(manifest, name).status.value
    if as_json:
        listed: list[Json] = [{"phase": each, "reason": safe(text)} for each, text in chain]
        told: list[Json] = [safe(text) for text in more]
        told_json: dict[str, Json] = {
            "phase": name,
            "status": status,
            "reason": safe(reason),
            "because": listed,
            "about": told,
        }
        print_json({**told_json, "out_of_date": dated})
        return 0
    click.echo(f"{name} runs now" if status == "running" else f"{name}: {safe(reason)}")
    for each, text in chain:
        click.echo(f"  {each}: {safe(text)}")
    for text in more:
        click.echo(f"  {safe(text)}")
    return 0


def _plan_back(ctx: click.Context, selector: str, *, as_json: bool) -> int:
    workspace_now = find_workspace(where(ctx), "known")
    say_that_it_is_run(ctx, workspace_now.file)
    workflow = definition_of(workspace_now).workflow
    with open_store(where(ctx)) as (workspace, store):
        now = standing(store, workspace.place, active(workspace))
        if now.tip is None:
            raise store.no_checkpoints()
        found = foresee_rollback(Look(workflow=workflow, store=store, at_tip=store.read(now.tip.oid)), selector)
    if as_json:
        print_json(_back_json(found, now))
    else:
        click.echo("\n".join(_back_lines(found, now, selector)))
    return 0


def _back_lines(found: WayBack, now: Standing, selector: str) -> list[str]:
    lines = [f"To {safe(found.label)}, which changes files and state; nothing is changed by this plan."]
    taken = taken_back_words(found.taken_back)
    lines.append(f"Takes back: {safe(taken)}" if taken else "Takes back: nothing that a phase did")
    if found.pivot is not None:
        names = ", ".join(found.outside)
        what = "Not all" if found.commands else "Nothing"
        lines.append(f"{what} is compensated: {found.pivot} is a pivot. Outside stays as it is: {names or 'nothing'}")
    if found.commands:
        lines.append("Compensates first, in this order:")
        lines += table([(f"{n}.", each.phase, each.text) for n, each in enumerate(found.commands, 1)], "  ")
    elif found.pivot is None:
        lines.append("Compensates nothing: nothing since then has a `compensate`.")
    if found.without:
        lines.append(without_words(found.without))
    lines.append(f"Then `gitckpt run` would do: {', '.join(found.left_to_do) or 'nothing'}")
    choice = " --compensate (or --no-compensate)" if found.commands else ""
    lines.append(f"next: gitckpt rollback {safe(selector)}{choice}")
    return [*lines, *(f"note: {safe(note)}" for note in now.unfinished)]


def _back_json(found: WayBack, now: Standing) -> dict[str, Json]:
    commands: list[Json] = [
        {"phase": e.phase, "command": e.text, "count": e.count, "newest": e.newest, "oldest": e.oldest}
        for e in found.commands
    ]
    back: list[Json] = [checkpoint.number for checkpoint in found.taken_back]
    return {
        "target": found.target.number,
        "label": safe(found.label),
        "taken_back": back,
        "compensations": commands,
        "pivot": found.pivot,
        "outside": list(found.outside),
        "without": list(found.without),
        "left_to_do": list(found.left_to_do),
        "notes": [safe(note) for note in now.unfinished],
    }


def _look(at: Where) -> tuple[Workflow, Standing, Place, Dated]:
    """Today's definition; of a Python file, which would be run for it, that of the newest checkpoint."""
    with open_store(at) as (workspace, store):
        now = standing(store, workspace.place, active(workspace))
        if workspace.file.suffix != ".py":
            workflow = definition_of(workspace).workflow
            dated = _dated(workflow, store, workspace, now)
            return workflow, with_what_waits(store, workflow, now), workspace.place, dated
        if now.tip is None:
            raise store.no_checkpoints()
        workflow = decode_workflow(store.definition(now.tip.oid))
        return workflow, now, workspace.place, _dated(workflow, store, workspace, now)


def _group_taken(workflow: Workflow, manifest: Manifest, name: PhaseName, place: Place) -> tuple[str, ...]:
    """Who has the concurrency group that the phase will need."""
    chosen = phase_named(workflow, name)
    if chosen is None or chosen.concurrency is None or state_of(manifest, name).status in DONE:
        return ()
    who = who_has(place, chosen.concurrency)
    return (f"its concurrency group {chosen.concurrency} is taken: {who}",) if who else ()


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


def _at_once_lines(found: Forecast, jobs: int) -> list[str]:
    """What would run beside what, wave by wave, and which phases get a view of their own for it."""
    lines = []
    if any(len(wave) > 1 for wave in found.together):
        waves = " | ".join(", ".join(wave) for wave in found.together[:SHOWN_WAVES])
        more = f" | … {len(found.together) - SHOWN_WAVES:,} more" if len(found.together) > SHOWN_WAVES else ""
        lines.append(f"at once (at most {jobs:,}), if all take equally long: {waves}{more}")
    in_views = [each.phase for each in found.phases if each.in_view and each.fate == "will run"]
    if in_views:
        lines.append(f"in views of their own, merged in this order: {', '.join(in_views)}")
    return lines


def _plan_lines(workflow: Workflow, found: Forecast, now: Standing, known: Known) -> list[str]:
    goal = now.tip.manifest.goal if now.tip else None
    if goal is not None and goal.kind == "reach":
        head = f"`gitckpt run` goes on with the rollback to {goal.after:04d}"
    elif goal is not None and goal.kind == "compensate":
        head = "`gitckpt run` goes on compensating what was done"
    elif found.complete:
        head = "complete: `gitckpt run` has nothing to do. A new run: gitckpt run --again"
    elif now.running is not None:
        head = "a command works here now; what it leaves would go on like this"
    else:
        again = " --again" if now.tip is not None and now.tip.manifest.run else ""
        begins = f"`gitckpt run{again}` begins a new run"
        head = begins if found.begins_run else "`gitckpt run` goes on with the run"
    lines = [f"{workflow.workflow}   {head}"]
    lines += table([(each.phase, each.fate, safe(each.reason)) for each in found.phases], "  ")
    if found.changed:
        first = found.changed[0]
        lines.append(
            f"changed since it was done, which reruns nothing: {', '.join(found.changed)}; "
            f"to run it anew: gitckpt run --from {first}"
        )
    lines += lines_of(known.older(found))
    if found.dropped:
        lines.append(f"no longer in the workflow file: {', '.join(map(safe, found.dropped))}")
    return lines


def _plan_json(workflow: Workflow, found: Forecast, now: Standing, known: Known) -> dict[str, Json]:
    return {
        "workflow": workflow.workflow,
        "checkpoint": now.tip.number if now.tip else None,
        "begins_run": found.begins_run,
        "complete": found.complete,
        "phases": [_foreseen_json(each) for each in found.phases],
        "together": [list(wave) for wave in found.together],
        "changed": list(found.changed),
        "dropped": list(found.dropped),
        "out_of_date": [each.phase for each in known.older(found)],
        "outs_gone": [gone_json(each) for each in known.gone],
        "notes": [safe(note) for note in known.notes],
    }


def _foreseen_json(each: Foreseen) -> dict[str, Json]:
    return {"name": each.phase, "fate": each.fate, "reason": safe(each.reason), "in_view": each.in_view}
