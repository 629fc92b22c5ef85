"""The run: resume or begin, within the flags of one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from gitckpt.api.beginning import TooMuch, guard
from gitckpt.api.definition import load
from gitckpt.api.params import params_of
from gitckpt.api.reading import Where, find_workspace
from gitckpt.api.writing import SystemClock, given_of, phase_name
from gitckpt.engine.begin import ensure_run, record, reopen, reopen_from, reopen_item
from gitckpt.engine.conclude import conclude, is_concluded, promise
from gitckpt.engine.edited import edited_items
from gitckpt.engine.edits import EditPolicy
from gitckpt.engine.flight import Signalled
from gitckpt.engine.forecast import resumed
from gitckpt.engine.hold import Hold, held
from gitckpt.engine.housekeeping import tidy_packs, tidy_tags
from gitckpt.engine.inspect import STUCK
from gitckpt.engine.last_run import remembered
from gitckpt.engine.listed import NotListed, find_item
from gitckpt.engine.out_of_date import unfinished_lists, what_is_out_of_date
from gitckpt.engine.ports import Reporter
from gitckpt.engine.removals import outs_gone
from gitckpt.engine.rewind import restore, say_what_goes
from gitckpt.engine.run import run
from gitckpt.engine.settle import settle
from gitckpt.engine.terrain import warn_of_network
from gitckpt.engine.whole import require_whole
from gitckpt.errors import ExitCode, GitckptError
from gitckpt.execute import inbox
from gitckpt.execute.executor import LocalExecutor
from gitckpt.model.amount import plural
from gitckpt.model.dated import OutOfDate
from gitckpt.model.events import RemovalAccepted
from gitckpt.model.explain import changed_definitions, changed_midway
from gitckpt.model.gone import NeedsOuts
from gitckpt.model.graph import wanted_phases
from gitckpt.model.items import ItemsListed
from gitckpt.model.manifest import DONE, is_complete, state_of
from gitckpt.model.moment import Limits, Moment, Stop, Verdict
from gitckpt.model.names import PhaseName
from gitckpt.model.schedule import Plan, jobs
from gitckpt.model.text import safe
from gitckpt.model.workflow import Workflow, dependents, order
from gitckpt.progress.events import Note, RunBegan, RunEnded
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.selectors import select


@dataclass(eq=False)
class NeedsFirst(GitckptError):
    """A phase was asked for alone, and what it needs is not done."""

    phase: str
    needs: tuple[str, ...]

    @property
    def message(self) -> str:
        return f"{self.phase} needs {', '.join(self.needs)}, which is not done"

    @property
    def hint(self) -> str:
        return f"run that too: gitckpt run --until {self.phase}"


WithoutOuts: TypeAlias = Literal["restore", "again", "without"]
"""What becomes of outs that the user removed: they are brought back, made anew, or not needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """The flags of `run`. `all_items`: with `start_from`, no item that is done carries over. `jobs`: how many attempts
    may run at once; `fail_fast`: a failure ends what still runs, None: as the workflow says. `accept_edits`: it goes
    on without outs that the user removed; `removed` asks what is to become of them, None: nothing is to run."""

    again: bool = False
    until: str | None = None
    start_from: str | None = None
    all_items: bool = False
    only: str | None = None
    step: bool = False
    item: str | None = None
    budget_ms: int | None = None
    jobs: int | None = None
    keep_going: bool = False
    fail_fast: bool | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    edits: EditPolicy = "tell-apart"
    large: Callable[[TooMuch], bool] = lambda _: False
    accept_edits: bool = False
    removed: Callable[[NeedsOuts], WithoutOuts | None] = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a run stopped, the newest checkpoint, whether anything was left to do when it began, and what was planned to
    run beside what. `out_of_date`: completed phases that are older than what they were made from; `carried`: the phase
    that the run was to begin from, where all of its items were done before and carried over."""

    stop: Stop
    tip: Checkpoint
    began_complete: bool
    plan: Plan
    out_of_date: tuple[OutOfDate, ...] = ()
    carried: PhaseName | None = None


EXIT_CODES: Mapping[Verdict, ExitCode] = {
    Verdict.COMPLETE: ExitCode.DONE,
    Verdict.FAILED: ExitCode.FAILED,
    Verdict.BLOCKED: ExitCode.FAILED,
    Verdict.WAITING: ExitCode.WAITING,
    Verdict.CONFLICT: ExitCode.CONFLICT,
    Verdict.STOPPED: ExitCode.STOPPED,
    Verdict.INTERRUPTED: ExitCode.INTERRUPTED,
    Verdict.TERMINATED: ExitCode.TERMINATED,
}


def run_workflow(where: Where, request: RunRequest, reporter: Reporter, signalled: Signalled) -> Ran:
    """Run or resume. Raises what settling raises; a failed phase is no exception but a verdict."""
    workspace = find_workspace(where)
    loaded = load(workspace.file)
    limits = limits_of(loaded.workflow, request)
    start_from = phase_name(loaded.workflow, request.start_from) if request.start_from else None
    with (
        LocalExecutor() as executor,
        held(given_of(workspace, loaded), workspace.place, SystemClock(), reporter) as hold,
        remembered(hold) as ends,
    ):
        warn_of_network(hold)
        inbox.sweep(hold.place.inbox)
        goes_on = hold.tip is not None and bool(hold.tip.manifest.run)
        going_on = resumed(hold.tip.manifest if hold.tip else None, again=request.again)
        params = params_of(loaded.workflow, hold.given.environment, going_on, request.params)
        executor.prepare()
        require_whole(hold)
        settle(hold, request.edits, finished="wait" if _goes_on(request) else "merge")
        if hold.tip is None:
            guard(hold, request.large)
        if request.item is not None:
            limits = _limited_to_item(hold, request.item, limits)
        began = ensure_run(hold, again="anew" if request.again else "never", params=params, given=tuple(request.params))
        _prepare(hold, start_from, limits, request)
        _settle_outs(hold, limits, request)
        complete = is_complete(hold.at_tip.manifest)
        last = f"{hold.at_tip.number:04d}" if goes_on and not began else None
        plan = plan_of(hold.workflow, request)
        reporter(_began(hold, plan, last))
        ends(None)
        _say_changed(hold)
        _say_edited(hold, limits)
        _say_other_lists(hold)
        _warn_stuck(hold)
        say_what_goes(hold)
        if not complete:
            promise(hold)
        stop = run(hold, executor, _moment(request, limits, plan), signalled)
        if not (complete and stop.verdict is Verdict.COMPLETE and is_concluded(hold)):
            conclude(hold, executor, stop, signalled)
        older = what_is_out_of_date(hold, hold.place, hold.given.root)
        reporter(RunEnded(stop.verdict.value, tuple(each.phase for each in older)))
        inbox.sweep(hold.place.inbox)
        if stop.verdict is Verdict.COMPLETE and not complete:
            tidy_tags(hold)
        tidy_packs(hold)
        ends(int(EXIT_CODES[stop.verdict]))
        return Ran(
            stop=stop,
            tip=hold.at_tip,
            began_complete=complete,
            plan=plan,
            out_of_date=older,
            carried=_carried(hold, start_from),
        )


def _began(hold: Hold, plan: Plan, resumed_at: str | None) -> RunBegan:
    names = tuple(phase.name for phase in hold.workflow.phases)
    return RunBegan(
        workflow=hold.name,
        number_of_phases=len(names),
        resumed_at=resumed_at,
        phases=names,
        jobs=plan.jobs if plan.views else 1,
        done=tuple(name for name in names if state_of(hold.at_tip.manifest, name).status in DONE),
    )


def _goes_on(request: RunRequest) -> bool:
    """Whether this goes on where the run before stopped: nothing is to be done again, or otherwise."""
    return not (request.again or request.start_from or request.only or request.item or request.params)


def _moment(request: RunRequest, limits: Limits, plan: Plan) -> Moment:
    until = None if request.budget_ms is None else SystemClock().monotonic_ms() + request.budget_ms
    return Moment(limits=limits, until_ms=until, plan=plan, totals=machine())


def _at_once(moment: Moment) -> int:
    """How many attempts this run will have at once at most: 1 where all of it is one after the other."""
    plan = moment.plan
    return plan.jobs if plan is not None and any(plan.isolated(name) for name in plan.phases) else 1


def plan_of(workflow: Workflow, request: RunRequest) -> Plan:
    """What may run beside what. `--step` does one thing at a time."""
    cores = os.cpu_count() or 1
    return Plan.of(workflow, jobs=1 if request.step else jobs(workflow, request.jobs, cores))


def machine() -> dict[str, int]:
    """How much there is of what every machine has: processors, and bytes of memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": os.cpu_count() or 1, "memory": memory}


