"""What the processes of one attempt get: their commands in order, their environment, their items.

Owns the variables that a phase sees and the steps of each kind of work. Must not move the workspace or the branch.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gitckpt.engine.agenda import Agenda
from gitckpt.engine.hold import Hold
from gitckpt.engine.inflight import InFlight
from gitckpt.engine.place import FLIGHT, Desk
from gitckpt.execute.process import VALIDATE, Job, Step, shell_argv
from gitckpt.model.listing import Item
from gitckpt.model.manifest import Items, Manifest, state_of
from gitckpt.model.moment import Closing, Compensating, Listing, Some, Whole
from gitckpt.model.names import PhaseName
from gitckpt.model.workflow import Phase, environment

GRACE_MS = 10_000
_CALL = (sys.executable, "-X", "utf8", "-P", "-m", "gitckpt.flow.call")
"""The program that calls a function. `-P`: no file of the user's can stand in for a module that it imports first."""
COMPENSATE = "compensate"
"""The name of the steps that undo."""

COUNTER = "counter "
"""What the name of a step begins with whose output is a number for `data`."""


def job_of(hold: Hold, agenda: Agenda, flight: InFlight) -> Job:
    """Everything the executor needs for this attempt. A job without steps has nothing to start."""
    phase, work, view = flight.phase, flight.work, flight.view
    return Job(
        steps=tuple(_steps(agenda, flight, phase)),
        cwd=(view.workspace if view else hold.given.root) / phase.working_directory,
        env={**_environment(hold, phase, flight), **(view.environment() if view else {})},
        timeout_ms=None,
        unit_timeout_ms=phase.timeout_ms,
        stop_after_ms=agenda.time_left_ms(phase) if isinstance(work, Some) else None,
        grace_ms=GRACE_MS,
        output=flight.desk.output,
        validate_output=flight.desk.validate_output,
        state_dir=flight.desk.folder,
        live_dir=None if view else hold.place.live,
        view=view.mount() if view else None,
    )


def _steps(agenda: Agenda, flight: InFlight, phase: Phase) -> list[Step]:
    match flight.work:
        case Whole():
            return [*_conditions(phase), *_commands(phase), *_validation(phase), *_counters(flight.desk, phase)]
        case Listing():
            source = phase.foreach.run if phase.foreach else None
            printed = [_shell(phase, "list", source, stdout=flight.desk.feed / "printed")] if source else []
            flight.desk.clear_feed()
            return [*_conditions(phase), *printed]
        case Some():
            units = agenda.units(phase.name, flight.indices)
            items = agenda.items(phase.name)
            assert items is not None  # some of them are to be done
            of = _Units(agenda, items, flight.start.manifest, units)
            return _of_units(of, flight, phase, [*_commands(phase), *_validation(phase)])
        case Closing():
            return _counters(flight.desk, phase)
        case Compensating():
            commands = [_shell(phase, COMPENSATE, text) for text in phase.compensate]
            undoing = flight.undoing
            if undoing is None or undoing.items is None:
                return commands
            of = _Units(agenda, undoing.items, undoing.then, [undoing.unit])
            return _of_units(of, flight, phase, commands)
        case _:
            return []


def _shell(phase: Phase, name: str, text: str, stdout: Path | None = None) -> Step:
    return Step(name=name, argv=shell_argv(phase.shell, text), stdout=stdout)


def _conditions(phase: Phase) -> list[Step]:
    steps = [_shell(phase, "if", phase.condition)] if phase.condition else []
    return steps + [_shell(phase, f"requires {n}", text) for n, text in enumerate(phase.requires)]


def _commands(phase: Phase) -> list[Step]:
    if phase.python is not None:
        # Its validation in Python is called in the same process, when the function has returned.
        check = phase.validate.python if phase.validate else None
        return [Step(name="run", argv=(*_CALL, phase.python, *(("--check", check) if check else ())))]
    steps = [_shell(phase, "run", text) for text in phase.run]
    return [*steps, Step(name="run", argv=phase.argv)] if phase.argv else steps


def _validation(phase: Phase) -> list[Step]:
    check = phase.validate
    if check is None:
        return []
    apart = check.python if phase.python is None else None
    steps = [Step(name=VALIDATE, argv=(*_CALL, "--check", apart))] if apart else []
    return [*steps, _shell(phase, VALIDATE, check.run)] if check.run else steps


def _counters(desk: Desk, phase: Phase) -> list[Step]:
    if phase.counters:
        desk.clear_feed()
    return [_shell(phase, COUNTER + name, text, stdout=desk.counter(name)) for name, text in phase.counters.items()]


