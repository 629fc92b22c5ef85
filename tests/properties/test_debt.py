"""The debt outside: whatever is done, what a journal outside the workspace holds is what going back to the beginning
would undo, and what `status` lists as left behind is what nothing stands on any more.

By the real command line. The model is told only what each command is, what appeared in the journal by it, and what
`status` says is done; it keeps by itself which entries stand, which are the result of runs that were completed, and so
which were left behind.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.booking import Booking
from tests.repo import Repo

Op: TypeAlias = tuple[str, int]
"""What is done, and a number that it picks something by."""

Entry: TypeAlias = str
"""A line of the journal: what was booked, and its key."""

RUNS = ["run", "again", "from book", "from each", "only book", "only each", "item", "retry"]
WAYS = ["leave", "leave", "compensate", "compensate", "give up"]
OTHERS = ["reset", "list", "list", "fail", "fail", "fail", "undo"]
OPS = st.tuples(st.sampled_from([*RUNS, *RUNS, *WAYS, *OTHERS]), st.integers(0, 999))
VIEWS = st.sampled_from(["", "isolation: copy", "max_parallel: 2"])
FAILING = [(), ("book",), ("each/a",), ("each/b",), ("each/c",), ("book", "each/b")]
LISTS = ["ab", "abc", "bc", "ca", "abcd", "d"]


@dataclass(frozen=True, slots=True)
class Moment:
    """What was known when a checkpoint was the newest: which entries where things stand came by, and which are results
    of runs that were completed."""

    number: int
    standing: frozenset[Entry] = frozenset()
    results: frozenset[Entry] = frozenset()


@dataclass(slots=True)
class Model:
    """See the module."""

    booking: Booking
    now: Moment = field(default_factory=lambda: Moment(0))
    known: list[Moment] = field(default_factory=list)
    before_command: Moment | None = None
    seen: set[Entry] = field(default_factory=set)

    def command(self, *arguments: str) -> int:
        return self.booking.repo.run(*arguments, ok=None).returncode

    # --- what is done ---------------------------------------------------------------------------------------------

    def do(self, op: str, which: int) -> None:
        before, since = self.now, self.before_command
        self.before_command = None
        match op:
            case "list":
                self.booking.items(*LISTS[which % len(LISTS)])
                return
            case "fail":
                self.booking.fails(*FAILING[which % len(FAILING)])
                return
            case "reset":
                complete = self.complete()
                assert self.command("reset") == 0
                results = before.results | (before.standing if complete else frozenset())
                self.now = Moment(0, frozenset(), results)
                self.before_command = before
            case "undo":
                if since is not None:  # right after a reset, or a way back
                    assert self.command("undo") == 0
                    self.arrived(since)
            case "leave" | "compensate" | "give up":
                self.go_back(op, which)
                self.before_command = before
            case _:
                self.run(op)
        self.now = replace(self.now, number=self.booking.number())
        self.known.append(self.now)

    def run(self, op: str) -> None:
        arguments = {
            "run": ["run"],
            "again": ["run", "--again"],
            "from book": ["run", "--from", "book"],
            "from each": ["run", "--from", "each"],
            "only book": ["run", "--only", "book"],
            "only each": ["run", "--only", "each"],
            "item": ["run", "--item", "b"],
            "retry": ["retry"],
        }[op]
        if op == "again" and self.complete():
            self.now = replace(self.now, standing=frozenset(), results=self.now.results | self.now.standing)
        code = self.command(*arguments)
        assert code in (0, 1, 2, 5, 75), code
        self.now = replace(self.now, standing=self.standing())

    def standing(self) -> frozenset[Entry]:
        """By what `status` says is done: an entry made just now, else the one that stood before."""
        new = [entry for entry in self.booking.booked if entry not in self.seen]
        newest = {entry.split()[0]: entry for entry in (*sorted(self.now.standing), *new)}
        return frozenset(newest[name] for name in self.done() if name in newest)

    def done(self) -> set[str]:
        now = {each["name"]: each for each in self.booking.status()["phases"]}
        found = {"book"} if now["book"]["status"] == "completed" else set()
        items = now["each"]["items"]
        if items is not None and items["stale"]:  # which of them carry over is known when the list is made anew
            return found | {name for name in (entry.split()[0] for entry in self.now.standing) if name != "book"}
        if items is not None:
            rows = json.loads(self.booking.repo.run("items", "each", "--json").stdout)["items"]
            found |= {f"each/{row['key']}" for row in rows if row["state"] == "done"}
        return found

    def complete(self) -> bool:
        return bool(self.booking.status()["current_state"] == "COMPLETE")

    def go_back(self, op: str, which: int) -> None:
        to = self.known[which % len(self.known)]
        selector = str(to.number)
        owed = self.plan(selector)
        refused = self.command("rollback", selector)
        assert refused == (2 if owed else 0), "going back past a completion is never silent"
        if refused == 0:
            self.arrived(to)
            return
        if op == "leave":
            assert self.command("rollback", selector, "--no-compensate") == 0
        elif op == "compensate":
            assert self.command("rollback", selector, "--compensate") == 0
            assert self.plan(selector) == Counter()
        else:
            stuck = sorted({entry.split()[0] for entry in self.booking.booked})
            self.booking.stuck(stuck[which % len(stuck)])
            if self.command("rollback", selector, "--compensate"):
                self.holds()
                self.tells_what_is_left()
                assert self.command("rollback", selector, "--no-compensate") == 0
            self.booking.stuck()
        self.arrived(to)

    def arrived(self, to: Moment) -> None:
        held = set(self.booking.booked)
        self.now = Moment(0, frozenset(to.standing & held), frozenset(to.results & held))

    # --- what must hold -------------------------------------------------------------------------------------------

    def plan(self, selector: str) -> Counter[Any]:
        """What going back there would undo, by phase."""
        told = json.loads(self.booking.repo.run("plan", "rollback", selector, "--json").stdout)
        found: Counter[Any] = Counter()
        for each in told["compensations"]:
            found[each["phase"]] += each["count"]
        return found

    def holds(self) -> None:
        held = Counter(name.split("/")[0] for name in self.booking.names)
        assert self.plan("1") == held, "the journal holds what going back to the beginning would undo"
        assert len(set(self.booking.keys("book"))) == len(self.booking.keys("book")), "no key is given twice"
        assert len(set(self.booking.keys("cancel"))) == len(self.booking.keys("cancel")), "nothing is undone twice"

    def tells_what_is_left(self) -> None:
        live = set(self.booking.booked)
        left = live - self.now.standing - self.now.results
        assert self.booking.left() == Counter(entry.split("/")[0].split()[0] for entry in left)
        self.seen |= live


def plays(view: str, ops: list[Op]) -> None:
    with TemporaryDirectory() as folder:
        place = Path(folder, "w")
        place.mkdir()
        repo = Repo(place)
        booking = Booking(repo)
        booking.define(each=view)
        model = Model(booking)
        for op, which in (("run", 0), *ops):
            model.do(op, which)
            model.holds()
            model.tells_what_is_left()
        model.command("rollback", "1", "--compensate")
        assert (booking.booked, booking.left()) == ([], {}), "nothing is owed any more"
        repo.sound()


@settings(max_examples=2)
@given(VIEWS, st.lists(OPS, min_size=5, max_size=8))
def test_the_journal_holds_what_going_back_would_undo_and_status_lists_what_was_left(view: str, ops: list[Op]) -> None:
    plays(view, ops)


@pytest.mark.sweep
@settings(max_examples=10)
@given(VIEWS, st.lists(OPS, min_size=6, max_size=14))
def test_the_same_of_longer_histories(view: str, ops: list[Op]) -> None:
    plays(view, ops)


@pytest.mark.full
@pytest.mark.timeout(7200)
@settings(max_examples=400, derandomize=False, print_blob=True)
@given(VIEWS, st.lists(OPS, min_size=6, max_size=30))
def test_the_same_of_many_long_histories(view: str, ops: list[Op]) -> None:
    plays(view, ops)
