"""What the commands share: where they work, who reports, and how data is printed.

Owns no command and no meaning.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Literal

import click

from gitckpt.api.reading import Where
from gitckpt.model.codec import dumps
from gitckpt.model.manifest import Json
from gitckpt.model.text import safe

JSON_SCHEMA = 1


def where(ctx: click.Context) -> Where:
    """`-C` and `--file` of this call."""
    given = ctx.obj
    file = Path(given["file"]) if given["file"] else None
    return Where(directory=Path(given["directory"]), file=file)


def say_that_it_is_run(ctx: click.Context, file: Path) -> None:
    """A command that looks promises to run nothing; a workflow in Python can only be read by running its file."""
    if file.suffix == ".py" and not ctx.obj["quiet"]:
        click.echo(f"note: {safe(file.name)} is run to read the workflow that it declares", err=True)


def print_json(value: dict[str, Json]) -> None:
    """One JSON object on stdout, with the version of its schema."""
    click.echo(dumps({"schema": JSON_SCHEMA, **value}).decode(), nl=False)


def inside(root: Path, path: str, directory: Path) -> bytes:
    """A path given on the command line, relative to the workspace's root."""
    full = os.path.normpath(os.path.join(os.path.realpath(directory), path))
    relative = os.path.relpath(full, root)
    if relative == ".." or relative.startswith("../"):
        raise click.UsageError(f"{safe(path)} is not in the workspace {safe(os.fsencode(root))}")
    return b"" if relative == "." else os.fsencode(relative)


PATHS = "gitckpt.paths"


class WithPaths(click.Command):
    """Keeps what stands after `--` apart, as `ctx.meta[PATHS]`: click itself would not tell it from what is before."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[PATHS] = tuple(args[at + 1 :])
        return super().parse_args(ctx, args[:at])


class Signals:
    """Counts the user's wishes to stop while a run is on."""

    def __init__(self) -> None:
        self._wish: Literal["interrupt", "terminate"] | None = None
        self._times = 0

    def __call__(self) -> tuple[Literal["interrupt", "terminate"] | None, int]:
        return self._wish, self._times

    def hear(self, number: int, _frame: FrameType | None) -> None:
        """The handler. The third wish of the same kind ends the program at once."""
        self._wish = "interrupt" if number == signal.SIGINT else "terminate"
        self._times += 1
        if self._times > 2:
            os._exit(130 if number == signal.SIGINT else 143)

    @contextmanager
    def heard(self) -> Iterator[Signals]:
        """Listen to Ctrl-C, kill and a closed terminal for the time of a run."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self.hear) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
