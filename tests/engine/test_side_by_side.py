"""Phases and items that run at the same time: that they do, in which order they come into the history, and how it ends
when one of them fails, is stopped, or does what it should not."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from gitckpt.api.library import Silent
from gitckpt.api.reading import Where
from gitckpt.api.running import RunRequest, run_workflow
from gitckpt.model.moment import Stop, Verdict
from gitckpt.model.names import PhaseName
from gitckpt.progress.events import ProgressEvent
from tests.engine.bed import Bed
from tests.engine.beside import Point, asked, changed, credited, history, left_over, merges
from tests.repo import Repo


@pytest.fixture
def bed(repo: Repo) -> Bed:
    return Bed(repo)


def phases(bed: Bed, text: str, top: str = "") -> None:
    """A workflow of phases, each line as it stands."""
    lines = "".join(f"  {line}\n" for line in text.strip().splitlines())
    bed.define(f"version: 1\nworkflow: w\n{top}phases:\n{lines}")


def words(bed: Bed) -> list[str]:
    return [point.words for point in history(bed.root)]


def shown(bed: Bed) -> set[str]:
    """The names in the workspace."""
    return {path.name for path in bed.root.iterdir()} - {".git", ".gitckpt", "gitckpt.yaml"}


# --- at the same time -----------------------------------------------------------------------------------------------

STAMPED = 'date +%s%N > "../begin-$GITCKPT_PHASE$ITEM"; {}; date +%s%N > "../end-$GITCKPT_PHASE$ITEM"'


def stamps(bed: Bed, word: str) -> dict[str, int]:
    return {path.name.removeprefix(word): int(path.read_text()) for path in bed.root.parent.glob(f"{word}*")}


def test_a_phase_took_as_long_as_any_of_its_items_ran(bed: Bed) -> None:
    run = STAMPED.format("sleep 0.5")
    phases(bed, f"each: {{foreach: [a, b, c, d], max_parallel: 4, run: '{run}'}}")
    bed.completes()
    begins, ends = stamps(bed, "begin-"), stamps(bed, "end-")
    each = sum(ends[name] - begins[name] for name in begins) / 1e6
    took = bed.manifest.phases[PhaseName("each")].duration_ms
    assert took is not None
    assert (max(ends.values()) - min(begins.values())) / 1e6 - 1 <= took < 0.75 * each


def test_phases_of_which_none_needs_another_run_at_once(bed: Bed) -> None:
    run = STAMPED.format("sleep 0.3")
    phases(bed, "\n".join(f"{name}: {{needs: [], run: '{run}'}}" for name in "abc"))
    bed.completes()
    begins, ends = stamps(bed, "begin-"), stamps(bed, "end-")
    assert sorted(begins) == ["a", "b", "c"]
    assert max(begins.values()) < min(ends.values())


def test_items_run_at_once_up_to_what_their_phase_allows(bed: Bed) -> None:
    run = STAMPED.format("sleep 0.15")
    phases(bed, f"each: {{foreach: [a, b, c, d], max_parallel: 2, run: '{run}'}}")
    bed.completes()
    moments = sorted(
        [(at, 1) for at in stamps(bed, "begin-").values()] + [(at, -1) for at in stamps(bed, "end-").values()]
    )
    assert max(itertools.accumulate(step for _, step in moments)) == 2


def test_one_job_is_one_at_a_time_and_without_views(bed: Bed) -> None:
    run = STAMPED.format("sleep 0.02; echo 1 > $GITCKPT_PHASE")
    phases(bed, "\n".join(f"{name}: {{needs: [], run: '{run}'}}" for name in "ab"))
    bed.completes(jobs=1)
    assert stamps(bed, "end-")["a"] <= stamps(bed, "begin-")["b"]
    assert not merges(history(bed.root))


def test_what_a_phase_needs_is_there_and_what_runs_beside_it_is_not(bed: Bed) -> None:
    phases(
        bed,
        """
