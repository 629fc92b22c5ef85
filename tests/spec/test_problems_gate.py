"""Gates and what follows a failure, written wrong: the whole text of what is said."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.spec.said import HEAD, problems, warnings

SHOW = '"show" must be "diff PHASE", "diff A B", "show C" or "output PHASE"'
NO_COMMANDS = 'cannot stand beside "gate": a gate runs no commands'


def phases(*lines: str, top: str = "") -> str:
    return HEAD + top + "phases:\n" + "".join(f"  {line}\n" for line in lines)


BAD: dict[str, tuple[str, list[str]]] = {
    "a gate with commands": (
        phases("a: {gate: ok?, run: x}", "b: {gate: ok?, timeout: 5m, compensate: x, batch: 5, zz: 1, env: {A: b}}"),
        [
            '4:13: error: phase "a" has both "run" and "gate"; keep one',
            f'5:18: error: "timeout" {NO_COMMANDS}',
            f'5:31: error: "compensate" {NO_COMMANDS}',
            f'5:46: error: "batch" {NO_COMMANDS}',
            '5:56: error: unknown key "zz"; the keys here are run, argv, needs, env, shell, working_directory, '
            "timeout, retry, validate, requires, if, outs, keep_partial, on_failure, python, gate, foreach, batch, "
            "budget, checkpoint_every, tolerate, on_item_failure, counters, compensate, pivot, secrets, max_parallel, "
            "isolation, concurrency, resources, desc",
            f'5:63: error: "env" {NO_COMMANDS}',
        ],
    ),
    "a gate that asks nothing": (
        phases("a: {gate: ' '}", "b: {gate: {fields: {}}}", "c: {gate: }", "d: {gate: [x]}"),
        [
            '4:13: error: "prompt" asks nothing',
            '5:13: error: missing key "prompt"',
            '6:13: error: "gate" is empty',
            '7:13: error: "gate" must be a mapping of keys, not a list',
        ],
    ),
    "times and words of a gate": (
        phases("a: {gate: {prompt: x, timeout: 0s, on_timeout: rejct, not_author: 1}}"),
        [
            '4:34: error: "timeout" must be longer than 0',
            '4:50: error: "on_timeout" must be reject or approve or keep, not "rejct", did you mean "reject"?',
            '4:69: error: "not_author" must be true or false, not "1"',
        ],
    ),
    "what cannot be shown": (
        phases(
            "load: {run: x}",
            "a: {gate: {prompt: x, show: load}}",
            "b: {gate: {prompt: x, show: diff}}",
            "c: {gate: {prompt: x, show: show a b}}",
            "d: {gate: {prompt: x, show: output laod@2}}",
        ),
        [
            f'5:31: error: {SHOW}, not "load"',
            f'6:31: error: {SHOW}, not "diff"',
            f'7:31: error: {SHOW}, not "show a b"',
            '8:31: error: there is no phase "laod", did you mean "load"?',
        ],
    ),
    "fields that refuse their own values": (
        phases(
            r"a: {gate: {prompt: x, fields: {a: {default: x, pattern: '\d+'}, b: {type: number, choices: [1, b]}}}}",
            "b: {gate: {prompt: x, fields: {c: {default: c, choices: [a]}, d: {required: true, default: ''}}}}",
            "c: {gate: {prompt: x, fields: {e: {type: bool, default: yes}, f: {pattern: '('}, 1g: {}}}}",
        ),
        [
            r"4:47: error: the default cannot be taken: a must match \d+",
            '4:98: error: choice "b" cannot be taken: b must be a number',
            "5:47: error: the default cannot be taken: c must be one of a",
            "5:94: error: the default cannot be taken: d is required",
            "6:59: error: the default cannot be taken: e must be true or false",
            '6:78: error: "pattern" is not a regular expression: missing ), unterminated subpattern at position 0',
            '6:84: error: "fields" cannot hold "1g": an environment variable\'s name holds letters, digits and `_`, '
            "and starts with no digit",
        ],
    ),
    "a pattern that a terminal would obey": (
        phases('a: {gate: {prompt: x, fields: {a: {pattern: "\\e31m", default: b}, b: {pattern: "(?\\e"}}}}'),
        [
            r"4:65: error: the default cannot be taken: a must match \x1b31m",
            r'4:82: error: "pattern" is not a regular expression: unknown extension ?\x1b at position 1',
        ],
    ),
    "answers of one variable": (
        phases("a: {gate: {prompt: x, fields: {plan: {}, PLAN: {}, mail: {}}}}", top="env: {FORM_MAIL: x}\n"),
        [
            '5:44: error: fields "PLAN" and "plan" are the same variable, FORM_PLAN',
            '5:54: error: field "mail" is the variable FORM_MAIL, which stands in "env" as well',
        ],
    ),
    "ways back that lead nowhere": (
        phases(
            "extract: {run: x, on_failure: {goto: load}}",
            "load: {run: x, on_failure: {goto: extrct}}",
            "side: {run: x, needs: extract, on_failure: {goto: load, max: 0}}",
        ),
        [
            '4:40: error: "goto" goes back: "load" is neither "extract" nor before it',
            '5:37: error: there is no phase "extrct", did you mean "extract"?',
            '6:53: error: "goto" goes back: "load" is neither "side" nor before it',
            '6:64: error: "max" must be from 1 to 1000000000, not 0',
        ],
    ),
    "failures that are followed by two things, or by nothing": (
        phases("a: {run: x, on_failure: {goto: a, action: stop}}", "b: {run: x, on_failure: {max: 2}}")
        + "  c: {run: x, on_failure: {}}\n  d: {run: x, on_failure: }\n",
        [
            '4:45: error: "goto" and "action" cannot stand together: going back is what follows the failure',
            '5:33: error: "max" needs "goto", whose rounds it counts',
            '6:27: error: "on_failure" says nothing; give it "action" or "goto"',
            '7:27: error: "on_failure" must be a mapping of keys, not empty',
        ],
    ),
    "a way back for every phase": (
        phases("a: {run: x}", "b: {run: x}", top="on_failure: {goto: a}\n"),
        ['3:20: error: "goto" cannot stand at the top: say it in a phase'],
    ),
    "a word that is no action is told once": (
        phases("a: {run: x}", "b: {run: x}", top="on_failure: go on\n"),
        ['3:13: error: "on_failure" must be stop or continue or compensate, not "go on"'],
    ),
    "the end of every run": (
        phases("a: {run: x}", top="always: [x, {run: []}, {run: y, timeout: 0s, retry: 1}, {shell: sh}]\n"),
        [
            '3:19: error: "run" names no command',
            '3:42: error: "timeout" must be longer than 0',
            '3:46: error: unknown key "retry"; the keys here are run, shell, timeout',
            '3:57: error: missing key "run"',
        ],
    ),
}

DOUBTFUL: dict[str, tuple[str, list[str]]] = {
    "what is past a pivot": (
        phases(
            "a: {run: x, compensate: y}",
            "b: {run: x, compensate: y, pivot: true}",
            "c: {run: x}",
            "d: {run: x, compensate: y}",
            "e: {run: x, compensate: y, needs: a}",
        ),
        [
            '5:27: warning: "compensate" is never run: "b" is a pivot, past which nothing is undone',
            '7:27: warning: "compensate" is not run on the way back past the pivot "b", which comes before',
        ],
    ),
    "nothing to compensate": (
        phases("a: {run: x, on_failure: {action: compensate}}", top="on_failure: compensate\n"),
        [
            '3:13: warning: "compensate" has no effect: no phase says how it is undone',
            '5:36: warning: "compensate" has no effect: no phase says how it is undone',
        ],
    ),
    "a near miss in what is shown": (
        phases(
            "load: {run: x}",
            "a: {gate: {prompt: x, show: diff laod}}",
            "b: {gate: {prompt: x, show: diff start 0012-load}}",
        ),
        ['5:31: warning: there is no phase "laod", did you mean "load"?'],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_gate_or_failure_gets_exactly_these_errors(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, expected = BAD[case]
    assert problems(text, tmp_path, monkeypatch) == [f"gitckpt.yaml:{line}" for line in expected]


@pytest.mark.parametrize("case", DOUBTFUL)
def test_a_doubtful_gate_or_failure_gets_exactly_these_warnings(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, expected = DOUBTFUL[case]
    assert warnings(text, tmp_path, monkeypatch) == [f"gitckpt.yaml:{line}" for line in expected]


def test_thousands_of_ways_back_and_pivots_are_checked_in_two_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"p{number}: {{run: x, compensate: y, on_failure: {{goto: p0}}}}" for number in range(3_500)]
    began = time.process_time()
    told = warnings(phases("p: {run: x, pivot: true}", *lines), tmp_path, monkeypatch)
    assert len(told) == 3_500
    assert time.process_time() - began < 2.0
