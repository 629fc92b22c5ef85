"""What must hold of phases that run side by side: what each takes of what there is, and limits that limit nothing.

Works as `checks` does. Must not know what a machine has, nor what is ready when.
"""

from __future__ import annotations

from collections.abc import Sequence

from gitckpt.model.together import MACHINE_RESOURCES
from gitckpt.spec.problem import Findings, Mark, near, quoted
from gitckpt.spec.read import Plain, Record, place
from gitckpt.spec.written import Written, has
from gitckpt.spec.yaml_strict import Entries

LEAST_MEMORY = 1 << 20
"""Fewer bytes than this are a number whose unit was forgotten: no process gets by with them."""


def check_together(root: Entries, workflow: Record, phases: Sequence[Written], findings: Findings) -> None:
    """Note what does not hold of `resources`, at the top and in phases, and of `isolation: none`."""
    declared, tree = workflow.get("resources"), root.get("resources")
    there = declared if isinstance(declared, dict) else {}
    names = tuple(key.text for key, _ in tree.pairs) if isinstance(tree, Entries) else ()
    _warn_of_memory(place(root, "resources", "memory"), there, findings)
    doing = [phase for phase in phases if not phase.has("gate")]
    for phase in doing:
        _check_resources(phase, names, there, findings)
        _check_in_place(phase, findings)
    if doing and all(phase.values.get("isolation") == "none" for phase in doing):
        _warn_of_one_at_a_time(place(root, "max_parallel"), workflow.get("max_parallel"), findings)


def _check_resources(phase: Written, names: Sequence[str], there: Record, findings: Findings) -> None:
    asked, node = phase.values.get("resources"), phase.node.get("resources")
    if not isinstance(asked, dict) or not isinstance(node, Entries):
        return
    _warn_of_memory(phase.mark("resources", "memory"), asked, findings)
    for name, amount in asked.items():
        key = node.key(name)
        most = there.get(name)
        if name not in names and name not in MACHINE_RESOURCES:
            mark = node.mark if key is None else key.mark
            findings.error(mark, f"unknown resource {quoted(name)}{_guess(name, names)}")
        elif isinstance(amount, int) and isinstance(most, int) and amount > most:
            text = f"{quoted(name)} asks for {amount}, more than there is: {most}"
            findings.error(phase.mark("resources", name), text)


def _guess(name: str, names: Sequence[str]) -> str:
    slips = () if len(name) <= 3 else MACHINE_RESOURCES  # a gpu is no slip for a cpu
    close = near(name, (*names, *slips))
    return close or f"; say at the top how much there is of it: resources: {{{name}: 1}}"


def _warn_of_memory(mark: Mark, amounts: Record, findings: Findings) -> None:
    memory = amounts.get("memory")
    if isinstance(memory, int) and memory < LEAST_MEMORY:
        findings.warning(mark, f'"memory" is in bytes, so {memory} is next to nothing; give it a unit: {memory}GiB')


def _check_in_place(phase: Written, findings: Findings) -> None:
    if phase.values.get("isolation") == "none" and has(phase.node, "foreach"):
        _warn_of_one_at_a_time(phase.mark("max_parallel"), phase.values.get("max_parallel"), findings)


def _warn_of_one_at_a_time(mark: Mark, most: Plain, findings: Findings) -> None:
    if isinstance(most, int) and most > 1:
        text = '"max_parallel" has no effect with "isolation: none": in the workspace itself one runs at a time'
        findings.warning(mark, text)
