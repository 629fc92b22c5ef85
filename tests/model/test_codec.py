"""The stored text: the same bytes for the same value, nothing lost, and everything odd refused by name."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitckpt.errors import ExitCode
from gitckpt.model import codec
from gitckpt.model.advance import advance
from gitckpt.model.codec import (
    Damaged,
    NewerSchema,
    decode_manifest,
    dumps,
    encode_manifest,
    loads,
    require_writable,
    stable,
)
from gitckpt.model.events import (
    EVENT_TYPES,
    Adopted,
    CompensationFailed,
    Concluded,
    DataAppended,
    DataIncremented,
    DataSet,
    Edited,
    Event,
    ForeignChange,
    GateAnswered,
    GateOpened,
    GoalSet,
    LeftBehind,
    Named,
    Paused,
    PhaseBlocked,
    PhaseCompensated,
    Redefined,
    RemovalAccepted,
    Reopened,
    Reset,
    RolledBack,
    Undone,
    WentBack,
)
from gitckpt.model.events_codec import decode_events, encode_events
from gitckpt.model.items import (
    ItemsCompensated,
    ItemsCompleted,
    ItemsFailed,
    ItemsListed,
    ItemsReopened,
    ItemsSkipped,
)
from gitckpt.model.manifest import SCHEMA, Goal, Json, Left, Manifest, PhaseState, Source, Status, Uncaptured
from gitckpt.model.merging import EditsClashed, Merged, MergeRefused, Resolved
from gitckpt.model.names import Oid, PhaseName, RunId, WorkflowName
from tests.model.made import AT, LATER, completed, cut_off, failed, manifest, name, skipped, started

TARGET = Oid("0" * 40)

WORDS = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS, lambda deeper: st.lists(deeper) | st.dictionaries(WORDS, deeper)
)
LATER_KEYS = st.dictionaries(st.sampled_from(["zz_new", "Ä later", "a_new"]), VALUES, max_size=2)
NUMBERS = st.none() | st.integers(0, 2**70)
STATES = st.builds(
    PhaseState,
    status=st.sampled_from(Status),
    generation=st.integers(0, 9),
    exit_code=st.none() | st.integers(0, 255),
    definition=st.none() | WORDS,
    partial=st.booleans(),
    attempts=st.integers(0, 9),
    started=st.none() | WORDS,
    duration_ms=st.none() | st.integers(0, 2**60),
    detail=st.none() | WORDS,
    uncaptured=st.none()
    | st.builds(Uncaptured, paths=st.tuples(WORDS), count=st.integers(0, 9), size=st.integers(0, 9)),
    unknown=LATER_KEYS,
)
PHASES = st.dictionaries(st.sampled_from(["a", "b", "c"]).map(PhaseName), STATES)
MANIFESTS = st.builds(
    Manifest,
    workflow=st.just(WorkflowName("w")),
    workspace=WORDS,
    goal=st.builds(Goal, kind=st.sampled_from(["finish", "reach"]), checkpoint=st.none() | st.just(TARGET)),
    order=st.just((PhaseName("a"),)),
    params=st.dictionaries(WORDS, WORDS, max_size=2),
    phases=PHASES,
    data=st.dictionaries(WORDS, VALUES, max_size=3),
    outside=st.just((PhaseName("b"),)),
    left_behind=st.sampled_from([(), (Left(phase=PhaseName("b"), first=2, last=9, count=3),)]),
    sequence=st.integers(0, 10**6),
    started_at=WORDS,
    source=st.builds(Source, head=st.none() | st.just(TARGET), branch=st.none() | WORDS),
    unknown=LATER_KEYS,
)

EVENTS: list[Event] = [
    started(manifest("a", "b")),
    Redefined(at=AT, order=(name("b"),), changed=(name("b"),)),
    RemovalAccepted(at=AT, phases=(name("a"),), author="Ann"),
    Edited(at=AT, author="Ann", removed=("x",), removals=1, outs_of=(name("a"),)),
    Edited(at=AT, author="Ann", restored="load@2"),
    ForeignChange(at=AT, workflow=WorkflowName("v")),
    replace(completed("a", 3), uncaptured=Uncaptured(paths=("x", "y"), count=2, size=7)),
    skipped("a"),
    PhaseBlocked(at=AT, phase=name("a"), reason="no"),
    failed("a", partial=True),
    cut_off("a"),
    Named(at=AT, message="Ünïcode\nand a newline", phase=name("a")),
    DataSet(at=AT, key="k", value={"deep": [1, None, True, "x"]}),
    DataAppended(at=AT, key="k", value=[]),
    DataIncremented(at=AT, key="k", by=-(2**70)),
    Reopened(at=AT, phases=(name("a"),), author="Ann", reason="mended"),
    RolledBack(at=AT, to=3, target=TARGET, manifest=replace(manifest("a"), unknown={"later": 1}), author="Ann"),
    Undone(at=AT, of=3, target=TARGET, manifest=manifest("a"), author="Ann"),
    Reset(at=AT, manifest=manifest("a"), author="Ann", reason="r"),
    Adopted(at=AT, manifest=manifest("a"), author="Ann", remote="origin"),
    WentBack(at=AT, phase=name("b"), to=name("a"), phases=(name("a"), name("b"))),
    GoalSet(at=AT, goal=Goal(kind="reach", checkpoint=TARGET, after=3), author="Ann", reason="r", outside=(name("a"),)),
    PhaseCompensated(at=AT, phase=name("a"), duration_ms=7),
    CompensationFailed(at=AT, phase=name("a"), attempt=4, duration_ms=7, exit_code=None, detail="d"),
    GateOpened(at=AT, phase=name("a"), prompt="Go?", expires=LATER),
    GateAnswered(
        at=AT,
        phase=name("a"),
        approved=True,
        author="Ann",
        email="ann@example.org",
        reason="",
        definition="sha256:0",
        answers={"WHO": "Ünï"},
    ),
    Paused(at=AT, author="Ann", reason="lunch"),
    Concluded(at=AT, status="complete", exit_code=1),
    Merged(at=AT, phase=name("a"), own=Oid("ab" * 20), start=Oid("cd" * 20), settled=("x.log",)),
    MergeRefused(at=AT, phase=name("a"), own=Oid("ab" * 20), paths=("x",), count=2, against=("b",)),
    EditsClashed(at=AT, paths=("x",), count=1, rescue=2),
    Resolved(at=AT, author="Ann", how="theirs", phase=name("a")),
    ItemsListed(at=AT, phase=name("a"), list="ab" * 20, total=9, definition="sha256:0", batch=3, done=((0, 2), (5, 5))),
    ItemsCompleted(
        at=AT, phase=name("a"), items=((0, 2),), count=3, mended=1, started=AT, duration_ms=7, batch=1, detail="x"
    ),
    ItemsFailed(
        at=AT,
        phase=name("a"),
        items=((3, 3),),
        newly=1,
        attempt=2,
        started=AT,
        duration_ms=7,
        exit_code=None,
        detail="d",
    ),
    ItemsSkipped(at=AT, phase=name("a"), items=((3, 3),), count=1, failed=1, author="Ann", reason=""),
    ItemsReopened(at=AT, phase=name("a"), items=((0, 1),), done=2, failed=0, skipped=0, author="Ann", reason=""),
    ItemsCompensated(at=AT, phase=name("a"), items=((0, 1),), count=2, newest=0, duration_ms=7),
    ItemsCompensated(at=AT, phase=name("a"), items=(), count=0, newest=3, duration_ms=7, of=9, undone=((2, 2),)),
    LeftBehind(at=AT, left=(Left(phase=name("a"), first=2, last=4, count=1, items=((0, 0),)),)),
]


def plain(made: Manifest) -> dict[str, Json]:
    known: dict[str, Json] = json.loads(encode_manifest(made))
    return known


def test_a_manifest_is_stored_as_canonical_text() -> None:
    text = encode_manifest(replace(manifest("b", "a"), data={"Ü": 1, "a": [1, 2]})).decode()
    again = json.dumps(json.loads(text), sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    assert text == again
    assert "Ü" in text
    assert text.endswith("}\n")
    assert json.loads(text)["phases"]["a"]["status"] == "pending"
    assert "unknown" not in text


@given(MANIFESTS)
def test_every_manifest_comes_back_as_it_was_and_makes_the_same_bytes_again(made: Manifest) -> None:
    text = encode_manifest(made)
    again = decode_manifest(text)
    assert again == made
    assert encode_manifest(again) == text


def test_an_example_of_every_event_is_tested_here() -> None:
    assert {type(event).__name__ for event in EVENTS} == set(EVENT_TYPES)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_comes_back_as_it_was(event: Event) -> None:
    text = encode_events([event])
    assert decode_events(text) == (event,)
    assert encode_events(decode_events(text)) == text


def test_several_events_keep_their_order() -> None:
    assert decode_events(encode_events(EVENTS)) == tuple(EVENTS)


def test_a_decoded_checkpoint_still_follows_the_law() -> None:
    before = manifest("a")
    events = (DataSet(at=AT, key="k", value=[1]), replace(completed("a"), uncaptured=Uncaptured(count=1)))
    after = advance(before, events)
    read = advance(decode_manifest(encode_manifest(before)), decode_events(encode_events(events)))
    assert read == decode_manifest(encode_manifest(after)) == after


# --- other versions -----------------------------------------------------------------------------------------------


def test_keys_of_a_later_version_are_kept_at_the_top_and_in_phases() -> None:
    stored = plain(manifest("a"))
    phases = stored["phases"]
    assert isinstance(phases, dict)
    assert isinstance(phases["a"], dict)
    stored["invented"] = {"x": [1]}
    phases["a"]["invented"] = 2
    read = decode_manifest(dumps(stored))
    after = json.loads(encode_manifest(advance(read, [completed("a")])))
    assert after["invented"] == {"x": [1]}
    assert after["phases"]["a"]["invented"] == 2


def test_what_an_older_version_did_not_write_takes_its_default() -> None:
    read = decode_manifest(b'{"workflow": "w", "order": ["a"], "phases": {"a": {"status": "completed"}}}')
    assert read.phases[name("a")] == PhaseState(status=Status.COMPLETED)
    assert read.goal == Goal()


def test_a_newer_format_is_read_and_never_written_after() -> None:
    newer = decode_manifest(dumps(plain(manifest("a")) | {"schema": SCHEMA + 1, "invented": 1}))
    assert newer.schema == SCHEMA + 1
    with pytest.raises(NewerSchema) as refused:
        require_writable(newer)
    assert refused.value.exit_code is ExitCode.CONFLICT
    assert f"format {SCHEMA + 1}" in refused.value.message
    assert "update gitckpt" in refused.value.hint
    require_writable(manifest("a"))


# --- damage -------------------------------------------------------------------------------------------------------

DAMAGED = {
    "a key twice": b'{"a": 1, "a": 2}',
    "a key twice, deep": b'{"x": [{"a": 1, "a": 1}]}',
    "not a number": b'{"a": NaN}',
    "endless": b'{"a": -Infinity}',
    "endless by exponent": b'{"a": 1e999}',
    "cut off": b'{"a": 1',
    "nothing": b"",
    "two values": b"{} {}",
    "not UTF-8": b'{"a": "\xff"}',
    "half a pair": b'{"a": "\\ud800"}',
    "too deep": b"[" * 200_000,
    "a number of too many digits": b'{"a": ' + b"9" * 10_000 + b"}",
    "too large": b" " * (codec.MAX_BYTES + 1),
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED.keys())
def test_text_that_no_gitckpt_wrote_is_damaged_and_named(text: bytes) -> None:
    with pytest.raises(Damaged) as damage:
        loads(text, "state.json of 1234")
    assert damage.value.message.startswith("state.json of 1234 is damaged: ")
    assert "gitckpt verify" in damage.value.hint
    assert damage.value.exit_code is ExitCode.CONFLICT


def test_text_of_the_greatest_allowed_size_is_read() -> None:
    assert loads(b"1".ljust(codec.MAX_BYTES), "x") == 1


WRONG_MANIFESTS: dict[str, Json] = {
    "a list": [],
    "no phases": {"workflow": "w", "order": []},
    "phases of another kind": {"workflow": "w", "order": [], "phases": []},
    "a phase of another kind": {"workflow": "w", "order": [], "phases": {"a": 1}},
    "no workflow": {"order": [], "phases": {}},
    "an unknown status": {"workflow": "w", "order": [], "phases": {"a": {"status": "splendid"}}},
    "text for a number": {"workflow": "w", "order": [], "phases": {}, "sequence": "1"},
    "a fraction for a number": {"workflow": "w", "order": [], "phases": {"a": {"attempts": 1.5}}},
    "a number for a name": {"workflow": "w", "order": [1], "phases": {}},
}


@pytest.mark.parametrize("value", WRONG_MANIFESTS.values(), ids=WRONG_MANIFESTS.keys())
def test_json_that_is_no_manifest_is_damaged(value: Json) -> None:
    with pytest.raises(Damaged):
        decode_manifest(dumps(value))


ROLLED_BACK: dict[str, Json] = json.loads(
    encode_events([next(event for event in EVENTS if isinstance(event, RolledBack))])
)["events"][0]
WRONG_EVENTS: dict[str, Json] = {
    "a list at the top": [],
    "no list": {"events": {}},
    "an event of another kind": {"events": [1]},
    "an unknown event": {"events": [{"type": "Celebrated", "at": AT}]},
    "no type": {"events": [{"at": AT}]},
    "a type of another kind": {"events": [{"type": ["Named"], "at": AT}]},
    "a field missing": {"events": [{"type": "Edited", "at": AT}]},
    "a field of another kind": {"events": [{"type": "Edited", "at": AT, "author": 1}]},
    "an unknown reason": {"events": [{"type": "AttemptCutOff", "at": AT, "phase": "a", "attempt": 1, "reason": "x"}]},
    "a damaged manifest in it": {"events": [ROLLED_BACK | {"manifest": {"phases": 1}}]},
    "a field missing beside a manifest": {"events": [{k: v for k, v in ROLLED_BACK.items() if k != "to"}]},
    "a field of another kind beside a manifest": {"events": [ROLLED_BACK | {"to": "three"}]},
}


@pytest.mark.parametrize("value", WRONG_EVENTS.values(), ids=WRONG_EVENTS.keys())
def test_json_that_is_no_list_of_events_is_damaged(value: Json) -> None:
    with pytest.raises(Damaged):
        decode_events(dumps(value), "events.json")


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_damaged_and_nothing_else(data: bytes) -> None:
    for decode in (decode_manifest, decode_events):
        try:
            decode(data)
        except Damaged:
            continue


@given(st.data())
def test_a_manifest_with_any_one_value_replaced_is_read_or_damaged_and_nothing_else(data: st.DataObject) -> None:
    stored = plain(replace(manifest("a", a=PhaseState(status=Status.FAILED, uncaptured=Uncaptured())), data={"k": 1}))
    place: dict[str, Json] = stored
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        inner = place[key]
        if not isinstance(inner, dict) or not inner or data.draw(st.booleans()):
            break
        place = inner
    place[key] = data.draw(VALUES)
    try:
        read = decode_manifest(dumps(stored))
    except Damaged:
        return
    assert decode_manifest(encode_manifest(read)) == read


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_what_could_not_be_read_again_is_not_written(value: Json) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any reason will do
        dumps({"a": value})


# --- what law 2 compares ------------------------------------------------------------------------------------------


def test_two_ways_to_the_same_end_are_the_same_but_for_what_is_volatile() -> None:
    smooth = advance(manifest("a"), [completed("a")])
    rough = manifest("a")
    for event in (cut_off("a", 1), failed("a", 2), replace(completed("a", 3), at=LATER + "!", duration_ms=9)):
        rough = advance(rough, [event])
    rough = replace(rough, run=RunId("r2"), started_at="else", source=Source(branch="main"))
    assert smooth != rough
    assert stable(smooth) == stable(rough)


@pytest.mark.parametrize(
    "other",
    [
        advance(manifest("a"), [skipped("a")]),
        advance(manifest("a"), [replace(completed("a"), definition="sha256:01")]),
        replace(advance(manifest("a"), [completed("a")]), data={"k": 1}),
        replace(advance(manifest("a"), [completed("a")]), params={"k": "1"}),
        replace(advance(manifest("a"), [completed("a")]), unknown={"k": 1}),
        advance(manifest("a", a=PhaseState(generation=1)), [completed("a")]),
    ],
)
def test_another_end_is_another_end(other: Manifest) -> None:
    assert stable(other) != stable(advance(manifest("a"), [completed("a")]))


def test_what_is_compared_has_no_volatile_key_left() -> None:
    kept = stable(manifest("a"))
    assert not {"run", "sequence", "started_at", "updated_at", "source"} & set(kept)
    assert {"workflow", "order", "data", "params", "current_state", "schema", "phases"} <= set(kept)
    assert kept["phases"] == {
        "a": {
            "answers": {},
            "definition": None,
            "exit_code": None,
            "generation": 0,
            "gotos": 0,
            "items": None,
            "partial": False,
            "status": "pending",
        }
    }
