"""What going back leaves undone outside the workspace: what can be compensated, what cannot, and what was already.

Owns the question that a way back past something completed puts. Must not run a compensation: that is the loop's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from gitckpt.engine.agenda import list_file
from gitckpt.engine.debt import Debt, Owing
from gitckpt.engine.hold import Hold
from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.amount import plural
from gitckpt.model.events import Event, PhaseCompensated
from gitckpt.model.items import ItemsCompensated, ItemsListed, Ranges, count_of, indices_of, ranges_of, without
from gitckpt.model.manifest import Items, Status, state_of
from gitckpt.model.names import Oid, PhaseName
from gitckpt.model.shard import DONE
from gitckpt.model.text import safe
from gitckpt.store.checkpoint import Checkpoint
from gitckpt.store.layout import items_folder
from gitckpt.store.lists import ItemList, carry_over
from gitckpt.store.shards import Progress, phase_folder

SHOWN = 50
"""Commands that are listed in a question; `plan rollback` lists all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What compensates `count` completions of a phase, or items: the command, in words for people, and the numbers of
    the checkpoints of the newest and the oldest."""

    phase: PhaseName
    text: str
    count: int
    newest: int
    oldest: int


@dataclass(eq=False)
class Undecided(GitckptError):
    """A way back goes past completions that can be compensated, and nobody said what is to become of them. `command`
    takes the answer as a flag; `without`: phases gone back past as well that say of no way to undo them."""

    commands: tuple[Command, ...]
    without: tuple[PhaseName, ...] = ()
    command: str = "gitckpt rollback CHECKPOINT"

    exit_code = ExitCode.USAGE

    @property
    def message(self) -> str:
        listed = "".join(f"\n  {each.phase}: {each.text}" for each in self.commands[:SHOWN])
        more = f"\n  … {len(self.commands) - SHOWN:,} more" if len(self.commands) > SHOWN else ""
        text = f"going back past completed phases that can be compensated, newest first:{listed}{more}"
        return f"{text}\n{without_words(self.without)}" if self.without else text

    @property
    def hint(self) -> str:
        return (
            f"run these, then go back: {self.command} --compensate\n"
            f"go back and leave what they did outside: {self.command} --no-compensate"
        )


def without_words(names: Sequence[PhaseName]) -> str:
    """That some of what is gone back past has nothing that undoes it."""
    have = "has" if len(names) == 1 else "have"
    return f"{', '.join(names)} {have} no `compensate`: what {'it' if len(names) == 1 else 'they'} did outside stays"


def commands_of(debt: Debt) -> tuple[Command, ...]:
    """Each phase with the command that compensates it, newest completion first; neighbours of one phase and one command
    together, with how many items or completions they are."""
    grouped = groupby(debt.owed, key=lambda owing: (owing.effect.phase, " ; ".join(owing.phase.compensate)))
    return tuple(_command(name, text, tuple(group)) for (name, text), group in grouped)


def _command(name: PhaseName, text: str, group: Sequence[Owing]) -> Command:
    return Command(
        phase=name,
        text=f"{safe(text)}{_share(group)}",
        count=sum(owing.effect.count for owing in group),
        newest=group[0].effect.number,
        oldest=group[-1].effect.number,
    )


def _share(group: Sequence[Owing]) -> str:
    """`  (for each of 2 items)`; of a phase without items: how often, where it is more than once."""
    if group[0].effect.items:
        return f"  (for each of {plural(sum(owing.effect.count for owing in group), 'item')})"
    return "" if len(group) == 1 else f"  ({len(group):,} times: {_numbers(group)})"


def _numbers(group: Sequence[Owing]) -> str:
    told = ", ".join(f"{owing.effect.number:04d}" for owing in group[:5])
    return f"{told}, …" if len(group) > 5 else told


def names_of(owings: Sequence[Owing]) -> tuple[PhaseName, ...]:
    """Their phases, each once."""
    return tuple(dict.fromkeys(owing.effect.phase for owing in owings))


def compensated_since(hold: Hold, target: Checkpoint, debt: Debt, at: str) -> tuple[Event, ...]:
    """What the target has as completed and was compensated since: going there does not make it completed again."""
    gone: dict[PhaseName, dict[int, Ranges]] = {}
    for (name, of), undone in debt.walked.gone.items():
        if of <= target.number:
            gone.setdefault(name, {})[of] = undone
    events: list[Event] = []
    ids = hold.store.ids() if gone else []
    for name, undone_of in gone.items():
        state = state_of(target.manifest, name)
        if state.items is not None:
            then = _Then(hold=hold, target=target, name=name, items=state.items, ids=ids)
            found = then.compensated(undone_of, at)
            events += [found] if found is not None else []
        elif state.status is Status.COMPLETED and state.landed in undone_of:
            events.append(PhaseCompensated(at=at, phase=name, duration_ms=0))
    return tuple(events)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Then:
    """The items of a phase as of a checkpoint that is gone back to. `ids`: the branch, newest first."""

    hold: Hold
    target: Checkpoint
    name: PhaseName
    items: Items
    ids: Sequence[Oid]

    def compensated(self, gone: Mapping[int, Ranges], at: str) -> ItemsCompensated | None:
        """Those that were done there and undone since."""
        reader = self.hold.store.reader
        folder = phase_folder(reader, items_folder(reader, self.target.oid, self.hold.store.prefix), self.name)
        progress = Progress(reader, folder)
        stood = set(self._stood_on(progress, gone))
        if not stood:
            return None
        done = progress.among(frozenset({DONE}), 0, self.items.total)
        left = (progress.number(index) for index in done if index not in stood)
        ranges = ranges_of(sorted(stood))
        return ItemsCompensated(
            at=at, phase=self.name, items=ranges, count=count_of(ranges), newest=max(left, default=0), duration_ms=0
        )

    def _stood_on(self, progress: Progress, gone: Mapping[int, Ranges]) -> Iterator[int]:
        """What was done because of those completions: by their numbers; what carried over from an older list has the
        number of the checkpoint that made the list."""
        of_older: dict[str, list[tuple[int, int]]] = {}
        for of, undone in gone.items():
            oid = self._numbered(of)
            then = state_of(self.hold.store.manifest(oid), self.name).items if oid else None
            if then is None:
                continue
            here: Ranges = ()
            if then.list == self.items.list:
                here = ranges_of(index for index in indices_of(undone) if progress.number(index) == of)
                yield from indices_of(here)
            of_older.setdefault(then.list, []).extend(without(undone, here))
        listed: dict[int, bool] = {0: False}
        for blob, ranges in of_older.items():
            old, new = (ItemList(list_file(self.hold, each)) for each in (blob, self.items.list))
            for index in indices_of(carry_over(old, sorted(ranges), new) if ranges else ()):
                number = progress.number(index)
                if number not in listed:
                    listed[number] = self._is_listed_at(number)
                if listed[number]:
                    yield index

    def _numbered(self, number: int) -> Oid | None:
        place = self.hold.at_tip.number - number
        return self.ids[place] if 0 <= place < len(self.ids) else None

    def _is_listed_at(self, number: int) -> bool:
        oid = self._numbered(number)
        events = self.hold.store.events(oid, (ItemsListed.__name__.encode(),)) if oid else ()
        return any(isinstance(event, ItemsListed) and event.phase == self.name for event in events)
