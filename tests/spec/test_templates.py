"""What `init` writes loads, and is what the examples are. What they do is shown by tests/examples."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gitckpt.model.workflow import Workflow
from gitckpt.spec.find import FILE_NAME
from gitckpt.spec.lint import lint
from gitckpt.spec.load import load, resolve_params
from gitckpt.spec.templates import (
    NoSuchTemplate,
    NotAScript,
    from_folder,
    from_scripts,
    template,
    template_names,
    workflow_name,
)

EXAMPLES = Path(__file__).parents[2] / "examples"
WORKFLOWS = sorted(
    path.name for path in EXAMPLES.iterdir() if any((path / name).exists() for name in (FILE_NAME, "flow.py"))
)


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
    assert caught.value.hint == f"the templates are {', '.join(template_names())}"


def test_the_minimal_template_works_in_a_fresh_folder(tmp_path: Path) -> None:
    workflow = loaded(tmp_path, template("minimal")[FILE_NAME][0])
    carry_out(workflow, tmp_path)


def test_every_example_with_a_workflow_is_a_template_and_every_template_one_of_them() -> None:
    assert template_names() == ("minimal", *WORKFLOWS)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_template_is_the_example_of_that_name(name: str) -> None:
    files = template(name)
    kept = {path: path.relative_to(EXAMPLES / name) for path in (EXAMPLES / name).rglob("*") if path.is_file()}
    assert files == {
        short.as_posix(): (path.read_text(), 0o755 if path.stat().st_mode & 0o111 else 0o644)
        for path, short in kept.items()
        if short.name != "README.md" and not {"__pycache__", ".gitckpt"} & set(short.parts)
    }
    assert f"$ gitckpt init --template {name}\n" in (EXAMPLES / name / "README.md").read_text()


@pytest.mark.parametrize("name", [name for name in template_names() if FILE_NAME in template(name)])
def test_a_template_has_no_problem_but_what_its_commands_are_checked_for(name: str, tmp_path: Path) -> None:
    for path, (text, _) in template(name).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    said = [problem.text for problem in lint(load(tmp_path / FILE_NAME))]
    assert [text for text in said if "only its exit code is checked" not in text] == []
