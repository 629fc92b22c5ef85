"""Which reporter a run gets. Loads the one for terminals only where a terminal is looked at."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Literal, TextIO

from gitckpt.engine.ports import Reporter
from gitckpt.progress.reporter import JsonReporter, LineReporter, QuietReporter, choose


def reporter_for(stream: TextIO, mode: Literal["auto", "quiet", "json"]) -> Reporter:
    """A live table on a terminal, a line a change on a pipe, JSON or nearly nothing where asked."""
    match choose(stream, mode=mode, term=os.environ.get("TERM")):
        case "live":
            live: Reporter = import_module("gitckpt.progress.live").LiveReporter(stream)
            return live
        case "json":
            return JsonReporter(stream)
        case "quiet":
            return QuietReporter(stream)
        case _:
            return LineReporter(stream)
