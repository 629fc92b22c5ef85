"""The commands of `always`: run when a run has come to an end, or waits for a person.

Owns when they run, and what becomes of files they change: those are a checkpoint of their own. A failing command is
said, and changes nothing about how the run ended. A kill before they came to their end has the next call run them.
"""

from __future__ import annotations

from dataclasses import replace

from gitckpt.engine.capturing import secret_values
from gitckpt.engine.flight import Signalled, attend, ended_in_order
from gitckpt.engine.hold import Hold, open_pack, take_snapshot
from gitckpt.engine.inflight import InFlight
from gitckpt.engine.job import GRACE_MS, form_answers
from gitckpt.engine.land import Landing, land
from gitckpt.engine.place import AttemptUnderWay
from gitckpt.engine.ports import Executor
from gitckpt.engine.settle import differs
from gitckpt.execute.heartbeat import mark_begin
from gitckpt.execute.leftovers import forget
from gitckpt.execute.output import cause, tail_lines
from gitckpt.execute.process import Job, Result, Step, shell_argv
from gitckpt.execute.processes import boot_id
from gitckpt.model.events import Concluded
from gitckpt.model.moment import Closing, Stop, Verdict
from gitckpt.model.names import PhaseName
from gitckpt.model.workflow import Always, Phase
from gitckpt.progress.events import Note, Warned

ENDS = frozenset({Verdict.COMPLETE, Verdict.FAILED, Verdict.BLOCKED, Verdict.WAITING})
"""The run has ended, or somebody is to be called; a run that was stopped goes on later."""

NAME = PhaseName("always")


def promise(hold: Hold) -> None:
    """A run goes on that is to be concluded, also by a later call where this one is killed."""
    if hold.workflow.always and hold.name not in hold.record.unconcluded:
        hold.write_record(replace(hold.record, unconcluded=(*hold.record.unconcluded, hold.name)))


def is_concluded(hold: Hold) -> bool:
    """Whether nothing is left to run at the end of a run that has ended."""
    return hold.name not in hold.record.unconcluded


def conclude(hold: Hold, executor: Executor, stop: Stop, signalled: Signalled) -> None:
    """Run every command of `always`, also when one of them fails, and record what they changed."""
    if stop.verdict not in ENDS or not hold.workflow.always:
        return
    # The attempt has no phase: `settle` puts back what a kill in here leaves, for all of it is run again.
    under_way = AttemptUnderWay(workflow=hold.name, phase=NAME, number=0, started=hold.now(), boot=boot_id())
    hold.place.desk.begin()
    worst = 0
    for always in hold.workflow.always:
        result = _run(hold, executor, under_way, always, stop, signalled)
        worst = max(worst, _say(hold, always, result))
        if result.interrupted:
            break
    forget(hold.place.folder)
    land_conclusion(hold, stop.verdict.value, worst)


def _run(
    hold: Hold, executor: Executor, under_way: AttemptUnderWay, always: Always, stop: Stop, signalled: Signalled
) -> Result:
    hold.place.desk.clear()
    flight = InFlight(
        phase=Phase(name=NAME, run=always.run),
        work=Closing(),
        under_way=under_way,
        desk=hold.place.desk,
        start=hold.at_tip,
        below=hold.at_tip.content,
        root=hold.given.root,
    )
    with ended_in_order(hold, (flight,)):
        hold.write_record(replace(hold.record, attempt=under_way))
        mark_begin(hold.place.live)
        flight.running = executor.start(_job(hold, always, stop))
        return _wait(hold, flight, signalled)


def _wait(hold: Hold, flight: InFlight, signalled: Signalled) -> Result:
    while not (ended := attend(hold, (flight,), signalled)):
        pass
    return ended[0][1]


def _job(hold: Hold, always: Always, stop: Stop) -> Job:
    manifest = hold.at_tip.manifest
    return Job(
        steps=tuple(Step(name="run", argv=shell_argv(always.shell, text)) for text in always.run),
        cwd=hold.given.root,
        env={
            **hold.given.environment,
            **manifest.params,
            **form_answers(manifest),
            **hold.workflow.env,
            "GITCKPT_WORKFLOW": hold.name,
            "GITCKPT_RUN": manifest.run,
            "GITCKPT_STATUS": stop.verdict.value,
            "GITCKPT_PHASE": stop.phases[0] if stop.phases else "",
            "GITCKPT_STATE": str(hold.place.live / "state.json"),
        },
        timeout_ms=always.timeout_ms,
        grace_ms=GRACE_MS,
        output=hold.place.desk.output,
        validate_output=hold.place.desk.validate_output,
        state_dir=hold.place.folder,
        live_dir=hold.place.live,
    )


def _say(hold: Hold, always: Always, result: Result) -> int:
    lines = tail_lines(hold.place.desk.output.read_bytes())
    masked = secret_values(hold.workflow, hold.given.environment)
    if result.step is None:
        if lines and not any(secret.decode(errors="replace") in lines[-1] for secret in masked):
            hold.reporter(Note(f"always: {lines[-1]}"))
        return 0
    why = "it timed out" if result.timed_out else f"exit {result.code}" if result.code is not None else "it was killed"
    told = cause(lines)
    hold.reporter(Warned(f"always: {always.run[0]}: {why}" + (f": {told}" if told else "")))
    return result.code or 1


def land_conclusion(hold: Hold, status: str, exit_code: int) -> None:
    """One checkpoint when files changed or a command failed; else only the journal is closed."""
    with open_pack(hold) as pack:
        found = take_snapshot(hold, pack)
        if not exit_code and not differs(hold, pack, found.content):
            left = tuple(each for each in hold.record.unconcluded if each != hold.name)
            hold.write_record(replace(hold.record, attempt=None, unconcluded=left))
            return
        event = Concluded(at=hold.now(), status=status, exit_code=exit_code)
        landing = Landing(events=(event,), content=found.content, found=found.content, ends_attempt=True)
        if not pack.finished:
            land(hold, pack, landing)
            return
        with open_pack(hold) as second:
            land(hold, second, landing)
