"""`doctor`: what is wrong, where, and the next step; and what a repair did."""

from __future__ import annotations

import click

from gitckpt.api.mending import examine, exit_code, mend
from gitckpt.cli.notes import quiet_reporter
from gitckpt.cli.terminal import print_json, where
from gitckpt.engine.finding import Diagnosis, Finding
from gitckpt.model.amount import plural
from gitckpt.model.manifest import Json
from gitckpt.model.text import safe

_WORDS = {"note": "note", "problem": "problem", "decision": "yours to decide"}


@click.command()
@click.option("--repair", is_flag=True, help="Mend what needs no decision; nothing that could be evidence is lost.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def doctor(ctx: click.Context, *, repair: bool, as_json: bool) -> int:
    """Look for everything that is not as it should be: what, where, and the next step.

    Without --repair nothing is changed. With it: what a killed command left is cleared up, missing tags are made again,
    unreadable loose objects are moved to gitckpt's folder, and a damaged newest checkpoint is kept on a ref of its own
    (diverged@N) while the branch goes back to the newest sound one. Exit code 0: sound, 1: not, 5: you decide.
    """
    done: tuple[str, ...] = ()
    if repair:
        mended = mend(where(ctx), quiet_reporter())
        done, diagnosis = mended.done, mended.after
    else:
        diagnosis = examine(where(ctx))
    if as_json:
        print_json(_json(diagnosis, done))
    else:
        for text in done:
            click.echo(f"Mended: {safe(text)}")
        click.echo("\n".join(_lines(diagnosis, mendable=not repair)))
    return int(exit_code(diagnosis))


def _lines(diagnosis: Diagnosis, *, mendable: bool) -> list[str]:
    looked = f"{plural(diagnosis.checkpoints, 'checkpoint')}, {plural(diagnosis.objects, 'object')}"
    about = f"git {diagnosis.git}" + (f", {diagnosis.file_system}" if diagnosis.file_system else "")
    wrong = [finding for finding in diagnosis.findings if finding.level != "note"]
    head = f"{plural(len(wrong), 'finding')}" if wrong else "Sound"
    lines = [f"{head}: {looked} ({safe(about)})."]
    for finding in diagnosis.findings:
        place = f" ({safe(finding.where)})" if finding.where else ""
        lines.append(f"  {_WORDS[finding.level]}: {safe(finding.what)}{place}")
        lines.append(f"    {safe(finding.next)}")
    if mendable and any(finding.mends for finding in wrong):
        lines.append("To mend what needs no decision: gitckpt doctor --repair")
    return lines


def _json(diagnosis: Diagnosis, done: tuple[str, ...]) -> dict[str, Json]:
    findings: list[Json] = [_finding(finding) for finding in diagnosis.findings]
    mended: list[Json] = [safe(text) for text in done]
    return {
        "sound": int(exit_code(diagnosis)) == 0,
        "mended": mended,
        "findings": findings,
        "git": diagnosis.git,
        "file_system": diagnosis.file_system,
        "checkpoints": diagnosis.checkpoints,
        "objects": diagnosis.objects,
    }


def _finding(finding: Finding) -> dict[str, Json]:
    return {
        "level": finding.level,
        "what": safe(finding.what),
        "where": safe(finding.where),
        "next": safe(finding.next),
        "mends": finding.mends,
    }
