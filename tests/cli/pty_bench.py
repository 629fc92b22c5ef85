"""The real command line on a real terminal, answered as a person would. Owns the terminal; knows no scenario."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

_PATIENCE_S = 20.0


def on_terminal(folder: Path, *arguments: str, says: Iterable[tuple[str, str]] = ()) -> tuple[int, str]:
    """Run `gitckpt ARGUMENTS`; when it has printed the first of a pair, type the second. Its exit code and screen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gitckpt", *arguments],
        cwd=folder,
        env={**os.environ, "TERM": "dumb", "COLUMNS": "200"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    screen, at = "", 0
    try:
        for prompt, answer in says:
            while prompt not in screen[at:]:
                more = _read(ours)
                assert more, f"{prompt!r} was never asked:\n{screen}"
                screen += more
            at = screen.index(prompt, at) + len(prompt)
            os.write(ours, answer.encode() + b"\n")
        while more := _read(ours):
            screen += more
        return process.wait(_PATIENCE_S), screen.replace("\r\n", "\n")
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read(terminal: int) -> str:
    """What is printed next; empty at the end."""
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                return os.read(terminal, 1 << 16).decode(errors="replace")
            except OSError:  # Linux: the last process that had the terminal is gone
                return ""
    raise AssertionError("nothing was printed in time")
