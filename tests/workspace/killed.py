"""The child of the kill tests: applies one plan, given by two contents. Usage: killed.py ROOT BEFORE AFTER CALL.

It kills itself just before the changing call with that number; 0 is never.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from gitckpt.plumbing.content import Content
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import discover
from gitckpt.workspace.become import apply, plan
from gitckpt.workspace.statcache import StatCache


def content(text: str) -> Content:
    """Read what the parent wrote: three ids in hex, a dash for none."""
    files, extra, escaped = (None if part == "-" else bytes.fromhex(part) for part in text.split(","))
    assert files is not None
    return Content(files=files, extra=extra, escaped=escaped)


CHANGING = frozenset(
    {"os.chmod", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate", "open"}
)


class Killer:
    """An audit hook: Python tells it of every call before it is made."""

    def __init__(self, call: int) -> None:
        self.left = call

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event not in CHANGING:
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & os.O_CREAT):
            return
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    repository = discover(Path(sys.argv[1]))
    with Reader(repository) as reader:
        changes = plan(reader, content(sys.argv[2]), content(sys.argv[3]))
        sys.addaudithook(Killer(int(sys.argv[4])))
        apply(Path(sys.argv[1]), reader, changes, StatCache(repository.object_format))
