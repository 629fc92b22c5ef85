"""What must hold between the values of a gate: what stands beside it, what it shows, what its fields take.

Works as `checks` does. Asks nobody, and must not know which checkpoints there are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from gitckpt.model.gate import Field, Gate, answers
from gitckpt.model.names import RESERVED_PHASES
from gitckpt.model.workflow import Phase
from gitckpt.spec.problem import Findings, Mark, near, quoted, visible
from gitckpt.spec.read import Plain, Record
from gitckpt.spec.shape import record_shape
from gitckpt.spec.written import Written
from gitckpt.spec.yaml_strict import Entries

BESIDE_GATE = ("gate", "needs", "if", "requires", "on_failure", "pivot", "desc")
SHOWN = {"diff": (1, 2), "show": (1, 1), "output": (1, 1)}
"""What an approver can be shown: how many names at least and at most follow the word."""

_PLAIN = re.compile(r"[A-Za-z][\w.-]*", re.ASCII)


def check_gate(workflow: Record, phase: Written, names: Sequence[str], findings: Findings) -> None:
    """Note what does not hold in a phase that has a gate."""
    for key, _ in phase.own.pairs:
        if key.text not in (*BESIDE_GATE, "run", "argv", "python") and record_shape(Phase).key(key.text):
            findings.error(key.mark, f'"{key.text}" cannot stand beside "gate": a gate runs no commands')
    gate = phase.values.get("gate")
    if not isinstance(gate, dict):
        return
    if str(gate.get("prompt", "?")).strip() == "":
        findings.error(phase.mark("gate", "prompt"), '"prompt" asks nothing')
    if gate.get("timeout_ms") == 0:
        findings.error(phase.mark("gate", "timeout"), '"timeout" must be longer than 0')
    if isinstance(show := gate.get("show"), str):
        _check_show(phase, show, names, findings)
    fields = gate.get("fields")
    if isinstance(fields, dict):
        _check_names(workflow, phase, fields, findings)
        for name, field in fields.items():
            _check_field(phase, name, field, findings)


def _check_show(phase: Written, show: str, names: Sequence[str], findings: Findings) -> None:
    mark = phase.mark("gate", "show")
    word, *rest = show.split() or [""]
    least, most = SHOWN.get(word, (0, 0))
    if not least <= len(rest) <= most or not rest:
        forms = '"diff PHASE", "diff A B", "show C" or "output PHASE"'
        findings.error(mark, f'"show" must be {forms}, not {quoted(show)}')
        return
    for name in (each.partition("@")[0] for each in rest):
        guess = near(name, names)
        if name in names:
            continue
        if word == "output":
            findings.error(mark, f"there is no phase {quoted(name)}{guess}")
        elif guess and _PLAIN.fullmatch(name) and name not in RESERVED_PHASES:
            # "diff" and "show" take any checkpoint, also one to come: only what looks like a slip is told.
            findings.warning(mark, f"there is no phase {quoted(name)}{guess}")


def _check_names(workflow: Record, phase: Written, fields: Record, findings: Findings) -> None:
    """The variables that the answers become are apart from each other and from those that are set already."""
    variables: dict[str, str] = {}
    for name in fields:
        variable = f"FORM_{name.upper()}"
        other = variables.setdefault(variable, name)
        key = _key(phase, name)
        if other != name:
            findings.error(key, f"fields {quoted(name)} and {quoted(other)} are the same variable, {variable}")
        for where in ("env", "params"):
            table = workflow.get(where)
            if isinstance(table, dict) and variable in table:
                findings.error(
                    key, f'field {quoted(name)} is the variable {variable}, which stands in "{where}" as well'
                )


def _key(phase: Written, field: str) -> Mark:
    gate = phase.node.get("gate")
    fields = gate.get("fields") if isinstance(gate, Entries) else None
    key = fields.key(field) if isinstance(fields, Entries) else None
    return phase.key.mark if key is None else key.mark


def _check_field(phase: Written, name: str, plain: Plain, findings: Findings) -> None:
    if not isinstance(plain, dict):
        return
    gate = Gate(prompt="", fields={name: msgspec.convert(plain, Field)})
    field = gate.fields[name]
    if field.default is not None:
        _, problems = answers(gate, {})
        for problem in map(visible, problems):
            findings.error(phase.mark("gate", "fields", name, "default"), f"the default cannot be taken: {problem}")
    for position, choice in enumerate(field.choices):
        _, problems = answers(gate, {name: choice})
        for problem in map(visible, problems):
            mark = phase.mark("gate", "fields", name, "choices", position)
            findings.error(mark, f"choice {quoted(choice)} cannot be taken: {problem}")
