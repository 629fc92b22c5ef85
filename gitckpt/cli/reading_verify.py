"""`verify`: is the history sound, and what to do when it is not."""

from __future__ import annotations

import click

from gitckpt.api.opening import open_store
from gitckpt.cli.terminal import print_json, where
from gitckpt.errors import ExitCode
from gitckpt.model.amount import plural
from gitckpt.model.manifest import Json
from gitckpt.model.text import safe
from gitckpt.store.verify import Report
from gitckpt.store.verify import verify as check


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def verify(ctx: click.Context, *, as_json: bool) -> int:
    """Check every checkpoint and every byte of the history. Exit code 0: sound, 1: not."""
    with open_store(where(ctx)) as (_, store):
        report = check(store)
    if as_json:
        print_json(_report_json(report))
    else:
        click.echo("\n".join(_report_lines(report)))
    return int(ExitCode.FAILED if report.findings else ExitCode.DONE)


def _report_lines(report: Report) -> list[str]:
    looked = f"{plural(report.checkpoints, 'checkpoint')}, {plural(report.objects, 'object')}"
    if not report.findings:
        return [f"Sound: {looked}."]
    lines = [f"NOT sound: {plural(len(report.findings), 'problem')} in {looked}."]
    lines += [f"  {safe(finding.where)}: {safe(finding.what)}" for finding in report.findings]
    lines.append("What to do: bring missing objects from a clone (git fetch CLONE 'refs/heads/gitckpt/*'), or")
    if report.sound_up_to is None:
        lines.append("  begin again under another name in `workflow:`; no checkpoint is sound by itself")
    else:
        lines.append(f"  go back to the newest sound checkpoint: gitckpt rollback {report.sound_up_to}")
    return lines


def _report_json(report: Report) -> dict[str, Json]:
    return {
        "sound": not report.findings,
        "checkpoints": report.checkpoints,
        "objects": report.objects,
        "findings": [{"where": safe(found.where), "what": safe(found.what)} for found in report.findings],
        "sound_up_to": report.sound_up_to,
    }
