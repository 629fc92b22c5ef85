"""Good workflow files: what they become."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gitckpt.model.gate import OnFailure
from gitckpt.model.names import PhaseName
from gitckpt.model.workflow import Param, Retry, StdoutRule, Validation, Workflow, phase
from gitckpt.spec.find import NoWorkflowFile, find
from gitckpt.spec.load import Loaded, load, resolve_params
from gitckpt.spec.problem import ParamsInvalid

HEAD = "version: 1\nworkflow: w\n"


def loaded(folder: Path, text: str) -> Loaded:
    file = folder / "gitckpt.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file)


def workflow(folder: Path, text: str) -> Workflow:
    return loaded(folder, HEAD + text).workflow


def needs(folder: Path, text: str) -> dict[str, tuple[str, ...]]:
    return {each.name: each.needs for each in workflow(folder, text).phases}


def test_a_phase_without_needs_follows_the_one_written_above(tmp_path: Path) -> None:
    text = "phases:\n  a: {run: x}\n  b: {run: x}\n  c: {run: x, needs: []}\n  d: {run: x, needs: a}\n  e: {run: x}\n"
    assert needs(tmp_path, text) == {"a": (), "b": ("a",), "c": (), "d": ("a",), "e": ("d",)}


def test_only_true_and_false_are_booleans_and_yaml_1_1_oddities_stay_text(tmp_path: Path) -> None:
    text = "env: {A: on, B: no, C: 010, D: 1:30, E: 2024-01-01, F: 1_000, G: true, H: 0x1F, I: 1.50, J: ~x, K: '~'}\n"
    found = workflow(tmp_path, text + "phases: {a: {run: x}}\n").env
    assert found == {
        "A": "on",
        "B": "no",
        "C": "010",
        "D": "1:30",
        "E": "2024-01-01",
        "F": "1_000",
        "G": "true",
        "H": "0x1F",
        "I": "1.50",
        "J": "~x",
        "K": "~",
    }


def test_keys_that_yaml_1_1_takes_for_booleans_are_names(tmp_path: Path) -> None:
    found = workflow(tmp_path, "phases:\n  on: {run: x}\n  no: {run: y}\n")
    assert [each.name for each in found.phases] == ["on", "no"]


def test_shorthands_mean_what_the_long_forms_mean(tmp_path: Path) -> None:
    short = "params: {A: x}\nsecrets: S\nphases: {a: {run: x, outs: o, requires: r, validate: v, if: c}}\n"
    long = (
        "params: {A: {default: x}}\nsecrets: [S]\n"
        "phases: {a: {run: [x], outs: [o], requires: [r], validate: {run: v}, if: c, needs: []}}\n"
    )
    assert workflow(tmp_path, short) == workflow(tmp_path, long)
    assert workflow(tmp_path, short).phases[0].condition == "c"
    assert workflow(tmp_path, short).params == {"A": Param(default="x")}


def test_defaults_are_merged_into_every_phase_and_a_phase_wins(tmp_path: Path) -> None:
    text = (
        "defaults: {shell: sh, timeout: 10m, retry: {max: 2, delay: 2s}, env: {A: '1', B: '2'}, working_directory: d}\n"
        "phases:\n  a: {run: x}\n  b: {run: x, shell: bash, timeout: null, retry: {max: 5}, env: {B: x, C: y}}\n"
    )
    first, second = workflow(tmp_path, text).phases
    assert (first.shell, first.timeout_ms, first.working_directory) == ("sh", 600_000, "d")
    assert first.env == {"A": "1", "B": "2"}
    assert first.retry == Retry(max=2, delay_ms=2_000)
    assert (second.shell, second.timeout_ms, second.working_directory) == ("bash", None, "d")
    assert second.env == {"A": "1", "B": "x", "C": "y"}
    assert second.retry == Retry(max=5, delay_ms=2_000)


def test_every_key_has_its_place(tmp_path: Path) -> None:
    text = """\
description: all of it
workspace: {include: [a/], exclude: ["*.tmp"], uncaptured: error, max_size: 3GiB}
attempts: {keep_up_to: 10MB}
phases:
  a:
    argv: [sleep, 5]
    retry: {max: 3, delay: 500ms, backoff: 1.5, jitter: true, max_delay: 1h30m, exit_codes: 75, when: timeout}
    validate: {run: c, stdout: {contains: P, matches: [^x, y$], not_contains: F}, file: f, min_size: 4KiB}
    keep_partial: true
    on_failure: continue
    desc: text
