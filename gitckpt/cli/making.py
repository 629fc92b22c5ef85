"""`init`, `lint`, `schema`: making and checking a workflow file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from gitckpt.api.definition import load
from gitckpt.api.making import initialise
from gitckpt.api.reading import find_workspace
from gitckpt.cli.terminal import print_json, say_that_it_is_run, where
from gitckpt.errors import ExitCode
from gitckpt.model.codec import dumps
from gitckpt.model.manifest import Json
from gitckpt.spec.find import FILE_NAME
from gitckpt.spec.lint import lint as lint_workflow
from gitckpt.spec.problem import DefinitionInvalid, Problem
from gitckpt.spec.schema import workflow_schema
from gitckpt.spec.templates import template_names


@click.command()
@click.argument("scripts", nargs=-1, type=click.Path())
@click.option("--template", "name", metavar="NAME", help=f"A complete small workflow: {', '.join(template_names())}.")
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON on stdout.")
@click.pass_context
def init(ctx: click.Context, *, scripts: tuple[str, ...], name: str | None, as_json: bool) -> int:
    """Write gitckpt.yaml: from SCRIPTS (one phase each), from a template, or with the folder's scripts as comments.

    Makes a git repository if there is none. Never overwrites a file.
    """
    if scripts and name:
        raise click.UsageError("give scripts or --template, not both")
    made = initialise(Path(ctx.obj["directory"]), scripts, name)
    if as_json:
        files: list[Json] = list(made.files)
        print_json({"files": files, "repository_made": made.repository_made})
        return 0
    if made.repository_made:
        click.echo(f"Made a git repository in {made.folder}")
    for path in made.files:
        click.echo(f"Made {path}")
    click.echo("Checkpoints go to branches and tags named gitckpt/… and to refs/gitckpt/…, never to your own;")
    click.echo("what pushes all refs (git push --all, --tags, --mirror) pushes them too.")
    click.echo(f"Next: {_next_commands(made.files)}")
    return 0


def _next_commands(files: Sequence[str]) -> str:
    """What to do with the files that were made: a workflow in Python is named in each command."""
    option = "" if FILE_NAME in files else f" --file {files[0]}"
    return " · ".join(f"gitckpt{option} {command}" for command in ("plan", "run", "log"))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON.")
@click.pass_context
def lint(ctx: click.Context, *, as_json: bool) -> int:
    """Check the workflow file: every error, then what is worth a second look. Exit 2 when there are errors."""
    file = find_workspace(where(ctx)).file
    say_that_it_is_run(ctx, file)
    try:
        problems: tuple[Problem, ...] = lint_workflow(load(file))
        code = ExitCode.DONE
    except DefinitionInvalid as invalid:
        problems, code = tuple(invalid.problems), ExitCode.USAGE
    if as_json:
        listed: list[Json] = [
            {
                "file": problem.file,
                "line": problem.mark.line,
                "column": problem.mark.column,
                "severity": problem.severity,
                "message": problem.text,
            }
            for problem in problems
        ]
        print_json({"problems": listed, "valid": code == ExitCode.DONE})
        return code
    for problem in problems:
        click.echo(str(problem))
    if not problems:
        click.echo(f"{file.name}: nothing to say")
    return code


@click.command()
def schema() -> int:
    """Print the JSON Schema of the workflow file, for editors: gitckpt schema > gitckpt.schema.json."""
    click.echo(dumps(workflow_schema()).decode(), nl=False)
    return 0
