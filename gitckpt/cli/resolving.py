"""`resolve`: what two changed differently, and whose change counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from gitckpt.api.reading import find_workspace
from gitckpt.api.resolving import Decided, Dispute, decide, disputes
from gitckpt.cli.disputes import choices_of, dispute_lines, looks_of
from gitckpt.cli.notes import quiet_reporter
from gitckpt.cli.terminal import PATHS, WithPaths, inside, print_json, where
from gitckpt.errors import ExitCode
from gitckpt.model.manifest import Json
from gitckpt.model.text import safe
from gitckpt.model.together import Rule

_CHOICES: Mapping[str, Rule | None] = {"ours": "ours", "theirs": "theirs", "union": "union", "mine": None}


@click.command(cls=WithPaths, options_metavar="[OPTIONS] [NAME] [-- PATH…]")
@click.argument("name", required=False, metavar="")
@click.option("--ours", is_flag=True, help="What is in the history already counts.")
@click.option("--theirs", is_flag=True, help="What the phase NAME did counts.")
@click.option("--union", is_flag=True, help="The lines of both, in text files.")
@click.option("--mine", is_flag=True, help="Your own edits count (NAME `yours`).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def resolve(
    ctx: click.Context, *, name: str | None, ours: bool, theirs: bool, union: bool, mine: bool, as_json: bool
) -> int:
    """Say whose change counts where two changed the same paths differently. Without a choice: list what waits.

    NAME is the phase whose changes could not be merged, or `yours` for your own edits; the only one that waits needs no
    name. With paths only these are decided so, and the rest must be joined without a decision. Exit code 5: something
    waits. `gitckpt undo` takes a decision back.
    """
    given = {"ours": ours, "theirs": theirs, "union": union, "mine": mine}
    chosen = [word for word, is_given in given.items() if is_given]
    if len(chosen) > 1:
        raise click.UsageError(f"--{chosen[0]} and --{chosen[1]} exclude each other")
    place = where(ctx)
    if not chosen:
        if ctx.meta[PATHS]:
            raise click.UsageError("say whose change of these paths counts: --ours, --theirs, --union or --mine")
        return _list(disputes(place, name), as_json=as_json)
    root = find_workspace(place, "known").root
    paths = tuple(inside(root, path, place.directory) for path in ctx.meta[PATHS])
    made = decide(place, name, _CHOICES[chosen[0]], quiet_reporter(), paths)
    if as_json:
        left: list[Json] = [*made.left]
        print_json({"resolved": made.name, "how": made.how, "checkpoint": made.number, "left": left})
    else:
        _say(made, chosen[0])
    return 0


def _list(found: Sequence[Dispute], *, as_json: bool) -> int:
    if as_json:
        print_json({"conflicts": [_json(each) for each in found]})
    elif not found:
        click.echo("No conflict waits for a decision.")
    else:
        click.echo("\n".join(line for each in found for line in dispute_lines(each)))
    return int(ExitCode.CONFLICT if found else ExitCode.DONE)


def _say(made: Decided, word: str) -> None:
    whose = {"ours": "what was there counts", "union": "the lines of both count", "mine": "your edits count"}
    how = whose.get(word, "your edits count" if made.name == "yours" else f"what {made.name} did counts")
    click.echo(f"{made.name}: {how} ({made.number:04d}). Take this back: gitckpt undo")
    if made.left:
        click.echo(f"still to be decided: {', '.join(made.left)}: gitckpt resolve")
    else:
        click.echo("then: gitckpt run")


def _json(dispute: Dispute) -> dict[str, Json]:
    conflict = dispute.conflict
    looks: list[Json] = [command for command, _ in looks_of(dispute)]
    choices: list[Json] = [command for command, _ in choices_of(dispute)]
    return {
        "name": dispute.name,
        "phase": None if dispute.is_yours else dispute.name,
        "paths": [safe(path) for path in conflict.paths],
        "count": conflict.count,
        "ours": [safe(each) for each in conflict.against],
        "theirs": dispute.theirs,
        "items": safe(dispute.items) or None,
        "commit": dispute.own,
        "start": dispute.start,
        "start_checkpoint": dispute.start_number,
        "look": looks,
        "choose": choices,
    }
