"""What is owed to the outside world is every completion that was not compensated, of whichever run.

By the command line, over a journal outside the workspace: `book` adds an entry with its key, `cancel` takes the entry
of that very key out, and fails where there is none.
"""

from __future__ import annotations

import json
import re

import pytest

from gitckpt.api.library import Silent
from gitckpt.api.reading import Where
from gitckpt.api.writing import write
from gitckpt.engine.begin import record
from gitckpt.model.events import GoalSet, PhaseCompensated, Reopened
from gitckpt.model.items import ItemsCompensated
from gitckpt.model.manifest import Goal
from gitckpt.model.names import PhaseName
from tests.engine.booking import Booking
from tests.engine.strikes import Strikes
from tests.repo import Repo


@pytest.fixture
def booking(repo: Repo) -> Booking:
    """Its workflow is not written yet."""
    return Booking(repo)


def undone(booking: Booking, to: str = "1") -> None:
    """Going back compensates all that the journal holds, each booking once, with its key, newest first."""
    held, before = booking.booked, len(booking.log("cancel"))
    refused = booking.repo.run("rollback", to, ok=2).stderr
    assert all(name.split("/")[0] in refused for name in booking.names)
    booking.repo.run("rollback", to, "--compensate")
    cancelled = [*zip(booking.log("cancel"), booking.keys("cancel"), strict=True)][before:]
    assert [f"{name} {key}" for name, key in cancelled] == held[::-1]
    assert (booking.booked, booking.left()) == ([], {})


def test_the_debt_is_of_every_run_newest_first_with_the_items_params_and_keys_that_they_had(booking: Booking) -> None:
    booking.define("plain: {run: 'true'}")
    booking.repo.run("run")
    booking.repo.run("run", "--again", "--set", "P=two")
    assert booking.left() == {}, "what completed runs did is their result"
    planned = json.loads(booking.repo.run("plan", "rollback", "1", "--json").stdout)
    assert [each["phase"] for each in planned["compensations"]] == ["each", "book", "each", "book"]
    assert planned["without"] == ["plain"]
    refused = booking.repo.run("rollback", "1", ok=2).stderr
    assert re.findall(r"^  (\w+): bash cancel.sh(.*)", refused, re.MULTILINE) == [
        *(("each", "  (for each of 2 items)"), ("book", "")),
        *(("each", "  (for each of 2 items)"), ("book", "")),
    ]
    assert "plain has no `compensate`: what it did outside stays" in refused
    undone(booking)
    assert booking.params("cancel") == ["two", "two", "two", "one", "one", "one"]
    booking.repo.run("run")
    assert len(set(booking.keys("book"))) == 9, "what was undone is booked again under new keys"


REOPENED = ["reset", "--from", "--only", "--item", "new list", "rollback", "undo"]


def opened_again(booking: Booking, how: str) -> dict[str, int]:
    """What a completed run did is done again in some way; how much of it that leaves behind."""
    run = booking.repo.run
    match how:
        case "reset":
            booking.fails("each/b")
            run("run", "--again", ok=1)
            run("reset")
            booking.fails()
            run("run")
            return {"book": 1, "each": 1}
        case "--from":
            run("run", "--from", "book")
            return {"book": 1}  # what is done of items carries over
        case "--only":
            run("run", "--only", "book")
            return {"book": 1}
        case "--item":
            run("run", "--item", "b")
            return {"each": 1}
        case "new list":
            booking.items("b", "c")
            run("run", "--from", "each")
            return {"each": 1}
        case "rollback":
            run("rollback", "start", "--no-compensate")
            run("run")
            return {"book": 1, "each": 2}
        case _:
            run("run", "--from", "book")
            assert "gitckpt undo --no-compensate" in run("undo", ok=2).stderr, "it goes back past a completion"
            run("undo", "--no-compensate")
            return {"book": 1}


