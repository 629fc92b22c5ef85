"""`test-resume`: asking before it reaches out, and saying what came out."""

from __future__ import annotations

import secrets
import sys

import click

from gitckpt.api.rehearsing import RehearsalRequest, Rehearsed, effects, rehearse
from gitckpt.cli.terminal import print_json, where
from gitckpt.engine.rehearsal import Differing
from gitckpt.errors import ExitCode
from gitckpt.model.amount import plural
from gitckpt.model.duration import parse_duration
from gitckpt.model.manifest import Json
from gitckpt.model.names import PhaseName
from gitckpt.model.text import safe
from gitckpt.progress.text import duration

MOST_SHOWN = 20


@click.command("test-resume")
@click.option("--kills", metavar="N", type=click.IntRange(min=1), default=5, show_default=True, help="How many kills.")
@click.option("--seed", metavar="S", type=int, default=None, help="Let them fall at the same moments as another time.")
@click.option("--timeout", metavar="T", default=None, help="How long one run of the copy may take (10m).")
@click.option("--answer-gates", is_flag=True, help="Approve gates in the copy; without it a gate is refused.")
@click.option("--field", "fields", metavar="K=V", multiple=True, help="An answer that a gate asks for.")
@click.option("--set", "assignments", metavar="K=V", multiple=True, help="Set a param, as for `run`.")
@click.option("--yes", is_flag=True, help="Do not ask, also where phases reach outside of the workspace.")
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON on stdout.")
@click.pass_context
def test_resume(
    ctx: click.Context,
    *,
    kills: int,
    seed: int | None,
    timeout: str | None,
    answer_gates: bool,
    fields: tuple[str, ...],
    assignments: tuple[str, ...],
    yes: bool,
    as_json: bool,
) -> int:
    """Prove that this workflow can be resumed. It is run in a copy of the captured files, in a folder of its own: once
    undisturbed, then again with the runner killed (SIGKILL) at random moments and resumed each time. Both ends must be
    the same: files, and the state without its times.

    Nothing in this folder or repository changes. What phases do outside of it, they do in the copy, too, several times.
    Exit code 0: the same end, 1: not, with the paths and the phase to blame.
    """
    _ask(effects(where(ctx)), yes=yes)
    number = secrets.randbelow(1_000_000) if seed is None else seed
    request = RehearsalRequest(
        kills=kills,
        seed=number,
        answer_gates=answer_gates,
        fields=_pairs(fields, "--field"),
        settings=_pairs(assignments, "--set"),
        limit_ms=_limit(timeout),
    )
    quiet = as_json or ctx.obj["quiet"]
    rehearsed = rehearse(where(ctx), request, lambda text: None if quiet else click.echo(text, err=True))
    if as_json:
        print_json(_json(rehearsed, number))
    else:
        click.echo("\n".join(_lines(rehearsed, number)))
    return int(ExitCode.DONE if rehearsed.equal else ExitCode.FAILED)


def _ask(found: dict[PhaseName, str], *, yes: bool) -> None:
    """Phases that reach outside do so in a rehearsal, too: only with a yes."""
    if not found or yes:
        return
    listed = ", ".join(f"{name} ({why})" for name, why in found.items())
    text = f"what phases do outside of this folder happens in a rehearsal, too, and several times: {listed}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(f"{text}; to do it all the same: --yes")
    click.confirm(f"{text}.\nGo on?", abort=True, err=True)


def _pairs(given: tuple[str, ...], option: str) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{option} takes NAME=VALUE, not {text!r}")
        found[name] = value
    return found


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.UsageError(f"--timeout cannot be {text!r}: {error}") from error


def _lines(rehearsed: Rehearsed, seed: int) -> list[str]:
    kills = plural(len(rehearsed.kills), "kill")
    again = f"The same moments again: gitckpt test-resume --seed {seed} --kills {max(len(rehearsed.kills), 1)}"
    if rehearsed.equal:
        if not rehearsed.kills:
            return [f"It was over before any kill fell ({duration(rehearsed.undisturbed_ms)}): nothing is proved."]
        return [f"The same end after {kills} as undisturbed ({duration(rehearsed.undisturbed_ms)}). Seed {seed}."]
    if rehearsed.failed:
        where_ = f"{rehearsed.blame} " if rehearsed.blame else ""
        return [f"NOT resumed: after {kills} {where_}did not come to its end: {rehearsed.failed}", again]
    lines = [f"NOT the same end after {kills} as undisturbed:"]
    blamed = [each for each in rehearsed.differences if not each.anyway]
    lines += [_line(each) for each in (blamed or rehearsed.differences)[:MOST_SHOWN]]
    if len(blamed or rehearsed.differences) > MOST_SHOWN:
        lines.append(f"  … {len(blamed or rehearsed.differences) - MOST_SHOWN} more")
    anyway = len(rehearsed.differences) - len(blamed)
    if anyway and blamed:
        lines.append(f"  and {anyway} that differ between two undisturbed runs, too")
    if blamed:
        phases = ", ".join(dict.fromkeys(each.phase for each in blamed if each.phase))
        lines.append(f"To blame: {phases or 'no phase'}: what it does a second time is not what it does once")
    else:
        lines.append("All of it differs between two undisturbed runs, too: no resume is to blame")
        lines.append("  (times or random numbers in files, or something outside that each run changes)")
    return [*lines, again]


def _line(each: Differing) -> str:
    name = f"state {each.name}" if each.kind == "key" else each.name
    return f"  {name}" + (f"  by {each.phase}" if each.phase else "")


def _json(rehearsed: Rehearsed, seed: int) -> dict[str, Json]:
    kills: list[Json] = [{"at_ms": kill.at_ms, "in": kill.phase} for kill in rehearsed.kills]
    found: list[Json] = [
        {"kind": each.kind, "name": each.name, "phase": each.phase, "anyway": each.anyway}
        for each in rehearsed.differences
    ]
    return {
        "equal": rehearsed.equal,
        "seed": seed,
        "undisturbed_ms": rehearsed.undisturbed_ms,
        "kills": kills,
        "differences": found,
        "failed": safe(rehearsed.failed) or None,
        "blame": rehearsed.blame,
    }
