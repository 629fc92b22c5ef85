"""The child of the kill tests: applies one plan, given by two contents. Usage: killed.py ROOT BEFORE AFTER."""

from __future__ import annotations

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


if __name__ == "__main__":
    repository = discover(Path(sys.argv[1]))
    with Reader(repository) as reader:
        changes = plan(reader, content(sys.argv[2]), content(sys.argv[3]))
        apply(Path(sys.argv[1]), reader, changes, StatCache(repository.object_format))
