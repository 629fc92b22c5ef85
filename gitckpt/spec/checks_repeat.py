"""What must hold between the values of a phase that is done for each item: its source, variable, batches, limits.

Works as `checks` does, for the keys of `model.repeat`. Must not read a source.
"""

from __future__ import annotations

from itertools import islice

from gitckpt.spec.problem import Findings, quoted
from gitckpt.spec.read import Record
from gitckpt.spec.written import Written, has, is_null, was_refused
from gitckpt.spec.yaml_strict import Entries, Node

SOURCES = ("list", "glob", "lines", "csv", "json", "run")
ONLY_FOR_ITEMS = ("batch", "checkpoint_every", "tolerate", "on_item_failure", "max_parallel")

LARGEST_ARGUMENTS = 10_000
"""Items on one command line before it is doubtful: Linux takes 2 MiB of arguments and environment together."""

MOST_EQUAL_ITEMS = 20
_NEEDED = frozenset({"HOME", "IFS", "PATH", "PWD", "SHELL", "TMPDIR"})
"""Variables that commands need as they are. `as: PATH` for a list of files would leave no command to be found."""


def check_repeat(workflow: Record, phase: Written, findings: Findings) -> None:
    """Note what does not hold in one phase."""
    if phase.has("foreach"):
        _check_source(phase, findings)
        _check_list(phase, findings)
        if phase.has("batch"):
            _warn_of_variable(phase, findings)
        else:
            _check_variable(workflow, phase, findings)
    else:
        for key in ONLY_FOR_ITEMS:
            if phase.node.get(key) is not None:
                findings.error(phase.mark(key), f'"{key}" needs "foreach"')
    _check_batch(phase, findings)
    _check_budget(phase, findings)
    _check_says_something(phase, "checkpoint_every", ("items", "time"), findings)
    _check_says_something(phase, "tolerate", ("count", "percent"), findings)
    if phase.has("tolerate") and phase.values.get("on_item_failure") == "stop":
        text = '"on_item_failure: stop" contradicts "tolerate", with which the other items go on'
        findings.error(phase.mark("on_item_failure"), text)


def _check_source(phase: Written, findings: Findings) -> None:
    node, values = phase.node.get("foreach"), phase.values.get("foreach")
    if not isinstance(node, Entries):
        return
    given = [key for key in SOURCES if node.get(key) is not None]
    if not given and not was_refused(node, values):
        names = ", ".join(f'"{key}"' for key in SOURCES[:-1])
        findings.error(node.mark, f'"foreach" has no source; give it {names} or "{SOURCES[-1]}"')
    for key in given[1:]:
        findings.error(phase.mark("foreach", key), f'"foreach" has both "{given[0]}" and "{key}"; keep one')
    for key in given:
        source = node.get(key)
        if source is not None and is_null(source) and key != "glob":
            findings.error(source.mark, f'"{key}" is empty')
    if isinstance(values, dict) and values.get("glob") == [] and node.get("glob") is not None:
        findings.error(phase.mark("foreach", "glob"), '"glob" names no pattern')
    if has(node, "key") and node.get("csv") is None and node.get("json") is None:
        findings.error(phase.mark("foreach", "key"), '"key" needs "csv" or "json", whose items have members')


def _check_list(phase: Written, findings: Findings) -> None:
    foreach = phase.values.get("foreach")
    items = foreach.get("values") if isinstance(foreach, dict) else None
    if not isinstance(foreach, dict) or not isinstance(items, list):
        return
    at = ("foreach", "list") if has(phase.node.get("foreach"), "list") else ("foreach",)
    if not items and foreach.get("allow_empty") is not True:
        text = f'"{at[-1]}" has no items; where that is meant, write {{list: [], allow_empty: true}}'
        findings.error(phase.mark(*at), text)
    first: dict[str, int] = {}
    equal = (each for each in enumerate(map(str, items)) if first.setdefault(each[1], each[0]) != each[0])
    for position, item in islice(equal, MOST_EQUAL_ITEMS):
        text = f"item {quoted(item)} is in the list twice, first on line {phase.mark(*at, first[item]).line}"
        findings.error(phase.mark(*at, position), text)


def _check_variable(workflow: Record, phase: Written, findings: Findings) -> None:
    foreach = phase.values.get("foreach")
    name = foreach.get("variable", "ITEM") if isinstance(foreach, dict) else None
    if not isinstance(name, str):
        return
    mark = phase.mark("foreach", "as")
    if name in _NEEDED:
        findings.error(mark, f'"as" cannot be {quoted(name)}: commands need that variable')
    for key, table in (
        ("env", phase.values.get("env")),
        ("env", workflow.get("env")),
        ("params", workflow.get("params")),
    ):
        if isinstance(table, dict) and name in table:
            text = f'{quoted(name)} is the item and stands in "{key}" as well; give the item another name with "as"'
            findings.error(mark, text)
            return


def _warn_of_variable(phase: Written, findings: Findings) -> None:
    if has(phase.node.get("foreach"), "as"):
        text = '"as" has no effect with "batch": the items are handed over as its "input" says'
        findings.warning(phase.mark("foreach", "as"), text)


def _check_batch(phase: Written, findings: Findings) -> None:
    batch = phase.values.get("batch")
    if not isinstance(batch, dict) or batch.get("input", "args") != "args":
        return
    size = batch.get("size")
    if isinstance(size, int) and size > LARGEST_ARGUMENTS:
        text = f'{size:,} items seldom fit on a command line; hand them over with "input: stdin" or "input: file"'
        findings.warning(phase.mark("batch", "size"), text)
    if has(phase.node.get("batch"), "separator"):
        text = '"separator" has no effect on arguments; it is for "input: stdin" and "input: file"'
        findings.warning(phase.mark("batch", "separator"), text)


def _check_budget(phase: Written, findings: Findings) -> None:
    node: Node | None = phase.node.get("budget")
    if has(node, "items") and not phase.has("foreach"):
        findings.error(phase.mark("budget", "items"), '"items" needs "foreach", whose items it counts')
    if has(node, "batches") and not phase.has("batch"):
        findings.error(phase.mark("budget", "batches"), '"batches" needs "batch", whose runs it counts')
    _check_says_something(phase, "budget", ("items", "batches", "time"), findings)


def _check_says_something(phase: Written, key: str, inner: tuple[str, ...], findings: Findings) -> None:
    """A mapping of limits has one at least, and no limit is a time of 0."""
    node, values = phase.node.get(key), phase.values.get(key)
    if not isinstance(node, Entries) or not isinstance(values, dict):
        return
    if not any(has(node, each) for each in inner) and not was_refused(node, values):
        names = " or ".join(f'"{each}"' for each in inner)
        findings.error(node.mark, f'"{key}" limits nothing; give it {names}')
    if values.get("time_ms") == 0:
        findings.error(phase.mark(key, "time"), '"time" must be longer than 0')
