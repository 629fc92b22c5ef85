"""What was left behind outside the workspace, as the manifest lists it: how it grows, and how it is undone.

Owns the list and the names that stand beside it. Pure; must not know how it is found in history.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gitckpt.model.items import Ranges, count_of, without
from gitckpt.model.manifest import Left, Manifest
from gitckpt.model.names import PhaseName

MOST = 500
"""Entries of one phase: above it those next to each other are told as one."""


def with_left(manifest: Manifest, more: Iterable[Left]) -> Manifest:
    """The manifest with more left behind."""
    return _listing(manifest, joined((*manifest.left_behind, *more)))


def without_effect(manifest: Manifest, phase: PhaseName, of: int, undone: Ranges, standing: int) -> Manifest:
    """The manifest after a compensation: of the completion of `phase` in checkpoint number `of`, all of it or the items
    `undone`. `standing` of them were not left behind."""
    left = less(manifest.left_behind, phase, of, undone, standing)
    manifest = _listing(manifest, left)
    if any(each.phase == phase for each in left):
        return manifest
    # A version that could not tell more than the name of the phase took the name away with any compensation.
    return replace(manifest, outside=tuple(name for name in manifest.outside if name != phase))


def less(left: Iterable[Left], phase: PhaseName, of: int, undone: Ranges, standing: int = 0) -> tuple[Left, ...]:
    """The list without what was undone."""
    found: list[Left] = []
    for each in left:
        if each.phase != phase or not each.first <= of <= each.last:
            found.append(each)
        elif each.items and undone:
            rest = without(each.items, undone)
            found += [replace(each, items=rest, count=count_of(rest))] if rest else []
        else:
            gone = (count_of(undone) or 1) - standing
            found += [replace(each, count=each.count - gone)] if each.count > gone else []
    return tuple(found)


def joined(left: Iterable[Left]) -> tuple[Left, ...]:
    """In the order of checkpoints, with neighbours as one. A later entry that is not of some items takes the place of
    those of its phase that it covers: it counts them in."""
    found: dict[PhaseName, list[Left]] = {}
    for each in left:
        of_phase = found.setdefault(each.phase, [])
        if not each.items:
            of_phase[:] = [old for old in of_phase if not each.first <= old.first <= old.last <= each.last]
        of_phase.append(each)
    for name, entries in found.items():
        found[name] = []
        for each in sorted(entries, key=lambda each: (each.first, each.last)):
            last = found[name][-1] if found[name] else None
            if last is None or bool(last.items) != bool(each.items) or (each.items and each.first != last.first):
                found[name].append(each)
            elif each.items:
                items = without(last.items, each.items) + each.items
                found[name][-1] = replace(last, items=tuple(sorted(items)), count=count_of(items))
            elif each.first == last.last + 1:
                found[name][-1] = replace(last, last=each.last, count=last.count + each.count)
            else:
                found[name].append(each)
    ordered = (each for of_phase in found.values() for each in _at_most(of_phase))
    return tuple(sorted(ordered, key=lambda each: (each.first, each.last, each.phase)))


def _at_most(left: list[Left]) -> list[Left]:
    while len(left) > MOST:
        pairs = [left[at : at + 2] for at in range(0, len(left), 2)]
        left = [
            Left(phase=p[0].phase, first=p[0].first, last=p[-1].last, count=sum(each.count for each in p))
            for p in pairs
        ]
    return left


def _listing(manifest: Manifest, left: tuple[Left, ...]) -> Manifest:
    """`outside` names what the list has, and what older versions put there."""
    told = {each.phase for each in manifest.left_behind}
    now = dict.fromkeys(each.phase for each in left)
    kept = [name for name in manifest.outside if name not in told or name in now]
    return replace(manifest, left_behind=left, outside=tuple(dict.fromkeys((*kept, *now))))
