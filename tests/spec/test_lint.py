"""What lint says, with its place, and that it is silent where there is nothing to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitckpt.spec.lint import lint
from gitckpt.spec.load import load

HEAD = "version: 1\nworkflow: w\n"
FINE = "timeout: 1m, outs: [o]"

CASES: dict[str, tuple[str, list[str]]] = {
    "nothing": (HEAD + f"phases:\n  a: {{run: ./a.sh ../b /usr/bin/env /dev/null http://h/tmp/x, {FINE}}}\n", []),
    "no timeout": (
        HEAD + "phases:\n  a: {run: x, outs: [o]}\n",
        ['4:3: warning: phase "a" has no "timeout": one that hangs, hangs for ever'],
    ),
    "a timeout that is null on purpose": (HEAD + "phases:\n  a: {run: x, timeout: null, outs: [o]}\n", []),
    "a timeout of the defaults": (HEAD + "defaults: {timeout: 1m}\nphases:\n  a: {run: x, outs: [o]}\n", []),
    "nothing checked": (
        HEAD + "phases:\n  a: {run: x, timeout: 1m}\n  b: {run: x, timeout: 1m, validate: y}\n",
        ['4:3: warning: phase "a" has no "outs" and no "validate": only its exit code is checked'],
    ),
    "outs that are excluded": (
        HEAD
        + "workspace: {exclude: ['*.tmp', raw/]}\nphases:\n  a: {run: x, timeout: 1m, outs: [o, x.tmp, raw/*.csv]}\n",
        [
            '5:38: warning: "x.tmp" is excluded by "workspace", so no checkpoint holds it',
            '5:45: warning: "raw/*.csv" is excluded by "workspace", so no checkpoint holds it',
        ],
    ),
    "paths of one machine": (
        HEAD + f"phases:\n  a: {{run: [ok, 'cp x /mnt/disk/y; z'], {FINE}}}\n  b: {{argv: [cp, /data/x, y], {FINE}}}\n",
        [
            '4:17: warning: "/mnt/disk/y" is outside the workspace: no checkpoint holds or restores it',
            '5:18: warning: "/data/x" is outside the workspace: no checkpoint holds or restores it',
        ],
    ),
    "secrets in the file": (
        HEAD + f"secrets: [KEY]\nenv: {{KEY: hunter2}}\nphases:\n  a: {{run: x, env: {{KEY: x, B: y}}, {FINE}}}\n",
        [
            '4:12: warning: the value of secret "KEY" stands in this file; set it outside of it',
            '6:26: warning: the value of secret "KEY" stands in this file; set it outside of it',
        ],
    ),
    "paths of one machine in other commands": (
        HEAD + f"phases:\n  a: {{run: x, compensate: [y, rm /tmp/x], foreach: {{run: ls /data/in}}, {FINE}}}\n",
        [
            '4:31: warning: "/tmp/x" is outside the workspace: no checkpoint holds or restores it',
            '4:58: warning: "/data/in" is outside the workspace: no checkpoint holds or restores it',
        ],
    ),
    "secrets of a phase": (
        HEAD + f"env: {{KEY: x}}\nphases:\n  a: {{run: x, secrets: [KEY], env: {{KEY: y}}, {FINE}}}\n",
        [
            '3:12: warning: the value of secret "KEY" stands in this file; set it outside of it',
            '5:42: warning: the value of secret "KEY" stands in this file; set it outside of it',
        ],
    ),
    "a gate runs nothing": (HEAD + "phases:\n  a: {gate: ok?}\n", []),
    "what is not undone where others are": (
        HEAD
        + f"phases:\n  a: {{run: x, compensate: y, {FINE}}}\n  b: {{run: x, timeout: 1m}}\n  c: {{run: x, {FINE}}}\n"
        "  d: {gate: ok?}\n  e: {run: x, timeout: 1m, validate: v, pivot: true}\n"
        "  f: {run: x, timeout: 1m, needs: e}\n",
        [
            '5:3: warning: phase "b" has no "compensate", as others have: going back undoes its files only',
            '5:3: warning: phase "b" has no "outs" and no "validate": only its exit code is checked',
            '9:3: warning: phase "f" has no "outs" and no "validate": only its exit code is checked',
        ],
    ),
    "what has no effect": (
        HEAD + f"phases:\n  a: {{argv: [x], shell: sh, {FINE}}}\n",
        ['4:18: warning: "shell" has no effect: "argv" is started without one'],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_lint_says_exactly_this(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, expected = CASES[case]
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "gitckpt.yaml"
    file.write_text(text)
    assert [str(problem) for problem in lint(load(file))] == [f"gitckpt.yaml:{line}" for line in expected]


def test_the_examples_have_only_phases_that_lint_knows_about() -> None:
    examples = Path(__file__).parents[2] / "examples"
    assert lint(load(examples / "etl" / "gitckpt.yaml")) == ()
