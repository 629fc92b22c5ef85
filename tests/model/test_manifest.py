"""The manifest's own questions: a new run after an old one, a rollback's manifest, and what history is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitckpt.model.advance import IllegalEvent, advance
from gitckpt.model.events import (
    Adopted,
    DataSet,
    Edited,
    Event,
    ForeignChange,
    Named,
    PhaseBlocked,
    PhaseSkipped,
    Redefined,
    Reopened,
    Reset,
    RolledBack,
    Undone,
)
from gitckpt.model.manifest import Goal, Manifest, PhaseState, Source, Status, fresh, rewound, state_of
from gitckpt.model.names import Oid, RunId, WorkflowName
from gitckpt.model.title import Title, title
from tests.model.made import AT, LATER, completed, cut_off, failed, manifest, name, skipped, started

A, B = name("a"), name("b")
TARGET = Oid("0" * 40)
DONE_STATE = PhaseState(
    status=Status.COMPLETED, generation=2, attempts=5, exit_code=0, definition="d", completed=AT, duration_ms=900
)


# --- a new run ----------------------------------------------------------------------------------------------------


def test_a_new_run_begins_anew_but_for_numbers_that_never_fall() -> None:
    old = replace(
        manifest("a", "b", a=DONE_STATE, b=PhaseState(attempts=1)),
        data={"k": 1},
        outside=(A,),
        goal=Goal(kind="reach", checkpoint=TARGET),
        current_state="COMPLETE",
        unknown={"later": 1},
    )
    made = fresh(old, run=RunId("r2"), at=LATER, order=(A, B, name("c")))
    assert state_of(made, A) == PhaseState(generation=3, attempts=5, previous_duration_ms=900)
    assert state_of(made, B) == PhaseState(attempts=1)
    assert state_of(made, name("c")) == PhaseState()
    assert (made.run, made.started_at, made.order) == ("r2", LATER, ("a", "b", "c"))
    assert (made.data, made.outside, made.goal, made.current_state) == ({}, (A,), Goal(), "INIT")
    assert made.unknown == {"later": 1}


def test_a_phase_that_left_the_file_keeps_its_numbers_through_a_new_run() -> None:
    made = fresh(manifest("a", "b", b=DONE_STATE), run=RunId("r2"), at=LATER, order=(A,))
    assert made.order == ("a",)
    assert state_of(made, B).attempts == 5
    assert state_of(made, B).generation == 3
    kept = PhaseState(attempts=1, previous_duration_ms=70)
    assert state_of(fresh(manifest("a", a=kept), run=RunId("r2"), at=AT, order=(A,)), A).previous_duration_ms == 70


# --- going back ---------------------------------------------------------------------------------------------------


def test_a_rollback_takes_the_state_of_its_target_and_keeps_what_may_never_fall() -> None:
    target = replace(
        manifest("a", "b"), data={"k": 1}, run=RunId("old"), params={"P": "1"}, unknown={"then": 1, "both": 1}
    )
    current = replace(
        manifest("a", "b", a=DONE_STATE, b=PhaseState(attempts=2)),
        data={"k": 2},
        sequence=9,
        run=RunId("new"),
        source=Source(branch="main"),
        unknown={"both": 2},
    )
    made = rewound(current, target)
    assert state_of(made, A) == PhaseState(generation=3, attempts=5, previous_duration_ms=900)
    assert state_of(made, B) == PhaseState(attempts=2)
    assert (made.run, made.data, made.params) == ("old", {"k": 1}, {"P": "1"})
    assert (made.sequence, made.source) == (9, Source(branch="main"))
    assert made.unknown == {"then": 1, "both": 2}


def test_a_phase_that_is_as_it_was_then_is_not_called_into_question() -> None:
    both = manifest("a", a=DONE_STATE)
    assert state_of(rewound(both, both), A) == replace(DONE_STATE, previous_duration_ms=900)
    assert state_of(rewound(manifest("a"), manifest("a")), A).generation == 0


def test_a_phase_done_again_since_is_another_generation() -> None:
    then = manifest("a", a=DONE_STATE)
    now = manifest("a", a=replace(DONE_STATE, completed=LATER))
    assert state_of(rewound(now, then), A).generation == 3
    failed_since = manifest("a", a=replace(DONE_STATE, status=Status.FAILED))
    assert state_of(rewound(failed_since, then), A).generation == 3


def test_the_higher_numbers_are_kept_on_whichever_side_they_are() -> None:
    low, high = PhaseState(generation=1, attempts=1), PhaseState(generation=7, attempts=7)
    assert state_of(rewound(manifest("a", a=low), manifest("a", a=high)), A) == high
    made = state_of(rewound(manifest("a", a=high), manifest("a", a=low)), A)
    assert (made.generation, made.attempts) == (7, 7)


def test_phases_that_only_one_side_knows_are_kept() -> None:
    made = rewound(manifest("b", b=DONE_STATE), manifest("a"))
    assert made.order == ("a",)
    assert state_of(made, B) == PhaseState(generation=3, attempts=5, previous_duration_ms=900)


PHASES = st.sampled_from(["a", "b"])
MOVES = st.one_of(
    st.tuples(st.just("completed"), PHASES),
    st.tuples(st.just("failed"), PHASES),
    st.tuples(st.just("cut off"), PHASES),
    st.tuples(st.just("reopened"), PHASES),
    st.tuples(st.just("back"), st.integers(0, 30)),
    st.tuples(st.just("anew"), st.just("r")),
)


@given(st.lists(MOVES, max_size=25))
def test_no_way_through_history_uses_a_number_or_an_idempotency_key_twice(
    moves: Sequence[tuple[str, str | int]],
) -> None:
    history = [advance(None, [started(manifest("a", "b"))])]
    attempts: set[tuple[str, int]] = set()
    finished: set[tuple[str, str, int]] = set()
    for count, (move, about) in enumerate(moves):
        now = history[-1]
        try:
            history.append(advance(now, [event_of(move, about, count, history)]))
        except IllegalEvent:
            continue
        for each in (A, B):
            assert state_of(history[-1], each).generation >= state_of(now, each).generation
            assert state_of(history[-1], each).attempts >= state_of(now, each).attempts
        if move in ("completed", "failed", "cut off"):
            used = (str(about), state_of(history[-1], name(str(about))).attempts)
            assert used not in attempts
            attempts.add(used)
        if move == "completed":
            key = (now.run, str(about), state_of(now, name(str(about))).generation)
            assert key not in finished, "work that had succeeded was begun again under the same key"
            finished.add(key)


def event_of(move: str, about: str | int, count: int, history: Sequence[Manifest]) -> Event:
    now = history[-1]
    if isinstance(about, int):
        target = history[about % len(history)]
        return RolledBack(at=AT, to=target.sequence, target=TARGET, manifest=rewound(now, target), author="Ann")
    attempt = state_of(now, name(about)).attempts + 1
    match move:
        case "completed":
            return replace(completed(about, attempt), at=f"second {count // 3}")
        case "failed":
            return failed(about, attempt)
        case "cut off":
            return cut_off(about, attempt)
        case "reopened":
            return Reopened(at=AT, phases=(name(about),), author="Ann", reason="r")
        case _:
            return started(fresh(now, run=RunId(f"r{count}"), at=AT, order=now.order))


# --- what history is called ---------------------------------------------------------------------------------------

TITLES: list[tuple[Event, Title]] = [
    (started(manifest("a")), Title(kind="start", status="started")),
    (completed("a"), Title(kind="phase", phase=A, status="done")),
    (skipped("a"), Title(kind="phase", phase=A, status="skipped", detail="no need")),
    (
        PhaseSkipped(at=AT, phase=A, reason="by hand", author="Ann"),
        Title(kind="manual", phase=A, status="skipped", detail="by hand"),
    ),
    (PhaseBlocked(at=AT, phase=A, reason="no"), Title(kind="failed", phase=A, status="blocked", detail="no")),
    (failed("a", 2), Title(kind="failed", phase=A, status="failed", detail="a@2 exit 3")),
    (failed("a", partial=True), Title(kind="partial", phase=A, status="failed", detail="a@1 exit 3")),
    (cut_off("a"), Title(kind="failed", phase=A, status="cut off", detail="a@1")),
    (cut_off("a", by_user=True), Title(kind="failed", phase=A, status="interrupted", detail="a@1")),
    (cut_off("a", partial=True), Title(kind="partial", phase=A, status="cut off", detail="a@1")),
    (Named(at=AT, message="m"), Title(kind="named", status="named", detail="m")),
    (Named(at=AT, message="m", phase=A), Title(kind="named", phase=A, status="named", detail="m")),
    (Edited(at=AT, author="Ann"), Title(kind="edit", status="by Ann")),
    (
        Edited(at=AT, author="Ann", restored="a@1"),
        Title(kind="edit", status="by Ann", detail="restored from a@1"),
    ),
    (ForeignChange(at=AT, workflow=WorkflowName("v")), Title(kind="foreign", status="by v")),
    (Redefined(at=AT, order=(A,)), Title(kind="edit", status="definition changed")),
    (DataSet(at=AT, key="k", value=1), Title(kind="manual", status="state", detail="k")),
    (
        Reopened(at=AT, phases=(A, B), author="Ann", reason="retry"),
        Title(kind="manual", phase=A, status="reopened", detail="retry"),
    ),
    (
        RolledBack(at=AT, to=3, target=TARGET, manifest=manifest("a"), author="Ann"),
        Title(kind="rollback", status="rolled back", detail="to 0003"),
    ),
    (
        Undone(at=AT, of=12, target=TARGET, manifest=manifest("a"), author="Ann"),
        Title(kind="rollback", status="undone", detail="of 0012"),
    ),
    (Reset(at=AT, manifest=manifest("a"), author="Ann", reason="r"), Title(kind="manual", status="reset", detail="r")),
    (Adopted(at=AT, manifest=manifest("a"), author="Ann"), Title(kind="edit", status="adopted", detail="by Ann")),
    (
        Adopted(at=AT, manifest=manifest("a"), author="Ann", remote="o"),
        Title(kind="edit", status="adopted", detail="from o"),
    ),
]


@pytest.mark.parametrize(("event", "expected"), TITLES, ids=lambda value: getattr(value, "kind", type(value).__name__))
def test_every_event_has_a_name_in_history(event: Event, expected: Title) -> None:
    assert title([event]) == expected


def test_a_checkpoint_is_called_after_the_most_telling_of_its_events() -> None:
    data = DataSet(at=AT, key="k", value=1)
    edited = Edited(at=AT, author="Ann")
    assert title([data, completed("a")]).kind == "phase"
    assert title([edited, Redefined(at=AT, order=(A,))]).status == "by Ann"
    assert title([edited, Named(at=AT, message="m")]).kind == "named"
    assert title([data, failed("a")]).kind == "failed"
    assert title([edited, data]).kind == "manual"
