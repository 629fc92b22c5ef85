"""Outs that somebody removed, as JSON for `status` and `plan`, and as the question that `run` asks on a terminal.

Owns these two forms. Must not know how they are found.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

import click

from gitckpt.model.text import safe, safe_lines

if TYPE_CHECKING:
    from gitckpt.model.gone import NeedsOuts, OutsGone
    from gitckpt.model.manifest import Json

_NAMED = 20

_ANSWERS: dict[str, Literal["restore", "again", "without"]] = {"r": "restore", "a": "again", "w": "without"}


def gone_json(gone: OutsGone) -> Json:
    """The phase, how many of its outs are gone, and some of them."""
    return {"phase": gone.phase, "paths": [safe(path) for path in gone.paths[:_NAMED]], "count": len(gone.paths)}


def ask_about_outs(problem: NeedsOuts) -> Literal["restore", "again", "without"] | None:
    """What is to become of them; None where nobody can be asked, or wants to look first."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    click.echo(safe_lines(problem.message), err=True)
    names = ", ".join(dict.fromkeys(each.phase for each in problem.gone))
    for key, what in (
        ("r", f"bring them back, as {names} left them"),
        ("a", f"run {names} again"),
        ("w", "go on without them"),
        ("n", "run nothing"),
    ):
        click.echo(f"  {key}  {what}", err=True)
    answer: str = click.prompt("What now?", type=click.Choice([*_ANSWERS, "n"]), default="n", err=True)
    return _ANSWERS.get(answer)
