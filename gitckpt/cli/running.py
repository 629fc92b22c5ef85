"""`gitckpt run`: flags in, live progress out, and a report when a phase failed."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from types import ModuleType
from typing import Any, Literal

import click

from gitckpt.api.beginning import TooMuch
from gitckpt.api.gates import question
from gitckpt.api.opening import open_store
from gitckpt.api.reading import Where
from gitckpt.api.running import EXIT_CODES, Ran, RunRequest, WithoutOuts, run_workflow
from gitckpt.cli import gates
from gitckpt.cli.assignments import assignments, at_least_one
from gitckpt.cli.live import reporter_for
from gitckpt.cli.reading_words import uncaptured_lines
from gitckpt.cli.terminal import Signals, where
from gitckpt.errors import GitckptError
from gitckpt.model.amount import plural
from gitckpt.model.dated import lines_of
from gitckpt.model.duration import parse_duration
from gitckpt.model.gone import NeedsOuts
from gitckpt.model.manifest import Status, state_of
from gitckpt.model.moment import Verdict
from gitckpt.model.names import PhaseName
from gitckpt.model.text import headline, safe
from gitckpt.progress.text import count


@click.command()
@click.option("--again", is_flag=True, help="Resume a run that has not ended; begin a new one when the last has.")
@click.option("--until", metavar="P", help="Run P and what it needs, then stop (75 when phases are left).")
@click.option(
    "--from", "start_from", metavar="P", help="Run P and what needs it anew; files stay, done items carry over."
)
@click.option("--all-items", is_flag=True, help="With --from: do the items again, too, that nothing changed for.")
@click.option("--only", metavar="P", help="Run exactly P (anew if it is done).")
@click.option("--item", metavar="KEY", help="Do only the item of that key (anew if it is done).")
@click.option("--budget", metavar="TIME", help="Stop at the next boundary after so long, with 75 (9m, 90s).")
@click.option("--step", is_flag=True, help="Run one phase, then stop with 75.")
@click.option("-j", "--jobs", metavar="N", help="How many phases and items may run at once.")
@click.option("-k", "--keep-going", is_flag=True, help="After a failure go on with what does not need it.")
@click.option("--fail-fast", is_flag=True, help="After a failure end at once what still runs.")
@click.option("--detach", is_flag=True, help="Run in the background: returns once the run has begun.")
@click.option("--dry-run", is_flag=True, help="Show what would run, with reasons (= gitckpt plan).")
@click.option("--set", "given", metavar="K=V", multiple=True, help="Set a param; recorded with the run.")
@click.option("--discard-edits", is_flag=True, help="After a dead run: set your own changes aside too.")
@click.option("--keep-everything", is_flag=True, help="After a dead run: count all changes as your own.")
@click.option("--accept-edits", is_flag=True, help="Go on without the outs of completed phases that you removed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for every event, on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Say only what went wrong.")
@click.pass_context
def run(
    ctx: click.Context, /, *, step: bool, detach: bool, dry_run: bool, as_json: bool, quiet: bool, **_flags: Any
) -> int:
    """Run the workflow, or resume it where it stopped.

    A finished workflow stays finished. Exit code 0 means that it is complete. At a gate it asks on a terminal; else it
    ends with 3, and gitckpt approve answers.
    """
    _refuse(ctx.params)
    if dry_run:
        return _planned(ctx)
    if detach:
        code: int = _loaded("detached").detach(ctx, as_json=as_json)
        return code
    began_ms = time.monotonic_ns() // 1_000_000
    request = _request(ctx.params)
    quiet = quiet or ctx.obj["quiet"]
    mode: Literal["auto", "quiet", "json"] = "json" if as_json else "quiet" if quiet else "auto"
    ran = _run(ctx, request, mode)
    while ran.stop.verdict is Verdict.WAITING and not (as_json or step) and gates.is_interactive():
        if not gates.ask_at(ctx, ran.stop.phases):
            break
        request = _rest_of(request, began_ms)
        ran = _run(ctx, request, mode)
    _say(where(ctx), ran, quiet=quiet or as_json)
    return int(EXIT_CODES[ran.stop.verdict])


def _request(given: Mapping[str, Any]) -> RunRequest:
    """The flags of the call as the run takes them."""
    return RunRequest(
        again=given["again"],
        until=given["until"],
        start_from=given["start_from"],
        all_items=given["all_items"],
        only=given["only"],
        step=given["step"],
        item=given["item"],
        budget_ms=_duration(given["budget"]),
        jobs=at_least_one(given["jobs"]),
        keep_going=given["keep_going"],
        fail_fast=True if given["fail_fast"] else None,
        params=assignments(given["given"]),
        edits="discard" if given["discard_edits"] else "keep" if given["keep_everything"] else "tell-apart",
        large=_ask_large,
        accept_edits=given["accept_edits"],
        removed=_ask_about_outs,
    )


def _refuse(given: Mapping[str, Any]) -> None:
    """Raises a usage error for flags that do not go together, and for values that cannot be."""
    alone = sum(map(bool, (given["until"], given["only"], given["start_from"] and given["only"]))) > 1
    if alone or (given["discard_edits"] and given["keep_everything"]):
        raise click.UsageError("--only, --until and --from exclude each other, as do the two about edits")
    if given["keep_going"] and given["fail_fast"]:
        raise click.UsageError("--keep-going and --fail-fast exclude each other")
    if given["all_items"] and not given["start_from"]:
        raise click.UsageError("--all-items goes with --from: gitckpt run --from P --all-items")
    not_for_one = ("until", "start_from", "again", "dry_run")
    if given["item"] is not None and any(given[name] for name in not_for_one):
        raise click.UsageError("--item goes with --only alone: it does nothing but that item")
    _duration(given["budget"])
    at_least_one(given["jobs"])


def _run(ctx: click.Context, request: RunRequest, mode: Literal["auto", "quiet", "json"]) -> Ran:
    reporter = reporter_for(sys.stdout if mode == "json" else sys.stderr, mode)
    with Signals().heard() as signals:
        try:
            return run_workflow(where(ctx), request, reporter, signals)
        finally:
            reporter.close()


def _rest_of(request: RunRequest, began_ms: int) -> RunRequest:
    """What is left of the request after an answer: nothing is opened again, and the time goes on."""
    spent = time.monotonic_ns() // 1_000_000 - began_ms
    budget = None if request.budget_ms is None else max(0, request.budget_ms - spent)
    # A gate that was asked for alone is done now; `--only` would ask it again.
    until = request.until or request.only
    return replace(request, again=False, start_from=None, all_items=False, only=None, until=until, budget_ms=budget)


PLANNED = {"start_from": "--from", "only": "--only", "until": "--until", "jobs": "--jobs"}
PLANNED_ALONE = {"again": "--again", "step": "--step", "keep_going": "--keep-going", "as_json": "--json"}
"""The flags of `run` that a plan has too, by the names of their values."""


def _planned(ctx: click.Context) -> int:
    """`plan`, with the flags of this call."""
    given = ctx.params
    arguments = [f"{flag}={given[name]}" for name, flag in PLANNED.items() if given[name] is not None]
    arguments += [f"--set={text}" for text in given["given"]]
    arguments += [flag for name, flag in PLANNED_ALONE.items() if given[name]]
    plan = ctx.parent.command.get_command(ctx, "plan") if isinstance(ctx.parent.command, click.Group) else None  # type: ignore[union-attr]
    assert plan is not None  # it is in the list of commands
    with plan.make_context("plan", arguments, parent=ctx.parent) as inner:
        return int(plan.invoke(inner) or 0)


def _duration(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.UsageError(f"--budget cannot be {text!r}: {error}") from error


def _ask_large(problem: TooMuch) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    click.echo(problem.message, err=True)
    return click.confirm("Make it all the same?", err=True)


def _ask_about_outs(problem: NeedsOuts) -> WithoutOuts | None:
    answer: WithoutOuts | None = _loaded("reading_gone").ask_about_outs(problem)
    return answer


def _loaded(module: str) -> ModuleType:
    """What a run that goes well in the foreground never needs."""
    return import_module(f"gitckpt.cli.{module}")


def _say_tolerated(ran: Ran) -> None:
    """Items that failed in phases that are done all the same."""
    for name in ran.tip.manifest.order:
        state = state_of(ran.tip.manifest, name)
        if state.items is not None and state.items.failed and state.status is Status.COMPLETED:
            told = f"{count(state.items.failed)} of {plural(state.items.total, 'item')} failed, which is tolerated"
            _line(f"{name}: {told}: gitckpt items {name} --failed · again: gitckpt retry {name}")


def _say(place: Where, ran: Ran, *, quiet: bool) -> None:
    """The last words: where it stands and the next command."""
    if not quiet:
        _say_uncaptured(ran)
        if not ran.began_complete:
            _say_tolerated(ran)
    _say_end(place, ran, quiet=quiet)
    for line in lines_of(ran.out_of_date):
        _line(line)
    if ran.carried is not None:
        _say_carried(ran, ran.carried)


def _say_carried(ran: Ran, name: PhaseName) -> None:
    """Somebody wanted it done again, and it was not: the last word, so that it is not missed."""
    items = state_of(ran.tip.manifest, name).items
    assert items is not None  # they carried over
    all_of = f"its {plural(items.done, 'item')} {'was' if items.done == 1 else 'were'} done before"
    _line(f"NOTHING of {name} was run: {all_of}, and what they were made from is as it was.")
    _line(f"  to do them again all the same: gitckpt run --from {name} --all-items")


def _say_end(place: Where, ran: Ran, *, quiet: bool) -> None:
    number, older = f"{ran.tip.number:04d}", _but_older(ran)
    match ran.stop.verdict:
        case Verdict.FAILED | Verdict.BLOCKED:
            with open_store(place) as (workspace, store):
                for name in ran.stop.phases:
                    _loaded("failing").say_failure(workspace.place, store, ran, name)
        case Verdict.CONFLICT:
            with open_store(place) as (_, store):
                _loaded("failing").say_conflicts(store, ran)
        case _ if quiet:
            return
        case Verdict.COMPLETE if ran.began_complete:
            _line(f"Complete already, at {number}{older}. A new run: gitckpt run --again · history: gitckpt log")
        case Verdict.COMPLETE:
            _line(f"Complete, at {number}{older}.")
            _line("  see it     gitckpt log · gitckpt diff PHASE · gitckpt status")
            _line("  go back    gitckpt rollback PHASE")
        case Verdict.STOPPED:
            left = ", ".join(ran.stop.phases)
            why = f"Stopped at {number}: {safe(ran.stop.reason)}"
            _line(why + (f"; left: {left}" if left else "") + ". Run again to continue: gitckpt run")
        case Verdict.WAITING:
            _say_passed_over(ran)
            for name in ran.stop.phases:
                _line(f"{name} waits: {safe(state_of(ran.tip.manifest, name).detail or '')}")
            _say_question(place, ran.stop.phases[0])
        case Verdict.INTERRUPTED | Verdict.TERMINATED:
            _line(f"Interrupted. Your files are as at {number}. Go on: gitckpt run")


def _but_older(ran: Ran) -> str:
    return f", but out of date: {', '.join(each.phase for each in ran.out_of_date)}" if ran.out_of_date else ""


def _say_passed_over(ran: Ran) -> None:
    """What failed and did not keep the run from the gate."""
    for name in ran.tip.manifest.order:
        state = state_of(ran.tip.manifest, name)
        if state.status is Status.FAILED:
            _line(f"{name} failed: {headline(state.detail or '')}")


def _say_question(place: Where, phase: PhaseName) -> None:
    """What to look at, and the commands that answer, with the fields that an answer must have."""
    try:
        asked = question(place, phase)
    except GitckptError:
        asked = None  # somebody answered meanwhile, or mended the file: the commands say what is so now
    if asked is not None and asked.show:
        _line(f"  see it     gitckpt {safe(asked.show)}")
    fields = asked.fields.items() if asked is not None else ()
    needed = "".join(f" --field {name}=…" for name, field in fields if field.required)
    _line(f"  answer     gitckpt approve {phase}{needed} · gitckpt reject {phase}")
    _line("  then       gitckpt run")


def _say_uncaptured(ran: Ran) -> None:
    """No checkpoint holds these, so nothing that is said of checkpoints is true of them."""
    for name in ran.tip.manifest.order:
        mark = state_of(ran.tip.manifest, name).uncaptured
        for line in uncaptured_lines(name, mark) if mark else ():
            _line(line)


def _line(text: str) -> None:
    click.echo(text, err=True)
