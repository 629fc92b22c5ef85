"""`output -f` and `status -f`: what a run prints and how far it is, until it ends. Changes nothing."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

import click

from gitckpt.api.following import Piece, is_to_follow, pieces, stored_output
from gitckpt.api.reading import Where
from gitckpt.errors import ExitCode
from gitckpt.execute.output import shown
from gitckpt.model.names import PhaseName
from gitckpt.model.text import safe

_REDRAW_S = 0.25
_LOOK_S = 0.1


def follow_output(where: Where, phase: PhaseName | None) -> int | None:
    """Print what the phase, or whatever runs, prints until the run ends. None: that phase prints no more.

    Raises NothingToFollow, SecretNotSet.
    """
    # Asked for first: the phase may be over as soon as it is found to go on.
    before = stored_output(where, phase)
    if not is_to_follow(where, phase):
        return None
    show = _ForTerminal() if sys.stdout.isatty() else _ForPipe()
    told = ""
    try:
        for piece in pieces(where, phase, before):
            label = _label(piece, phase)
            # The items of a phase share an attempt's number until one of them fails. Those side by side need no heads:
            # each line says whose it is.
            head = (
                f"==> {safe(piece.phase)}, attempt {piece.attempt}"
                if piece.phase and piece.data and not label
                else told
            )
            if head != told:
                click.echo(head, err=True)
                told = head
            show(piece, label)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    return 0


def _label(piece: Piece, wanted: PhaseName | None) -> str:
    """Whose a line is, where others may print beside it: the item of the phase asked for, or phase and item."""
    if not piece.view:
        return ""
    words = (piece.items,) if wanted is not None else (piece.phase or "", piece.items)
    return safe(" ".join(word for word in words if word))


class _ForPipe:
    """Bytes as they are; of attempts side by side whole lines, each with its label."""

    def __init__(self) -> None:
        self._lines = _Lines()

    def __call__(self, piece: Piece, label: str) -> None:
        data = piece.data
        if label:
            lines = self._lines.whole(piece)
            data = b"".join(label.encode() + b": " + line + b"\n" for line in lines)
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


class _ForTerminal:
    """Whole lines, made safe."""

    def __init__(self) -> None:
        self._lines = _Lines()

    def __call__(self, piece: Piece, label: str) -> None:
        for line in self._lines.whole(piece):
            click.echo(f"{label}: {shown(line)}" if label else shown(line))


class _Lines:
    """Makes lines of pieces; the last one of an attempt also when it has no end."""

    def __init__(self) -> None:
        self._begun: dict[str, bytes] = {}

    def whole(self, piece: Piece) -> list[bytes]:
        *lines, begun = (self._begun.pop(piece.view, b"") + piece.data).split(b"\n")
        if begun and piece.last:
            lines.append(begun)
        elif begun:
            self._begun[piece.view] = begun
        return lines


Look: TypeAlias = Callable[[], tuple[Sequence[str], Sequence[tuple[str, ...]], bool]]
"""The whole account as lines, its rows by phase, and whether a command works now."""


def follow_status(look: Look) -> int:
    """Show it again and again until nothing works here any more: redrawn on a terminal, else a line a change."""
    terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    watch: Watch = _Redrawn() if terminal else _Told()
    try:
        while True:
            lines, rows, works = look()
            watch(lines, rows)
            if not works:
                return 0
            time.sleep(_REDRAW_S if terminal else _LOOK_S)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)


Watch: TypeAlias = Callable[[Sequence[str], Sequence[tuple[str, ...]]], None]


class _Redrawn:
    """The newest account in place of the one before. Lines are cut at the edge, or they would not be where we think."""

    def __init__(self) -> None:
        self._height = 0

    def __call__(self, lines: Sequence[str], _rows: Sequence[tuple[str, ...]]) -> None:
        width, height = shutil.get_terminal_size()
        fitting = [line[: width - 1] for line in lines[: height - 1]]
        up = f"\x1b[{self._height}F\x1b[J" if self._height else ""
        click.echo(up + "\n".join(fitting), color=True)
        self._height = len(fitting)


class _Told:
    """A line for each phase whose row is another than before."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...]] = {}

    def __call__(self, _lines: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
        now = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
        for row in rows:
            # What is said last of a phase that runs is a guess of how long, and another every time.
            steady = row[:-1] if row[1] == "running" else row
            if self._known.get(row[0]) != steady:
                self._known[row[0]] = steady
                click.echo(f"{now} {' '.join(cell for cell in row if cell)}")