def limits_of(workflow: Workflow, request: RunRequest) -> Limits:
    """What bounds the run. Raises NoSuchPhase."""
    return Limits(
        only=phase_name(workflow, request.only) if request.only else None,
        until=phase_name(workflow, request.until) if request.until else None,
        step=request.step,
        keep_going=request.keep_going,
        fail_fast=request.fail_fast,
    )


def _limited_to_item(hold: Hold, key: str, limits: Limits) -> Limits:
    """The item of that key, in the one phase that has it. Raises NotListed, NoSuchItem, InSeveralPhases."""
    tip = hold.tip
    if tip is None or not tip.manifest.run:
        raise NotListed(limits.only or "")
    found = find_item(hold.store, hold.place, tip, os.fsencode(key), limits.only)
    return replace(limits, only=found.phase, item=found.index)


def _prepare(hold: Hold, start_from: PhaseName | None, limits: Limits, request: RunRequest) -> None:
    key = request.item or ""
    if start_from is not None:
        reopen_from(hold, start_from, "nothing" if request.all_items else "what is as it was")
    if limits.only is not None:
        manifest = hold.at_tip.manifest
        phase = next(phase for phase in hold.workflow.phases if phase.name == limits.only)
        unmet = tuple(need for need in phase.needs if state_of(manifest, need).status not in DONE)
        if unmet:
            raise NeedsFirst(limits.only, unmet)
        if limits.item is not None:
            reopen_item(hold, limits.only, limits.item, f"run --item {safe(os.fsencode(key))}")
        elif state_of(manifest, limits.only).status in DONE:
            reopen(hold, (limits.only,), f"run --only {limits.only}")


