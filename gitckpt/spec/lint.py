"""What is allowed in a workflow file and still likely to hurt: `gitckpt lint`.

Each finding is a warning with its place; none stops a run. Must not run anything of the workflow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from pathspec import GitIgnoreSpec

from gitckpt.model.workflow import Phase, Workflow, order, secrets
from gitckpt.spec.defaults import with_defaults
from gitckpt.spec.load import Loaded, shown_path
from gitckpt.spec.problem import Findings, Problem, quoted
from gitckpt.spec.read import place
from gitckpt.spec.yaml_strict import Entries, Node

# Folders that differ from machine to machine; /usr, /bin, /dev and /etc are nearly everywhere.
_MACHINE_PATH = re.compile(
    r"(?<![\w.$}~:/*)-])/(?:home|Users|root|mnt|media|data|srv|tmp|var|opt|scratch|work|workspace)/[^\s\"';|&)]+"
)

_Check = Callable[[Workflow, Phase, Entries, Findings], None]


def lint(loaded: Loaded) -> tuple[Problem, ...]:
    """Every warning about a workflow that loads, by position, those of the loader among them."""
    findings = Findings(shown_path(loaded.path), dict.fromkeys(loaded.warnings))
    merged = with_defaults(loaded.root)
    hidden = secrets(loaded.workflow)
    _literal_secrets(hidden, merged, findings, "env")
    nodes = _phase_nodes(merged)
    for phase in loaded.workflow.phases:
        node = nodes[phase.name]
        for check in _CHECKS:
            check(loaded.workflow, phase, node, findings)
        _literal_secrets(hidden, node, findings, "env")
    _not_undone(loaded.workflow, nodes, findings)
    _unused_resources(loaded.workflow, merged, findings)
    return findings.of("warning")


def _phase_nodes(root: Entries) -> dict[str, Entries]:
    """Each phase's mapping, placed at its key: what is missing in a phase is told where the phase begins."""
    phases = root.get("phases")
    pairs = phases.pairs if isinstance(phases, Entries) else ()
    return {key.text: Entries(node.pairs, key.mark) for key, node in pairs if isinstance(node, Entries)}


def _no_timeout(_: Workflow, phase: Phase, node: Entries, findings: Findings) -> None:
    if phase.gate is None and phase.timeout_ms is None and node.get("timeout") is None:
        text = f'phase {quoted(phase.name)} has no "timeout": one that hangs, hangs for ever'
        findings.warning(node.mark, text)


def _nothing_checked(_: Workflow, phase: Phase, node: Entries, findings: Findings) -> None:
    if phase.gate is None and not phase.outs and phase.validate is None:
        text = f'phase {quoted(phase.name)} has no "outs" and no "validate": only its exit code is checked'
        findings.warning(node.mark, text)


def _excluded_outs(workflow: Workflow, phase: Phase, node: Entries, findings: Findings) -> None:
    excluded = GitIgnoreSpec.from_lines(workflow.workspace.exclude)
    for position, out in enumerate(phase.outs):
        if excluded.match_file(out):
            mark = place(node, "outs", position)
            findings.warning(mark, f'{quoted(out)} is excluded by "workspace", so no checkpoint holds it')


def _machine_paths(_: Workflow, phase: Phase, node: Entries, findings: Findings) -> None:
    commands: list[tuple[tuple[str | int, ...], str]] = [
        ((key, position), command)
        for key, texts in (("run", phase.run), ("argv", phase.argv), ("compensate", phase.compensate))
        for position, command in enumerate(texts)
    ]
    if phase.foreach and phase.foreach.run:
        commands.append((("foreach", "run"), phase.foreach.run))
    for path, command in commands:
        found = _MACHINE_PATH.search(command)
        if found:
            text = f"{quoted(found.group())} is outside the workspace: no checkpoint holds or restores it"
            findings.warning(place(node, *path), text)


def _not_undone(workflow: Workflow, nodes: Mapping[str, Entries], findings: Findings) -> None:
    """Where a workflow undoes what it does outside, the phases that seem to act there and are left out."""
    if not any(phase.compensate for phase in workflow.phases):
        return
    final = {phase.name for phase in workflow.phases if phase.pivot}
    needs = {phase.name: phase.needs for phase in workflow.phases}
    for name in order(workflow):
        if not final.isdisjoint(needs[name]):
            final.add(name)
    for phase in workflow.phases:
        acts_outside = phase.gate is None and not phase.outs and phase.validate is None
        if acts_outside and not phase.compensate and phase.name not in final:
            text = f'phase {quoted(phase.name)} has no "compensate", as others have: going back undoes its files only'
            findings.warning(nodes[phase.name].mark, text)


def _unused_resources(workflow: Workflow, root: Entries, findings: Findings) -> None:
    asked = {name for phase in workflow.phases for name in phase.resources}
    declared = root.get("resources")
    for key, _ in declared.pairs if isinstance(declared, Entries) else ():
        if key.text not in asked:
            findings.warning(key.mark, f"no phase asks for the resource {quoted(key.text)}")


def _literal_secrets(secrets: tuple[str, ...], root: Entries, findings: Findings, *path: str) -> None:
    for name in secrets:
        if _holds(root, *path, name):
            text = f"the value of secret {quoted(name)} stands in this file; set it outside of it"
            findings.warning(place(root, *path, name), text)


def _holds(root: Entries, *path: str) -> bool:
    node: Node | None = root
    for step in path:
        node = node.get(step) if isinstance(node, Entries) else None
    return node is not None


_CHECKS: tuple[_Check, ...] = (_no_timeout, _nothing_checked, _excluded_outs, _machine_paths)
