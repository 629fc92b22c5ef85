"""What `run` says of a phase that failed: what, why, where its files are, and the next command.

Owns these words. Must not know how the run was started or watched.
"""

from __future__ import annotations

import re

import click

from gitckpt.api.resolving import disputes_in
from gitckpt.api.running import Ran
from gitckpt.cli.disputes import dispute_lines
from gitckpt.engine.isolation import was_in_overlay
from gitckpt.engine.leavings import Leavings, leavings
from gitckpt.engine.listed import failure_checkpoint
from gitckpt.engine.place import Place
from gitckpt.execute.output import cause, tail_lines
from gitckpt.model.amount import plural
from gitckpt.model.events import AttemptFailed
from gitckpt.model.items import ItemsFailed
from gitckpt.model.manifest import Items, Status, state_of
from gitckpt.model.moment import Verdict
from gitckpt.model.names import Oid, PhaseName
from gitckpt.model.text import headline, safe
from gitckpt.plumbing.user import source
from gitckpt.progress.text import count, duration, size
from gitckpt.store.store import Store

LONG_MS = 5 * 60 * 1000
BIG = 1024**3
SHOWN = 10
MOST_TRIES = 100
WIDEST = 1000
"""Characters of one line of output; `gitckpt output` has all of it."""


def say_failure(place: Place, store: Store, ran: Ran, name: PhaseName) -> None:
    """What a phase failed with: what it printed last, what it left, how to go on."""
    state = state_of(ran.tip.manifest, name)
    number = f"{ran.tip.number:04d}"
    if ran.stop.verdict is Verdict.BLOCKED and name == ran.stop.phases[0]:
        _line(f"{name} is blocked: {safe(ran.stop.reason)}. Nothing of it ran; your files are as at {number}.")
        _line("  go on      gitckpt run, once that holds")
        return
    at = failure_checkpoint(store, name, state.attempts)
    events = store.read(at).events if at else ()
    failed = next((event for event in events if isinstance(event, ItemsFailed)), None)
    if failed is not None and at is not None and state.items is not None:
        left = _left(place, store, name, failed.attempt)
        _say_cost(left, name, f"{name}@{failed.attempt}", failed.duration_ms)
        _say_items(store, ran, failed, at)
        _say_isolation(place, ran, name, store.output(at, name) or b"")
        _say_left(left, ran, failed, state.items)
        return
    if at is None and store.attempt(name, state.attempts) is None:
        # A gate that was rejected: nothing was tried. After a compensation it is to be asked anew, and has no detail.
        why = ran.stop.reason if state.detail is None else state.detail
        _line(f"{name} failed: {safe(why)}. Your files are as at {number}.")
        again = "gitckpt run" if state.detail is None else f"gitckpt retry {name}, then gitckpt run"
        _line(f"  ask again  {again}")
        return
    attempt = f"{name}@{state.attempts}"
    lines = tail_lines(store.output(at or ran.tip.oid, name) or b"")
    told = cause(lines)
    left = _left(place, store, name, state.attempts)
    _say_cost(left, name, attempt, state.duration_ms or 0)
    why, _, mend = (state.detail or "").partition("\n")
    why += _why_no_way_back(ran, name)
    # A reason that says how to mend it needs no line of the output to tell why.
    _line(f"{name} failed: {safe(why)}" + (f": {_cut(told)}" if told and not mend else ""))
    for line in lines:
        _line(f"  | {_cut(line)}")
    kept = _kept(left, attempt)
    # `state.partial` is also true where a named checkpoint of the phase itself is what the next attempt goes on from.
    stays = any(isinstance(event, AttemptFailed) and event.partial for event in events)
    _line(f"Your files are as at {number}. {kept}" if not stays else f"Its files stay. {kept}")
    if not stays:
        _say_tracked(left, attempt)
    for line in mend.splitlines():
        _line(f"  mend it    {safe(line)}")
    _say_isolation(place, ran, name, store.output(at or ran.tip.oid, name) or b"")
    _line(f"  see it     gitckpt diff {attempt} · gitckpt output {attempt}")
    _line("  go on      gitckpt run")


_OVERLAY_LIMITS = {
    b"Invalid cross-device link": "a folder that was there before cannot be renamed in an overlay",
    b"Value too large for defined data type": "a file of another owner cannot be changed in an overlay",
}
"""What overlayfs cannot do, by the words of the system for it (EXDEV, EOVERFLOW)."""


def _say_isolation(place: Place, ran: Ran, name: PhaseName, output: bytes) -> None:
    """The way out where it was the overlay that a command could not work in."""
    limit = next((what for words, what in _OVERLAY_LIMITS.items() if words in output), None)
    if limit is not None and was_in_overlay(place, ran.plan, name):
        _line(f"  mend it    {limit}: give {name} `isolation: copy`")


