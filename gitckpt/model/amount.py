"""How a number of things is written in a sentence: `1 file`, `2,000 files`.

Owns these words alone. Must not know what is counted.
"""

from __future__ import annotations


def plural(number: int, word: str) -> str:
    """`1 file`, `2,000 files`, `3 batches`."""
    ending = "" if number == 1 else "es" if word.endswith("ch") else "s"
    return f"{number:,} {word}{ending}"
