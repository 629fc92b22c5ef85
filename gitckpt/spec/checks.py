"""What must hold between the values of a workflow file: needs, cycles, one command, keys that need another.

Works on the plain values that `read` kept and on the tree for places, also when other values were refused, so that
all problems are told at once. Must not read files.
"""

from __future__ import annotations

import graphlib
import re
from collections.abc import Mapping

from gitckpt.model.workflow import VERSION
from gitckpt.spec.checks_failure import check_failures, warn_of_no_compensation
from gitckpt.spec.checks_gate import check_gate
from gitckpt.spec.checks_repeat import check_repeat
from gitckpt.spec.checks_together import check_together
from gitckpt.spec.problem import Findings, Mark, near, quoted
from gitckpt.spec.read import Plain, Record, place
from gitckpt.spec.written import Written, is_null, written_phases
from gitckpt.spec.yaml_strict import Entries, Listing, Node, Scalar

COMMANDS = ("run", "argv", "python", "gate")
"""What a phase does: exactly one of these."""

MOST_CYCLES = 20
SHOWN_IN_CYCLE = 12


def version_is_newer(root: Node, findings: Findings) -> bool:
    """Whether the file is of a format to come; then nothing else of it can be judged."""
    node = root.get("version") if isinstance(root, Entries) else None
    if not isinstance(node, Scalar) or isinstance(node.value, bool) or not isinstance(node.value, int):
        return False
    if node.value > VERSION:
        text = f"this file needs a newer gitckpt: its version is {node.value}, this one reads {VERSION}"
        findings.error(node.mark, text)
        return True
    if node.value < VERSION:
        findings.error(node.mark, f'"version" must be {VERSION}, not {node.value}')
    return False


def check(root: Entries, merged: Entries, values: Record, findings: Findings) -> None:
    """Note what does not hold, and resolve `needs`: the records of the phases get theirs.

    `merged` is the tree with the defaults, of which `values` were read; `root` tells what a phase says itself.
    """
    _check_params(merged, values, findings)
    _check_always(merged, values.get("always"), findings)
    tree = merged.get("phases")
    if isinstance(tree, Entries) and not tree.pairs:
        findings.error(tree.mark, '"phases" is empty: a workflow has at least one phase')
    phases = list(written_phases(root, merged, values.get("phases")))
    names = [phase.name for phase in phases]
    _check_unique(tree, findings)
    for phase in phases:
        _check_command(phase, findings)
        _check_validation(phase, findings)
        if phase.node.get("gate") is None:
            check_repeat(values, phase, findings)
        else:
            check_gate(values, phase, names, findings)
        if phase.values.get("timeout_ms") == 0:
            findings.error(phase.mark("timeout"), '"timeout" must be longer than 0')
    _resolve_needs(tree, phases, findings)
    _check_cycles(phases, findings)
    check_failures(root, values, phases, findings)
    check_together(root, values, phases, findings)


def _check_params(root: Entries, values: Record, findings: Findings) -> None:
    params, env = values.get("params"), values.get("env")
    if not isinstance(params, dict):
        return
    for name, param in params.items():
        if not isinstance(param, dict):
            continue
        default, pattern = param.get("default"), param.get("pattern")
        if isinstance(default, str) and param.get("required") is True:
            mark = place(root, "params", name, "required")
            findings.error(mark, f"param {quoted(name)} has a default, so it cannot be required")
        if isinstance(default, str) and isinstance(pattern, str) and not re.fullmatch(pattern, default):
            mark = place(root, "params", name, "default")
            findings.error(mark, f'"default" {quoted(default)} does not match {quoted(pattern)}')
        if isinstance(env, dict) and name in env:
            findings.error(place(root, "env", name), f"{quoted(name)} is a param as well; rename one of them")


def _check_unique(tree: Node | None, findings: Findings) -> None:
    seen: dict[str, Scalar] = {}
    for key, _ in tree.pairs if isinstance(tree, Entries) else ():
        first = seen.setdefault(key.text.lower(), key)
        if first is not key:
            text = f"phase {quoted(key.text)} and {quoted(first.text)} differ only in case"
            findings.error(key.mark, text)


def _check_always(root: Entries, records: Plain, findings: Findings) -> None:
    tree = root.get("always")
    nodes = tree.items if isinstance(tree, Listing) else (tree,)
    if not isinstance(records, list) or len(nodes) != len(records):
        return
    for node, record in zip(nodes, records, strict=True):
        if node is None or not isinstance(record, dict):
            continue
        if record.get("run") == []:
            findings.error(place(node, "run"), '"run" names no command')
        if record.get("timeout_ms") == 0:
            findings.error(place(node, "timeout"), '"timeout" must be longer than 0')


