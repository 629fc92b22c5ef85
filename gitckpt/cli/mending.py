"""`doctor`: what is wrong, where, and the next step; and what a repair did."""

from __future__ import annotations

import click

from gitckpt.api.mending import examine, exit_code, mend
from gitckpt.cli.notes import quiet_reporter
from gitckpt.cli.terminal import print_json, where
from gitckpt.engine.finding import Diagnosis, Finding, Isolation
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
    objects that cannot be read are stored anew where your files still hold them, damaged packs and loose objects are
    moved to gitckpt's folder, and a damaged newest checkpoint is kept on a ref of its own (diverged@N) while the branch
    goes back to the newest sound one. Exit code 0: sound, 1: not, 5: you decide.
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
    lines += _isolation_lines(diagnosis.isolation, diagnosis.file_system)
    if mendable and any(finding.mends for finding in wrong):
        lines.append("To mend what needs no decision: gitckpt doctor --repair")
    return lines


def _isolation_lines(isolation: Isolation, file_system: str | None) -> list[str]:
    """What `isolation` can be here, and what is different in each kind."""
    why = isolation.why_no_overlay
    has = "overlays work here" if why is None else f"no overlay can be had here: {safe(why)}"
    shares = {True: "shares blocks", False: "takes time and room", None: "was not tried"}[isolation.reflink]
    copies = f"a copy {shares}" + (f" on {safe(file_system)}" if file_system else "")
    return [
        f"Isolation: {has}; {copies}. For phases that run beside others `auto` is `{isolation.auto}`, else `none`.",
        f"  different in an overlay: {'; '.join(isolation.in_overlay)}",
        f"  different in a copy: {'; '.join(isolation.in_copy)}",
    ]


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
        "isolation": _isolation(diagnosis.isolation),
    }


def _isolation(isolation: Isolation) -> dict[str, Json]:
    return {
        "overlay": isolation.why_no_overlay is None,
        "why_no_overlay": safe(isolation.why_no_overlay) if isolation.why_no_overlay is not None else None,
        "reflink": isolation.reflink,
        "auto": isolation.auto,
        "phases": {kind: list(names) for kind, names in isolation.chosen.items()},
        "in_overlay": list(isolation.in_overlay),
        "in_copy": list(isolation.in_copy),
    }


def _finding(finding: Finding) -> dict[str, Json]:
    return {
        "level": finding.level,
        "what": safe(finding.what),
        "where": safe(finding.where),
        "next": safe(finding.next),
        "mends": finding.mends,
    }
