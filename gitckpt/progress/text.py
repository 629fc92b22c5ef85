"""How amounts are written for people: durations, sizes, counts.

Owns the wording. Must not know what is measured. The words are the same in every language setting.
"""

from __future__ import annotations

_UNITS = ("KB", "MB", "GB", "TB", "PB")


def duration(ms: int) -> str:
    """Milliseconds as `0.4 s`, `12 s`, `3 m 20 s`, `5 h 02 m` or `2 d 03 h`; never more than two parts."""
    if ms < 0:
        return "0.0 s"
    if ms < 9_950:
        return f"{(ms + 50) // 100 / 10:.1f} s"
    seconds = (ms + 500) // 1000
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} m {seconds:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02d} m"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours:02d} h"


def size(count: int) -> str:
    """Bytes as `312 bytes`, `4.0 KB`, `7.1 GB`: decimal units, one digit after the point."""
    if count < 1000:
        return f"{count} byte{'' if count == 1 else 's'}"
    # A tenth of a unit, rounded to nearest, in integers: 999,950 bytes are 1.0 MB, not 1000.0 KB.
    power = 1
    while (tenths := (count * 10 + 1000**power // 2) // 1000**power) >= 10_000 and power < len(_UNITS):
        power += 1
    return f"{tenths / 10:,.1f} {_UNITS[power - 1]}"


def count(n: int) -> str:
    """A number with its thousands set apart: `61,000`."""
    return f"{n:,}"
