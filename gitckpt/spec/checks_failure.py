"""What must hold of what follows a failure: where `goto` goes back to, and what `compensate` can still undo.

Works as `checks` does, on needs that are resolved. Must not know what has happened in a run.
"""

from __future__ import annotations

import graphlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gitckpt.spec.problem import Findings, near, quoted
from gitckpt.spec.read import Plain, Record, place
from gitckpt.spec.written import Written, has, was_refused
from gitckpt.spec.yaml_strict import Entries, Node, Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """Which phases come before which, as bits by their place in the file: sets of names would take seconds for the
    thousands of phases that a file can hold."""

    names: Sequence[str]
    bits: Mapping[str, int]
    before: Mapping[str, int]


def check_failures(root: Entries, workflow: Record, phases: Sequence[Written], findings: Findings) -> None:
    """Note what does not hold of every `on_failure`, the one at the top among them, and of `pivot`."""
    top = root.get("on_failure")
    _check_on_failure(top, workflow.get("on_failure"), findings)
    if has(top, "goto"):
        findings.error(place(root, "on_failure", "goto"), '"goto" cannot stand at the top: say it in a phase')
    for phase in phases:
        _check_on_failure(phase.own.get("on_failure"), phase.values.get("on_failure"), findings)
    going_back = [phase for phase in phases if has(phase.own.get("on_failure"), "goto")]
    pivots = [phase for phase in phases if phase.values.get("pivot") is True]
    order = _order(phases) if going_back or pivots else None
    if order is None:
        return
    for phase in going_back:
        _check_goto(phase, order, findings)
    _check_pivots(phases, pivots, order, findings)


def _check_on_failure(node: Node | None, values: Plain, findings: Findings) -> None:
    if not isinstance(node, Entries):
        return
    if has(node, "goto") and has(node, "action"):
        text = '"goto" and "action" cannot stand together: going back is what follows the failure'
        findings.error(place(node, "action"), text)
    if has(node, "max") and not has(node, "goto"):
        findings.error(place(node, "max"), '"max" needs "goto", whose rounds it counts')
    elif not has(node, "goto") and not has(node, "action") and not was_refused(node, values):
        findings.error(node.mark, '"on_failure" says nothing; give it "action" or "goto"')


def _order(phases: Sequence[Written]) -> _Order | None:
    """None where needs go in a circle, which has been told."""
    bits = {phase.name: 1 << position for position, phase in enumerate(phases)}
    needs = {phase.name: _needs(phase, bits) for phase in phases}
    before: dict[str, int] = {}
    try:
        for name in graphlib.TopologicalSorter(needs).static_order():
            before[name] = 0
            for need in needs[name]:
                before[name] |= before[need] | bits[need]
    except graphlib.CycleError:
        return None
    return _Order(names=tuple(bits), bits=bits, before=before)


def _needs(phase: Written, known: Mapping[str, int]) -> tuple[str, ...]:
    needs = phase.values.get("needs")
    return tuple(each for each in needs if isinstance(each, str) and each in known) if isinstance(needs, list) else ()


def _check_goto(phase: Written, order: _Order, findings: Findings) -> None:
    values = phase.values.get("on_failure")
    goto = values.get("goto") if isinstance(values, dict) else None
    if not isinstance(goto, str) or goto == phase.name:
        return
    mark = phase.mark("on_failure", "goto")
    if goto not in order.bits:
        findings.error(mark, f"there is no phase {quoted(goto)}{near(goto, order.names)}")
    elif not order.before[phase.name] & order.bits[goto]:
        findings.error(mark, f'"goto" goes back: {quoted(goto)} is neither {quoted(phase.name)} nor before it')


def _check_pivots(phases: Sequence[Written], pivots: Sequence[Written], order: _Order, findings: Findings) -> None:
    every = sum(order.bits[pivot.name] for pivot in pivots)
    for phase in phases:
        if not phase.values.get("compensate"):
            continue
        passed = order.before[phase.name] & every
        if phase.values.get("pivot") is True:
            text = f'"compensate" is never run: {quoted(phase.name)} is a pivot, past which nothing is undone'
            findings.warning(phase.mark("compensate"), text)
        elif passed:
            pivot = quoted(order.names[(passed & -passed).bit_length() - 1])
            text = f'"compensate" is not run on the way back past the pivot {pivot}, which comes before'
            findings.warning(phase.mark("compensate"), text)


def warn_of_no_compensation(root: Entries, findings: Findings) -> None:
    """Note `on_failure: compensate` where no phase says how it is undone."""
    phases = root.get("phases")
    nodes = [node for _, node in phases.pairs] if isinstance(phases, Entries) else []
    if any(has(node, "compensate") for node in nodes):
        return
    for each in (root, *nodes):
        said = each.get("on_failure") if isinstance(each, Entries) else None
        action = said.get("action") if isinstance(said, Entries) else said
        if isinstance(action, Scalar) and action.text == "compensate":
            findings.warning(action.mark, '"compensate" has no effect: no phase says how it is undone')
