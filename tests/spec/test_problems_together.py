"""Phases that run side by side, written wrong: the whole text of what is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.said import HEAD, linted, problems, warnings

ISOLATIONS = "auto or none or overlay or copy"
RULES = "fail or ours or theirs or union"
NAME_RULE = "a name starts with a letter or digit and holds only letters, digits, `.`, `_` and `-`"
NO_COMMANDS = 'cannot stand beside "gate": a gate runs no commands'
AN_AMOUNT = "must be a whole number from 1 on, or a size such as 8GiB"
SIZE_UNITS = "use kB, MB, GB, TB or KiB, MiB, GiB, TiB"
ONE_AT_A_TIME = (
    'warning: "max_parallel" has no effect with "isolation: none": in the workspace itself one runs at a time'
)
PHASES = "phases:\n  a: {run: x}\n"


def one(keys: str, top: str = "") -> str:
    return HEAD + f"{top}phases:\n  a: {{run: x, {keys}}}\n"


BAD: dict[str, tuple[str, list[str]]] = {
    "isolation": (
        one("isolation: copie") + "  b: {run: x, isolation: [none]}\n  c: {run: x, isolation: }\n",
        [
            f'4:26: error: "isolation" must be {ISOLATIONS}, not "copie", did you mean "copy"?',
            '5:26: error: "isolation" must be text, not a list',
            '6:26: error: "isolation" must be text, not empty',
        ],
    ),
    "isolation at the top is told once": (
        HEAD + "isolation: worktree\nphases:\n  a: {run: x}\n  b: {run: x}\n",
        [f'3:12: error: "isolation" must be {ISOLATIONS}, not "worktree"'],
    ),
    "how many at once": (
        HEAD + "max_parallel: 0\nphases:\n  a: {run: x, foreach: [y], max_parallel: 0}\n"
        "  b: {run: x, foreach: [y], max_parallel: -1}\n  c: {run: x, foreach: [y], max_parallel: all}\n",
        [
            '3:15: error: "max_parallel" must be 1 or more, not 0; 1 is one at a time',
            '5:43: error: "max_parallel" must be 1 or more, not 0; 1 is one at a time',
            '6:43: error: "max_parallel" must be 1 or more, not -1; 1 is one at a time',
            '7:43: error: "max_parallel" must be a whole number, not "all"',
        ],
    ),
    "far too many at once": (
        HEAD + "max_parallel: 1000000001\n" + PHASES,
        ['3:15: error: "max_parallel" must be at most 1000000000, not 1000000001'],
    ),
    "ends at once": (
        HEAD + "fail_fast: on\n" + PHASES,
        ['3:12: error: "fail_fast" must be true or false, not "on"'],
    ),
    "groups": (
        one("concurrency: a/b") + "  b: {run: x, concurrency: {grp: db}}\n  c: {run: x, concurrency: [db]}\n"
        "  d: {run: x, concurrency: {group: ''}}\n  e: {run: x, group: db}\n",
        [
            f'4:28: error: "concurrency" cannot be "a/b": {NAME_RULE}',
            '5:28: error: missing key "group"',
            '5:29: error: unknown key "grp", did you mean "group"?',
            '6:28: error: "concurrency" must be a mapping of keys, not a list',
            '7:36: error: "group" cannot be "": a name cannot be empty',
            '8:15: error: unknown key "group"; it belongs into "concurrency"',
        ],
    ),
    "a resource that is not there": (
        one("resources: {gup: 1, memry: 1GiB, fpga: 1}", "resources: {gpu: 1, licence: 3}\n"),
        [
            '5:27: error: unknown resource "gup", did you mean "gpu"?',
            '5:35: error: unknown resource "memry", did you mean "memory"?',
            '5:48: error: unknown resource "fpga"; say at the top how much there is of it: resources: {fpga: 1}',
        ],
    ),
    "more of a resource than there is": (
        one("resources: {gpu: 3, memory: 9GiB, cpu: 1000000}", "resources: {gpu: 2, memory: 8GiB}\n"),
        [
            '5:32: error: "gpu" asks for 3, more than there is: 2',
            '5:43: error: "memory" asks for 9663676416, more than there is: 8589934592',
        ],
    ),
    "a declaration that was refused is no reason for a second error": (
        one("resources: {gpu: 1}", "resources: {gpu: 0}\n"),
        ['3:18: error: "gpu" must be a whole number from 1 on, or a size such as 8GiB, not "0"'],
    ),
    "amounts": (
        HEAD + "resources: {a: 0, b: -1, c: 1.5, d: 8G, e: 0MiB, f: many, g: [1], h: , i/j: 1}\n" + PHASES,
        [
            f'3:16: error: "a" {AN_AMOUNT}, not "0"',
            f'3:22: error: "b" {AN_AMOUNT}, not "-1"',
            f'3:29: error: "c" {AN_AMOUNT}, not "1.5"',
            f'3:37: error: "d" cannot be "8G": "G" is no unit of size; {SIZE_UNITS}',
            '3:44: error: "e" must be more than 0, not "0MiB"',
            '3:53: error: "f" cannot be "many": a size is a whole number with a unit: 512, 10MB, 4MiB, 1GiB',
            '3:62: error: "g" must be text, not a list',
            '3:70: error: "h" must be text, not empty',
            f'3:72: error: "resources" cannot hold "i/j": {NAME_RULE}',
        ],
    ),
    "resources that are no mapping": (
        one("resources: gpu", "resources: [gpu]\n"),
        [
            '3:12: error: "resources" must be a mapping of names, not a list',
            '5:26: error: "resources" must be a mapping of names, not text',
        ],
    ),
    "rules of a merge": (
        HEAD + "merge: {on_conflict: their, rule: ours, rules: {/x: ours, '!a': ours, b: mine, c: {}, ../d: ours}}\n"
        "phases:\n  a: {run: x, merge: ours}\n",
        [
            f'3:22: error: "on_conflict" must be {RULES}, not "their", did you mean "theirs"?',
            '3:29: error: unknown key "rule", did you mean "rules"?',
            '3:49: error: a pattern in "rules" "/x" is absolute; patterns are inside the workspace',
            '3:59: error: a pattern in "rules" "!a": a pattern cannot be turned round with `!`; use the other list',
            f'3:74: error: "b" must be {RULES}, not "mine"',
            '3:83: error: missing key "rule"',
            '3:87: error: a pattern in "rules" "../d" leads out of the workspace',
            '5:15: error: unknown key "merge"; the keys here are run, argv, needs, env, shell, working_directory, '
            "timeout, retry, validate, requires, if, outs, keep_partial, on_failure, python, gate, foreach, batch, "
            "budget, checkpoint_every, tolerate, on_item_failure, counters, compensate, pivot, secrets, max_parallel, "
            "isolation, concurrency, resources, desc",
        ],
    ),
    "a gate takes nothing and stands in nobody's way": (
        HEAD + "phases:\n  a: {gate: ok?, isolation: none, concurrency: db, resources: {gup: 1}, max_parallel: 2}\n",
        [
            f'4:18: error: "isolation" {NO_COMMANDS}',
            f'4:35: error: "concurrency" {NO_COMMANDS}',
            f'4:52: error: "resources" {NO_COMMANDS}',
            f'4:73: error: "max_parallel" {NO_COMMANDS}',
        ],
    ),
}

DOUBTFUL: dict[str, tuple[str, list[str]]] = {
    "memory without a unit": (
        one("resources: {memory: 4}", "resources: {memory: 8}\n"),
        [
            '3:21: warning: "memory" is in bytes, so 8 is next to nothing; give it a unit: 8GiB',
            '5:35: warning: "memory" is in bytes, so 4 is next to nothing; give it a unit: 4GiB',
        ],
    ),
    "items side by side in one place": (
        one("foreach: [a, b], max_parallel: 2, isolation: none") + "  b: {run: x}\n",
        [f"4:46: {ONE_AT_A_TIME}"],
    ),
    "phases side by side in one place": (
        HEAD + "max_parallel: 2\nisolation: none\nphases:\n  a: {run: x}\n  b: {gate: ok?}\n  c: {run: x, needs: []}\n",
        [f"3:15: {ONE_AT_A_TIME}"],
    ),
    "one phase in place among others": (
        HEAD + "max_parallel: 2\nisolation: none\nphases:\n  a: {run: x}\n  b: {run: x, needs: [], isolation: auto}\n",
        [],
    ),
    "one at a time is what was said": (
        one("foreach: [a], max_parallel: 1", "max_parallel: 1\nisolation: none\n"),
        [],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_said_wrong_of_phases_side_by_side_gets_exactly_these_errors(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, expected = BAD[case]
    assert problems(text, tmp_path, monkeypatch) == [f"gitckpt.yaml:{line}" for line in expected]


@pytest.mark.parametrize("case", DOUBTFUL)
def test_what_is_doubtful_of_phases_side_by_side_gets_exactly_these_warnings(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, expected = DOUBTFUL[case]
    assert warnings(text, tmp_path, monkeypatch) == [f"gitckpt.yaml:{line}" for line in expected]


def test_lint_tells_of_a_resource_that_nobody_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = HEAD + (
        "resources: {gpu: 1, licence: 2, memory: 8GiB}\n"
        "phases:\n  a: {run: x, timeout: 5m, outs: o, resources: {gpu: 1}}\n"
    )
    assert linted(text, tmp_path, monkeypatch) == [
        'gitckpt.yaml:3:21: warning: no phase asks for the resource "licence"',
        'gitckpt.yaml:3:33: warning: no phase asks for the resource "memory"',
    ]
