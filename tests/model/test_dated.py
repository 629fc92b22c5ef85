"""What is out of date, from facts alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gitckpt.model.codec import decode_manifest, encode_manifest
from gitckpt.model.dated import command_for, differing, out_of_date
from gitckpt.model.manifest import Manifest, PhaseState, Status
from gitckpt.model.names import PhaseName
from tests.model.made import manifest

NAMES = ("a", "b", "c", "d")
FACTS = st.none() | st.dictionaries(st.sampled_from(NAMES), st.none() | st.sampled_from("xy"))


def chain(**states: PhaseState) -> Manifest:
    """Phases in this order."""
    return replace(manifest(*states), phases={PhaseName(name): state for name, state in states.items()})


def done(mark: str, **made_from: str) -> PhaseState:
    return PhaseState(
        status=Status.COMPLETED, mark=mark, made_from={PhaseName(name): mark for name, mark in made_from.items()}
    )


@given(then=FACTS, now=FACTS)
def test_what_is_unknown_or_as_it_was_is_never_out_of_date(
    then: Mapping[str, str | None] | None, now: Mapping[str, str | None] | None
) -> None:
    assert differing(None, now or {}) == ()
    assert differing(then, then or {}) == ()
    told = differing(then, now or {})
    assert set(told) == {name for name in NAMES if then is not None and then.get(name) != (now or {}).get(name)}


def test_a_phase_is_older_than_a_need_that_was_done_again_and_so_is_what_was_made_from_it() -> None:
    found = out_of_date(chain(a=done("2"), b=done("1", a="1"), c=done("1", b="1"), d=done("1", a="2")))
    assert [(each.phase, each.needs, each.through) for each in found] == [("b", ("a",), ()), ("c", (), ("b",))]
    assert command_for(found, PhaseName("c")) == "gitckpt run --from b"


def test_a_need_that_is_still_to_be_done_again_makes_nothing_old_yet() -> None:
    pending = replace(done("1"), status=Status.PENDING, mark=None)
    assert out_of_date(chain(a=pending, b=done("1", a="1"))) == ()


def test_a_history_made_before_there_were_marks_is_not_called_out_of_date() -> None:
    old = PhaseState(status=Status.COMPLETED, landed=9)
    assert out_of_date(chain(a=old, b=replace(old, landed=3))) == ()
    assert out_of_date(chain(a=old, b=done("1", a=""))) == ()


def test_what_came_later_is_not_stored_where_it_says_nothing() -> None:
    stored = encode_manifest(chain(a=PhaseState(status=Status.COMPLETED)))
    assert not any(key in stored for key in (b"mark", b"made_from", b"left", b"gone"))
    whole = chain(a=done("7", b="1"))
    assert decode_manifest(encode_manifest(whole)) == whole
