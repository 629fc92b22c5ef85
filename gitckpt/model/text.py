"""Text from outside, made safe to show: names, logs and items can carry escape sequences that forge a screen.

Owns the one escape for all of it. Must not know where the text goes, nor any markup of a terminal library.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

_KEPT_IN_LINES = frozenset("\n\t")
_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SEPARATORS = (0x2028, 0x2029)
_UNSEEN = (0x200B, 0x2060, 0xFEFF, *range(0xFFF9, 0xFFFC), *range(0xE0000, 0xE0080))
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\e"}


def _escaped(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@cache
def _one_line() -> Mapping[int, str]:
    """What is not shown as it is. Made when it is needed, which for most text is never: `safe` looks first."""
    named = {
        code: _NAMED.get(chr(code)) or _escaped(code)
        for code in (*range(0x20), *range(0x7F, 0xA0), *_BIDI, *_SEPARATORS, *_UNSEEN)
    }
    # `surrogateescape` turned a byte that is not UTF-8 into U+DC80..U+DCFF: shown as the byte that it was.
    bytes_ = {code: f"\\x{code - 0xDC00:02x}" for code in range(0xDC80, 0xDD00)}
    halves = {code: _escaped(code) for code in (*range(0xD800, 0xDC80), *range(0xDD00, 0xE000))}
    return named | bytes_ | halves


@cache
def _lines() -> Mapping[int, str]:
    return {code: shown for code, shown in _one_line().items() if chr(code) not in _KEPT_IN_LINES}


def safe(text: str | bytes) -> str:
    """One line that no terminal obeys: controls, bidi and unseen marks become visible escapes, bad UTF-8 `\\xNN`.

    A newline is escaped too, so a name cannot forge a line. Applying it twice changes nothing more.
    """
    decoded = text if isinstance(text, str) else text.decode("utf-8", "surrogateescape")
    if decoded.isascii() and decoded.isprintable():
        return decoded
    return decoded.translate(_one_line())


def headline(reason: str) -> str:
    """The first line of a reason, safe: what follows it says how to mend it, and belongs where there is room."""
    return safe(reason.partition("\n")[0])


def safe_lines(text: str | bytes) -> str:
    """As `safe`, but newlines and tabs stay: for text of many lines, such as a log."""
    decoded = text if isinstance(text, str) else text.decode("utf-8", "surrogateescape")
    return decoded.replace("\r\n", "\n").translate(_lines())
