"""Writes the command line's reference from click itself: `python -m tests.house.cli_reference > docs/cli.md`.

Owns the page's form. Takes every word from the commands, so that page and program cannot differ.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

import click

from gitckpt.cli.main import COMMANDS, EXIT_CODES_HELP, cli

HEAD = """# Command line

`gitckpt --help` and `gitckpt COMMAND --help` say the same as this page. `git ckpt …` works as well. Where a command
takes a checkpoint, it takes any of these: a phase (after it), `before:PHASE`, a number, a tag, a commit id, `start`,
`latest`, `latest~2`, a failed attempt (`load@2`), a rescue (`rescue@3`).
"""


def _argument(parameter: click.Argument) -> str:
    name = parameter.metavar or (parameter.name or "").upper()
    name = f"{name}…" if parameter.nargs == -1 else name
    return name if parameter.required else f"[{name}]"


def _option(parameter: click.Option) -> str:
    flags = ", ".join((*parameter.opts, *parameter.secondary_opts))
    value = "" if parameter.is_flag else f" {parameter.metavar or parameter.type.name.upper()}"
    return f"| `{flags}{value}` | {parameter.help or ''} |"


def _section(name: str, command: click.Command, level: int) -> Iterator[str]:
    arguments = [_argument(each) for each in command.params if isinstance(each, click.Argument)]
    options = [
        each for each in command.params if isinstance(each, click.Option) and not each.hidden and each.name != "help"
    ]
    yield f"{'#' * level} `{' '.join([name, *arguments])}`\n"
    yield inspect.cleandoc(command.help or "").replace("\b\n", "") + "\n"
    if options:
        rows = "\n".join(_option(each) for each in options)
        yield f"| option | does |\n|---|---|\n{rows}\n"
    if isinstance(command, click.Group):  # the top one finds its commands by name, and holds none
        for each, below in command.commands.items():
            yield from _section(f"{name} {each}", below, level + 1)


def reference() -> str:
    """The whole page."""
    parts = [HEAD, *_section("gitckpt", cli, 2)]
    with click.Context(cli) as context:
        for name in COMMANDS:
            command = cli.get_command(context, name)
            assert command is not None
            parts += _section(f"gitckpt {name}", command, 2)
    return "\n".join((*parts, "## Exit codes\n", EXIT_CODES_HELP.removeprefix("Exit codes: ").capitalize() + "\n"))


if __name__ == "__main__":
    sys.stdout.write(reference())
