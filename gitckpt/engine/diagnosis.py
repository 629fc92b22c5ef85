"""`doctor` without --repair: everything that can be seen to be wrong, and nothing touched.

Owns which questions are asked, and in which order the answers are told.
"""

from __future__ import annotations

from gitckpt.engine import history_findings as history
from gitckpt.engine import place_findings as places
from gitckpt.engine.finding import Diagnosis, Finding, Patient
from gitckpt.engine.isolation import isolation_of
from gitckpt.errors import GitckptError
from gitckpt.plumbing.repository import require_git
from gitckpt.workspace.mounts import file_system_kind

_WORST_FIRST = ("decision", "problem", "note")


def diagnose(patient: Patient) -> Diagnosis:
    """Look at history, objects, refs, workspace, machine and configuration. Raises GitTooOld and what git itself
    refuses."""
    found = [*places.about_machine(patient), *places.about_file(patient), *history.about_branch(patient)]
    objects = history.look_at_objects(patient)
    of_tip, unsound = history.about_tip(patient, objects)
    found += [*of_tip, *history.about_history(patient, unsound, objects)]
    found += [*history.about_objects(patient), *history.about_packs(patient), *history.about_tags(patient)]
    if patient.who is None:
        found += _while_nobody_works(patient, sound=unsound is None)
    else:
        who = patient.who
        text = f"process {who.pid} on {who.host} works here; what a running command holds is not looked at"
        step = "gitckpt wait, then gitckpt doctor again"
        found.append(Finding(level="note", what=text, where=str(patient.root), next=step))
    found += places.about_pushes(patient)
    isolation = isolation_of(patient)
    if patient.who is None:  # a phase that asks may be in an overlay itself, under which there is none
        found += places.about_views(isolation)
    report = objects.report
    return Diagnosis(
        findings=tuple(sorted(found, key=lambda each: _WORST_FIRST.index(each.level))),
        git=".".join(map(str, require_git())),
        file_system=file_system_kind(patient.root),
        checkpoints=report.checkpoints if report else 0,
        objects=report.objects if report else 0,
        isolation=isolation,
    )


def _while_nobody_works(patient: Patient, *, sound: bool) -> list[Finding]:
    found = [*places.about_leavings(patient)]
    try:
        tip = patient.store.tip() if sound else None
    except GitckptError:
        return found  # what is wrong with it is said already
    if sound and history.broken_branch(patient.store) is None:
        found += places.about_record(patient, tip)
    return found
