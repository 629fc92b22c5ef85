"""The law of every checkpoint: what each event makes of a manifest, and which events cannot have happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitckpt.model.advance import IllegalEvent, advance
from gitckpt.model.events import (
    Adopted,
    DataAppended,
    DataIncremented,
    DataSet,
    Edited,
    Event,
    ForeignChange,
    Named,
    PhaseBlocked,
    Redefined,
    Reopened,
    Reset,
    RolledBack,
    Undone,
)
from gitckpt.model.manifest import DONE, Json, Manifest, PhaseState, Status, Uncaptured, state_of
from gitckpt.model.names import Oid, RunId, WorkflowName
from tests.model.made import AT, LATER, completed, cut_off, failed, manifest, name, skipped, started

A, B = name("a"), name("b")
TARGET = Oid("0" * 40)


def blocked(text: str = "a") -> PhaseBlocked:
    return PhaseBlocked(at=LATER, phase=name(text), reason="no disk")


def reopened(*names: str) -> Reopened:
    return Reopened(at=LATER, phases=tuple(map(name, names)), author="Ann", reason="mended")


def named(text: str | None) -> Named:
    return Named(at=LATER, message="half way", phase=None if text is None else name(text))


def test_a_run_begins_with_the_manifest_it_carries_as_checkpoint_one() -> None:
    whole = replace(manifest("a", "b"), sequence=77, updated_at="", current_state="nonsense")
    made = advance(None, [started(whole)])
    assert made == replace(whole, sequence=1, updated_at=AT, current_state="INIT")


def test_a_new_run_goes_on_with_the_numbers_of_the_history() -> None:
    made = advance(replace(manifest("a"), sequence=41), [started(manifest("a", "b"))])
    assert made.sequence == 42
    assert made.order == (A, B)


def test_each_checkpoint_is_one_more_than_its_first_parent_however_many_events_it_has() -> None:
    made = advance(manifest("a", "b"), [DataSet(at=AT, key="k", value=1), completed("a"), skipped("b")])
    assert made.sequence == 2
    assert made.updated_at == LATER


def test_a_checkpoint_without_an_event_is_refused() -> None:
    with pytest.raises(IllegalEvent):
        advance(manifest("a"), [])


FIRST_REFUSED: list[Event] = [
    Edited(at=AT, author="Ann"),
    ForeignChange(at=AT, workflow=WorkflowName("v")),
    completed("a"),
    skipped("a"),
    blocked(),
    failed("a"),
    cut_off("a"),
    named(None),
    named("a"),
    DataSet(at=AT, key="k", value=1),
    DataAppended(at=AT, key="k", value=1),
    DataIncremented(at=AT, key="k", by=1),
    reopened("a"),
    Redefined(at=AT, order=(A,)),
    RolledBack(at=AT, to=1, target=TARGET, manifest=manifest("a"), author="Ann"),
    Undone(at=AT, of=1, target=TARGET, manifest=manifest("a"), author="Ann"),
    Reset(at=AT, manifest=manifest("a"), author="Ann"),
]


@pytest.mark.parametrize("event", FIRST_REFUSED, ids=lambda event: type(event).__name__)
def test_only_a_run_or_an_adoption_begins_a_history(event: Event) -> None:
    with pytest.raises(IllegalEvent):
        advance(None, [event])
    assert advance(None, [Adopted(at=AT, manifest=manifest("a"), author="Ann")]).sequence == 1


def test_a_completed_phase_forgets_its_failures_and_keeps_its_first_start() -> None:
    before = PhaseState(
        status=Status.FAILED,
        generation=2,
        attempts=4,
        cut_offs=2,
        exit_code=3,
        detail="exit 3",
        partial=True,
        started="earlier",
    )
    event = replace(completed("a", 5), uncaptured=Uncaptured(paths=("x",), count=1, size=9))
    made = state_of(advance(manifest("a", "b", a=before), [event]), A)
    assert made == PhaseState(
        status=Status.COMPLETED,
        generation=2,
        attempts=5,
        cut_offs=0,
        exit_code=0,
        definition="sha256:00",
        detail=None,
        partial=False,
        started="earlier",
        completed=LATER,
        duration_ms=1500,
        landed=2,
        uncaptured=event.uncaptured,
    )


def test_a_phase_that_completes_at_once_started_when_the_attempt_did() -> None:
    assert state_of(advance(manifest("a"), [completed("a")]), A).started == AT


def test_a_failure_counts_the_attempt_and_keeps_why() -> None:
    before = PhaseState(cut_offs=2, attempts=2, started="earlier")
    made = state_of(advance(manifest("a", a=before), [failed("a", 3)]), A)
    assert made == PhaseState(
        status=Status.FAILED, attempts=3, cut_offs=0, exit_code=3, detail="exit 3", started="earlier", duration_ms=700
    )
    assert state_of(advance(manifest("a"), [failed("a")]), A).started == AT


def test_what_was_kept_of_one_attempt_stays_kept_when_the_next_leaves_nothing() -> None:
    once = advance(manifest("a"), [failed("a", 1, partial=True)])
    assert state_of(once, A).partial
    assert state_of(advance(once, [failed("a", 2)]), A).partial
    assert state_of(advance(once, [cut_off("a", 2)]), A).partial
    assert state_of(advance(manifest("a"), [cut_off("a", 1, partial=True)]), A).partial
    assert not state_of(advance(manifest("a"), [failed("a")]), A).partial
    assert not state_of(advance(manifest("a"), [cut_off("a")]), A).partial


def test_only_deaths_in_a_row_are_counted_as_cut_offs() -> None:
    made = manifest("a")
    for attempt, expected in ((1, 1), (2, 2), (3, 3)):
        made = advance(made, [cut_off("a", attempt)])
        assert state_of(made, A).cut_offs == expected
        assert state_of(made, A).status is Status.PENDING
        assert state_of(made, A).attempts == attempt
        assert state_of(made, A).detail == "cut off"
    asked = state_of(advance(made, [cut_off("a", 4, by_user=True)]), A)
    assert (asked.cut_offs, asked.detail) == (0, "interrupted")


def test_a_blocked_phase_counts_no_attempt() -> None:
    made = state_of(advance(manifest("a", a=PhaseState(attempts=2)), [blocked()]), A)
    assert made == PhaseState(status=Status.BLOCKED, attempts=2, detail="no disk")


def test_a_skipped_phase_has_no_exit_code_and_says_why() -> None:
    before = PhaseState(status=Status.FAILED, attempts=2, exit_code=3, detail="exit 3", partial=True)
    made = state_of(advance(manifest("a", a=before), [skipped("a")]), A)
    assert made == PhaseState(status=Status.SKIPPED, attempts=2, detail="no need", completed=LATER)


def test_a_named_checkpoint_from_inside_a_phase_is_what_its_next_attempt_builds_on() -> None:
    assert state_of(advance(manifest("a"), [named("a")]), A) == PhaseState(partial=True)
    assert advance(manifest("a"), [named(None)]).phases == manifest("a").phases


@pytest.mark.parametrize("event", [Edited(at=AT, author="Ann"), ForeignChange(at=AT, workflow=WorkflowName("v"))])
def test_changes_of_files_alone_move_only_the_number_and_the_time(event: Event) -> None:
    before = manifest("a")
    assert advance(before, [event]) == replace(before, sequence=2)


@pytest.mark.parametrize("status", sorted(DONE))
@pytest.mark.parametrize(
    "event", [completed("a", 9), skipped("a"), blocked(), failed("a", 9), cut_off("a", 9), named("a")]
)
def test_nothing_more_happens_to_a_phase_that_is_done(status: Status, event: Event) -> None:
    done = manifest("a", "b", a=PhaseState(status=status, attempts=1))
    with pytest.raises(IllegalEvent, match="already"):
        advance(done, [event])


@pytest.mark.parametrize("make", [completed, failed, cut_off])
def test_an_attempts_number_is_never_used_twice(make: Callable[[str, int], Event]) -> None:
    used = manifest("a", a=PhaseState(attempts=3))
    for attempt in (1, 3):
        with pytest.raises(IllegalEvent, match="used before"):
            advance(used, [make("a", attempt)])
    assert state_of(advance(used, [make("a", 4)]), A).attempts == 4


@pytest.mark.parametrize("event", [completed("z"), skipped("z"), blocked("z"), failed("z"), named("z"), reopened("z")])
def test_an_event_about_an_unknown_phase_is_refused(event: Event) -> None:
    with pytest.raises(IllegalEvent, match="no phase z"):
        advance(manifest("a"), [event])


def test_reopening_raises_the_generation_and_forgets_all_but_what_may_never_fall() -> None:
    before = PhaseState(
        status=Status.COMPLETED,
        generation=1,
        attempts=3,
        exit_code=0,
        definition="sha256:00",
        completed=AT,
        duration_ms=900,
        unknown={"later": 1},
    )
    made = advance(manifest("a", "b", a=before), [reopened("a")])
    assert state_of(made, A) == PhaseState(generation=2, attempts=3, previous_duration_ms=900, unknown={"later": 1})
    assert state_of(made, B) == PhaseState()
    older = replace(before, duration_ms=None, previous_duration_ms=800)
    assert state_of(advance(manifest("a", a=older), [reopened("a")]), A).previous_duration_ms == 800


def test_a_redefinition_sets_the_order_and_keeps_what_is_known_of_phases_that_went() -> None:
    before = manifest("a", "b", a=PhaseState(status=Status.COMPLETED, attempts=1))
    made = advance(before, [Redefined(at=AT, order=(name("c"), B))])
    assert made.order == ("c", "b")
    assert set(made.phases) == {"a", "b", "c"}
    assert state_of(made, A).attempts == 1
    assert state_of(made, name("c")) == PhaseState()
    assert advance(made, [Redefined(at=AT, order=(A,))]).current_state == "COMPLETE"


def test_the_current_state_is_the_first_phase_that_is_not_done() -> None:
    made = manifest("a", "b", "c")
    seen = [made.current_state]
    for events in ([failed("a")], [completed("a", 2)], [skipped("b")], [completed("c")], [reopened("b")]):
        made = advance(made, events)
        seen.append(made.current_state)
    assert seen == ["INIT", "a", "b", "c", "COMPLETE", "b"]


CARRIED = replace(manifest("a", a=PhaseState(attempts=8)), run=RunId("other"), data={"k": 1})


@pytest.mark.parametrize(
    "event",
    [
        RolledBack(at=LATER, to=1, target=TARGET, manifest=CARRIED, author="Ann"),
        Undone(at=LATER, of=1, target=TARGET, manifest=CARRIED, author="Ann"),
        Reset(at=LATER, manifest=CARRIED, author="Ann"),
        Adopted(at=LATER, manifest=CARRIED, author="Ann"),
    ],
)
def test_going_back_sets_the_whole_manifest_it_carries(event: Event) -> None:
    made = advance(replace(manifest("a", "b"), sequence=9), [event])
    assert made == replace(CARRIED, sequence=10, updated_at=LATER, current_state="INIT")


# --- data ---------------------------------------------------------------------------------------------------------


def data_after(data: dict[str, Json], *events: Event) -> object:
    return advance(replace(manifest("a"), data=data), events).data


def test_data_is_set_appended_and_counted_in_order() -> None:
    assert data_after({"k": 1, "other": 2}, DataSet(at=AT, key="k", value=[0])) == {"k": [0], "other": 2}
    assert data_after({}, DataAppended(at=AT, key="k", value=5)) == {"k": [5]}
    assert data_after({"k": [1]}, DataAppended(at=AT, key="k", value=[2])) == {"k": [1, [2]]}
    assert data_after({}, DataIncremented(at=AT, key="k", by=-3)) == {"k": -3}
    twice = DataIncremented(at=AT, key="k", by=2)
    assert data_after({"k": 1}, twice, twice) == {"k": 5}
    assert data_after({"k": "text"}, DataSet(at=AT, key="k", value=None), twice) == {"k": 2}


@pytest.mark.parametrize("old", ["text", 1, True, {}])
def test_nothing_is_appended_to_what_is_no_list(old: Json) -> None:
    with pytest.raises(IllegalEvent, match="not a list"):
        data_after({"k": old}, DataAppended(at=AT, key="k", value=1))


@pytest.mark.parametrize("old", ["1", True, [], 1.5])
def test_only_whole_numbers_are_counted_up(old: Json) -> None:
    with pytest.raises(IllegalEvent, match="not a whole number"):
        data_after({"k": old}, DataIncremented(at=AT, key="k", by=1))


def test_the_manifest_before_is_never_changed() -> None:
    before = replace(manifest("a"), data={"k": [1]})
    advance(before, [DataAppended(at=AT, key="k", value=2), completed("a")])
    assert before.data == {"k": [1]}
    assert state_of(before, A) == PhaseState()


# --- any history --------------------------------------------------------------------------------------------------

PHASES = st.sampled_from(["a", "b", "c"])
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(completed, PHASES, st.integers(1, 12)),
    st.builds(failed, PHASES, st.integers(1, 12)),
    st.builds(cut_off, PHASES, st.integers(1, 12)),
    st.builds(skipped, PHASES),
    st.builds(blocked, PHASES),
    st.builds(named, PHASES),
    st.builds(reopened, PHASES),
    st.builds(lambda by: DataIncremented(at=AT, key="k", by=by), st.integers()),
)


@given(st.lists(EVENTS, max_size=40))
def test_generations_and_attempts_never_fall_and_each_attempt_number_is_used_once(events: Sequence[Event]) -> None:
    now: Manifest = manifest("a", "b", "c")
    used: set[tuple[str, int]] = set()
    for event in events:
        try:
            then, now = now, advance(now, [event])
        except IllegalEvent:
            continue
        for each in now.order:
            assert state_of(now, each).generation >= state_of(then, each).generation
            assert state_of(now, each).attempts >= state_of(then, each).attempts
        if (attempt := getattr(event, "attempt", None)) is not None:
            key = (str(getattr(event, "phase", "")), attempt)
            assert key not in used
            used.add(key)
        assert now.sequence == then.sequence + 1