left: {needs: [], run: "echo l > left; ls > seen-left"}
right: {needs: [], run: "echo r > right; ls > seen-right"}
join: {needs: [left, right], run: "cat left right > join; ls > seen-join"}
""",
    )
    bed.completes()
    assert bed.lines("join") == ["l", "r"]
    assert "right" not in bed.lines("seen-left")
    assert "left" not in bed.lines("seen-right")
    assert credited(bed.root) == {"left": {"left", "seen-left"}, "right": {"right", "seen-right"}}
    assert words(bed)[-1] == "join done", "nothing can run beside it: it needs no view"


# --- the same history whichever was first ---------------------------------------------------------------------------

NAPPING = """
first: {needs: [], run: 'sleep "$(cat ../nap-first)"; echo 1 > first; echo all > shared-first'}
second: {needs: [], run: 'sleep "$(cat ../nap-second)"; echo 2 > second; rm old'}
third: {needs: [], run: 'sleep "$(cat ../nap-third)"; mkdir third; echo 3 > third/file; chmod 755 kept'}
items: {needs: [], foreach: [x, y, z], max_parallel: 3, run: 'sleep "$(cat ../nap-$ITEM)"; echo "$ITEM" > of-$ITEM'}
after: {needs: [second, items], run: 'cat second of-* > seen'}
last: {needs: [first, third, after], run: 'ls > all'}
"""
NAPS = ("first", "second", "third", "x", "y", "z")


def napped(folder: Path, naps: Sequence[str]) -> tuple[list[Point], list[str], Bed]:
    """One run whose phases take these times: its history and tags."""
    bed = Bed(Repo(folder / "repo"))
    phases(bed, NAPPING)
    bed.repo.write("old")
    bed.repo.write("kept")
    for name, nap in zip(NAPS, naps, strict=True):
        (folder / f"nap-{name}").write_text(nap)
    bed.completes(jobs=6)
    bed.repo.untouched()
    bed.repo.sound()
    return history(bed.root), asked(bed.root, "tag", "--list").decode().split(), bed


def test_whichever_ends_first_the_history_is_the_same(tmp_path: Path) -> None:
    naps = ["0", "0.05", "0.1", "0", "0.05", "0.1"]
    ways = [napped(tmp_path / str(turn), naps[turn:] + naps[:turn]) for turn in (0, 2, 5)]
    points, tags, bed = ways[0]
    listed = ["start started", "items listed 3 items"]
    assert [point.words for point in points if point.words not in listed] == [
        "first done",
        "second done",
        "third done",
        "items done item x (1 of 3)",
        "items done item y (2 of 3)",
        "items done item z (3 of 3)",
        "items done",
        "after done",
        "last done",
    ]
    for other, other_tags, _ in ways[1:]:
        assert [(each.words, each.files, len(each.parents)) for each in other] == [
            (each.words, each.files, len(each.parents)) for each in points
        ]
        assert other_tags == tags
    made = [point for point in points if len(point.parents) == 2]
    own = changed(bed.root, (point.parents[1] for point in made))
    said = {point.words: own[point.parents[1]] for point in made}
    assert said["second done"] == {"second", "old"}
    assert said["third done"] == {"third/file", "kept"}
    assert said["items done item y (2 of 3)"] == {"of-y"}
    assert bed.lines("seen") == ["2", "x", "y", "z"]


# --- an end that is not a success -----------------------------------------------------------------------------------


class Signals:
    """The user's wish to stop, from the moment that so many phases have begun."""

    def __init__(self, begun: int, wish: Literal["interrupt", "terminate"] = "interrupt") -> None:
        self.left = begun
        self.wish: Literal["interrupt", "terminate"] = wish
        self.folder = Path()

    def __call__(self) -> tuple[Literal["interrupt", "terminate"] | None, int]:
        is_due = len(list(self.folder.glob("began-*"))) >= self.left
        return (self.wish, 1) if is_due else (None, 0)


class Heard(Silent):
    """What was told."""

    def __init__(self) -> None:
        self.events: list[ProgressEvent] = []

    def __call__(self, event: ProgressEvent) -> None:
        self.events.append(event)


def stopped(bed: Bed, signals: Signals) -> Stop:
    signals.folder = bed.root.parent
    return run_workflow(Where(directory=bed.root), RunRequest(), Silent(), signals).stop


def kept(bed: Bed) -> list[str]:
    """The attempts that are kept."""
    start = "refs/gitckpt/w/attempts/"
    return [
        ref.removeprefix(start)
        for ref in asked(bed.root, "for-each-ref", "--format=%(refname)", start).decode().split()
    ]


BESIDE_A_FAILURE = """
bad: {needs: [], run: "echo b > bad; exit 3"}
good: {needs: [], run: "sleep 0.2; echo g > good"}
after: {needs: [bad], run: "echo a > after"}
other: {needs: [good], run: "echo o > other"}
"""


def test_a_failure_lets_the_others_end_and_keeps_what_they_did(bed: Bed) -> None:
    phases(bed, BESIDE_A_FAILURE)
    stop = bed.fails("exit 3")
    assert stop.phases[0] == "bad"
    assert shown(bed) == {"good"}
    assert kept(bed) == ["bad/1"]
    assert credited(bed.root) == {"good": {"good"}}
    assert left_over(bed.root) == []


def test_with_keep_going_what_does_not_need_the_failed_one_is_done(bed: Bed) -> None:
    phases(bed, BESIDE_A_FAILURE)
    bed.fails("", keep_going=True)
    assert shown(bed) == {"good", "other"}


def test_fail_fast_ends_the_others_at_once_and_keeps_their_attempts(bed: Bed) -> None:
    phases(
        bed,
        """
bad: {needs: [], run: "while ! test -e ../began; do sleep 0.01; done; exit 3"}
long: {needs: [], run: "echo half > half; touch ../began; sleep 30; echo whole > whole"}
""",
        top="fail_fast: true\n",
    )
    stop = bed.fails("exit 3")
    assert stop.phases[0] == "bad"
    assert shown(bed) == set()
    assert kept(bed) == ["bad/1", "long/1"]
    assert left_over(bed.root) == []


