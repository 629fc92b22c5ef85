"""`doctor`: what is wrong with a workflow's history and its surroundings, and mending it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from gitckpt.api.definition import definition_of
from gitckpt.api.opening import open_store
from gitckpt.api.reading import Where, active
from gitckpt.api.writing import write
from gitckpt.engine.beyond import Beyond, beyond
from gitckpt.engine.diagnosis import diagnose
from gitckpt.engine.finding import Diagnosis, Patient
from gitckpt.engine.history_findings import look_at_objects
from gitckpt.engine.mending import clear_away, locked, settle_and_tag
from gitckpt.engine.ports import Reporter
from gitckpt.engine.settle import NeedsDecision
from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.codec import Damaged, NewerSchema
from gitckpt.model.names import WorkflowName
from gitckpt.model.workflow import Workflow
from gitckpt.store.branch import OtherPlace
from gitckpt.store.definition import decode_workflow
from gitckpt.store.layout import NotACheckpoint
from gitckpt.store.store import BranchCheckedOut
from gitckpt.store.verify import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """What a repair did, in sentences, and how things are after it."""

    done: tuple[str, ...]
    after: Diagnosis


def examine(where: Where) -> Diagnosis:
    """Everything that can be seen to be wrong. Takes no lock, changes nothing."""
    with _patient(where) as patient:
        return diagnose(patient)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What `verify` found, and how many of the objects that cannot be read the workspace still holds. `known`: what
    the branch should have and has not."""

    workflow: WorkflowName
    report: Report
    healable: int
    known: Beyond | None

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong, and nothing is missing."""
        return not self.report.findings and (self.known is None or self.known.kind == "other")


def check(where: Where) -> Checked:
    """Read all of the history. Takes no lock, changes nothing. Raises NoCheckpoints."""
    with _patient(where) as patient:
        store = patient.store
        if store.tip_oid() is None:
            raise store.no_checkpoints()
        objects = look_at_objects(patient)
        assert objects.report is not None  # there is a history
        known = None if patient.who else _beyond(patient)
        return Checked(workflow=store.workflow, report=objects.report, healable=len(objects.healable), known=known)


def _beyond(patient: Patient) -> Beyond | None:
    try:
        return beyond(patient.store, patient.place, patient.store.newest())
    except GitckptError:
        return None  # what is wrong with the newest checkpoint is said


def mend(where: Where, reporter: Reporter) -> Mended:
    """Mend what needs no decision. Raises Busy while a command works here."""
    done: list[str] = []
    try:
        with _patient(where) as patient, locked(patient):
            done += clear_away(patient)
        with _patient(where) as patient:
            writable = not patient.invalid
        if writable:
            with write(where, reporter) as hold:
                done += settle_and_tag(hold)
    except (NeedsDecision, BranchCheckedOut, NotACheckpoint, Damaged, NewerSchema, OtherPlace):
        # What is left to decide, or cannot be mended, is found again.
        pass
    return Mended(done=tuple(done), after=examine(where))


def exit_code(diagnosis: Diagnosis) -> ExitCode:
    """0: sound; 1: something is wrong; 5: something needs a decision."""
    levels = {finding.level for finding in diagnosis.findings}
    if "decision" in levels:
        return ExitCode.CONFLICT
    return ExitCode.FAILED if "problem" in levels else ExitCode.DONE


@contextmanager
def _patient(where: Where) -> Iterator[Patient]:
    with open_store(where) as (workspace, store):
        workflow: Workflow | None = None
        invalid = ""
        if workspace.file.suffix == ".py":
            # Looking runs nothing: the definition of the newest checkpoint stands in, where that can be read.
            with suppress(GitckptError):
                tip = store.tip_oid()
                workflow = decode_workflow(store.definition(tip)) if tip else None
        else:
            try:
                workflow = definition_of(workspace).workflow
            except GitckptError as error:
                invalid = error.message
        yield Patient(
            store=store,
            place=workspace.place,
            root=workspace.root,
            workflow=workflow,
            invalid=invalid,
            who=active(workspace),
        )