@pytest.mark.parametrize("how", [pytest.param(how, marks=pytest.mark.sweep) for how in REOPENED])
@pytest.mark.parametrize("view", ["none", "copy", "overlay"])
def test_whatever_opens_a_phase_again_leaves_what_it_did_listed_until_it_is_undone(
    booking: Booking, how: str, view: str
) -> None:
    booking.define(f"plain: {{run: 'true', isolation: {view}}}", each=f"isolation: {view}")
    booking.repo.run("run")
    left = opened_again(booking, how)
    assert booking.left() == left
    assert "left behind outside this folder, not undone: " in booking.repo.run("status").stdout
    booking.repo.run("run", "--again")
    assert booking.left() == left, "a new run changes nothing about it"
    undone(booking)


def test_all_ways_to_open_a_phase_again_add_up(booking: Booking) -> None:
    """The same in one history."""
    booking.define()
    booking.repo.run("run")
    expected: dict[str, int] = {}
    for how in ("reset", "--from", "--item", "new list"):
        for name, count in opened_again(booking, how).items():
            expected[name] = expected.get(name, 0) + count
        assert booking.left() == expected, how
    middle = booking.number()
    booking.repo.run("run", "--again")
    booking.repo.run("rollback", str(middle), "--compensate")
    assert booking.left() == expected, "what was left before is no part of that way back"
    undone(booking)


@pytest.mark.sweep
def test_goto_leaves_what_it_does_again_and_the_end_of_the_run_compensates_every_round_of_it(booking: Booking) -> None:
    booking.define(
        "judge: {run: test -e ../good, on_failure: {goto: book, max: 2}}",
        "pay: {run: bash book.sh, compensate: bash cancel.sh}",
        "last: {run: test -e ../paid, on_failure: compensate}",
    )
    booking.repo.run("run", ok=1)
    assert booking.left() == {"book": 2, "each": 4}, "the last round stands"
    (booking.repo.path.parent / "good").touch()
    held = booking.booked
    booking.repo.run("run", ok=1)
    assert booking.log("cancel") == ["pay", *(line.split()[0] for line in held[::-1])], "this run's, each round of it"
    assert (booking.booked, booking.left()) == ([], {})


@pytest.mark.sweep
def test_on_failure_compensate_undoes_this_run_alone(booking: Booking) -> None:
    booking.define("last: {run: test ! -e ../bad, on_failure: compensate}")
    booking.repo.run("run")
    held = booking.booked
    (booking.repo.path.parent / "bad").touch()
    booking.repo.run("run", "--again", ok=1)
    assert (booking.booked, booking.left()) == (held, {})
    assert booking.log("cancel") == ["each/b", "each/a", "book"]


def test_a_phase_that_is_gone_or_has_no_compensation_any_more_is_undone_as_it_was_done(booking: Booking) -> None:
    booking.define()
    booking.repo.run("run")
    text = (booking.repo.path / "gitckpt.yaml").read_text()
    booking.repo.write("gitckpt.yaml", text.replace("  book:\n", "  reserve:\n"))
    booking.stuck("book")
    booking.repo.run("rollback", "1", "--compensate", ok=1)
    assert (booking.names, booking.log("cancel")) == (["book"], ["each/b", "each/a"])
    assert booking.repo.run("run", ok=1).returncode == 1, "`run` goes on with the rollback: it is not stuck"
    assert "rollback to 0001 is under way" in booking.repo.run("status").stdout
    booking.stuck()
    booking.repo.run("rollback", "1")
    assert (booking.booked, booking.left()) == ([], {})
    booking.repo.run("run")
    booking.define(book="")
    undone(booking)


