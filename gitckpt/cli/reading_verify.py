"""`verify`: is the history sound, and what to do when it is not."""

from __future__ import annotations

import click

from gitckpt.api.mending import Checked, check
from gitckpt.cli.terminal import print_json, where
from gitckpt.engine.healing import fetch_from_clone
from gitckpt.errors import ExitCode
from gitckpt.model.amount import plural
from gitckpt.model.manifest import Json
from gitckpt.model.text import safe


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def verify(ctx: click.Context, *, as_json: bool) -> int:
    """Check every checkpoint and every byte of the history. Exit code 0: sound, 1: not."""
    checked = check(where(ctx))
    if as_json:
        print_json(_report_json(checked))
    else:
        click.echo("\n".join(_report_lines(checked)))
    return int(ExitCode.DONE if checked.is_sound else ExitCode.FAILED)


def _report_lines(checked: Checked) -> list[str]:
    report = checked.report
    looked = f"{plural(report.checkpoints, 'checkpoint')}, {plural(report.objects, 'object')}"
    if checked.is_sound:
        return [f"Sound: {looked}.", *_known_lines(checked)]
    if not report.findings:
        return [f"Sound as far as it goes: {looked}. But checkpoints are missing.", *_known_lines(checked)]
    lines = [f"NOT sound: {plural(len(report.findings), 'problem')} in {looked}."]
    lines += [f"  {safe(finding.where)}: {safe(finding.what)}" for finding in report.findings]
    rest = len(report.findings) - checked.healable
    if checked.healable:
        which = "all of it" if not rest else plural(checked.healable, "object")
        lines.append(f"What to do: gitckpt doctor --repair stores {which} anew, for your files still hold it")
    if rest:
        first = "What to do" if not checked.healable else "  and for the rest"
        lines.append(f"{first}: bring what is missing from a clone: {fetch_from_clone(checked.workflow)}")
        if report.sound_up_to is None:
            lines.append("  or begin again under another name in `workflow:`; no checkpoint is sound by itself")
        else:
            lines.append(f"  or go back to the newest sound checkpoint: gitckpt rollback {report.sound_up_to}")
    return [*lines, *_known_lines(checked)]


def _known_lines(checked: Checked) -> list[str]:
    """What is known beyond the branch, and the ways on."""
    known = checked.known
    return [f"  {known.what}", *(f"    {way}" for way in known.ways(checked.workflow, None))] if known else []


def _report_json(checked: Checked) -> dict[str, Json]:
    report, known = checked.report, checked.known
    return {
        "sound": checked.is_sound,
        "checkpoints": report.checkpoints,
        "objects": report.objects,
        "findings": [{"where": safe(found.where), "what": safe(found.what)} for found in report.findings],
        "healable": checked.healable,
        "sound_up_to": report.sound_up_to,
        "beyond": {"what": known.what, "newest": known.number, "commit": known.newest} if known else None,
    }
