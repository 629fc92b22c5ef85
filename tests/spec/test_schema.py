"""The schema and the loader agree on a corpus, each case read by both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from gitckpt.spec.load import load
from gitckpt.spec.problem import DefinitionInvalid, Findings
from gitckpt.spec.schema import workflow_schema
from gitckpt.spec.templates import template, template_names
from gitckpt.spec.yaml_strict import Entries, Listing, Node, Scalar, parse

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(ROOT.glob("examples/*/gitckpt.yaml"))
HEAD = "version: 1\nworkflow: w\n"
ONE = HEAD + "phases: {a: {run: x}}\n"


def one(keys: str) -> str:
    return HEAD + f"phases: {{a: {{run: x, {keys}}}}}\n"


GOOD = [
    ONE,
    HEAD + "phases: {a: {run: [x, y], needs: [], outs: o, validate: test, requires: [r], if: c, timeout: 1h30m}}\n",
    HEAD + "phases: {a: {argv: [sleep, 5], env: {A: 1, B: true, C: x}}, b: {run: x, needs: a, timeout: null}}\n",
    HEAD + "phases: {a: {run: x, validate: {run: y, stdout: {contains: [A, B], matches: x}, file: f, min_size: 9}}}\n",
    HEAD + "phases: {a: {run: x, retry: {max: 1, delay: 5s, backoff: 1.5, exit_codes: 75, when: [timeout]}}}\n",
    ONE + "params: {A: x, B: {required: true, pattern: 'a+', desc: d}}\nsecrets: [S]\nenv: {Q: ''}\n",
    ONE + "workspace: {include: a/, exclude: ['*.x'], uncaptured: error, max_size: 3 GiB}\nattempts: {keep_up_to: 5}\n",
    ONE + "defaults: {shell: sh, timeout: 5m, retry: {max: 2}, env: {A: b}, working_directory: sub/x}\n",
    ONE + "description: 5\n",
    ONE + "always: ./x.sh\non_failure: continue\nmax_parallel: 3\n",
    ONE + "always: [a, {run: [b, c], shell: sh, timeout: 5m}]\non_failure: {action: stop}\n",
    ONE + "always: []\non_failure: null\n",
    one("foreach: [1, true, b]"),
    one("foreach: a"),
    one("foreach: {list: [], allow_empty: true}"),
    one("foreach: {glob: ['*.a', 'b/**'], as: F, sort: natural, limit: 3}"),
    one("foreach: {csv: f, key: id}, batch: 5, tolerate: 3, checkpoint_every: 10, max_parallel: 2"),
    one("foreach: {json: f, key: id}, batch: {size: 5, input: file, separator: nul}, budget: {batches: 3}"),
    one("foreach: {run: ls}, budget: {items: 1, time: 5m}, tolerate: {percent: 0.5, to: f}, on_item_failure: continue"),
    one("budget: {time: 5m}, foreach: null"),
    one("counters: {a.b-c: wc -l x}, compensate: [u], pivot: false, secrets: K, on_failure: {goto: a, max: 2}"),
    ONE + "isolation: none\nfail_fast: true\nresources: {gpu: 1, memory: 8GiB, disk: '5'}\nmerge: union\n",
    ONE + "merge: {on_conflict: ours, rules: {'*.md': union, docs/: {rule: theirs}}}\nresources: {}\n",
    ONE + "merge: {rules: {}}\n",
    one("isolation: copy, concurrency: db, resources: {cpu: 2, memory: 1GiB}"),
    one("concurrency: {group: 12}, resources: {}"),
    one("concurrency: null"),
    HEAD + "phases: {a: {python: 'a.b:c'}, b: {gate: ok?, needs: [], if: x, requires: y, pivot: true, desc: d}}\n",
    HEAD + "phases: {a: {gate: {prompt: x, show: diff a, timeout: 5m, on_timeout: keep, not_author: true}}}\n",
    HEAD + "phases: {a: {gate: {prompt: x, fields: {b: {}, c: {type: bool, default: true, choices: [true]}}}}}\n",
]
BAD = [
    HEAD,
    HEAD + "phases: {}\n",
    HEAD + "phases: {a: {}}\n",
    HEAD + "phases: {a: {run: x, argv: [y]}}\n",
    HEAD + "phases: {a: {runn: x, run: x}}\n",
    HEAD + "phases: {a: {run: x, isolation: worktree}}\n",
    HEAD + "phases: {a: {gate: x, isolation: none}}\n",
    HEAD + "phases: {a: {gate: x, concurrency: db}}\n",
    HEAD + "phases: {a: {gate: x, resources: {cpu: 1}}}\n",
    one("fail_fast: true"),
    one("merge: ours"),
    one("isolation: null"),
    one("foreach: [a], max_parallel: 0"),
    one("concurrency: {}"),
    one("concurrency: {group: a, wait: true}"),
    one("concurrency: a b"),
    one("concurrency: [a]"),
    one("resources: {cpu: 0}"),
    one("resources: {cpu: 1.5}"),
    one("resources: {memory: 8G}"),
    one("resources: {memory: 0GiB}"),
    one("resources: {a b: 1}"),
    one("resources: cpu"),
    ONE + "isolation: worktree\n",
    ONE + "defaults: {isolation: none}\n",
    ONE + "fail_fast: yes\n",
    ONE + "concurrency: db\n",
    ONE + "resources: {gpu: -1}\n",
    ONE + "merge: mine\n",
    ONE + "merge: null\n",
    ONE + "merge: {on_conflict: mine}\n",
    ONE + "merge: {rules: {/x: ours}}\n",
    ONE + "merge: {rules: {x: mine}}\n",
    ONE + "merge: {rules: {x: {}}}\n",
    ONE + "merge: {rules: [x]}\n",
    HEAD + "phases: {a: {run: x, gate: y}}\n",
    HEAD + "phases: {a: {gate: x, timeout: 5m}}\n",
    HEAD + "phases: {a: {gate: x, compensate: y}}\n",
    HEAD + "phases: {a: {gate: {show: diff a}}}\n",
    HEAD + "phases: {a: {gate: {prompt: x, fields: {1a: {}}}}}\n",
    HEAD + "phases: {a: {gate: {prompt: x, on_timeout: wait}}}\n",
    HEAD + "phases: {a: {python: flow}}\n",
    one("foreach: {as: X}"),
    one("foreach: {glob: a, lines: b}"),
    one("foreach: {glob: ../a}"),
    one("foreach: {lines: a, key: b}"),
    one("foreach: {run: a, as: GITCKPT_A}"),
    one("foreach: {run: a, limit: 0}"),
    one("foreach: [[a]]"),
    one("foreach: {list: [{a: b}]}"),
    one("batch: 5"),
    one("tolerate: 5"),
    one("checkpoint_every: 5"),
    one("on_item_failure: stop"),
    one("max_parallel: 5"),
    one("budget: {items: 5}"),
    one("foreach: [a], budget: {batches: 5}"),
    one("foreach: [a], budget: {}"),
    one("foreach: [a], batch: 0"),
    one("foreach: [a], batch: {input: stdin}"),
    one("foreach: [a], checkpoint_every: {}"),
    one("foreach: [a], tolerate: {to: f}"),
    one("foreach: [a], tolerate: {percent: 0}"),
    one("foreach: [a], tolerate: {percent: 5%}"),
    one("counters: {1a: b}"),
    one("counters: {a: ''}"),
    one("on_failure: retry"),
    one("on_failure: {}"),
    one("on_failure: {max: 2}"),
    one("on_failure: {goto: a, action: stop}"),
    one("secrets: [A-B]"),
    ONE + "on_failure: {goto: a}\n",
    ONE + "max_parallel: 0\n",
    ONE + "always: [{shell: sh}]\n",
    ONE + "always: ['']\n",
    HEAD + "phases: {../x: {run: x}}\n",
    HEAD + "phases: {'12': {run: x}}\n",
    HEAD + "phases: {LATEST: {run: x}}\n",
    HEAD + "phases: {a..b: {run: x}}\n",
    HEAD + "phases: {a.lock: {run: x}}\n",
    HEAD + "phases: {a: {run: ' '}}\n",
    HEAD + "phases: {a: {run: x, timeout: 10}}\n",
    HEAD + "phases: {a: {run: x, timeout: 10x}}\n",
    HEAD + "phases: {a: {run: x, outs: ../x}}\n",
    HEAD + "phases: {a: {run: x, outs: [/x]}}\n",
    HEAD + "phases: {a: {run: x, outs: ['!x']}}\n",
    HEAD + "phases: {a: {run: x, outs: .gitckpt/x}}\n",
    HEAD + "phases: {a: {run: x, keep_partial: yes}}\n",
    HEAD + "phases: {a: {run: x, validate: {}}}\n",
    HEAD + "phases: {a: {run: x, validate: {stdout: {contains: x}}}}\n",
    HEAD + "phases: {a: {run: x, validate: {run: x, min_size: 1}}}\n",
    HEAD + "phases: {a: {run: x, retry: {max: -1}}}\n",
    HEAD + "phases: {a: {run: x, retry: {backoff: 0}}}\n",
    HEAD + "phases: {a: {run: x, retry: {exit_codes: [256]}}}\n",
    HEAD + "phases: {a: {run: x, retry: {when: [crash]}}}\n",
    HEAD + "phases: {a: {run: x, env: {GITCKPT_X: y}}}\n",
    HEAD + "phases: {a: {run: x, env: {A: [y]}}}\n",
    HEAD + "phases: {a: {run: x, env: {A: null}}}\n",
    HEAD + "phases: {a: {run: null}}\n",
    ONE + "retention: 5\n",
    ONE + "zzz: 1\n",
    ONE + "defaults: {outs: x}\n",
    ONE + "params: {1A: x}\n",
    ONE + "secrets: [A-B]\n",
    ONE + "workspace: {max_size: lots}\n",
    ONE + "attempts: {keep_up_to: 5mb}\n",
    "workflow: w\nphases: {a: {run: x}}\n",
    "version: 2\nworkflow: w\nphases: {a: {run: x}}\n",
    "version: 1\nworkflow: a b\nphases: {a: {run: x}}\n",
]


def plain(node: Node) -> object:
    match node:
        case Scalar(value=value):
            return value
        case Listing(items=items):
            return [plain(each) for each in items]
        case Entries(pairs=pairs):
            return {key.text: plain(value) for key, value in pairs}


def validator() -> Draft202012Validator:
    return Draft202012Validator(workflow_schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)


def schema_takes(text: str) -> bool:
    tree = parse(text.encode(), Findings("f"))
    assert tree is not None
    return validator().is_valid(plain(tree))


def loader_takes(text: str, folder: Path) -> bool:
    file = folder / "gitckpt.yaml"
    file.write_text(text)
    try:
        load(file)
    except DefinitionInvalid:
        return False
    return True


@pytest.mark.parametrize("text", GOOD)
def test_what_the_loader_takes_the_schema_takes(text: str, tmp_path: Path) -> None:
    assert loader_takes(text, tmp_path)
    assert schema_takes(text)


@pytest.mark.parametrize("text", BAD)
def test_what_the_loader_refuses_the_schema_refuses(text: str, tmp_path: Path) -> None:
    assert not loader_takes(text, tmp_path)
    assert not schema_takes(text)


def test_the_schema_is_one() -> None:
    schema = workflow_schema()
    Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema


def test_every_key_of_the_schema_is_described() -> None:
    schema = workflow_schema()
    definitions = schema["$defs"]
    assert isinstance(definitions, dict)
    for record in [schema, *definitions.values()]:
        assert isinstance(record, dict)
        choices = record.get("anyOf")
        whole = choices[1] if isinstance(choices, list) and "properties" not in record else record
        assert isinstance(whole, dict)
        properties = whole["properties"]
        assert isinstance(properties, dict)
        for key, value in properties.items():
            assert isinstance(value, dict)
            assert value.get("description"), key


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name)
def test_every_example_is_valid(file: Path) -> None:
    assert schema_takes(file.read_text())
    assert load(file).warnings == ()


@pytest.mark.parametrize("name", template_names())
def test_every_template_is_valid(name: str, tmp_path: Path) -> None:
    files = template(name)
    if "flow.py" in files:
        return  # a workflow in Python has no file that the schema is about
    text = files["gitckpt.yaml"][0]
    assert schema_takes(text)
    assert loader_takes(text, tmp_path)
