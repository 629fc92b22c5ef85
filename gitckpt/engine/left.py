"""What is left behind outside when phases are opened again, a list is made anew, a run is given up, or somebody goes
back: found in the history at that moment, and listed in the manifest from then on.

Owns that account. Must not record it, nor undo anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gitckpt.engine.agenda import list_file, progress_at_tip
from gitckpt.engine.debt import Debt, Definitions, Effect, Walked, walk
from gitckpt.engine.hold import Hold
from gitckpt.model.events import LeftBehind
from gitckpt.model.items import Ranges, both, count_of, without
from gitckpt.model.left import joined, less
from gitckpt.model.manifest import Left, Manifest, PhaseState, Status, left_words, state_of
from gitckpt.model.names import PhaseName
from gitckpt.progress.events import Note
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.lists import ItemList, carry_over


def left_by_opening(hold: Hold, phases: Iterable[PhaseName]) -> tuple[Left, ...]:
    """What these phases did in this run, all of which is to be done again: nothing stands on it any more."""
    manifest = hold.at_tip.manifest
    names = [name for name in phases if _did_something(state_of(manifest, name))]
    if not any(_could_be_undone(hold, name) for name in names):
        return ()
    found = _by_phase(hold, _of_run(hold), names)
    return tuple(_all_of(effects) for effects in found.values())


def left_by_items(hold: Hold, name: PhaseName, items: Ranges) -> tuple[Left, ...]:
    """What was done of these items of the list in force, which are to be done again, or are in the list no more."""
    listed = state_of(hold.at_tip.manifest, name).items
    if listed is None or not items or not _could_be_undone(hold, name):
        return ()
    effects = _by_phase(hold, _of_run(hold), [name]).get(name, [])
    hits: dict[int, Ranges] = {}
    wanted, here, there = items, listed.list, _Keys(hold)
    for effect in effects:
        if not wanted:
            break
        then = state_of(hold.store.manifest(effect.oid), name).items
        if not effect.stands or then is None:
            continue
        hit = both(effect.items, there.moved(here, wanted, then.list))
        if hit:
            hits[effect.number] = hit
            wanted = without(wanted, there.moved(then.list, hit, here))
    return _some_of(effects, hits)


def left_by_listing(hold: Hold, name: PhaseName, listed: str, carried: Ranges) -> tuple[Left, ...]:
    """What was done of items that a list made anew does not take over. `carried`: what it does, in the new list."""
    before = state_of(hold.at_tip.manifest, name).items
    if before is None or before.done <= count_of(carried):
        return ()
    if not carried:
        return left_by_opening(hold, [name])
    done = progress_at_tip(hold, name).done(before.total)
    return left_by_items(hold, name, without(done, _Keys(hold).moved(listed, carried, before.list)))


def left_by_names(hold: Hold) -> tuple[Left, ...]:
    """What a version left behind in this run that told the names of phases alone: it forgot them as soon as they were
    done again."""
    manifest = hold.at_tip.manifest
    states = {name: state_of(manifest, name) for name in _names_alone(manifest)}
    names = [name for name, state in states.items() if not _did_something(state)]
    found = _by_phase(hold, _of_run(hold), names) if names else {}
    return tuple(_all_of(effects) for effects in found.values())


def left_by_moving(hold: Hold, target: Checkpoint, debt: Debt) -> tuple[tuple[Left, ...], tuple[PhaseName, ...]]:
    """What is left behind when somebody has gone back to `target`: what was left there and not undone since, and all
    that was done after it. And the names that stand in `outside` for it."""
    now, then, number = hold.at_tip.manifest, target.manifest, target.number
    on_branch = hold.store.numbered(number)
    if on_branch is not None and target.oid != on_branch and target.parents[:1] != (on_branch,):
        older = tuple(each for each in now.left_behind if each.last <= number)  # it is of another history
    else:
        older = then.left_behind
    for (name, of), undone in debt.walked.gone.items():
        if of <= number:
            older = less(older, name, of, undone)
    newer: dict[PhaseName, list[Effect]] = {}
    for each in (*debt.owed, *debt.kept):
        newer.setdefault(each.effect.phase, []).append(each.effect)
    left = joined((*older, *(_all_of(effects) for effects in newer.values())))
    undone_names = {name for name, _ in debt.walked.gone}
    names = [name for name in (*_names_alone(then), *_names_alone(now)) if name not in undone_names]
    return left, tuple(dict.fromkeys((*names, *(each.phase for each in left))))


def as_event(hold: Hold, left: Sequence[Left]) -> tuple[LeftBehind, ...]:
    """To be recorded with what leaves it behind; it is said, too."""
    say_left(hold, left)
    return (LeftBehind(at=hold.now(), left=tuple(left)),) if left else ()


def say_left(hold: Hold, left: Sequence[Left]) -> None:
    """Tell those who watch; nothing where there is none."""
    if left:
        hold.reporter(Note(f"left behind outside this folder, not undone: {left_words(left)}"))


def _names_alone(manifest: Manifest) -> tuple[PhaseName, ...]:
    """What a version listed that could not tell more."""
    told = {each.phase for each in manifest.left_behind}
    return tuple(name for name in manifest.outside if name not in told)


def _did_something(state: PhaseState) -> bool:
    done = state.items.done if state.items is not None else 0
    return state.landed > 0 or state.status is Status.COMPLETED or done > 0


def _could_be_undone(hold: Hold, name: PhaseName) -> bool:
    """Whether the history need be asked at all."""
    state = state_of(hold.at_tip.manifest, name)
    # A phase that was opened again has forgotten it, its items have not.
    landed = state.landed or (progress_at_tip(hold, name).newest()[0] if state.items is not None else 0)
    effect = Effect(phase=name, number=landed, oid=hold.store.numbered(landed) or hold.at_tip.oid)
    return Definitions(hold).how(effect) is not None


def _of_run(hold: Hold) -> Walked:
    return walk(hold.store, hold.at_tip.oid, hold.at_tip.number, None)


def _by_phase(hold: Hold, walked: Walked, names: Sequence[PhaseName]) -> dict[PhaseName, list[Effect]]:
    """The effects of these phases that can be undone, newest first."""
    known, found = Definitions(hold), dict[PhaseName, list[Effect]]()
    for effect in walked.effects:
        if effect.phase in names and known.how(effect) is not None:
            found.setdefault(effect.phase, []).append(effect)
    return found


def _all_of(effects: Sequence[Effect]) -> Left:
    """Newest first, of one phase: one entry for all of them, which takes the place of those that it covers."""
    count = sum(effect.count for effect in effects)
    return Left(phase=effects[0].phase, first=effects[-1].number, last=effects[0].number, count=count)


def _some_of(effects: Sequence[Effect], hits: Mapping[int, Ranges]) -> tuple[Left, ...]:
    """Those items of the effects, newest first: neighbours that were hit as a whole are one entry."""
    found: list[Left] = []
    goes_on = False
    for effect in reversed(effects):
        hit = hits.get(effect.number, ())
        whole = hit == effect.items
        if whole and goes_on:
            found[-1] = replace(found[-1], last=effect.number, count=found[-1].count + effect.count)
        elif hit:
            entry = Left(phase=effect.phase, first=effect.number, last=effect.number, count=count_of(hit))
            found.append(entry if whole else replace(entry, items=hit))
        goes_on = whole
    return tuple(found)


class _Keys:
    """Items of one frozen list in another, by their keys. Neighbours in history are of one list and ask the same."""

    def __init__(self, hold: Hold) -> None:
        self._hold = hold
        self._last: tuple[tuple[str, Ranges, str], Ranges] | None = None

    def moved(self, old: str, items: Ranges, new: str) -> Ranges:
        if old == new:
            return items
        asked = (old, items, new)
        if self._last is None or self._last[0] != asked:
            before, after = (ItemList(list_file(self._hold, blob)) for blob in (old, new))
            self._last = (asked, carry_over(before, items, after))
        return self._last[1]
