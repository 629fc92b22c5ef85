"""Every way to name a checkpoint, and what a wrong name is answered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gitckpt.errors import ExitCode
from gitckpt.model.events import Edited, Event, Named, RolledBack
from gitckpt.model.manifest import fresh, rewound
from gitckpt.model.names import RunId
from gitckpt.store.branch import NoCheckpoints
from gitckpt.store.selectors import NoSuchCheckpoint, select
from tests.model.made import AT, completed, failed, manifest, skipped, started
from tests.repo import Repo
from tests.store.ledger import Ledger

EDIT = Edited(at=AT, author="Ann")


@pytest.fixture
def history(ledger: Ledger) -> Ledger:
    """0001 start · 2 extract · 3 edit · 4 load fails · 5 edit · 6 load fails · 7 load · 8 named · 9 skipped."""
    ledger.add(started(manifest("extract", "load", "beef", "last")))
    events: list[Event] = [
        completed("extract"),
        EDIT,
        failed("load", 1),
        EDIT,
        failed("load", 2),
        completed("load", 3),
        Named(at=AT, message="Before lunch"),
        skipped("beef"),
    ]
    for number, event in enumerate(events, 2):
        if number in (4, 6):
            ledger.attempt("load", number // 2 - 1, event, {b"left": b"%d" % number})
        ledger.add(event, files={b"f": b"%d" % number})
    return ledger


def number_of(ledger: Ledger, selector: str) -> int:
    return select(ledger.store, selector).checkpoint.number


NUMBERS = {
    "extract": 2,
    "load": 7,
    "beef": 9,
    "before:load": 5,
    "before:extract": 1,
    "before:beef": 8,
    "before:last": 9,
    "1": 1,
    "7": 7,
    "0007": 7,
    "0007-load": 7,
    "0004-load": 4,
    "0003-edit": 3,
    "0008-Before-lunch": 8,
    "gitckpt/w/0007-load": 7,
    "refs/tags/gitckpt/w/0007-load": 7,
    "gitckpt/w/latest": 9,
    "start": 1,
    "latest": 9,
    "latest~0": 9,
    "latest~2": 7,
    "latest~8": 1,
}


@pytest.mark.parametrize("tags", ["with tags", "without tags"])
def test_every_form_names_its_checkpoint_from_the_branch_alone(repo: Repo, history: Ledger, tags: str) -> None:
    if tags == "without tags":
        repo.git("tag", "-d", *repo.git("tag").splitlines())
    assert {selector: number_of(history, selector) for selector in NUMBERS} == NUMBERS


def test_labels_and_commit_ids(history: Ledger) -> None:
    chosen = select(history.store, "7")
    assert (chosen.label, chosen.beside) == ("0007-load", False)
    assert select(history.store, "start").label == "0001-start"
    for length in (7, 40):
        assert number_of(history, chosen.checkpoint.oid[:length]) == 7


def test_attempts_and_rescues_are_named_with_an_at(history: Ledger) -> None:
    history.beside("refs/gitckpt/w/rescue/3", EDIT, files={b"mine": b"x"})
    history.beside("refs/gitckpt/w/diverged/1", EDIT, files={b"other": b"x"})
    first = select(history.store, "load@1")
    assert first.beside
    assert first.label == "load@1"
    assert first.checkpoint.events == (failed("load", 1),)
    assert select(history.store, "load@2").checkpoint.events == (failed("load", 2),)
    assert select(history.store, "rescue@3").beside
    assert select(history.store, "diverged@1").beside
    assert select(history.store, first.checkpoint.oid[:12]).checkpoint == first.checkpoint


NOTHING = [
    "",
    "0",
    "10",
    "00000000000007",
    "latest~9",
    "latest~",
    "latest~-1",
    "latest~99999999999",
    "last",
    "before:nope",
    "before:",
    "0007-extract",
    "0010-load",
    "load@3",
    "load@",
    "@1",
    "load@²",
    "²",
    "rescue@1",
    "load@" + "9" * 5000,
    "9" * 5000,
    "abc",
    "0" * 40,
    "HEAD",
    "gitckpt/w",
    "main",
    "-",
    "--all",
    "a b",
    "../x@1",
    "*@1",
    "refs/heads/gitckpt/w",
    "lo\nad",
    "\udcff",
]


def test_what_names_nothing_is_an_error_of_usage(history: Ledger) -> None:
    for selector in NOTHING:
        with pytest.raises(NoSuchCheckpoint) as wrong:
            pytest.fail(f"{selector!a} named {select(history.store, selector).label}")
        assert wrong.value.exit_code is ExitCode.USAGE
        assert "gitckpt log" in wrong.value.hint


@pytest.mark.parametrize(
    ("selector", "near"),
    [("laod", "load"), ("extrct", "extract"), ("lates", "latest"), ("load@7", "load@2"), ("0007-lod", "0007-load")],
)
def test_a_wrong_name_gets_the_near_ones(history: Ledger, selector: str, near: str) -> None:
    with pytest.raises(NoSuchCheckpoint) as wrong:
        select(history.store, selector)
    assert near in wrong.value.near
    assert near in wrong.value.message


def test_without_history_every_name_says_so(ledger: Ledger) -> None:
    with pytest.raises(NoCheckpoints):
        select(ledger.store, "latest")


def test_a_tag_that_somebody_moved_does_not_mislead(repo: Repo, history: Ledger) -> None:
    repo.git("tag", "-f", "gitckpt/w/0007-load", "gitckpt/w/0002-extract")
    assert number_of(history, "0007-load") == 7
    assert number_of(history, "load") == 7


def test_start_is_that_of_the_newest_run_and_a_phase_its_newest_completion(history: Ledger) -> None:
    tip = history.store.tip()
    assert tip is not None
    anew = fresh(tip.manifest, run=RunId("r2"), at=AT, order=tip.manifest.order)
    history.add(started(anew))
    assert number_of(history, "start") == 10
    assert number_of(history, "load") == 7
    history.add(completed("load", 4))
    assert number_of(history, "load") == 11
    assert number_of(history, "before:load") == 10


def test_after_a_rollback_numbers_still_count_along_the_branch(history: Ledger) -> None:
    tip = history.store.tip()
    target = select(history.store, "extract").checkpoint
    assert tip is not None
    back = RolledBack(at=AT, to=2, target=target.oid, manifest=rewound(tip.manifest, target.manifest), author="Ann")
    history.add(back)
    assert number_of(history, "latest") == 10
    assert number_of(history, "2") == 2
    assert number_of(history, "0010-rollback") == 10


def test_a_checkpoint_without_files_of_its_own_is_named_as_any_other(ledger: Ledger) -> None:
    ledger.add(started(replace(manifest("a"), run=RunId("r"))))
    assert number_of(ledger, "start") == number_of(ledger, "latest") == number_of(ledger, "before:a") == 1