def say_conflicts(store: Store, ran: Ran) -> None:
    """What two changed differently, with the commands to look and to choose; and what failed beside that."""
    found = disputes_in(store, ran.tip.manifest)
    others = [name for name in ran.tip.manifest.order if name not in {each.name for each in found}]
    for name in others:
        state = state_of(ran.tip.manifest, name)
        if state.status is Status.FAILED:
            _line(f"{name} failed: {safe(headline(state.detail or ''))}")
    for dispute in found:
        for line in dispute_lines(dispute):
            _line(line)
    _line(f"Nothing is lost: both sides are kept. Your files are as at {ran.tip.number:04d}.")


def _say_items(store: Store, ran: Ran, failed: ItemsFailed, at: Oid) -> None:
    name = failed.phase
    told = re.match(r"(items? .*?(?:\)|of [0-9,]+)): (.*)", failed.detail, re.DOTALL)
    which, why = (told[1], told[2]) if told else ("", failed.detail)
    why += _why_no_way_back(ran, name)
    tries = _tries(store, failed, at)
    after = f" after {count(tries)} tries" if tries > 1 else ""
    _line(f"{name}  FAILED  {', '.join(safe(word) for word in (which, why) if word)}{after}")
    lines = tail_lines(store.output(at, name) or b"")
    most_telling = cause(lines)
    for line in [most_telling, *lines] if len(lines) > 1 else lines:
        _line(f"  | {_cut(line)}")


def _say_left(left: Leavings, ran: Ran, failed: ItemsFailed, items: Items) -> None:
    name, attempt = failed.phase, f"{failed.phase}@{failed.attempt}"
    kept = _kept(left, attempt)
    where = "Its files stay" if failed.partial else f"Your files are as at {ran.tip.number:04d}"
    _line(f"{where} ({_share(items)}). {kept}")
    if not failed.partial:
        _say_tracked(left, attempt)
    _line(f"  see it     gitckpt diff {attempt} · gitckpt output {attempt} · gitckpt items {name} --failed")
    _line(f"  go on      gitckpt run · without it: gitckpt skip {name} --item KEY")


def _why_no_way_back(ran: Ran, name: PhaseName) -> str:
    """That a `goto` has gone back as often as it may, or a pivot is done: the decision says it of the phase that it
    names first, the attempt cannot know."""
    found = re.search(r" \((?:it went back to [^()]* already|nothing is compensated past [^()]*)\)$", ran.stop.reason)
    return found[0] if found and name == ran.stop.phases[0] else ""


def _share(items: Items) -> str:
    words = [f"{count(items.done)} of {plural(items.total, 'item')} done"]
    if items.batch is not None:
        batches = items.done // items.batch
        words.append(f"{plural(batches, 'batch')}")
    words += [f"{count(items.failed)} failed"] if items.failed else []
    words += [f"{count(items.skipped)} skipped"] if items.skipped else []
    return ", ".join(words)


def _tries(store: Store, failed: ItemsFailed, at: Oid) -> int:
    """How often the same items failed in a row."""
    tries = 0
    checkpoint = store.read(at)
    while tries < MOST_TRIES:
        told = (event for event in checkpoint.events if isinstance(event, ItemsFailed))
        if not any((event.phase, event.items) == (failed.phase, failed.items) for event in told):
            break
        tries += 1
        if not checkpoint.parents or store.reader.commit(checkpoint.parents[0]) is None:
            break
        checkpoint = store.read(checkpoint.parents[0])
    return tries


def _left(place: Place, store: Store, name: PhaseName, number: int) -> Leavings:
    return leavings(store, place, name, number, source(store.repository).head)


def _files(left: Leavings) -> str:
    return f"{plural(left.files, 'file')} ({size(left.size)})"


def _say_cost(left: Leavings, name: PhaseName, attempt: str, ms: int) -> None:
    """What took long, or is big, is said first: doing it again costs as much."""
    if ms >= LONG_MS or left.size >= BIG:
        _line(f"{name} ran {duration(ms)} and left {_files(left)}, kept as {attempt}.")
        _line(f"  To go on from those files: gitckpt restore {attempt}")


def _kept(left: Leavings, attempt: str) -> str:
    """How many files an attempt left behind, their size, and what it is called."""
    return f"What the attempt left: {_files(left)}, kept as {attempt}"


def _say_tracked(left: Leavings, attempt: str) -> None:
    """It may be the user who changed these while the phase ran."""
    if left.tracked:
        names = ", ".join(safe(path) for path in left.tracked[:SHOWN]) + (" …" if len(left.tracked) > SHOWN else "")
        _line(f"Among them files that your HEAD tracks: {names}")
        _line(f"  yours?     gitckpt restore {attempt} -- {safe(left.tracked[0])}")


def _cut(line: str) -> str:
    return line if len(line) <= WIDEST else f"{line[:WIDEST]}…"


def _line(text: str) -> None:
    click.echo(text, err=True)