@pytest.mark.parametrize(("wish", "verdict"), [("interrupt", Verdict.INTERRUPTED), ("terminate", Verdict.TERMINATED)])
def test_a_wish_to_stop_ends_all_in_flight_and_keeps_each_attempt(
    bed: Bed, wish: Literal["interrupt", "terminate"], verdict: Verdict
) -> None:
    run = "echo half > of-$GITCKPT_PHASE; touch ../began-$GITCKPT_PHASE; test -e ../go || sleep 30"
    phases(bed, "\n".join(f"{name}: {{needs: [], run: '{run}'}}" for name in "abc"))
    stop = stopped(bed, Signals(3, wish))
    assert stop.verdict is verdict
    assert kept(bed) == ["a/1", "b/1", "c/1"]
    assert shown(bed) == set()
    assert left_over(bed.root) == []
    (bed.root / "../go").touch()
    bed.completes()
    assert credited(bed.root) == {name: {f"of-{name}"} for name in "abc"}


def test_a_phase_that_takes_too_long_fails_alone(bed: Bed) -> None:
    phases(
        bed,
        """
slow: {needs: [], run: "echo s > slow; sleep 30", timeout: 100ms}
good: {needs: [], run: "sleep 0.2; echo g > good"}
""",
    )
    bed.fails("timed out")
    assert shown(bed) == {"good"}
    assert kept(bed) == ["slow/1"]


def test_a_retry_of_one_waits_for_nobody_and_its_view_begins_anew(bed: Bed) -> None:
    phases(
        bed,
        """
flaky: {needs: [], retry: {max: 2, delay: 1ms}, run: "test ! -e half; echo h > half; test $GITCKPT_ATTEMPT = 3"}
long: {needs: [], run: "sleep 0.3; echo l > long"}
""",
    )
    bed.completes()
    assert shown(bed) == {"half", "long"}
    assert kept(bed) == ["flaky/1", "flaky/2"]


def test_a_pause_lets_what_is_in_flight_end_and_begins_nothing_more(bed: Bed) -> None:
    pause = f"{sys.executable} -m gitckpt pause > ../said"
    phases(
        bed,
        f"""
one: {{needs: [], run: "{pause}; echo 1 > one"}}
two: {{needs: [], run: "while ! test -s ../said; do sleep 0.01; done; echo 2 > two"}}
three: {{needs: [one, two], run: "echo 3 > three"}}
""",
    )
    stop = bed.run()
    assert (stop.verdict, stop.reason.split()[0]) == (Verdict.STOPPED, "paused")
    assert shown(bed) == {"one", "two"}
    bed.completes()
    assert shown(bed) == {"one", "two", "three"}


def test_when_the_time_of_a_run_is_used_up_what_is_in_flight_ends_and_lands(bed: Bed) -> None:
    phases(
        bed,
        """
one: {needs: [], run: "sleep 0.2; echo 1 > one"}
two: {needs: [], run: "sleep 0.2; echo 2 > two"}
three: {needs: [one], run: "echo 3 > three"}
""",
    )
    assert bed.run(budget_ms=100).verdict is Verdict.STOPPED
    assert shown(bed) == {"one", "two"}
    bed.completes()


# --- what a phase in a view may not, or should not ------------------------------------------------------------------


@pytest.mark.parametrize("isolation", ["overlay", "copy"])
def test_what_outlives_a_phase_in_a_view_is_ended_and_named(bed: Bed, isolation: str) -> None:
    phases(bed, 'one: {run: "setsid sleep 61.5 & echo 1 > one"}', top=f"isolation: {isolation}\n")
    heard = Heard()
    run_workflow(Where(directory=bed.root), RunRequest(), heard, lambda: (None, 0))
    assert any("sleep 61.5" in str(event) for event in heard.events)
    assert shown(bed) == {"one"}
    assert left_over(bed.root) == []


def test_a_phase_that_unmounts_its_view_fails_and_the_workspace_stays_as_it_was(bed: Bed) -> None:
    phases(
        bed, """one: {run: 'umount -l -- "$PWD"; cd "$PWD"; echo gone > gone; exit 0'}""", top="isolation: overlay\n"
    )
    stop = bed.run()
    if stop.verdict is Verdict.COMPLETE:  # nobody but the superuser can
        assert shown(bed) == {"gone"}
    else:
        assert stop.verdict is Verdict.FAILED
        assert "view" in stop.reason
    assert left_over(bed.root) == []


def test_a_file_saved_meanwhile_stays_and_is_the_users(bed: Bed) -> None:
    phases(
        bed,
        """
one: {needs: [], run: "touch ../began; while ! test -e ../go; do sleep 0.01; done; echo 1 > one"}
two: {needs: [], run: "echo 2 > two"}
""",
    )

    def saves() -> tuple[None, int]:
        if (bed.root / "../began").exists():
            bed.repo.write("mine", "the user's\n")
            (bed.root / "../go").touch()
        return None, 0

    stop = run_workflow(Where(directory=bed.root), RunRequest(), Silent(), saves).stop
    assert stop.verdict is Verdict.COMPLETE
    assert shown(bed) == {"one", "two", "mine"}
    assert credited(bed.root) == {"one": {"one"}, "two": {"two"}}
    bed.completes(again=True)
    assert "edit by Ann Example" in words(bed)
