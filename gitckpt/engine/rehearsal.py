"""Two ends of one workflow compared, and which phase is to blame for what differs.

Owns what counts as equal (law 2 of the product: the captured files, and the manifests without their volatile keys), and
which phases reach outside of the workspace. Runs nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gitckpt.model.codec import stable
from gitckpt.model.events import DataAppended, DataIncremented, DataSet
from gitckpt.model.manifest import Json
from gitckpt.model.names import PhaseName
from gitckpt.model.text import safe
from gitckpt.model.workflow import Workflow
from gitckpt.plumbing.content import compare, list_content
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """One thing that is not the same at both ends: a path, or a key of the manifest as `data.rows`. `phase`: whose
    checkpoint changed it last; None where that is none's. `anyway`: it differs without any kill as well."""

    kind: str
    name: str
    phase: str | None
    anyway: bool = False


def reaches_out(workflow: Workflow) -> dict[PhaseName, str]:
    """The phases that do something outside of the workspace, by what is declared of them, and what that is."""
    found: dict[PhaseName, str] = {}
    for phase in workflow.phases:
        if phase.compensate:
            found[phase.name] = "has `compensate`"
        elif phase.secrets or workflow.secrets:
            found[phase.name] = "is given secrets"
        elif phase.gate is not None:
            found[phase.name] = "is a gate"
    return found


def differences(one: Store, other: Store) -> tuple[Differing, ...]:
    """What differs between two ends; paths first."""
    first, second = one.tip(), other.tip()
    assert first is not None  # both have run
    assert second is not None
    return (*_files(one, first, other, second), *_keys(one, first, other, second))


def _files(one: Store, first: Checkpoint, other: Store, second: Checkpoint) -> Iterator[Differing]:
    if first.content == second.content:
        return
    before, after = list_content(one.reader, first.content), list_content(other.reader, second.content)
    paths = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    blamed = {**_changed_by(other, paths), **_changed_by(one, paths)}
    for path in sorted(paths):
        yield Differing(kind="path", name=safe(path), phase=blamed.get(path))


def _changed_by(store: Store, paths: set[bytes]) -> dict[bytes, str]:
    """Whose checkpoint changed each path last: a phase, or what kind of checkpoint it was."""
    found: dict[bytes, str] = {}
    for checkpoint in store.history():
        if found.keys() == paths:
            break
        before = store.read(checkpoint.parents[0]).content if checkpoint.parents else None
        if before == checkpoint.content:
            continue
        for change in compare(store.reader, before, checkpoint.content):
            if change.path in paths:
                found.setdefault(change.path, checkpoint.title.phase or checkpoint.title.kind)
    return found


def _keys(one: Store, first: Checkpoint, other: Store, second: Checkpoint) -> Iterator[Differing]:
    before, after = dict(_flat(stable(first.manifest))), dict(_flat(stable(second.manifest)))
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            yield Differing(kind="key", name=safe(os.fsencode(".".join(key))), phase=_set_by((one, other), key))


def _flat(value: Mapping[str, Json], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Json]]:
    """Every leaf of nested objects by its keys."""
    for key, below in value.items():
        if isinstance(below, dict) and below:
            yield from _flat(below, (*above, key))
        else:
            yield (*above, key), below


def _set_by(stores: tuple[Store, ...], key: tuple[str, ...]) -> str | None:
    match key:
        case ("phases", phase, *_):
            return phase
        case ("data", name, *_):
            return next((found for store in stores if (found := _data_set_by(store, name)) is not None), None)
        case _:
            return None


def _data_set_by(store: Store, name: str) -> str | None:
    for checkpoint in store.history():
        for event in checkpoint.events:
            if isinstance(event, DataSet | DataAppended | DataIncremented) and event.key == name:
                return checkpoint.title.phase or checkpoint.title.kind
    return None
