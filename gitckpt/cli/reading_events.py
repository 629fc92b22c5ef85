"""What happened, in sentences: one for each event of a checkpoint. All text from outside is made safe here.

Owns the wording. Must not know where events come from; reads no repository.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from gitckpt.model.amount import plural
from gitckpt.model.events import (
    Adopted,
    AttemptCutOff,
    AttemptFailed,
    CompensationFailed,
    DataAppended,
    DataIncremented,
    DataSet,
    Edited,
    Event,
    ForeignChange,
    GateAnswered,
    GateOpened,
    LeftBehind,
    Named,
    PhaseBlocked,
    PhaseCompensated,
    PhaseCompleted,
    PhaseSkipped,
    Redefined,
    Reopened,
    Reset,
    RolledBack,
    RunStarted,
    Undone,
    WentBack,
)
from gitckpt.model.items import (
    ItemsCompensated,
    ItemsCompleted,
    ItemsEvent,
    ItemsFailed,
    ItemsListed,
    ItemsReopened,
    ItemsSkipped,
    count_of,
)
from gitckpt.model.manifest import left_words
from gitckpt.model.merging import EditsClashed, Merged, MergeRefused, MergingEvent, Resolved
from gitckpt.model.text import headline, safe
from gitckpt.model.title import title
from gitckpt.progress.text import count, duration


def event_words(event: Event) -> str:
    """One event as a sentence without its time."""
    return safe(_event_words(event))


def _event_words(event: Event) -> str:
    match event:
        case RunStarted(manifest=manifest):
            return f"run {manifest.run} began"
        case Redefined(changed=changed):
            return "the workflow file changed" + (
                f"; completed before under another: {_list(changed)}" if changed else ""
            )
        case Edited(author=author, restored=restored, dropped=dropped, dropped_count=count):
            what = f"{author} brought files from {restored}" if restored else f"{author} changed files"
            return (
                f"{what}; captured no longer: {_list(dropped)}{' …' if count > len(dropped) else ''}" if count else what
            )
        case ForeignChange(workflow=workflow):
            return f"workflow {workflow} changed files here"
        case Named(message=message, phase=phase):
            return f"named: {message}" + (f" (inside {phase})" if phase else "")
        case DataSet(key=key, value=value):
            return f"data: {key} = {value!r}"
        case DataAppended(key=key, value=value):
            return f"data: {value!r} was put at the end of {key}"
        case DataIncremented(key=key, by=by):
            return f"data: {key} grew by {by}"
        case Reopened() | RolledBack() | Undone() | Reset() | Adopted():
            return _intervention_words(event)
        case PhaseCompleted() | PhaseSkipped() | PhaseBlocked() | AttemptFailed() | AttemptCutOff():
            return _phase_words(event)
        case ItemsListed() | ItemsCompleted() | ItemsFailed() | ItemsSkipped() | ItemsReopened() | ItemsCompensated():
            return _items_event_words(event)
        case _:
            return _other_words(event)


def _other_words(event: Event) -> str:
    match event:
        case GateAnswered(phase=phase, approved=approved, author=author, reason=reason):
            return f"{author} {'approved' if approved else 'rejected'} {phase}" + (f": {reason}" if reason else "")
        case GateOpened(phase=phase, prompt=prompt, expires=expires):
            return f"{phase} asks: {prompt}" + (f" (until {expires})" if expires else "")
        case PhaseCompensated(phase=phase, duration_ms=ms, of=of):
            return f"{phase}{f' of {of:04d}' if of else ''} was compensated in {duration(ms)}"
        case LeftBehind(left=left):
            return f"left behind outside this folder, not undone: {left_words(left)}"
        case CompensationFailed(phase=phase, attempt=attempt, duration_ms=ms, detail=detail):
            return f"the compensation of {phase} failed after {duration(ms)} (attempt {attempt}): {headline(detail)}"
        case WentBack(phase=phase, to=to, phases=phases):
            return f"{phase} failed, so the run went back to {to}; to run anew: {_list(phases)}"
        case Merged() | MergeRefused() | EditsClashed() | Resolved():
            return _merging_words(event)
        case _:
            named = title([event])
            words = (str(named.phase or named.kind), named.status, named.detail)
            return " ".join(word for word in words if word)


def _merging_words(event: MergingEvent) -> str:
    match event:
        case Merged(phase=phase, settled=settled):
            rule = f"; a rule settled {_list(settled)}" if settled else ""
            return f"{phase} was merged: what it changed since it began{rule}"
        case MergeRefused(phase=phase, paths=paths, count=count, against=against):
            who = _list((phase, *against)) if against else f"{phase} and what came before"
            return f"{phase} could not be merged: {who} changed {_paths(paths, count)} differently"
        case EditsClashed(paths=paths, count=count, rescue=rescue):
            return f"a phase and you changed {_paths(paths, count)} differently; yours is kept as rescue@{rescue}"
        case Resolved(phase=phase, author=author, how=how):
            return f"{author} decided the conflict of {phase or 'their own edits'}: {how}"
        case _:
            assert_never(event)


def _paths(paths: Sequence[str], count: int) -> str:
    more = f" and {count - 3:,} more" if count > 3 else ""
    return _list(paths[:3]) + more


def _items_event_words(event: ItemsEvent) -> str:
    match event:
        case ItemsListed(phase=phase, total=total, done=done):
            known = f", {count(count_of(done))} of them done before" if done else ""
            return f"{phase}: {plural(total, 'item')} listed{known}"
        case ItemsCompleted(phase=phase, detail=detail, duration_ms=ms):
            return f"{phase}: {detail} done in {duration(ms)}"
        case ItemsFailed(phase=phase, attempt=attempt, duration_ms=ms, detail=detail, partial=partial):
            kept = "; its files were kept to go on from" if partial else ""
            return f"{phase} failed after {duration(ms)} (attempt {attempt}): {detail}{kept}"
        case ItemsSkipped(phase=phase, count=number, author=author, reason=reason):
            return f"{author} skipped {plural(number, 'item')} of {phase}: {reason}"
        case ItemsReopened(phase=phase, items=items, author=author, reason=reason):
            return f"{author} made {plural(count_of(items), 'item')} of {phase} to be done again: {reason}"
        case ItemsCompensated(phase=phase, count=number, duration_ms=ms, of=of, undone=undone):
            then = f" of {of:04d}" if of else ""
            return f"{plural(count_of(undone) or number, 'item')} of {phase}{then} compensated in {duration(ms)}"
        case _:
            assert_never(event)


def _phase_words(
    event: PhaseCompleted | PhaseSkipped | PhaseBlocked | AttemptFailed | AttemptCutOff,
) -> str:
    match event:
        case PhaseCompleted(phase=phase, attempt=attempt, duration_ms=ms):
            return f"{phase} completed in {duration(ms)} (attempt {attempt})"
        case PhaseSkipped(phase=phase, reason=reason, author=author):
            return f"{phase} was skipped" + (f" by {author}" if author else "") + (f": {reason}" if reason else "")
        case PhaseBlocked(phase=phase, reason=reason):
            return f"{phase} is blocked: {reason}"
        case AttemptFailed(phase=phase, attempt=attempt, duration_ms=ms, detail=detail, partial=partial):
            kept = "; its files were kept to go on from" if partial else ""
            return f"{phase} failed after {duration(ms)} (attempt {attempt}): {headline(detail)}{kept}"
        case AttemptCutOff(phase=phase, attempt=attempt, reason=reason, partial=partial):
            word = "was cut off" if reason == "died" else "was interrupted"
            kept = "; its files were kept to go on from" if partial else ""
            return f"{phase} {word} (attempt {attempt}){kept}"
        case _:
            assert_never(event)


def _intervention_words(event: Reopened | RolledBack | Undone | Reset | Adopted) -> str:
    match event:
        case Reopened(phases=phases, author=author, reason=reason):
            return f"{author} made {_list(phases)} pending again: {reason}"
        case RolledBack(to=to, author=author, beside=beside):
            return f"{author} went back to {beside or f'{to:04d}'}"
        case Undone(of=of, author=author):
            return f"{author} took back {of:04d} and what came after it"
        case Reset(author=author, reason=reason):
            return f"{author} gave the run up" + (f": {reason}" if reason else "")
        case Adopted(author=author, remote=remote):
            return f"{author} took these files as the newest" + (f", on top of {remote}" if remote else "")
        case _:
            assert_never(event)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
