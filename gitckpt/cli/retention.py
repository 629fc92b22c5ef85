"""`gc`: dropping old runs, and what is said about it."""

from __future__ import annotations

import click

from gitckpt.api.opening import open_store
from gitckpt.api.retention import Forgotten, drop, let_go, would_drop, would_forget
from gitckpt.cli.notes import quiet_reporter
from gitckpt.cli.terminal import print_json, where
from gitckpt.engine.retention import KEPT_RUNS, Dropping
from gitckpt.model.amount import plural
from gitckpt.model.manifest import Json
from gitckpt.progress.text import size


@click.command()
@click.option("--keep-runs", metavar="N", type=click.IntRange(min=1), default=None, help="Keep the last N runs (20).")
@click.option("--forget", is_flag=True, help="Let go of the histories that earlier calls put aside.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing.")
@click.option("-m", "--message", default="", help="Why; recorded in the branch's reflog.")
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON on stdout.")
@click.pass_context
def gc(ctx: click.Context, *, keep_runs: int | None, forget: bool, dry_run: bool, message: str, as_json: bool) -> int:
    """Drop the oldest runs from the history, whole runs only; the last 20 stay, or --keep-runs N.

    What stays is made again with new commit ids: numbers, files, states and messages are as they were. A run that a
    kept rollback went back to stays, too. The history as it was is kept at diverged@N until `gitckpt gc --forget`. No
    object is deleted: git's own gc does that later. --forget also deletes what no checkpoint holds and was kept for an
    `undo` of commands that are no longer the newest.
    """
    if forget:
        if keep_runs is not None or message:
            raise click.UsageError("--forget drops no runs: it goes with --dry-run and --json alone")
        done = would_forget(where(ctx)) if dry_run else let_go(where(ctx), quiet_reporter())
        _say_forgotten(done, _branch(ctx), as_json=as_json, dry_run=dry_run)
        return 0
    keep = KEPT_RUNS if keep_runs is None else keep_runs
    dropping = would_drop(where(ctx), keep) if dry_run else drop(where(ctx), keep, message, quiet_reporter())
    if as_json:
        print_json(_json(dropping, dry_run=dry_run))
    elif dropping is None:
        click.echo(f"Nothing to drop: the history has no runs before the last {keep}.")
    else:
        _say(ctx, dropping, keep, dry_run=dry_run)
    return 0


def _say(ctx: click.Context, dropping: Dropping, keep: int, *, dry_run: bool) -> None:
    last = dropping.first_kept - 1
    runs, checkpoints = plural(dropping.runs, "run"), plural(dropping.checkpoints, "checkpoint")
    click.echo(
        f"{'Would drop' if dry_run else 'Dropped'} {runs} ({checkpoints}, up to {last:04d}); {dropping.first_kept:04d} "
        f"{'would be' if dry_run else 'is'} the first now. Numbers stay as they are."
    )
    if dropping.runs_kept > keep:
        click.echo(f"  {plural(dropping.runs_kept, 'run')} stay: a rollback in the last {keep} went back to them")
    if dropping.attempts:
        click.echo(f"  with them: {plural(len(dropping.attempts), 'attempt')} ({_names(dropping.attempts)})")
    if dropping.rescues:
        click.echo(f"  rescued work stays: {_names(dropping.rescues)}")
    about = "" if dropping.size is None else f"about {size(dropping.size)} "
    click.echo(f"No object is deleted. Once they are forgotten, {about}can be freed by git.")
    if dropping.kept_at is not None:
        number = dropping.kept_at
        with open_store(where(ctx)) as (_, store):
            remotes, workflow = sorted(store.elsewhere()), store.workflow
        click.echo(f"  as it was   gitckpt show diverged@{number} (refs/gitckpt/{workflow}/diverged/{number})")
        click.echo("  forget it   gitckpt gc --forget")
        if remotes:
            click.echo(f"  {remotes[0]} has the longer history: git push --force {remotes[0]} gitckpt/{workflow}")


def _say_forgotten(done: Forgotten, branch: str, *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        gone: list[Json] = [*done.gone]
        kept: list[Json] = [*done.kept]
        replaced: dict[str, Json] = {"files": done.files, "bytes": done.size}
        print_json({"dry_run": dry_run, "forgotten": gone, "kept": kept, "replaced": replaced})
        return
    names = ", ".join(f"diverged@{number}" for number in done.gone)
    if not done.gone:
        click.echo("There is nothing to forget: no history that gc put aside is left.")
    else:
        click.echo(f"{'Would forget' if dry_run else 'Forgot'} {names}.")
        click.echo("git frees what only they needed once the reflog has expired (90 days). At once:")
        click.echo(f"  git reflog expire --expire=now --expire-unreachable=now {branch} && git gc --prune=now")
    if done.files:
        what = f"{plural(done.files, 'file')} ({size(done.size)}) that no checkpoint holds, replaced by older commands"
        click.echo(f"{'Would delete' if dry_run else 'Deleted'} {what}.")
    if done.kept:
        listed = ", ".join(f"diverged@{number}" for number in done.kept)
        click.echo(
            f"Kept, because gc did not put it aside: {listed} (look at it: gitckpt show diverged@{done.kept[0]})"
        )


def _branch(ctx: click.Context) -> str:
    with open_store(where(ctx)) as (_, store):
        return store.branch


def _names(refs: tuple[str, ...]) -> str:
    """`load@1, load@2` for the refs' names."""
    names = ["@".join(ref.rsplit("/", 2)[1:]) for ref in refs]
    return ", ".join(names[:10]) + (" …" if len(names) > 10 else "")


def _json(dropping: Dropping | None, *, dry_run: bool) -> dict[str, Json]:
    if dropping is None:
        return {"dry_run": dry_run, "dropped": None}
    attempts: list[Json] = [*dropping.attempts]
    rescues: list[Json] = [*dropping.rescues]
    return {
        "dry_run": dry_run,
        "dropped": {
            "runs": dropping.runs,
            "runs_kept": dropping.runs_kept,
            "checkpoints": dropping.checkpoints,
            "first_kept": dropping.first_kept,
            "attempts": attempts,
            "rescues": rescues,
            "bytes": dropping.size,
            "kept_at": f"diverged@{dropping.kept_at}" if dropping.kept_at else None,
        },
    }
