"""Phases and workflows for the tests of what may run beside what. Owns how they are made; knows no case."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from gitckpt.model.gate import Gate
from gitckpt.model.repeat import Foreach
from gitckpt.model.together import Isolation
from gitckpt.model.workflow import Phase, Workflow
from tests.model.made import phase, workflow

THREE = workflow(phase("a"), phase("b"), phase("c"))


def gate(text: str, *needs: str) -> Phase:
    return replace(phase(text, *needs), run=(), gate=Gate(prompt="ok?"))


def items(text: str, *needs: str, most: int | None = None, isolation: Isolation = "auto") -> Phase:
    return replace(phase(text, *needs), foreach=Foreach(values=("x",)), max_parallel=most, isolation=isolation)


def having(made: Phase, isolation: Isolation) -> Phase:
    return replace(made, isolation=isolation)


def in_group(made: Phase, group: str = "db") -> Phase:
    return replace(made, concurrency=group)


def asking(made: Phase, **amounts: int) -> Phase:
    return replace(made, resources=amounts)


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    made = []
    for index in range(draw(st.integers(1, 8))):
        needs = [f"p{need}" for need in draw(st.sets(st.integers(0, index), max_size=3)) if need < index]
        each = draw(st.sampled_from([phase, gate, items]))(f"p{index}", *needs)
        if each.gate is None:
            each = replace(
                each,
                isolation=draw(st.sampled_from(["auto", "auto", "none", "overlay"])),
                concurrency=draw(st.sampled_from([None, None, "db", "net"])),
                resources=draw(st.dictionaries(st.sampled_from(["gpu", "memory", "cpu"]), st.integers(1, 3))),
                max_parallel=draw(st.sampled_from([None, 1, 2, 5])) if each.foreach else None,
            )
        made.append(each)
    return replace(workflow(*draw(st.permutations(made))), resources={"gpu": 3})
