"""Items, batches, gates, failures and the end of a run in a good workflow file: what they become."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gitckpt.model.gate import Field, Gate, OnFailure
from gitckpt.model.repeat import Batch, Budget, CheckpointEvery, Foreach, Tolerate
from gitckpt.model.together import Merge, MergeRule
from gitckpt.model.workflow import Always, Phase, Retry, Workflow
from gitckpt.spec.load import load
from gitckpt.store.definition import decode_workflow, encode_definition
from tests.spec.said import HEAD

EVERYTHING = """\
version: 1
workflow: all
description: every key has a value that is not its default
params: {SINCE: {default: "2020", pattern: '\\d{4}', desc: d}, TARGET: {required: true}}
env: {A: b}
secrets: [TOP_SECRET]
workspace: {include: [a/], exclude: ["*.tmp"], uncaptured: error, max_size: 3GiB}
attempts: {keep_up_to: 10MB}
always: [{run: [./notify.sh, ./clean.sh], shell: sh, timeout: 5m}, ./log.sh]
on_failure: {action: compensate}
max_parallel: 4
isolation: copy
fail_fast: true
resources: {gpu: 2, disk: 10GB}
merge: {on_conflict: theirs, rules: {"*.md": union, docs/: {rule: ours}}}
phases:
  items:
    run: [x, y]
    env: {B: c}
    secrets: [KEY]
    shell: sh
    working_directory: d
    timeout: 5m
    retry: {max: 3, delay: 500ms, backoff: 1.5, jitter: true, max_delay: 1h, exit_codes: 75, when: timeout}
    validate: {run: c, stdout: {contains: P, matches: ^x, not_contains: F}, file: f, min_size: 4KiB}
    requires: r
    if: c
    outs: o
    keep_partial: true
    foreach: {csv: rows.csv, sort: natural, limit: 9, key: id, allow_empty: true}
    batch: {size: 5, input: stdin, separator: nul}
    budget: {items: 7, batches: 8, time: 9s}
    checkpoint_every: {items: 2, time: 5s}
    tolerate: {count: 10, percent: 2.5, to: failed.jsonl}
    on_item_failure: continue
    counters: {total.rows: cat o | wc -l}
    compensate: [u, v]
    max_parallel: 2
    isolation: overlay
    concurrency: {group: db}
    resources: {gpu: 1, memory: 8GiB}
    desc: d
  ask:
    gate:
      prompt: Publish?
      show: diff items
      fields:
        reason: {required: true, pattern: .+, desc: why}
        plan: {choices: [free, pro], default: free}
        size: {type: number}
      timeout: 24h
      on_timeout: approve
      not_author: true
    pivot: true
  call: {python: "flow.steps:call", on_failure: {goto: items, max: 3}}
  spawn: {argv: [a, b], needs: []}
  some: {run: x, foreach: [p, q]}
  files: {run: x, foreach: {glob: ["*.a", "*.b"], as: FILE}}
  lines: {run: x, foreach: {lines: f}}
  values: {run: x, foreach: {json: f}}
  printed: {run: x, foreach: {run: ls}}