"""
    found = workflow(tmp_path, text)
    only = found.phases[0]
    assert (found.workspace.include, found.workspace.exclude) == (("a/",), ("*.tmp",))
    assert (found.workspace.uncaptured, found.workspace.max_size) == ("error", 3 << 30)
    assert found.attempts.keep_up_to == 10_000_000
    assert (only.argv, only.run) == (("sleep", "5"), ())
    assert only.retry == Retry(
        max=3,
        delay_ms=500,
        backoff_thousandths=1_500,
        jitter=True,
        max_delay_ms=5_400_000,
        exit_codes=(75,),
        when=("timeout",),
    )
    assert only.validate == Validation(
        run="c",
        stdout=StdoutRule(contains=("P",), matches=("^x", "y$"), not_contains=("F",)),
        file="f",
        min_size=4096,
    )
    assert (only.keep_partial, only.on_failure, only.desc) == (True, OnFailure(action="continue"), "text")


def test_a_loaded_workflow_comes_back_from_its_stored_form_without_floats(tmp_path: Path) -> None:
    found = workflow(tmp_path, "phases: {a: {run: x, retry: {max: 1, backoff: 1.25}, timeout: 1s}}\n")
    stored = msgspec.json.encode(found)
    assert msgspec.json.decode(stored, type=Workflow) == found
    assert b"1250" in stored
    assert b"1.25" not in stored


def test_a_byte_order_mark_windows_lines_and_aliases_are_read(tmp_path: Path) -> None:
    text = "\ufeffversion: 1\r\nworkflow: w\r\nenv: &e {A: b}\r\nphases:\r\n  p: {run: x, env: *e}\r\n"
    file = tmp_path / "gitckpt.yaml"
    file.write_bytes(text.encode())
    assert load(file).workflow.phases[0].env == {"A": "b"}
    assert load(file).source == text.encode()


def test_what_has_no_effect_is_a_warning_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = HEAD + "phases:\n  a: {argv: [x], shell: sh}\n  b: {run: x, retry: {delay: 1s}}\n"
    assert [str(each) for each in loaded(tmp_path, text).warnings] == [
        'gitckpt.yaml:4:18: warning: "shell" has no effect: "argv" is started without one',
        'gitckpt.yaml:5:22: warning: "retry" has no effect without "max"',
    ]


def test_the_file_is_sought_upwards_to_the_repositorys_top_and_no_further(tmp_path: Path) -> None:
    top = tmp_path / "repo"
    deep = top / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "gitckpt.yaml").write_text("")
    with pytest.raises(NoWorkflowFile) as caught:
        find(deep, top)
    assert caught.value.hint == "write one with: gitckpt init"
    with pytest.raises(NoWorkflowFile):
        find(deep, None)
    (top / "gitckpt.yaml").write_text("")
    assert find(deep, top) == top / "gitckpt.yaml"
    (top / "a" / "gitckpt.yaml").write_text("")
    assert find(deep, top) == top / "a" / "gitckpt.yaml"


def test_params_take_what_is_given_then_the_default(tmp_path: Path) -> None:
    text = "params: {A: {default: '1', pattern: '\\d+'}, B: {required: true}, C: {}}\nphases: {a: {run: x}}\n"
    found = workflow(tmp_path, text)
    assert resolve_params(found, {"B": "x"}) == {"A": "1", "B": "x"}
    assert resolve_params(found, {"B": "", "A": "22", "C": "c"}) == {"A": "22", "B": "", "C": "c"}


def test_params_that_cannot_be_are_all_told(tmp_path: Path) -> None:
    text = "params: {SINCE: {pattern: '\\d{4}'}, KEY: {required: true}}\nphases: {a: {run: x}}\n"
    with pytest.raises(ParamsInvalid) as caught:
        resolve_params(workflow(tmp_path, text), {"SINC": "1", "SINCE": "20212"})
    assert caught.value.message.splitlines() == [
        'the workflow has no param "SINC", did you mean "SINCE"?',
        'param "SINCE" cannot be "20212": it must match \\d{4}',
        'param "KEY" is required and has no value',
    ]


def test_a_phase_is_found_by_name(tmp_path: Path) -> None:
    found = workflow(tmp_path, "phases: {a: {run: x}, b: {run: y}}\n")
    assert phase(found, PhaseName("b")).run == ("y",)
    with pytest.raises(KeyError):
        phase(found, PhaseName("c"))
