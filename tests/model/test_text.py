"""Text from outside cannot speak to a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitckpt.model.text import safe, safe_lines


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain [/x] ü 日本 👨‍👩‍👧", "plain [/x] ü 日本 👨‍👩‍👧"),
        ("a\x1b[2Jb", r"a\e[2Jb"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        (b"\xff\xfe ok", r"\xff\xfe ok"),
        ("\x9b31m", r"\x9b31m"),
        ("\x7f\x00", r"\x7f\x00"),
        ("a\u202egpj.exe", r"a\u202egpj.exe"),
        ("a\u2028b\u2029", r"a\u2028b\u2029"),
        ("\udcff\ud800", r"\xff\ud800"),
        ("\ufeff\U000e0041", r"\ufeff\U000e0041"),
        ("", ""),
    ],
)
def test_what_a_terminal_could_obey_becomes_a_visible_escape(raw: str | bytes, shown: str) -> None:
    assert safe(raw) == shown


def test_text_of_many_lines_keeps_newlines_and_tabs_only() -> None:
    assert safe_lines(b"a\tb\r\nc\rd\x1b\n") == "a\tb\nc\\rd\\e\n"


@given(st.one_of(st.text(st.characters(exclude_categories=())), st.binary()))
def test_nothing_unseen_is_left_and_twice_is_as_once(raw: str | bytes) -> None:
    shown = safe(raw)
    assert not [letter for letter in shown if unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"}]
    assert not [letter for letter in shown if unicodedata.bidirectional(letter) in {"LRE", "RLO", "LRI", "PDI", "RLI"}]
    assert safe(shown) == shown
    shown.encode("utf-8")
