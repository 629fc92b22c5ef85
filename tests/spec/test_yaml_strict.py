"""Bombs and limits: refused, and fast."""

from __future__ import annotations

import re
import time

import pytest

from gitckpt.spec import yaml_strict
from gitckpt.spec.problem import Findings
from gitckpt.spec.yaml_strict import MAX_BYTES, Entries, Listing, Scalar, parse

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
BOMBS = {
    "a billion laughs": LAUGHS,
    "half a million lists deep": "[" * 500_000,
    "half a million block lists deep": "- " * 500_000,
    "half a million keys deep": "? " * 500_000,
    "half a million values": "[" + "a," * 500_000 + "]",
    "half a million empty mappings": "[" + "{}," * 340_000 + "]",
    "a great many documents": "---\n" * 200_000,
    "over the limit": "#" * (MAX_BYTES + 1),
}
"""Far beyond every limit. The parser has limits of its own, others with each release: either may refuse."""

LIMITS = {
    "a hundred and one aliases": ("a: &a x\nb: [" + ",".join(["*a"] * 101) + "]\n", "aliases stand for more than 100"),
    "51 lists deep": ("a: " + "[" * 51 + "]" * 51, "nested deeper than 50 levels"),
    "51 block lists deep": ("- " * 51 + "a", "nested deeper than 50 levels"),
    "50,001 values": ("[" + "a," * 50_000 + "]", "the file holds more than 50,000 values"),
    "two documents": ("a: 1\n---\nb: 1\n", "one document"),
    "a byte too many": ("#" * (MAX_BYTES + 1), "the file has 1,048,577 bytes"),
}
"""Just beyond ours."""


def read(text: str) -> tuple[object, list[str]]:
    findings = Findings("f")
    tree = parse(text.encode(), findings)
    return tree, [str(problem) for problem in findings.of("error")]


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_in_less_than_a_second_by_one_error_with_its_place(bomb: str) -> None:
    began = time.process_time()
    tree, told = read(BOMBS[bomb])
    assert time.process_time() - began < 1.0
    assert tree is None
    assert len(told) == 1
    assert re.match(r"f:[1-9]\d*:[1-9]\d*: error: \w", told[0]), told[0]


@pytest.mark.parametrize("limit", LIMITS)
def test_what_is_just_beyond_a_limit_is_told_which(limit: str) -> None:
    text, expected = LIMITS[limit]
    tree, told = read(text)
    assert tree is None
    assert len(told) == 1
    assert expected in told[0]


def test_the_limits_themselves_are_allowed() -> None:
    assert read("a: &a x\nb: [" + ",".join(["*a"] * 100) + "]\n")[1] == []
    assert read("a: " + "[" * 49 + "]" * 49)[1] == []
    assert read("# " + "x" * (MAX_BYTES - 10) + "\na: 1")[1] == []


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
def test_both_parsers_give_the_same_tree_with_places(loader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    yaml = pytest.importorskip("yaml")
    if not hasattr(yaml, loader):
        pytest.skip("PyYAML was built without libyaml")
    monkeypatch.setattr(yaml_strict, "_LOADER", getattr(yaml, loader))
    tree, told = read("é: [1, 'x']\nb:\n  c: |\n    two\n    lines\n")
    assert told == []
    match tree:
        case Entries(
            pairs=(
                (Scalar(text="é"), Listing(items=(Scalar(value=1), Scalar(value="x") as x))),
                (Scalar(text="b"), Entries(pairs=((Scalar(text="c") as c, Scalar(value="two\nlines\n")),))),
            )
        ):
            assert (x.mark.line, x.mark.column) == (1, 8)
            assert (c.mark.line, c.mark.column) == (3, 3)
        case _:
            pytest.fail(f"another tree: {tree}")


SCALARS: dict[str, object] = {
    "true": True,
    "False": False,
    "null": None,
    "~": None,
    "12": 12,
    "-3": -3,
    "0": 0,
    "0x1f": 31,
    "0o17": 15,
    "1.5": 1.5,
    "1e3": 1000.0,
    ".5": 0.5,
    "010": "010",
    "1_000": "1_000",
    "1:30": "1:30",
    "yes": "yes",
    "on": "on",
    "n": "n",
    "2024-01-01": "2024-01-01",
    "0b11": "0b11",
    "0x": "0x",
    ".inf": ".inf",
    "=": "=",
    "'true'": "true",
    '"1"': "1",
    "9" * 30: "9" * 30,
}


@pytest.mark.parametrize("written", SCALARS)
def test_a_scalar_means_what_yaml_1_2_says(written: str) -> None:
    tree, told = read(f"a: {written}\n")
    assert told == []
    assert isinstance(tree, Entries)
    node = tree.get("a")
    assert isinstance(node, Scalar)
    assert (type(node.value), node.value) == (type(SCALARS[written]), SCALARS[written])
