"""What `init` writes loads, and the examples work: their commands are run, without gitckpt."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from gitckpt.model.workflow import Workflow
from gitckpt.spec.find import FILE_NAME
from gitckpt.spec.load import load, resolve_params
from gitckpt.spec.templates import (
    NoSuchTemplate,
    NotAScript,
    from_folder,
    from_scripts,
    template,
    workflow_name,
)

EXAMPLES = Path(__file__).parents[2] / "examples"


def write(folder: Path, name: str, text: str, mode: int = 0o644) -> str:
    (folder / name).write_text(text)
    (folder / name).chmod(mode)
    return name


def loaded(folder: Path, text: str) -> Workflow:
    (folder / FILE_NAME).write_text(text)
    return load(folder / FILE_NAME).workflow


def runs(workflow: Workflow) -> dict[str, str]:
    return {phase.name: phase.run[0] for phase in workflow.phases}


def carry_out(workflow: Workflow, folder: Path) -> None:
    """Every command of every phase in order, as a shell would; then its validation and its outs."""
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    env |= {**workflow.env, **resolve_params(workflow, {})}
    for phase in workflow.phases:
        checks = [phase.validate.run] if phase.validate and phase.validate.run else []
        for command in (*phase.run, *phase.requires, *checks):
            subprocess.run(["bash", "-eo", "pipefail", "-c", command], cwd=folder, env=env, check=True, timeout=60)
        for out in phase.outs:
            assert list(folder.glob(out)), f"{phase.name} made no {out}"
        if phase.validate and phase.validate.file:
            assert (folder / phase.validate.file).stat().st_size >= (phase.validate.min_size or 0)


def test_scripts_become_phases_in_their_order(tmp_path: Path) -> None:
    scripts = [
        write(tmp_path, "10 fetch.sh", "x"),
        write(tmp_path, "load.py", "x"),
        write(tmp_path, "Load.sh", "x", 0o755),
        write(tmp_path, "latest", "#!/usr/bin/env -S python3 -I\n"),
        write(tmp_path, "7.sh", "x"),
        write(tmp_path, "it's; rm -rf x.sh", "x"),
    ]
    workflow = loaded(tmp_path, from_scripts(scripts, tmp_path))
    assert runs(workflow) == {
        "10-fetch": "sh '10 fetch.sh'",
        "load": "python3 load.py",
        "Load-2": "./Load.sh",
        "step-latest": "python3 latest",
        "step-7": "sh 7.sh",
        "it-s-rm--rf-x": "sh 'it'\"'\"'s; rm -rf x.sh'",
    }
    assert workflow.phases[1].needs == ("10-fetch",)


def test_a_script_that_cannot_be_started_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(NotAScript, match="there is no such file"):
        from_scripts(["absent.sh"], tmp_path)
    with pytest.raises(NotAScript, match="it is not executable, and its suffix says no interpreter"):
        from_scripts([write(tmp_path, "notes.txt", "hello")], tmp_path)


def test_a_folder_becomes_one_working_phase_and_its_scripts_as_comments(tmp_path: Path) -> None:
    write(tmp_path, "b.sh", "x")
    write(tmp_path, "a.py", "x")
    write(tmp_path, "hello.sh", "x")
    write(tmp_path, "notes.txt", "x")
    write(tmp_path, ".hidden.sh", "x")
    text = from_folder(tmp_path)
    assert list(runs(loaded(tmp_path, text))) == ["hello"]
    lines = text.split("in their order:\n")[1].splitlines()
    uncommented = text.split("  # Scripts")[0] + "\n".join(line.replace("# ", "", 1) for line in lines) + "\n"
    assert list(runs(loaded(tmp_path, uncommented))) == ["hello", "a", "b", "hello-2"]


def test_an_empty_folder_becomes_a_workflow_that_works(tmp_path: Path) -> None:
    workflow = loaded(tmp_path, from_folder(tmp_path))
    carry_out(workflow, tmp_path)
    assert (tmp_path / "hello.txt").exists()


@pytest.mark.parametrize(
    ("folder", "name"),
    [("etl", "etl"), ("my data!", "my-data"), ("...", "workflow"), ("a.lock", "a-lock"), ("é", "workflow"), ("9", "9")],
)
def test_a_folders_name_becomes_a_workflows(folder: str, name: str, tmp_path: Path) -> None:
    assert workflow_name(folder) == name
    inner = tmp_path / folder.replace("...", "dots")
    inner.mkdir()
    loaded(inner, from_folder(inner))


def test_a_template_that_is_none_gets_the_near_one() -> None:
    with pytest.raises(NoSuchTemplate) as caught:
        template("etll")
    assert caught.value.message == 'there is no template "etll", did you mean "etl"?'
    assert caught.value.hint == "the templates are minimal, etl"


@pytest.mark.parametrize("name", ["minimal", "etl"])
def test_a_template_works_in_a_fresh_folder(name: str, tmp_path: Path) -> None:
    for path, (text, mode) in template(name).items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
    carry_out(load(tmp_path / FILE_NAME).workflow, tmp_path)


def test_the_etl_template_is_the_example() -> None:
    files = template("etl")
    assert {path: text for path, (text, _) in files.items()} == {
        path.relative_to(EXAMPLES / "etl").as_posix(): path.read_text()
        for path in (EXAMPLES / "etl").rglob("*")
        if path.is_file() and path.name != "README.md" and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("name", ["etl", "state-machine"])
def test_an_example_gives_the_same_bytes_every_time(name: str, tmp_path: Path) -> None:
    trees = []
    for copy in ("one", "two"):
        folder = tmp_path / copy
        shutil.copytree(EXAMPLES / name, folder)
        carry_out(load(folder / FILE_NAME).workflow, folder)
        trees.append({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()})
    assert trees[0] == trees[1]


def test_the_etl_example_loses_no_order(tmp_path: Path) -> None:
    folder = tmp_path / "etl"
    shutil.copytree(EXAMPLES / "etl", folder)
    carry_out(load(folder / FILE_NAME).workflow, folder)
    lines = sum(len(path.read_text().splitlines()) - 1 for path in (folder / "data").glob("*.csv"))
    assert (folder / "build" / "check.txt").read_text().splitlines() == [
        f"PASS {lines} raw lines = 85 loaded + 18 rejected",
        "PASS 297485 cents in the database = 297485 in orders.csv",
    ]
    assert "order twice" in (folder / "build" / "rejected.csv").read_text()
    assert (folder / "build" / "report.md").read_text().endswith("85 orders, 2974.85 in all\n")
