"""Amounts in words."""

from __future__ import annotations

import pytest

from gitckpt.progress.text import count, duration, size


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (0, "0.0 s"),
        (-5, "0.0 s"),
        (400, "0.4 s"),
        (9_949, "9.9 s"),
        (9_950, "10 s"),
        (12_000, "12 s"),
        (59_499, "59 s"),
        (59_500, "1 m 00 s"),
        (200_000, "3 m 20 s"),
        (3_599_500, "1 h 00 m"),
        (18_120_000, "5 h 02 m"),
        (86_399_500, "1 d 00 h"),
        (183_600_000, "2 d 03 h"),
    ],
)
def test_a_duration_has_at_most_two_parts(ms: int, words: str) -> None:
    assert duration(ms) == words


@pytest.mark.parametrize(
    ("bytes_", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 KB"),
        (999_949, "999.9 KB"),
        (999_950, "1.0 MB"),
        (7_100_000_000, "7.1 GB"),
        (10**18, "1,000.0 PB"),
    ],
)
def test_a_size_has_one_digit_after_the_point(bytes_: int, words: str) -> None:
    assert size(bytes_) == words


def test_thousands_are_set_apart() -> None:
    assert [count(n) for n in (7, 999, 61_000, 1_000_000)] == ["7", "999", "61,000", "1,000,000"]
