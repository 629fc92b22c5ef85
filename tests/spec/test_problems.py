"""Bad workflow files, each with the whole text of what is said about it."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

from gitckpt.spec.load import load
from gitckpt.spec.problem import DefinitionInvalid, WorkflowFileUnreadable
from tests.spec.said import HEAD, problems

PHASES = "phases:\n  a: {run: x}\n"
NO_PATTERN = "is no pattern: only the plain forms of gitignore(5) are read"
NAME_RULE = "a name starts with a letter or digit and holds only letters, digits, `.`, `_` and `-`"
TOP_KEYS = (
    "version, workflow, description, params, env, secrets, workspace, phases, attempts, always, on_failure, "
    "max_parallel, isolation, fail_fast, resources, merge, defaults"
)
NO_COMMAND = 'does nothing; give it "run", "argv", "python" or "gate"'
SIZE_UNITS = "use kB, MB, GB, TB or KiB, MiB, GiB, TiB"
DURATION_RULE = "a duration is whole numbers with units, the largest first: 10m, 90s, 1h30m, 500ms"


BAD: dict[str, tuple[str, list[str]]] = {
    "an unknown key gets the near one": (
        HEAD + "phases:\n  extract:\n    runn: ./extract.sh\n    run: x\n",
        ['5:5: error: unknown key "runn", did you mean "run"?'],
    ),
    "an unknown key without a near one gets the list": (
        HEAD + "zzz: 1\n" + PHASES,
        [f'3:1: error: unknown key "zzz"; the keys here are {TOP_KEYS}'],
    ),
    "a misspelt defaults gets the near one": (
        HEAD + "default: {}\n" + PHASES,
        ['3:1: error: unknown key "default", did you mean "defaults"?'],
    ),
    "a key of a later version is named as such": (
        HEAD + "retention: 5\n" + PHASES,
        ['3:1: error: "retention" is not in this version of gitckpt'],
    ),
    "a key that belongs one level deeper is told where": (
        HEAD + "phases:\n  a: {run: x, glob: '*.csv', time: 5m}\n",
        [
            '4:15: error: unknown key "glob"; it belongs into "foreach"',
            '4:30: error: unknown key "time"; it belongs into "budget" or "checkpoint_every"',
        ],
    ),
    "a short form is called by the key that was written": (
        HEAD + "phases:\n  a: {run: x, on_failure: stopp, validate: ' ', foreach: [[1]], batch: ten}\n",
        [
            '4:27: error: "on_failure" must be stop or continue or compensate, not "stopp", did you mean "stop"?',
            '4:44: error: "validate" is an empty command',
            '4:59: error: "foreach" must be one value, not a list',
            '4:72: error: "batch" must be a whole number, not "ten"',
        ],
    ),
    "workspace keys of a later version too": (
        HEAD + "workspace: {large_files: {over: 1MiB}}\n" + PHASES,
        ['3:13: error: "large_files" is not in this version of gitckpt'],
    ),
    "a cycle is named": (
        HEAD + "phases:\n  a: {run: x, needs: c}\n  b: {run: x, needs: a}\n  c: {run: x, needs: b}\n",
        ['4:22: error: a cycle: "a" needs "c" needs "b" needs "a"'],
    ),
    "two cycles are both named": (
        HEAD + "phases:\n  a: {run: x, needs: b}\n  b: {run: x, needs: a}\n  c: {run: x, needs: c}\n",
        ['4:22: error: a cycle: "a" needs "b" needs "a"', '6:22: error: a cycle: "c" needs "c"'],
    ),
    "a missing need gets the near one": (
        HEAD + "phases:\n  extract: {run: x}\n  load: {run: x, needs: [extrct]}\n",
        ['5:26: error: there is no phase "extrct", did you mean "extract"?'],
    ),
    "a duplicate key names the first": (
        HEAD + "phases:\n  a: {run: x}\n  a: {run: y}\n",
        ['5:3: error: duplicate key "a", first on line 4'],
    ),
    "a phase that leaves the refs": (
        HEAD + "phases:\n  ../x: {run: x}\n",
        [f'4:3: error: a name in "phases" cannot be "../x": {NAME_RULE}'],
    ),
    "a workflow with a space": (
        "version: 1\nworkflow: a b\n" + PHASES,
        [f'2:11: error: "workflow" cannot be "a b": {NAME_RULE}'],
    ),
    "phases that differ in case": (
        HEAD + "phases:\n  load: {run: x}\n  Load: {run: x}\n",
        ['5:3: error: phase "Load" and "load" differ only in case'],
    ),
    "a phase of digits": (
        HEAD + 'phases:\n  "12": {run: x}\n',
        [
            '4:3: error: a name in "phases" cannot be "12": '
            "a phase's name cannot be all digits: numbers name checkpoints"
        ],
    ),
    "a number as a key": (
        HEAD + "phases:\n  12: {run: x}\n",
        [
            '4:3: error: "phases" is empty: a workflow has at least one phase',
            "4:3: error: a key must be text: write '12' in quotes",
        ],
    ),
    "a reserved phase": (
        HEAD + "phases:\n  Latest: {run: x}\n",
        [
            '4:3: error: a name in "phases" cannot be "Latest": `Latest` is a word of its own in `gitckpt show`; '
            "choose another name"
        ],
    ),
    "run and argv": (
        HEAD + "phases:\n  a: {run: x, argv: [x]}\n",
        ['4:21: error: phase "a" has both "run" and "argv"; keep one'],
    ),
    "nothing to do": (
        HEAD + "phases:\n  a: {desc: x}\n",
        [f'4:3: error: phase "a" {NO_COMMAND}'],
    ),
    "commands that are empty": (
        HEAD + 'phases:\n  a: {run: []}\n  b: {run: " "}\n  c: {argv: [""]}\n  d: {run: }\n',
        [
            '4:12: error: "run" names no command',
            '5:12: error: "run" is an empty command',
            '6:13: error: "argv" names no command',
            '7:12: error: "run" is empty; write [] for none',
        ],
    ),
    "a bad regular expression": (
        HEAD + "params: {A: {pattern: '('}}\nphases:\n  a: {run: x, validate: {run: y, stdout: {matches: '['}}}\n",
        [
            '3:23: error: "pattern" is not a regular expression: missing ), unterminated subpattern at position 0',
            '5:52: error: "matches" is not a regular expression: unterminated character set at position 0',
        ],
    ),
    "outs outside of the workspace": (
        HEAD + "phases:\n  a: {run: x, outs: [../x, /etc/x, a/../../b, .gitckpt/state.json]}\n",
        [
            '4:22: error: "outs" "../x" leads out of the workspace',
            '4:28: error: "outs" "/etc/x" is absolute; patterns are inside the workspace',
            '4:36: error: "outs" "a/../../b" leads out of the workspace',
            '4:47: error: "outs" ".gitckpt/state.json" is inside .gitckpt, which is gitckpt\'s own',
        ],
    ),
    "include and working_directory outside of the workspace": (
        HEAD + "workspace: {include: ../data}\nphases:\n  a: {run: x, working_directory: /tmp}\n",
        [
            '3:22: error: "include" "../data" leads out of the workspace',
            '5:34: error: "working_directory" "/tmp" is absolute; paths are inside the workspace',
        ],
    ),
    "a pattern that says not": (
        HEAD + "workspace: {exclude: '!keep'}\n" + PHASES,
        ['3:22: error: "exclude" "!keep": a pattern cannot be turned round with `!`; use the other list'],
    ),
    "patterns that cannot be matched": (
        HEAD + "workspace: {exclude: ['[z-a]', '#x', 'x\\', '[[:alpha:]]', '[!a-z]', 'a[', '[]a]', 'x ']}\n" + PHASES,
        [
            f'3:23: error: "exclude" "[z-a]" {NO_PATTERN}',
            f'3:32: error: "exclude" "#x" {NO_PATTERN}',
            f'3:38: error: "exclude" "x\\" {NO_PATTERN}',
            f'3:44: error: "exclude" "[[:alpha:]]" {NO_PATTERN}',
            f'3:69: error: "exclude" "a[" {NO_PATTERN}',
            f'3:75: error: "exclude" "[]a]" {NO_PATTERN}',
            f'3:83: error: "exclude" "x " {NO_PATTERN}',
        ],
    ),
    "variables that are gitckpt's": (
        HEAD + "env: {GITCKPT_RUN: x}\nsecrets: [1A]\nparams: {A-B: x}\n" + PHASES,
        [
            '3:7: error: "env" cannot hold "GITCKPT_RUN": names that start with GITCKPT_ are gitckpt\'s own',
            '4:11: error: "secrets" cannot hold "1A": an environment variable\'s name holds letters, digits and `_`, '
            "and starts with no digit",
            '5:10: error: "params" cannot hold "A-B": an environment variable\'s name holds letters, digits and `_`, '
            "and starts with no digit",
        ],
    ),
    "a newer version says only that": (
        "version: 2\nworkflow: a b\nstages: []\n",
        ["1:10: error: this file needs a newer gitckpt: its version is 2, this one reads 1"],
    ),
    "an older version": ("version: 0\nworkflow: w\n" + PHASES, ['1:10: error: "version" must be 1, not 0']),
    "no version and no name": (
        PHASES,
        ['1:1: error: missing key "version"', '1:1: error: missing key "workflow"'],
    ),
    "no phases": (HEAD, ['1:1: error: missing key "phases"']),
    "empty phases": (
        HEAD + "phases: {}\n",
        ['3:9: error: "phases" is empty: a workflow has at least one phase'],
    ),
    "phases as a list": (
        HEAD + "phases:\n  - run: x\n",
        ['4:3: error: "phases" must be a mapping of names, not a list'],
    ),
    "a phase as text": (
        HEAD + "phases:\n  a: ./a.sh\n",
        ['4:6: error: "a" must be a mapping of keys, not text'],
    ),
    "durations": (
        HEAD + "phases:\n  a: {run: x, timeout: 10}\n  b: {run: x, timeout: 1.5h}\n  c: {run: x, timeout: 5x}\n"
        "  d: {run: x, timeout: 0s}\n  e: {run: x, timeout: 9999d}\n",
        [
            '4:24: error: "timeout" cannot be "10": a duration needs a unit: 10s, 10m or 10h',
            f'5:24: error: "timeout" cannot be "1.5h": {DURATION_RULE}',
            f'6:24: error: "timeout" cannot be "5x": {DURATION_RULE}',
            '7:24: error: "timeout" must be longer than 0',
            '8:24: error: "timeout" cannot be "9999d": a duration is at most 3650d',
        ],
    ),
    "sizes": (
        HEAD + "attempts: {keep_up_to: 5mb}\nworkspace: {max_size: lots}\n" + PHASES,
        [
            f'3:24: error: "keep_up_to" cannot be "5mb": "mb" is no unit of size; {SIZE_UNITS}',
            '4:23: error: "max_size" cannot be "lots": a size is a whole number with a unit: 512, 10MB, 4MiB, 1GiB',
        ],
    ),
    "retry": (
        HEAD + "phases:\n  a: {run: x, retry: {max: -1, backoff: 0.5, jitter: yes, exit_codes: [0], when: crash}}\n",
        [
            '4:28: error: "max" must be from 0 to 1000000, not -1',
            '4:41: error: "backoff" must be from 1 to 1000, not 0.5',
            '4:54: error: "jitter" must be true or false, not "yes"',
            '4:72: error: "exit_codes" must be an exit code from 1 to 255, not 0',
            '4:82: error: "when" must be timeout or failure, not "crash"',
        ],
    ),
    "validation keys that need another": (
        HEAD + "phases:\n  a: {run: x, validate: {stdout: {contains: y}, min_size: 1}}\n  b: {run: x, validate: {}}\n",
        [
            '4:34: error: "stdout" needs "run", the command whose output it is',
            '4:59: error: "min_size" needs "file", whose size it is',
            '5:25: error: "validate" checks nothing; give it "run", "python" or "file"',
        ],
    ),
    "params that contradict themselves": (
        HEAD
        + "env: {C: x}\nparams:\n  A: {default: x, required: true}\n  B: {default: x, pattern: '\\d'}\n  C: y\n"
        + PHASES,
        [
            '3:10: error: "C" is a param as well; rename one of them',
            '5:29: error: param "A" has a default, so it cannot be required',
            '6:16: error: "default" "x" does not match "\\d"',
        ],
    ),
    "values of the wrong kind": (
        HEAD
        + "description: [x]\nenv: {A: , B: [1]}\nphases:\n  a: {run: {x: y}, keep_partial: 1, env: x, desc: true}\n",
        [
            '3:14: error: "description" must be text, not a list',
            '4:10: error: "A" is empty; write "" for an empty text',
            '4:15: error: "B" must be one value, not a list',
            '6:12: error: "run" must be text, not a mapping',
            '6:34: error: "keep_partial" must be true or false, not "1"',
            '6:42: error: "env" must be a mapping of names, not text',
            '6:51: error: "desc" must be text, not true (true or false): put it in quotes',
        ],
    ),
    "a problem of the defaults is told once": (
        HEAD + "defaults: {timeout: 5, outs: [x]}\nphases:\n  a: {run: x}\n  b: {run: x}\n",
        [
            '3:21: error: "timeout" cannot be "5": a duration needs a unit: 5s, 5m or 5h',
            '3:24: error: unknown key "outs"; the keys here are env, shell, working_directory, timeout, retry',
        ],
    ),
    "merge keys": (
        HEAD + "phases:\n  a: &a {run: x}\n  b: {<<: *a}\n",
        [
            f'5:3: error: phase "b" {NO_COMMAND}',
            '5:7: error: merge keys ("<<") are not YAML 1.2; use "defaults"',
        ],
    ),
    "tags": (
        HEAD + "phases:\n  a: {run: !!python/object:os.system x}\n",
        ['4:12: error: tag "!!python/object:os.system" is not allowed; write plain values'],
    ),
    "a tab": (HEAD + "phases:\n\ta: {run: x}\n", ["4:1: error: a tab cannot indent YAML; use spaces"]),
    "two documents": (
        HEAD + PHASES + "---\nx: 1\n",
        ["5:1: error: a workflow file is one document; this is a second one"],
    ),
    "an empty file": ("", ["1:1: error: the file is empty"]),
    "only a comment": ("# hello\n", ["1:1: error: the file is empty"]),
    "a list": ("- a\n", ['1:1: error: a workflow file is a mapping that starts with "version: 1"']),
    "an alias of nothing": (HEAD + "env: *x\n", ['3:6: error: alias "*x" has no complete value above it']),
    "an alias of itself": (HEAD + "env: &x {A: *x}\n", ['3:13: error: alias "*x" has no complete value above it']),
    "text that a terminal would obey": (
        HEAD + '"\\e[31mred": 1\n' + PHASES,
        [f'3:1: error: unknown key "\\x1b[31mred"; the keys here are {TOP_KEYS}'],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_gets_exactly_these_errors(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, expected = BAD[case]
    assert problems(text, tmp_path, monkeypatch) == [f"gitckpt.yaml:{line}" for line in expected]


def test_broken_syntax_is_one_error_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The words behind the colon are the parser's own, other ones with each release."""
    (told,) = problems(HEAD + "phases:\n  a: {run: x\n", tmp_path, monkeypatch)
    assert re.fullmatch(r"gitckpt\.yaml:[45]:\d+: error: not valid YAML: \w.*", told), told