def _check_command(phase: Written, findings: Findings) -> None:
    given = [key for key in COMMANDS if phase.node.get(key) is not None]
    if not given:
        text = f'phase {quoted(phase.name)} does nothing; give it "run", "argv", "python" or "gate"'
        findings.error(phase.key.mark, text)
    for key in given[1:]:
        text = f'phase {quoted(phase.name)} has both "{given[0]}" and "{key}"; keep one'
        findings.error(phase.mark(key), text)
    for key in ("run", "argv"):
        commands = phase.values.get(key)
        if commands == [] or (key == "argv" and isinstance(commands, list) and commands[0] == ""):
            findings.error(phase.mark(key), f'"{key}" names no command')
    for key in ("python", "gate"):
        node = phase.node.get(key)
        if node is not None and is_null(node):
            findings.error(node.mark, f'"{key}" is empty')


def _check_validation(phase: Written, findings: Findings) -> None:
    check, node = phase.values.get("validate"), phase.node.get("validate")
    if not isinstance(check, dict) or not isinstance(node, Entries):
        return
    if node.get("stdout") is not None and node.get("run") is None:
        findings.error(place(node, "stdout"), '"stdout" needs "run", the command whose output it is')
    if node.get("min_size") is not None and node.get("file") is None:
        findings.error(place(node, "min_size"), '"min_size" needs "file", whose size it is')
    if not any(node.get(key) is not None for key in ("run", "python", "file", "stdout", "min_size")):
        findings.error(node.mark, '"validate" checks nothing; give it "run", "python" or "file"')
    stdout, written = check.get("stdout"), node.get("stdout")
    refused = isinstance(written, Entries) and isinstance(stdout, dict) and len(stdout) < len(written.pairs)
    if isinstance(stdout, dict) and not refused and not any(stdout.values()):
        findings.error(place(node, "stdout"), '"stdout" checks nothing; give it "contains" or "matches"')


def _resolve_needs(tree: Node | None, phases: list[Written], findings: Findings) -> None:
    written = [key.text for key, _ in tree.pairs] if isinstance(tree, Entries) else []
    above = dict(zip(written[1:], written[:-1], strict=True)) if written else {}
    names = frozenset(written)
    for phase in phases:
        if phase.node.get("needs") is None:
            phase.values["needs"] = [above[phase.name]] if phase.name in above else []
            continue
        needs = phase.values.get("needs")
        for position, need in enumerate(needs if isinstance(needs, list) else []):
            if isinstance(need, str) and need not in names:
                mark = place(phase.node, "needs", position)
                findings.error(mark, f"there is no phase {quoted(need)}{near(need, written)}")


def _check_cycles(phases: list[Written], findings: Findings) -> None:
    graph = {phase.name: set(_names(phase.values.get("needs"))) for phase in phases}
    rank = {phase.name: position for position, phase in enumerate(phases)}
    for _ in range(MOST_CYCLES):
        cycle = _cycle(graph)
        if cycle is None:
            return
        first = cycle.index(min(cycle, key=lambda name: rank.get(name, len(rank))))
        turned = cycle[first:] + cycle[:first]
        shown = turned if len(turned) <= SHOWN_IN_CYCLE else [*turned[:SHOWN_IN_CYCLE], "…"]
        mark = _needs_mark(phases[rank[turned[0]]])
        findings.error(mark, "a cycle: " + " needs ".join(map(quoted, [*shown, turned[0]])))
        for name, need in zip(turned, [*turned[1:], turned[0]], strict=True):
            graph[name].discard(need)


def _cycle(graph: Mapping[str, set[str]]) -> list[str] | None:
    """One cycle, each name needing the next one; None where there is none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        found: list[str] = error.args[1]
        return found[:0:-1]
    return None


def _needs_mark(phase: Written) -> Mark:
    return phase.key.mark if phase.node.get("needs") is None else place(phase.node, "needs")


def _names(needs: Plain) -> list[str]:
    return [need for need in needs if isinstance(need, str)] if isinstance(needs, list) else []


def warn(root: Entries, findings: Findings) -> None:
    """Note keys that have no effect. Takes the tree before the defaults are merged in."""
    warn_of_no_compensation(root, findings)
    phases = root.get("phases")
    for _, phase in phases.pairs if isinstance(phases, Entries) else ():
        if not isinstance(phase, Entries):
            continue
        shell = phase.key("shell")
        for key in ("argv", "python"):
            if shell and phase.get(key) is not None:
                findings.warning(shell.mark, f'"shell" has no effect: "{key}" is started without one')
        retry, default = phase.get("retry"), root.get("defaults")
        inherited = default.get("retry") if isinstance(default, Entries) else None
        if isinstance(retry, Entries) and retry.pairs and not _has_max(retry) and not _has_max(inherited):
            findings.warning(retry.mark, '"retry" has no effect without "max"')


def _has_max(retry: Node | None) -> bool:
    return isinstance(retry, Entries) and retry.get("max") is not None