@pytest.mark.sweep
def test_a_compensation_that_fails_is_fixed_and_goes_on_or_is_given_up_and_listed(booking: Booking) -> None:
    booking.define()
    booking.repo.run("run")
    booking.repo.run("run", "--again")
    booking.stuck("each/a")
    stopped = booking.repo.run("rollback", "1", "--compensate", ok=1).stderr
    assert "--no-compensate" in stopped
    assert booking.log("cancel") == ["each/b"], "nothing that is older is undone before it"
    given_up = booking.repo.run("rollback", "1", "--no-compensate").stdout
    assert "Outside this folder nothing is undone of each, book" in given_up
    assert booking.left() == {"book": 2, "each": 3}
    booking.stuck()
    booking.repo.run("run")
    booking.repo.run("rollback", "1", "--compensate")
    assert (booking.booked, booking.left()) == ([], {})
    assert sorted(booking.keys("cancel")) == sorted(booking.keys("book")), "each of them once"


@pytest.mark.sweep
def test_undo_of_a_rollback_never_brings_back_what_was_compensated(booking: Booking) -> None:
    booking.define()
    booking.repo.run("run")
    booking.repo.run("rollback", "book", "--compensate")
    booking.repo.run("undo")
    assert {each["name"]: each["status"] for each in booking.status()["phases"]} == {
        "book": "completed",
        "each": "compensated",
    }
    booking.repo.run("run")
    assert (booking.names, len(set(booking.keys("book")))) == (["book", "each/a", "each/b"], 5)
    undone(booking)


@pytest.mark.sweep
def test_a_compensation_sees_the_data_of_then_and_can_make_checkpoints(booking: Booking) -> None:
    booking.repo.write(
        "book.sh", 'set -eu\ngitckpt state set booking "$P-$RANDOM"\ngitckpt state get booking >> ../made\n'
    )
    booking.repo.write(
        "cancel.sh",
        "set -eu\ngitckpt state get booking >> ../gone\necho x > note.txt\ngitckpt checkpoint -m half >> ../half\n"
        "gitckpt state set cancelled yes\ntest ! -e ../stuck-book\n",
    )
    booking.repo.write(
        "gitckpt.yaml",
        "version: 1\nworkflow: w\nparams: {P: {default: one}}\nphases:\n"
        "  book: {run: bash book.sh, compensate: bash cancel.sh}\n  late: {run: gitckpt state set booking none}\n",
    )
    folder = booking.repo.path.parent
    booking.repo.run("run")
    booking.repo.run("run", "--again", "--set", "P=two")
    booking.stuck("book")
    booking.repo.run("rollback", "1", "--compensate", ok=1)
    booking.stuck()
    booking.repo.run("rollback", "1", "--compensate")
    one, two = (folder / "made").read_text().splitlines()
    assert (folder / "gone").read_text().splitlines() == [two, two, one]
    assert len((folder / "half").read_text().splitlines()) == 3
    assert "named half" in booking.repo.git("log", "--format=%s", "gitckpt/w")


@pytest.mark.sweep
def test_a_pivot_keeps_what_its_run_did_and_the_runs_before_it(booking: Booking) -> None:
    booking.define(
        "switch: {run: test ! -e ../closed, pivot: true}", "tail: {run: bash book.sh, compensate: bash cancel.sh}"
    )
    booking.repo.run("run")
    held = booking.booked
    (booking.repo.path.parent / "closed").touch()
    booking.repo.run("run", "--again", ok=1)
    planned = json.loads(booking.repo.run("plan", "rollback", "1", "--json").stdout)
    assert (planned["pivot"], planned["outside"]) == ("switch", ["tail", "each", "book"])
    assert [each["phase"] for each in planned["compensations"]] == ["each", "book"]
    said = booking.repo.run("rollback", "1", "--compensate").stdout
    assert booking.booked == held, "what the second run did is undone"
    assert "nothing is compensated past the pivot switch" in said
    assert booking.left() == {"book": 1, "each": 2, "tail": 1}


