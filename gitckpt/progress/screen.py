"""Some lines at the bottom of a terminal that are drawn over and over, and text that scrolls up above them.

Owns the terminal's sequences, colours and size. Must not know what the lines say. Texts have to be safe already. Each
drawing is one write, so that it never shows half. A terminal that is gone ends the showing, never the run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TextIO, TypeAlias

from rich.cells import cell_len, set_cell_size

Span: TypeAlias = tuple[str, str]
"""A text and how it looks: the parameters of the sequence that turns it on, such as `1;31`, or nothing."""

Line: TypeAlias = Sequence[Span]

PLAIN, DIM, GREEN, YELLOW, CYAN, BAD = "", "2", "32", "33", "36", "1;31"

_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_REST_OF_LINE, _REST_OF_SCREEN = "\x1b[K", "\x1b[J"
_ELLIPSIS = "…"
_USUAL_SIZE = (80, 24)


class Screen:
    """The bottom of a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream
        self._colours = not os.environ.get("NO_COLOR")
        self._cells: list[int] = []

    def size(self) -> tuple[int, int]:
        """Columns and rows as they are now; `COLUMNS` and `LINES` win."""
        columns, rows = 0, 0
        try:
            if self._stream is not None:
                columns, rows = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):  # not a terminal, or it is gone
            pass
        return (
            _number("COLUMNS") or columns or _USUAL_SIZE[0],
            _number("LINES") or rows or _USUAL_SIZE[1],
        )

    def show(self, lines: Sequence[Line], above: Iterable[Line] = ()) -> None:
        """Draw the lines in the place of the last ones, and before them what stays. No lines: the cursor comes back.

        Each line is cut to the terminal's width less one: a wrapped one would be drawn over in the wrong place.
        """
        if self._stream is None:
            return
        columns = self.size()[0]
        stays = "".join(f"{self._styled(line)}\n" for line in above)
        if not (lines or stays or self._cells):
            return
        fitted = [fit(line, max(1, columns - 1)) for line in lines]
        drawn = f"{_REST_OF_LINE}\n".join(self._styled(line) for line, _ in fitted)
        parts = [self._to_top(columns)]
        parts += [_HIDE_CURSOR] if lines and not self._cells else []
        parts += [_REST_OF_SCREEN if self._cells else "", stays] if stays else []
        parts += [drawn, _REST_OF_SCREEN, "\r"] if lines or not stays else []
        parts += [_SHOW_CURSOR] if self._cells and not lines else []
        self._cells = [cells for _, cells in fitted]
        self._write("".join(parts))

    def _to_top(self, columns: int) -> str:
        """From the start of the last line, where the cursor rests, to the start of the first.

        Most terminals wrap long lines anew when they become narrower: then a line has become several.
        """
        up = sum(max(1, -(-cells // columns)) for cells in self._cells[:-1])
        return f"\r\x1b[{up}A" if up else "\r" if self._cells else ""

    def _styled(self, line: Line) -> str:
        if not self._colours:
            return "".join(text for text, _ in line)
        return "".join(f"\x1b[{style}m{text}\x1b[0m" if style and text else text for text, style in line)

    def _write(self, text: str) -> None:
        stream = self._stream
        if stream is None:
            return
        try:
            try:
                stream.write(text)
            except UnicodeEncodeError:
                known = stream.encoding or "ascii"
                stream.write(text.encode(known, "replace").decode(known))
            stream.flush()
        except (OSError, ValueError):  # ValueError: somebody closed the stream
            self._stream = None


def fit(line: Line, width: int) -> tuple[list[Span], int]:
    """The line, its end cut off with an ellipsis where it is wider than `width` cells, and how many cells it has."""
    # What is far too long is neither measured nor kept whole: a phase may print megabytes without a newline.
    clipped = [(text[: 2 * width + 1], style) for text, style in line]
    total = sum(cell_len(text) for text, _ in clipped)
    if total <= width:
        return clipped, total
    kept: list[Span] = []
    left = width - 1
    for text, style in clipped:
        cells = cell_len(text)
        if cells > left:
            kept.append((set_cell_size(text, left) + _ELLIPSIS, style))
            break
        kept.append((text, style))
        left -= cells
    return kept, width


def padded(text: str, cells: int) -> str:
    """The text with blanks after it, so that it has at least so many cells."""
    missing = cells - cell_len(text)
    return text + " " * missing if missing > 0 else text


def _number(name: str) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isascii() and value.isdigit() else 0
