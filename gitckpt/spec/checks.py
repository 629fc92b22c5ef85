"""What must hold between the values of a workflow file: needs, cycles, run or argv, keys that need another.

Works on the plain values that `read` kept and on the tree for places, also when other values were refused, so that
all problems are told at once. Must not read files.
"""

from __future__ import annotations

import graphlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gitckpt.model.workflow import DEFAULTABLE, VERSION
from gitckpt.spec.problem import Findings, Mark, near, quoted
from gitckpt.spec.read import Plain, Record, place
from gitckpt.spec.yaml_strict import Entries, Node, Scalar

MERGED = ("env", "retry")
"""Defaults that are merged key by key; the others are taken whole."""

MOST_CYCLES = 20
SHOWN_IN_CYCLE = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """A phase as it stands in the file, with the defaults, and its values that were good."""

    name: str
    key: Scalar
    node: Entries
    values: Record


def with_defaults(root: Entries) -> Entries:
    """The tree with `defaults` put into every phase, and without the key itself."""
    defaults, phases = root.get("defaults"), root.get("phases")
    pairs = tuple((name, node) for name, node in root.pairs if name.text != "defaults")
    if isinstance(defaults, Entries) and isinstance(phases, Entries):
        filled = tuple(
            (name, _filled(node, defaults) if isinstance(node, Entries) else node) for name, node in phases.pairs
        )
        inside = Entries(filled, phases.mark)
        pairs = tuple((name, inside if name.text == "phases" else node) for name, node in pairs)
    return Entries(pairs, root.mark)


def _filled(phase: Entries, defaults: Entries) -> Entries:
    pairs = list(phase.pairs)
    own = {name.text: position for position, (name, _) in enumerate(pairs)}
    for name, node in defaults.pairs:
        if name.text not in DEFAULTABLE:
            continue
        if name.text not in own:
            pairs.append((name, node))
            continue
        key, mine = pairs[own[name.text]]
        if name.text in MERGED and isinstance(mine, Entries) and isinstance(node, Entries):
            missing = tuple(pair for pair in node.pairs if mine.get(pair[0].text) is None)
            pairs[own[name.text]] = (key, Entries(mine.pairs + missing, mine.mark))
    return Entries(tuple(pairs), phase.mark)


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


def check(root: Entries, values: Record, findings: Findings) -> None:
    """Note what does not hold, and resolve `needs`: the records of the phases get theirs."""
    _check_params(root, values, findings)
    tree = root.get("phases")
    if isinstance(tree, Entries) and not tree.pairs:
        findings.error(tree.mark, '"phases" is empty: a workflow has at least one phase')
    phases = list(_written(tree, values.get("phases")))
    _check_unique(tree, findings)
    for phase in phases:
        _check_command(phase, findings)
        _check_validation(phase, findings)
        if phase.values.get("timeout_ms") == 0:
            findings.error(place(phase.node, "timeout"), '"timeout" must be longer than 0')
    _resolve_needs(tree, phases, findings)
    _check_cycles(phases, findings)


def _written(tree: Node | None, records: Plain) -> Iterator[_Written]:
    if not isinstance(tree, Entries) or not isinstance(records, list):
        return
    known = {str(record["name"]): record for record in records if isinstance(record, dict)}
    for key, node in tree.pairs:
        if isinstance(node, Entries) and key.text in known:
            yield _Written(name=key.text, key=key, node=node, values=known[key.text])


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


def _check_command(phase: _Written, findings: Findings) -> None:
    run, argv = phase.node.get("run"), phase.node.get("argv")
    name = quoted(phase.name)
    if run is None and argv is None:
        findings.error(phase.key.mark, f'phase {name} has neither "run" nor "argv"')
    elif run is not None and argv is not None:
        findings.error(argv.mark, f'phase {name} has both "run" and "argv"; keep one')
    for key in ("run", "argv"):
        given = phase.values.get(key)
        if given == [] or (key == "argv" and isinstance(given, list) and given[0] == ""):
            findings.error(place(phase.node, key), f'"{key}" names no command')


def _check_validation(phase: _Written, findings: Findings) -> None:
    check, node = phase.values.get("validate"), phase.node.get("validate")
    if not isinstance(check, dict) or not isinstance(node, Entries):
        return
    if node.get("stdout") is not None and node.get("run") is None:
        findings.error(place(node, "stdout"), '"stdout" needs "run", the command whose output it is')
    if node.get("min_size") is not None and node.get("file") is None:
        findings.error(place(node, "min_size"), '"min_size" needs "file", whose size it is')
    if not any(node.get(key) is not None for key in ("run", "file", "stdout", "min_size")):
        findings.error(node.mark, '"validate" checks nothing; give it "run" or "file"')
    stdout, written = check.get("stdout"), node.get("stdout")
    refused = isinstance(written, Entries) and isinstance(stdout, dict) and len(stdout) < len(written.pairs)
    if isinstance(stdout, dict) and not refused and not any(stdout.values()):
        findings.error(place(node, "stdout"), '"stdout" checks nothing; give it "contains" or "matches"')


def _resolve_needs(tree: Node | None, phases: list[_Written], findings: Findings) -> None:
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


def _check_cycles(phases: list[_Written], findings: Findings) -> None:
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


def _needs_mark(phase: _Written) -> Mark:
    return phase.key.mark if phase.node.get("needs") is None else place(phase.node, "needs")


def _names(needs: Plain) -> list[str]:
    return [need for need in needs if isinstance(need, str)] if isinstance(needs, list) else []


def warn(root: Entries, findings: Findings) -> None:
    """Note keys that have no effect. Takes the tree before the defaults are merged in."""
    phases = root.get("phases")
    for _, phase in phases.pairs if isinstance(phases, Entries) else ():
        if not isinstance(phase, Entries):
            continue
        shell = phase.key("shell")
        if shell and phase.get("argv") is not None:
            findings.warning(shell.mark, '"shell" has no effect: "argv" is started without one')
        retry, default = phase.get("retry"), root.get("defaults")
        inherited = default.get("retry") if isinstance(default, Entries) else None
        if isinstance(retry, Entries) and retry.pairs and not _has_max(retry) and not _has_max(inherited):
            findings.warning(retry.mark, '"retry" has no effect without "max"')


def _has_max(retry: Node | None) -> bool:
    return isinstance(retry, Entries) and retry.get("max") is not None
