"""Checkpoints by the names people give them: `load`, `before:load`, `12`, `0012-load`, `latest~2`, `load@2`, …

Owns the selector language. Works from the branch alone: tags are an index for people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from gitckpt.errors import GitckptError
from gitckpt.model.events import GateAnswered, PhaseCompleted, PhaseSkipped
from gitckpt.model.manifest import state_of
from gitckpt.model.names import Oid, PhaseName
from gitckpt.store import refs
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.store import Store


@dataclass(eq=False)
class NoSuchCheckpoint(GitckptError):
    """A selector that names nothing."""

    selector: str
    near: tuple[str, ...]

    @property
    def message(self) -> str:
        near = f"; near it: {', '.join(self.near)}" if self.near else ""
        return f"no checkpoint is called {self.selector!r}{near}"

    @property
    def hint(self) -> str:
        return "see what there is: gitckpt log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What a selector named. `label` is how to show it; `beside`: an attempt, a rescue, or a diverged history."""

    checkpoint: Checkpoint
    label: str
    beside: bool = False

    @property
    def is_part(self) -> bool:
        """Whether it is what somebody changed, beside the history: an attempt or a rescue."""
        return self.beside and not self.label.startswith("diverged@")


def select(store: Store, selector: str) -> Selected:
    """Find a checkpoint. Raises NoCheckpoints, NoSuchCheckpoint with the near names, and what reading raises."""
    tip = store.tip_oid()
    if tip is None:
        raise store.no_checkpoints()
    found = _beside(store, selector) or _on_branch(store, tip, selector)
    if found is None:
        raise NoSuchCheckpoint(selector, _near(store, tip, selector))
    return found


def label(checkpoint: Checkpoint) -> str:
    """`0012-load`: number and phase or kind."""
    named = checkpoint.title
    return f"{checkpoint.number:04d}-{named.phase or named.kind}"


def name_beside(store: Store, oid: Oid) -> str | None:
    """What an attempt, a rescue or a diverged history is called: `load@2`; None for a checkpoint of the branch."""
    if oid in store.ids():
        return None
    names = {each: f"{phase}@{number}" for (phase, number), each in store.all_attempts().items()}
    names |= {each: f"rescue@{number}" for number, each in store.rescues().items()}
    names |= {each: f"diverged@{number}" for number, each in store.diverged().items()}
    return names.get(oid)


def _beside(store: Store, selector: str) -> Selected | None:
    kind, _, text = selector.rpartition("@")
    if not kind or not re.fullmatch(r"[0-9]{1,9}", text):
        return None
    match kind:
        case "rescue":
            oid = store.rescues().get(int(text))
        case "diverged":
            oid = store.diverged().get(int(text))
        case _:
            oid = store.attempt(PhaseName(kind), int(text))
    return Selected(checkpoint=store.read(oid), label=selector, beside=True) if oid else None


def _on_branch(store: Store, tip: Oid, selector: str) -> Selected | None:
    short = selector.removeprefix("refs/tags/").removeprefix(f"gitckpt/{store.workflow}/")
    latest = re.fullmatch(r"latest(?:~([0-9]{1,9}))?", short)
    tag = re.fullmatch(r"([0-9]{4,9})-(.+)", short)
    if latest:
        oid = _nth(store.ids(tip), int(latest[1] or 0))
    elif short == "start":
        oid = _start(store, tip)
    elif re.fullmatch(r"[0-9]{1,9}", short):
        oid = _numbered(store, tip, int(short)) or _by_id(store, tip, short)
    elif tag:
        oid = _tagged(store, tip, int(tag[1]), short)
    elif short.startswith("before:"):
        oid = _before(store, tip, PhaseName(short.removeprefix("before:")))
    else:
        oid = _completed(store, tip, PhaseName(short)) or _by_id(store, tip, short)
    if oid is None:
        return None
    checkpoint = store.read(oid)
    return Selected(checkpoint=checkpoint, label=label(checkpoint))


def _nth(ids: list[Oid], back: int) -> Oid | None:
    return ids[back] if back < len(ids) else None


def _start(store: Store, tip: Oid) -> Oid | None:
    """The first checkpoint of the current run."""
    for checkpoint in store.history(tip):
        if checkpoint.title.kind == "start":
            return checkpoint.oid
    return None


def _numbered(store: Store, tip: Oid, number: int) -> Oid | None:
    ids = store.ids(tip)
    back = store.manifest(tip).sequence - number
    return ids[back] if 0 <= back < len(ids) else None


def _tagged(store: Store, tip: Oid, number: int, short: str) -> Oid | None:
    oid = _numbered(store, tip, number)
    if oid is None:
        return None
    checkpoint = store.read(oid)
    known = {label(checkpoint), (refs.tag_of(store.workflow, number, checkpoint.title) or "").rpartition("/")[2]}
    return oid if short in known or store.tags().get(short) == oid else None


def _completed(store: Store, tip: Oid, phase: PhaseName) -> Oid | None:
    """The newest checkpoint in which the phase was completed: skipped, or approved, where it is a gate."""
    for checkpoint in store.history(tip):
        for event in checkpoint.events:
            ends = isinstance(event, PhaseCompleted | PhaseSkipped) or (
                isinstance(event, GateAnswered) and event.approved
            )
            if ends and getattr(event, "phase", None) == phase:
                return checkpoint.oid
    return None


def _before(store: Store, tip: Oid, phase: PhaseName) -> Oid | None:
    """The checkpoint before the newest stretch of checkpoints about the phase; the tip when it never ran.

    One with items begins with the first list of them in its run, whatever came between: there nothing of it is done.
    """
    seen = False
    for checkpoint in store.history(tip):
        listed = state_of(checkpoint.manifest, phase).items is not None
        about = listed or any(getattr(event, "phase", None) == phase for event in checkpoint.events)
        if seen and not about:
            return checkpoint.oid
        seen = seen or about
    known = store.read(tip).manifest.phases
    return tip if not seen and phase in known else None


def _by_id(store: Store, tip: Oid, text: str) -> Oid | None:
    if not re.fullmatch(r"[0-9a-f]{4,64}", text):
        return None
    beside: Iterable[Oid] = (*store.all_attempts().values(), *store.rescues().values(), *store.diverged().values())
    matches = {oid for oid in (*store.ids(tip), *beside) if oid.startswith(text)}
    return matches.pop() if len(matches) == 1 else None


def _near(store: Store, tip: Oid, selector: str) -> tuple[str, ...]:
    attempts = (f"{phase}@{number}" for phase, number in store.all_attempts())
    rescues = (f"rescue@{number}" for number in store.rescues())
    names = {"start", "latest", *store.manifest(tip).phases, *store.tags(), *attempts, *rescues}
    return tuple(get_close_matches(selector, sorted(names), n=3, cutoff=0.5))