def test_bytes_that_are_not_utf8_are_told_with_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = problems(b"version: 1\nworkflow: \xff\n", tmp_path, monkeypatch)
    assert told == ["gitckpt.yaml:2:11: error: byte 0xff is not UTF-8"]
    assert problems("version: 1\n".encode("utf-16"), tmp_path, monkeypatch) == [
        "gitckpt.yaml:1:1: error: the file is UTF-16; save it as UTF-8"
    ]
    assert problems(b"version: 1\nworkflow: \x07\n", tmp_path, monkeypatch) == [
        "gitckpt.yaml:2:11: error: character U+0007 is not allowed in YAML"
    ]


def test_a_file_of_two_megabytes_is_refused_with_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(b"#" * 2_000_000, tmp_path, monkeypatch) == [
        "gitckpt.yaml:1:1: error: the file has 2,000,000 bytes; a workflow file has at most 1,048,576"
    ]


def test_errors_show_the_path_from_the_current_folder_only_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "sub" / "deep"
    inner.mkdir(parents=True)
    file = tmp_path / "sub" / "gitckpt.yaml"
    file.write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DefinitionInvalid) as below:
        load(file)
    monkeypatch.chdir(inner)
    with pytest.raises(DefinitionInvalid) as above:
        load(file)
    assert below.value.message == "sub/gitckpt.yaml:1:1: error: the file is empty"
    assert above.value.message == f"{file}:1:1: error: the file is empty"


def test_what_cannot_be_read_is_a_fact_and_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(WorkflowFileUnreadable, match="No such file"):
        load(tmp_path / "absent.yaml")
    with pytest.raises(WorkflowFileUnreadable, match="it is not a file"):
        load(tmp_path)


def test_problems_are_sorted_by_position_and_all_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = dedent("""\
        version: 1
        workflow: a b
        phases:
          x: {needs: [nope], run: a, argv: [b], timeout: 3, zz: 1}
          y: {needs: x}
        """)
    told = problems(text, tmp_path, monkeypatch)
    assert [line.split(": ")[0] for line in told] == [
        f"gitckpt.yaml:{place}" for place in ("2:11", "4:15", "4:36", "4:50", "4:53", "5:3")
    ]