"""


def written(text: str, folder: Path) -> Workflow:
    file = folder / "gitckpt.yaml"
    file.write_text(text)
    return load(file).workflow


def phases(text: str, folder: Path) -> dict[str, Phase]:
    return {str(phase.name): phase for phase in written(HEAD + text, folder).phases}


def changed(value: object) -> set[str]:
    """The fields, by class, that hold another value than their default somewhere below a value."""
    if isinstance(value, dict):
        return set().union(*map(changed, value.values()))
    if isinstance(value, tuple):
        return set().union(*map(changed, value))
    if not dataclasses.is_dataclass(value):
        return set()
    found: set[str] = set()
    for field in dataclasses.fields(value):
        inner = getattr(value, field.name)
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        found |= changed(inner) | ({f"{type(value).__name__}.{field.name}"} if inner != default else set())
    return found


def declared(kind: type) -> set[str]:
    return {f"{kind.__name__}.{field.name}" for field in dataclasses.fields(kind)}


def test_every_key_set_comes_back_from_the_stored_definition(tmp_path: Path) -> None:
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow/steps.py").write_text("def call(): ...\n")
    whole = written(EVERYTHING, tmp_path)
    kinds: tuple[type, ...] = (Workflow, Phase, Retry, Foreach, Batch, Budget, CheckpointEvery, Tolerate, Gate, Field)
    kinds = (*kinds, OnFailure, Always, Merge, MergeRule)
    assert set().union(*map(declared, kinds)) <= changed(whole)
    assert decode_workflow(encode_definition(whole, "gitckpt.yaml", EVERYTHING.encode())) == whole


def test_every_key_of_items_has_its_place(tmp_path: Path) -> None:
    items = written(EVERYTHING, tmp_path).phases[0]
    assert items.foreach == Foreach(csv="rows.csv", sort="natural", limit=9, key="id", allow_empty=True)
    assert items.batch == Batch(size=5, input="stdin", separator="nul")
    assert items.budget == Budget(items=7, batches=8, time_ms=9_000)
    assert items.checkpoint_every == CheckpointEvery(items=2, time_ms=5_000)
    assert items.tolerate == Tolerate(count=10, percent=2_500, to="failed.jsonl")
    assert (items.on_item_failure, items.max_parallel, items.secrets) == ("continue", 2, ("KEY",))
    assert (items.counters, items.compensate) == ({"total.rows": "cat o | wc -l"}, ("u", "v"))


def test_every_key_of_a_gate_has_its_place(tmp_path: Path) -> None:
    ask = written(EVERYTHING, tmp_path).phases[1]
    assert ask.gate == Gate(
        prompt="Publish?",
        show="diff items",
        fields={
            "reason": Field(required=True, pattern=".+", desc="why"),
            "plan": Field(choices=("free", "pro"), default="free"),
            "size": Field(type="number"),
        },
        timeout_ms=86_400_000,
        on_timeout="approve",
        not_author=True,
    )
    assert (ask.pivot, ask.run, ask.needs) == (True, (), ("items",))


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("foreach: [1, b]", "foreach: {list: ['1', b]}"),
        ("foreach: one", "foreach: {list: [one]}"),
        ("foreach: {glob: '*.csv'}", "foreach: {glob: ['*.csv']}"),
        ("foreach: [a], batch: 10", "foreach: [a], batch: {size: 10, input: args, separator: newline}"),
        ("foreach: [a], checkpoint_every: 100", "foreach: [a], checkpoint_every: {items: 100}"),
        ("foreach: [a], tolerate: 0", "foreach: [a], tolerate: {count: 0}"),
        ("on_failure: continue", "on_failure: {action: continue}"),
        ("compensate: ./undo.sh", "compensate: [./undo.sh]"),
        ("foreach: null", "desc: ''"),
        ("concurrency: db", "concurrency: {group: db}"),
        ("concurrency: null", "concurrency: "),
        ("resources: {memory: 1KiB, cpu: 2}", "resources: {memory: 1024, cpu: '2'}"),
    ],
)
def test_short_forms_mean_what_the_long_ones_mean(short: str, long: str, tmp_path: Path) -> None:
    one, other = (written(HEAD + f"phases: {{a: {{run: x, {keys}}}}}\n", tmp_path) for keys in (short, long))
    assert one == other


def test_the_short_forms_of_a_gate_and_of_always(tmp_path: Path) -> None:
    short = written(HEAD + "always: ./a.sh\nphases: {a: {gate: Go on?}}\n", tmp_path)
    assert short == written(HEAD + "always: [{run: [./a.sh]}]\nphases: {a: {gate: {prompt: Go on?}}}\n", tmp_path)
    assert short.always == (Always(run=("./a.sh",), shell="bash", timeout_ms=600_000),)
    assert [each.run for each in written(HEAD + "always: [a, b]\nphases: {a: {run: x}}\n", tmp_path).always] == [
        ("a",),
        ("b",),
    ]


def test_items_are_texts_as_they_were_written(tmp_path: Path) -> None:
    found = phases("phases: {a: {run: x, foreach: [010, 1.50, true, no, '', a b, \"$x\", 2024-01-01]}}\n", tmp_path)
    assert found["a"].foreach == Foreach(values=("010", "1.50", "true", "no", "", "a b", "$x", "2024-01-01"))


def test_what_follows_a_failure_is_taken_from_the_top_where_a_phase_does_not_say(tmp_path: Path) -> None:
    text = (
        "on_failure: continue\nphases:\n  a: {run: x}\n  b: {run: x, on_failure: stop}\n  c: {gate: ok?}\n"
        "  d: {run: x, on_failure: {goto: a}}\n"
    )
    assert {name: phase.on_failure for name, phase in phases(text, tmp_path).items()} == {
        "a": OnFailure(action="continue"),
        "b": OnFailure(),
        "c": OnFailure(action="continue"),
        "d": OnFailure(goto=phases(text, tmp_path)["a"].name),
    }
    assert phases("phases: {a: {run: x}}\n", tmp_path)["a"].on_failure == OnFailure(action="stop")
    assert phases("on_failure: null\nphases: {a: {run: x}}\n", tmp_path)["a"].on_failure == OnFailure()


def test_a_way_back_leads_to_the_phase_itself_or_to_any_before_it(tmp_path: Path) -> None:
    text = (
        "phases:\n  a: {run: x}\n  b: {run: x}\n  c: {run: x, on_failure: {goto: a, max: 2}}\n"
        "  d: {run: x, on_failure: {goto: d}}\n"
    )
    found = phases(text, tmp_path)
    assert found["c"].on_failure == OnFailure(goto=found["a"].name, max=2)
    assert found["d"].on_failure == OnFailure(goto=found["d"].name)


def test_every_key_of_what_runs_side_by_side_has_its_place(tmp_path: Path) -> None:
    whole = written(EVERYTHING, tmp_path)
    assert (whole.max_parallel, whole.isolation, whole.fail_fast) == (4, "copy", True)
    assert whole.resources == {"gpu": 2, "disk": 10_000_000_000}
    rules = (MergeRule("*.md", "union"), MergeRule("docs/", "ours"))
    assert whole.merge == Merge(on_conflict="theirs", rules=rules)
    items = whole.phases[0]
    assert (items.isolation, items.concurrency, items.resources) == ("overlay", "db", {"gpu": 1, "memory": 8 << 30})


def test_without_a_word_nothing_is_asked_of_what_runs_side_by_side(tmp_path: Path) -> None:
    plain = written(HEAD + "phases: {a: {run: x}}\n", tmp_path)
    assert (plain.max_parallel, plain.isolation, plain.fail_fast, plain.resources) == (None, "auto", False, {})
    assert plain.merge == Merge(on_conflict="fail", rules=())
    assert (plain.phases[0].isolation, plain.phases[0].concurrency, plain.phases[0].resources) == ("auto", None, {})


def test_the_isolation_at_the_top_is_that_of_every_phase_with_commands_that_does_not_say_it(tmp_path: Path) -> None:
    text = "isolation: overlay\nphases:\n  a: {run: x}\n  b: {run: x, isolation: none}\n  c: {gate: ok?}\n"
    found = phases(text, tmp_path)
    assert {name: phase.isolation for name, phase in found.items()} == {"a": "overlay", "b": "none", "c": "auto"}


def test_a_rule_for_all_conflicts_needs_no_mapping_and_rules_keep_their_order(tmp_path: Path) -> None:
    def merge(said: str) -> Merge:
        return written(HEAD + f"merge: {said}\nphases: {{a: {{run: x}}}}\n", tmp_path).merge

    assert merge("union") == merge("{on_conflict: union}") == Merge(on_conflict="union")
    assert merge("{}") == merge("{rules: {}}") == Merge()
    assert [rule.pattern for rule in merge("{rules: {z: ours, a: ours, 'm*': fail}}").rules] == ["z", "a", "m*"]


def test_a_gate_takes_the_defaults_but_those_of_attempts(tmp_path: Path) -> None:
    text = "defaults: {shell: sh, timeout: 5m, retry: {max: 3}, env: {A: b}}\nphases: {a: {gate: ok?, if: test $A}}\n"
    gate = phases(text, tmp_path)["a"]
    assert (gate.shell, gate.env) == ("sh", {"A": "b"})
    assert (gate.timeout_ms, gate.retry) == (None, Retry())


def test_a_budget_of_time_needs_no_items(tmp_path: Path) -> None:
    assert phases("phases: {a: {run: x, budget: {time: 5m}}}\n", tmp_path)["a"].budget == Budget(time_ms=300_000)
