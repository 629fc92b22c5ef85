"""Durations and sizes as people write them, and the integers they stand for. Pure text; knows no clock.

Units are never guessed: a bare number for a duration is refused, because `timeout: 10` is ten seconds in one
tool and ten minutes in the next.
"""

from __future__ import annotations

import re

DURATION_PATTERN = r"^(?=[0-9])([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"
SIZE_PATTERN = r"^[0-9]+ ?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?$"

LONGEST_MS = 3_650 * 24 * 3_600_000
"""Ten years: whatever is longer is a slip of the keyboard."""

LARGEST_BYTES = 1 << 60

_DURATION = re.compile(DURATION_PATTERN, re.ASCII)
_SIZE = re.compile(r"([0-9]{1,20}) ?([A-Za-z]*)", re.ASCII)
_MILLISECONDS = (86_400_000, 3_600_000, 60_000, 1_000, 1)
_BYTES = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
}


def parse_duration(text: str) -> int:
    """Milliseconds of `10m`, `90s`, `1h30m`, `500ms`, `2d`. Raises ValueError that says what is wrong."""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text, re.ASCII):
        raise ValueError(f"a duration needs a unit: {text[:20]}s, {text[:20]}m or {text[:20]}h")
    found = _DURATION.match(text) if len(text) <= 60 else None
    if found is None:
        raise ValueError("a duration is whole numbers with units, the largest first: 10m, 90s, 1h30m, 500ms")
    total = 0
    for part, unit in zip(found.groups(), _MILLISECONDS, strict=True):
        if part:
            total += int(part.rstrip("dhms")) * unit
    if total > LONGEST_MS:
        raise ValueError("a duration is at most 3650d")
    return total


def parse_size(text: str) -> int:
    """Bytes of `512`, `10MB` (10,000,000), `4MiB` (4,194,304). Raises ValueError that says what is wrong."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError("a size is a whole number with a unit: 512, 10MB, 4MiB, 1GiB")
    number, unit = found.groups()
    if unit not in _BYTES:
        raise ValueError(f'"{unit[:20]}" is no unit of size; use kB, MB, GB, TB or KiB, MiB, GiB, TiB')
    total = int(number) * _BYTES[unit]
    if total > LARGEST_BYTES:
        raise ValueError("a size is at most 1048576TiB")
    return total