def _settle_outs(hold: Hold, limits: Limits, request: RunRequest) -> None:
    """Nothing runs on outs that the user removed before somebody has said that it is right so. Raises NeedsOuts."""
    gone = outs_gone(hold, hold.given.root)
    if gone and request.accept_edits:
        names = tuple(each.phase for each in gone)
        record(hold, RemovalAccepted(at=hold.now(), phases=names, author=hold.person()))
        hold.reporter(Note(f"it goes on without outs of {', '.join(names)}, as you said"))
        return
    manifest, wanted = hold.at_tip.manifest, wanted_phases(hold.workflow, limits)
    left = [name for name in order(hold.workflow) if name in wanted and state_of(manifest, name).status not in DONE]
    needs = {each.phase: [name for name in left if name in dependents(hold.workflow, each.phase)] for each in gone}
    for each in gone:
        if not needs[each.phase]:
            hold.reporter(Note(f"{each.words}; nothing that is left to run needs them; back: {each.ways[0]}"))
    needed = [each for each in gone if needs[each.phase]]
    if not needed:
        return
    problem = NeedsOuts(needed, needs[needed[0].phase][0])
    match request.removed(problem):
        case None:
            raise problem
        case "restore":
            for each in needed:
                restore(hold, select(hold.store, each.phase), each.paths)
        case "again":
            for each in needed:
                reopen_from(hold, each.phase)
        case "without":
            _settle_outs(hold, limits, replace(request, accept_edits=True))


def _say_changed(hold: Hold) -> None:
    changed = changed_definitions(hold.workflow, hold.at_tip.manifest)
    if changed:
        names = ", ".join(changed)
        hold.reporter(
            Note(f"changed since it was done: {names}; it is not run again by itself: gitckpt run --from {changed[0]}")
        )
    for name in changed_midway(hold.workflow, hold.at_tip.manifest):
        items = state_of(hold.at_tip.manifest, name).items
        assert items is not None  # some of them are done
        done = f"{items.done:,} of {plural(items.total, 'item')} {'was' if items.done == 1 else 'were'} done"
        kept = f"{name} changed after {done}; these stay, the rest follows the new definition"
        hold.reporter(Note(f"{kept}; to do all anew: gitckpt run --from {name}"))


def _say_edited(hold: Hold, limits: Limits) -> None:
    edited = [each for each in edited_items(hold) if limits.item is None or each.phase != limits.only]
    if edited:
        names = ", ".join(safe(each.key) for each in edited[:3]) + (" …" if len(edited) > 3 else "")
        first = edited[0]
        several = len({each.phase for each in edited if each.key == first.key}) > 1
        again = f"gitckpt run --item {safe(first.key)}" + (f" --only {first.phase}" if several else "")
        hold.reporter(Note(f"changed since it was done: {names}; do it anew: {again}"))


def _say_other_lists(hold: Hold) -> None:
    """A list stays as it was frozen: what came or went since is not part of it."""
    for change in unfinished_lists(hold, hold.place, hold.given.root):
        kept = f"{change.phase} goes on with the list that it began with; since then changed: {change.words}"
        hold.reporter(Note(f"{kept}; to make the list anew: gitckpt run --from {change.phase}"))


def _carried(hold: Hold, start_from: PhaseName | None) -> PhaseName | None:
    """The phase that was to be done again, where nothing of it was: its newest completion is that of its list."""
    state = state_of(hold.at_tip.manifest, start_from) if start_from else None
    if state is None or state.status not in DONE or state.items is None or not state.items.done:
        return None
    oid = hold.store.numbered(state.landed)
    events = hold.store.read(oid).events if oid else ()
    return start_from if any(isinstance(event, ItemsListed) for event in events) else None


def _warn_stuck(hold: Hold) -> None:
    for name in hold.at_tip.manifest.order:
        cut_offs = state_of(hold.at_tip.manifest, name).cut_offs
        if cut_offs >= STUCK:
            hold.reporter(
                Note(
                    f"{name} was cut off {cut_offs} times in a row; to get past it: gitckpt run --detach, or "
                    "`foreach`, or `gitckpt checkpoint -m …` inside it"
                )
            )
