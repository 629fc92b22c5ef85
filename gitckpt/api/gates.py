"""What an approver is asked, read without a lock. Owns nothing else; the answer goes the way of every change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gitckpt.api.definition import load
from gitckpt.api.opening import open_store
from gitckpt.api.reading import Where, find_workspace
from gitckpt.api.writing import phase_name
from gitckpt.engine.answers import open_gate
from gitckpt.model.gate import Field
from gitckpt.model.names import PhaseName


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A gate that waits. `prompt` has its params filled in; `show` is as the workflow file has it; `expires` is ISO
    8601 with offset."""

    phase: PhaseName
    prompt: str
    show: str | None
    fields: Mapping[str, Field]
    expires: str | None


def question(where: Where, name: str | None) -> Question | None:
    """The gate of that name, or the only one that waits; None without any history here.

    Raises NoSuchPhase and what `engine.answers.open_gate` raises.
    """
    workflow = load(find_workspace(where).file).workflow
    chosen = phase_name(workflow, name) if name is not None else None
    with open_store(where) as (_, store):
        tip = store.tip()
    if tip is None:
        return None
    found = open_gate(workflow, tip.manifest, chosen)
    return Question(
        phase=found.phase.name,
        prompt=found.prompt,
        show=found.gate.show,
        fields=found.gate.fields,
        expires=found.expires,
    )