@pytest.mark.sweep
def test_what_was_left_behind_outlives_the_runs_that_are_dropped(booking: Booking) -> None:
    booking.define()
    for _ in range(2):
        booking.repo.run("run", "--again")
        booking.repo.run("run", "--from", "book")
    left = booking.left()
    assert left == {"book": 2}
    booking.repo.run("gc", "--keep-runs", "1")
    assert booking.left() == left
    first = json.loads(booking.repo.run("log", "--json", "--all").stdout)["checkpoints"][-1]["number"]
    booking.repo.run("rollback", str(first), "--compensate")
    assert booking.left() == {"book": 1}, "of the run that was dropped nothing can be undone"
    assert booking.names == ["book", "each/a", "each/b", "book"]


@pytest.mark.sweep
def test_what_an_older_version_compensated_is_not_compensated_again(booking: Booking) -> None:
    """It recorded no number: it compensated the newest completion, and items of the list of the day."""
    booking.define()
    booking.repo.run("run")
    with write(Where(directory=booking.repo.path), Silent()) as hold:
        at = hold.now()
        items = ItemsCompensated(at=at, phase=PhaseName("each"), items=((1, 1),), count=1, newest=4, duration_ms=1)
        record(hold, items)
        record(hold, PhaseCompensated(at=at, phase=PhaseName("book"), duration_ms=1))
    booking.repo.run("run")
    assert booking.names == ["book", "each/a", "each/b", "book", "each/b"]
    with write(Where(directory=booking.repo.path), Silent()) as hold:  # it told the names of phases alone
        at, names = hold.now(), (PhaseName("book"),)
        record(hold, Reopened(at=at, phases=names, author="Ann", reason=""))
        record(hold, GoalSet(at=at, goal=Goal(), author="Ann", reason="", outside=names))
    booking.repo.run("run")
    assert booking.left() == {"book": 1}, "done again, and not forgotten"
    booking.repo.run("rollback", "1", "--compensate")
    assert booking.log("cancel") == ["book", "each/b", "book", "each/a"]


@pytest.mark.sweep
def test_in_a_clone_going_back_past_a_completion_is_not_silent_either(
    booking: Booking, tmp_path_factory: pytest.TempPathFactory
) -> None:
    booking.define()
    booking.repo.run("run")
    copy = Repo(tmp_path_factory.mktemp("copy"))
    copy.git("fetch", "-q", str(booking.repo.path), "refs/heads/gitckpt/*:refs/remotes/origin/gitckpt/*")
    refused = copy.run("rollback", "1", ok=2).stderr
    assert "each: bash cancel.sh  (for each of 2 items)" in refused
    copy.run("rollback", "latest")
    copy.run("rollback", "1", "--compensate")
    assert booking.booked == []


@pytest.mark.sweep
@pytest.mark.parametrize("point", ["before", "inside", "after"])
def test_a_rollback_killed_in_any_of_its_compensations_goes_on_and_forgets_none(
    booking: Booking, tmp_path_factory: pytest.TempPathFactory, point: str
) -> None:
    strikes = Strikes(booking.repo, tmp_path_factory.mktemp("strikes"))
    at = '"{} $GITCKPT_PHASE${{GITCKPT_ITEM:+/$GITCKPT_ITEM}}"'
    before, inside, after = (f"strike {at.format(each)}\n" for each in ("before", "inside", "after"))
    *most, said = booking.cancel.splitlines(keepends=True)
    # What is undone already counts as undone: it may be tried again with the same key.
    lines = "".join(most).replace('{ echo "nothing is booked so"; exit 9; }', "exit 0")
    booking.repo.write("cancel.sh", f'. "$STRIKE_SH"\n{before}{lines}{inside}{said}{after}')
    booking.define()
    strikes.run("run")
    strikes.run("run", "--again")
    strikes.run("run", "--from", "book")
    count = len(booking.booked)
    for number, name in enumerate(("book", "each/b", "each/a", "book")):
        command = ("rollback", "1", "--compensate") if number % 2 == 0 else ("run",)
        strikes.killed(f"{point} {name}", *command, group=number % 3 == 0)
        gone = number + (point != "before")
        assert len(booking.booked) == count - gone
    strikes.run("rollback", "1")
    assert (booking.booked, booking.left()) == ([], {})
