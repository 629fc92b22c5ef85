"""Phases that are done for each item, written wrong: the whole text of what is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.said import HEAD, problems, warnings

SOURCES = '"list", "glob", "lines", "csv", "json" or "run"'
RENAME = 'give the item another name with "as"'


def one(keys: str) -> str:
    return HEAD + f"phases:\n  a: {{run: x, {keys}}}\n"


BAD: dict[str, tuple[str, list[str]]] = {
    "no source": (one("foreach: {as: X}"), [f'4:24: error: "foreach" has no source; give it {SOURCES}']),
    "a misspelt source is told once": (
        one("foreach: {globb: x}"),
        ['4:25: error: unknown key "globb", did you mean "glob"?'],
    ),
    "two sources": (
        one("foreach: {list: [a], glob: x, run: y}"),
        [
            '4:42: error: "foreach" has both "list" and "glob"; keep one',
            '4:50: error: "foreach" has both "list" and "run"; keep one',
        ],
    ),
    "sources that are empty": (
        one("foreach: {lines: }") + "  b: {run: x, foreach: {glob: []}}\n  c: {run: x, foreach: {run: ' '}}\n",
        [
            '4:32: error: "lines" is empty',
            '5:31: error: "glob" names no pattern',
            '6:30: error: "run" is an empty command',
        ],
    ),
    "sources outside of the workspace": (
        one("foreach: {glob: /data/*.csv}") + "  b: {run: x, foreach: {lines: ../hosts}}\n",
        [
            '4:31: error: "glob" "/data/*.csv" is absolute; patterns are inside the workspace',
            '5:32: error: "lines" "../hosts" leads out of the workspace',
        ],
    ),
    "an empty list": (
        one("foreach: []") + "  b: {run: x, foreach: {list: []}}\n",
        [
            '4:24: error: "foreach" has no items; where that is meant, write {list: [], allow_empty: true}',
            '5:31: error: "list" has no items; where that is meant, write {list: [], allow_empty: true}',
        ],
    ),
    "equal items": (
        HEAD + "phases:\n  a:\n    run: x\n    foreach:\n      - 1\n      - b\n      - '1'\n",
        ['9:9: error: item "1" is in the list twice, first on line 7'],
    ),
    "items that are no values": (
        one("foreach: [a, {b: c}, null]"),
        [
            '4:28: error: "foreach" must be one value, not a mapping',
            '4:36: error: "foreach" is empty; write "" for an empty text',
        ],
    ),
    "a key of items that have no members": (
        one("foreach: {lines: f, key: id}"),
        ['4:40: error: "key" needs "csv" or "json", whose items have members'],
    ),
    "a variable that is set already": (
        HEAD + "env: {HOST: x}\nparams: {ITEM: x}\nphases:\n  a: {run: x, foreach: {run: y, as: HOST}}\n"
        "  b: {run: x, foreach: [y]}\n  c: {run: x, foreach: {run: y, as: F}, env: {F: x}}\n",
        [
            f'6:37: error: "HOST" is the item and stands in "env" as well; {RENAME}',
            f'7:24: error: "ITEM" is the item and stands in "params" as well; {RENAME}',
            f'8:37: error: "F" is the item and stands in "env" as well; {RENAME}',
        ],
    ),
    "a variable that is somebody else's": (
        one("foreach: {run: y, as: GITCKPT_X}") + "  b: {run: x, foreach: {run: y, as: PATH}}\n",
        [
            '4:37: error: "as" cannot hold "GITCKPT_X": names that start with GITCKPT_ are gitckpt\'s own',
            '5:37: error: "as" cannot be "PATH": commands need that variable',
        ],
    ),
    "a misspelt order": (
        one("foreach: {run: y, sort: Name, limit: 0, allow_empty: 1}"),
        [
            '4:39: error: "sort" must be none or name or natural, not "Name", did you mean "name"?',
            '4:52: error: "limit" must be from 1 to 1000000000, not 0',
            '4:68: error: "allow_empty" must be true or false, not "1"',
        ],
    ),
    "keys that need items": (
        one("batch: 5, checkpoint_every: 5, tolerate: 5, on_item_failure: stop, max_parallel: 2, budget: {items: 5}"),
        [
            '4:22: error: "batch" needs "foreach"',
            '4:43: error: "checkpoint_every" needs "foreach"',
            '4:56: error: "tolerate" needs "foreach"',
            '4:76: error: "on_item_failure" needs "foreach"',
            '4:76: error: "on_item_failure: stop" contradicts "tolerate", with which the other items go on',
            '4:96: error: "max_parallel" needs "foreach"',
            '4:115: error: "items" needs "foreach", whose items it counts',
        ],
    ),
    "batches that are not made": (
        one("foreach: [a], budget: {batches: 5}"),
        ['4:47: error: "batches" needs "batch", whose runs it counts'],
    ),
    "limits that say nothing": (
        one("foreach: [a], budget: {}, tolerate: {to: f}, checkpoint_every: {}, batch: {}"),
        [
            '4:37: error: "budget" limits nothing; give it "items" or "batches" or "time"',
            '4:51: error: "tolerate" limits nothing; give it "count" or "percent"',
            '4:78: error: "checkpoint_every" limits nothing; give it "items" or "time"',
            '4:89: error: missing key "size"',
        ],
    ),
    "limits out of range": (
        one("foreach: [a], budget: {time: 0s, items: 0}, tolerate: {percent: 101}, checkpoint_every: {time: 5}"),
        [
            '4:44: error: "time" must be longer than 0',
            '4:55: error: "items" must be from 1 to 1000000000, not 0',
            '4:79: error: "percent" must be from 0.001 to 100, not 101',
            '4:110: error: "time" cannot be "5": a duration needs a unit: 5s, 5m or 5h',
        ],
    ),
    "a part with its sign": (
        one("foreach: [a], tolerate: {percent: 5%}") + "  b: {run: x, foreach: [a], tolerate: {percent: 1e-9}}\n",
        [
            '4:49: error: "percent" must be a number such as 5 or 0.5, not "5%"',
            '5:49: error: "percent" must be from 0.001 to 100, not 1e-09',
        ],
    ),
    "counters": (
        one("counters: {1st: x, a b: y, c: ''}"),
        [
            '4:26: error: "counters" cannot hold "1st": a key of `data` holds letters, digits, `_`, `.` and `-`, '
            "starts with a letter or `_`, and has at most 100 characters",
            '4:34: error: "counters" cannot hold "a b": a key of `data` holds letters, digits, `_`, `.` and `-`, '
            "starts with a letter or `_`, and has at most 100 characters",
            '4:45: error: "c" is an empty command',
        ],
    ),
    "what is no function": (
        HEAD + "phases:\n  a: {python: flow.extract}\n  b: {python: 'flow:f()'}\n  c: {python: }\n",
        [
            '4:15: error: "python" cannot be "flow.extract": a function is written as '
            "package.module:function or file.py:function",
            '5:15: error: "python" cannot be "flow:f()": a function is written as '
            "package.module:function or file.py:function",
            '6:15: error: "python" is empty',
        ],
    ),
    "two things to do": (
        HEAD + "phases:\n  a: {run: x, python: 'a:b', argv: [y]}\n",
        [
            '4:23: error: phase "a" has both "run" and "python"; keep one',
            '4:36: error: phase "a" has both "run" and "argv"; keep one',
        ],
    ),
}

DOUBTFUL: dict[str, tuple[str, list[str]]] = {
    "many items on a command line": (
        one("foreach: {lines: f}, batch: 10001"),
        [
            '4:43: warning: 10,001 items seldom fit on a command line; hand them over with "input: stdin" or '
            '"input: file"'
        ],
    ),
    "many items on standard input": (one("foreach: {lines: f}, batch: {size: 10001, input: stdin}"), []),
    "a separator of arguments": (
        one("foreach: {lines: f}, batch: {size: 10, separator: nul}"),
        ['4:65: warning: "separator" has no effect on arguments; it is for "input: stdin" and "input: file"'],
    ),
    "a variable for a batch": (
        HEAD + "env: {ITEM: x}\nphases:\n  a: {run: x, foreach: {lines: f, as: PATH}, batch: 5}\n",
        ['5:39: warning: "as" has no effect with "batch": the items are handed over as its "input" says'],
    ),
    "a shell for a function": (
        HEAD + "phases:\n  a: {python: 'a:b', shell: sh}\n",
        ['4:22: warning: "shell" has no effect: "python" is started without one'],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_phase_with_items_gets_exactly_these_errors(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, expected = BAD[case]
    assert problems(text, tmp_path, monkeypatch) == [f"gitckpt.yaml:{line}" for line in expected]


@pytest.mark.parametrize("case", DOUBTFUL)
def test_a_doubtful_phase_with_items_gets_exactly_these_warnings(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, expected = DOUBTFUL[case]
    assert warnings(text, tmp_path, monkeypatch) == [f"gitckpt.yaml:{line}" for line in expected]


def test_a_thousand_equal_items_are_told_twenty_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = problems(one(f"foreach: [{', '.join(['x'] * 1_000)}]"), tmp_path, monkeypatch)
    assert len(told) == 20
