"""What follows from a workflow: order, dependents, digest, retries, and the units of its values."""

from __future__ import annotations

import dataclasses
import graphlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitckpt.model.duration import parse_duration, parse_size
from gitckpt.model.gate import Gate, OnFailure
from gitckpt.model.names import PhaseName, WorkflowName
from gitckpt.model.repeat import Batch, Budget, CheckpointEvery, Foreach, Tolerate
from gitckpt.model.workflow import (
    Phase,
    Retry,
    Validation,
    Workflow,
    dependents,
    digest,
    is_retried,
    order,
    retry_delay_ms,
)


def workflow(**needs: str) -> Workflow:
    phases = tuple(
        Phase(name=PhaseName(name), run=("x",), needs=tuple(PhaseName(need) for need in needed.split()))
        for name, needed in needs.items()
    )
    return Workflow(version=1, workflow=WorkflowName("w"), phases=phases)


def test_the_order_is_that_of_the_file_where_needs_leave_it_open() -> None:
    assert order(workflow(c="", b="", a="")) == ("c", "b", "a")
    assert order(workflow(join="left right", left="", right="", last="")) == ("left", "right", "join", "last")
    with pytest.raises(graphlib.CycleError):
        order(workflow(a="b", b="a"))


@given(st.lists(st.sets(st.integers(0, 9), max_size=4), min_size=1, max_size=10))
def test_every_phase_comes_once_and_after_what_it_needs(edges: list[set[int]]) -> None:
    needs = {
        f"p{index}": " ".join(f"p{need}" for need in edge if need < len(edges) and need > index)
        for index, edge in enumerate(edges)
    }
    placed = order(workflow(**needs))
    assert sorted(placed) == sorted(needs)
    for name, needed in needs.items():
        assert all(placed.index(PhaseName(need)) < placed.index(PhaseName(name)) for need in needed.split())


def test_dependents_are_found_through_others_and_wherever_they_stand() -> None:
    diamond = workflow(join="left right", left="top", right="top", top="", alone="")
    assert dependents(diamond, PhaseName("top")) == {"left", "right", "join"}
    assert dependents(diamond, PhaseName("left")) == {"join"}
    assert dependents(diamond, PhaseName("alone")) == frozenset()


CHANGES: dict[str, object] = {
    "run": ("y",),
    "argv": ("y",),
    "env": {"A": "b"},
    "shell": "sh",
    "working_directory": "d",
    "validate": Validation(run="v"),
    "requires": ("r",),
    "condition": "c",
    "outs": ("o",),
    "python": "a.b:c",
    "code": "sha256:0",
    "gate": Gate(prompt="p"),
    "foreach": Foreach(values=("x",)),
    "batch": Batch(size=2),
    "counters": {"n": "c"},
}
QUIET: dict[str, object] = {
    "timeout_ms": 5,
    "retry": Retry(max=3),
    "desc": "d",
    "keep_partial": True,
    "on_failure": OnFailure(action="continue"),
    "budget": Budget(items=1),
    "checkpoint_every": CheckpointEvery(items=2),
    "tolerate": Tolerate(count=1),
    "on_item_failure": "continue",
    "compensate": ("c",),
    "pivot": True,
    "secrets": ("S",),
    "max_parallel": 2,
    "isolation": "overlay",
    "concurrency": "db",
    "resources": {"gpu": 1},
    "needs": (PhaseName("q"),),
    "name": PhaseName("q"),
}


def test_the_digest_changes_with_all_that_decides_what_a_phase_does_and_nothing_else() -> None:
    whole = workflow(a="")
    phase = whole.phases[0]
    assert set(CHANGES) | set(QUIET) == {field.name for field in dataclasses.fields(Phase)}
    found = [digest(dataclasses.replace(phase, **{key: value}), whole) for key, value in CHANGES.items()]  # type: ignore[arg-type]
    assert len({*found, digest(phase, whole)}) == len(CHANGES) + 1
    for key, value in QUIET.items():
        assert digest(dataclasses.replace(phase, **{key: value}), whole) == digest(phase, whole)  # type: ignore[arg-type]


def test_the_digest_sees_the_workflows_env_only_where_the_phase_does_not_hide_it() -> None:
    plain = workflow(a="")
    phase = plain.phases[0]
    hiding = dataclasses.replace(phase, env={"A": "own"})
    with_env = dataclasses.replace(plain, env={"A": "b"})
    assert digest(phase, with_env) != digest(phase, plain)
    assert digest(hiding, with_env) == digest(hiding, plain)


def test_the_digest_is_the_one_that_older_checkpoints_hold() -> None:
    assert digest(workflow(a="").phases[0], workflow(a="")) == "sha256:afef052a7209be16"


def test_exit_codes_decide_about_failures_and_when_about_timeouts() -> None:
    narrow = Retry(max=1, exit_codes=(75,), when=("timeout",))
    assert is_retried(narrow, ended="failure", exit_code=75)
    assert not is_retried(narrow, ended="failure", exit_code=1)
    assert not is_retried(narrow, ended="failure", exit_code=None)
    assert is_retried(narrow, ended="timeout", exit_code=None)
    assert not is_retried(Retry(max=1, when=("failure",)), ended="timeout", exit_code=None)
    assert not is_retried(Retry(max=1, when=("timeout",)), ended="failure", exit_code=1)
    assert is_retried(Retry(max=1), ended="failure", exit_code=None)


def test_waits_grow_up_to_their_limit_and_jitter_halves_them_at_most() -> None:
    retry = Retry(max=9, delay_ms=1_000, backoff_thousandths=1_500, max_delay_ms=3_000)
    assert [retry_delay_ms(retry, retries_made=made, chance_permille=0) for made in range(5)] == [
        1_000,
        1_500,
        2_250,
        3_000,
        3_000,
    ]
    shaken = dataclasses.replace(retry, jitter=True)
    assert retry_delay_ms(shaken, retries_made=0, chance_permille=1_000) == 500
    assert retry_delay_ms(shaken, retries_made=0, chance_permille=0) == 1_000
    assert retry_delay_ms(Retry(delay_ms=0), retries_made=10**9, chance_permille=0) == 0
    assert retry_delay_ms(Retry(delay_ms=9, backoff_thousandths=1_000), retries_made=10**9, chance_permille=0) == 9


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500ms", 500), ("90s", 90_000), ("10m", 600_000), ("1h30m", 5_400_000), ("2d", 172_800_000), ("0s", 0)],
)
def test_a_duration_is_read_as_milliseconds(text: str, expected: int) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "10", "1.5", "m", "10 m", "30m1h", "1h1h", "-5s", "5S", "1e3s", "٣s", "9" * 99 + "s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("10MB", 10_000_000),
        ("4MiB", 4_194_304),
        ("3 GiB", 3 << 30),
        ("1kB", 1_000),
    ],
)
def test_a_size_is_read_as_bytes(text: str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "MB", "1.5GB", "-1", "5mb", "5M", "1  GB", "1GB ", "٣", "9" * 99])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)
