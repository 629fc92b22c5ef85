"""Kept attempts: a ref for each of a phase's newest hundred, the older ones chained behind those.

Owns which of them keep a ref, and the way back to the others: 10,000 loose refs would slow every `git log` of the
user's. An attempt whose ref goes is a further parent of the attempt that takes its place, so it stays reachable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from gitckpt.errors import GitckptError
from gitckpt.model.events_codec import decode_events
from gitckpt.model.names import Oid, PhaseName, WorkflowName
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.refs import RefUpdate, list_refs
from gitckpt.plumbing.repository import Repository
from gitckpt.store import refs
from gitckpt.store.layout import folder, own_file

REFS = 100
"""A phase has at most so many refs of attempts."""


def surplus(repository: Repository, ref: str) -> list[RefUpdate]:
    """The deletions that make room for a new attempt's `ref`, oldest first; none for a ref that is no attempt's."""
    start, _, number = ref.rpartition("/")
    if not number.isdigit() or start.rpartition("/")[0].rpartition("/")[2] != "attempts":
        return []
    there = {name: oid for name, oid in list_refs(repository, f"{start}/").items() if name != ref}
    oldest = sorted((name for name in there if name.rpartition("/")[2].isdigit()), key=_number_in)
    return [RefUpdate(name, None, there[name]) for name in oldest[: max(0, len(there) - REFS + 1)]]


def referred(repository: Repository, workflow: WorkflowName, phase: PhaseName) -> dict[int, Oid]:
    """A phase's attempts that have a ref, by number."""
    found = list_refs(repository, refs.attempts(workflow, phase))
    return {_number_in(name): oid for name, oid in found.items() if name.rpartition("/")[2].isdigit()}


def behind(reader: Reader, newer: Iterable[Oid]) -> Iterator[Oid]:
    """The attempts chained behind `newer` ones; where a commit cannot be read, its chain ends."""
    waiting = deque(newer)
    while waiting:
        try:
            commit = reader.commit(waiting.popleft())
        except GitckptError:
            continue
        for oid in commit.parents[1:] if commit else ():
            yield oid
            waiting.append(oid)


def number_of(reader: Reader, oid: Oid, prefix: bytes, phase: PhaseName) -> int | None:
    """Which attempt of the phase a chained commit is; None where that cannot be read."""
    try:
        commit = reader.commit(oid)
        events = decode_events(own_file(reader, folder(reader, commit, prefix), oid, b"events.json")) if commit else ()
    except GitckptError:
        return None
    numbers = (getattr(event, "attempt", None) for event in events if getattr(event, "phase", None) == phase)
    return next((number for number in numbers if isinstance(number, int)), None)


def _number_in(name: str) -> int:
    return int(name.rpartition("/")[2])
