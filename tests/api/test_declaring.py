"""How a workflow in Python is declared: what is wrong is told with its line; the keys are those of a workflow file."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gitckpt.api.definition import load
from gitckpt.execute.describe import CannotDescribe, describe
from gitckpt.flow import keys
from gitckpt.flow.context import Context, Data
from gitckpt.flow.define import Flow
from gitckpt.model import gate, repeat, together, workflow
from gitckpt.spec.checks_gate import BESIDE_GATE
from gitckpt.spec.problem import DefinitionInvalid
from gitckpt.spec.shape import record_shape
from tests.conftest import PROJECT

PROBLEMS = {
    'f = gitckpt.Flow("w", paramz={})\n@f.phase\ndef a(ctx): ...\n': [
        '2:1: error: unknown key "paramz", did you mean "params"?'
    ],
    'f = gitckpt.Flow("w")\n\n@f.phase(retry={"mx": 1}, needs="b", outs=["../x"])\ndef a(ctx): ...\n': [
        '4:1: error: "outs" "../x" leads out of the workspace',
        '4:1: error: there is no phase "b"',
        '4:1: error: unknown key "mx", did you mean "max"?',
    ],
    'f = gitckpt.Flow("w")\n@f.phase\ndef a(ctx): ...\n@f.phase\ndef a(ctx): ...\n': [
        "5:1: error: ValueError: there is a phase 'a' already, on line 3"
    ],
    'f = gitckpt.Flow("w")\n@f.phase(outs={1})\ndef a(ctx): ...\n': [
        "3:1: error: TypeError: outs: a workflow holds "
        "text, numbers, true and false, lists, mappings and paths, not a set"
    ],
    'NAME = "w"\nf = gitckpt.Flow(NAME)\n@f.phase\ndef a(ctx): ...\n': [
        '3:1: error: its name must stand in the call, for commands that do not run the file: gitckpt.Flow("w")'
    ],
    'f = gitckpt.Flow("w")\nf.run()\n': [
        "3:1: error: RuntimeError: the file runs its workflow while it is read; "
        "write it below `if __name__ == '__main__':`"
    ],
    "1 / 0\n": ["2:1: error: ZeroDivisionError: division by zero"],
    "exit(3)\n": ["2:1: error: the file ends the program while it is read"],
    "": ["1:1: error: the file declares no gitckpt.Flow"],
    'f = gitckpt.Flow("w")\ng = gitckpt.Flow("v")\n': [
        "3:1: error: a file declares one workflow; this is a second one"
    ],
}


@pytest.mark.parametrize("text", PROBLEMS, ids=range(len(PROBLEMS)))
def test_what_is_wrong_is_told_with_its_line(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.py").write_text("import gitckpt\n" + text)
    with pytest.raises(DefinitionInvalid) as caught:
        load(Path("f.py"))
    assert [str(problem) for problem in caught.value.problems] == [f"f.py:{each}" for each in PROBLEMS[text]]


def test_a_file_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    file = tmp_path / "f.py"
    file.write_text("import os, time\nopen('pids', 'w').write(f'{os.getpid()} {os.fork()}')\ntime.sleep(60)\n")
    with pytest.raises(CannotDescribe, match=r"longer than 1 s"):
        describe(file, dict(os.environ), limit_s=1)
    until = time.monotonic() + 10
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split() if pid != "0"]
    while any(_lives(pid) for pid in pids):
        assert time.monotonic() < until


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_keys_in_python_are_those_of_a_workflow_file() -> None:
    def of(kind: type) -> set[str]:
        return {key.written for key in record_shape(kind).keys}

    def typed(*kinds: Any) -> set[str]:
        return {name.removesuffix("_") for kind in kinds for name in kind.__annotations__}

    assert typed(keys.CommandKeys) == of(workflow.Phase) - {"name", "run", "argv", "python", "gate"}
    assert typed(keys.FlowKeys) == of(workflow.Workflow) - {"version", "workflow", "phases"} | {"defaults"}
    assert typed(keys.GateKeys) == of(gate.Gate) - {"prompt"} | set(BESIDE_GATE) - {"gate"}
    inner = {
        keys.RetryKeys: "Retry",
        keys.ValidationKeys: "Validation",
        keys.ForeachKeys: "Foreach",
        keys.BatchKeys: "Batch",
        keys.BudgetKeys: "Budget",
        keys.TolerateKeys: "Tolerate",
        keys.CheckpointEveryKeys: "CheckpointEvery",
        keys.OnFailureKeys: "OnFailure",
        keys.FieldKeys: "Field",
        keys.StdoutKeys: "StdoutRule",
        keys.ParamKeys: "Param",
        keys.WorkspaceKeys: "WorkspaceRules",
        keys.AttemptsKeys: "AttemptRules",
        keys.AlwaysKeys: "Always",
        keys.MergeKeys: "Merge",
    }

    for typed_dict, name in inner.items():
        home = next(module for module in (workflow, gate, repeat, together) if hasattr(module, name))
        assert typed(typed_dict) == of(getattr(home, name)), name


DOCUMENT = (PROJECT / "docs" / "python.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)


def test_what_the_document_shows_loads(tmp_path: Path) -> None:
    declared, program = blocks("python")
    (tmp_path / "flow.py").write_text(declared)
    assert [phase.name for phase in load(tmp_path / "flow.py").workflow.phases] == [
        "extract",
        "load",
        "approve",
        "publish",
    ]
    compile(program, "program.py", "exec")
    (tmp_path / "gitckpt.yaml").write_text(blocks("yaml")[0])
    assert load(tmp_path / "gitckpt.yaml").warnings == ()


@pytest.mark.parametrize(("kind", "also"), [(Context, {"workflow", "run", "phase"}), (Data, set()), (Flow, set())])
def test_the_document_names_everything_public(kind: type, also: set[str]) -> None:
    inherited = set(dir(Mapping)) | {"of_this_process", "state"}
    names = {name for name in [*vars(kind), *getattr(kind, "__annotations__", {})] if not name.startswith("_")} | also
    unsaid = {name for name in names - inherited if not re.search(rf"\b{name}\b", DOCUMENT)}
    assert unsaid == set()