@dataclass(frozen=True, slots=True)
class _Units:
    """Items of a frozen list, as they are done under a manifest; the indices of each process."""

    agenda: Agenda
    items: Items
    manifest: Manifest
    indices: Sequence[Sequence[int]]


def _of_units(units: _Units, flight: InFlight, phase: Phase, commands: Sequence[Step]) -> list[Step]:
    """The commands once for each unit, with its items."""
    flight.desk.clear_feed()
    agenda, items, size = units.agenda, units.items, units.items.batch
    listing = agenda.list_of(items)
    steps: list[Step] = []
    for number, unit in enumerate(units.indices):
        of_unit = list(listing.items(unit))
        env = {"GITCKPT_IDEMPOTENCY_KEY": _key(units.manifest, phase.name, of_unit)}
        env["GITCKPT_ITEM_INDEX"] = str(agenda.number(items, unit[0]))
        stdin: Path | None = None
        more: tuple[str, ...] = ()
        if size is None:
            value = os.fsdecode(of_unit[0].value)
            env |= {phase.foreach.variable if phase.foreach else "ITEM": value, "GITCKPT_ITEM": value}
        else:
            env["GITCKPT_BATCH_ID"] = str(agenda.batch(items, unit[0]))
            how = "file" if phase.python else phase.batch.input if phase.batch else "args"
            if how == "args":
                more = tuple(os.fsdecode(item.value) for item in of_unit)
            else:
                path = _feed(flight.desk, phase, number, of_unit)
                env |= {"GITCKPT_BATCH_FILE": str(path)} if how == "file" else {}
                stdin = path if how == "stdin" else None
        for step in commands:
            given = _with_arguments(phase, step, more) if more and step.name in _WITH_ITEMS else step.argv
            stdout = flight.desk.validation(number) if step.name == VALIDATE else None
            steps.append(Step(name=step.name, argv=given, stdin=stdin, stdout=stdout, env=env, unit=number))
    return steps


_WITH_ITEMS = ("run", VALIDATE, COMPENSATE)


def _with_arguments(phase: Phase, step: Step, more: tuple[str, ...]) -> tuple[str, ...]:
    """A shell's text gets them as "$@" (what stands first is "$0"), a program as its last arguments."""
    # A `-c` is no proof of a shell: `argv: [python3, -c, TEXT]` is a program.
    is_shell = step.argv[:-1] == shell_argv(phase.shell, "")[:-1] and step.argv != phase.argv
    return (*step.argv, *(("gitckpt",) if is_shell else ()), *more)


def _feed(desk: Desk, phase: Phase, number: int, items: Sequence[Item]) -> Path:
    end = b"\0" if phase.python or (phase.batch and phase.batch.separator == "nul") else b"\n"
    path = desk.feed / f"batch-{number}"
    path.write_bytes(b"".join(item.value + end for item in items))
    return path


def _environment(hold: Hold, phase: Phase, flight: InFlight) -> dict[str, str]:
    # A compensation gets what its completion got: the params, the answers, the run, the key.
    undoing = flight.undoing
    manifest = flight.start.manifest if undoing is None else undoing.then
    workflow = hold.workflow if undoing is None else undoing.workflow
    return {
        **hold.given.environment,
        **manifest.params,
        **form_answers(manifest),
        **environment(workflow, phase),
        "GITCKPT_WORKFLOW": hold.name,
        "GITCKPT_RUN": manifest.run,
        "GITCKPT_PHASE": phase.name,
        "GITCKPT_ATTEMPT": str(flight.under_way.number),
        "GITCKPT_IDEMPOTENCY_KEY": _key(manifest, phase.name, ()),
        # Empty rather than unset when there is nothing to go on from, so that `set -u` scripts can look at it.
        "GITCKPT_RESUMED": "1" if undoing is None and state_of(manifest, phase.name).partial else "",
        "GITCKPT_PYTHON": sys.executable,
        "GITCKPT_STATE": str(hold.place.live / "state.json"),
        FLIGHT: flight.name,
    }


def form_answers(manifest: Manifest) -> dict[str, str]:
    """The answers that gates got, as variables; of two with one name, the later phase's."""
    return {
        f"FORM_{name.upper()}": text
        for phase in manifest.order
        for name, text in state_of(manifest, phase).answers.items()
    }


def _key(manifest: Manifest, phase: PhaseName, items: Sequence[Item]) -> str:
    """The idempotency key: the same for retry, resume, kill and for what undoes it; each generation of a phase and each
    item has another. The manifest of the completion gives the same as the one that the attempt began from.
    """
    parts = [manifest.workflow, manifest.run, phase, str(state_of(manifest, phase).generation)]
    keyed = b"\0".join((*(part.encode() for part in parts), *(item.key for item in items)))
    return hashlib.sha256(keyed).hexdigest()[:32]
