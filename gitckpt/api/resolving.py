"""`resolve`: which conflicts wait for a decision, and deciding one.

Owns what can be told of a conflict, and by which names its sides can be looked at. Looking takes no lock. Must not
know how any of it is said.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gitckpt.api.opening import open_store
from gitckpt.api.reading import Where
from gitckpt.api.writing import write
from gitckpt.engine.history import completed_items
from gitckpt.engine.ports import Reporter
from gitckpt.engine.resolve import NothingToResolve, resolve
from gitckpt.engine.settle import settle
from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.conflicts import MINE, conflicts
from gitckpt.model.manifest import Conflict, Manifest
from gitckpt.model.names import Oid, PhaseName
from gitckpt.model.together import Rule
from gitckpt.store import refs
from gitckpt.store.store import Store


@dataclass(eq=False)
class NotYours(GitckptError):
    """The short word for one's own edits was said of a phase."""

    phase: str

    exit_code = ExitCode.USAGE

    @property
    def message(self) -> str:
        return f"--mine is for your own edits, and this conflict is one of {self.phase}"

    @property
    def hint(self) -> str:
        return f"to take what {self.phase} did: gitckpt resolve {self.phase} --theirs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A conflict, and where its sides are. `name`: the phase, or `yours`; `theirs`: what came in as an attempt
    (`load@2`) or was kept as a rescue; `items`: which items of the phase it did, for people; `own`: its commit, and
    `ref` the ref that keeps it; `start`: the commit that both sides began from, and `start_number` its number where it
    is a checkpoint of the branch. `tip`: the number of the newest one."""

    name: str
    conflict: Conflict
    theirs: str
    items: str
    own: Oid | None
    ref: str
    start: Oid | None
    start_number: int | None
    branch: str
    prefix: str
    tip: int

    @property
    def is_yours(self) -> bool:
        """Whether the user's own edits are one side of it."""
        return self.name == MINE


def disputes(where: Where, name: str | None = None) -> tuple[Dispute, ...]:
    """What waits for a decision, all of it or what is called so. Raises NoCheckpoints, NothingToResolve."""
    with open_store(where) as (_, store):
        tip = store.tip()
        if tip is None:
            raise store.no_checkpoints()
        found = disputes_in(store, tip.manifest)
    if name is None:
        return found
    named = tuple(each for each in found if each.name == name)
    if not named:
        raise NothingToResolve(name, tuple(each.name for each in found))
    return named


def disputes_in(store: Store, manifest: Manifest) -> tuple[Dispute, ...]:
    """What waits for a decision in a newest manifest."""
    known = frozenset(store.ids())
    return tuple(_dispute(store, manifest, known, *each) for each in conflicts(manifest).items())


def _dispute(store: Store, manifest: Manifest, known: frozenset[Oid], name: str, conflict: Conflict) -> Dispute:
    yours = name == MINE
    own = store.rescues().get(conflict.rescue) if yours else conflict.own
    # A branch that was fetched comes without what is kept beside it.
    commit = store.reader.commit(own) if own is not None else None
    start = commit.parents[0] if commit is not None and commit.parents else None
    kept = refs.rescues(store.workflow) if yours else refs.attempts(store.workflow, PhaseName(name))
    number = conflict.rescue if yours else conflict.attempt
    done = completed_items(store.read(own)) if own is not None and commit is not None and not yours else None
    return Dispute(
        name=name,
        conflict=conflict,
        theirs=f"rescue@{number}" if yours else f"{name}@{number}",
        items=done.detail if done is not None else "",
        own=own,
        ref=f"{kept}{number}",
        start=start,
        start_number=store.manifest(start).sequence if start in known else None,
        branch=store.branch.removeprefix("refs/heads/"),
        prefix=store.prefix.decode(errors="replace"),
        tip=manifest.sequence,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A conflict that was decided: by which checkpoint, whose side counted, and the names of those that still wait."""

    name: str
    how: Rule
    number: int
    left: tuple[str, ...]


def decide(
    where: Where, name: str | None, how: Rule | None, reporter: Reporter, paths: Collection[bytes] = ()
) -> Decided:
    """Decide the conflict of that name, or the only one; `how` None: the user's own side, of a conflict with their own
    edits. `paths`: only for these, where the rest needs no decision; b"" is everything.

    Raises NotYours, Busy, and what `engine.resolve.resolve` raises.
    """
    with write(where, reporter) as hold:
        settle(hold)
        if hold.tip is None:
            raise hold.store.no_checkpoints()
        waiting = conflicts(hold.at_tip.manifest)
        only = next(iter(waiting)) if len(waiting) == 1 else None
        chosen = name or (MINE if how is None and MINE in waiting else only)
        if how is None and chosen is not None and chosen != MINE:
            raise NotYours(chosen)
        made = resolve(hold, chosen, how or "theirs", () if b"" in paths else paths)
        left = tuple(conflicts(made.manifest))
        return Decided(name=chosen or "", how=how or "theirs", number=made.number, left=left)
